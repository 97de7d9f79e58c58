//! What wraps the stored data keys, and whether it still opens them: for operators who ask.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::rotation::Current;
use super::{Vault, VaultError};

/// Data keys of one master key that are opened for a try. Each may take a call to another machine.
const TRIED_MAX: u64 = 100;

/// What one master key wraps.
#[derive(Debug, Clone, Default)]
pub struct KeyUse {
    /// Data keys, retired ones too.
    pub data_keys: u64,
    /// How many of them another master key would wrap now.
    pub outdated: u64,
    /// How many of them were opened for a try.
    pub tried: u64,
    /// How many of those did not open.
    pub failed: u64,
    /// Why the first of them did not.
    pub failure: Option<VaultError>,
}

impl Vault {
    /// What each master key wraps, by its id.
    ///
    /// # Errors
    /// The database cannot be reached, or nobody can tell which key wraps now.
    pub async fn inspect(&self) -> Result<BTreeMap<String, KeyUse>, VaultError> {
        let current = Current::ask(&self.keys).await?;
        let mut uses = BTreeMap::<String, KeyUse>::new();
        // Those of a tenant that is deleted are destroyed.
        for tenant in self.store.list_tenants().await? {
            let mut after = Uuid::nil();
            loop {
                let rows = self.data_keys_after(tenant.id, after).await?;
                let Some(last) = rows.last() else { break };
                after = last.id;
                for row in rows {
                    let found = uses.entry(row.master_key_id.clone()).or_default();
                    found.data_keys += 1;
                    found.outdated += u64::from(!current.wraps(&row));
                    if found.is_worth_a_try() {
                        found.tried += 1;
                        let opened = self.unwrap_bytes(row).await;
                        found.note(opened.err());
                    }
                }
            }
        }
        Ok(uses)
    }
}

impl KeyUse {
    /// A provider that is away is asked once.
    const fn is_worth_a_try(&self) -> bool {
        let is_away = matches!(self.failure, Some(VaultError::ProviderUnavailable(_)));
        self.tried < TRIED_MAX && !is_away
    }

    fn note(&mut self, failure: Option<VaultError>) {
        if let Some(failure) = failure {
            self.failed += 1;
            self.failure.get_or_insert(failure);
        }
    }
}
