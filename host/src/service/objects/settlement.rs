//! Settles what nobody knows the end of: claims that a crash left behind, and messages whose
//! provider's answer was lost.
//!
//! Nothing is sent again blindly. In this order:
//! 1. the provider's id is known: it is read;
//! 2. the provider honours our key for this operation and its window is still open: the very same
//!    request is repeated under the very same key, which has one effect at most;
//! 3. the adapter can look for lost messages: exactly one that equals ours and belongs to no other
//!    object is ours;
//! 4. otherwise it stays unknown, and is asked about again later.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::failure::Failure;
use onerouter_domain::id::{AttemptId, ConnectionId, TenantId};
use onerouter_domain::time;
use onerouter_engine::{CallContext, Outcome, Refusal, RefusalKind};
use onerouter_manifest::Manifest;
use tokio::time::Instant;

use super::act::{DONE, Wanted};
use super::claim::{ids_with_key, send_ids};
use super::create::CREATED;
use super::settle::conclude;
use super::{Objects, ledger_json};
use crate::ids;
use crate::service::connections::Chosen;
use crate::service::kind::{Facts as _, Kind, Window};
use crate::service::object::{Object, Reported};
use crate::service::outcome;
use crate::store::{AttemptEnd, AttemptRow, NewAttempt};
use crate::store::{ConnectionRow, ObjectRow};
use crate::store::{DueWork, WorkKind};
use crate::store::{StoreError, TenantTx, constraint};

/// The first look at a message whose answer was lost.
pub(super) const FIRST_TRY_AFTER: TimeDelta = TimeDelta::seconds(2);
/// Looks get rarer up to this.
const TRY_AFTER_MAX: TimeDelta = TimeDelta::hours(1);
/// After this the background stops asking; a reader still can.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(7);
/// How long one question to a provider may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);
/// A key is not used in the last part of its window: the provider's clock is not ours.
const KEY_WINDOW_MARGIN_S: u64 = 600;
/// Clocks differ and providers cut times to seconds: a lost message may seem this much older or
/// younger than the attempt.
const CLOCK_MARGIN: TimeDelta = TimeDelta::seconds(60);
/// A call may still have used the credentials that a connection had this long ago.
const CONNECTION_LAG: TimeDelta = TimeDelta::seconds(5);
/// Objects that may equal a lost one; more than this in one window are not told apart.
const TWINS_MAX: u32 = 200;

/// What nobody has seen and no search finds is given up after this.
const UNSEEN_FOR: TimeDelta = TimeDelta::minutes(30);

/// Whether the refusal of a repeated request is the first one's too.
fn settles<K: Kind>(object: &Object<K>, refusal: &Refusal, now: DateTime<Utc>) -> bool {
    let failure = &refusal.failure;
    // What was right when it was asked for may be wrong now: a time that has passed.
    let is_late = K::latest(object).is_some_and(|at| at <= now);
    refusal.kind == RefusalKind::Declined
        && K::is_word_on_the_first(&failure.code)
        && match failure.http_status {
            Some(status) => matches!(status, 400 | 422) && failure.provider_code.is_some(),
            // One of a set whose answer as a whole was a yes.
            None => true,
        }
        && !is_late
}

/// What a search for a lost object has come to.
enum Sought<K: Kind> {
    Known(Box<Object<K>>),
    /// Its provider does not have it.
    Absent,
    Unclear,
}

