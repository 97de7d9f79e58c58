//! The settlement of a message: what a call made of its object, its attempt and its idempotency
//! key, the event about it, the work that is due and the log of the call. On PostgreSQL all of it
//! is one statement, which writes nothing unless the object still is what it was.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;

use super::attempts::{self, AttemptEnd};
use super::backend::{Backend, execute_joined};
use super::call_logs::{self, NewCallLog};
use super::due_work::{self, WorkKind};
use super::error::During as _;
use super::events::{self, NewEvent};
use super::idempotency_keys;
use super::objects::{self, ObjectUpdate};
use super::statement::{Joined, joined_statements};
use super::{StoreError, TenantTx, constraint};

/// A message that is settled.
#[derive(Debug)]
pub struct MessageSettlement<'a> {
    /// Its next version.
    pub object: &'a ObjectUpdate,
    /// How its attempt ended; none where that is written by itself.
    pub attempt: Option<&'a AttemptEnd>,
    /// What happened to it.
    pub event: &'a NewEvent,
    /// The request that it came with.
    pub request: SettledRequest<'a>,
    /// The log's entry.
    pub call_log: &'a NewCallLog,
}

/// The request that a message came with.
#[derive(Debug, Clone)]
pub struct SettledRequest<'a> {
    /// In which environment.
    pub environment: Environment,
    /// Its key, if it came with one.
    pub key: Option<&'a str>,
    /// How it ends.
    pub end: RequestEnd,
}

/// How a request ends when its message is settled.
#[derive(Debug, Clone)]
pub enum RequestEnd {
    /// The answer is kept under the key, and nothing is left to do.
    Answered {
        /// What was answered.
        status: u16,
        /// What was answered.
        body: Bytes,
        /// Until when at least.
        kept_until: DateTime<Utc>,
    },
    /// Nothing was processed: the key is free again, and nothing is left to do.
    Released,
    /// Nobody knows yet.
    Unknown {
        /// When to find out.
        ask_at: DateTime<Utc>,
    },
}

/// What every settlement writes, between the parts that differ by how the request ends.
macro_rules! settle {
    ($request:literal) => {
        concat!(
            "with settled as (
                 update objects
                 set status = $4, provider_ref = coalesce($5, provider_ref), result = $6,
                     claimed_until = $7, refreshed_at = coalesce($8, refreshed_at),
                     updated_at = $9, version = version + 1
                 where tenant_id = $1 and id = $2 and version = $3
                 returning version
             ), attempt as (
                 update attempts set outcome = $11, detail = $12, ended_at = $13 from settled
                 where tenant_id = $1 and id = $10 and ended_at is null
             ), event as (
                 insert into events (id, tenant_id, environment, type, object_id, object_version,
                     data, created_at)
                 select $14, $1, $15, $16, $17, $18, $19, $20 from settled
             ), ",
            $request,
            "
             insert into call_logs (id, tenant_id, environment, api_key_id, method, route, status,
                 duration_us, object_id, provider, code, created_at)
             select $21, $1, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31 from settled"
        )
    };
}

joined_statements! {
    ANSWERED = Joined {
        postgres: settle!(
            "answer as (
                 update idempotency_keys set state = 'done', status = $35, body = $36,
                     expires_at = case when expires_at < $37 then $37 else expires_at end
                 from settled
                 where tenant_id = $1 and environment = $33 and key = $34 and state <> 'done'
             ), work as (
                 delete from due_work using settled
                 where tenant_id = $1 and kind = $32 and object_id = $2
             )"
        ),
        sqlite: &[
            objects::UPDATE,
            attempts::FINISH,
            events::INSERT,
            idempotency_keys::FINISH,
            due_work::FINISH,
            call_logs::INSERT,
        ],
    };
    RELEASED = Joined {
        postgres: settle!(
            "answer as (
                 delete from idempotency_keys using settled
                 where tenant_id = $1 and environment = $33 and key = $34 and state <> 'done'
             ), work as (
                 delete from due_work using settled
                 where tenant_id = $1 and kind = $32 and object_id = $2
             )"
        ),
        sqlite: &[
            objects::UPDATE,
            attempts::FINISH,
            events::INSERT,
            idempotency_keys::RELEASE,
            due_work::FINISH,
            call_logs::INSERT,
        ],
    };
    UNKNOWN = Joined {
        postgres: settle!(
            "answer as (
                 update idempotency_keys set state = 'unknown' from settled
                 where tenant_id = $1 and environment = $33 and key = $34 and state = 'running'
             ), work as (
                 insert into due_work (tenant_id, kind, object_id, at, tries)
                 select $1, $32, $2, $35, 0 from settled
                 on conflict (kind, object_id) do update
                 set at = excluded.at, leased_until = null
             )"
        ),
        sqlite: &[
            objects::UPDATE,
            attempts::FINISH,
            events::INSERT,
            idempotency_keys::MARK_UNKNOWN,
            due_work::SCHEDULE,
            call_logs::INSERT,
        ],
    };
}

