//! The watched folder: a component that is put there is installed, as any other is.
//!
//! Whatever happens there only says that it is time to look. A file that is still being written changes
//! between two looks, and is left for the next one; a `.sig` file that comes later makes its component be
//! looked at again; names that begin with a dot, and all that do not end in `.wasm`, are somebody's
//! temporary files.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use notify::{RecursiveMode, Watcher as _};
use onerouter_registry::client::{Fetched, Source, sidecar_of};
use onerouter_registry::index::Index;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::install::{Order, Probed, Terms};
use super::trust::{IndexNeed, UNSIGNED, refused};
use super::{Activation, Plugins, Target, gateway};
use crate::service::authentication::unavailable;
use crate::service::refusal::Refusal;

/// It is quiet for so long before one looks: editors and copies write in bursts.
const QUIET: Duration = Duration::from_millis(100);
/// Where nothing tells of changes, as on a network's disk.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Files of the folder that are looked at.
const FILES_MAX: usize = 256;

/// What a file is known again by.
type Mark = Option<(u64, SystemTime)>;

/// What was seen of the folder.
#[derive(Debug, Default)]
pub struct Folder {
    /// A component, and the statement beside it.
    seen: HashMap<PathBuf, (Mark, Mark)>,
}

/// What became of the files of a look.
#[derive(Debug, Default)]
struct Looked {
    /// Fit to be installed.
    probed: Vec<(PathBuf, Probed)>,
    refused: BTreeMap<PathBuf, String>,
    /// Some changed while they were read.
    is_unfinished: bool,
}

impl Plugins {
    /// Looks once: what is new in the folder is installed. Tells whether something was still being
    /// written.
    pub async fn look_into_folder(&self, folder: &mut Folder) -> bool {
        let path = &self.parts().folder;
        let files = match files(path).await {
            Ok(files) => files,
            Err(error) => {
                if !folder.seen.is_empty() || !matches!(error.kind(), std::io::ErrorKind::NotFound)
                {
                    tracing::warn!(%error, "cannot look into the plugins folder {}", path.display());
                }
                return false;
            }
        };
        folder.seen.retain(|path, _| files.contains_key(path));
        self.forget_refused(|path| files.contains_key(path));
        let mut looked = Looked::default();
        let index = OnceCell::new();
        for (path, marks) in files {
            if folder.seen.get(&path) == Some(&marks) {
                continue;
            }
            let probed = self.probe_file(&path, &index).await;
            if self::marks(&path).await != marks {
                looked.is_unfinished = true;
                continue;
            }
            let is_away = matches!(&probed, Err(refusal) if refusal.retry_after_s.is_some());
            match probed {
                Ok(Some(probed)) => looked.probed.push((path.clone(), probed)),
                Ok(None) => self.forget_refused(|known| *known != path),
                Err(refusal) => {
                    looked.refused.insert(path.clone(), refusal.detail);
                }
            }
            // What failed for a reason that passes is tried again.
            if !is_away {
                folder.seen.insert(path, marks);
            }
        }
        let is_unfinished = looked.is_unfinished;
        // The greatest last: of several versions that come together, it serves.
        looked.probed.sort_by(|(_, a), (_, b)| {
            let version = |probed: &Probed| probed.fetched.manifest.version.clone();
            version(a).cmp(&version(b))
        });
        for (path, probed) in std::mem::take(&mut looked.probed) {
            match self.install_found(probed).await {
                Ok(()) => self.forget_refused(|known| *known != *path),
                Err(refusal) => {
                    if refusal.retry_after_s.is_some() {
                        folder.seen.remove(&path);
                    }
                    looked.refused.insert(path, refusal.detail);
                }
            }
        }
        if let Some(Some(index)) = index.get() {
            self.note_standings(index).await;
        }
        for (path, reason) in &looked.refused {
            tracing::error!("refused the plugin {}: {reason}", path.display());
        }
        let refused = self.0.refused.lock();
        refused
            .unwrap_or_else(PoisonError::into_inner)
            .extend(looked.refused);
        is_unfinished
    }

