//! Does something with an object that exists: a write like any other, asked for by a caller or by the
//! object's own state.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{AttemptId, TenantId};
use onerouter_domain::idempotency::ProviderKey;
use onerouter_engine::{CallContext, NotSent, Outcome, RefusalKind};

use super::create::call_deadline;
use super::settlement::{FIRST_TRY_AFTER, needs_settling};
use super::{Answer, CLAIM_MAX, Intent, KEY_KEPT, KeyEnd, Objects, ledger_json};
use crate::ids;
use crate::service::caller::{Caller, Origin};
use crate::service::connections::Chosen;
use crate::service::kind::{Action as _, CallIds, Facts as _, Kind};
use crate::service::object::{Object, Reported};
use crate::service::outcome;
use crate::service::refusal::Refusal;
use crate::store::WorkKind;
use crate::store::{AttemptEnd, AttemptRow, NewAttempt};
use crate::store::{KeyClaim, NewKeyClaim};
use crate::store::{StoreError, TenantTx};

/// The answer to an action that worked.
pub(super) const DONE: u16 = 200;
/// What nobody asks for is tried again this long after its first refusal; then four times as long
/// after each, so that a dozen tries, about as many as providers take, last for days.
const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(2);
/// And this long at most.
const AGAIN_AFTER_MAX: TimeDelta = TimeDelta::hours(6);

/// Who asks for an action, and by what the request is known.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    origin: Origin,
    intent: Intent,
}

/// What is to be done with an object.
#[derive(Debug)]
pub(super) enum Wanted<K: Kind> {
    /// What a caller asks for.
    Asked(Asked, K::Action),
    /// What its provider waits for.
    Due,
    /// What was put off until now.
    Postponed,
}

impl<K: Kind> Wanted<K> {
    const fn asked(&self) -> Option<&Asked> {
        match self {
            Self::Asked(asked, _) => Some(asked),
            Self::Due | Self::Postponed => None,
        }
    }

    /// The action, as the object stands now; none where somebody else has done it meanwhile.
    fn action(&self, object: &Object<K>, now: DateTime<Utc>) -> Option<K::Action> {
        match self {
            Self::Asked(_, action) => Some(action.clone()),
            Self::Due => K::due(object),
            Self::Postponed => K::postponed(object)
                .filter(|(_, at)| *at <= now)
                .map(|(action, _)| action),
        }
    }
}

/// For whom and on what.
#[derive(Debug, Clone, Copy)]
struct Place<K: Kind> {
    tenant: TenantId,
    environment: Environment,
    id: K::Id,
}

/// What is committed before the adapter is called.
struct ActClaim<K: Kind> {
    place: Place<K>,
    asked: Option<Asked>,
    object: Object<K>,
    provider_ref: String,
    action: K::Action,
    attempt: AttemptId,
    provider_key: String,
}

/// What a call has come to.
struct Called<K: Kind> {
    outcome: Outcome<Reported<K>>,
    /// The object as it is at the provider, where it was read because the action has to wait.
    fresh: Option<Reported<K>>,
    end: AttemptEnd,
}

enum Claimed<K: Kind> {
    Mine(Box<ActClaim<K>>, Chosen),
    Answered(Answer),
}

impl<K: Kind> Objects<K> {
    /// Does something with an object, once per key.
    ///
    /// # Errors
    /// `invalid_state` when it is too late, `unsupported_by_provider`, and whatever a create may
    /// end with.
    #[expect(clippy::too_many_arguments, reason = "who, by which request, on what")]
    pub async fn act(
        &self,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        id: K::Id,
        action: K::Action,
    ) -> Result<Answer, Refusal> {
        let place = Place {
            tenant: caller.tenant,
            environment: caller.environment,
            id,
        };
        let asked = Asked {
            origin: origin.clone(),
            intent,
        };
        // On a tracked task, as a create is.
        let this = self.clone();
        self.finish(async move {
            match this.claim_act(place, Wanted::Asked(asked, action)).await? {
                Claimed::Answered(answer) => Ok(answer),
                Claimed::Mine(claim, chosen) => this.call_act(*claim, chosen).await.0,
            }
        })
        .await
    }

