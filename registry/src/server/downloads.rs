//! Counting downloads. A count is kept in memory for a while: it may lose some when a node dies, and
//! must not cost a write for each.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::store::DownloadRow;
use super::{Registry, RegistryError};
use crate::digest::Digest;

/// Different things that are counted between two writes. What comes on top is not counted.
const PENDING_MAX: usize = 10_000;

type Counts = HashMap<(String, Digest), u64>;

/// Downloads that are not written down yet, by name and component.
#[derive(Debug, Default)]
pub(super) struct Downloads(Mutex<Counts>);

impl Downloads {
    pub(super) fn count(&self, name: &str, component: Digest) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), component);
        if pending.len() < PENDING_MAX || pending.contains_key(&key) {
            let count = pending.entry(key).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn take(&self) -> Counts {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Registry {
    /// Writes down what was counted.
    pub(super) async fn write_downloads(&self) -> Result<(), RegistryError> {
        let pending = self.0.downloads.take();
        if pending.is_empty() {
            return Ok(());
        }
        let day = self.now().format("%Y-%m-%d").to_string();
        let mut tx = self.0.store.write().await?;
        for ((name, component), count) in pending {
            // Configurations and statements are fetched too, and are no downloads of a plugin.
            let Some(version) = tx.find_version_of(&name, component).await? else {
                continue;
            };
            let row = DownloadRow {
                version: version.version.to_string(),
                day: day.clone(),
                count,
            };
            tx.add_downloads(&name, &row).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
