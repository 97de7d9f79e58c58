//! Objects of every kind, step by step: claim, call, settle.
//!
//! A write is claimed first: its idempotency key, its object and the attempt are committed before
//! anything leaves the house. Then the adapter is called, with no transaction open. Then one
//! transaction settles what came of it. The last two run on a tracked task that ends only when it
//! is done, whether the client still waits or not. What a crash leaves behind, `settlement`
//! finishes.

mod act;
mod batch;
mod claim;
mod create;
mod failover;
mod later;
mod lost;
mod named;
mod read;
mod settle;
mod settlement;
mod told;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::EventId;
use onerouter_domain::idempotency::IdempotencyKey;
use onerouter_domain::metadata::Metadata;
use onerouter_engine::LedgerEntry;
use onerouter_manifest::PluginId;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio_util::task::TaskTracker;

pub use self::claim::BatchEntry;
pub use self::read::{ListQuery, Page};
pub(in crate::service) use self::told::{Looked, TakenIn};
use super::authentication::unavailable;
use super::connections::Connections;
use super::kind::Kind;
use super::object::Object;
use super::refusal::{FieldMistake, Refusal};
use crate::clock::Clock;
use crate::ids;
use crate::store::NewEvent;
use crate::store::ObjectUpdate;
use crate::store::{IdempotencyRow, KeyState};
use crate::store::{Store, StoreError, TenantTx};

/// A request is answered within this.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// What is kept of it for settling after the adapter's call.
const SETTLE_RESERVE: Duration = Duration::from_secs(2);
/// Nobody else settles an object while its call may still run: the deadline and a good margin.
const CLAIM_MAX: TimeDelta = TimeDelta::seconds(45);
/// Finished idempotency keys are kept for this long.
pub(in crate::service) const KEY_KEPT: TimeDelta = TimeDelta::hours(25);
/// How long a caller waits before asking again about a request that still runs.
const IN_PROGRESS_RETRY_S: u64 = 1;
/// Stands between a batch's key and a position: no caller's key can hold it.
const POSITION_MARK: char = '\u{1f}';
/// Characters of a stored key.
const KEY_LENGTH_MAX: usize = 255;

/// Renders a refusal as the bytes that are kept for a repeated request.
pub type RenderRefusal = fn(&Refusal, &str) -> (u16, Bytes);

/// What objects of every kind are served with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Rows.
    pub store: Store,
    /// Connections and adapters.
    pub connections: Arc<Connections>,
    /// Times.
    pub clock: Clock,
    /// Runs what must finish.
    pub tasks: TaskTracker,
    /// Problem documents.
    pub render: RenderRefusal,
    /// The URL under which providers reach this gateway; none where they cannot.
    pub webhooks_at: Option<String>,
}

/// Objects of one kind.
#[derive(Debug)]
pub struct Objects<K> {
    parts: Arc<Parts>,
    kind: PhantomData<K>,
}

impl<K> Clone for Objects<K> {
    fn clone(&self) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
            kind: PhantomData,
        }
    }
}

impl<K> Objects<K> {
    /// Objects of a kind.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            kind: PhantomData,
        }
    }
}

/// An object to be created.
#[derive(Debug, Clone)]
pub struct Draft<K: Kind> {
    /// What is asked for.
    pub request: K::Request,
    /// Its large part.
    pub content: K::Content,
    /// The caller's pairs.
    pub metadata: Metadata,
    /// The provider that the caller named.
    pub provider: Option<PluginId>,
    /// It names a time that is over. Only a repetition of an earlier request may.
    pub late: Option<FieldMistake>,
}

/// By what a repeated request is known.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The caller's key, or one derived from it.
    pub key: Option<String>,
    /// The canonical route.
    pub route: &'static str,
    /// SHA-256 of what was asked for.
    pub hash: [u8; 32],
}

impl Intent {
    /// The intent behind a request with this key.
    #[must_use]
    pub fn new(key: Option<IdempotencyKey>, route: &'static str, hash: [u8; 32]) -> Self {
        Self {
            key: key.map(|key| key.as_str().to_owned()),
            route,
            hash,
        }
    }

    /// The intent behind one position of a request that asks for several things.
    #[must_use]
    pub fn at(
        key: Option<&IdempotencyKey>,
        position: usize,
        route: &'static str,
        hash: [u8; 32],
    ) -> Self {
        Self {
            key: key.map(|key| key_at(key.as_str(), position)),
            route,
            hash,
        }
    }
}

/// A batch's key with a position. One that grew too long for its column is replaced by its hash.
fn key_at(key: &str, position: usize) -> String {
    let derived = format!("{key}{POSITION_MARK}{position}");
    if derived.len() <= KEY_LENGTH_MAX {
        return derived;
    }
    let hash: String = Sha256::digest(key)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{POSITION_MARK}{hash}{POSITION_MARK}{position}")
}

/// A finished answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Bytes,
    /// It was made for an earlier request.
    pub is_replay: bool,
}

