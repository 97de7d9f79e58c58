//! Settles what nobody knows the end of: claims that a crash left behind, and objects whose
//! provider's answer was lost. Where the provider's id is known, it is read; else see `lost`.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::id::TenantId;
use onerouter_engine::{CallContext, Outcome, RefusalKind};
use tokio::time::Instant;

use super::Objects;
use super::act::{DONE, Wanted};
use super::create::CREATED;
use crate::service::connections::Chosen;
use crate::service::kind::Kind;
use crate::service::object::{Object, Reported};
use crate::service::outcome;
use crate::store::{ConnectionRow, ObjectRow};
use crate::store::{DueWork, WorkKind};
use crate::store::{StoreError, TenantTx};

/// The first look at a message whose answer was lost.
pub(super) const FIRST_TRY_AFTER: TimeDelta = TimeDelta::seconds(2);
/// Looks get rarer up to this.
const TRY_AFTER_MAX: TimeDelta = TimeDelta::hours(1);
/// After this the background stops asking; a reader still can.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(7);
/// How long one question to a provider may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);
/// A call may still have used the credentials that a connection had this long ago.
const CONNECTION_LAG: TimeDelta = TimeDelta::seconds(5);

impl<K: Kind> Objects<K> {
    /// Finds out what became of an object.
    pub(super) async fn settle_due(
        &self,
        work: &DueWork,
        row: ObjectRow,
    ) -> Result<(), StoreError> {
        let object = Object::<K>::from_row(row)?;
        let now = self.parts.clock.now();
        if let Some(until) = object.claimed_until.filter(|until| *until > now) {
            return self.again(work.tenant_id, &object, until).await;
        }
        let object = self.bury_dead_claim(work.tenant_id, object).await?;
        if !needs_settling(&object) {
            return self.close(work.tenant_id, &object).await;
        }
        // A cancelling may be lost long after the message was made.
        let since = object.updated_at;
        match self.ask(work.tenant_id, object.clone()).await {
            Some(settled) if !needs_settling(&settled) => Ok(()),
            _ if now.signed_duration_since(since) > GIVE_UP_AFTER => {
                tracing::error!(object.id = %object.id, "still unknown; giving up");
                let mut tx = self.parts.store.begin(work.tenant_id).await?;
                if let Some(object) = Self::lock(&mut tx, &object).await?
                    && object.claimed_until.is_none()
                {
                    tx.finish_work(WorkKind::Settle, K::uuid(object.id)).await?;
                }
                tx.commit().await
            }
            _ => {
                self.again(work.tenant_id, &object, now + backoff(work.tries))
                    .await
            }
        }
    }

    /// Has it looked at later, unless somebody else has settled it meanwhile.
    async fn again(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.parts.store.begin(tenant).await?;
        if let Some(object) = Self::lock(&mut tx, object).await?
            && needs_settling(&object)
        {
            let id = K::uuid(object.id);
            tx.schedule(WorkKind::Settle, id, at).await?;
        }
        tx.commit().await
    }

    /// Has nothing more done about a settled object, unless it was claimed again meanwhile.
    async fn close(&self, tenant: TenantId, object: &Object<K>) -> Result<(), StoreError> {
        let mut tx = self.parts.store.begin(tenant).await?;
        if let Some(object) = Self::lock(&mut tx, object).await?
            && !needs_settling(&object)
        {
            tx.finish_work(WorkKind::Settle, K::uuid(object.id)).await?;
        }
        tx.commit().await
    }

    /// A claim whose task is gone: whether the provider acted is not known.
    pub(super) async fn bury_dead_claim(
        &self,
        tenant: TenantId,
        object: Object<K>,
    ) -> Result<Object<K>, StoreError> {
        let now = self.parts.clock.now();
        let mut tx = self.parts.store.begin(tenant).await?;
        let Some(mut object) = Self::lock(&mut tx, &object).await? else {
            return Ok(object);
        };
        let Some(until) = object.claimed_until else {
            return Ok(object);
        };
        if until > now {
            return Ok(object);
        }
        tracing::warn!(object.id = %object.id, "found a dead claim; settling it by asking");
        let before = object.status;
        object.claimed_until = None;
        // What has ended stays ended, whatever the call was to do with it.
        if K::is_terminal(before) {
            Self::write(&mut tx, &mut object, Some(before), now).await?;
            self.end_keys(&mut tx, &object).await?;
        } else {
            object.status = K::unknown();
            Self::write(&mut tx, &mut object, Some(before), now).await?;
            for key in tx.list_keys_by_object(K::uuid(object.id)).await? {
                tx.mark_key_unknown(key.environment, &key.key).await?;
            }
        }
        tx.commit().await?;
        Ok(object)
    }

    pub(super) async fn lock(
        tx: &mut TenantTx,
        object: &Object<K>,
    ) -> Result<Option<Object<K>>, StoreError> {
        let id = K::uuid(object.id);
        let row = tx.lock_object(K::OBJECT, object.environment, id).await?;
        row.map(Object::from_row).transpose()
    }

    /// Asks the provider what became of an object and stores what it says. None when nothing new is
    /// known.
    pub(super) async fn ask(&self, tenant: TenantId, object: Object<K>) -> Option<Object<K>> {
        let chosen = self
            .parts
            .connections
            .of_object(tenant, object.connection_id)
            .await;
        let (connection, adapter) = match chosen {
            Ok(chosen) => chosen,
            Err(refusal) => {
                tracing::warn!(object.id = %object.id, reason = refusal.detail, "cannot ask about an object");
                return None;
            }
        };
        let asked = if object.provider_ref.is_some() {
            self.read(tenant, &object, (connection, adapter)).await
        } else if needs_settling(&object) {
            self.find_out(tenant, &object, (connection, adapter)).await
        } else {
            Ok(None)
        };
        let known = asked.unwrap_or_else(|error| {
            tracing::error!(%error, object.id = %object.id, "cannot store what the provider said");
            None
        })?;
        Some(self.follow_up(tenant, known).await)
    }

