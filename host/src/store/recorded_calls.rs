//! `recorded_calls`, `recording_settings`: calls that are kept for a while, and whether they are; and
//! `recording_directory`, which tells who has calls of a version before a tenant is known.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};
use crate::ids;

/// Rows that go in one transaction.
const BATCH: i64 = 1_000;

/// A call that is kept.
#[derive(Debug, Clone)]
pub struct RecordedCallRow {
    /// Its id.
    pub id: Uuid,
    /// In which environment.
    pub environment: Environment,
    /// Over which connection.
    pub connection_id: ConnectionId,
    /// Of which plugin.
    pub plugin: String,
    /// SHA-256 of the component that served it.
    pub sha256: String,
    /// Of which operation.
    pub operation: String,
    /// As the vault wrote it.
    pub recording: Vec<u8>,
    /// When it ended.
    pub recorded_at: DateTime<Utc>,
}

/// A call that is kept, without what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCallHead {
    /// Its id.
    pub id: Uuid,
    /// Of which operation.
    pub operation: String,
}

/// Whether a tenant's calls in an environment are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingSettingRow {
    /// They are.
    pub enabled: bool,
    /// When somebody chose that.
    pub updated_at: Option<DateTime<Utc>>,
}

statements! {
    FIND_SETTING = Statement::same(
        "select enabled, updated_at from recording_settings where tenant_id = $1 and environment = $2",
    );
    /// Nothing for a tenant that was deleted.
    FIND_CHOICE = Statement::same(
        "select coalesce(settings.enabled, $3) as enabled, settings.updated_at as updated_at
         from tenants left join recording_settings as settings
             on settings.tenant_id = tenants.id and settings.environment = $2
         where tenants.id = $1 and tenants.deleted_at is null",
    );
    INSERT_SETTING = Statement::same(
        "insert into recording_settings (tenant_id, environment, enabled) values ($1, $2, $3)
         on conflict (tenant_id, environment) do nothing",
    );
    /// Whoever changes it waits for those who have read it here.
    HOLD_SETTING = Statement {
        postgres: "select enabled, updated_at from recording_settings
                   where tenant_id = $1 and environment = $2 for share",
        sqlite: "select enabled, updated_at from recording_settings
                 where tenant_id = $1 and environment = $2",
    };
    WRITE_SETTING = Statement::same(
        "insert into recording_settings (tenant_id, environment, enabled, updated_at)
         values ($1, $2, $3, $4)
         on conflict (tenant_id, environment) do update
         set enabled = excluded.enabled, updated_at = excluded.updated_at",
    );
    INSERT = Statement::same(
        "insert into recorded_calls (tenant_id, id, environment, connection_id, plugin, sha256, operation,
             recording, recorded_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    /// All but the newest.
    PRUNE = Statement::same(
        "delete from recorded_calls where tenant_id = $1 and id in (
             select id from recorded_calls
             where tenant_id = $1 and environment = $2 and plugin = $3 and operation = $4
             order by id desc limit $5 offset $6)",
    );
    NOTE = Statement::same(
        "insert into recording_directory (tenant_id, sha256, recorded_at) values ($1, $2, $3)
         on conflict (tenant_id, sha256) do update set recorded_at = excluded.recorded_at",
    );
    LATEST = Statement::same(
        "select id, operation from recorded_calls
         where tenant_id = $1 and sha256 = $2 and id >= $3 order by id desc limit $4",
    );
    FIND = Statement::same(
        "select id, environment, connection_id, plugin, sha256, operation, recording, recorded_at
         from recorded_calls where tenant_id = $1 and id = $2",
    );
    /// Versions of which no call is left.
    FORGET_GONE = Statement::same(
        "delete from recording_directory where tenant_id = $1 and not exists (
             select 1 from recorded_calls where recorded_calls.tenant_id = $1
                 and recorded_calls.sha256 = recording_directory.sha256)",
    );
    COUNT = Statement::same(
        "select count(*) as count from recorded_calls where tenant_id = $1 and environment = $2",
    );
    DELETE_OF = Statement::same(
        "delete from recorded_calls where tenant_id = $1 and environment = $2",
    );
    DELETE_OLD = Statement::same(
        "delete from recorded_calls where tenant_id = $1 and id in (
             select id from recorded_calls where tenant_id = $1 and id < $2 order by id limit $3)",
    );
    FORGET = Statement::same(
        "delete from recording_directory where tenant_id = $1 and recorded_at < $2",
    );
    TENANTS = Statement::same(
        "select tenant_id as id from recording_directory where sha256 = $1 and recorded_at >= $2
         order by recorded_at desc limit $3",
    );
}

struct Count(u64);

impl FromColumns for Count {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.integer("count").map(Self)
    }
}

impl Store {
    /// Tenants with calls of a version since a time, those with the newest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn tenants_with_recorded_calls(
        &self,
        sha256: &str,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<TenantId>, StoreError> {
        let found: Result<Vec<Uuid>, _> = self
            .past_dead_connections(|| async {
                fetch_all!(self.pools_to_read(), TENANTS, [sha256, since, limit])
            })
            .await;
        let found = found.during("look who has recorded calls")?;
        Ok(found.into_iter().map(TenantId::from_uuid).collect())
    }
}

