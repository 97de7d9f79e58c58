//! Changing the master key: every data key is wrapped anew, while traffic flows.

use chrono::Utc;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{AuditId, TenantId};
use onerouter_domain::time;
use serde_json::json;
use uuid::Uuid;

use super::key_provider::{KeyProviders, WrappedDataKey};
use super::{Vault, VaultError, place_of};
use crate::ids;
use crate::store::{AuditRow, DataKeyRow};

/// Data keys in one transaction. A tenant has one per environment, and few retired ones.
const BATCH: u32 = 100;

/// What a rotation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Tenants that were looked at.
    pub tenants: u64,
    /// Data keys that were wrapped anew.
    pub rewrapped: u64,
}

/// What wraps now.
pub(super) struct Current {
    test: String,
    live: String,
}

impl Current {
    pub(super) async fn ask(keys: &KeyProviders) -> Result<Self, VaultError> {
        Ok(Self {
            test: keys.wrapping_key_id(Environment::Test).await?,
            live: keys.wrapping_key_id(Environment::Live).await?,
        })
    }

    pub(super) fn wraps(&self, row: &DataKeyRow) -> bool {
        let current = match row.environment {
            Environment::Test => &self.test,
            Environment::Live => &self.live,
        };
        row.master_key_id == *current
    }
}

/// Data keys that were not wrapped anew.
#[derive(Default)]
struct LeftBehind {
    count: u64,
    first: Option<VaultError>,
}

impl Vault {
    /// Wraps every data key under its environment's current master key. Stopped halfway, it goes on
    /// where it was when called again: what is done is passed over. `actor` stands in the audit log
    /// of each tenant whose keys were wrapped anew.
    ///
    /// # Errors
    /// [`VaultError::LeftBehind`]: some keys are wrapped by a master key that is not configured, or
    /// were damaged; the others are done. Anything else ends it where it was.
    pub async fn rotate(&self, actor: &str) -> Result<Rotation, VaultError> {
        let current = Current::ask(&self.keys).await?;
        let mut done = Rotation::default();
        let mut left_behind = LeftBehind::default();
        for tenant in self.store.list_tenants().await? {
            done.rewrapped += self
                .rotate_tenant(tenant.id, &current, &mut left_behind, actor)
                .await?;
            done.tenants += 1;
        }
        match left_behind.first {
            None => Ok(done),
            Some(first) => Err(VaultError::LeftBehind {
                count: left_behind.count,
                first: Box::new(first),
            }),
        }
    }

    async fn rotate_tenant(
        &self,
        tenant: TenantId,
        current: &Current,
        left_behind: &mut LeftBehind,
        actor: &str,
    ) -> Result<u64, VaultError> {
        let mut rewrapped = 0;
        let mut after = Uuid::nil();
        loop {
            let rows = self.data_keys_after(tenant, after).await?;
            let Some(last) = rows.last() else {
                return Ok(rewrapped);
            };
            after = last.id;
            let mut wrapped = Vec::new();
            for row in rows.into_iter().filter(|row| !current.wraps(row)) {
                match self.wrap_anew(&row).await {
                    Ok(anew) => wrapped.push((row, anew)),
                    Err(error) if is_of_this_key_alone(&error) => left_behind.add(error),
                    Err(error) => return Err(error),
                }
            }
            rewrapped += self.replace(tenant, &wrapped, actor).await?;
        }
    }

    /// Up to [`BATCH`] of a tenant's, in the order of their ids.
    pub(super) async fn data_keys_after(
        &self,
        tenant: TenantId,
        after: Uuid,
    ) -> Result<Vec<DataKeyRow>, VaultError> {
        let mut tx = self.store.begin_read(tenant).await?;
        let rows = tx.list_data_keys(after, BATCH).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// Outside of any transaction: the provider may be another machine.
    async fn wrap_anew(&self, row: &DataKeyRow) -> Result<WrappedDataKey, VaultError> {
        let key = self.unwrap_bytes(row.clone()).await?;
        self.keys.wrap(&place_of(row), &key).await
    }

    async fn replace(
        &self,
        tenant: TenantId,
        wrapped: &[(DataKeyRow, WrappedDataKey)],
        actor: &str,
    ) -> Result<u64, VaultError> {
        if wrapped.is_empty() {
            return Ok(0);
        }
        let mut rewrapped = 0;
        let mut tx = self.store.begin(tenant).await?;
        for (row, anew) in wrapped {
            // Else another rotation was faster, or the tenant has been deleted.
            if tx.rewrap_data_key(row, &anew.key_id, &anew.bytes).await? {
                rewrapped += 1;
                tx.insert_audit(&rotated(row, &anew.key_id, actor)).await?;
            }
        }
        tx.commit().await?;
        Ok(rewrapped)
    }
}

impl LeftBehind {
    fn add(&mut self, error: VaultError) {
        self.count += 1;
        self.first.get_or_insert(error);
    }
}

/// Whether other data keys may fare better.
const fn is_of_this_key_alone(error: &VaultError) -> bool {
    match error {
        VaultError::Malformed
        | VaultError::Refused
        | VaultError::UnknownDataKey { .. }
        | VaultError::UnknownMasterKey { .. }
        | VaultError::DataKeyRefused { .. }
        | VaultError::TenantGone
        | VaultError::Provider(_) => true,
        VaultError::Store(_)
        | VaultError::Random
        | VaultError::ProviderUnavailable(_)
        | VaultError::LeftBehind { .. } => false,
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
