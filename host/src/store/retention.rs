//! How what is too old goes: whole partitions of events, deliveries and call logs on PostgreSQL, which a
//! moment takes and which leaves no holes; rows elsewhere, some at a time.
//!
//! Ids are UUIDs of version 7, which begin with their time: what is older than a time has a smaller id.

use chrono::{DateTime, Utc};

use super::backend::execute;
use super::error::During as _;
use super::session::Alone;
use super::statement::{Statement, statements};
use super::{Db, Store, StoreError, TenantTx};
use crate::ids;

/// Rows of one table that go in one transaction.
const BATCH: i64 = 1_000;

/// What is kept for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// What happened to objects.
    Events,
    /// Requests of clients.
    CallLogs,
    /// What providers have told.
    ReceivedWebhooks,
    /// What was told to whom.
    Deliveries,
    /// How that went.
    DeliveryAttempts,
}

impl Log {
    const fn table(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::CallLogs => "call_logs",
            Self::ReceivedWebhooks => "received_webhooks",
            Self::Deliveries => "webhook_deliveries",
            Self::DeliveryAttempts => "webhook_attempts",
        }
    }
}

macro_rules! older {
    ($table:literal) => {
        Statement::same(concat!(
            "delete from ",
            $table,
            " where tenant_id = $1 and id in (
                 select id from ",
            $table,
            " where tenant_id = $1 and id < $2 order by id limit $3)"
        ))
    };
}

statements! {
    EVENTS = older!("events");
    CALL_LOGS = older!("call_logs");
    RECEIVED_WEBHOOKS = older!("received_webhooks");
    DELIVERIES = older!("webhook_deliveries");
    DELIVERY_ATTEMPTS = older!("webhook_attempts");
    /// All of an object go together, once all are old: keys toward providers are numbered by the
    /// attempts before, and what an unknown object came to is found by its first one. So do those that
    /// objects share, with the attempts of all of them. (`cross join`: SQLite goes through them in this
    /// order.)
    ATTEMPTS = Statement::same(
        "delete from attempts where tenant_id = $1 and id in (
             select id from attempts
             where tenant_id = $1 and id < $2 and ended_at is not null
                 and not exists (
                     select 1 from attempts as later
                     where later.tenant_id = $1 and later.object_id = attempts.object_id
                         and (later.id >= $2 or later.ended_at is null))
                 and not exists (
                     select 1 from attempt_objects as later
                     where later.tenant_id = $1 and later.object_id = attempts.object_id
                         and later.attempt_id >= $2)
                 and not exists (
                     select 1 from objects
                     where objects.tenant_id = $1 and objects.id = attempts.object_id
                         and (objects.status = 'unknown' or objects.claimed_until is not null))
                 and not exists (
                     select 1 from attempt_objects as mine cross join objects
                     where mine.tenant_id = $1 and mine.attempt_id = attempts.id
                         and objects.tenant_id = $1 and objects.id = mine.object_id
                         and (objects.status = 'unknown' or objects.claimed_until is not null))
                 and not exists (
                     select 1 from attempt_objects as mine cross join attempts as later
                     where mine.tenant_id = $1 and mine.attempt_id = attempts.id
                         and later.tenant_id = $1 and later.object_id = mine.object_id
                         and (later.id >= $2 or later.ended_at is null))
                 and not exists (
                     select 1 from attempt_objects as mine cross join attempt_objects as later
                     where mine.tenant_id = $1 and mine.attempt_id = attempts.id
                         and later.tenant_id = $1 and later.object_id = mine.object_id
                         and later.attempt_id >= $2)
             order by id limit $3)",
    );
    /// Those that are shared, with theirs.
    ATTEMPT_OBJECTS = Statement::same(
        "delete from attempt_objects where tenant_id = $1 and attempt_id in (
             select attempt_id from attempt_objects
             where tenant_id = $1 and attempt_id < $2 and not exists (
                 select 1 from attempts where attempts.tenant_id = $1
                     and attempts.id = attempt_objects.attempt_id)
             order by attempt_id limit $3)",
    );
}

impl Store {
    /// Makes room for what will be written until a time. PostgreSQL only; elsewhere nothing is to be
    /// done.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn make_partitions(&self, until: DateTime<Utc>) -> Result<i64, StoreError> {
        let Db::Postgres(kept) = &self.db else {
            return Ok(0);
        };
        sqlx::query_scalar("select make_partitions($1)")
            .bind(until)
            .fetch_one(Alone(kept))
            .await
            .during("make partitions")
    }

    /// Drops the partitions of a log that hold nothing younger than a time. Tells how many.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn drop_partitions(
        &self,
        log: Log,
        before: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        let Db::Postgres(kept) = &self.db else {
            return Ok(0);
        };
        sqlx::query_scalar("select drop_partitions($1, $2)")
            .bind(log.table())
            .bind(before)
            .fetch_one(Alone(kept))
            .await
            .during("drop partitions")
    }

    /// Whether a log's rows go by partitions.
    #[must_use]
    pub const fn has_partitions(&self) -> bool {
        matches!(self.db, Db::Postgres(_))
    }
}

impl TenantTx {
    /// Deletes some of a log's rows that are older than a time: how many.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_old_log(
        &mut self,
        log: Log,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let (tenant, before) = (self.tenant().uuid(), ids::first_of(before));
        match log {
            Log::Events => execute!(self, EVENTS, [tenant, before, BATCH]),
            Log::CallLogs => execute!(self, CALL_LOGS, [tenant, before, BATCH]),
            Log::ReceivedWebhooks => execute!(self, RECEIVED_WEBHOOKS, [tenant, before, BATCH]),
            Log::Deliveries => execute!(self, DELIVERIES, [tenant, before, BATCH]),
            Log::DeliveryAttempts => execute!(self, DELIVERY_ATTEMPTS, [tenant, before, BATCH]),
        }
        .during("delete old log entries")
    }

    /// Deletes some of the attempts that ended and began before a time: how many.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_old_attempts(&mut self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        const OPERATION: &str = "delete old attempts";
        let (tenant, before) = (self.tenant().uuid(), ids::first_of(before));
        let attempts = execute!(self, ATTEMPTS, [tenant, before, BATCH]).during(OPERATION)?;
        let shared = execute!(self, ATTEMPT_OBJECTS, [tenant, before, BATCH]).during(OPERATION)?;
        Ok(attempts.max(shared))
    }
}
