//! Requests that may be sent twice. Whatever they do is done in one transaction, with the answer that is
//! kept under their key: there is no moment at which one is half done.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use uuid::Uuid;

use super::Asked;
use crate::service::authentication::unavailable;
use crate::service::objects::{Answer, Intent, KEY_KEPT};
use crate::service::refusal::Refusal;
use crate::store::{IdempotencyRow, KeyClaim, KeyState, NewKeyClaim};
use crate::store::{Store, TenantTx};

const CLAIMING: &str = "cannot claim an idempotency key";

/// What an earlier request with the same key was answered, as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    /// What it was about.
    pub(super) object: Uuid,
    status: u16,
    pub(super) body: Bytes,
}

impl Kept {
    pub(super) fn answer(self) -> Answer {
        Answer {
            status: self.status,
            body: self.body,
            is_replay: true,
        }
    }
}

/// Claims a request's key for this transaction, or finds what the first one with it was answered.
pub(super) async fn claim(
    tx: &mut TenantTx,
    asked: Asked<'_>,
    object: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Kept>, Refusal> {
    let Asked { caller, intent, .. } = asked;
    let Some(key) = &intent.key else {
        return Ok(None);
    };
    let claim = NewKeyClaim {
        environment: caller.environment,
        key: key.clone(),
        route: intent.route.to_owned(),
        request_hash: intent.hash,
        object_id: Some(object),
        now,
        expires_at: now + KEY_KEPT,
    };
    let claimed = tx.claim_key(&claim).await;
    match claimed.map_err(|error| unavailable(CLAIMING, &error))? {
        KeyClaim::New => Ok(None),
        KeyClaim::Existing(row) => kept(row, intent).map(Some),
    }
}

/// What the first request with the key of one that is refused was answered: what it has done may be why
/// this one is refused. Without it, the refusal.
pub(super) async fn or_refused(
    store: &Store,
    asked: Asked<'_>,
    now: DateTime<Utc>,
    refused: Refusal,
) -> Result<Kept, Refusal> {
    let Asked { caller, intent, .. } = asked;
    let Some(key) = &intent.key else {
        return Err(refused);
    };
    let found = match store.begin_read(caller.tenant).await {
        Ok(mut tx) => tx.find_key(caller.environment, key).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(Some(row)) if row.expires_at > now => kept(row, intent),
        Ok(_) | Err(_) => Err(refused),
    }
}

fn kept(row: IdempotencyRow, intent: &Intent) -> Result<Kept, Refusal> {
    if row.route != intent.route || row.request_hash != intent.hash {
        return Err(Refusal::new(
            ErrorCode::IdempotencyKeyReused,
            "This Idempotency-Key was used for another request. Use a new key for a new request.",
        ));
    }
    match (row.state, row.status, row.body, row.object_id) {
        (KeyState::Done, Some(status), Some(body), Some(object)) => Ok(Kept {
            object,
            status,
            body,
        }),
        // Nobody sees a claim of these routes before it is done.
        (KeyState::Done | KeyState::Running | KeyState::Unknown, ..) => Err(Refusal::new(
            ErrorCode::IdempotencyInProgress,
            "The first request with this Idempotency-Key is still running.",
        )
        .retry_after(1)),
    }
}

/// Keeps an answer under the key that was claimed.
pub(super) async fn keep(
    tx: &mut TenantTx,
    asked: Asked<'_>,
    (status, body): (u16, &[u8]),
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let Asked { caller, intent, .. } = asked;
    let Some(key) = &intent.key else {
        return Ok(());
    };
    tx.finish_key(caller.environment, key, status, body, now + KEY_KEPT)
        .await
        .map(drop)
        .map_err(|error| unavailable("cannot keep an answer", &error))
}
