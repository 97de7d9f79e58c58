//! `tenant_changes`: whose keys, connections or policies have changed, as a number that grows; written by
//! triggers. It names tenants and holds nothing of theirs.

use onerouter_domain::id::TenantId;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError};

/// That something of a tenant's has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantChange {
    /// Which change: one more than the one before.
    pub generation: i64,
    /// Whose.
    pub tenant_id: TenantId,
}

/// How many changes there have been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Generations {
    /// Of tenants' keys, connections and policies.
    pub tenants: i64,
    /// Of what is wanted of plugins.
    pub plugins: i64,
}

statements! {
    GENERATION = Statement::same(
        "select value, (select value from plugin_generation where id = 1) as plugins
         from generation where id = 1",
    );
    SINCE = Statement::same(
        "select generation, tenant_id from tenant_changes where generation > $1
         order by generation limit $2",
    );
    FORGET = Statement::same("delete from tenant_changes where generation <= $1");
}

impl Store {
    /// The numbers of the last changes.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn generations(&self) -> Result<Generations, StoreError> {
        let found: Option<Generations> = self
            .past_dead_connections(|| async {
                fetch_optional!(self.pools_to_read(), GENERATION, [])
            })
            .await
            .during("look for changes")?;
        Ok(found.unwrap_or_default())
    }

    /// Up to `limit` changes after a number, in their order.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn changes_since(
        &self,
        generation: i64,
        limit: u32,
    ) -> Result<Vec<TenantChange>, StoreError> {
        self.past_dead_connections(|| async {
            fetch_all!(self.pools_to_read(), SINCE, [generation, i64::from(limit)])
        })
        .await
        .during("read changes")
    }

    /// Forgets changes up to a number. Whoever has not seen them takes everything for changed.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn forget_changes(&self, until: i64) -> Result<u64, StoreError> {
        execute!(self.pools_to_write(), FORGET, [until]).during("forget changes")
    }
}

impl FromColumns for Generations {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenants: row.get("value")?,
            plugins: row.get::<Option<i64>>("plugins")?.unwrap_or_default(),
        })
    }
}

impl FromColumns for TenantChange {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            generation: row.get("generation")?,
            tenant_id: TenantId::from_uuid(row.uuid("tenant_id")?),
        })
    }
}
