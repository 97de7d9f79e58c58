//! Tenants: who owns the data.

use onerouter_domain::id::TenantId;
use serde_json::json;

use super::audit::{self, Actor, Change};
use super::authentication::unavailable;
use super::caller::Operator;
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::ids;
use crate::store::Store;
use crate::store::TenantRow;

/// Characters of the name of a tenant, and of an API key.
pub const NAME_LENGTH_MAX: usize = 100;

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
    pub async fn create(&self, actor: Actor, name: String) -> Result<TenantRow, Refusal> {
        let tenant = TenantRow {
            id: TenantId::from_uuid(ids::next()),
            name,
            created_at: self.clock.now(),
        };
        let failed = |error| unavailable("cannot make a tenant", &error);
        let mut tx = self.store.begin(tenant.id).await.map_err(failed)?;
        tx.insert_tenant(&tenant).await.map_err(failed)?;
        let change = Change {
            action: "tenant.created",
            target: tenant.id.to_string(),
            before: None,
            after: Some(json!({"name": tenant.name})),
        };
        let operator = Operator {
            tenant: tenant.id,
            actor,
        };
        audit::record(&mut tx, &operator, change, tenant.created_at)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(tenant)
    }

    /// Tenants, newest first; one more than `limit` tells whether there are more.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list(
        &self,
        limit: u16,
        before: Option<TenantId>,
    ) -> Result<Vec<TenantRow>, Refusal> {
        // An installation has few of them: a page is cut out of all.
        let newest = self.all().await?.into_iter().rev();
        let page = newest.filter(|tenant| before.is_none_or(|before| tenant.id < before));
        Ok(page.take(usize::from(limit) + 1).collect())
    }

    /// Every tenant, oldest first.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn all(&self) -> Result<Vec<TenantRow>, Refusal> {
        let listed = self.store.list_tenants().await;
        listed.map_err(|error| unavailable("cannot list tenants", &error))
    }
}
