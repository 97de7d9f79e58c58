//! `idempotency_keys`: which requests were taken, and what was answered.

use std::str::FromStr;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};

/// How far the first request with a key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It runs, or was cut off.
    Running,
    /// It was answered, and the answer is kept.
    Done,
    /// The provider may have acted.
    Unknown,
}

impl KeyState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }
}

/// The text names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state of an idempotency key")]
pub struct ParseKeyStateError;

impl FromStr for KeyState {
    type Err = ParseKeyStateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Running, Self::Done, Self::Unknown]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(ParseKeyStateError)
    }
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRow {
    /// In which environment.
    pub environment: Environment,
    /// The caller's key.
    pub key: String,
    /// The canonical route of the first request.
    pub route: String,
    /// SHA-256 of its body.
    pub request_hash: [u8; 32],
    /// The object that it made or changed.
    pub object_id: Option<Uuid>,
    /// How far it has come.
    pub state: KeyState,
    /// The status that was answered.
    pub status: Option<u16>,
    /// The body that was answered.
    pub body: Option<Bytes>,
    /// When it was claimed.
    pub created_at: DateTime<Utc>,
    /// From when on a finished key may be claimed anew.
    pub expires_at: DateTime<Utc>,
}

impl IdempotencyRow {
    fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.state == KeyState::Done && self.expires_at <= now
    }
}

/// A key to be claimed.
#[derive(Debug, Clone)]
pub struct NewKeyClaim {
    /// In which environment.
    pub environment: Environment,
    /// The caller's key.
    pub key: String,
    /// The canonical route.
    pub route: String,
    /// SHA-256 of the body.
    pub request_hash: [u8; 32],
    /// The object that it makes or changes.
    pub object_id: Option<Uuid>,
    /// Now.
    pub now: DateTime<Utc>,
    /// From when on a finished key may be claimed anew.
    pub expires_at: DateTime<Utc>,
}

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyClaim {
    /// The caller's.
    New,
    /// That of the request before. Compare route and hash before anything is answered from it.
    Existing(IdempotencyRow),
}

/// Between the insert and the look at what was in its way, that may have been released or claimed
/// anew. More often in a row than this is no accident.
pub(super) const CLAIM_ATTEMPTS: u32 = 3;

/// A key that was claimed and released again and again.
pub(super) const fn restless_key() -> StoreError {
    StoreError::Unavailable {
        operation: "claim an idempotency key",
        source: sqlx::Error::RowNotFound,
    }
}

macro_rules! columns {
    () => {
        "environment, key, route, request_hash, object_id, state, status, body, created_at,
         expires_at"
    };
}

statements! {
    CLAIM = Statement::same(
        "insert into idempotency_keys (tenant_id, environment, key, route, request_hash, object_id,
             state, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, 'running', $7, $8)
         on conflict (tenant_id, environment, key) do nothing",
    );
    /// Only a finished key expires: while an outcome is unknown, a second try may be a second effect.
    RECLAIM = Statement::same(
        "update idempotency_keys
         set route = $4, request_hash = $5, object_id = $6, state = 'running', status = null,
             body = null, created_at = $7, expires_at = $8
         where tenant_id = $1 and environment = $2 and key = $3 and state = 'done'
             and expires_at <= $7",
    );
    FIND = Statement::same(concat!(
        "select ", columns!(), " from idempotency_keys
         where tenant_id = $1 and environment = $2 and key = $3"
    ));
    LIST_BY_OBJECT = Statement::same(concat!(
        "select ", columns!(), " from idempotency_keys
         where tenant_id = $1 and object_id = $2 order by created_at, key"
    ));
    FINISH = Statement::same(
        "update idempotency_keys set state = 'done', status = $4, body = $5,
             expires_at = case when expires_at < $6 then $6 else expires_at end
         where tenant_id = $1 and environment = $2 and key = $3 and state <> 'done'",
    );
    MARK_UNKNOWN = Statement::same(
        "update idempotency_keys set state = 'unknown'
         where tenant_id = $1 and environment = $2 and key = $3 and state = 'running'",
    );
    RELEASE = Statement::same(
        "delete from idempotency_keys
         where tenant_id = $1 and environment = $2 and key = $3 and state <> 'done'",
    );
    DELETE_EXPIRED = Statement::same(
        "delete from idempotency_keys
         where tenant_id = $1 and (environment, key) in (
             select environment, key from idempotency_keys
             where tenant_id = $1 and state = 'done' and expires_at <= $2
             order by expires_at limit $3)",
    );
}

