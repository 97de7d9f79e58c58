//! Sends a message: the whole way of one write.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::AttemptId;
use onerouter_domain::idempotency::ProviderKey;
use onerouter_engine::{Adapter, CallContext, NotSent, Outcome};
use onerouter_manifest::{Manifest, PluginId};
use tokio::time::Instant;

use super::{
    Answer, CLAIM_MAX, Intent, KEY_KEPT, KeyEnd, Messages, NewMessage, SETTLE_RESERVE, ledger_json,
    to_json,
};
use crate::ids;
use crate::service::caller::{Caller, Origin};
use crate::service::connections::{Connection, Need};
use crate::service::kind::{Kind, SendIds};
use crate::service::object::{MessageResult, Object, Reported};
use crate::service::outcome;
use crate::service::refusal::{FieldMistake, Refusal};
use crate::store::NewCallLog;
use crate::store::NewObject;
use crate::store::WorkKind;
use crate::store::{AttemptEnd, NewAttempt};
use crate::store::{KeyClaim, NewKeyClaim};
use crate::store::{StoreError, TenantTx, constraint};

/// Name of the operation in attempts and provider keys.
pub(super) const SEND: &str = "send";
/// The answer to a create that worked.
pub(super) const CREATED: u16 = 201;

/// A connection with the adapter that serves it.
pub type Chosen = (Arc<Connection>, Arc<Adapter>);

/// One e-mail of a batch with its own intent.
pub type BatchEntry<K> = (Intent, NewMessage<K>);

/// What is committed before anything leaves the house.
#[derive(Debug, Clone)]
pub(in crate::service) struct Claim<K: Kind> {
    pub(in crate::service) caller: Caller,
    pub(in crate::service) origin: Origin,
    pub(in crate::service) intent: Intent,
    pub(in crate::service) object: Object<K>,
    pub(in crate::service) content: K::Content,
    pub(in crate::service) attempt: AttemptId,
}

/// A claim, or the answer of the request that came before.
#[derive(Debug)]
pub(in crate::service) enum Claimed<K: Kind> {
    Mine(Box<Claim<K>>),
    Answered(Answer),
}

