//! The claim of a message: its idempotency key, the object with its content, the work that is due
//! when the claim is dead, and its attempt. On PostgreSQL all of it is one statement.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::attempts::{self, NewAttempt};
use super::backend::{Backend, execute_joined};
use super::due_work::{self, WorkKind};
use super::error::During as _;
use super::idempotency_keys::{self, CLAIM_ATTEMPTS, KeyClaim, NewKeyClaim, restless_key};
use super::objects::{self, NewObject};
use super::statement::{Joined, joined_statements};
use super::{StoreError, TenantTx};

/// A message to be claimed.
#[derive(Debug, Clone)]
pub struct MessageClaim {
    /// Its key, if the request came with one.
    pub key: Option<NewKeyClaim>,
    /// The message.
    pub object: NewObject,
    /// From when on it is settled by asking.
    pub due_at: DateTime<Utc>,
    /// Its attempt; none where that is written by itself.
    pub attempt: Option<NewAttempt>,
}

joined_statements! {
    /// Whoever gets the key makes everything else; so does a request without one.
    CLAIM = Joined {
        postgres: "with claimed as (
                 insert into idempotency_keys (tenant_id, environment, key, route, request_hash,
                     object_id, state, created_at, expires_at)
                 select $2, $24, $25, $26, $27, $28, 'running', $29, $30
                 where cast($25 as text) is not null
                 on conflict (tenant_id, environment, key) do nothing
                 returning key
             ), mine as (
                 select where cast($25 as text) is null or exists (select from claimed)
             ), content as (
                 insert into object_contents (tenant_id, object_id, content)
                 select $2, $1, $13 from mine where cast($13 as text) is not null
             ), due as (
                 insert into due_work (tenant_id, kind, object_id, at, tries)
                 select $2, $14, $1, $15, 0 from mine
             ), attempt as (
                 insert into attempts (id, tenant_id, object_id, operation, provider_key,
                     started_at, batch_id, connection_id, routing)
                 select $16, $2, $17, $18, $19, $20, $21, $22, $23
                 from mine where cast($16 as uuid) is not null
             )
             insert into objects (id, tenant_id, environment, kind, provider, connection_id, status,
                 request, result, metadata, version, claimed_until, created_at, updated_at)
             select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12, $12 from mine",
        sqlite: &[
            idempotency_keys::CLAIM,
            objects::INSERT,
            objects::INSERT_CONTENT,
            due_work::SCHEDULE,
            attempts::INSERT,
        ],
    };
}

impl TenantTx {
    /// Claims a message. Of all that claim one key at the same time, one gets [`KeyClaim::New`] and
    /// its message is written; the others wait for its transaction, see what it left, and write
    /// nothing.
    ///
    /// # Errors
    /// As [`TenantTx::claim_key`], or the database refuses the message.
    pub async fn claim_message(&mut self, claim: &MessageClaim) -> Result<KeyClaim, StoreError> {
        let Some(key) = &claim.key else {
            self.insert_message(claim, None).await?;
            return Ok(KeyClaim::New);
        };
        for _ in 0..CLAIM_ATTEMPTS {
            if self.insert_message(claim, Some(key)).await? {
                return Ok(KeyClaim::New);
            }
            match self.look_at_taken_key(key).await? {
                Some(KeyClaim::New) => {
                    self.insert_message(claim, None).await?;
                    return Ok(KeyClaim::New);
                }
                Some(existing) => return Ok(existing),
                None => {}
            }
        }
        Err(restless_key())
    }

    /// Writes a message and the key that decides about it; `false` when the key is taken, and
    /// nothing was written.
    async fn insert_message(
        &mut self,
        claim: &MessageClaim,
        key: Option<&NewKeyClaim>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        let (object, attempt) = (&claim.object, claim.attempt.as_ref());
        let connection = match self.executors() {
            Backend::Postgres(connection) => connection,
            Backend::Sqlite(_) => return self.insert_message_in_steps(claim, key).await,
        };
        execute_joined!(
            self,
            connection,
            CLAIM,
            [
                object.id,
                tenant,
                object.environment.as_str(),
                object.kind.as_str(),
                &object.provider,
                object.connection_id.uuid(),
                &object.status,
                &object.request,
                &object.result,
                Json(&object.metadata),
                object.claimed_until,
                object.created_at,
                object.content.as_deref(),
                WorkKind::Settle.as_str(),
                claim.due_at,
                attempt.map(|attempt| attempt.id.uuid()),
                attempt.map(|attempt| attempt.object_id),
                attempt.map(|attempt| attempt.operation.as_str()),
                attempt.map(|attempt| attempt.provider_key.as_str()),
                attempt.map(|attempt| attempt.started_at),
                attempt.and_then(|attempt| attempt.batch_id),
                attempt.map(|attempt| attempt.connection_id.uuid()),
                attempt.and_then(|attempt| attempt.routing.as_deref()),
                key.map(|key| key.environment.as_str()),
                key.map(|key| key.key.as_str()),
                key.map(|key| key.route.as_str()),
                key.map(|key| key.request_hash.as_slice()),
                key.and_then(|key| key.object_id),
                key.map(|key| key.now),
                key.map(|key| key.expires_at),
            ]
        )
        .map(|rows| rows == 1)
        .during("claim a message")
    }

    async fn insert_message_in_steps(
        &mut self,
        claim: &MessageClaim,
        key: Option<&NewKeyClaim>,
    ) -> Result<bool, StoreError> {
        if let Some(key) = key
            && !self.insert_claim(key).await?
        {
            return Ok(false);
        }
        self.insert_object(&claim.object).await?;
        self.schedule(WorkKind::Settle, claim.object.id, claim.due_at)
            .await?;
        if let Some(attempt) = &claim.attempt {
            self.insert_attempt(attempt).await?;
        }
        Ok(true)
    }
}
