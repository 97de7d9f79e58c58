//! `plugins` and `plugin_generation`: which version of each plugin is to serve, on every node.

use chrono::{DateTime, Utc};
use onerouter_domain::id::{InstallationId, InstalledPluginId, TenantId};
use sqlx::types::Json;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};

/// What is wanted of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRow {
    /// Its name: the provider's in paths.
    pub name: String,
    /// Its id.
    pub id: InstalledPluginId,
    /// Serves.
    pub active: Option<InstallationId>,
    /// Served before, and stays loaded.
    pub previous: Option<InstallationId>,
    /// Serves some.
    pub canary: Option<InstallationId>,
    /// How many of a hundred tenants the canary serves.
    pub canary_percent: u8,
    /// Whom it serves in any case.
    pub canary_tenants: Vec<TenantId>,
    /// When this was changed, in generations.
    pub generation: i64,
    /// When this was changed.
    pub changed_at: DateTime<Utc>,
    /// Until when the version that serves is watched, as it has taken over from another.
    pub watched_until: Option<DateTime<Utc>>,
    /// Why, where nobody asked for it.
    pub reason: Option<String>,
}

/// What is to be wanted of a plugin from now on.
#[derive(Debug, Clone)]
pub struct PluginWrite {
    /// Serves.
    pub active: Option<InstallationId>,
    /// Served before, and stays loaded.
    pub previous: Option<InstallationId>,
    /// Serves some.
    pub canary: Option<InstallationId>,
    /// How many of a hundred tenants the canary serves.
    pub canary_percent: u8,
    /// Whom it serves in any case.
    pub canary_tenants: Vec<TenantId>,
    /// Until when the version that serves is watched.
    pub watched_until: Option<DateTime<Utc>>,
    /// Why, where nobody asked for it.
    pub reason: Option<String>,
}

macro_rules! columns {
    () => {
        "name, id, active_id, previous_id, canary_id, canary_percent, canary_tenants, generation,
             changed_at, watched_until, reason"
    };
}

statements! {
    NEXT_GENERATION = Statement::same(
        "update plugin_generation set value = value + 1 where id = 1 returning value",
    );
    INSERT = Statement::same(
        "insert into plugins (name, id, generation, changed_at) values ($1, $2, $3, $4)
         on conflict (name) do nothing",
    );
    FIND = Statement::same(concat!("select ", columns!(), " from plugins where name = $1"));
    LIST = Statement::same(concat!("select ", columns!(), " from plugins order by name"));
    WRITE = Statement::same(
        "update plugins set active_id = $2, previous_id = $3, canary_id = $4, canary_percent = $5,
             canary_tenants = $6, generation = $7, changed_at = $8, reason = $9,
             watched_until = $10
         where name = $1",
    );
    DELETE = Statement::same("delete from plugins where name = $1");
}

impl Store {
    /// What is wanted of every plugin, by name.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_plugins(&self) -> Result<Vec<PluginRow>, StoreError> {
        self.past_dead_connections(|| async { fetch_all!(self.pools_to_read(), LIST, []) })
            .await
            .during("list plugins")
    }
}

impl TenantTx {
    /// Takes the right to change what is wanted, until this transaction ends: the number of the change.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn begin_plugin_change(&mut self) -> Result<i64, StoreError> {
        let next: Option<Generation> =
            fetch_optional!(self, NEXT_GENERATION, []).during("change plugins")?;
        Ok(next.map_or(0, |Generation(value)| value))
    }

    /// A plugin by its name.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_plugin(&mut self, name: &str) -> Result<Option<PluginRow>, StoreError> {
        fetch_optional!(self, FIND, [name]).during("find a plugin")
    }

    /// Adds a plugin of which nothing is wanted yet, unless it is there.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_plugin(
        &mut self,
        name: &str,
        id: InstalledPluginId,
        generation: i64,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        execute!(self, INSERT, [name, id.uuid(), generation, at])
            .map(drop)
            .during("add a plugin")
    }

    /// Writes what is wanted of a plugin.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn write_plugin(
        &mut self,
        name: &str,
        write: &PluginWrite,
        generation: i64,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        execute!(
            self,
            WRITE,
            [
                name,
                write.active.map(InstallationId::uuid),
                write.previous.map(InstallationId::uuid),
                write.canary.map(InstallationId::uuid),
                i64::from(write.canary_percent),
                Json(&write.canary_tenants),
                generation,
                at,
                write.reason.as_deref(),
                write.watched_until
            ]
        )
        .map(drop)
        .during("change a plugin")
    }

    /// Forgets a plugin. Its versions are forgotten after it.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_plugin(&mut self, name: &str) -> Result<(), StoreError> {
        execute!(self, DELETE, [name])
            .map(drop)
            .during("remove a plugin")
    }
}

struct Generation(i64);

impl FromColumns for Generation {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        row.get("value").map(Self)
    }
}

impl FromColumns for PluginRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        let installation = |name: &str| -> Result<Option<InstallationId>, sqlx::Error> {
            Ok(row
                .get::<Option<Uuid>>(name)?
                .map(InstallationId::from_uuid))
        };
        Ok(Self {
            name: row.text("name")?,
            id: InstalledPluginId::from_uuid(row.uuid("id")?),
            active: installation("active_id")?,
            previous: installation("previous_id")?,
            canary: installation("canary_id")?,
            canary_percent: row.integer("canary_percent")?,
            canary_tenants: row.json("canary_tenants")?,
            generation: row.get("generation")?,
            changed_at: row.time("changed_at")?,
            watched_until: row.optional_time("watched_until")?,
            reason: row.get("reason")?,
        })
    }
}
