//! The claim of a message: its idempotency key, the object with its content, the work that is due
//! when the claim is dead, and its attempt. On PostgreSQL all of it is one statement, for as many
//! messages as are claimed together.

use chrono::{DateTime, Utc};
use onerouter_domain::id::TenantId;
use sqlx::types::Json;
use uuid::Uuid;

use super::attempts::{self, NewAttempt};
use super::backend::{Backend, fetch_joined};
use super::due_work::{self, WorkKind};
use super::error::During as _;
use super::groups::{GroupError, Shared};
use super::idempotency_keys::{self, CLAIM_ATTEMPTS, KeyClaim, NewKeyClaim, restless_key};
use super::objects::{self, NewObject};
use super::payments;
use super::statement::{Joined, joined_statements};
use super::{Store, StoreError, TenantTx};

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
    /// By what the buyer's page of it is found; none where it has none.
    pub page: Option<[u8; 32]>,
}

joined_statements! {
    /// Whoever gets the key makes everything else; so does a request without one. One row of the
    /// arrays for each message: those that are claimed at the same moment share the statement.
    CLAIM = Joined {
        postgres: "with given as (
                 select * from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[],
                     $7::text[], $8::text[], $9::text[], $10::jsonb[], $11::timestamptz[],
                     $12::timestamptz[], $13::text[], $14::timestamptz[], $15::uuid[], $16::uuid[],
                     $17::text[], $18::text[], $19::timestamptz[], $20::uuid[], $21::uuid[],
                     $22::text[], $23::text[], $24::text[], $25::bytea[], $26::uuid[],
                     $27::timestamptz[], $28::timestamptz[], $29::bytea[])
                 as given (id, environment, kind, provider, connection_id, status, request, result,
                     metadata, claimed_until, created_at, content, due_at, attempt_id,
                     attempt_object_id, operation, provider_key, started_at, batch_id,
                     attempt_connection_id, routing, key, route, request_hash, key_object_id,
                     key_created_at, expires_at, page)
             ), claimed as (
                 insert into idempotency_keys (tenant_id, environment, key, route, request_hash,
                     object_id, state, created_at, expires_at)
                 select $1, environment, key, route, request_hash, key_object_id, 'running',
                     key_created_at, expires_at
                 from given where key is not null
                 on conflict (tenant_id, environment, key) do nothing
                 returning environment, key, object_id
             ), mine as (
                 select * from given
                 where given.key is null or exists (
                     select from claimed
                     where claimed.environment = given.environment and claimed.key = given.key
                         and claimed.object_id is not distinct from given.key_object_id)
             ), content as (
                 insert into object_contents (tenant_id, object_id, content)
                 select $1, id, content from mine where content is not null
             ), due as (
                 insert into due_work (tenant_id, kind, object_id, at, tries)
                 select $1, $30, id, due_at, 0 from mine
             ), page as (
                 insert into checkout_directory (token_hash, tenant_id, object_id)
                 select page, $1, id from mine where page is not null
                 on conflict (token_hash) do nothing
             ), attempt as (
                 insert into attempts (id, tenant_id, object_id, operation, provider_key,
                     started_at, batch_id, connection_id, routing)
                 select attempt_id, $1, attempt_object_id, operation, provider_key, started_at,
                     batch_id, attempt_connection_id, routing
                 from mine where attempt_id is not null
             )
             insert into objects (id, tenant_id, environment, kind, provider, connection_id, status,
                 request, result, metadata, version, claimed_until, created_at, updated_at)
             select id, $1, environment, kind, provider, connection_id, status, request, result,
                 metadata, 1, claimed_until, created_at, created_at
             from mine
             returning id",
        sqlite: &[
            idempotency_keys::CLAIM,
            objects::INSERT,
            objects::INSERT_CONTENT,
            due_work::SCHEDULE,
            attempts::INSERT,
            payments::OPEN_PAGE,
        ],
    };
}

/// One column of an array's rows.
fn column<'c, T>(claims: &[&'c MessageClaim], pick: impl Fn(&'c MessageClaim) -> T) -> Vec<T> {
    claims.iter().map(|claim| pick(claim)).collect()
}

