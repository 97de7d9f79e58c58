//! Sends a message: the whole way of one write.

use std::sync::Arc;

use onerouter_engine::{Adapter, CallContext, Outcome};
use onerouter_manifest::Capability;
use onerouter_stages::Stage;
use tokio::time::Instant;

use super::claim::{AttemptWritten, Claim, Claimed, send_ids};
use super::failover::forget_fence;
use super::{Answer, Draft, Intent, Objects, SETTLE_RESERVE, ledger_json};
use crate::ids;
use crate::service::caller::{Caller, Origin};
use crate::service::inbound::webhook_url;
use crate::service::kind::Kind;
use crate::service::object::{Object, Reported};
use crate::service::outcome;
use crate::service::refusal::Refusal;
use crate::service::routing;
use crate::store::AttemptEnd;

/// The answer to a create that worked.
pub(super) const CREATED: u16 = 201;

impl<K: Kind> Objects<K> {
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
        new: Draft<K>,
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
        new: Draft<K>,
    ) -> Result<Answer, Refusal> {
        let id = ids::next();
        let route = self.route(caller, id, &new).await;
        let attempt = AttemptWritten::WithClaim;
        let prepared = self.prepare(caller, origin, intent, id, new, route, attempt);
        match self.claim_alone(caller, prepared).await? {
            Claimed::Answered(answer) => Ok(answer),
            Claimed::Refused(refusal) => Err(refusal),
            Claimed::Mine(claim) => self.send(*claim).await,
        }
    }

    /// Begins a task that ends even if nobody waits for it, and waits for it.
    ///
    /// On the heap at once: the future of a whole write is large, and whoever held it by value would move
    /// all of it from frame to frame.
    pub(in crate::service) fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> impl Future<Output = Result<T, Refusal>> + Send {
        let task = self.parts.tasks.spawn(Stage::Claim.task(Box::pin(work)));
        async move {
            let ended = task.await;
            Stage::Answer.begin();
            match ended {
                Ok(result) => result,
                Err(error) => Err(Refusal::internal("a task did not finish", &error)),
            }
        }
    }

    /// Calls the adapter and settles what came of it. What one connection has not sent goes over
    /// the next one of the route.
    pub(in crate::service) async fn send(&self, mut claim: Claim<K>) -> Result<Answer, Refusal> {
        loop {
            let (connection, _) = claim.route.chosen.clone();
            let (outcome, detail) = self.call(&claim).await;
            let end = AttemptEnd {
                id: claim.attempt,
                outcome: outcome::name(&outcome).to_owned(),
                detail,
                ended_at: self.parts.clock.now(),
            };
            if let Some(next) = self.next_way(&claim, &outcome).await {
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
                .settle(vec![(claim, outcome)], &connection.provider, &end)
                .await;
            return settled
                .into_iter()
                .next()
                .unwrap_or_else(|| Err(super::settle::lost()));
        }
    }

    /// Where the provider may tell what becomes of an object.
    fn webhook_url(&self, object: &Object<K>, adapter: &Adapter) -> Option<String> {
        let base = self.parts.webhooks_at.as_ref()?;
        adapter
            .can(Capability::Webhooks)
            .then(|| webhook_url(base, &object.provider, object.connection_id))
    }

    /// Calls the adapter of the claim's connection: the outcome, and the ledger for the attempt's
    /// row.
    async fn call(&self, claim: &Claim<K>) -> (Outcome<Reported<K>>, Option<String>) {
        let (connection, adapter) = &claim.route.chosen;
        if let Some(reason) = routing::hold_back(connection, self.parts.clock.now()) {
            return (Outcome::NotSent(reason), None);
        }
        let context = CallContext {
            connection: Arc::clone(&connection.context),
            deadline: call_deadline(&claim.origin),
        };
        let mut ids = send_ids(&claim.object, claim.attempt);
        ids.webhook_url = self.webhook_url(&claim.object, adapter);
        Stage::Adapter.begin();
        let report = K::create(adapter, &context, ids, &claim.object, &claim.content).await;
        Stage::Settle.begin();
        outcome::log(&connection.provider, K::CREATE_OPERATION, &report);
        routing::record(connection, &report.outcome, self.parts.clock.now());
        let detail = ledger_json(&report.ledger, None);
        (report.outcome, Some(detail))
    }
}

/// The adapter must be done before the request's deadline, so that there is time to settle.
pub(in crate::service) fn call_deadline(origin: &Origin) -> Instant {
    origin
        .deadline
        .checked_sub(SETTLE_RESERVE)
        .unwrap_or(origin.deadline)
}
