//! `plugin_tombstones`: what is not to come back by itself.

use chrono::{DateTime, Utc};

use super::backend::{Columns, FromColumns, execute, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};

/// A component that was removed or quarantined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginTombstoneRow {
    /// Which plugin.
    pub plugin: String,
    /// Which version, by digest.
    pub sha256: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

statements! {
    FIND = Statement::same(
        "select plugin, sha256, reason, at from plugin_tombstones where plugin = $1 and sha256 = $2",
    );
    WRITE = Statement::same(
        "insert into plugin_tombstones (plugin, sha256, reason, at) values ($1, $2, $3, $4)
         on conflict (plugin, sha256) do update set reason = excluded.reason, at = excluded.at",
    );
    DELETE = Statement::same("delete from plugin_tombstones where plugin = $1 and sha256 = $2");
}

impl Store {
    /// Why a component is not to come back by itself.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_plugin_tombstone(
        &self,
        plugin: &str,
        sha256: &str,
    ) -> Result<Option<PluginTombstoneRow>, StoreError> {
        self.past_dead_connections(|| async {
            fetch_optional!(self.pools_to_read(), FIND, [plugin, sha256])
        })
        .await
        .during("look for a removed plugin")
    }
}

impl TenantTx {
    /// A component is not to come back by itself.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn write_plugin_tombstone(
        &mut self,
        row: &PluginTombstoneRow,
    ) -> Result<(), StoreError> {
        execute!(self, WRITE, [&row.plugin, &row.sha256, &row.reason, row.at])
            .map(drop)
            .during("keep a plugin away")
    }

    /// Somebody wants it back. Tells whether it was kept away.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_plugin_tombstone(
        &mut self,
        plugin: &str,
        sha256: &str,
    ) -> Result<bool, StoreError> {
        execute!(self, DELETE, [plugin, sha256])
            .map(|rows| rows > 0)
            .during("let a plugin come back")
    }
}

impl FromColumns for PluginTombstoneRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            plugin: row.text("plugin")?,
            sha256: row.text("sha256")?,
            reason: row.text("reason")?,
            at: row.time("at")?,
        })
    }
}