impl<K: Kind> Messages<K> {
    /// Sends a message, once per key.
    ///
    /// # Errors
    /// Whatever the contract names. `outcome_unknown`: the provider may have acted; the object
    /// becomes `unknown` and is settled by asking, never by sending again.
    pub async fn create(
        &self,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        new: NewMessage<K>,
    ) -> Result<Answer, Refusal> {
        // On a tracked task: what is claimed is sent and settled even if the client hangs up, also
        // while the claim is being committed.
        let (this, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        self.finish(async move { this.claim_and_send(&caller, &origin, intent, new).await })
            .await
    }

    async fn claim_and_send(
        &self,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        new: NewMessage<K>,
    ) -> Result<Answer, Refusal> {
        let failed = Self::store_failed("cannot claim a message");
        let chosen = self.choose(caller, &new).await;
        let mut tx = self
            .parts
            .store
            .begin(caller.tenant)
            .await
            .map_err(&failed)?;
        let claimed = self
            .claim(&mut tx, caller, origin, intent, new, chosen.as_ref())
            .await?;
        let claim = match claimed {
            Claimed::Answered(answer) => return Ok(answer),
            Claimed::Mine(claim) => claim,
        };
        let chosen = chosen?;
        self.claim_attempt(&mut tx, &claim, &chosen)
            .await
            .map_err(&failed)?;
        if let Err(error) = tx.commit().await {
            return Err(lost_claim(&error, claim.object.id));
        }
        self.send(*claim, chosen).await
    }

    /// Waits for a task that ends even if nobody waits for it.
    pub(in crate::service) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        match self.parts.tasks.spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(Refusal::internal("a task did not finish", &error)),
        }
    }

    pub(in crate::service) async fn choose(
        &self,
        caller: &Caller,
        new: &NewMessage<K>,
    ) -> Result<Chosen, Refusal> {
        let need = Need {
            environment: caller.environment,
            category: K::CATEGORY,
            capability: K::SEND,
            provider: new.provider.as_ref(),
        };
        self.parts.connections.choose(caller.tenant, need).await
    }

    /// Claims the key, then makes the object. An answered twin is answered even if its connection
    /// is gone; a request that cannot be served leaves nothing behind.
    #[expect(
        clippy::too_many_arguments,
        reason = "who, what and whereby: a batch claims in one transaction"
    )]
    pub(in crate::service) async fn claim(
        &self,
        tx: &mut TenantTx,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        new: NewMessage<K>,
        chosen: Result<&Chosen, &Refusal>,
    ) -> Result<Claimed<K>, Refusal> {
        let failed = Self::store_failed("cannot claim a message");
        let now = self.parts.clock.now();
        let id = ids::next();
        if let Some(key) = &intent.key {
            let claim = NewKeyClaim {
                environment: caller.environment,
                key: key.clone(),
                route: intent.route.to_owned(),
                request_hash: intent.hash,
                object_id: Some(id),
                now,
                expires_at: now + KEY_KEPT,
            };
            if let KeyClaim::Existing(row) = tx.claim_key(&claim).await.map_err(&failed)? {
                return self.replay(row, &intent).map(Claimed::Answered);
            }
        }
        let (connection, adapter) = match in_time(&new)
            .and_then(|()| chosen.map_err(Clone::clone))
            .and_then(|chosen| with_sender(chosen, &new))
        {
            Ok(chosen) => chosen,
            Err(refusal) => {
                // Others may be claimed in the same transaction, so a rollback is not enough.
                if let Some(key) = &intent.key {
                    tx.release_key(caller.environment, key)
                        .await
                        .map_err(&failed)?;
                }
                return Err(refusal);
            }
        };
        let mut request = new.request;
        if K::sender(&request).is_none()
            && let Some(only) = connection.only_sender(adapter.manifest())
        {
            // Written down, so that a repetition is the same even if the setting has changed.
            K::set_sender(&mut request, only.to_owned());
        }
        let object = Object::<K> {
            id: K::id(id),
            environment: caller.environment,
            provider: connection.provider.to_string(),
            connection_id: connection.id,
            status: K::queued(),
            provider_ref: None,
            request,
            result: MessageResult::default(),
            metadata: new.metadata,
            version: 1,
            claimed_until: Some(now + CLAIM_MAX),
            refreshed_at: None,
            created_at: now,
            updated_at: now,
        };
        let row = NewObject {
            id,
            environment: object.environment,
            kind: K::OBJECT,
            provider: object.provider.clone(),
            connection_id: object.connection_id,
            status: object.status.to_string(),
            request: to_json(&object.request),
            content: K::HAS_CONTENT.then(|| to_json(&new.content)),
            result: to_json(&object.result),
            metadata: object.metadata.clone(),
            claimed_until: object.claimed_until,
            created_at: now,
        };
        tx.insert_object(&row).await.map_err(&failed)?;
        tx.schedule(WorkKind::Settle, id, now + CLAIM_MAX)
            .await
            .map_err(&failed)?;
        Ok(Claimed::Mine(Box::new(Claim {
            caller: caller.clone(),
            origin: origin.clone(),
            intent,
            object,
            content: new.content,
            attempt: AttemptId::from_uuid(ids::next()),
        })))
    }

    pub(in crate::service) async fn claim_attempt(
        &self,
        tx: &mut TenantTx,
        claim: &Claim<K>,
        (_, adapter): &Chosen,
    ) -> Result<(), StoreError> {
        let honours_keys = honours_keys(adapter.manifest(), K::SEND_OPERATION);
        tx.insert_attempt(&NewAttempt {
            id: claim.attempt,
            object_id: K::uuid(claim.object.id),
            operation: SEND.to_owned(),
            provider_key: if honours_keys {
                provider_key(&claim.object).as_str().to_owned()
            } else {
                String::new()
            },
            started_at: claim.object.created_at,
            batch_id: None,
        })
        .await
    }

    /// Calls the adapter and settles what came of it.
    pub(in crate::service) async fn send(
        &self,
        claim: Claim<K>,
        chosen: Chosen,
    ) -> Result<Answer, Refusal> {
        let (connection, adapter) = chosen;
        let context = CallContext {
            connection: Arc::clone(&connection.context),
            deadline: call_deadline(&claim.origin),
        };
        let ids = send_ids(&claim.object, claim.attempt);
        let report = K::send(
            &adapter,
            &context,
            ids,
            &claim.object.request,
            &claim.content,
        )
        .await;
        outcome::log(&connection.provider, K::SEND_OPERATION, &report);
        let end = AttemptEnd {
            id: claim.attempt,
            outcome: outcome::name(&report.outcome).to_owned(),
            detail: Some(ledger_json(&report.ledger, None)),
            ended_at: self.parts.clock.now(),
        };
        let settled = self
            .settle(vec![(claim, report.outcome)], &connection.provider, &end)
            .await;
        settled.into_iter().next().unwrap_or_else(|| Err(lost()))
    }

    /// Settles what one call made of its messages, in one transaction.
    pub(in crate::service) async fn settle(
        &self,
        outcomes: Vec<(Claim<K>, Outcome<Reported<K>>)>,
        provider: &PluginId,
        end: &AttemptEnd,
    ) -> Vec<Result<Answer, Refusal>> {
        let mut settled: Vec<Settled<K>> = outcomes
            .into_iter()
            .map(|(mut claim, outcome)| {
                let concluded = conclude(&mut claim.object, provider, outcome);
                (claim, concluded)
            })
            .collect();
        let versions: Vec<u64> = settled
            .iter()
            .map(|(claim, _)| claim.object.version)
            .collect();
        match self.write_settlement(&mut settled, end).await {
            Ok(answers) => answers,
            Err(error) if is_taken(&error) => {
                // One provider id for two messages: the others of the call are still what they are.
                let mut answers = Vec::with_capacity(settled.len());
                for (mut one, version) in settled.into_iter().zip(versions) {
                    one.0.object.version = version;
                    answers.push(self.settle_alone(one, provider, end).await);
                }
                answers
            }
            Err(error) => settled
                .iter()
                .map(|(claim, _)| Err(unsettled(claim, provider, &error)))
                .collect(),
        }
    }

    /// Settles a message by itself. One whose provider id belongs to another message is unknown:
    /// what the adapter says of it cannot be true.
    async fn settle_alone(
        &self,
        settled: Settled<K>,
        provider: &PluginId,
        end: &AttemptEnd,
    ) -> Result<Answer, Refusal> {
        let version = settled.0.object.version;
        let mut settled = vec![settled];
        let mut written = self.write_settlement(&mut settled, end).await;
        if written.as_ref().is_err_and(is_taken)
            && let [(claim, concluded)] = settled.as_mut_slice()
        {
            tracing::error!(object.id = %claim.object.id, "the provider's id belongs to another message");
            let object = &mut claim.object;
            object.version = version;
            object.provider_ref = None;
            object.result = MessageResult::default();
            object.status = K::unknown();
            *concluded = Concluded::Unknown(outcome::unknown(provider, &object.id.to_string()));
            written = self.write_settlement(&mut settled, end).await;
        }
        match (written, settled.pop()) {
            (Err(error), Some((claim, _))) => Err(unsettled(&claim, provider, &error)),
            (answers, _) => answers
                .ok()
                .and_then(|mut answers| answers.pop())
                .unwrap_or_else(|| Err(lost())),
        }
    }

    fn render(&self, claim: &Claim<K>, concluded: &Concluded) -> (Result<Answer, Refusal>, KeyEnd) {
        match concluded {
            Concluded::Created => {
                let body = bytes::Bytes::from(K::present(&claim.object, Some(&claim.content)));
                let key_end = KeyEnd::Keep(CREATED, body.clone());
                (Ok(Answer::fresh(CREATED, body)), key_end)
            }
            Concluded::Refused(refusal) => {
                let refusal = refusal.clone().about(claim.object.id);
                // Only the provider's own refusal is the final answer to this request; after
                // anything else nothing was processed, and the key may be used again.
                let key_end = if refusal.code == ErrorCode::ProviderRejected {
                    let (status, body) = (self.parts.render)(&refusal, &claim.origin.shown);
                    KeyEnd::Keep(status, body)
                } else {
                    KeyEnd::Release
                };
                (Err(refusal), key_end)
            }
            Concluded::Unknown(refusal) => (Err(refusal.clone()), KeyEnd::Unknown),
        }
    }

    async fn write_settlement(
        &self,
        settled: &mut [Settled<K>],
        end: &AttemptEnd,
    ) -> Result<Vec<Result<Answer, Refusal>>, StoreError> {
        let now = self.parts.clock.now();
        let mut answers = Vec::with_capacity(settled.len());
        let Some((first, _)) = settled.first() else {
            return Ok(answers);
        };
        let mut tx = self.parts.store.begin(first.caller.tenant).await?;
        tx.finish_attempt(end).await?;
        for (claim, concluded) in settled {
            let object = &mut claim.object;
            let id = K::uuid(object.id);
            object.claimed_until = None;
            if !Self::write(&mut tx, object, None, now).await? {
                // The claim was found dead while its call still ran, which the margin is to prevent.
                return Err(StoreError::unreadable(
                    "an object that changed during its claim",
                ));
            }
            let (answer, key_end) = self.render(claim, concluded);
            let key = claim.intent.key.as_deref();
            Self::end_key(&mut tx, claim.object.environment, key, &key_end, now).await?;
            match key_end {
                KeyEnd::Unknown => {
                    let soon = now + super::settlement::FIRST_TRY_AFTER;
                    tx.schedule(WorkKind::Settle, id, soon).await?;
                }
                KeyEnd::Keep(..) | KeyEnd::Release => {
                    tx.finish_work(WorkKind::Settle, id).await?;
                }
            }
            tx.insert_call_log(&call_log(claim, &answer, now)).await?;
            answers.push(answer);
        }
        tx.commit().await?;
        Ok(answers)
    }
}

