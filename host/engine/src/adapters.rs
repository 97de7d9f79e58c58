//! Which adapter serves which provider, swapped without a pause.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use onerouter_manifest::PluginId;

use crate::adapter::Adapter;

/// The adapters in use. A reader takes one `Arc` and keeps it to the end of its request; an
/// install replaces the pointer for those who come after.
#[derive(Debug, Default)]
pub struct Adapters {
    active: ArcSwap<HashMap<PluginId, Arc<Adapter>>>,
}

impl Adapters {
    /// The adapter of this provider.
    #[must_use]
    pub fn get(&self, id: &PluginId) -> Option<Arc<Adapter>> {
        self.active.load().get(id).cloned()
    }

    /// Puts `adapter` in the place of the one with the same id, and gives back that one.
    pub fn install(&self, adapter: Arc<Adapter>) -> Option<Arc<Adapter>> {
        let id = adapter.manifest().id.clone();
        let before = self.active.rcu(|active| {
            let mut next = HashMap::clone(active);
            next.insert(id.clone(), Arc::clone(&adapter));
            next
        });
        before.get(&id).cloned()
    }

    /// Takes an adapter out; calls that run on it finish.
    pub fn remove(&self, id: &PluginId) -> Option<Arc<Adapter>> {
        let before = self.active.rcu(|active| {
            let mut next = HashMap::clone(active);
            next.remove(id);
            next
        });
        before.get(id).cloned()
    }

    /// All of them, sorted by id.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Adapter>> {
        let mut list: Vec<_> = self.active.load().values().cloned().collect();
        list.sort_by(|a, b| a.manifest().id.cmp(&b.manifest().id));
        list
    }
}
