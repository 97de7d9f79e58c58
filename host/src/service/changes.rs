//! What operators change, on whichever node, and how long what was read before may still be used.
//!
//! A node remembers keys, connections and policies, and asks the database a few times a second, in one
//! small query, whose of them have changed. What it remembers is used only while it is known to have
//! been true less than [`STALE_MAX`] ago: after a change nobody is served by what was before it for
//! longer, also where the questions fail. With Redis a node that changes something wakes the others,
//! so that they ask at once; without it, or when its message is lost, they ask in their own time.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use moka::future::Cache;
use onerouter_domain::id::TenantId;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError};

/// A change holds everywhere after this at the latest.
pub const STALE_MAX: Duration = Duration::from_secs(1);
/// How often the database is asked, unless somebody says that there is something.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How many questions others can cause: one in this time.
const LOOKS_APART: Duration = Duration::from_millis(20);
/// Changes that are read at a time. More than that, and everything is taken for changed.
const CHANGES_MAX: u32 = 1_000;
/// Changes that are kept in the database, for nodes that have not asked for a while.
const CHANGES_KEPT: i64 = 100_000;
/// What is remembered is read anew after this, whether it has changed or not.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// Longer than anything is remembered, with the time that reading it takes.
const NOTED_FOR: Duration = Duration::from_secs(120);

/// What this node knows of changes.
#[derive(Debug)]
pub struct Changes {
    store: Store,
    seen: RwLock<Seen>,
    /// Grows with every change: what was being read by then may be out of date.
    epoch: AtomicU64,
    /// The last change of what is wanted of plugins.
    plugins: watch::Sender<i64>,
    wanted: Notify,
    made: Notify,
}

#[derive(Debug)]
struct Seen {
    /// The last change that was seen; none before the first look.
    generation: Option<i64>,
    /// Every change that was committed before this moment has been seen.
    looked_at: Instant,
    /// What was read of anybody until then may be out of date.
    all: Instant,
    /// The last change of anybody: what belonged to nobody until then may be somebody's.
    last: Instant,
    /// What was read of these tenants until then may be out of date.
    of: HashMap<TenantId, Instant>,
}

