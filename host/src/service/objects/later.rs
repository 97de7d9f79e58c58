//! What is done without anybody's asking: open objects are asked about, and what a provider cannot do
//! later is done when its time has come.

use chrono::{DateTime, TimeDelta, Utc};

use super::Objects;
use super::act::Wanted;
use super::settlement::{backoff, needs_settling};
use crate::service::kind::Kind;
use crate::service::object::Object;
use crate::store::{DueWork, ObjectRow, WorkKind};
use crate::store::{StoreError, TenantTx};

/// What could not be done at its time is tried again for this long.
const POSTPONED_TRIED_FOR: TimeDelta = TimeDelta::days(3);

impl<K: Kind> Objects<K> {
    /// Works on an object that is due.
    ///
    /// # Errors
    /// The database cannot be reached; the work is leased again later.
    pub async fn due(&self, work: &DueWork, row: ObjectRow) -> Result<(), StoreError> {
        match work.kind {
            WorkKind::Settle => self.settle_due(work, row).await,
            WorkKind::Watch => self.watch_due(work, row).await,
            WorkKind::Postponed => self.postponed_due(work, row).await,
            // Never about an object.
            WorkKind::Webhook => Ok(()),
        }
    }

    /// Has an open object asked about later, and what was put off done at its time; or no more.
    pub(super) async fn plan_ahead(
        tx: &mut TenantTx,
        object: &Object<K>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let id = K::uuid(object.id);
        match K::watch_again(object, now) {
            Some(at) => tx.schedule(WorkKind::Watch, id, at).await?,
            None => drop(tx.finish_work(WorkKind::Watch, id).await?),
        }
        if !K::CAN_WAIT {
            return Ok(());
        }
        match Self::put_off(object) {
            // Also what is late already: whoever has tried it notes the pause afterwards.
            Some((_, at)) if !is_hopeless(at, now) => {
                tx.schedule(WorkKind::Postponed, id, at).await?;
            }
            _ => drop(tx.finish_work(WorkKind::Postponed, id).await?),
        }
        Ok(())
    }

    /// What is to be done later with an object that has not ended.
    fn put_off(object: &Object<K>) -> Option<(K::Action, DateTime<Utc>)> {
        K::postponed(object).filter(|_| !K::is_terminal(object.status))
    }

    /// Asks about an object whose time has come.
    async fn watch_due(&self, work: &DueWork, row: ObjectRow) -> Result<(), StoreError> {
        let object = Object::<K>::from_row(row)?;
        let object = self.asked(work, object).await;
        let mut tx = self.parts.store.begin(work.tenant_id).await?;
        Self::plan_ahead(&mut tx, &object, self.parts.clock.now()).await?;
        tx.commit().await
    }

    /// The object as the provider has it now, as far as that is to be found out. What is not known has
    /// its own work.
    async fn asked(&self, work: &DueWork, object: Object<K>) -> Object<K> {
        if needs_settling(&object) {
            return object;
        }
        let asked = self.ask(work.tenant_id, object.clone()).await;
        asked.unwrap_or(object)
    }

    /// Does what was put off until now.
    async fn postponed_due(&self, work: &DueWork, row: ObjectRow) -> Result<(), StoreError> {
        let object = Object::<K>::from_row(row)?;
        let id = K::uuid(object.id);
        // A charge may have come before its time, or the cycles may be others now.
        let object = self.asked(work, object).await;
        let now = self.parts.clock.now();
        let done = match Self::put_off(&object) {
            Some((_, at)) if at <= now => {
                let done =
                    Box::pin(self.act_unasked(work.tenant_id, &object, Wanted::Postponed)).await;
                let is_done = done.is_some_and(|object| Self::put_off(&object).is_none());
                let is_given_up = !is_done && is_hopeless(at, now);
                if is_given_up {
                    tracing::error!(object.id = %object.id, "what was put off cannot be done; giving up");
                }
                is_done || is_given_up
            }
            Some((_, at)) => {
                let mut tx = self.parts.store.begin(work.tenant_id).await?;
                tx.schedule(WorkKind::Postponed, id, at).await?;
                return tx.commit().await;
            }
            None => true,
        };
        let mut tx = self.parts.store.begin(work.tenant_id).await?;
        if done {
            tx.finish_work(WorkKind::Postponed, id).await?;
        } else {
            let again = now + backoff(work.tries);
            tx.schedule(WorkKind::Postponed, id, again).await?;
        }
        tx.commit().await
    }
}

/// Whether what was to be done at `at` is not tried any more.
fn is_hopeless(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now.signed_duration_since(at) > POSTPONED_TRIED_FOR
}