/// One message gives one answer; there is nothing else to say.
fn lost() -> Refusal {
    Refusal::new(ErrorCode::InternalError, "The message was not settled.")
}

/// The provider's id is bound to another object.
fn is_taken(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Duplicate {
            constraint: constraint::PROVIDER_REF,
            ..
        }
    )
}

/// The provider has answered and we could not write it down: for everybody else the outcome is
/// unknown until the claim is found dead and settled.
fn unsettled<K: Kind>(claim: &Claim<K>, provider: &PluginId, error: &StoreError) -> Refusal {
    tracing::error!(%error, object.id = %claim.object.id, "cannot settle a message");
    outcome::unknown(provider, &claim.object.id.to_string())
}

/// A claim with what its call made of it.
type Settled<K> = (Claim<K>, Concluded);

fn call_log<K: Kind>(
    claim: &Claim<K>,
    answer: &Result<Answer, Refusal>,
    now: DateTime<Utc>,
) -> NewCallLog {
    let (status, code) = match answer {
        Ok(answer) => (answer.status, None),
        Err(refusal) => (
            refusal.code.status(),
            Some(refusal.code.as_str().to_owned()),
        ),
    };
    let took = now
        .signed_duration_since(claim.object.created_at)
        .num_microseconds();
    NewCallLog {
        id: claim.origin.request,
        environment: claim.object.environment,
        api_key_id: Some(claim.caller.key),
        method: "POST".to_owned(),
        route: claim.intent.route.trim_start_matches("POST ").to_owned(),
        status,
        duration_us: u64::try_from(took.unwrap_or_default()).unwrap_or_default(),
        object_id: Some(K::uuid(claim.object.id)),
        provider: Some(claim.object.provider.clone()),
        code,
        created_at: now,
    }
}

