//! Tenants: who owns the data.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::TenantId;
use serde_json::json;

use super::audit::{self, Actor, Change};
use super::authentication::unavailable;
use super::caller::Operator;
use super::changes::Changes;
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::ids;
use crate::store::DEFAULT_TENANT;
use crate::store::Store;
use crate::store::TenantRow;

/// Characters of the name of a tenant, and of an API key.
pub const NAME_LENGTH_MAX: usize = 100;

/// Makes and lists tenants.
#[derive(Debug, Clone)]
pub struct Tenants {
    store: Store,
    clock: Clock,
    changes: Arc<Changes>,
}

impl Tenants {
    /// Over a store.
    #[must_use]
    pub const fn new(store: Store, clock: Clock, changes: Arc<Changes>) -> Self {
        Self {
            store,
            clock,
            changes,
        }
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

    /// Deletes a tenant: its keys, credentials and data keys at once, so that nobody can act for it and
    /// nothing of it can be decrypted; then, piece by piece, everything else but the audit log. Stopped
    /// halfway, it goes on when called again. Tells how many rows went after the first step.
    ///
    /// # Errors
    /// `not_found` where there is no such tenant, `conflict` where it has another name, `invalid_state`
    /// for the default tenant.
    pub async fn delete(&self, operator: &Operator, name: &str) -> Result<u64, Refusal> {
        let failed = |error| unavailable("cannot delete a tenant", &error);
        let tenant = operator.tenant;
        if tenant == DEFAULT_TENANT {
            return Err(Refusal::new(
                ErrorCode::InvalidState,
                "The default tenant cannot be deleted: operators act on it.",
            ));
        }
        let now = self.clock.now();
        let mut tx = self.store.begin(tenant).await.map_err(failed)?;
        let known = tx.tenant_name().await.map_err(failed)?;
        let known = known.ok_or_else(|| Refusal::not_found("tenant"))?;
        if known != name {
            return Err(Refusal::new(
                ErrorCode::Conflict,
                "The tenant has another name; nothing was deleted.",
            ));
        }
        if tx.end_tenant(name, now).await.map_err(failed)? {
            let change = || Change {
                action: "tenant.deleted",
                target: tenant.to_string(),
                before: Some(json!({"name": name})),
                after: None,
            };
            audit::record(&mut tx, operator, change(), now)
                .await
                .map_err(failed)?;
            tx.commit().await.map_err(failed)?;
            self.changes.note(tenant);
            self.tell_operators(operator, change(), now).await?;
        } else {
            tx.commit().await.map_err(failed)?;
            self.changes.note(tenant);
        }
        let mut deleted = 0_u64;
        loop {
            let mut tx = self.store.begin(tenant).await.map_err(failed)?;
            let some = tx.purge_some().await.map_err(failed)?;
            tx.commit().await.map_err(failed)?;
            if some == 0 {
                return Ok(deleted);
            }
            deleted = deleted.saturating_add(some);
        }
    }

    /// The deleted tenant's own log cannot be asked for any more.
    async fn tell_operators(
        &self,
        operator: &Operator,
        change: Change,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let failed = |error| unavailable("cannot note that a tenant was deleted", &error);
        let mut tx = self.store.begin(DEFAULT_TENANT).await.map_err(failed)?;
        audit::record(&mut tx, operator, change, now)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)
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