    /// Watches the folder until `stop`.
    pub async fn watch_folder(self, mut folder: Folder, stop: CancellationToken) {
        let (told, mut changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is no change of it; one that is missed is found by the next look.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _full = told.try_send(());
            }
        });
        let path = self.parts().folder.clone();
        let mut watcher = watcher.inspect_err(|error| {
            tracing::warn!(%error, "the plugins folder is looked into every {LOOK_EVERY:?}");
        });
        let mut is_watched = false;
        let mut is_unfinished = false;
        loop {
            // The folder may be made, or made anew, after the gateway was started.
            if let Ok(watcher) = &mut watcher
                && !is_watched
            {
                is_watched = watcher.watch(&path, RecursiveMode::NonRecursive).is_ok();
            }
            let pause = if is_unfinished { QUIET } else { LOOK_EVERY };
            tokio::select! {
                () = stop.cancelled() => return,
                told = changes.recv() => {
                    if told.is_none() {
                        // There is no watcher.
                        tokio::select! {
                            () = stop.cancelled() => return,
                            () = tokio::time::sleep(pause) => {}
                        }
                    }
                    while let Ok(Some(())) = timeout(QUIET, changes.recv()).await {}
                }
                () = tokio::time::sleep(pause) => {
                    is_watched &= tokio::fs::try_exists(&path).await.unwrap_or(false);
                }
            }
            is_unfinished = self.look_into_folder(&mut folder).await;
        }
    }

    /// None where the same bytes are installed already: then nobody is asked about them.
    async fn probe_file(
        &self,
        path: &Path,
        index: &OnceCell<Option<Index>>,
    ) -> Result<Option<Probed>, Refusal> {
        let source = Source::File(path.to_owned());
        let fetched = self
            .parts()
            .client
            .fetch(&source, None, &|_| {})
            .await
            .map_err(|error| refused(&error))?;
        if self.needs_nothing(&fetched).await? {
            return Ok(None);
        }
        let index = index
            .get_or_try_init(|| self.index(IndexNeed::AsFarAsKnown))
            .await?;
        let vouched = self.verify(&fetched, None, index.as_ref()).await?;
        self.probe(fetched, vouched, &|_| {}).await.map(Some)
    }

    /// Whether these bytes are installed, or are not to come back by themselves. Those that were left
    /// halfway, or that nobody had signed by then, are looked at once more.
    async fn needs_nothing(&self, fetched: &Fetched) -> Result<bool, Refusal> {
        let failed = |error| unavailable("cannot read plugins", &error);
        let store = &self.parts().store;
        let (name, sha256) = (fetched.manifest.id.as_str(), fetched.digest.hex());
        let away = store.find_plugin_tombstone(name, &sha256).await;
        if let Some(away) = away.map_err(failed)? {
            tracing::info!(
                plugin = name,
                sha256,
                reason = away.reason,
                "a file in the plugins folder is not installed again by itself"
            );
            return Ok(true);
        }
        let plugins = store.list_plugins().await.map_err(failed)?;
        let versions = store.list_plugin_versions().await.map_err(failed)?;
        let Some(row) = versions
            .iter()
            .find(|row| row.plugin == name && row.sha256 == sha256)
        else {
            return Ok(false);
        };
        let is_unsigned = row.trusted_by == UNSIGNED && fetched.statement.is_some();
        let serves = plugins
            .iter()
            .any(|plugin| plugin.name == name && plugin.active.is_some());
        Ok(serves && !is_unsigned)
    }

    /// Installs what was found, and lets it serve where that needs nobody's consent: it is the first of
    /// its name, or newer than what serves and may do no more, or another build of the same unsigned
    /// version.
    async fn install_found(&self, probed: Probed) -> Result<(), Refusal> {
        let operator = gateway();
        let manifest = probed.fetched.manifest.clone();
        let active = self.active_of(&operator, &manifest).await?;
        let terms = Terms {
            trust_key: None,
            order: Order::Any,
            activate: None,
        };
        let installed = self.stage(&operator, probed, &terms).await?;
        let (name, version) = (&installed.row.plugin, &installed.row.version);
        if let Some((_, active)) = &active
            && manifest.version < active.version
        {
            tracing::warn!(
                plugin = name, version, serves = %active.version,
                "an older version was put into the plugins folder: it is installed and waits to be activated"
            );
            return Ok(());
        }
        if let Some(digest) = &installed.asked.digest {
            tracing::warn!(
                plugin = name,
                version,
                wants = installed.asked.permissions.join("; "),
                "a version that may do more waits for an operator: onerouter plugin activate {name}@{version} --approve {digest}"
            );
            return Ok(());
        }
        let target = Target::Version(installed.row.id);
        // Another node may have seen a newer one meanwhile.
        self.activate_in(
            &operator,
            &target,
            &Activation::default(),
            Order::NeverOlder,
        )
        .await
        .map(drop)
    }

    fn forget_refused(&self, keep: impl Fn(&PathBuf) -> bool) {
        let refused = self.0.refused.lock();
        let mut refused = refused.unwrap_or_else(PoisonError::into_inner);
        refused.retain(|path, _| keep(path));
    }
}

/// The components of a folder, by name, with what they are known again by.
async fn files(folder: &Path) -> std::io::Result<BTreeMap<PathBuf, (Mark, Mark)>> {
    let mut entries = tokio::fs::read_dir(folder).await?;
    let mut found = BTreeMap::new();
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        if !is_component(&path) {
            continue;
        }
        if found.len() == FILES_MAX {
            tracing::error!(
                "more than {FILES_MAX} components in {}: the rest is not looked at",
                folder.display()
            );
            break;
        }
        let marks = marks(&path).await;
        found.insert(path, marks);
    }
    Ok(found)
}

fn is_component(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| !name.starts_with('.'))
        && path
            .extension()
            .is_some_and(|extension| extension == "wasm")
}

async fn marks(path: &Path) -> (Mark, Mark) {
    (mark(path).await, mark(&sidecar_of(path)).await)
}

async fn mark(path: &Path) -> Mark {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