    /// Does what an object's own state asks for, with nobody to answer to. The object as it is then;
    /// none when nothing was done.
    pub(super) async fn act_unasked(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        wanted: Wanted<K>,
    ) -> Option<Object<K>> {
        let place = Place {
            tenant,
            environment: object.environment,
            id: object.id,
        };
        let id = place.id;
        match self.claim_act(place, wanted).await {
            Ok(Claimed::Mine(claim, chosen)) => {
                let name = claim.action.name();
                let (answer, object) = self.call_act(*claim, chosen).await;
                if let Err(refusal) = answer {
                    tracing::warn!(object.id = %id, action = name, reason = refusal.detail, "what was due was not done");
                }
                object
            }
            Ok(Claimed::Answered(_)) => None,
            Err(refusal) => {
                // Somebody else is at it, for the most part.
                tracing::debug!(object.id = %id, reason = refusal.detail, "what is due is not done now");
                None
            }
        }
    }

    async fn claim_act(&self, place: Place<K>, wanted: Wanted<K>) -> Result<Claimed<K>, Refusal> {
        let failed = Self::store_failed("cannot claim a change of an object");
        let now = self.parts.clock.now();
        let Place {
            tenant,
            environment,
            id,
        } = place;
        // Read first: the connection is looked up without a transaction open.
        let mut before = self.find(tenant, environment, id).await?;
        if before.claimed_until.is_some_and(|until| until <= now) {
            // Else the request that was cut off would be forgotten.
            before = self
                .bury_dead_claim(tenant, before)
                .await
                .map_err(&failed)?;
        }
        let connections = &self.parts.connections;
        let chosen = connections.of_object(tenant, before.connection_id).await;
        let mut tx = self.parts.store.begin(tenant).await.map_err(&failed)?;
        if let Some(Asked { intent, .. }) = wanted.asked()
            && let Some(key) = &intent.key
        {
            let claim = NewKeyClaim {
                environment,
                key: key.clone(),
                route: intent.route.to_owned(),
                request_hash: intent.hash,
                object_id: Some(K::uuid(id)),
                now,
                expires_at: now + KEY_KEPT,
            };
            if let KeyClaim::Existing(row) = tx.claim_key(&claim).await.map_err(&failed)? {
                return self.replay(row, intent).map(Claimed::Answered);
            }
        }
        let chosen = chosen?;
        let row = tx
            .lock_object(K::OBJECT, environment, K::uuid(id))
            .await
            .map_err(&failed)?
            .ok_or_else(|| Refusal::not_found(K::NOUN))?;
        let mut object = Object::<K>::from_row(row).map_err(&failed)?;
        let action = wanted.action(&object, now).ok_or_else(done_meanwhile)?;
        let provider_ref = Self::ready_for(&object, &action, &chosen)?;
        let attempts = tx.list_attempts(K::uuid(id)).await.map_err(&failed)?;
        let is_soon = not_before(&attempts, action.name()).is_some_and(|at| at > now);
        if wanted.asked().is_none() && is_soon {
            return Err(refused_lately());
        }
        let provider_key = ProviderKey::derive(id, action.name(), step(&attempts, action.name()));
        object.claimed_until = Some(now + CLAIM_MAX);
        K::begin(&mut object, &action);
        let status = object.status;
        if !Self::write(&mut tx, &mut object, Some(status), now)
            .await
            .map_err(&failed)?
        {
            return Err(busy());
        }
        let attempt = AttemptId::from_uuid(ids::next());
        tx.insert_attempt(&NewAttempt {
            id: attempt,
            object_id: K::uuid(id),
            operation: action.name().to_owned(),
            provider_key: provider_key.as_str().to_owned(),
            started_at: now,
            batch_id: None,
            connection_id: object.connection_id,
            routing: None,
        })
        .await
        .map_err(&failed)?;
        tx.schedule(WorkKind::Settle, K::uuid(id), now + CLAIM_MAX)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        let asked = match wanted {
            Wanted::Asked(asked, _) => Some(asked),
            Wanted::Due | Wanted::Postponed => None,
        };
        let claim = ActClaim {
            place,
            asked,
            object,
            provider_ref,
            action,
            attempt,
            provider_key: provider_key.as_str().to_owned(),
        };
        Ok(Claimed::Mine(Box::new(claim), chosen))
    }

    /// The provider's id of an object with which this may be done.
    fn ready_for(
        object: &Object<K>,
        action: &K::Action,
        (connection, adapter): &Chosen,
    ) -> Result<String, Refusal> {
        K::allow(object, action)?;
        if object.claimed_until.is_some() {
            return Err(busy());
        }
        if !adapter.can(K::needed_for(action)) {
            let done = action.name().replace('_', " ");
            return Err(Refusal::new(
                ErrorCode::UnsupportedByProvider,
                format!("{} cannot {done} a {}.", connection.provider, K::NOUN),
            ));
        }
        object.provider_ref.clone().ok_or_else(|| {
            Refusal::new(
                ErrorCode::InvalidState,
                format!(
                    "It is not known yet whether the provider has this {}.",
                    K::NOUN
                ),
            )
        })
    }

