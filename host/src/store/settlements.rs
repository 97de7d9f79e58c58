//! The settlement of a message: what a call made of its object, its attempt and its idempotency
//! key, the event about it, whom it is told to, the work that is due and the log of the call. On PostgreSQL all of it
//! is one statement, for as many messages as are settled together, which writes nothing of one that is
//! no longer what it was.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{EventId, TenantId};
use uuid::Uuid;

use super::attempts::{self, AttemptEnd};
use super::backend::{Backend, Columns, FromColumns, fetch_joined};
use super::call_logs::{self, NewCallLog};
use super::deliveries::{self, deliveries_of, queued_for};
use super::delivery_queue;
use super::due_work::{self, WorkKind};
use super::error::During as _;
use super::events::{self, NewEvent};
use super::groups::{GroupError, Shared};
use super::idempotency_keys;
use super::objects::{self, ObjectUpdate};
use super::statement::{Joined, joined_statements};
use super::{Store, StoreError, TenantTx, constraint};
use crate::ids;

/// A message that is settled.
#[derive(Debug, Clone)]
pub struct MessageSettlement {
    /// Its next version.
    pub object: ObjectUpdate,
    /// How its attempt ended; none where that is written by itself.
    pub attempt: Option<AttemptEnd>,
    /// What happened to it.
    pub event: NewEvent,
    /// The request that it came with.
    pub request: SettledRequest,
    /// The log's entry.
    pub call_log: NewCallLog,
    /// When it is asked about without anybody's reading it; none for never.
    pub watch_at: Option<DateTime<Utc>>,
}

/// The request that a message came with.
#[derive(Debug, Clone)]
pub struct SettledRequest {
    /// In which environment.
    pub environment: Environment,
    /// Its key, if it came with one.
    pub key: Option<String>,
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

/// As the statement tells them apart.
const ANSWERED: &str = "answered";
const RELEASED: &str = "released";
const UNKNOWN: &str = "unknown";

impl RequestEnd {
    const fn name(&self) -> &'static str {
        match self {
            Self::Answered { .. } => ANSWERED,
            Self::Released => RELEASED,
            Self::Unknown { .. } => UNKNOWN,
        }
    }

    /// Status, body, and until when they are kept.
    fn answer(&self) -> Option<(u16, &[u8], DateTime<Utc>)> {
        match self {
            Self::Answered {
                status,
                body,
                kept_until,
            } => Some((*status, body, *kept_until)),
            Self::Released | Self::Unknown { .. } => None,
        }
    }

    const fn ask_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Unknown { ask_at } => Some(*ask_at),
            Self::Answered { .. } | Self::Released => None,
        }
    }
}

