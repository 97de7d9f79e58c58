//! `plugin_keys`: whose keys may sign a plugin here.

use chrono::{DateTime, Utc};

use super::backend::{Columns, FromColumns, execute, fetch_all};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};

/// A key that may sign a plugin here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginKeyRow {
    /// Which plugin.
    pub plugin: String,
    /// The key's id.
    pub key_id: String,
    /// `operator`, `first_use`.
    pub trusted_by: String,
    /// Since when.
    pub trusted_at: DateTime<Utc>,
}

statements! {
    LIST = Statement::same(
        "select plugin, key_id, trusted_by, trusted_at from plugin_keys order by plugin, key_id",
    );
    LIST_OF = Statement::same(
        "select plugin, key_id, trusted_by, trusted_at from plugin_keys where plugin = $1
         order by key_id",
    );
    INSERT = Statement::same(
        "insert into plugin_keys (plugin, key_id, trusted_by, trusted_at) values ($1, $2, $3, $4)
         on conflict (plugin, key_id) do nothing",
    );
    DELETE = Statement::same("delete from plugin_keys where plugin = $1 and key_id = $2");
}

impl Store {
    /// Every key that is trusted for one plugin.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_plugin_keys(&self) -> Result<Vec<PluginKeyRow>, StoreError> {
        self.past_dead_connections(|| async { fetch_all!(self.pools_to_read(), LIST, []) })
            .await
            .during("list keys of plugins")
    }
}

impl TenantTx {
    /// Every key that is trusted for this plugin by itself.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn plugin_keys(&mut self, plugin: &str) -> Result<Vec<PluginKeyRow>, StoreError> {
        fetch_all!(self, LIST_OF, [plugin]).during("list keys of a plugin")
    }

    /// Every key that is trusted for one plugin, of all plugins.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn all_plugin_keys(&mut self) -> Result<Vec<PluginKeyRow>, StoreError> {
        fetch_all!(self, LIST, []).during("list keys of plugins")
    }

    /// Trusts a key for a plugin.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_plugin_key(&mut self, key: &PluginKeyRow) -> Result<(), StoreError> {
        execute!(
            self,
            INSERT,
            [&key.plugin, &key.key_id, &key.trusted_by, key.trusted_at]
        )
        .map(drop)
        .during("trust a key")
    }

    /// A key is not trusted for a plugin by itself any more.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_plugin_key(
        &mut self,
        plugin: &str,
        key_id: &str,
    ) -> Result<(), StoreError> {
        execute!(self, DELETE, [plugin, key_id])
            .map(drop)
            .during("trust a key no more")
    }
}

impl FromColumns for PluginKeyRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            plugin: row.text("plugin")?,
            key_id: row.text("key_id")?,
            trusted_by: row.text("trusted_by")?,
            trusted_at: row.time("trusted_at")?,
        })
    }
}
