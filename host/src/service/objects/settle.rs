//! Settles what a call made of its objects, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_engine::{NotSent, Outcome};
use onerouter_manifest::PluginId;

use super::claim::Claim;
use super::create::CREATED;
use super::settlement::FIRST_TRY_AFTER;
use super::{Answer, KEY_KEPT, KeyEnd, Objects, shown};
use crate::service::kind::{Facts as _, Kind};
use crate::service::object::{Object, Reported};
use crate::service::outcome;
use crate::service::refusal::Refusal;
use crate::store::{AttemptEnd, NewCallLog};
use crate::store::{MessageSettlement, RequestEnd, SettledRequest};
use crate::store::{StoreError, constraint};

/// Pauses before another try to write what a call has come to, while the database is away: for a failover of a connection,
/// not of a server. After that the claim is left to the sweeper.
pub(super) const AGAIN_AFTER: [Duration; 2] =
    [Duration::from_millis(50), Duration::from_millis(400)];

impl<K: Kind> Objects<K> {
    /// Settles what one call made of its objects, in one transaction.
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
        let fences = fences(&settled);
        match self.write_settlement_surely(&mut settled, end).await {
            Ok(answers) => answers,
            Err(error) if is_taken(&error) => {
                // One provider id for two objects: the others of the call are still what they are.
                let mut answers = Vec::with_capacity(settled.len());
                restore(&mut settled, &fences);
                for one in settled {
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

    /// Settles an object by itself. One whose provider id belongs to another object is unknown:
    /// what the adapter says of it cannot be true.
    async fn settle_alone(
        &self,
        settled: Settled<K>,
        provider: &PluginId,
        end: &AttemptEnd,
    ) -> Result<Answer, Refusal> {
        let mut settled = vec![settled];
        let fences = fences(&settled);
        let mut written = self.write_settlement_surely(&mut settled, end).await;
        if written.as_ref().is_err_and(|error| is_taken(error)) {
            restore(&mut settled, &fences);
        }
        if written.as_ref().is_err_and(|error| is_taken(error))
            && let [(claim, concluded)] = settled.as_mut_slice()
        {
            tracing::error!(object.id = %claim.object.id, "the provider's id belongs to another object");
            let object = &mut claim.object;
            object.provider_ref = None;
            object.facts = K::first_facts();
            object.status = K::unknown();
            *concluded = Concluded::Unknown(outcome::unknown(provider, &object.id.to_string()));
            written = self.write_settlement_surely(&mut settled, end).await;
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

    /// Writes a settlement, also if the database is gone for a moment: what a provider has answered
    /// should not have to be found out again. The version and the claim see to it that it is written
    /// once.
    async fn write_settlement_surely(
        &self,
        settled: &mut [Settled<K>],
        end: &AttemptEnd,
    ) -> Result<Vec<Result<Answer, Refusal>>, Arc<StoreError>> {
        let fences = fences(settled);
        // One time for all tries: the answer stays the same to the byte.
        let now = self.parts.clock.now();
        let mut pauses = AGAIN_AFTER.into_iter();
        let mut is_repeated = false;
        loop {
            let error = match self.write_settlement(settled, end, now).await {
                Ok(Written::All(answers)) => return Ok(answers),
                Ok(Written::Changed { claimed_until }) => {
                    restore(settled, &fences);
                    // While the claim lasts, nobody else writes: it was us, and only the word of
                    // the commit was lost.
                    if is_repeated
                        && claimed_until.is_some_and(|until| until > self.parts.clock.now())
                    {
                        return Ok(self.written_before(settled, now));
                    }
                    // The claim was found dead while its call still ran, which the margin is to
                    // prevent.
                    return Err(Arc::new(StoreError::unreadable(
                        "an object that changed during its claim",
                    )));
                }
                Err(error) if matches!(*error, StoreError::Unavailable { .. }) => error,
                Err(error) => return Err(error),
            };
            let Some(pause) = pauses.next() else {
                return Err(error);
            };
            tracing::warn!(%error, "cannot settle an object yet; trying again");
            restore(settled, &fences);
            is_repeated = true;
            tokio::time::sleep(pause).await;
        }
    }

    async fn write_settlement(
        &self,
        settled: &mut [Settled<K>],
        end: &AttemptEnd,
        now: DateTime<Utc>,
    ) -> Result<Written, Arc<StoreError>> {
        let Some((first, _)) = settled.first() else {
            return Ok(Written::All(Vec::new()));
        };
        let tenant = first.caller.tenant;
        if let [one] = settled
            && !K::has_more(&one.0.object)
        {
            // Together with whatever else is settled at this moment.
            let (answer, claimed_until, settlement) = self.settlement(one, Some(end), now);
            return match self.parts.store.settle(tenant, settlement).await {
                Ok(true) => Ok(Written::All(vec![answer])),
                Ok(false) => Ok(Written::Changed { claimed_until }),
                Err(failed) => Err(failed.error),
            };
        }
        let mut answers = Vec::with_capacity(settled.len());
        let mut claims = Vec::with_capacity(settled.len());
        let mut settlements = Vec::with_capacity(settled.len());
        for one in settled.iter_mut() {
            let (answer, claimed_until, settlement) = self.settlement(one, None, now);
            answers.push(answer);
            claims.push(claimed_until);
            settlements.push(settlement);
        }
        let mut tx = self.parts.store.begin(tenant).await?;
        tx.finish_attempt(end).await?;
        let written = tx.settle_messages(&settlements).await?;
        let changed = written.iter().position(|is_written| !is_written);
        if let Some(place) = changed {
            let claimed_until = claims.get(place).copied().flatten();
            return Ok(Written::Changed { claimed_until });
        }
        for (claim, _) in settled.iter() {
            K::written(&mut tx, &claim.object, now).await?;
        }
        tx.commit().await?;
        Ok(Written::All(answers))
    }

    /// What is written of one object, what its client is told, and until when it was claimed.
    fn settlement(
        &self,
        (claim, concluded): &mut Settled<K>,
        attempt: Option<&AttemptEnd>,
        now: DateTime<Utc>,
    ) -> (
        Result<Answer, Refusal>,
        Option<DateTime<Utc>>,
        MessageSettlement,
    ) {
        let claimed_until = claim.object.claimed_until.take();
        let update = Self::update(&claim.object, now);
        Self::count_up(&mut claim.object, now);
        let (answer, key_end) = self.render(claim, concluded);
        let data = match &answer {
            // Without a large part, what happened to it is what the client is told.
            Ok(answer) if !K::HAS_CONTENT => shown(answer.body.to_vec()),
            _ => shown(K::present(&claim.object, None)),
        };
        let settlement = MessageSettlement {
            object: update,
            attempt: attempt.cloned(),
            event: Self::event(&claim.object, data),
            request: SettledRequest {
                environment: claim.object.environment,
                key: claim.intent.key.clone(),
                end: request_end(key_end, now),
            },
            call_log: call_log(claim, &answer, now),
            watch_at: K::watch_again(&claim.object, now),
        };
        (answer, claimed_until, settlement)
    }

    /// The answers of a settlement that was written at `now` by a try that was not told so.
    fn written_before(
        &self,
        settled: &mut [Settled<K>],
        now: DateTime<Utc>,
    ) -> Vec<Result<Answer, Refusal>> {
        settled
            .iter_mut()
            .map(|(claim, concluded)| {
                let object = &mut claim.object;
                object.claimed_until = None;
                object.version = object.version.saturating_add(1);
                object.updated_at = now;
                self.render(claim, concluded).0
            })
            .collect()
    }
}

/// What came of a try to settle.
enum Written {
    All(Vec<Result<Answer, Refusal>>),
    /// Nothing was written: an object that was claimed until then is no longer what it was.
    Changed {
        claimed_until: Option<DateTime<Utc>>,
    },
}

fn request_end(end: KeyEnd, now: DateTime<Utc>) -> RequestEnd {
    match end {
        KeyEnd::Keep(status, body) => RequestEnd::Answered {
            status,
            body,
            kept_until: now + KEY_KEPT,
        },
        KeyEnd::Release => RequestEnd::Released,
        KeyEnd::Unknown => RequestEnd::Unknown {
            ask_at: now + FIRST_TRY_AFTER,
        },
    }
}

/// What a failed try to settle must not change: the version that is expected, and the claim.
fn fences<K: Kind>(settled: &[Settled<K>]) -> Vec<(u64, Option<DateTime<Utc>>)> {
    settled
        .iter()
        .map(|(claim, _)| (claim.object.version, claim.object.claimed_until))
        .collect()
}

fn restore<K: Kind>(settled: &mut [Settled<K>], fences: &[(u64, Option<DateTime<Utc>>)]) {
    for ((claim, _), (version, claimed_until)) in settled.iter_mut().zip(fences) {
        claim.object.version = *version;
        claim.object.claimed_until = *claimed_until;
    }
}

/// One object gives one answer; there is nothing else to say.
pub(super) fn lost() -> Refusal {
    Refusal::new(ErrorCode::InternalError, "The request was not settled.")
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
    tracing::error!(%error, object.id = %claim.object.id, "cannot settle an object");
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
            object.merge(reported, true);
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
    let failure = outcome::as_failure(&refusal, said);
    object.facts.set_failure(failure);
    Concluded::Refused(refusal)
}