joined_statements! {
    /// One row of the arrays for each message: those that are settled at the same moment share the
    /// statement. Of a message that is no longer what it was, nothing is written.
    SETTLE = Joined {
        postgres: concat!("with given as (
                 select * from unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[],
                     $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::uuid[],
                     $11::text[], $12::text[], $13::timestamptz[], $14::uuid[], $15::text[],
                     $16::text[], $17::bigint[], $18::text[], $19::timestamptz[], $20::uuid[],
                     $21::uuid[], $22::text[], $23::text[], $24::bigint[], $25::bigint[],
                     $26::text[], $27::text[], $28::timestamptz[], $29::text[], $30::text[],
                     $31::bigint[], $32::bytea[], $33::timestamptz[], $34::timestamptz[],
                     $35::timestamptz[])
                 as given (id, expected_version, status, provider_ref, result, claimed_until,
                     refreshed_at, updated_at, attempt_id, outcome, detail, ended_at, event_id,
                     environment, event_type, event_version, data, event_created_at, call_id,
                     api_key_id, method, route, call_status, duration_us, provider, code,
                     call_created_at, key, ending, answer_status, body, kept_until, ask_at,
                     watch_at)
             ), settled as (
                 update objects
                 set status = given.status,
                     provider_ref = coalesce(given.provider_ref, objects.provider_ref),
                     result = given.result, claimed_until = given.claimed_until,
                     refreshed_at = coalesce(given.refreshed_at, objects.refreshed_at),
                     updated_at = given.updated_at, version = objects.version + 1
                 from given
                 where objects.tenant_id = $1 and objects.id = given.id
                     and objects.version = given.expected_version
                 returning given.*
             ), attempt as (
                 update attempts set outcome = settled.outcome, detail = settled.detail,
                     ended_at = settled.ended_at
                 from settled
                 where attempts.tenant_id = $1 and attempts.id = settled.attempt_id
                     and attempts.ended_at is null
             ), event as (
                 insert into events (id, tenant_id, environment, type, object_id, object_version,
                     data, created_at)
                 select event_id, $1, environment, event_type, id, event_version, data,
                     event_created_at
                 from settled
             ), ", deliveries_of!("settled"), ", answered as (
                 update idempotency_keys
                 set state = 'done', status = settled.answer_status, body = settled.body,
                     expires_at = greatest(expires_at, settled.kept_until)
                 from settled
                 where tenant_id = $1 and idempotency_keys.environment = settled.environment
                     and idempotency_keys.key = settled.key and state <> 'done'
                     and settled.ending = 'answered'
             ), released as (
                 delete from idempotency_keys using settled
                 where tenant_id = $1 and idempotency_keys.environment = settled.environment
                     and idempotency_keys.key = settled.key and state <> 'done'
                     and settled.ending = 'released'
             ), doubted as (
                 update idempotency_keys set state = 'unknown' from settled
                 where tenant_id = $1 and idempotency_keys.environment = settled.environment
                     and idempotency_keys.key = settled.key and state = 'running'
                     and settled.ending = 'unknown'
             ), finished as (
                 delete from due_work using settled
                 where tenant_id = $1 and kind = $36 and object_id = settled.id
                     and settled.ending <> 'unknown'
             ), asked as (
                 insert into due_work (tenant_id, kind, object_id, at, tries)
                 select $1, $36, id, ask_at, 0 from settled where ending = 'unknown'
                 on conflict (kind, object_id) do update
                 set at = excluded.at, leased_until = null
             ), watched as (
                 insert into due_work (tenant_id, kind, object_id, at, tries)
                 select $1, $37, id, watch_at, 0 from settled where watch_at is not null
                 on conflict (kind, object_id) do update
                 set at = excluded.at, leased_until = null
             )
             insert into call_logs (id, tenant_id, environment, api_key_id, method, route, status,
                 duration_us, object_id, provider, code, created_at)
             select call_id, $1, environment, api_key_id, method, route, call_status, duration_us,
                 id, provider, code, call_created_at
             from settled
             returning object_id as id, ", queued_for!()),
        sqlite: &[
            objects::UPDATE,
            attempts::FINISH,
            events::INSERT,
            deliveries::WANTING,
            deliveries::DELIVER,
            delivery_queue::QUEUE,
            idempotency_keys::FINISH,
            idempotency_keys::RELEASE,
            idempotency_keys::MARK_UNKNOWN,
            due_work::FINISH,
            due_work::SCHEDULE,
            call_logs::INSERT,
        ],
    };
}

impl Store {
    /// Settles a message in a transaction that it shares with others of its tenant that are settled at
    /// the same moment; `false` when the version that was read is no longer the last one.
    ///
    /// # Errors
    /// As [`TenantTx::settle_messages`].
    pub async fn settle(
        &self,
        tenant: TenantId,
        settlement: MessageSettlement,
    ) -> Result<bool, GroupError> {
        self.groups.settlements.join(self, tenant, settlement).await
    }
}

impl Shared for MessageSettlement {
    type Outcome = bool;

    fn bytes(&self) -> usize {
        let body = self
            .request
            .end
            .answer()
            .map_or(0, |(_, body, _)| body.len());
        self.object.result.len() + self.event.data.len() + body
    }

    async fn write(
        store: &Store,
        tenant: TenantId,
        settlements: &[Self],
    ) -> Result<(TenantTx, Vec<bool>), StoreError> {
        let mut tx = store.begin(tenant).await?;
        let settled = tx.settle_messages(settlements).await?;
        Ok((tx, settled))
    }
}

