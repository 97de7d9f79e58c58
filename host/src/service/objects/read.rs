//! Reads objects: one, refreshed from its provider while it is open, or a page of them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::TenantId;
use uuid::Uuid;

use super::Objects;
use crate::service::caller::Caller;
use crate::service::kind::Kind;
use crate::service::object::Object;
use crate::service::refusal::Refusal;
use crate::store::ObjectFilter;
use crate::store::{StoreError, TenantTx};

/// A provider is asked about one object this often at most.
const REFRESH_EVERY: TimeDelta = TimeDelta::seconds(2);
/// The same where something has just happened: a buyer has come back.
const REFRESH_AGAIN_EVERY: TimeDelta = TimeDelta::milliseconds(500);
/// A reader waits for the provider this long; then the stored object is the answer.
const REFRESH_WAIT: Duration = Duration::from_secs(2);

/// Which objects to list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// How many at most.
    pub limit: u16,
    /// Older than this one.
    pub before: Option<Uuid>,
    /// With this status.
    pub status: Option<String>,
    /// Of this provider.
    pub provider: Option<String>,
    /// Made after this.
    pub created_after: Option<DateTime<Utc>>,
    /// Made before this.
    pub created_before: Option<DateTime<Utc>>,
    /// With all of these pairs.
    pub metadata: Vec<(String, String)>,
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// The objects, each as JSON.
    pub data: Vec<Vec<u8>>,
    /// The last one's id, where there are more.
    pub next_cursor: Option<String>,
}

