//! Changing the master key: every data key is wrapped anew, while traffic flows.

use chrono::Utc;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{AuditId, TenantId};
use onerouter_domain::time;
use serde_json::json;

use super::{Vault, VaultError, envelope};
use crate::ids;
use crate::store::{AuditRow, DataKeyRow};

/// Data keys in one transaction's view. A tenant has one per environment, and few retired ones.
const BATCH: u32 = 100;

/// What a rotation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Tenants that were looked at.
    pub tenants: u64,
    /// Data keys that were wrapped anew.
    pub rewrapped: u64,
}

impl Vault {
    /// Wraps every data key under its environment's current master key. Stopped halfway, it goes on
    /// where it was when called again: what is done is not found any more. `actor` stands in the
    /// audit log of each tenant whose keys were wrapped anew.
    ///
    /// # Errors
    /// [`VaultError::UnknownMasterKey`]: a key is wrapped by neither the current nor the previous
    /// master key. Those before it stay rewrapped.
    pub async fn rotate(&self, actor: &str) -> Result<Rotation, VaultError> {
        let mut done = Rotation::default();
        for tenant in self.store.list_tenants().await? {
            for environment in [Environment::Test, Environment::Live] {
                done.rewrapped += self.rotate_tenant(tenant.id, environment, actor).await?;
            }
            done.tenants += 1;
        }
        Ok(done)
    }

    async fn rotate_tenant(
        &self,
        tenant: TenantId,
        environment: Environment,
        actor: &str,
    ) -> Result<u64, VaultError> {
        let master = self.masters.for_environment(environment);
        let mut rewrapped = 0;
        loop {
            let mut tx = self.store.begin(tenant).await?;
            let rows = tx
                .list_data_keys_not_under(environment, master.id(), BATCH)
                .await?;
            let before = rewrapped;
            for row in &rows {
                let bytes = self.unwrap_bytes(row)?;
                let wrapped = envelope::wrap(master, (tenant, environment, row.id), &bytes)?;
                if tx.rewrap_data_key(row, master.id(), &wrapped).await? {
                    rewrapped += 1;
                    tx.insert_audit(&rotated(row, master.id(), actor)).await?;
                }
            }
            tx.commit().await?;
            // None left, or another rotation was faster.
            if rewrapped == before {
                return Ok(rewrapped);
            }
        }
    }
}

fn rotated(before: &DataKeyRow, master: &str, actor: &str) -> AuditRow {
    let key = |id: &str| json!({"environment": before.environment, "master_key": id}).to_string();
    AuditRow {
        id: AuditId::from_uuid(ids::next()),
        actor: actor.to_owned(),
        action: "data_key.rewrapped".to_owned(),
        target: before.id.to_string(),
        before: Some(key(&before.master_key_id)),
        after: Some(key(master)),
        address: None,
        request_id: None,
        // As of data keys: for people who look; nothing is decided by it.
        created_at: time::cut(Utc::now()),
    }
}
