//! From a file to an adapter that can run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use onerouter_manifest::{Limits, PluginId, UnpackError, Unpacked, unpack};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use wasmtime::component::Component;

use crate::adapter::{Adapter, Shared};
use crate::cache::{CodeKey, EntryError};
use crate::engine::Inner;
use crate::functions::Exports;
use crate::limits::{
    MEMORIES_MAX, SMALL, SMALL_COMPONENT_BYTES, TABLE_ELEMENTS_MAX, TABLES_MAX, ticks,
};
use crate::outbound::Rules;
use crate::sandboxes::Sandboxes;
use crate::tally::Tally;

/// Larger components are refused.
pub const COMPONENT_BYTES_MAX: usize = 32 << 20;

/// Files of one folder that are looked at.
const FILES_MAX: usize = 256;

const WASM_PAGE_BYTES: u64 = 64 << 10;

/// Why a component cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not readable.
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
    /// Larger than [`COMPONENT_BYTES_MAX`].
    #[error("the component has more than {COMPONENT_BYTES_MAX} bytes")]
    TooLarge,
    /// Compiled code is accepted from this host's own cache only.
    #[error("the file holds precompiled code; give the WebAssembly component itself")]
    Precompiled,
    /// Manifest, imports or exports are not acceptable.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Not valid, or of a feature that is switched off.
    #[error("the component cannot be compiled: {0}")]
    Compile(String),
    /// It wants more than a slot of the pool has.
    #[error("the component needs {0}")]
    TooDemanding(String),
    /// The imports do not fit what the host offers.
    #[error("the component cannot be linked: {0}")]
    Link(String),
    /// An export is not what its interface says.
    #[error("the function {function} of {interface} is not as the interface says: {reason}")]
    Export {
        /// The interface.
        interface: &'static str,
        /// The function.
        function: &'static str,
        /// What differs.
        reason: String,
    },
    /// Another file of the folder has the same plugin id, and a higher version or an earlier name.
    #[error("another file provides {id} in version {version}")]
    Superseded {
        /// The plugin.
        id: PluginId,
        /// The version that counts.
        version: String,
    },
    /// The host failed, not the component.
    #[error("the host failed to load the component: {0}")]
    Host(String),
}

/// Everything that takes CPU time; runs on a thread of its own.
pub(crate) fn load(engine: Arc<Inner>, bytes: &[u8]) -> Result<Arc<Adapter>, LoadError> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(LoadError::TooLarge);
    }
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadError::Precompiled);
    }
    let Unpacked {
        manifest,
        capabilities,
    } = unpack(bytes)?;
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let (sandboxes, component) = placed(&engine, bytes, &digest, &manifest.limits)?;
    let instance = sandboxes
        .linker
        .instantiate_pre(&component)
        .map_err(|error| LoadError::Link(format!("{error:#}")))?;
    let exports = Exports::find(&instance, &capabilities)?;
    let shared = Shared {
        rules: Rules::new(&manifest),
        cpu_ticks: ticks(&manifest.limits),
        slots: Semaphore::new(sandboxes.slots_per_adapter),
        tally: Tally::default(),
        digest: digest.iter().map(|b| format!("{b:02x}")).collect(),
        manifest,
        capabilities,
        instance,
        exports,
        engine,
        sandboxes,
        #[cfg(feature = "measure")]
        native: std::sync::OnceLock::new(),
    };
    Ok(Arc::new(Adapter::new(shared)))
}

/// The component's code, and the sandboxes that have room for its instances: the small ones, if they
/// have.
fn placed(
    engine: &Inner,
    bytes: &[u8],
    digest: &[u8; 32],
    limits: &Limits,
) -> Result<(Arc<Sandboxes>, Component), LoadError> {
    let small_memory = u64::try_from(SMALL.memory_bytes).unwrap_or(u64::MAX);
    let may_be_small = bytes.len() <= SMALL_COMPONENT_BYTES && limits.memory_bytes <= small_memory;
    let place = |code: &[u8]| {
        if may_be_small && let Ok(component) = deserialize(&engine.small.wasmtime, code) {
            return Ok((Arc::clone(&engine.small), component));
        }
        // The pool checks here what a component takes of it.
        let component = deserialize(&engine.wide.wasmtime, code)?;
        Ok::<_, wasmtime::Error>((Arc::clone(&engine.wide), component))
    };
    let key = CodeKey::new(
        digest,
        &engine.small.wasmtime.precompile_compatibility_hash(),
    );
    let (sandboxes, component) = match kept(engine, key).map(|code| place(&code)) {
        Some(Ok(placed)) => placed,
        other => {
            if let Some(Err(error)) = other {
                tracing::warn!(%error, "compiled code of ours cannot be loaded");
            }
            let code = engine.compiler.compile(&engine.small.wasmtime, bytes)?;
            let placed = place(&code).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
            keep(engine, key, &code);
            placed
        }
    };
    check_demands(&component, limits.memory_bytes)?;
    Ok((sandboxes, component))
}

