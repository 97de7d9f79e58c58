//! Counting downloads: one for each network, component and day, since the count makes a name popular. A
//! count is kept in memory for a while: it may lose some when a node dies, and must not cost a write for
//! each.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDate;

use super::limits::network;
use super::store::DownloadRow;
use super::{Registry, RegistryError};
use crate::digest::Digest;

/// Different things that are counted between two writes. What comes on top is not counted.
const PENDING_MAX: usize = 10_000;
/// Downloads of a day that are remembered, as 8 bytes each. What comes on top is not counted.
const SEEN_MAX: usize = 500_000;

type Counts = HashMap<(String, Digest), u64>;

/// Downloads that are not written down yet, by name and component, and who had what today.
#[derive(Debug, Default)]
pub(super) struct Downloads {
    state: Mutex<State>,
    /// Keyed at random: addresses are not kept, nor can they be guessed from what is.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct State {
    pending: Counts,
    day: NaiveDate,
    seen: HashSet<u64>,
}

impl Downloads {
    pub(super) fn count(&self, by: (Option<IpAddr>, NaiveDate), name: &str, component: Digest) {
        let (address, day) = by;
        let who = self
            .hasher
            .hash_one((address.map(network), name, component.as_bytes()));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.day != day {
            state.day = day;
            state.seen.clear();
        }
        if state.seen.len() >= SEEN_MAX || !state.seen.insert(who) {
            return;
        }
        let key = (name.to_owned(), component);
        let pending = &mut state.pending;
        if pending.len() < PENDING_MAX || pending.contains_key(&key) {
            let count = pending.entry(key).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// In one order, so that two nodes that write at once do not wait for each other.
    fn take(&self) -> Vec<((String, Digest), u64)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts: Vec<_> = std::mem::take(&mut state.pending).into_iter().collect();
        counts.sort_unstable();
        counts
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
