//! The engine itself: wasmtime with its pool, the slots, the ticker.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use bytes::Bytes;
use onerouter_egress::{Answer, Egress, OutboundRequest, SendError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::adapter::Adapter;
use crate::cache::CodeCache;
use crate::config::{Clock, EngineConfig, TICK, Ticker};
use crate::limits::{
    CORE_INSTANCES_MAX, MEMORIES_MAX, MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX,
};
use crate::load::{self, LoadError};
use crate::oauth::Tokens;
use crate::outcome::NotSent;
use crate::state::{self, CallState};
use crate::webhook::Certificates;

/// Room in the pool beyond the slots, so that the semaphore is what fills up first.
const SPARE_SLOTS: u32 = 8;

/// Pages that a slot keeps between calls: putting them back in order is cheaper than giving them
/// to the kernel and taking new ones.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// Frames of a trap's backtrace; they go to the operator's log.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// Runs adapters. Cheap to clone; all clones are one engine.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// What adapters share.
pub(crate) struct Inner {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Linker<CallState>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) cache: Option<CodeCache>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tokens: Tokens,
    pub(crate) certificates: Certificates,
    pub(crate) slots_per_adapter: usize,
    slots: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
    wait_max: Duration,
    /// Compiling takes memory that the component's author chooses: one at a time.
    compiling: Semaphore,
    /// The ticker's thread ends when this is dropped.
    _ticker: Option<mpsc::SyncSender<()>>,
    #[cfg(feature = "measure")]
    pub(crate) at_once: std::sync::OnceLock<Box<crate::measure::AtOnce>>,
}

/// The engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Settings that wasmtime refuses, or address space that the system does not give.
    #[error("cannot start the WebAssembly engine: {0}")]
    Wasmtime(String),
    /// The cache folder cannot be made, or is not ours.
    #[error("cannot use {path} for compiled code")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No thread for the ticker.
    #[error("cannot start the thread that limits CPU time")]
    Ticker(#[source] std::io::Error),
}

impl Engine {
    /// Starts an engine: reserves the pool, prepares the host functions, starts the ticker.
    ///
    /// # Errors
    /// wasmtime refuses the settings, or the cache folder is not usable.
    pub fn new(config: EngineConfig, egress: Arc<Egress>) -> Result<Self, EngineError> {
        let wasmtime_error = |error: wasmtime::Error| EngineError::Wasmtime(format!("{error:#}"));
        let slots = config.slots.max(1);
        #[cfg(feature = "measure")]
        let pagemap_scan = config.pagemap_scan;
        #[cfg(not(feature = "measure"))]
        let pagemap_scan = Enabled::Auto;
        let settings = settings(slots, pagemap_scan);
        let wasmtime = wasmtime::Engine::new(&settings).map_err(wasmtime_error)?;
        let mut linker = Linker::new(&wasmtime);
        state::link(&mut linker).map_err(wasmtime_error)?;
        let cache = config
            .cache_dir
            .map(|path| {
                CodeCache::open(&path, config.mac_key)
                    .map_err(|source| EngineError::Cache { path, source })
            })
            .transpose()?;
        let ticker = match config.ticker {
            Ticker::Thread => Some(start_ticker(&wasmtime).map_err(EngineError::Ticker)?),
            Ticker::Manual => None,
        };
        let inner = Inner {
            wasmtime,
            linker,
            egress,
            cache,
            clock: config.clock,
            tokens: Tokens::default(),
            certificates: Certificates::new(&config.webhook_roots),
            slots_per_adapter: to_usize(config.slots_per_adapter.clamp(1, slots)),
            slots: Semaphore::new(to_usize(slots)),
            waiting: AtomicUsize::new(0),
            waiting_max: config.waiting_max,
            wait_max: config.wait_max,
            compiling: Semaphore::new(1),
            _ticker: ticker,
            #[cfg(feature = "measure")]
            at_once: std::sync::OnceLock::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Checks a component and makes it ready to run. Code that was compiled before comes from the
    /// cache. The work runs on a blocking thread.
    ///
    /// # Errors
    /// The file is no adapter that this host can run.
    pub async fn load(&self, component: Bytes) -> Result<Arc<Adapter>, LoadError> {
        let host = |error: &dyn std::fmt::Display| LoadError::Host(error.to_string());
        let _one_at_a_time = self
            .inner
            .compiling
            .acquire()
            .await
            .map_err(|error| host(&error))?;
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || load::load(inner, &component))
            .await
            .map_err(|error| host(&error))?
    }

    /// Loads every `*.wasm` file of a folder, in the order of their names. Of two files with one
    /// plugin id the higher version counts, and the other is reported as
    /// [`LoadError::Superseded`].
    pub async fn load_folder(
        &self,
        folder: &Path,
    ) -> Vec<(PathBuf, Result<Arc<Adapter>, LoadError>)> {
        let paths = match load::files(folder).await {
            Ok(paths) => paths,
            Err(failed) => return vec![failed],
        };
        let mut loaded = Vec::with_capacity(paths.len());
        for path in paths {
            let result = match load::read(&path).await {
                Ok(bytes) => self.load(bytes).await,
                Err(error) => Err(error),
            };
            loaded.push((path, result));
        }
        load::supersede(loaded)
    }

    /// Moves the guests' clock by one tick; for [`Ticker::Manual`].
    pub fn tick(&self) {
        self.inner.wasmtime.increment_epoch();
    }

    /// Slots that are free at the moment.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.inner.slots.available_permits()
    }
}

impl Inner {
    /// Sends one request to a provider.
    pub(crate) async fn send(
        &self,
        request: OutboundRequest,
        deadline: Instant,
    ) -> Result<Answer, SendError> {
        #[cfg(feature = "measure")]
        if let Some(answer) = self.at_once.get() {
            return Ok(answer(&request));
        }
        self.egress.send(request, deadline).await
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
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("free_slots", &self.slots.available_permits())
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// A call in the queue for a slot.
struct Waiting<'i>(&'i AtomicUsize);

impl<'i> Waiting<'i> {
    fn begin(inner: &'i Inner) -> Option<Self> {
        // Counted first: two that come at once must not both see the last place.
        let before = inner.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(&inner.waiting);
        (before < inner.waiting_max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn settings(slots: u32, pagemap_scan: Enabled) -> Config {
    let total = slots.saturating_add(SPARE_SLOTS);
    let mut pool = PoolingAllocationConfig::new();
    // Each component may take its maximum without touching what others need.
    pool.total_component_instances(total)
        .total_core_instances(total.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(total.saturating_mul(MEMORIES_MAX))
        .total_tables(total.saturating_mul(TABLES_MAX))
        .total_stacks(total)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .pagemap_scan(pagemap_scan);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .epoch_interruption(true)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        // A dump of a guest's memory would hold a tenant's data.
        .coredump_on_trap(false)
        // Exports are plain functions; this saves a quarter of each call.
        .concurrency_support(false)
        // No guest needs these, and each is code that could be wrong.
        .wasm_gc(false)
        .gc_support(false)
        .wasm_memory64(false)
        .shared_memory(false);
    config
}

/// One thread for the whole engine. It knows nothing of calls: each counts its own ticks.
fn start_ticker(engine: &wasmtime::Engine) -> std::io::Result<mpsc::SyncSender<()>> {
    let (alive, gone) = mpsc::sync_channel(0);
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("onerouter-ticker".to_owned())
        .spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = gone.recv_timeout(TICK) {
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                engine.increment_epoch();
            }
        })?;
    Ok(alive)
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