/// Code from the cache.
fn kept(engine: &Inner, key: CodeKey) -> Option<Vec<u8>> {
    match engine.cache.as_ref()?.get(key) {
        Ok(code) => Some(code),
        Err(EntryError::Absent) => None,
        Err(error) => {
            tracing::warn!(%error, "an entry of the code cache is not used");
            None
        }
    }
}

fn keep(engine: &Inner, key: CodeKey, code: &[u8]) {
    if let Some(cache) = &engine.cache
        && let Err(error) = cache.put(key, code)
    {
        tracing::warn!(%error, "compiled code cannot be kept");
    }
}

#[expect(
    unsafe_code,
    reason = "compiled code of our own, just made or after its authenticity check"
)]
fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are what `Engine::precompile_component` returned for this component, in this
    // process or in one of our own program whose output nobody else can write to; or they come from
    // `CodeCache::get`, which has just verified, over this very buffer, an HMAC under a key that only
    // this host knows. wasmtime itself checks that version and settings are the same.
    unsafe { Component::deserialize(engine, code) }
}

/// Refuses here what would fail at each call, or would take more of the pool than its share.
fn check_demands(component: &Component, memory_bytes: u64) -> Result<(), LoadError> {
    let Some(wants) = component.resources_required() else {
        return Err(LoadError::TooDemanding(
            "modules that only its importer could give".to_owned(),
        ));
    };
    let memory = wants
        .max_initial_memory_size
        .unwrap_or(0)
        .saturating_mul(WASM_PAGE_BYTES);
    let elements = wants.max_initial_table_size.unwrap_or(0);
    let too_much = if wants.num_memories > MEMORIES_MAX {
        format!(
            "{} memories; {MEMORIES_MAX} are allowed",
            wants.num_memories
        )
    } else if wants.num_tables > TABLES_MAX {
        format!("{} tables; {TABLES_MAX} are allowed", wants.num_tables)
    } else if memory > memory_bytes {
        format!("{memory} bytes of memory to start; its manifest asks for {memory_bytes}")
    } else if elements > u64::try_from(TABLE_ELEMENTS_MAX).unwrap_or(u64::MAX) {
        format!("a table of {elements} elements; {TABLE_ELEMENTS_MAX} are allowed")
    } else {
        return Ok(());
    };
    Err(LoadError::TooDemanding(too_much))
}

/// A file and what became of it.
pub(crate) type Loaded = (PathBuf, Result<Arc<Adapter>, LoadError>);

/// The `*.wasm` files of a folder, sorted by name. An unreadable folder is reported under its own
/// path.
pub(crate) async fn files(folder: &Path) -> Result<Vec<PathBuf>, Loaded> {
    let failed = |error| (folder.to_owned(), Err(LoadError::Read(error)));
    let mut entries = tokio::fs::read_dir(folder).await.map_err(failed)?;
    let mut paths = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            let error = std::io::Error::other(format!("more than {FILES_MAX} components"));
            return Err(failed(error));
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Reads one file, and one byte more than is allowed at most.
pub(crate) async fn read(path: &Path) -> Result<Bytes, LoadError> {
    let file = tokio::fs::File::open(path).await.map_err(LoadError::Read)?;
    let most = u64::try_from(COMPONENT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .await
        .map_err(LoadError::Read)?;
    Ok(bytes.into())
}

/// Leaves one adapter per plugin: the one of the highest version, the first of equal ones.
pub(crate) fn supersede(mut loaded: Vec<Loaded>) -> Vec<Loaded> {
    let best = |id: &PluginId, loaded: &[Loaded]| {
        loaded
            .iter()
            .enumerate()
            .filter_map(|(at, (_, result))| Some((at, result.as_ref().ok()?)))
            .filter(|(_, adapter)| adapter.manifest().id == *id)
            .max_by(|(a_at, a), (b_at, b)| {
                let versions = a.manifest().version.cmp(&b.manifest().version);
                versions.then(b_at.cmp(a_at))
            })
            .map(|(at, adapter)| (at, adapter.manifest().version.to_string()))
    };
    let verdicts: Vec<_> = loaded
        .iter()
        .enumerate()
        .filter_map(|(at, (_, result))| {
            let id = &result.as_ref().ok()?.manifest().id;
            let (best_at, version) = best(id, &loaded)?;
            (best_at != at).then(|| (at, id.clone(), version))
        })
        .collect();
    for (at, id, version) in verdicts {
        if let Some((_, result)) = loaded.get_mut(at) {
            *result = Err(LoadError::Superseded { id, version });
        }
    }
    loaded
}
