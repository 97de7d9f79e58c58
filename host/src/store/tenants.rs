//! `tenants`: who owns data. Names only; no row of a tenant's own.

use chrono::{DateTime, Utc};
use onerouter_domain::id::TenantId;
use uuid::Uuid;

use super::backend::{Columns, FromColumns, execute, fetch_all, fetch_optional};
use super::error::During as _;
use super::statement::{Statement, statements};
use super::{Store, StoreError, TenantTx};

/// The tenant that the first migration makes.
pub const DEFAULT_TENANT: TenantId =
    TenantId::from_uuid(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

statements! {
    INSERT = Statement::same("insert into tenants (id, name, created_at) values ($1, $2, $3)");
    LIST = Statement::same(
        "select id, name, created_at from tenants where deleted_at is null order by id",
    );
    FIND = Statement::same(
        "select id, name, created_at from tenants where id = $1 and deleted_at is null",
    );
    /// Whoever deletes the tenant waits for those who have read it here.
    HOLD = Statement {
        postgres: "select id from tenants where id = $1 and deleted_at is null for share",
        sqlite: "select id from tenants where id = $1 and deleted_at is null",
    };
}

impl TenantTx {
    /// Adds the tenant whose transaction this is.
    ///
    /// # Errors
    /// The database refuses or cannot be reached.
    pub async fn insert_tenant(&mut self, tenant: &TenantRow) -> Result<(), StoreError> {
        let id = self.tenant().uuid();
        execute!(self, INSERT, [id, &tenant.name, tenant.created_at])
            .map(drop)
            .during("insert a tenant")
    }

    /// Whether the tenant is there; it is not deleted before this transaction ends.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn hold_tenant(&mut self) -> Result<bool, StoreError> {
        let id = self.tenant().uuid();
        let held: Option<Uuid> = fetch_optional!(self, HOLD, [id]).during("hold a tenant")?;
        Ok(held.is_some())
    }
}

impl Store {
    /// Every tenant that is not deleted, oldest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list_tenants(&self) -> Result<Vec<TenantRow>, StoreError> {
        let mut tx = self.begin_as_operator().await?;
        let tenants = fetch_all!(tx, LIST, []).during("list tenants")?;
        tx.end().await?;
        Ok(tenants)
    }

    /// A tenant.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn find_tenant(&self, id: TenantId) -> Result<Option<TenantRow>, StoreError> {
        let mut tx = self.begin_read(id).await?;
        let tenant = fetch_optional!(tx, FIND, [id.uuid()]).during("find a tenant")?;
        tx.commit().await?;
        Ok(tenant)
    }
}

impl FromColumns for TenantRow {
    fn from_columns(row: &impl Columns) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: TenantId::from_uuid(row.uuid("id")?),
            name: row.text("name")?,
            created_at: row.time("created_at")?,
        })
    }
}
