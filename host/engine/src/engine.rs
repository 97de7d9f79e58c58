//! The engine itself: both kinds of sandboxes, what they share, the ticker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

use bytes::Bytes;
use onerouter_egress::{Answer, Egress, OutboundRequest, SendError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::adapter::Adapter;
use crate::cache::CodeCache;
use crate::compile::Compiler;
use crate::config::{Clock, EngineConfig, TICK, Ticker};
use crate::load::{self, LoadError};
use crate::oauth::Tokens;
use crate::sandboxes::Sandboxes;
use crate::webhook::Certificates;

/// Runs adapters. Cheap to clone; all clones are one engine.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// What adapters share.
pub(crate) struct Inner {
    /// For adapters that are translators and little else.
    pub(crate) small: Arc<Sandboxes>,
    /// For those that bring an interpreter along.
    pub(crate) wide: Arc<Sandboxes>,
    pub(crate) compiler: Compiler,
    pub(crate) egress: Arc<Egress>,
    pub(crate) cache: Option<CodeCache>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tokens: Tokens,
    pub(crate) certificates: Certificates,
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
    /// Starts an engine: reserves the pools, prepares the host functions, starts the ticker.
    ///
    /// # Errors
    /// wasmtime refuses the settings, or the cache folder is not usable.
    pub fn new(config: EngineConfig, egress: Arc<Egress>) -> Result<Self, EngineError> {
        let wasmtime_error = |error: wasmtime::Error| EngineError::Wasmtime(format!("{error:#}"));
        let small = Arc::new(Sandboxes::small(&config).map_err(wasmtime_error)?);
        let wide = Arc::new(Sandboxes::wide(&config).map_err(wasmtime_error)?);
        let cache = config
            .cache_dir
            .map(|path| {
                CodeCache::open(&path, config.mac_key)
                    .map_err(|source| EngineError::Cache { path, source })
            })
            .transpose()?;
        let ticker = match config.ticker {
            Ticker::Thread => Some(start_ticker([&small, &wide]).map_err(EngineError::Ticker)?),
            Ticker::Manual => None,
        };
        let inner = Inner {
            small,
            wide,
            compiler: config.compiler,
            egress,
            cache,
            clock: config.clock,
            tokens: Tokens::default(),
            certificates: Certificates::new(&config.webhook_roots),
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
        self.inner.small.wasmtime.increment_epoch();
        self.inner.wide.wasmtime.increment_epoch();
    }

    /// Slots that are free at the moment, without the wide ones.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.inner.small.free_slots()
    }

    /// Wide slots that are free at the moment.
    #[must_use]
    pub fn free_wide_slots(&self) -> usize {
        self.inner.wide.free_slots()
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
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("small", &self.small)
            .field("wide", &self.wide)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// One thread for the whole engine. It knows nothing of calls: each counts its own ticks.
fn start_ticker(of: [&Sandboxes; 2]) -> std::io::Result<mpsc::SyncSender<()>> {
    let (alive, gone) = mpsc::sync_channel(0);
    let engines = of.map(|sandboxes| sandboxes.wasmtime.weak());
    std::thread::Builder::new()
        .name("onerouter-ticker".to_owned())
        .spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = gone.recv_timeout(TICK) {
                for engine in &engines {
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            }
        })?;
    Ok(alive)
}