/// A new message cannot be sent in the past.
fn in_time<K: Kind>(new: &NewMessage<K>) -> Result<(), Refusal> {
    match &new.late {
        Some(late) => Err(Refusal::invalid(vec![late.clone()])),
        None => Ok(()),
    }
}

/// The connection, where the message or a setting names a sender.
fn with_sender<'a, K: Kind>(
    chosen: &'a Chosen,
    new: &NewMessage<K>,
) -> Result<&'a Chosen, Refusal> {
    let (connection, adapter) = chosen;
    if K::sender(&new.request).is_some() || connection.has_sender(adapter.manifest()) {
        return Ok(chosen);
    }
    let detail = format!(
        "is required: the connection to {} has no setting that names a sender",
        connection.provider
    );
    Err(Refusal::invalid(vec![FieldMistake::new(
        K::SENDER_POINTER,
        "required",
        detail,
    )]))
}

/// The database was lost while it took a claim: it may have it. Then the claim will be found dead
/// and settled, by sending it where the provider honours keys; so the caller must not.
pub(in crate::service) fn lost_claim(error: &StoreError, id: impl ToString) -> Refusal {
    tracing::error!(%error, "cannot tell whether a claim was committed");
    Refusal::new(
        ErrorCode::OutcomeUnknown,
        "The gateway lost its database while it took this request. Read the object: if it does not exist, nothing was taken. Do not send this again without the same Idempotency-Key.",
    )
    .about(id)
}