impl TenantTx {
    /// Claims a key for this transaction. Of all that claim one at the same time, one gets
    /// [`KeyClaim::New`]; the others wait for its transaction and see what it left.
    ///
    /// # Errors
    /// The database cannot be reached; [`StoreError::Unavailable`] also when the key was claimed
    /// and released again and again meanwhile.
    pub async fn claim_key(&mut self, claim: &NewKeyClaim) -> Result<KeyClaim, StoreError> {
        for _ in 0..CLAIM_ATTEMPTS {
            if self.insert_claim(claim).await? {
                return Ok(KeyClaim::New);
            }
            if let Some(found) = self.look_at_taken_key(claim).await? {
                return Ok(found);
            }
        }
        Err(restless_key())
    }

    /// What stands in the way of a claim: a row, or an expired one, which the claim replaces. None
    /// when it is gone meanwhile.
    pub(super) async fn look_at_taken_key(
        &mut self,
        claim: &NewKeyClaim,
    ) -> Result<Option<KeyClaim>, StoreError> {
        let Some(row) = self.find_key(claim.environment, &claim.key).await? else {
            return Ok(None);
        };
        if !row.is_expired(claim.now) {
            return Ok(Some(KeyClaim::Existing(row)));
        }
        let is_replaced = self.replace_claim(claim).await?;
        Ok(is_replaced.then_some(KeyClaim::New))
    }

    pub(super) async fn insert_claim(&mut self, claim: &NewKeyClaim) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            CLAIM,
            [
                tenant,
                claim.environment.as_str(),
                &claim.key,
                &claim.route,
                claim.request_hash.as_slice(),
                claim.object_id,
                claim.now,
                claim.expires_at,
            ]
        )
        .map(|rows| rows == 1)
        .during("claim an idempotency key")
    }

    async fn replace_claim(&mut self, claim: &NewKeyClaim) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            RECLAIM,
            [
                tenant,
                claim.environment.as_str(),
                &claim.key,
                &claim.route,
                claim.request_hash.as_slice(),
                claim.object_id,
                claim.now,
                claim.expires_at,
            ]
        )
        .map(|rows| rows == 1)
        .during("claim an expired idempotency key")
    }

    /// What is kept under a key.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_key(
        &mut self,
        environment: Environment,
        key: &str,
    ) -> Result<Option<IdempotencyRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND, [tenant, environment.as_str(), key])
            .during("find an idempotency key")
    }

    /// The keys of the requests that made or changed an object, oldest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_keys_by_object(
        &mut self,
        object: Uuid,
    ) -> Result<Vec<IdempotencyRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_all!(self, LIST_BY_OBJECT, [tenant, object])
            .during("list an object's idempotency keys")
    }

    /// Keeps an answer, until `kept_until` at least: a request may be settled long after it was made; `false` when there is no such key or one is kept already.
    ///
    /// # Errors
    /// The database cannot be reached.
    #[expect(clippy::too_many_arguments, reason = "one row's columns")]
    pub async fn finish_key(
        &mut self,
        environment: Environment,
        key: &str,
        status: u16,
        body: &[u8],
        kept_until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            FINISH,
            [
                tenant,
                environment.as_str(),
                key,
                i64::from(status),
                body,
                kept_until
            ]
        )
        .map(|rows| rows == 1)
        .during("keep an answer under its idempotency key")
    }

    /// Records that the outcome is unknown; `false` when the key does not run.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn mark_key_unknown(
        &mut self,
        environment: Environment,
        key: &str,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, MARK_UNKNOWN, [tenant, environment.as_str(), key])
            .map(|rows| rows == 1)
            .during("mark an idempotency key as unknown")
    }

    /// Gives a key back, because nothing was processed; `false` when there is none or it has an
    /// answer.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn release_key(
        &mut self,
        environment: Environment,
        key: &str,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, RELEASE, [tenant, environment.as_str(), key])
            .map(|rows| rows == 1)
            .during("release an idempotency key")
    }

    /// Removes up to `limit` finished keys that have expired, and tells how many.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn delete_expired_keys(
        &mut self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, DELETE_EXPIRED, [tenant, now, i64::from(limit)])
            .during("delete expired idempotency keys")
    }
}

impl FromColumns for IdempotencyRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            environment: row.environment()?,
            key: row.text("key")?,
            route: row.text("route")?,
            request_hash: row.bytes("request_hash")?,
            object_id: row.get("object_id")?,
            state: row.parsed("state")?,
            status: row.optional_integer("status")?,
            body: row.get::<Option<Vec<u8>>>("body")?.map(Bytes::from),
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        })
    }
}