impl Changes {
    /// Nothing has been seen yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let now = Instant::now();
        Self {
            store,
            seen: RwLock::new(Seen {
                generation: None,
                looked_at: now,
                all: now,
                last: now,
                of: HashMap::new(),
            }),
            epoch: AtomicU64::new(0),
            plugins: watch::Sender::new(0),
            wanted: Notify::new(),
            made: Notify::new(),
        }
    }

    /// Notes a change that was made here, and is committed: it holds here from now on, and others are
    /// told.
    pub fn note(&self, tenant: TenantId) {
        let now = Instant::now();
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        seen.of.insert(tenant, now);
        seen.last = now;
        drop(seen);
        self.epoch.fetch_add(1, Ordering::Release);
        self.made.notify_one();
    }

    /// Notes a change of plugins that was made here, and is committed: others are told.
    pub fn note_plugins(&self) {
        self.made.notify_one();
    }

    /// Tells each change of what is wanted of plugins, on whichever node it was made.
    pub fn of_plugins(&self) -> watch::Receiver<i64> {
        self.plugins.subscribe()
    }

    /// Somebody says that there is something to see.
    pub fn want_look(&self) {
        self.wanted.notify_one();
    }

    /// Waits until something was changed here.
    pub async fn made(&self) {
        self.made.notified().await;
    }

    /// Asks the database, again and again until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Said once, until it is well again.
        let mut was_well = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                () = self.wanted.notified() => {}
            }
            // A server that does not answer must not keep this from asking the one that takes over.
            let looked = tokio::select! {
                () = stop.cancelled() => break,
                looked = tokio::time::timeout(STALE_MAX, self.look()) => looked,
            };
            match looked {
                Ok(Ok(())) => was_well = true,
                failed if was_well => {
                    was_well = false;
                    tracing::warn!(
                        ?failed,
                        "cannot look for changes: what is remembered is read anew"
                    );
                }
                _again => {}
            }
            tokio::time::sleep(LOOKS_APART).await;
        }
    }

    /// Asks the database what has changed.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn look(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        let generations = self.store.generations().await?;
        self.plugins.send_if_modified(|seen| {
            let is_news = *seen != generations.plugins;
            *seen = generations.plugins;
            is_news
        });
        let now_at = generations.tenants;
        let known = self.read_seen(|seen| seen.generation);
        let changes = match known {
            Some(known) if known < now_at => self.store.changes_since(known, CHANGES_MAX).await?,
            _ => Vec::new(),
        };
        let answered = Instant::now();
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let last = changes.last().map_or(now_at, |change| change.generation);
        let is_whole = match (known, changes.first()) {
            (Some(known), Some(first)) => {
                // Some may have been forgotten, or there are more than were asked for.
                first.generation == known.saturating_add(1) && last >= now_at
            }
            // A database that was restored from a backup counts anew.
            (Some(known), None) => known == now_at,
            (None, _) => false,
        };
        // Nor does a number tell anything that another server may have given out meanwhile. What is
        // remembered for so long is read anew anyway.
        let is_whole = is_whole && began.saturating_duration_since(seen.looked_at) < STALE_MAX;
        if !is_whole || !changes.is_empty() {
            self.epoch.fetch_add(1, Ordering::Release);
            seen.last = answered;
        }
        if is_whole {
            for change in changes {
                seen.of.insert(change.tenant_id, answered);
            }
        } else {
            seen.all = answered;
        }
        seen.generation = Some(last.max(now_at));
        seen.looked_at = seen.looked_at.max(began);
        seen.of
            .retain(|_, at| answered.saturating_duration_since(*at) < NOTED_FOR);
        Ok(())
    }

    /// Removes what every node has seen from the database.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn remove_seen(&self) -> Result<(), StoreError> {
        let last = self.store.generations().await?.tenants;
        let until = last.saturating_sub(CHANGES_KEPT);
        self.store.forget_changes(until).await.map(drop)
    }

    /// Whether what was read then, of this tenant, is known to have been true a moment ago.
    fn holds(&self, tenant: Option<TenantId>, read_at: Instant) -> bool {
        self.read_seen(|seen| {
            let changed_at = match tenant {
                Some(tenant) => seen.of.get(&tenant),
                // It may be anybody's from now on.
                None => Some(&seen.last),
            };
            let is_unchanged =
                read_at > seen.all && changed_at.is_none_or(|changed_at| read_at > *changed_at);
            // Nobody's changes tell where another node has made it somebody's.
            let true_at = match tenant {
                Some(_) => read_at.max(seen.looked_at),
                None => read_at,
            };
            is_unchanged && true_at.elapsed() < STALE_MAX
        })
    }

    fn read_seen<T>(&self, read: impl FnOnce(&Seen) -> T) -> T {
        read(&self.seen.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What was read of tenants, kept for as long as it holds.
pub struct Remembered<K, V> {
    changes: Arc<Changes>,
    owner: fn(&K, &V) -> Option<TenantId>,
    kept: Cache<K, Kept<V>>,
    /// What is being read, by the epoch in which that began.
    reading: Cache<(u64, K), Kept<V>>,
}

#[derive(Debug, Clone)]
struct Kept<V> {
    value: V,
    /// When reading it began.
    read_at: Instant,
}

impl<K, V> fmt::Debug for Remembered<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

impl<K, V> Remembered<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Up to `count` of them. `owner` tells whose changes count: a value without one is read anew after
    /// anybody's, and after [`STALE_MAX`].
    pub fn new(changes: Arc<Changes>, count: u64, owner: fn(&K, &V) -> Option<TenantId>) -> Self {
        Self {
            changes,
            owner,
            kept: Cache::builder()
                .max_capacity(count)
                .time_to_live(REMEMBERED_FOR)
                .build(),
            reading: Cache::builder()
                .max_capacity(count)
                .time_to_live(STALE_MAX)
                .build(),
        }
    }

    /// What is remembered, or what `read` gives: once for all who ask at the same time, and not for
    /// those who ask after a change that came meanwhile.
    ///
    /// # Errors
    /// As `read`.
    pub async fn get<F, E>(&self, key: K, read: impl Fn() -> F) -> Result<V, Arc<E>>
    where
        F: Future<Output = Result<V, E>>,
        E: Send + Sync + 'static,
    {
        if let Some(kept) = self.kept.get(&key).await
            && self.holds(&key, &kept)
        {
            return Ok(kept.value);
        }
        let asked_at = Instant::now();
        loop {
            let place = (self.changes.epoch.load(Ordering::Acquire), key.clone());
            let reading = async {
                let read_at = Instant::now();
                read().await.map(|value| Kept { value, read_at })
            };
            let kept = Box::pin(self.reading.try_get_with(place.clone(), reading)).await?;
            self.reading.invalidate(&place).await;
            // Another's reading may have begun long before, or be out of date by now.
            let holds = self.holds(&key, &kept);
            if holds {
                self.kept.insert(key.clone(), kept.clone()).await;
            }
            if holds || kept.read_at >= asked_at {
                return Ok(kept.value);
            }
        }
    }

    fn holds(&self, key: &K, kept: &Kept<V>) -> bool {
        let owner = (self.owner)(key, &kept.value);
        self.changes.holds(owner, kept.read_at)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use uuid::Uuid;

    use super::*;
    use crate::store::StoreConfig;

    const ONE: TenantId = TenantId::from_uuid(Uuid::from_u128(1));
    const OTHER: TenantId = TenantId::from_uuid(Uuid::from_u128(2));

    struct Memory {
        changes: Arc<Changes>,
        remembered: Remembered<TenantId, Option<TenantId>>,
        reads: AtomicUsize,
    }

    impl Memory {
        /// Values are their own owners.
        async fn new() -> Self {
            // Never asked, and so never reached.
            let nowhere = StoreConfig::new("postgres://127.0.0.1:1/none");
            let store = Store::connect(&nowhere).await.unwrap();
            let changes = Arc::new(Changes::new(store));
            // Nothing counts that was read in the very moment of the start.
            tokio::time::advance(Duration::from_nanos(1)).await;
            Self {
                remembered: Remembered::new(Arc::clone(&changes), 10, |_, value| *value),
                changes,
                reads: AtomicUsize::new(0),
            }
        }

        /// How often it was read to answer this.
        async fn reads(&self, tenant: TenantId, value: Option<TenantId>) -> usize {
            let before = self.reads.load(Ordering::Relaxed);
            let read = || async move {
                self.reads.fetch_add(1, Ordering::Relaxed);
                Ok::<_, StoreError>(value)
            };
            assert_eq!(self.remembered.get(tenant, read).await.unwrap(), value);
            self.reads.load(Ordering::Relaxed) - before
        }

        /// A look that has found these.
        fn saw(&self, tenants: &[TenantId]) {
            let now = Instant::now();
            let mut seen = self.changes.seen.write().unwrap();
            seen.looked_at = now;
            if !tenants.is_empty() {
                seen.last = now;
            }
            seen.of.extend(tenants.iter().map(|tenant| (*tenant, now)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_used_while_the_looks_answer() {
        let memory = Memory::new().await;
        assert_eq!(memory.reads(ONE, Some(ONE)).await, 1);
        for _ in 0..20 {
            tokio::time::advance(LOOK_EVERY).await;
            memory.saw(&[]);
            assert_eq!(memory.reads(ONE, Some(ONE)).await, 0);
        }
        tokio::time::advance(STALE_MAX).await;
        assert_eq!(
            memory.reads(ONE, Some(ONE)).await,
            1,
            "no look has answered"
        );
        assert_eq!(memory.reads(ONE, Some(ONE)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_of_its_tenant_only() {
        let memory = Memory::new().await;
        for tenant in [ONE, OTHER] {
            assert_eq!(memory.reads(tenant, Some(tenant)).await, 1);
        }
        tokio::time::advance(Duration::from_millis(1)).await;
        memory.changes.note(ONE);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(memory.reads(OTHER, Some(OTHER)).await, 0);
        assert_eq!(memory.reads(ONE, Some(ONE)).await, 1);
        assert_eq!(memory.reads(ONE, Some(ONE)).await, 0);
        memory.saw(&[OTHER]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(memory.reads(OTHER, Some(OTHER)).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_belongs_to_nobody_is_read_again_after_a_moment() {
        let memory = Memory::new().await;
        assert_eq!(memory.reads(ONE, None).await, 1);
        assert_eq!(memory.reads(ONE, None).await, 0);
        tokio::time::advance(STALE_MAX).await;
        memory.saw(&[]);
        assert_eq!(memory.reads(ONE, None).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_belongs_to_nobody_is_read_again_after_anybodys_change() {
        let memory = Memory::new().await;
        assert_eq!(memory.reads(ONE, None).await, 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        memory.changes.note(OTHER);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(memory.reads(ONE, Some(ONE)).await, 1);
        assert_eq!(memory.reads(ONE, Some(ONE)).await, 0);
    }
}
