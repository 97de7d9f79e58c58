//! Tenants: who owns the data.

use onerouter_domain::id::TenantId;

use super::authentication::unavailable;
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::ids;
use crate::store::Store;
use crate::store::TenantRow;

/// Makes and lists tenants.
#[derive(Debug, Clone)]
pub struct Tenants {
    store: Store,
    clock: Clock,
}

impl Tenants {
    /// Over a store.
    #[must_use]
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn create(&self, name: String) -> Result<TenantRow, Refusal> {
        let tenant = TenantRow {
            id: TenantId::from_uuid(ids::next()),
            name,
            created_at: self.clock.now(),
        };
        let inserted = self.store.insert_tenant(&tenant).await;
        inserted.map_err(|error| unavailable("cannot make a tenant", &error))?;
        Ok(tenant)
    }

    /// Every tenant.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list(&self) -> Result<Vec<TenantRow>, Refusal> {
        let listed = self.store.list_tenants().await;
        listed.map_err(|error| unavailable("cannot list tenants", &error))
    }
}