    /// Does what the provider waits for from our side. The object as it is then.
    pub(super) async fn follow_up(&self, tenant: TenantId, object: Object<K>) -> Object<K> {
        if K::due(&object).is_none() {
            return object;
        }
        // Rare beside the reads that it follows.
        let done = Box::pin(self.act_unasked(tenant, &object, Wanted::Due));
        done.await.unwrap_or(object)
    }

    pub(in crate::service) fn context(
        connection: &crate::service::connections::Connection,
    ) -> CallContext {
        let now = Instant::now();
        CallContext {
            connection: Arc::clone(&connection.context),
            deadline: now.checked_add(ASK_TIMEOUT).unwrap_or(now),
        }
    }

    async fn read(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        (connection, adapter): Chosen,
    ) -> Result<Option<Object<K>>, StoreError> {
        let Some(provider_ref) = &object.provider_ref else {
            return Ok(None);
        };
        let context = Self::context(&connection);
        let report = K::get(&adapter, &context, object, provider_ref).await;
        outcome::log(&connection.provider, "get", &report);
        match report.outcome {
            Outcome::Accepted(reported) => self.apply(tenant, object, reported).await,
            Outcome::Declined(refusal) if refusal.kind == RefusalKind::NotFound => {
                self.gone(tenant, object).await
            }
            Outcome::Declined(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => Ok(None),
        }
    }

    /// The provider does not have the object any more, unless it was asked with another account's
    /// credentials than made it.
    async fn gone(
        &self,
        tenant: TenantId,
        object: &Object<K>,
    ) -> Result<Option<Object<K>>, StoreError> {
        let Some(reported) = K::when_gone(object, self.parts.clock.now()) else {
            return Ok(None);
        };
        let mut tx = self.parts.store.begin_read(tenant).await?;
        let connection = tx.find_connection(object.connection_id).await?;
        drop(tx);
        if !connection.is_some_and(|row| was_unchanged_since(&row, object.created_at)) {
            return Ok(None);
        }
        self.apply(tenant, object, reported).await
    }

    /// Stores what a provider reports, on top of whatever the object has become meanwhile.
    pub(super) async fn apply(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        reported: Reported<K>,
    ) -> Result<Option<Object<K>>, StoreError> {
        if let Some(known) = &object.provider_ref
            && *known != reported.provider_ref
        {
            tracing::error!(object.id = %object.id, "the adapter has answered about another object");
            return Ok(None);
        }
        let now = self.parts.clock.now();
        let version = object.version;
        let mut tx = self.parts.store.begin(tenant).await?;
        let Some(mut object) = Self::lock(&mut tx, object).await? else {
            return Ok(None);
        };
        if object.version != version && !K::reports_commute(&object) {
            // Asked for before the change that came between.
            return Ok(Some(object));
        }
        if object.claimed_until.is_some_and(|until| until > now) {
            // A call of its own is running and will have the last word.
            return Ok(None);
        }
        let before = object.status;
        let was_unknown = needs_settling(&object);
        let was_claimed = object.claimed_until.take().is_some();
        let is_latest = object.version == version;
        let changed = object.merge(reported, is_latest) || was_claimed;
        if changed && !Self::write(&mut tx, &mut object, Some(before), now).await? {
            return Ok(None);
        }
        if was_unknown && !needs_settling(&object) {
            self.end_keys(&mut tx, &object).await?;
        }
        tx.commit().await?;
        Ok(Some(object))
    }

    /// The object is settled: so are the requests that made or changed it. A change that did not come
    /// to pass may be asked for again.
    pub(super) async fn end_keys(
        &self,
        tx: &mut TenantTx,
        object: &Object<K>,
    ) -> Result<(), StoreError> {
        let id = K::uuid(object.id);
        let content = Self::content(tx, id).await?;
        let body = K::present(object, content.as_ref());
        let kept_until = self.parts.clock.now() + super::KEY_KEPT;
        for key in tx.list_keys_by_object(id).await? {
            let (environment, name) = (key.environment, key.key.as_str());
            match action_of(&key.route) {
                None => {
                    tx.finish_key(environment, name, CREATED, &body, kept_until)
                        .await?
                }
                Some(action) if K::has_happened(object, action) => {
                    tx.finish_key(environment, name, DONE, &body, kept_until)
                        .await?
                }
                Some(_) => tx.release_key(environment, name).await?,
            };
        }
        tx.finish_work(WorkKind::Settle, id).await?;
        Ok(())
    }
}

/// The action of a route on an object that exists; none of one that creates.
fn action_of(route: &str) -> Option<&str> {
    route.split_once("/{id}/").map(|(_, action)| action)
}

/// Whether the end of an object's last call is not known.
pub(in crate::service) fn needs_settling<K: Kind>(object: &Object<K>) -> bool {
    object.status == K::unknown() || object.claimed_until.is_some()
}

/// Whether what was sent at `since` was sent with the credentials that the connection has now.
pub(super) fn was_unchanged_since(row: &ConnectionRow, since: DateTime<Utc>) -> bool {
    row.updated_at == row.created_at || row.updated_at + CONNECTION_LAG < since
}

/// 2 s, 4 s, 8 s … up to an hour.
pub(super) fn backoff(tries: u32) -> TimeDelta {
    let seconds = 1_i64.checked_shl(tries.clamp(1, 30)).unwrap_or(i64::MAX);
    TimeDelta::try_seconds(seconds)
        .unwrap_or(TRY_AFTER_MAX)
        .min(TRY_AFTER_MAX)
}
