//! Which adapter serves which provider, swapped without a pause.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use onerouter_domain::id::TenantId;
use onerouter_manifest::PluginId;

use crate::adapter::Adapter;

/// Parts of a hundred per cent that tenants are told apart by.
const SHARES: u64 = 10_000;

/// A version that serves some tenants, beside the one that serves the others.
#[derive(Debug, Clone)]
pub struct Canary {
    /// What serves them.
    pub adapter: Arc<Adapter>,
    /// How many of a hundred tenants. The same ones as long as the percentage stays, and more of
    /// them, never others, when it grows.
    pub percent: u8,
    /// Those whom it serves whatever the percentage.
    pub tenants: BTreeSet<TenantId>,
}

/// What serves a provider.
#[derive(Debug, Clone)]
pub struct Serving {
    /// Serves everybody whom the canary does not.
    pub active: Arc<Adapter>,
    /// Serves some.
    pub canary: Option<Canary>,
}

type Table = HashMap<PluginId, Serving>;

/// The adapters in use. A reader takes one `Arc` and keeps it to the end of its request; a change
/// replaces the pointer for those who come after.
#[derive(Debug, Default)]
pub struct Adapters {
    table: ArcSwap<Table>,
}

/// The adapters as one request sees them from its beginning to its end.
#[derive(Debug, Clone)]
pub struct TenantAdapters {
    table: Arc<Table>,
    tenant: TenantId,
}

impl TenantAdapters {
    /// The adapter of this provider for the tenant.
    #[must_use]
    pub fn get(&self, id: &PluginId) -> Option<&Arc<Adapter>> {
        self.table
            .get(id)
            .map(|serving| serving.of(id, self.tenant))
    }
}

impl Serving {
    fn of(&self, id: &PluginId, tenant: TenantId) -> &Arc<Adapter> {
        match &self.canary {
            Some(canary) if canary.serves(id, tenant) => &canary.adapter,
            _ => &self.active,
        }
    }
}

impl Canary {
    fn serves(&self, id: &PluginId, tenant: TenantId) -> bool {
        share(id, tenant) < u64::from(self.percent) * (SHARES / 100)
            || self.tenants.contains(&tenant)
    }
}

/// Where a tenant stands between 0 and [`SHARES`]: always in the same place for one plugin, and in
/// unrelated ones for two, so that it is not always the same tenants who try what is new.
fn share(id: &PluginId, tenant: TenantId) -> u64 {
    // FNV-1a, and the finalizer of splitmix64 over it: the low bits of FNV alone are not spread evenly.
    let bytes = id.as_str().bytes().chain(tenant.uuid().into_bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ (hash >> 31)) % SHARES
}

impl Adapters {
    /// The adapter that serves this provider's tenants, but for a canary's.
    #[must_use]
    pub fn get(&self, id: &PluginId) -> Option<Arc<Adapter>> {
        let table = self.table.load();
        table.get(id).map(|serving| Arc::clone(&serving.active))
    }

    /// Whether any adapter that serves this provider, for whomever, is as asked for.
    pub fn any(&self, id: &PluginId, is: impl Fn(&Adapter) -> bool) -> bool {
        let table = self.table.load();
        table.get(id).is_some_and(|serving| {
            let canary = serving.canary.as_ref().map(|canary| &canary.adapter);
            is(&serving.active) || canary.is_some_and(|canary| is(canary))
        })
    }

    /// What serves this tenant from now to the end of its request, whatever is swapped meanwhile.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> TenantAdapters {
        TenantAdapters {
            table: self.table.load_full(),
            tenant,
        }
    }

    /// Puts `adapter` in the place of whatever serves the same id, and gives back what that was.
    pub fn install(&self, adapter: Arc<Adapter>) -> Option<Arc<Adapter>> {
        let id = adapter.manifest().id.clone();
        let serving = Serving {
            active: adapter,
            canary: None,
        };
        let before = self.table.rcu(|table| {
            let mut next = HashMap::clone(table);
            next.insert(id.clone(), serving.clone());
            next
        });
        before.get(&id).map(|serving| Arc::clone(&serving.active))
    }

    /// Takes a provider out; calls that run on it finish.
    pub fn remove(&self, id: &PluginId) -> Option<Arc<Adapter>> {
        let before = self.table.rcu(|table| {
            let mut next = HashMap::clone(table);
            next.remove(id);
            next
        });
        before.get(id).map(|serving| Arc::clone(&serving.active))
    }

    /// Puts this in the place of everything, in one step. Calls that run finish where they began.
    pub fn replace(&self, table: impl IntoIterator<Item = (PluginId, Serving)>) {
        self.table.store(Arc::new(table.into_iter().collect()));
    }

    /// Those that serve everybody but canaries' tenants, sorted by id.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Adapter>> {
        let table = self.table.load();
        let mut list: Vec<_> = table.values().map(|one| Arc::clone(&one.active)).collect();
        list.sort_by(|a, b| a.manifest().id.cmp(&b.manifest().id));
        list
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(text: &str) -> PluginId {
        PluginId::try_from(text.to_owned()).unwrap()
    }

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_tenant_always_stands_in_the_same_place_and_tenants_are_spread_evenly() {
        let (acme, other) = (id("acme"), id("other"));
        let below = |percent: u64| {
            let limit = percent * 100;
            (0..10_000)
                .filter(|n| share(&acme, tenant(*n)) < limit)
                .count()
        };
        for percent in [1, 10, 50, 100] {
            let expected = usize::try_from(percent * 100).unwrap();
            let found = below(percent);
            assert!(
                found.abs_diff(expected) <= expected / 10 + 20,
                "{percent}: {found}"
            );
        }
        let both = (0..10_000)
            .filter(|n| share(&acme, tenant(*n)) < 1_000 && share(&other, tenant(*n)) < 1_000)
            .count();
        assert!((50..200).contains(&both), "{both}");
    }
}
