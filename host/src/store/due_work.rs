//! `due_work`: what is to be done later, by whichever node comes first. It names a tenant and an
//! object and holds nothing else of theirs.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use onerouter_domain::id::TenantId;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Find out what became of an object.
    Settle,
    /// Ask about an open object.
    Watch,
    /// Do what was put off until then.
    Postponed,
    /// Act on a webhook of a provider's.
    Webhook,
}

impl WorkKind {
    /// The name in the column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Watch => "watch",
            Self::Postponed => "postponed",
            Self::Webhook => "webhook",
        }
    }
}

/// The text names no kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a kind of work")]
pub struct ParseWorkKindError;

impl FromStr for WorkKind {
    type Err = ParseWorkKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "settle" => Ok(Self::Settle),
            "watch" => Ok(Self::Watch),
            "postponed" => Ok(Self::Postponed),
            "webhook" => Ok(Self::Webhook),
            _ => Err(ParseWorkKindError),
        }
    }
}

/// Work that is due, and this caller's until its lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueWork {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What is to be done.
    pub kind: WorkKind,
    /// About what.
    pub object_id: Uuid,
    /// When it became due.
    pub at: DateTime<Utc>,
    /// How often it has been leased, this time included.
    pub tries: u32,
}

/// PostgreSQL's workers pass over rows that another one is leasing; in SQLite there is one writer.
macro_rules! lease {
    ($lock:literal) => {
        concat!(
            "with due as (
                 select object_id from due_work
                 where kind = $1 and at <= $2 and (leased_until is null or leased_until <= $2)
                 order by at limit $4",
            $lock,
            ")
             update due_work set leased_until = $3, tries = tries + 1
             from due where due_work.kind = $1 and due_work.object_id = due.object_id
             returning due_work.tenant_id, due_work.kind, due_work.object_id, due_work.at,
                 due_work.tries"
        )
    };
}

statements! {
    SCHEDULE = Statement::same(
        "insert into due_work (tenant_id, kind, object_id, at, tries) values ($1, $2, $3, $4, 0)
         on conflict (kind, object_id) do update set at = excluded.at, leased_until = null",
    );
    DEFER = Statement::same(
        "update due_work set at = $4, leased_until = null, tries = tries - 1
         where tenant_id = $1 and kind = $2 and object_id = $3",
    );
    FINISH = Statement::same(
        "delete from due_work where tenant_id = $1 and kind = $2 and object_id = $3",
    );
    LEASE = Statement {
        postgres: lease!(" for update skip locked"),
        sqlite: lease!(""),
    };
}

impl Store {
    /// Leases up to `limit` pieces of work that are due at `now`: nobody else gets them before
    /// `lease_until`.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn lease_due(
        &self,
        kind: WorkKind,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DueWork>, StoreError> {
        // Work that was leased by a connection that died before it said so is due again later.
        self.past_dead_connections(|| async {
            fetch_all!(
                self.pools_to_write(),
                LEASE,
                [kind.as_str(), now, lease_until, i64::from(limit)]
            )
        })
        .await
        .during("lease due work")
    }
}

impl TenantTx {
    /// Has something done at `at`, instead of when it was to be done before. A lease on it ends.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn schedule(
        &mut self,
        kind: WorkKind,
        object: Uuid,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, SCHEDULE, [tenant, kind.as_str(), object, at])
            .map(drop)
            .during("schedule work")
    }

    /// Gives leased work back untouched, for another time.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn defer(&mut self, work: &DueWork, at: DateTime<Utc>) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            DEFER,
            [tenant, work.kind.as_str(), work.object_id, at]
        )
        .map(drop)
        .during("defer work")
    }

    /// Has nothing more done; `false` when there was nothing to do.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn finish_work(&mut self, kind: WorkKind, object: Uuid) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(self, FINISH, [tenant, kind.as_str(), object])
            .map(|rows| rows == 1)
            .during("finish work")
    }
}

impl FromColumns for DueWork {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
            kind: row.parsed("kind")?,
            object_id: row.uuid("object_id")?,
            at: row.time("at")?,
            tries: row.integer("tries")?,
        })
    }
}
