//! `attempts`: each try to do something at a provider, written before anything leaves the house.
//!
//! One provider call may serve several objects (a batch of e-mails): `attempt_objects` then tells
//! which, and in which order.

use chrono::{DateTime, Utc};
use onerouter_domain::id::{AttemptId, ConnectionId};
use sqlx::types::Json;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{StoreError, TenantTx};

/// An attempt as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its id.
    pub id: AttemptId,
    /// Its object; of a shared attempt, the first one.
    pub object_id: Uuid,
    /// What was tried, as the adapter's interface names it.
    pub operation: String,
    /// The key toward the provider; empty where it honours none for this operation.
    pub provider_key: String,
    /// What came of it; none while it runs, or after a crash.
    pub outcome: Option<String>,
    /// The ledger of the call: JSON.
    pub detail: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The request that several objects came with.
    pub batch_id: Option<Uuid>,
    /// Over which connection; none: over the object's.
    pub connection_id: Option<ConnectionId>,
}

/// An attempt that begins.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    /// Its id.
    pub id: AttemptId,
    /// Its object; of a shared attempt, the first one.
    pub object_id: Uuid,
    /// What is tried, as the adapter's interface names it.
    pub operation: String,
    /// The key toward the provider; empty where it honours none for this operation.
    pub provider_key: String,
    /// Now.
    pub started_at: DateTime<Utc>,
    /// The request that several objects came with.
    pub batch_id: Option<Uuid>,
    /// Over which connection.
    pub connection_id: ConnectionId,
    /// Why over this one: JSON; none where there was no choice.
    pub routing: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    /// Which attempt.
    pub id: AttemptId,
    /// What came of it.
    pub outcome: String,
    /// The ledger of the call: JSON.
    pub detail: Option<String>,
    /// Now.
    pub ended_at: DateTime<Utc>,
}

statements! {
    INSERT = Statement::same(
        "insert into attempts (id, tenant_id, object_id, operation, provider_key, started_at,
             batch_id, connection_id, routing)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    /// SQLite keeps a UUID as its 16 bytes.
    INSERT_OBJECTS = Statement {
        postgres: "insert into attempt_objects (tenant_id, attempt_id, object_id, position)
             select $1, $2, object.id::uuid, object.place - 1
             from jsonb_array_elements_text($3) with ordinality as object (id, place)",
        sqlite: "insert into attempt_objects (tenant_id, attempt_id, object_id, position)
             select $1, $2, unhex(object.value, '-'), object.key from json_each($3) as object",
    };
    LIST_OBJECTS = Statement::same(
        "select object_id as id from attempt_objects
         where tenant_id = $1 and attempt_id = $2 order by position",
    );
    FIND_OBJECT = Statement::same(
        "select object_id as id from attempts where tenant_id = $1 and id = $2",
    );
    FINISH = Statement::same(
        "update attempts set outcome = $3, detail = $4, ended_at = $5
         where tenant_id = $1 and id = $2 and ended_at is null",
    );
    LIST = Statement::same(
        "select id, object_id, operation, provider_key, outcome, detail, started_at, ended_at,
             batch_id, connection_id
         from attempts
         where tenant_id = $1 and id in (
             select id from attempts where tenant_id = $1 and object_id = $2
             union
             select attempt_id from attempt_objects where tenant_id = $1 and object_id = $2)
         order by id",
    );
}

impl TenantTx {
    /// The object that an attempt is about.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_attempt_object(
        &mut self,
        attempt: AttemptId,
    ) -> Result<Option<Uuid>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND_OBJECT, [tenant, attempt.uuid()])
            .during("find the object of an attempt")
    }

    /// Records that an attempt begins.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_attempt(&mut self, attempt: &NewAttempt) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            INSERT,
            [
                attempt.id.uuid(),
                tenant,
                attempt.object_id,
                &attempt.operation,
                &attempt.provider_key,
                attempt.started_at,
                attempt.batch_id,
                attempt.connection_id.uuid(),
                attempt.routing.as_deref(),
            ]
        )
        .map(drop)
        .during("insert an attempt")
    }

    /// Records which objects share an attempt, in the order of the provider call.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_attempt_objects(
        &mut self,
        attempt: AttemptId,
        objects: &[Uuid],
    ) -> Result<(), StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            INSERT_OBJECTS,
            [tenant, attempt.uuid(), Json(objects)]
        )
        .map(drop)
        .during("insert the objects of an attempt")
    }

    /// Which objects share an attempt, in the order of the provider call; empty where there is only
    /// the attempt's own.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_attempt_objects(
        &mut self,
        attempt: AttemptId,
    ) -> Result<Vec<Uuid>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_all!(self, LIST_OBJECTS, [tenant, attempt.uuid()])
            .during("list the objects of an attempt")
    }

    /// Records how an attempt ended; `false` when that is recorded already.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn finish_attempt(&mut self, end: &AttemptEnd) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        execute!(
            self,
            FINISH,
            [
                tenant,
                end.id.uuid(),
                &end.outcome,
                end.detail.as_deref(),
                end.ended_at
            ]
        )
        .map(|rows| rows == 1)
        .during("finish an attempt")
    }

    /// Every attempt for an object, shared ones too, oldest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_attempts(&mut self, object: Uuid) -> Result<Vec<AttemptRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_all!(self, LIST, [tenant, object]).during("list attempts")
    }
}

impl FromColumns for AttemptRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: AttemptId::from_uuid(row.uuid("id")?),
            object_id: row.uuid("object_id")?,
            operation: row.text("operation")?,
            provider_key: row.text("provider_key")?,
            outcome: row.get("outcome")?,
            detail: row.get("detail")?,
            started_at: row.time("started_at")?,
            ended_at: row.optional_time("ended_at")?,
            batch_id: row.get("batch_id")?,
            connection_id: row
                .get::<Option<Uuid>>("connection_id")?
                .map(ConnectionId::from_uuid),
        })
    }
}