    async fn call_act(
        &self,
        claim: ActClaim<K>,
        (connection, adapter): Chosen,
    ) -> (Result<Answer, Refusal>, Option<Object<K>>) {
        let context = match &claim.asked {
            Some(asked) => CallContext {
                connection: Arc::clone(&connection.context),
                deadline: call_deadline(&asked.origin),
            },
            None => Self::context(&connection),
        };
        let ids = CallIds {
            object_id: claim.object.id.to_string(),
            attempt_id: claim.attempt.to_string(),
            provider_key: claim.provider_key.clone(),
            webhook_url: None,
        };
        let (object, action) = (&claim.object, &claim.action);
        let report = K::act(&adapter, &context, ids, object, &claim.provider_ref, action).await;
        outcome::log(&connection.provider, claim.action.name(), &report);
        let end = AttemptEnd {
            id: claim.attempt,
            outcome: outcome::name(&report.outcome).to_owned(),
            detail: Some(ledger_json(&report.ledger, None)),
            ended_at: self.parts.clock.now(),
        };
        let provider = &connection.provider;
        let id = claim.object.id;
        let mut fresh = None;
        if let Outcome::NotSent(NotSent::Unsupported(_)) = &report.outcome
            && K::can_wait(&claim.action)
        {
            // Until when it can wait may have changed since it was last read.
            let read = K::get(&adapter, &context, object, &claim.provider_ref).await;
            outcome::log(provider, "get", &read);
            if let Outcome::Accepted(reported) = read.outcome {
                fresh = Some(reported);
            }
        }
        let called = Called {
            outcome: report.outcome,
            fresh,
            end,
        };
        match self.settle_act(claim, provider, called).await {
            Ok((answer, object)) => (answer, Some(object)),
            Err(error) => {
                tracing::error!(%error, object.id = %id, "cannot settle a change of an object");
                (Err(outcome::unknown(provider, &id.to_string())), None)
            }
        }
    }

    async fn settle_act(
        &self,
        claim: ActClaim<K>,
        provider: &onerouter_manifest::PluginId,
        called: Called<K>,
    ) -> Result<(Result<Answer, Refusal>, Object<K>), StoreError> {
        let now = self.parts.clock.now();
        let (mut object, action) = (claim.object, claim.action);
        let before = object.status;
        let mut end = called.end;
        let refusal = match called.outcome {
            Outcome::Accepted(reported) if reported.provider_ref != claim.provider_ref => {
                tracing::error!(object.id = %object.id, "the adapter has answered about another object");
                outcome::UNKNOWN.clone_into(&mut end.outcome);
                object.status = K::unknown();
                Some(outcome::unknown(provider, &object.id.to_string()))
            }
            Outcome::Accepted(reported) => {
                object.facts.set_refusal(None);
                object.merge(reported, true);
                let is_done = !K::came_to_nothing(&object, &action);
                if !is_done {
                    outcome::DECLINED.clone_into(&mut end.outcome);
                    object.facts.hold_failure();
                }
                K::acted(&mut object, &action, is_done);
                None
            }
            Outcome::Declined(refusal)
                if refusal.kind == RefusalKind::Declined && K::refusal_is_state(&action) =>
            {
                let said = refusal.failure.clone();
                let refusal = outcome::declined(provider, refusal);
                let failure = outcome::as_failure(&refusal, Some(said));
                object.facts.set_refusal(Some(failure));
                K::acted(&mut object, &action, false);
                None
            }
            Outcome::Declined(refusal) => {
                K::acted(&mut object, &action, false);
                Some(outcome::declined(provider, refusal))
            }
            Outcome::NotSent(NotSent::Unsupported(why)) if K::can_wait(&action) => {
                if let Some(fresh) = called.fresh {
                    object.merge(fresh, true);
                }
                match K::allow(&object, &action) {
                    Err(refusal) => Some(refusal),
                    Ok(()) if K::postpone(&mut object, &action) => None,
                    Ok(()) => Some(outcome::not_sent(provider, NotSent::Unsupported(why))),
                }
            }
            Outcome::NotSent(reason) => {
                K::acted(&mut object, &action, false);
                Some(outcome::not_sent(provider, reason))
            }
            Outcome::Unknown(_) => {
                object.status = K::unknown();
                Some(outcome::unknown(provider, &object.id.to_string()))
            }
        };
        object.claimed_until = None;
        let mut tx = self.parts.store.begin(claim.place.tenant).await?;
        if !Self::write(&mut tx, &mut object, Some(before), now).await? {
            return Err(StoreError::unreadable(
                "an object that changed during its claim",
            ));
        }
        let id = K::uuid(object.id);
        tx.finish_attempt(&end).await?;
        let (answer, key_end) = self
            .answer_to_act(&mut tx, &object, claim.asked.as_ref(), refusal)
            .await?;
        if let Some(asked) = &claim.asked {
            let key = asked.intent.key.as_deref();
            Self::end_key(&mut tx, object.environment, key, &key_end, now).await?;
        }
        if needs_settling(&object) {
            // This call's end is not known, or an earlier one's still is not.
            tx.schedule(WorkKind::Settle, id, now + FIRST_TRY_AFTER)
                .await?;
        } else {
            // Also of an earlier call whose end was not known.
            self.end_keys(&mut tx, &object).await?;
        }
        tx.commit().await?;
        Ok((answer, object))
    }