/// What a call made of its object.
#[derive(Debug)]
pub(in crate::service) enum Concluded {
    Created,
    Refused(Refusal),
    Unknown(Refusal),
}

/// Writes an outcome into the object. What a provider accepted is merged; a refusal and "not sent"
/// make it `failed`, each with its reason.
pub(in crate::service) fn conclude<K: Kind>(
    object: &mut Object<K>,
    provider: &PluginId,
    outcome: Outcome<Reported<K>>,
) -> Concluded {
    let (refusal, said) = match outcome {
        Outcome::Accepted(reported) => {
            object.merge(reported);
            return Concluded::Created;
        }
        Outcome::Unknown(_) => {
            object.status = K::unknown();
            return Concluded::Unknown(outcome::unknown(provider, &object.id.to_string()));
        }
        Outcome::Declined(refusal) => {
            let said = refusal.failure.clone();
            let mut refusal = outcome::declined(provider, refusal);
            if refusal.code == ErrorCode::InvalidState {
                // There is no state yet that a create could not fit.
                refusal.code = ErrorCode::ProviderRejected;
            }
            (refusal, Some(said))
        }
        Outcome::NotSent(reason) => {
            let said = match &reason {
                NotSent::Adapter(failure) => Some(failure.clone()),
                _ => None,
            };
            (outcome::not_sent(provider, reason), said)
        }
    };
    object.status = K::failed();
    object.result.failure = Some(outcome::as_failure(&refusal, said));
    Concluded::Refused(refusal)
}

/// Whether the provider recognises a repeated request of this operation by our key.
pub(in crate::service) fn honours_keys(manifest: &Manifest, operation: &str) -> bool {
    manifest
        .operations
        .get(operation)
        .is_some_and(|rule| rule.idempotency.is_some())
}

/// The key of a single send: the same over all attempts.
pub(super) fn provider_key<K: Kind>(object: &Object<K>) -> ProviderKey {
    ProviderKey::derive(object.id, SEND, 1)
}

pub(in crate::service) fn send_ids<K: Kind>(object: &Object<K>, attempt: AttemptId) -> SendIds {
    SendIds {
        object_id: object.id.to_string(),
        attempt_id: attempt.to_string(),
        provider_key: provider_key(object).as_str().to_owned(),
    }
}

/// The adapter must be done before the request's deadline, so that there is time to settle.
pub(in crate::service) fn call_deadline(origin: &Origin) -> Instant {
    origin
        .deadline
        .checked_sub(SETTLE_RESERVE)
        .unwrap_or(origin.deadline)
}
