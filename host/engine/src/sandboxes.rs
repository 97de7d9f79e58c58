//! Where instances live: a wasmtime engine with its pool, and the calls that it runs at once.
//!
//! There are two. The small one serves adapters that are translators and little else; everything in
//! it is dimensioned for a thousand of them at once. The wide one serves components that bring the
//! interpreter of a language along, and has room for a few.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::config::EngineConfig;
use crate::limits::{MEMORIES_MAX, Room, SMALL, TABLE_ELEMENTS_MAX, TABLES_MAX, WIDE};
use crate::outcome::NotSent;
use crate::state::{self, CallState};

/// Room in the pool beyond the slots, so that the semaphore is what fills up first.
const SPARE_SLOTS: u32 = 8;

/// Pages that a slot keeps between calls: putting them back in order is cheaper than giving them
/// to the kernel and taking new ones.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// Frames of a trap's backtrace; they go to the operator's log.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// A wasmtime engine, and the calls that it runs at the same time.
pub(crate) struct Sandboxes {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Linker<CallState>,
    pub(crate) room: &'static Room,
    pub(crate) slots_per_adapter: usize,
    slots: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
    wait_max: Duration,
}

impl Sandboxes {
    /// For adapters that are translators and little else.
    pub(crate) fn small(config: &EngineConfig) -> wasmtime::Result<Self> {
        let counts = Counts {
            slots: config.slots,
            slots_per_adapter: config.slots_per_adapter,
        };
        Self::new(&SMALL, counts, config)
    }

    /// For those that bring an interpreter along.
    pub(crate) fn wide(config: &EngineConfig) -> wasmtime::Result<Self> {
        let counts = Counts {
            slots: config.wide_slots,
            slots_per_adapter: config.wide_slots_per_adapter,
        };
        Self::new(&WIDE, counts, config)
    }

    fn new(room: &'static Room, counts: Counts, config: &EngineConfig) -> wasmtime::Result<Self> {
        let slots = counts.slots.max(1);
        #[cfg(feature = "measure")]
        let pagemap_scan = config.pagemap_scan;
        #[cfg(not(feature = "measure"))]
        let pagemap_scan = Enabled::Auto;
        let mut settings = compiler_settings();
        settings
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(
                room,
                slots,
                pagemap_scan,
            )))
            .max_wasm_stack(room.stack_bytes)
            .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
            // A dump of a guest's memory would hold a tenant's data.
            .coredump_on_trap(false);
        let wasmtime = wasmtime::Engine::new(&settings)?;
        let mut linker = Linker::new(&wasmtime);
        state::link(&mut linker)?;
        Ok(Self {
            wasmtime,
            linker,
            room,
            slots_per_adapter: to_usize(counts.slots_per_adapter.clamp(1, slots)),
            slots: Semaphore::new(to_usize(slots)),
            waiting: AtomicUsize::new(0),
            waiting_max: config.waiting_max,
            wait_max: config.wait_max,
        })
    }

    /// A slot of the pool and one of the adapter's own share.
    pub(crate) async fn admit<'s>(
        &'s self,
        share: &'s Semaphore,
        deadline: Instant,
    ) -> Result<[SemaphorePermit<'s>; 2], NotSent> {
        if let Ok(own) = share.try_acquire()
            && let Ok(slot) = self.slots.try_acquire()
        {
            return Ok([own, slot]);
        }
        let _waiting = Waiting::begin(self).ok_or(NotSent::Overloaded)?;
        let until = deadline.min(Instant::now() + self.wait_max);
        let admitted = timeout_at(until, async {
            let own = share.acquire().await?;
            let slot = self.slots.acquire().await?;
            Ok::<_, tokio::sync::AcquireError>([own, slot])
        });
        match admitted.await {
            Ok(Ok(permits)) => Ok(permits),
            Ok(Err(_)) | Err(_) => Err(NotSent::Overloaded),
        }
    }

    pub(crate) fn free_slots(&self) -> usize {
        self.slots.available_permits()
    }
}

impl std::fmt::Debug for Sandboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandboxes")
            .field("name", &self.room.name)
            .field("free_slots", &self.free_slots())
            .finish_non_exhaustive()
    }
}

/// How many calls.
#[derive(Debug, Clone, Copy)]
struct Counts {
    slots: u32,
    slots_per_adapter: u32,
}

/// A call in the queue for a slot.
struct Waiting<'i>(&'i AtomicUsize);

impl<'i> Waiting<'i> {
    fn begin(sandboxes: &'i Sandboxes) -> Option<Self> {
        // Counted first: two that come at once must not both see the last place.
        let before = sandboxes.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(&sandboxes.waiting);
        (before < sandboxes.waiting_max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Everything that shapes compiled code. The pool does not: what one engine compiles, or a program
/// that does nothing else, runs in the other too.
pub(crate) fn compiler_settings() -> Config {
    let mut config = Config::new();
    config
        .memory_init_cow(true)
        .epoch_interruption(true)
        // Exports are plain functions; this saves a quarter of each call.
        .concurrency_support(false)
        // No guest needs these, and each is code that could be wrong.
        .wasm_gc(false)
        .gc_support(false)
        .wasm_memory64(false)
        .shared_memory(false);
    config
}

fn pool(room: &Room, slots: u32, pagemap_scan: Enabled) -> PoolingAllocationConfig {
    let total = slots.saturating_add(SPARE_SLOTS);
    let mut pool = PoolingAllocationConfig::new();
    // Each component may take its maximum without touching what others need.
    pool.total_component_instances(total)
        .total_core_instances(total.saturating_mul(room.core_instances))
        .total_memories(total.saturating_mul(MEMORIES_MAX))
        .total_tables(total.saturating_mul(TABLES_MAX))
        .total_stacks(total)
        .max_core_instances_per_component(room.core_instances)
        .max_component_instance_size(room.instance_bytes)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memory_size(room.memory_bytes)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .pagemap_scan(pagemap_scan);
    pool
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