    async fn answer_to_act(
        &self,
        tx: &mut TenantTx,
        object: &Object<K>,
        asked: Option<&Asked>,
        refusal: Option<Refusal>,
    ) -> Result<(Result<Answer, Refusal>, KeyEnd), StoreError> {
        let Some(refusal) = refusal else {
            let content = Self::content(tx, K::uuid(object.id)).await?;
            let body = Bytes::from(K::present(object, content.as_ref()));
            let answer = Answer::fresh(DONE, body.clone());
            return Ok((Ok(answer), KeyEnd::Keep(DONE, body)));
        };
        let refusal = refusal.about(object.id);
        let key_end = match (refusal.code, asked) {
            (ErrorCode::ProviderRejected, Some(asked)) => {
                let (status, body) = (self.parts.render)(&refusal, &asked.origin.shown);
                KeyEnd::Keep(status, body)
            }
            (ErrorCode::OutcomeUnknown, _) => KeyEnd::Unknown,
            _ => KeyEnd::Release,
        };
        Ok((Err(refusal), key_end))
    }
}

/// Which of an object's calls of this name the next one is, for the key toward the provider. One
/// whose end is not known is repeated under its own key, until something else has come after it.
fn step(attempts: &[AttemptRow], action: &str) -> u32 {
    let last_done = attempts
        .iter()
        .rposition(|attempt| is(attempt, outcome::ACCEPTED));
    let closed = attempts.iter().enumerate().filter(|(place, attempt)| {
        let is_over = is(attempt, outcome::ACCEPTED) || is(attempt, outcome::DECLINED);
        let is_overtaken =
            last_done.is_some_and(|done| *place < done) && !is(attempt, outcome::NOT_SENT);
        attempt.operation == action && (is_over || is_overtaken)
    });
    u32::try_from(closed.count().saturating_add(1)).unwrap_or(u32::MAX)
}

/// When an action that was refused may be tried again without anybody's asking.
fn not_before(attempts: &[AttemptRow], action: &str) -> Option<DateTime<Utc>> {
    let mut pause = AGAIN_AFTER;
    let mut until = None;
    for attempt in attempts {
        if attempt.operation == action && is(attempt, outcome::DECLINED) {
            until = Some(attempt.ended_at.unwrap_or(attempt.started_at) + pause);
            pause = pause.checked_mul(4).unwrap_or(pause).min(AGAIN_AFTER_MAX);
        }
    }
    until
}

fn is(attempt: &AttemptRow, outcome: &str) -> bool {
    attempt.outcome.as_deref() == Some(outcome)
}

fn busy() -> Refusal {
    let refusal = Refusal::new(
        ErrorCode::Conflict,
        "Another request is changing this object. Read it and try again.",
    );
    Refusal {
        retryable: Some(true),
        ..refusal.retry_after(1)
    }
}

fn refused_lately() -> Refusal {
    Refusal::new(
        ErrorCode::InvalidState,
        "The provider has refused this a moment ago.",
    )
}

fn done_meanwhile() -> Refusal {
    Refusal::new(ErrorCode::InvalidState, "Nothing is due any more.")
}