impl TenantTx {
    /// Settles messages; each result, in their order, is `false` when the version that was read is no
    /// longer the last one, and nothing was written of that message.
    ///
    /// # Errors
    /// As [`TenantTx::update_object`]; then nothing is written of any of them.
    pub async fn settle_messages(
        &mut self,
        settlements: &[MessageSettlement],
    ) -> Result<Vec<bool>, StoreError> {
        let tenant = self.tenant().uuid();
        let connection = match self.executors() {
            Backend::Postgres(connection) => connection,
            Backend::Sqlite(_) => {
                let mut settled = Vec::with_capacity(settlements.len());
                for settlement in settlements {
                    settled.push(self.settle_message_in_steps(settlement).await?);
                }
                return Ok(settled);
            }
        };
        let of = Arrays(settlements);
        let settled: Vec<Settled> = fetch_joined!(
            self,
            connection,
            SETTLE,
            [
                tenant,
                of.object(|object| object.id),
                of.object(|object| object.expected_version.cast_signed()),
                of.object(|object| object.status.as_str()),
                of.object(|object| object.provider_ref.as_deref()),
                of.object(|object| object.result.as_str()),
                of.object(|object| object.claimed_until),
                of.object(|object| object.refreshed_at),
                of.object(|object| object.updated_at),
                of.attempt(|attempt| Some(attempt.id.uuid())),
                of.attempt(|attempt| Some(attempt.outcome.as_str())),
                of.attempt(|attempt| attempt.detail.as_deref()),
                of.attempt(|attempt| Some(attempt.ended_at)),
                of.event(|_| id_of_event().uuid()),
                of.event(|event| event.environment.as_str()),
                of.event(|event| event.event_type.as_str()),
                of.event(|event| event.object_version.cast_signed()),
                of.event(|event| event.data.as_str()),
                of.event(|event| event.created_at),
                of.call(|call| call.id.uuid()),
                of.call(|call| call.api_key_id.map(onerouter_domain::id::ApiKeyId::uuid)),
                of.call(|call| call.method.as_str()),
                of.call(|call| call.route.as_str()),
                of.call(|call| i64::from(call.status)),
                of.call(|call| call.duration_us.cast_signed()),
                of.call(|call| call.provider.as_deref()),
                of.call(|call| call.code.as_deref()),
                of.call(|call| call.created_at),
                of.request(|request| request.key.as_deref()),
                of.request(|request| request.end.name()),
                of.request(|request| request.end.answer().map(|answer| i64::from(answer.0))),
                of.request(|request| request.end.answer().map(|answer| answer.1)),
                of.request(|request| request.end.answer().map(|answer| answer.2)),
                of.request(|request| request.end.ask_at()),
                of.of(|one| one.watch_at),
                WorkKind::Settle.as_str(),
                WorkKind::Watch.as_str(),
            ]
        )
        .during_unique("settle messages", constraint::PROVIDER_REF)?;
        // The same in each row.
        if let Some(first) = settled.first() {
            self.note_queued_for(first.queued_for.as_deref());
        }
        let is_settled =
            |one: &MessageSettlement| settled.iter().any(|settled| settled.id == one.object.id);
        Ok(settlements.iter().map(is_settled).collect())
    }

    async fn settle_message_in_steps(
        &mut self,
        settlement: &MessageSettlement,
    ) -> Result<bool, StoreError> {
        if !self.update_object(&settlement.object).await? {
            return Ok(false);
        }
        if let Some(end) = &settlement.attempt {
            self.finish_attempt(end).await?;
        }
        let event = NewEvent {
            id: id_of_event(),
            ..settlement.event.clone()
        };
        self.insert_event(&event).await?;
        self.end_request(&settlement.request).await?;
        let (kind, object) = (WorkKind::Settle, settlement.object.id);
        match settlement.request.end {
            RequestEnd::Unknown { ask_at } => self.schedule(kind, object, ask_at).await?,
            RequestEnd::Answered { .. } | RequestEnd::Released => {
                self.finish_work(kind, object).await?;
            }
        }
        if let Some(at) = settlement.watch_at {
            self.schedule(WorkKind::Watch, object, at).await?;
        }
        self.insert_call_log(&settlement.call_log)
            .await
            .map(|()| true)
    }

    async fn end_request(&mut self, request: &SettledRequest) -> Result<(), StoreError> {
        let Some(key) = request.key.as_deref() else {
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

/// The arrays that the statement takes.
struct Arrays<'s>(&'s [MessageSettlement]);

impl<'s> Arrays<'s> {
    fn of<T>(&self, pick: impl Fn(&'s MessageSettlement) -> T) -> Vec<T> {
        self.0.iter().map(pick).collect()
    }

    fn object<T>(&self, pick: impl Fn(&'s ObjectUpdate) -> T) -> Vec<T> {
        self.of(|one| pick(&one.object))
    }

    fn attempt<T>(&self, pick: impl Fn(&'s AttemptEnd) -> Option<T>) -> Vec<Option<T>> {
        self.of(|one| one.attempt.as_ref().and_then(&pick))
    }

    fn event<T>(&self, pick: impl Fn(&'s NewEvent) -> T) -> Vec<T> {
        self.of(|one| pick(&one.event))
    }

    fn call<T>(&self, pick: impl Fn(&'s NewCallLog) -> T) -> Vec<T> {
        self.of(|one| pick(&one.call_log))
    }

    fn request<T>(&self, pick: impl Fn(&'s SettledRequest) -> T) -> Vec<T> {
        self.of(|one| pick(&one.request))
    }
}

/// Readers of the feed go by ids. A settlement may have waited for others, and for theirs that were refused;
/// the id of its event is of the moment in which it is written.
fn id_of_event() -> EventId {
    EventId::from_uuid(ids::next())
}

/// What the statement tells.
struct Settled {
    id: Uuid,
    queued_for: Option<String>,
}

impl FromColumns for Settled {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.uuid("id")?,
            queued_for: row.get("queued_for")?,
        })
    }
}