impl<K: Kind> Sought<K> {
    fn of(known: Option<Object<K>>) -> Self {
        known.map_or(Self::Unclear, |known| Self::Known(Box::new(known)))
    }
}

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

    async fn lock(tx: &mut TenantTx, object: &Object<K>) -> Result<Option<Object<K>>, StoreError> {
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
        if !K::REPORTS_COMMUTE && object.version != version {
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

    /// Finds out about an object of which we have no provider's id.
    async fn find_out(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        chosen: Chosen,
    ) -> Result<Option<Object<K>>, StoreError> {
        let mut tx = self.parts.store.begin_read(tenant).await?;
        let attempts = tx.list_attempts(K::uuid(object.id)).await?;
        let content = Self::content(&mut tx, K::uuid(object.id)).await?;
        let connection = tx.find_connection(object.connection_id).await?;
        drop(tx);
        // The first attempt over this connection decides: a repeated one has its key, and those over
        // other connections have not sent.
        let Some(first) = attempts.into_iter().find(|attempt| {
            attempt.operation.starts_with(K::CREATE_NAME)
                && attempt
                    .connection_id
                    .is_none_or(|id| id == object.connection_id)
        }) else {
            return Ok(None);
        };
        if first.outcome.as_deref() == Some(outcome::NOT_SENT) {
            let detail =
                "Nothing was sent: the gateway was cut off before it could try another connection.";
            return self
                .conclude(tenant, object, ErrorCode::ProviderUnavailable, detail)
                .await;
        }
        let now = self.parts.clock.now();
        let since = first.started_at;
        let found = self
            .search(tenant, object, (first, content, connection), chosen)
            .await?;
        let is_late = now.signed_duration_since(since) > UNSEEN_FOR;
        let detail = match found {
            Sought::Known(known) => return Ok(Some(*known)),
            Sought::Absent if is_late && K::IS_LISTED => {
                "The provider's answer was lost, and it has not made what was asked for."
            }
            Sought::Absent | Sought::Unclear if is_late && K::IS_HARMLESS_UNSEEN => {
                "The provider's answer was lost, and nobody was shown what it may have made."
            }
            Sought::Absent | Sought::Unclear => return Ok(None),
        };
        self.conclude(tenant, object, ErrorCode::ProviderUnavailable, detail)
            .await
    }

    /// Asks the provider for an object by what the first attempt was.
    async fn search(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        (first, content, connection): (AttemptRow, Option<K::Content>, Option<ConnectionRow>),
        chosen: Chosen,
    ) -> Result<Sought<K>, StoreError> {
        let now = self.parts.clock.now();
        if !connection.is_some_and(|row| was_unchanged_since(&row, first.started_at)) {
            // Perhaps another account, which does not know the first one's key.
            return self.look_up(tenant, object, &first, chosen).await;
        }
        if first.operation != K::CREATE_NAME {
            K::settle_batch(self, tenant, object.environment, first, chosen).await?;
            return self.reread(tenant, object).await.map(Sought::of);
        }
        // Only what was sent with a key is known by it, whatever today's manifest says.
        if !first.provider_key.is_empty()
            && key_is_open(
                chosen.1.manifest(),
                K::CREATE_OPERATION,
                first.started_at,
                now,
            )
        {
            let repeated = self.repeat(tenant, object, content.as_ref(), &first, chosen);
            return repeated.await.map(Sought::of);
        }
        self.look_up(tenant, object, &first, chosen).await
    }

    /// Ends an object that is not at the provider, or might as well not be: the call sent nothing and
    /// only that was not written into the object, or nobody can ever use what it made.
    async fn conclude(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        code: ErrorCode,
        detail: &str,
    ) -> Result<Option<Object<K>>, StoreError> {
        let now = self.parts.clock.now();
        let mut tx = self.parts.store.begin(tenant).await?;
        let Some(mut object) = Self::lock(&mut tx, object).await? else {
            return Ok(None);
        };
        if !needs_settling(&object) || object.provider_ref.is_some() {
            return Ok(Some(object));
        }
        if object.claimed_until.is_some_and(|until| until > now) {
            return Ok(None);
        }
        let before = object.status;
        object.claimed_until = None;
        object.status = K::failed();
        object.facts.set_failure(Failure {
            code: code.as_str().to_owned(),
            message: detail.to_owned(),
            retryable: true,
            provider_code: None,
            provider_message: None,
        });
        if !Self::write(&mut tx, &mut object, Some(before), now).await? {
            return Ok(None);
        }
        let id = K::uuid(object.id);
        for key in tx.list_keys_by_object(id).await? {
            tx.release_key(key.environment, &key.key).await?;
        }
        tx.finish_work(WorkKind::Settle, id).await?;
        tx.commit().await?;
        Ok(Some(object))
    }

    async fn reread(
        &self,
        tenant: TenantId,
        object: &Object<K>,
    ) -> Result<Option<Object<K>>, StoreError> {
        let mut tx = self.parts.store.begin_read(tenant).await?;
        let row = tx
            .find_object(K::OBJECT, object.environment, K::uuid(object.id))
            .await?;
        row.map(Object::from_row).transpose()
    }

    /// Repeats the same request under the same key, which the provider honours.
    #[expect(
        clippy::too_many_arguments,
        reason = "what was read once is not read again"
    )]
    async fn repeat(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        content: Option<&K::Content>,
        first: &AttemptRow,
        (connection, adapter): Chosen,
    ) -> Result<Option<Object<K>>, StoreError> {
        let Some(content) = content.cloned().or_else(K::no_content) else {
            return Ok(None);
        };
        let attempt = AttemptId::from_uuid(ids::next());
        let mut tx = self.parts.store.begin(tenant).await?;
        tx.insert_attempt(&NewAttempt {
            id: attempt,
            object_id: K::uuid(object.id),
            operation: K::CREATE_NAME.to_owned(),
            provider_key: first.provider_key.clone(),
            started_at: self.parts.clock.now(),
            batch_id: None,
            connection_id: connection.id,
            routing: None,
        })
        .await?;
        tx.commit().await?;
        let context = Self::context(&connection);
        // The first attempt's ids: the request must be the same to the byte.
        let ids = ids_with_key(object, first.id, &first.provider_key);
        let report = K::create(&adapter, &context, ids, object, &content).await;
        outcome::log(&connection.provider, "repeat", &report);
        let end = AttemptEnd {
            id: attempt,
            outcome: outcome::name(&report.outcome).to_owned(),
            detail: Some(ledger_json(&report.ledger, Some("settlement"))),
            ended_at: self.parts.clock.now(),
        };
        let mut tx = self.parts.store.begin(tenant).await?;
        tx.finish_attempt(&end).await?;
        tx.commit().await?;
        self.settle_repeated(tenant, object, &connection.provider, report.outcome)
            .await
    }

    /// Stores what a repeated request says about the first one. Only a yes, or a no that would have
    /// been the first one's too, settles anything.
    pub(in crate::service) async fn settle_repeated(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        provider: &onerouter_manifest::PluginId,
        outcome: Outcome<Reported<K>>,
    ) -> Result<Option<Object<K>>, StoreError> {
        match outcome {
            Outcome::Accepted(reported) => self.apply(tenant, object, reported).await,
            Outcome::Declined(refusal) if settles(object, &refusal, self.parts.clock.now()) => {
                let now = self.parts.clock.now();
                let mut tx = self.parts.store.begin(tenant).await?;
                let Some(mut object) = Self::lock(&mut tx, object).await? else {
                    return Ok(None);
                };
                if !needs_settling(&object) || object.provider_ref.is_some() {
                    return Ok(Some(object));
                }
                if object.claimed_until.is_some_and(|until| until > now) {
                    return Ok(None);
                }
                let before = object.status;
                object.claimed_until = None;
                conclude(&mut object, provider, Outcome::Declined(refusal));
                if !Self::write(&mut tx, &mut object, Some(before), now).await? {
                    return Ok(None);
                }
                self.end_keys(&mut tx, &object).await?;
                tx.commit().await?;
                Ok(Some(object))
            }
            Outcome::Declined(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => Ok(None),
        }
    }

    /// Looks for a lost object at the provider.
    async fn look_up(
        &self,
        tenant: TenantId,
        object: &Object<K>,
        first: &AttemptRow,
        (connection, adapter): Chosen,
    ) -> Result<Sought<K>, StoreError> {
        let after = first.started_at - CLOCK_MARGIN;
        let before = first
            .ended_at
            .unwrap_or(first.started_at + super::CLAIM_MAX)
            + CLOCK_MARGIN;
        let window = Window {
            after_ms: time::to_millis(after),
            before_ms: time::to_millis(before),
        };
        let ids = send_ids(object, first.id);
        let context = Self::context(&connection);
        let Some(report) = K::find(&adapter, &context, ids, object, window).await else {
            return Ok(Sought::Unclear);
        };
        outcome::log(&connection.provider, "find", &report);
        let Outcome::Accepted(found) = report.outcome else {
            return Ok(Sought::Unclear);
        };
        if K::IS_FOUND_EXACTLY {
            let mut found = found.into_iter();
            return match (found.next(), found.next()) {
                (Some(only), None) => self.apply(tenant, object, only).await.map(Sought::of),
                (None, _) => Ok(Sought::Absent),
                (Some(_), Some(_)) => Ok(Sought::Unclear),
            };
        }
        let refs: Vec<String> = found
            .iter()
            .map(|message| message.provider_ref.clone())
            .collect();
        // Only now, and in this order: a twin that was sent while we looked is either still without
        // its id, or the id is known.
        let mut tx = self.parts.store.begin_read(tenant).await?;
        let mut known = Vec::new();
        for connection in tx.list_connections_like(object.connection_id).await? {
            if Self::has_twin(&mut tx, object, connection, after, before).await? {
                return Ok(Sought::Unclear);
            }
            known.extend(tx.provider_refs_known(connection, &refs).await?);
        }
        drop(tx);
        let mut unbound = found
            .into_iter()
            .filter(|message| !known.contains(&message.provider_ref));
        let (Some(only), None) = (unbound.next(), unbound.next()) else {
            return Ok(Sought::Unclear);
        };
        match self.apply(tenant, object, only).await {
            // Another object was bound to it in the same moment.
            Err(StoreError::Duplicate {
                constraint: constraint::PROVIDER_REF,
                ..
            }) => Ok(Sought::Unclear),
            result => result.map(Sought::of),
        }
    }

    /// Whether a message that could be taken for this one is being sent at this moment, or was lost
    /// too: what is found could be its.
    async fn has_twin(
        tx: &mut TenantTx,
        object: &Object<K>,
        connection: ConnectionId,
        after: DateTime<Utc>,
        before: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        // An older one may have been on its way for as long as a claim lasts.
        let after = after - super::CLAIM_MAX;
        let rows = tx
            .list_unbound_objects(connection, after, before, TWINS_MAX)
            .await?;
        if u32::try_from(rows.len()).is_ok_and(|count| count >= TWINS_MAX) {
            return Ok(true);
        }
        Ok(rows.iter().any(|row| {
            // An adapter compares less than the whole request; two messages to one recipient are
            // enough for doubt.
            let is_alike = || {
                serde_json::from_str(&row.request)
                    .is_ok_and(|other| K::same_recipient(&object.request, &other))
            };
            row.id != K::uuid(object.id) && is_alike()
        }))
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
fn was_unchanged_since(row: &ConnectionRow, since: DateTime<Utc>) -> bool {
    row.updated_at == row.created_at || row.updated_at + CONNECTION_LAG < since
}

/// Whether the provider still knows a key that was first used at `since`.
pub(in crate::service) fn key_is_open(
    manifest: &Manifest,
    operation: &str,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> bool {
    let window = manifest
        .operations
        .get(operation)
        .and_then(|rule| rule.idempotency.as_ref());
    let age_s = u64::try_from(now.signed_duration_since(since).num_seconds()).unwrap_or_default();
    window.is_some_and(|rule| age_s < rule.window_s.saturating_sub(KEY_WINDOW_MARGIN_S))
}

/// 2 s, 4 s, 8 s … up to an hour.
pub(super) fn backoff(tries: u32) -> TimeDelta {
    let seconds = 1_i64.checked_shl(tries.clamp(1, 30)).unwrap_or(i64::MAX);
    TimeDelta::try_seconds(seconds)
        .unwrap_or(TRY_AFTER_MAX)
        .min(TRY_AFTER_MAX)
}
