//! Sends a message: the whole way of one write.

use std::sync::Arc;
use std::time::Duration;

use onerouter_domain::id::AttemptId;
use onerouter_engine::{CallContext, NotSent, Outcome};
use onerouter_stages::Stage;
use tokio::time::Instant;

use super::claim::{Claim, Claimed, lost_claim, send_ids, set_sender};
use super::{Answer, Intent, Messages, NewMessage, SETTLE_RESERVE, ledger_json, to_json};
use crate::ids;
use crate::service::caller::{Caller, Origin};
use crate::service::kind::Kind;
use crate::service::outcome;
use crate::service::refusal::Refusal;
use crate::service::routing;
use crate::store::{AttemptEnd, ObjectMove};
use crate::store::{StoreError, TenantTx};

/// The answer to a create that worked.
pub(super) const CREATED: u16 = 201;
/// A call that has less time than this left is not handed to another connection.
const FAIL_OVER_MIN: Duration = Duration::from_secs(1);

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
        let id = ids::next();
        let route = self.route(caller, id, &new).await;
        let mut tx = self
            .parts
            .store
            .begin(caller.tenant)
            .await
            .map_err(&failed)?;
        let claimed = self
            .claim(&mut tx, caller, origin, intent, id, new, route)
            .await?;
        let claim = match claimed {
            Claimed::Answered(answer) => return Ok(answer),
            Claimed::Refused(refusal) => return Err(refusal),
            Claimed::Mine(claim) => claim,
        };
        self.claim_attempt(&mut tx, &claim).await.map_err(&failed)?;
        if let Err(error) = tx.commit().await {
            return Err(lost_claim(&error, claim.object.id));
        }
        self.send(*claim).await
    }

    /// Waits for a task that ends even if nobody waits for it.
    pub(in crate::service) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let ended = self.parts.tasks.spawn(Stage::Claim.task(work)).await;
        Stage::Answer.begin();
        match ended {
            Ok(result) => result,
            Err(error) => Err(Refusal::internal("a task did not finish", &error)),
        }
    }

    /// Calls the adapter and settles what came of it. What one connection has not sent goes over
    /// the next one of the route.
    pub(in crate::service) async fn send(&self, mut claim: Claim<K>) -> Result<Answer, Refusal> {
        loop {
            let (connection, adapter) = claim.route.chosen.clone();
            let context = CallContext {
                connection: Arc::clone(&connection.context),
                deadline: call_deadline(&claim.origin),
            };
            let ids = send_ids(&claim.object, claim.attempt);
            Stage::Adapter.begin();
            let report = K::send(
                &adapter,
                &context,
                ids,
                &claim.object.request,
                &claim.content,
            )
            .await;
            Stage::Settle.begin();
            let now = self.parts.clock.now();
            outcome::log(&connection.provider, K::SEND_OPERATION, &report);
            routing::record(&connection, &report.outcome, now);
            let end = AttemptEnd {
                id: claim.attempt,
                outcome: outcome::name(&report.outcome).to_owned(),
                detail: Some(ledger_json(&report.ledger, None)),
                ended_at: now,
            };
            if let Some(next) = self.next_way(&claim, &report.outcome) {
                match self.fail_over(next, &end).await {
                    Ok(moved) => {
                        claim = moved;
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(%error, object.id = %claim.object.id, "cannot fail over");
                        forget_fence(&mut claim);
                    }
                }
            }
            let settled = self
                .settle(vec![(claim, report.outcome)], &connection.provider, &end)
                .await;
            return settled
                .into_iter()
                .next()
                .unwrap_or_else(|| Err(super::settle::lost()));
        }
    }

    /// The claim as it goes on over the next connection of its route; none when it has to end here.
    pub(super) fn next_way<T>(&self, claim: &Claim<K>, outcome: &Outcome<T>) -> Option<Claim<K>> {
        let Outcome::NotSent(reason) = outcome else {
            return None;
        };
        let time_left = call_deadline(&claim.origin).saturating_duration_since(Instant::now());
        if !another_may_do_better(reason) || time_left < FAIL_OVER_MIN {
            return None;
        }
        let mut next = claim.clone();
        if !next.route.advance(self.parts.clock.now()) {
            return None;
        }
        next.attempt = AttemptId::from_uuid(ids::next());
        let (connection, _) = &next.route.chosen;
        next.object.provider = connection.provider.to_string();
        next.object.connection_id = connection.id;
        if !next.has_own_sender {
            set_sender::<K>(&mut next.object.request, &next.route.chosen);
        }
        Some(next)
    }

    async fn fail_over(
        &self,
        mut next: Claim<K>,
        end: &AttemptEnd,
    ) -> Result<Claim<K>, StoreError> {
        let mut tx = self.parts.store.begin(next.caller.tenant).await?;
        tx.finish_attempt(end).await?;
        self.hand_over(&mut tx, &mut next).await?;
        self.claim_attempt(&mut tx, &next).await?;
        tx.commit().await?;
        Ok(next)
    }

    /// Writes down over which connection a message goes from now on.
    pub(super) async fn hand_over(
        &self,
        tx: &mut TenantTx,
        next: &mut Claim<K>,
    ) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        let object = &mut next.object;
        let is_moved = tx
            .move_object(&ObjectMove {
                id: K::uuid(object.id),
                expected_version: object.version,
                provider: object.provider.clone(),
                connection_id: object.connection_id,
                request: to_json(&object.request),
                updated_at: now,
            })
            .await?;
        if !is_moved {
            return Err(StoreError::unreadable(
                "an object that changed during its claim",
            ));
        }
        object.version = object.version.saturating_add(1);
        object.updated_at = now;
        tracing::info!(object.id = %object.id, provider = %object.provider, "goes over another connection");
        metrics::counter!("onerouter_failovers_total", "provider" => object.provider.clone())
            .increment(1);
        Ok(())
    }
}

/// After a hand-over of which nobody knows whether it was written, another version is no proof that
/// the settlement was: without the claim's time the settlement does not take it for one.
pub(super) const fn forget_fence<K: Kind>(claim: &mut Claim<K>) {
    claim.object.claimed_until = None;
}

/// Whether another connection may send what this one has not. A request that breaks a rule breaks
/// it elsewhere too, and a gateway that is full is full for all.
const fn another_may_do_better(reason: &NotSent) -> bool {
    match reason {
        NotSent::Adapter(_)
        | NotSent::Unreachable(_)
        | NotSent::Fault(_)
        | NotSent::Unsupported(_) => true,
        NotSent::Overloaded | NotSent::Cancelled | NotSent::Invalid(_) => false,
    }
}

/// The adapter must be done before the request's deadline, so that there is time to settle.
pub(in crate::service) fn call_deadline(origin: &Origin) -> Instant {
    origin
        .deadline
        .checked_sub(SETTLE_RESERVE)
        .unwrap_or(origin.deadline)
}
