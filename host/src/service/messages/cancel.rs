//! Cancels a message that has not been sent yet: a write like any other.

use std::sync::Arc;

use bytes::Bytes;
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::AttemptId;
use onerouter_domain::idempotency::ProviderKey;
use onerouter_engine::{CallContext, Outcome};

use super::create::call_deadline;
use super::{Answer, CLAIM_MAX, Intent, KEY_KEPT, KeyEnd, Messages, ledger_json};
use crate::ids;
use crate::service::caller::{Caller, Origin};
use crate::service::connections::Chosen;
use crate::service::kind::Kind;
use crate::service::object::Object;
use crate::service::outcome;
use crate::service::refusal::Refusal;
use crate::store::StoreError;
use crate::store::WorkKind;
use crate::store::{AttemptEnd, NewAttempt};
use crate::store::{KeyClaim, NewKeyClaim};

/// Name of the operation in attempts and provider keys.
const CANCEL: &str = "cancel";
/// The answer to a cancel that worked.
pub(super) const CANCELED: u16 = 200;

struct CancelClaim<K: Kind> {
    caller: Caller,
    origin: Origin,
    intent: Intent,
    object: Object<K>,
    provider_ref: String,
    attempt: AttemptId,
}

impl<K: Kind> Messages<K> {
    /// Cancels a message.
    ///
    /// # Errors
    /// `invalid_state` when it is too late, `unsupported_by_provider`, and whatever a create may
    /// end with.
    pub async fn cancel(
        &self,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        id: K::Id,
    ) -> Result<Answer, Refusal> {
        // On a tracked task, as a create is.
        let (this, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        self.finish(async move { this.claim_and_cancel(&caller, &origin, intent, id).await })
            .await
    }

    async fn claim_and_cancel(
        &self,
        caller: &Caller,
        origin: &Origin,
        intent: Intent,
        id: K::Id,
    ) -> Result<Answer, Refusal> {
        let failed = Self::store_failed("cannot claim the cancelling of a message");
        let now = self.parts.clock.now();
        // Read first: the connection is looked up without a transaction open.
        let mut before = self.find(caller.tenant, caller.environment, id).await?;
        if before.claimed_until.is_some_and(|until| until <= now) {
            // Else the request that was cut off would be forgotten.
            before = self
                .bury_dead_claim(caller.tenant, before)
                .await
                .map_err(&failed)?;
        }
        let chosen = self
            .parts
            .connections
            .of_object(caller.tenant, before.connection_id)
            .await;
        let mut tx = self
            .parts
            .store
            .begin(caller.tenant)
            .await
            .map_err(&failed)?;
        if let Some(key) = &intent.key {
            let claim = NewKeyClaim {
                environment: caller.environment,
                key: key.clone(),
                route: intent.route.to_owned(),
                request_hash: intent.hash,
                object_id: Some(K::uuid(id)),
                now,
                expires_at: now + KEY_KEPT,
            };
            if let KeyClaim::Existing(row) = tx.claim_key(&claim).await.map_err(&failed)? {
                return self.replay(row, &intent);
            }
        }
        let chosen = chosen?;
        let row = tx
            .lock_object(K::OBJECT, caller.environment, K::uuid(id))
            .await
            .map_err(&failed)?
            .ok_or_else(|| Refusal::not_found(K::NOUN))?;
        let mut object = Object::<K>::from_row(row).map_err(&failed)?;
        let provider_ref = Self::cancelable(&object, &chosen)?;
        object.claimed_until = Some(now + CLAIM_MAX);
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
            operation: CANCEL.to_owned(),
            provider_key: ProviderKey::derive(id, CANCEL, 1).as_str().to_owned(),
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
        let claim = CancelClaim {
            caller: caller.clone(),
            origin: origin.clone(),
            intent,
            object,
            provider_ref,
            attempt,
        };
        self.call_cancel(claim, chosen).await
    }

    /// The provider's id of an object that may still be cancelled.
    fn cancelable(object: &Object<K>, chosen: &Chosen) -> Result<String, Refusal> {
        let (connection, adapter) = chosen;
        if K::is_terminal(object.status) {
            return Err(Refusal::new(
                ErrorCode::InvalidState,
                format!(
                    "This {} is {} and cannot be canceled any more.",
                    K::NOUN,
                    object.status
                ),
            ));
        }
        if object.claimed_until.is_some() {
            return Err(busy());
        }
        if !adapter.can(K::CANCEL) {
            return Err(Refusal::new(
                ErrorCode::UnsupportedByProvider,
                format!("{} cannot cancel a {}.", connection.provider, K::NOUN),
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

    async fn call_cancel(&self, claim: CancelClaim<K>, chosen: Chosen) -> Result<Answer, Refusal> {
        let (connection, adapter) = chosen;
        let context = CallContext {
            connection: Arc::clone(&connection.context),
            deadline: call_deadline(&claim.origin),
        };
        let report = K::cancel(&adapter, &context, &claim.provider_ref).await;
        outcome::log(&connection.provider, "cancel", &report);
        let mut object = claim.object;
        let before = object.status;
        let end = AttemptEnd {
            id: claim.attempt,
            outcome: outcome::name(&report.outcome).to_owned(),
            detail: Some(ledger_json(&report.ledger, None)),
            ended_at: self.parts.clock.now(),
        };
        let refusal = match report.outcome {
            Outcome::Accepted(reported) => {
                object.merge(reported);
                None
            }
            Outcome::Declined(refusal) => Some(outcome::declined(&connection.provider, refusal)),
            Outcome::NotSent(reason) => Some(outcome::not_sent(&connection.provider, reason)),
            Outcome::Unknown(_) => {
                object.status = K::unknown();
                Some(outcome::unknown(
                    &connection.provider,
                    &object.id.to_string(),
                ))
            }
        };
        object.claimed_until = None;
        let object_id = object.id;
        let written = self
            .write_cancel(
                &claim.caller,
                &claim.origin,
                &claim.intent,
                object,
                before,
                &end,
                refusal,
            )
            .await;
        match written {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, object.id = %object_id, "cannot settle a cancelling");
                Err(outcome::unknown(
                    &connection.provider,
                    &object_id.to_string(),
                ))
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one transaction writes all of this, once"
    )]
    async fn write_cancel(
        &self,
        caller: &Caller,
        origin: &Origin,
        intent: &Intent,
        mut object: Object<K>,
        before: K::Status,
        end: &AttemptEnd,
        refusal: Option<Refusal>,
    ) -> Result<Result<Answer, Refusal>, StoreError> {
        let now = self.parts.clock.now();
        let mut tx = self.parts.store.begin(caller.tenant).await?;
        if !Self::write(&mut tx, &mut object, Some(before), now).await? {
            return Err(StoreError::unreadable(
                "an object that changed during its claim",
            ));
        }
        let id = K::uuid(object.id);
        tx.finish_attempt(end).await?;
        let (answer, key_end) = match refusal {
            None => {
                let content = Self::content(&mut tx, id).await?;
                let body = Bytes::from(K::present(&object, content.as_ref()));
                (
                    Ok(Answer::fresh(CANCELED, body.clone())),
                    KeyEnd::Keep(CANCELED, body),
                )
            }
            Some(refusal) => {
                let refusal = refusal.about(object.id);
                let key_end = match refusal.code {
                    ErrorCode::ProviderRejected => {
                        let (status, body) = (self.parts.render)(&refusal, &origin.shown);
                        KeyEnd::Keep(status, body)
                    }
                    ErrorCode::OutcomeUnknown => KeyEnd::Unknown,
                    _ => KeyEnd::Release,
                };
                (Err(refusal), key_end)
            }
        };
        Self::end_key(
            &mut tx,
            object.environment,
            intent.key.as_deref(),
            &key_end,
            now,
        )
        .await?;
        if super::settlement::needs_settling(&object) {
            // This call's end is not known, or an earlier one's still is not.
            let soon = now + super::settlement::FIRST_TRY_AFTER;
            tx.schedule(WorkKind::Settle, id, soon).await?;
        } else {
            // Also of an earlier call whose end was not known.
            self.end_keys(&mut tx, &object).await?;
        }
        tx.commit().await?;
        Ok(answer)
    }
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