impl Answer {
    const fn fresh(status: u16, body: Bytes) -> Self {
        Self {
            status,
            body,
            is_replay: false,
        }
    }
}

/// How a key ends in the transaction that settles its object.
#[derive(Debug, Clone)]
enum KeyEnd {
    /// The answer is kept.
    Keep(u16, Bytes),
    /// Nothing was processed: the key is free again.
    Release,
    /// Nobody knows yet.
    Unknown,
}

impl<K: Kind> Objects<K> {
    /// The answer to a request whose key is taken.
    fn replay(&self, row: IdempotencyRow, intent: &Intent) -> Result<Answer, Refusal> {
        if row.route != intent.route || row.request_hash != intent.hash {
            return Err(Refusal::new(
                ErrorCode::IdempotencyKeyReused,
                "This Idempotency-Key was used for another request. Use a new key for a new request.",
            ));
        }
        let object = row.object_id.map(K::id);
        match (row.state, row.status, row.body) {
            (KeyState::Done, Some(status), Some(body)) => Ok(Answer {
                status,
                body,
                is_replay: true,
            }),
            (KeyState::Unknown, ..) => {
                let refusal = Refusal::new(
                    ErrorCode::OutcomeUnknown,
                    "The outcome of the first request with this key is not known yet. Read the object until its status is.",
                );
                Err(match object {
                    Some(id) => refusal.about(id),
                    None => refusal,
                })
            }
            (KeyState::Running | KeyState::Done, ..) => Err(Refusal::new(
                ErrorCode::IdempotencyInProgress,
                "The first request with this Idempotency-Key is still running.",
            )
            .retry_after(IN_PROGRESS_RETRY_S)),
        }
    }

    async fn end_key(
        tx: &mut TenantTx,
        environment: Environment,
        key: Option<&str>,
        end: &KeyEnd,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(key) = key else {
            return Ok(());
        };
        match end {
            KeyEnd::Keep(status, body) => {
                tx.finish_key(environment, key, *status, body, now + KEY_KEPT)
                    .await?
            }
            KeyEnd::Release => tx.release_key(environment, key).await?,
            KeyEnd::Unknown => tx.mark_key_unknown(environment, key).await?,
        };
        Ok(())
    }

    /// Writes an object's next version and the event about it.
    pub(in crate::service) async fn write(
        tx: &mut TenantTx,
        object: &mut Object<K>,
        status_before: Option<K::Status>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if !tx.update_object(&Self::update(object, now)).await? {
            return Ok(false);
        }
        Self::count_up(object, now);
        K::written(tx, object, now).await?;
        if K::IS_FOLLOWED && object.claimed_until.is_none() {
            Self::plan_ahead(tx, object, now).await?;
        }
        if status_before != Some(object.status) {
            let data = shown(K::present(object, None));
            tx.insert_event(&Self::event(object, data)).await?;
        }
        Ok(true)
    }

    /// What is written of an object's next version.
    fn update(object: &Object<K>, now: DateTime<Utc>) -> ObjectUpdate {
        ObjectUpdate {
            id: K::uuid(object.id),
            expected_version: object.version,
            status: object.status.to_string(),
            provider_ref: object.provider_ref.clone(),
            result: to_json(&object.facts),
            claimed_until: object.claimed_until,
            refreshed_at: object.refreshed_at,
            updated_at: now,
        }
    }

    /// The object is at its next version, as its row is.
    const fn count_up(object: &mut Object<K>, now: DateTime<Utc>) {
        object.version = object.version.saturating_add(1);
        object.updated_at = now;
    }

    /// The event about an object's version.
    fn event(object: &Object<K>, data: String) -> NewEvent {
        NewEvent {
            id: EventId::from_uuid(ids::next()),
            environment: object.environment,
            event_type: format!("{}.{}", K::NAME, object.status),
            object_id: K::uuid(object.id),
            object_version: object.version,
            data,
            created_at: object.updated_at,
        }
    }

    fn store_failed(during: &'static str) -> impl Fn(StoreError) -> Refusal {
        move |error| unavailable(during, &error)
    }
}

/// Our own types always are JSON.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}

/// A document as text. Our own are UTF-8.
fn shown(document: Vec<u8>) -> String {
    String::from_utf8(document).unwrap_or_default()
}

/// What a call sent, for the attempt's row: methods, hosts and statuses, no bodies.
fn ledger_json(ledger: &[LedgerEntry], fault: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Detail<'a> {
        requests: Vec<Request<'a>>,
        reason: Option<&'a str>,
    }

    #[derive(Serialize)]
    struct Request<'a> {
        method: &'a str,
        host: &'a str,
        state_changing: bool,
        left: bool,
        status: Option<u16>,
    }

    let requests = ledger.iter().map(|entry| Request {
        method: entry.method,
        host: &entry.host,
        state_changing: entry.state_changing,
        left: entry.left,
        status: entry.answer.map(|answer| answer.status),
    });
    to_json(&Detail {
        requests: requests.collect(),
        reason: fault,
    })
}