impl<K: Kind> Objects<K> {
    /// One object as users see it, refreshed from the provider while it is open.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get(&self, caller: &Caller, id: K::Id, refresh: bool) -> Result<Vec<u8>, Refusal> {
        let failed = Self::store_failed("cannot read an object");
        let mut tx = self
            .parts
            .store
            .begin_read(caller.tenant)
            .await
            .map_err(&failed)?;
        let row = tx
            .find_object(K::OBJECT, caller.environment, K::uuid(id))
            .await
            .map_err(&failed)?
            .ok_or_else(|| Refusal::not_found(K::NOUN))?;
        let content = Self::content(&mut tx, K::uuid(id)).await.map_err(&failed)?;
        drop(tx);
        let mut object = Object::<K>::from_row(row).map_err(&failed)?;
        if refresh
            && self.is_open(&object)
            && let Some(fresh) = self.refresh(caller.tenant, &object, REFRESH_EVERY).await
        {
            object = fresh;
        }
        Ok(K::present(&object, content.as_ref()))
    }

    /// Whether asking the provider may tell something new.
    fn is_open(&self, object: &Object<K>) -> bool {
        let now = self.parts.clock.now();
        let asked_lately = object
            .refreshed_at
            .is_some_and(|at| now.signed_duration_since(at) < REFRESH_EVERY);
        !K::is_terminal(object.status)
            && !K::is_settled_by_age(object, now)
            && object.claimed_until.is_none_or(|until| until <= now)
            && !asked_lately
    }

    /// An object as the provider has it now, where that can be found out in time.
    pub(in crate::service) async fn refreshed(
        &self,
        tenant: TenantId,
        object: Object<K>,
    ) -> Object<K> {
        let now = self.parts.clock.now();
        if K::is_terminal(object.status) || object.claimed_until.is_some_and(|until| until > now) {
            return object;
        }
        let fresh = self.refresh(tenant, &object, REFRESH_AGAIN_EVERY).await;
        fresh.unwrap_or(object)
    }

    /// Asks the provider. Of many readers at once, one does; nobody waits longer than
    /// [`REFRESH_WAIT`], and the answer is stored even if nobody waits for it any more.
    async fn refresh(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        every: TimeDelta,
    ) -> Option<Object<K>> {
        let (this, object) = (self.clone(), object.clone());
        // Large, and moved less often on the heap.
        let work = self.parts.tasks.spawn(Box::pin(async move {
            match this.begin_refresh(tenant, K::uuid(object.id), every).await {
                Ok(true) => this.ask_or_bury(tenant, object).await,
                Ok(false) => None,
                Err(error) => {
                    tracing::warn!(%error, "cannot begin a refresh");
                    None
                }
            }
        }));
        tokio::time::timeout(REFRESH_WAIT, work).await.ok()?.ok()?
    }

    /// Asks about an object; a claim that a crash left on it is buried first.
    pub(super) async fn ask_or_bury(
        &self,
        tenant: TenantId,
        object: Object<K>,
    ) -> Option<Object<K>> {
        if object.claimed_until.is_none() {
            return self.ask(tenant, object).await;
        }
        match self.bury_dead_claim(tenant, object).await {
            Ok(object) if object.claimed_until.is_none() && !K::is_terminal(object.status) => {
                self.ask(tenant, object.clone()).await.or(Some(object))
            }
            Ok(object) => Some(object),
            Err(error) => {
                tracing::warn!(%error, "cannot bury a dead claim");
                None
            }
        }
    }

    /// Whether the provider may be asked about an object that has just been touched: no call on it runs,
    /// and nobody asked a moment ago.
    pub(super) async fn may_ask_now(
        &self,
        tenant: TenantId,
        object: &Object<K>,
    ) -> Result<bool, StoreError> {
        let now = self.parts.clock.now();
        if object.claimed_until.is_some_and(|until| until > now) {
            return Ok(false);
        }
        let id = K::uuid(object.id);
        self.begin_refresh(tenant, id, REFRESH_AGAIN_EVERY).await
    }

    /// An object whose page the buyer has opened: from now on it is looked at often again.
    pub(in crate::service) async fn opened(
        &self,
        tenant: TenantId,
        object: Object<K>,
    ) -> Object<K> {
        let now = self.parts.clock.now();
        if K::watch_again(&object, now).is_none() && K::is_terminal(object.status)
            || !K::open_page(&mut object.clone(), now)
        {
            return object;
        }
        match self.note_opened(tenant, &object).await {
            Ok(noted) => noted.unwrap_or(object),
            Err(error) => {
                tracing::warn!(%error, "cannot note that a page was opened");
                object
            }
        }
    }

    async fn note_opened(
        &self,
        tenant: TenantId,
        object: &Object<K>,
    ) -> Result<Option<Object<K>>, StoreError> {
        let now = self.parts.clock.now();
        let mut tx = self.parts.store.begin(tenant).await?;
        let row = tx
            .lock_object(K::OBJECT, object.environment, K::uuid(object.id))
            .await?;
        let Some(mut object) = row.map(Object::<K>::from_row).transpose()? else {
            return Ok(None);
        };
        if object.claimed_until.is_some() || !K::open_page(&mut object, now) {
            return Ok(None);
        }
        let status = object.status;
        if !Self::write(&mut tx, &mut object, Some(status), now).await? {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(object))
    }

    async fn begin_refresh(
        &self,
        tenant: TenantId,
        id: Uuid,
        every: TimeDelta,
    ) -> Result<bool, StoreError> {
        let mut tx = self.parts.store.begin(tenant).await?;
        let is_mine = tx
            .try_begin_refresh(id, self.parts.clock.now(), every)
            .await?;
        tx.commit().await?;
        Ok(is_mine)
    }

    /// An object in its typed form.
    pub(in crate::service) async fn find(
        &self,
        tenant: TenantId,
        environment: Environment,
        id: K::Id,
    ) -> Result<Object<K>, Refusal> {
        let failed = Self::store_failed("cannot read an object");
        let mut tx = self.parts.store.begin_read(tenant).await.map_err(&failed)?;
        let row = tx
            .find_object(K::OBJECT, environment, K::uuid(id))
            .await
            .map_err(&failed)?
            .ok_or_else(|| Refusal::not_found(K::NOUN))?;
        Object::from_row(row).map_err(&failed)
    }

    /// The large part of an object, for kinds that have one.
    pub(in crate::service) async fn content(
        tx: &mut TenantTx,
        id: Uuid,
    ) -> Result<Option<K::Content>, StoreError> {
        if !K::HAS_CONTENT {
            return Ok(None);
        }
        let Some(text) = tx.find_object_content(id).await? else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|_damaged| StoreError::unreadable("content"))
    }

    /// A page of objects, newest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list(&self, caller: &Caller, query: ListQuery) -> Result<Page, Refusal> {
        let failed = Self::store_failed("cannot list objects");
        let limit = usize::from(query.limit);
        let filter = ObjectFilter {
            before: query.before,
            statuses: query.status.into_iter().collect(),
            provider: query.provider,
            created_after: query.created_after,
            created_before: query.created_before,
            metadata: query.metadata,
            // One more tells whether there are more.
            ..ObjectFilter::new(K::OBJECT, caller.environment, u32::from(query.limit) + 1)
        };
        let mut tx = self
            .parts
            .store
            .begin_read(caller.tenant)
            .await
            .map_err(&failed)?;
        let mut rows = tx.list_objects(&filter).await.map_err(&failed)?;
        drop(tx);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let mut data = Vec::with_capacity(rows.len());
        let mut last = None;
        for row in rows {
            let object = Object::<K>::from_row(row).map_err(&failed)?;
            last = Some(object.id);
            data.push(K::present(&object, None));
        }
        let next_cursor = last.filter(|_| has_more).map(|id| id.to_string());
        Ok(Page { data, next_cursor })
    }
}
