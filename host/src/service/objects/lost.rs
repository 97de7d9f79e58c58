//! Finds out what became of an object of which we have no provider's id.
//!
//! Nothing is sent again blindly. In this order:
//! 1. the provider honours our key for this operation and its window is still open: the very same
//!    request is repeated under the very same key, which has one effect at most;
//! 2. the adapter can look for lost objects: exactly one that equals ours and belongs to no other
//!    object is ours;
//! 3. otherwise it stays unknown, and is asked about again later.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::failure::Failure;
use onerouter_domain::id::{AttemptId, ConnectionId, TenantId};
use onerouter_domain::time;
use onerouter_engine::{Outcome, Refusal, RefusalKind};
use onerouter_manifest::Manifest;

use super::claim::{ids_with_key, send_ids};
use super::settle::conclude;
use super::settlement::{needs_settling, was_unchanged_since};
use super::{Objects, ledger_json};
use crate::ids;
use crate::service::connections::Chosen;
use crate::service::kind::{Facts as _, Kind, Window};
use crate::service::object::{Object, Reported};
use crate::service::outcome;
use crate::store::{AttemptEnd, AttemptRow, NewAttempt};
use crate::store::{ConnectionRow, WorkKind};
use crate::store::{StoreError, TenantTx, constraint};

/// A key is not used in the last part of its window: the provider's clock is not ours.
const KEY_WINDOW_MARGIN_S: u64 = 600;
/// Clocks differ and providers cut times to seconds: a lost message may seem this much older or
/// younger than the attempt.
const CLOCK_MARGIN: TimeDelta = TimeDelta::seconds(60);
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
    /// Finds out about an object of which we have no provider's id.
    pub(super) async fn find_out(
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
