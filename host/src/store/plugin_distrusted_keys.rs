//! `plugin_distrusted_keys`: whose signatures count for nothing here, whatever else is said of them.

use chrono::{DateTime, Utc};

use super::backend::{Columns, FromColumns, execute, fetch_all};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};

/// A key that an operator no longer trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistrustedKeyRow {
    /// The key's id.
    pub key_id: String,
    /// Since when.
    pub distrusted_at: DateTime<Utc>,
}

statements! {
    LIST = Statement::same(
        "select key_id, distrusted_at from plugin_distrusted_keys order by key_id",
    );
    INSERT = Statement::same(
        "insert into plugin_distrusted_keys (key_id, distrusted_at) values ($1, $2)
         on conflict (key_id) do nothing",
    );
    DELETE = Statement::same("delete from plugin_distrusted_keys where key_id = $1");
}

impl Store {
    /// Every key that is distrusted.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_distrusted_keys(&self) -> Result<Vec<DistrustedKeyRow>, StoreError> {
        self.past_dead_connections(|| async { fetch_all!(self.pools_to_read(), LIST, []) })
            .await
            .during("list distrusted keys")
    }
}

impl TenantTx {
    /// Every key that is distrusted.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn distrusted_keys(&mut self) -> Result<Vec<DistrustedKeyRow>, StoreError> {
        fetch_all!(self, LIST, []).during("list distrusted keys")
    }

    /// A key counts no more.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_distrusted_key(
        &mut self,
        key: &DistrustedKeyRow,
    ) -> Result<(), StoreError> {
        execute!(self, INSERT, [&key.key_id, key.distrusted_at])
            .map(drop)
            .during("distrust a key")
    }

    /// A key may count again. Tells whether it was distrusted.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn delete_distrusted_key(&mut self, key_id: &str) -> Result<bool, StoreError> {
        execute!(self, DELETE, [key_id])
            .map(|rows| rows > 0)
            .during("trust a key again")
    }
}

impl FromColumns for DistrustedKeyRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            key_id: row.text("key_id")?,
            distrusted_at: row.time("distrusted_at")?,
        })
    }
}