/// Binds what every settlement writes, and then what is special.
macro_rules! settle_joined {
    ($on:expr, $connection:ident, $statement:expr, $tenant:ident, $settlement:expr,
     [$($value:expr),*]) => {{
        let MessageSettlement { object, attempt, event, request, call_log: call } = $settlement;
        execute_joined!($on, $connection, $statement, [
            $tenant,
            object.id,
            object.expected_version.cast_signed(),
            &object.status,
            object.provider_ref.as_deref(),
            &object.result,
            object.claimed_until,
            object.refreshed_at,
            object.updated_at,
            attempt.map(|attempt| attempt.id.uuid()),
            attempt.map(|attempt| attempt.outcome.as_str()),
            attempt.and_then(|attempt| attempt.detail.as_deref()),
            attempt.map(|attempt| attempt.ended_at),
            event.id.uuid(),
            event.environment.as_str(),
            &event.event_type,
            event.object_id,
            event.object_version.cast_signed(),
            &event.data,
            event.created_at,
            call.id.uuid(),
            call.environment.as_str(),
            call.api_key_id.map(onerouter_domain::id::ApiKeyId::uuid),
            &call.method,
            &call.route,
            i64::from(call.status),
            call.duration_us.cast_signed(),
            call.object_id,
            call.provider.as_deref(),
            call.code.as_deref(),
            call.created_at,
            WorkKind::Settle.as_str(),
            request.environment.as_str(),
            request.key
            $(, $value)*
        ])
    }};
}

impl TenantTx {
    /// Settles a message; `false` when the version that was read is no longer the last one, and
    /// nothing was written.
    ///
    /// # Errors
    /// As [`TenantTx::update_object`].
    pub async fn settle_message(
        &mut self,
        settlement: &MessageSettlement<'_>,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        let connection = match self.executors() {
            Backend::Postgres(connection) => connection,
            Backend::Sqlite(_) => return self.settle_message_in_steps(settlement).await,
        };
        match &settlement.request.end {
            RequestEnd::Answered {
                status,
                body,
                kept_until,
            } => settle_joined!(
                self,
                connection,
                ANSWERED,
                tenant,
                settlement,
                [i64::from(*status), body.as_ref(), kept_until]
            ),
            RequestEnd::Released => {
                settle_joined!(self, connection, RELEASED, tenant, settlement, [])
            }
            RequestEnd::Unknown { ask_at } => {
                settle_joined!(self, connection, UNKNOWN, tenant, settlement, [ask_at])
            }
        }
        .map(|rows| rows == 1)
        .during_unique("settle a message", constraint::PROVIDER_REF)
    }

    async fn settle_message_in_steps(
        &mut self,
        settlement: &MessageSettlement<'_>,
    ) -> Result<bool, StoreError> {
        if !self.update_object(settlement.object).await? {
            return Ok(false);
        }
        if let Some(end) = settlement.attempt {
            self.finish_attempt(end).await?;
        }
        self.insert_event(settlement.event).await?;
        self.end_request(&settlement.request).await?;
        let (kind, object) = (WorkKind::Settle, settlement.object.id);
        match settlement.request.end {
            RequestEnd::Unknown { ask_at } => self.schedule(kind, object, ask_at).await?,
            RequestEnd::Answered { .. } | RequestEnd::Released => {
                self.finish_work(kind, object).await?;
            }
        }
        self.insert_call_log(settlement.call_log)
            .await
            .map(|()| true)
    }

    async fn end_request(&mut self, request: &SettledRequest<'_>) -> Result<(), StoreError> {
        let Some(key) = request.key else {
            return Ok(());
        };
        match &request.end {
            RequestEnd::Answered {
                status,
                body,
                kept_until,
            } => {
                self.finish_key(request.environment, key, *status, body, *kept_until)
                    .await?
            }
            RequestEnd::Released => self.release_key(request.environment, key).await?,
            RequestEnd::Unknown { .. } => self.mark_key_unknown(request.environment, key).await?,
        };
        Ok(())
    }
}