impl TenantTx {
    /// Whether calls are kept; none while nobody has chosen and none was to be kept.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_recording_setting(
        &mut self,
        environment: Environment,
    ) -> Result<Option<RecordingSettingRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND_SETTING, [tenant, environment.as_str()])
            .during("read whether calls are recorded")
    }

    /// Whether calls are kept; `default` while nobody has chosen. None of a deleted tenant's are.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn records_calls(
        &mut self,
        environment: Environment,
        default: bool,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant().uuid();
        let found: Option<RecordingSettingRow> =
            fetch_optional!(self, FIND_CHOICE, [tenant, environment.as_str(), default])
                .during("read whether calls are recorded")?;
        Ok(found.is_some_and(|row| row.enabled))
    }

    /// The same, and it stays so until this transaction ends.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn hold_records_calls(
        &mut self,
        environment: Environment,
        default: bool,
    ) -> Result<bool, StoreError> {
        const OPERATION: &str = "hold whether calls are recorded";
        let tenant = self.tenant().uuid();
        let environment = environment.as_str();
        if !self.hold_tenant().await? {
            return Ok(false);
        }
        execute!(self, INSERT_SETTING, [tenant, environment, default]).during(OPERATION)?;
        let held: Option<RecordingSettingRow> =
            fetch_optional!(self, HOLD_SETTING, [tenant, environment]).during(OPERATION)?;
        Ok(held.is_some_and(|row| row.enabled))
    }

    /// Chooses whether calls are kept. What was kept goes when they are not.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn write_recording_setting(
        &mut self,
        environment: Environment,
        enabled: bool,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "choose whether calls are recorded";
        let tenant = self.tenant().uuid();
        let environment = environment.as_str();
        execute!(self, WRITE_SETTING, [tenant, environment, enabled, at]).during(OPERATION)?;
        if !enabled {
            execute!(self, DELETE_OF, [tenant, environment]).during(OPERATION)?;
            execute!(self, FORGET_GONE, [tenant]).during(OPERATION)?;
        }
        Ok(())
    }

    /// Keeps a call, and of all of its plugin's and operation's in the environment the newest `kept`.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_recorded_call(
        &mut self,
        new: &RecordedCallRow,
        kept: i64,
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "keep a call";
        let tenant = self.tenant().uuid();
        let environment = new.environment.as_str();
        execute!(
            self,
            INSERT,
            [
                tenant,
                new.id,
                environment,
                new.connection_id.uuid(),
                &new.plugin,
                &new.sha256,
                &new.operation,
                new.recording.as_slice(),
                new.recorded_at
            ]
        )
        .during(OPERATION)?;
        let (plugin, operation) = (&new.plugin, &new.operation);
        execute!(
            self,
            PRUNE,
            [tenant, environment, plugin, operation, BATCH, kept]
        )
        .during(OPERATION)?;
        execute!(self, NOTE, [tenant, &new.sha256, new.recorded_at])
            .map(drop)
            .during(OPERATION)
    }

    /// Calls of a version since a time, the newest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn latest_recorded_calls(
        &mut self,
        sha256: &str,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<RecordedCallHead>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_all!(self, LATEST, [tenant, sha256, ids::first_of(since), limit])
            .during("read recorded calls")
    }

    /// A call that is kept.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_recorded_call(
        &mut self,
        id: Uuid,
    ) -> Result<Option<RecordedCallRow>, StoreError> {
        let tenant = self.tenant().uuid();
        fetch_optional!(self, FIND, [tenant, id]).during("find a recorded call")
    }

    /// How many calls are kept.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn count_recorded_calls(
        &mut self,
        environment: Environment,
    ) -> Result<u64, StoreError> {
        let tenant = self.tenant().uuid();
        let count: Option<Count> = fetch_optional!(self, COUNT, [tenant, environment.as_str()])
            .during("count recorded calls")?;
        Ok(count.map_or(0, |Count(count)| count))
    }

    /// Deletes some of the calls that were kept before a time: how many.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_old_recorded_calls(
        &mut self,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        const OPERATION: &str = "delete old recorded calls";
        let tenant = self.tenant().uuid();
        execute!(self, FORGET, [tenant, before]).during(OPERATION)?;
        execute!(self, DELETE_OLD, [tenant, ids::first_of(before), BATCH]).during(OPERATION)
    }
}

impl FromColumns for RecordedCallRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.uuid("id")?,
            environment: row.environment()?,
            connection_id: ConnectionId::from_uuid(row.uuid("connection_id")?),
            plugin: row.text("plugin")?,
            sha256: row.text("sha256")?,
            operation: row.text("operation")?,
            recording: row.get("recording")?,
            recorded_at: row.time("recorded_at")?,
        })
    }
}

impl FromColumns for RecordedCallHead {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.uuid("id")?,
            operation: row.text("operation")?,
        })
    }
}

impl FromColumns for RecordingSettingRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            enabled: row.get("enabled")?,
            updated_at: row.optional_time("updated_at")?,
        })
    }
}
