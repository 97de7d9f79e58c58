//! What one connection has provably not sent goes over the next one of its route.
//!
//! The hand-over is one transaction: the attempt ends, the object names its new connection, the
//! next attempt begins. Whatever dies around it, the object is settled at the connection that it
//! names, and an attempt that ended as not sent is never repeated.

use std::time::Duration;

use onerouter_domain::id::AttemptId;
use onerouter_engine::{NotSent, Outcome};
use tokio::time::Instant;

use super::claim::{Claim, set_sender};
use super::create::call_deadline;
use super::settle::AGAIN_AFTER;
use super::{Objects, to_json};
use crate::ids;
use crate::service::kind::Kind;
use crate::store::{AttemptEnd, ObjectMove};
use crate::store::{StoreError, TenantTx};

/// A call that has less time than this left is not handed to another connection.
const FAIL_OVER_MIN: Duration = Duration::from_secs(1);

impl<K: Kind> Objects<K> {
    /// The claim as it goes on over the next connection of its route; none when it has to end here.
    pub(super) async fn next_way<T: Sync>(
        &self,
        claim: &Claim<K>,
        outcome: &Outcome<T>,
    ) -> Option<Claim<K>> {
        let Outcome::NotSent(reason) = outcome else {
            return None;
        };
        let time_left = call_deadline(&claim.origin).saturating_duration_since(Instant::now());
        if !another_may_do_better(reason) || time_left < FAIL_OVER_MIN {
            return None;
        }
        let mut next = claim.clone();
        loop {
            if !next.route.advance(self.parts.clock.now()) {
                return None;
            }
            // The route is as old as the request. What is sent with credentials that are no longer
            // the connection's could not be asked about.
            let connections = &self.parts.connections;
            let (connection, _) = &next.route.chosen;
            if connections
                .is_current(claim.caller.tenant, connection)
                .await
            {
                break;
            }
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

    /// Writes down that a message goes over another connection, also if the database is gone for a
    /// moment. Nothing is sent there before.
    ///
    /// # Errors
    /// It is not known to be written; see [`forget_fence`].
    pub(super) async fn fail_over(
        &self,
        mut next: Claim<K>,
        end: &AttemptEnd,
    ) -> Result<Claim<K>, StoreError> {
        let mut pauses = AGAIN_AFTER.into_iter();
        let mut is_repeated = false;
        loop {
            let error = match self.write_fail_over(&mut next, end, is_repeated).await {
                Err(error @ StoreError::Unavailable { .. }) => error,
                Err(error) => return Err(error),
                Ok(()) => break,
            };
            let Some(pause) = pauses.next() else {
                return Err(error);
            };
            is_repeated = true;
            tokio::time::sleep(pause).await;
        }
        count(&next);
        Ok(next)
    }

    async fn write_fail_over(
        &self,
        next: &mut Claim<K>,
        end: &AttemptEnd,
        is_repeated: bool,
    ) -> Result<(), StoreError> {
        let mut tx = self.parts.store.begin(next.caller.tenant).await?;
        if is_repeated && self.is_handed_over(&mut tx, next).await? {
            count_up(next);
            return Ok(());
        }
        tx.finish_attempt(end).await?;
        self.hand_over(&mut tx, next).await?;
        self.claim_attempt(&mut tx, next).await?;
        tx.commit().await?;
        count_up(next);
        Ok(())
    }

    /// Whether an earlier try was written after all, and only its word was lost.
    pub(super) async fn is_handed_over(
        &self,
        tx: &mut TenantTx,
        next: &Claim<K>,
    ) -> Result<bool, StoreError> {
        let object = &next.object;
        let row = tx
            .lock_object(K::OBJECT, object.environment, K::uuid(object.id))
            .await?;
        Ok(row.is_some_and(|row| {
            row.version == object.version.saturating_add(1)
                && row.connection_id == object.connection_id
        }))
    }

    /// Has the object name its new connection. Its version counts once that is committed: see
    /// [`count_up`].
    pub(super) async fn hand_over(
        &self,
        tx: &mut TenantTx,
        next: &mut Claim<K>,
    ) -> Result<(), StoreError> {
        let object = &mut next.object;
        object.updated_at = self.parts.clock.now();
        let is_moved = tx
            .move_object(&ObjectMove {
                id: K::uuid(object.id),
                expected_version: object.version,
                provider: object.provider.clone(),
                connection_id: object.connection_id,
                request: to_json(&object.request),
                updated_at: object.updated_at,
            })
            .await?;
        if is_moved {
            Ok(())
        } else {
            Err(StoreError::unreadable(
                "an object that changed during its claim",
            ))
        }
    }
}

/// The hand-over is committed.
pub(super) const fn count_up<K: Kind>(next: &mut Claim<K>) {
    next.object.version = next.object.version.saturating_add(1);
}

/// For people and dashboards.
pub(super) fn count<K: Kind>(next: &Claim<K>) {
    let object = &next.object;
    tracing::info!(object.id = %object.id, provider = %object.provider, "goes over another connection");
    metrics::counter!("onerouter_failovers_total", "provider" => object.provider.clone())
        .increment(1);
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
