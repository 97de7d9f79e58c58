//! `audit_log`: who has changed what. Only added to; with PostgreSQL the service's role can do nothing
//! else, with SQLite a trigger refuses it.

use chrono::{DateTime, Utc};
use onerouter_domain::id::AuditId;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all};
use super::error::During as _;
use super::objects::{END_OF_TIME, ID_MARGIN};
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};
use crate::ids;

/// An entry, as it is written and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its id.
    pub id: AuditId,
    /// Who it was: the kind of proof, for now.
    pub actor: String,
    /// What was done: `api_key.created`, …
    pub action: String,
    /// To what: its id, or its place.
    pub target: String,
    /// What it was: JSON without secrets.
    pub before: Option<String>,
    /// What it is now: JSON without secrets.
    pub after: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// By which request, as its `X-Request-Id` said.
    pub request_id: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Which entries are listed.
#[derive(Debug, Clone)]
pub struct AuditFilter {
    /// How many at most.
    pub limit: u32,
    /// Only older than this one.
    pub before: Option<AuditId>,
    /// Only this action.
    pub action: Option<String>,
    /// Only about this.
    pub target: Option<String>,
    /// Only made at or after this time.
    pub created_after: Option<DateTime<Utc>>,
    /// Only made before this time.
    pub created_before: Option<DateTime<Utc>>,
}

statements! {
    INSERT = Statement::same(
        "insert into audit_log (tenant_id, id, actor, action, target, before, after, address,
             request_id, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    );
    LIST = Statement::same(
        "select id, actor, action, target, before, after, address, request_id, created_at
         from audit_log
         where tenant_id = $1 and id < $2 and id >= $8
             and (cast($3 as text) is null or action = $3)
             and (cast($4 as text) is null or target = $4)
             and created_at >= $5 and created_at < $6
         order by id desc limit $7",
    );
}

impl TenantTx {
    /// Adds an entry.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_audit(&mut self, entry: &AuditRow) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            INSERT,
            [
                tenant,
                entry.id.uuid(),
                &entry.actor,
                &entry.action,
                &entry.target,
                entry.before.as_deref(),
                entry.after.as_deref(),
                entry.address.as_deref(),
                entry.request_id.as_deref(),
                entry.created_at,
            ]
        )
        .map(drop)
        .during("add to the audit log")
    }

    /// Entries, newest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_audit(&mut self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        let tenant = self.tenant().uuid();
        let before = filter.before.map_or(Uuid::max(), AuditId::uuid);
        let after = filter.created_after.unwrap_or(DateTime::UNIX_EPOCH);
        let until = filter.created_before.unwrap_or(END_OF_TIME);
        let first = ids::first_of(after - ID_MARGIN);
        let before = before.min(ids::first_of(until + ID_MARGIN));
        fetch_all!(
            self,
            LIST,
            [
                tenant,
                before,
                filter.action.as_deref(),
                filter.target.as_deref(),
                after,
                until,
                i64::from(filter.limit),
                first
            ]
        )
        .during("list the audit log")
    }
}

impl FromColumns for AuditRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: AuditId::from_uuid(row.uuid("id")?),
            actor: row.text("actor")?,
            action: row.text("action")?,
            target: row.text("target")?,
            before: row.get("before")?,
            after: row.get("after")?,
            address: row.get("address")?,
            request_id: row.get("request_id")?,
            created_at: row.time("created_at")?,
        })
    }
}
