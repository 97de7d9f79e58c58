//! What the operator decides about the engine.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::TrustAnchor;
use zeroize::Zeroizing;

use crate::compile::Compiler;

/// Settings of an [`crate::Engine`].
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where compiled code is kept; none compiles at every start. The folder is made with mode
    /// 0700.
    pub cache_dir: Option<PathBuf>,
    /// Authenticates the files in `cache_dir`.
    pub mac_key: MacKey,
    /// Calls that run at the same time.
    pub slots: u32,
    /// How many of them one adapter may take, so that one with a hanging provider leaves room for
    /// the others.
    pub slots_per_adapter: u32,
    /// Calls that run at the same time of adapters which bring an interpreter along, besides the
    /// others: each may take a quarter of a GiB.
    pub wide_slots: u32,
    /// How many of those one adapter may take.
    pub wide_slots_per_adapter: u32,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// How long a call waits for a slot, inside its own deadline.
    pub wait_max: Duration,
    /// How many calls may wait for a slot at the same time; one more is refused at once.
    pub waiting_max: usize,
    /// What makes the guests' clock tick.
    pub ticker: Ticker,
    /// What adapters are told about the time.
    pub clock: Arc<dyn Clock>,
    /// Roots of certificates that sign webhooks, besides the public ones: for tests.
    pub webhook_roots: Vec<TrustAnchor<'static>>,
    /// Whether the kernel is asked which pages a call has touched.
    #[cfg(feature = "measure")]
    pub pagemap_scan: wasmtime::Enabled,
}

impl EngineConfig {
    /// The defaults: no cache, 1,000 slots and 32 wide ones of which one adapter may take three
    /// quarters, half a second of waiting, 5 ms ticks; compiled in this process.
    #[must_use]
    pub fn new(mac_key: MacKey) -> Self {
        Self {
            cache_dir: None,
            mac_key,
            slots: 1_000,
            slots_per_adapter: 750,
            wide_slots: 32,
            wide_slots_per_adapter: 24,
            compiler: Compiler::Here,
            wait_max: Duration::from_millis(500),
            waiting_max: 4_000,
            ticker: Ticker::Thread,
            clock: Arc::new(SystemClock),
            webhook_roots: Vec::new(),
            #[cfg(feature = "measure")]
            pagemap_scan: wasmtime::Enabled::Auto,
        }
    }
}

/// Length of one tick: CPU budgets are counted in ticks, rounded up.
pub const TICK: Duration = Duration::from_millis(5);

/// What makes the guests' clock tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticker {
    /// A thread, every [`TICK`].
    Thread,
    /// [`crate::Engine::tick`], by hand: tests count ticks instead of seconds.
    Manual,
}

/// Tells the wall-clock time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that is injected"
    )]
    fn now_ms(&self) -> u64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            })
    }
}

/// A key of 32 bytes, wiped on drop.
#[derive(Clone)]
pub struct MacKey(Zeroizing<[u8; 32]>);

impl MacKey {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(redacted)")
    }
}