fn attempt_column<'c, T>(
    claims: &[&'c MessageClaim],
    pick: impl Fn(&'c NewAttempt) -> Option<T>,
) -> Vec<Option<T>> {
    column(claims, |claim| claim.attempt.as_ref().and_then(&pick))
}

fn key_column<'c, T>(
    claims: &[(&'c MessageClaim, Option<&'c NewKeyClaim>)],
    pick: impl Fn(&'c NewKeyClaim) -> Option<T>,
) -> Vec<Option<T>> {
    claims.iter().map(|(_, key)| key.and_then(&pick)).collect()
}

impl Store {
    /// Claims a message in a transaction that it shares with others of its tenant that are claimed
    /// at the same moment.
    ///
    /// # Errors
    /// As [`TenantTx::claim_message`]. [`GroupError::is_undecided`] tells whether the claim may have
    /// been written all the same.
    pub async fn claim(
        &self,
        tenant: TenantId,
        claim: MessageClaim,
    ) -> Result<KeyClaim, GroupError> {
        self.groups.claims.join(self, tenant, claim).await
    }
}

impl Shared for MessageClaim {
    type Outcome = KeyClaim;

    fn bytes(&self) -> usize {
        let object = &self.object;
        object.request.len() + object.content.as_ref().map_or(0, String::len)
    }

    async fn write(
        store: &Store,
        tenant: TenantId,
        claims: &[Self],
    ) -> Result<(TenantTx, Vec<KeyClaim>), StoreError> {
        let mut tx = store.begin(tenant).await?;
        let claimed = tx.claim_messages(claims).await?;
        Ok((tx, claimed))
    }
}

impl TenantTx {
    /// Claims several messages, as [`TenantTx::claim_message`] claims one; the results stand in their
    /// order.
    ///
    /// # Errors
    /// As [`TenantTx::claim_message`]: one that the database refuses undoes all of them.
    pub async fn claim_messages(
        &mut self,
        claims: &[MessageClaim],
    ) -> Result<Vec<KeyClaim>, StoreError> {
        let mut results = Vec::with_capacity(claims.len());
        if let [_, _, ..] = claims
            && let Backend::Postgres(_) = self.executors()
        {
            // Keys are claimed in one order by everybody who claims several.
            let mut rows: Vec<_> = claims.iter().map(|one| (one, one.key.as_ref())).collect();
            rows.sort_by_key(|(_, key)| key.map(|key| (&key.key, key.environment.as_str())));
            let made = self.insert_messages(&rows).await?;
            for claim in claims {
                results.push(match &claim.key {
                    Some(key) if !made.contains(&claim.object.id) => {
                        self.claim_taken(claim, key).await?
                    }
                    _ => KeyClaim::New,
                });
            }
        } else {
            for claim in claims {
                results.push(self.claim_message(claim).await?);
            }
        }
        Ok(results)
    }

    /// Claims a message. Of all that claim one key at the same time, one gets [`KeyClaim::New`] and
    /// its message is written; the others wait for its transaction, see what it left, and write
    /// nothing.
    ///
    /// # Errors
    /// As [`TenantTx::claim_key`], or the database refuses the message.
    pub async fn claim_message(&mut self, claim: &MessageClaim) -> Result<KeyClaim, StoreError> {
        let key = claim.key.as_ref();
        match (self.insert_message(claim, key).await?, key) {
            (false, Some(key)) => self.claim_taken(claim, key).await,
            _ => Ok(KeyClaim::New),
        }
    }

    /// Claims a message whose key was taken a moment ago: it may have expired, or be free again.
    async fn claim_taken(
        &mut self,
        claim: &MessageClaim,
        key: &NewKeyClaim,
    ) -> Result<KeyClaim, StoreError> {
        for _ in 0..CLAIM_ATTEMPTS {
            match self.look_at_taken_key(key).await? {
                Some(KeyClaim::New) => {
                    self.insert_message(claim, None).await?;
                    return Ok(KeyClaim::New);
                }
                Some(existing) => return Ok(existing),
                None => {}
            }
            if self.insert_message(claim, Some(key)).await? {
                return Ok(KeyClaim::New);
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
        if let Backend::Sqlite(_) = self.executors() {
            return self.insert_message_in_steps(claim, key).await;
        }
        let made = self.insert_messages(&[(claim, key)]).await?;
        Ok(!made.is_empty())
    }

    /// Writes messages whose keys are free: the ids of those that were written. PostgreSQL only.
    async fn insert_messages(
        &mut self,
        rows: &[(&MessageClaim, Option<&NewKeyClaim>)],
    ) -> Result<Vec<Uuid>, StoreError> {
        let tenant = self.tenant().uuid();
        let claims: Vec<&MessageClaim> = rows.iter().map(|(claim, _)| *claim).collect();
        let Backend::Postgres(connection) = self.executors() else {
            return Ok(Vec::new());
        };
        fetch_joined!(
            self,
            connection,
            CLAIM,
            [
                tenant,
                column(&claims, |claim| claim.object.id),
                column(&claims, |claim| claim.object.environment.as_str()),
                column(&claims, |claim| claim.object.kind.as_str()),
                column(&claims, |claim| claim.object.provider.as_str()),
                column(&claims, |claim| claim.object.connection_id.uuid()),
                column(&claims, |claim| claim.object.status.as_str()),
                column(&claims, |claim| claim.object.request.as_str()),
                column(&claims, |claim| claim.object.result.as_str()),
                column(&claims, |claim| Json(&claim.object.metadata)),
                column(&claims, |claim| claim.object.claimed_until),
                column(&claims, |claim| claim.object.created_at),
                column(&claims, |claim| claim.object.content.as_deref()),
                column(&claims, |claim| claim.due_at),
                attempt_column(&claims, |attempt| Some(attempt.id.uuid())),
                attempt_column(&claims, |attempt| Some(attempt.object_id)),
                attempt_column(&claims, |attempt| Some(attempt.operation.as_str())),
                attempt_column(&claims, |attempt| Some(attempt.provider_key.as_str())),
                attempt_column(&claims, |attempt| Some(attempt.started_at)),
                attempt_column(&claims, |attempt| attempt.batch_id),
                attempt_column(&claims, |attempt| Some(attempt.connection_id.uuid())),
                attempt_column(&claims, |attempt| attempt.routing.as_deref()),
                key_column(rows, |key| Some(key.key.as_str())),
                key_column(rows, |key| Some(key.route.as_str())),
                key_column(rows, |key| Some(key.request_hash.as_slice())),
                key_column(rows, |key| key.object_id),
                key_column(rows, |key| Some(key.now)),
                key_column(rows, |key| Some(key.expires_at)),
                column(&claims, |claim| claim
                    .page
                    .as_ref()
                    .map(<[u8; 32]>::as_slice)),
                WorkKind::Settle.as_str(),
            ]
        )
        .during("claim messages")
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
        if let Some(page) = &claim.page {
            self.open_checkout(page, claim.object.id).await?;
        }
        Ok(true)
    }
}
