//! How a node follows what is wanted: it loads what it does not have, swaps one pointer, and says so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::id::InstallationId;
use onerouter_domain::time;
use onerouter_engine::{Adapter, Canary, Serving};
use onerouter_manifest::PluginId;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::install::reason;
use super::regression::Watched;
use super::trust::UNSIGNED;
use super::{PluginRole, Plugins};
use crate::service::authentication::unavailable;
use crate::service::refusal::Refusal;
use crate::store::{NodeRow, PluginRow, PluginVersionRow, StoreError};

/// A node says that it is there this often.
const REPORT_EVERY: Duration = Duration::from_secs(15);
/// A node that has said nothing for so long is gone.
pub(super) const NODE_SILENT_MAX: TimeDelta = TimeDelta::seconds(60);
/// And its row goes after this, by whichever clock.
const NODE_FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(1);
/// How often what serves is held against what served before.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// What cannot be loaded is tried again after this, then after twice as long each time: it may be compiled
/// for minutes to find out that it still cannot.
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(15);
/// And after this at most: what was mended elsewhere, such as the network to the database, is to be noticed.
const RETRY_AFTER_MAX: TimeDelta = TimeDelta::minutes(15);
/// How often the registry is asked for news of what is installed.
const LOOK_AT_REGISTRY_EVERY: Duration = Duration::from_secs(60 * 60);
/// Loaded versions beyond those that are wanted: just probed, about to be wanted.
const SPARE_MAX: usize = 4;

/// What a node says of a version that it cannot load.
pub(super) const FAILED: &str = "failed";

/// What a node has loaded, and how far it has followed.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) started_at: DateTime<Utc>,
    pub(super) generation: i64,
    /// By digest.
    loaded: HashMap<String, Arc<Adapter>>,
    /// Just probed here, the newest last.
    spare: Vec<Arc<Adapter>>,
    /// No longer wanted, until their last call ends.
    draining: Vec<(String, Arc<Adapter>)>,
    /// What is wanted and cannot be loaded here, by digest.
    failed: BTreeMap<String, Failure>,
    /// The change after which what had failed was tried again at once.
    forgiven: i64,
    /// Whoever loads a version has its turn, by digest: nobody compiles the same one beside it.
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
    /// What is wanted, as it was read last.
    pub(super) wanted: Vec<PluginRow>,
    pub(super) versions: HashMap<InstallationId, PluginVersionRow>,
    pub(super) watched: HashMap<String, Watched>,
}

/// Why a version is not loaded.
#[derive(Debug, Clone)]
struct Failure {
    reason: String,
    tries: u32,
    retry_at: DateTime<Utc>,
}

const PREVIOUS: &str = "previous";

/// What a node says about one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Which plugin.
    pub plugin: String,
    /// Which version, by digest.
    pub sha256: String,
    /// `active`, `canary`, `previous`, `draining`, `failed`.
    pub state: String,
    /// Calls that run on it.
    pub in_flight: usize,
    /// Why it is not loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When that is tried again, unless something changes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<DateTime<Utc>>,
}

impl Following {
    pub(super) fn begun(started_at: DateTime<Utc>) -> Self {
        Self {
            started_at,
            generation: -1,
            loaded: HashMap::new(),
            spare: Vec::new(),
            draining: Vec::new(),
            failed: BTreeMap::new(),
            forgiven: -1,
            turns: HashMap::new(),
            wanted: Vec::new(),
            versions: HashMap::new(),
            watched: HashMap::new(),
        }
    }

    pub(super) fn adapter(&self, id: Option<InstallationId>) -> Option<&Arc<Adapter>> {
        self.loaded.get(&self.versions.get(&id?)?.sha256)
    }

    /// What this node says.
    fn report(&self) -> Vec<Reported> {
        let mut report = Vec::new();
        for plugin in &self.wanted {
            let roles = [
                (plugin.active, "active"),
                (plugin.canary, "canary"),
                (plugin.previous, PREVIOUS),
            ];
            for (id, state) in roles {
                let Some(version) = id.and_then(|id| self.versions.get(&id)) else {
                    continue;
                };
                let adapter = self.loaded.get(&version.sha256);
                let failure = self.failed.get(&version.sha256);
                // Nobody is served by the one before.
                if adapter.is_none() && state == PREVIOUS {
                    continue;
                }
                report.push(Reported {
                    plugin: plugin.name.clone(),
                    sha256: version.sha256.clone(),
                    state: if adapter.is_some() { state } else { FAILED }.to_owned(),
                    in_flight: adapter.map_or(0, |adapter| adapter.in_flight()),
                    reason: failure.map(|failure| failure.reason.clone()),
                    retry_at: failure.map(|failure| failure.retry_at),
                });
            }
        }
        report.extend(self.draining.iter().map(|(plugin, adapter)| Reported {
            plugin: plugin.clone(),
            sha256: adapter.digest().to_owned(),
            state: "draining".to_owned(),
            in_flight: adapter.in_flight(),
            reason: None,
            retry_at: None,
        }));
        report
    }

    /// Lets go of what nobody calls any more.
    fn drain(&mut self) {
        self.draining
            .retain(|(_, adapter)| adapter.in_flight() > 0 || Arc::strong_count(adapter) > 1);
    }
}

impl Plugins {
    /// Follows what is wanted, until `stop`. The first time is [`Plugins::follow`]'s.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.parts().changes.of_plugins();
        let mut report = tokio::time::interval(REPORT_EVERY);
        let mut watch = tokio::time::interval(WATCH_EVERY);
        let mut news = tokio::time::interval(LOOK_AT_REGISTRY_EVERY);
        for ticks in [&mut report, &mut watch, &mut news] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        // Each beside the others: one that compiles for long must not hold up the next change.
        let mut following = JoinSet::new();
        loop {
            let is_wanted = tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.changed() => match changed {
                    Ok(()) => true,
                    Err(_nobody) => break,
                },
                _ = report.tick() => true,
                _ = watch.tick() => {
                    self.watch().await;
                    false
                }
                _ = news.tick() => {
                    let plugins = self.clone();
                    following.spawn(async move { plugins.look_at_registry().await });
                    false
                }
                Some(_ended) = following.join_next() => false,
            };
            if is_wanted {
                let plugins = self.clone();
                following.spawn(async move {
                    // Said in the log; the next report tries again.
                    let _failed = plugins.follow().await;
                });
            }
        }
        following.shutdown().await;
    }

    /// This node ends: nobody is to wait for it.
    pub async fn leave(&self) {
        if let Err(error) = self.parts().store.delete_node(self.0.node).await {
            tracing::warn!(%error, "cannot say that this node ends");
        }
    }

    /// Makes this node do what is wanted: at once with what it has loaded, and then with the rest. What
    /// cannot be loaded leaves in its place what served before.
    ///
    /// # Errors
    /// The database cannot be reached; everything stays as it was.
    pub async fn follow(&self) -> Result<(), Refusal> {
        if self.parts().role == PluginRole::Manages {
            return Ok(());
        }
        let failed = |error| unavailable("cannot follow changes of plugins", &error);
        let mut following = self.0.following.lock().await;
        let generation = self.parts().store.generations().await.map_err(failed)?;
        let now = self.parts().clock.now();
        let is_news = generation.plugins != following.generation;
        if following.forgiven != generation.plugins {
            following.forgiven = generation.plugins;
            following.forgive(now);
        }
        if is_news || !following.due(now).is_empty() {
            // Read after the number: a change that comes between is followed twice, not missed.
            let wanted = self.parts().store.list_plugins().await.map_err(failed)?;
            let versions = self.parts().store.list_plugin_versions().await;
            let versions = versions.map_err(failed)?;
            following.wanted = wanted;
            following.versions = versions.into_iter().map(|row| (row.id, row)).collect();
            self.swap(&mut following);
            for version in following.due(now) {
                // Without the lock: another change, of another plugin, must not wait for a compiler.
                let turn = following.turn(&version.sha256);
                drop(following);
                let own_turn = turn.lock().await;
                following = self.0.following.lock().await;
                if !following.is_due(&version, now) {
                    continue;
                }
                drop(following);
                let loaded = self.load(&version).await;
                following = self.0.following.lock().await;
                match loaded {
                    Ok(adapter) => {
                        following.failed.remove(&version.sha256);
                        following.loaded.insert(version.sha256.clone(), adapter);
                    }
                    Err(reason) => following.fail(&version, reason, self.parts().clock.now()),
                }
                self.swap(&mut following);
                drop(own_turn);
            }
            following
                .turns
                .retain(|_, turn| Arc::strong_count(turn) > 1);
            following.generation = following.generation.max(generation.plugins);
        }
        following.drain();
        let report = self.report(&following);
        drop(following);
        report.await.map_err(failed)
    }

    /// After a change that was made here, and is committed: what goes wrong from here on does not undo it.
    pub(super) async fn follow_change(&self) {
        self.parts().changes.note_plugins();
        if let Err(refusal) = self.follow().await {
            tracing::error!(
                detail = refusal.detail,
                "a change of plugins is followed later"
            );
        }
    }

    /// One that was just tried is not to be compiled again when it is wanted.
    pub(super) async fn remember_loaded(&self, adapter: Arc<Adapter>) {
        let mut following = self.0.following.lock().await;
        following.spare.push(adapter);
        if following.spare.len() > SPARE_MAX {
            following.spare.remove(0);
        }
    }

    /// Replaces the pointer, with what is loaded of what is wanted.
    fn swap(&self, following: &mut Following) {
        following.adopt();
        let served_before = self.parts().adapters.list();
        let mut table = Vec::with_capacity(following.wanted.len());
        for plugin in &following.wanted {
            let Ok(id) = PluginId::try_from(plugin.name.clone()) else {
                tracing::error!(plugin.name, "a plugin's name in the database is none");
                continue;
            };
            let active = following.adapter(plugin.active).cloned().or_else(|| {
                // Nothing is worse than what served a moment ago, or before.
                let mut before = served_before.iter();
                let before = before.find(|adapter| adapter.manifest().id == id);
                plugin.active?;
                before
                    .or_else(|| following.adapter(plugin.previous))
                    .cloned()
            });
            let Some(active) = active else {
                continue;
            };
            let canary = following.adapter(plugin.canary).map(|adapter| Canary {
                adapter: Arc::clone(adapter),
                percent: plugin.canary_percent,
                tenants: plugin.canary_tenants.iter().copied().collect(),
            });
            tracing::info!(
                plugin = %id, version = %active.manifest().version, digest = active.digest(),
                canary = canary.as_ref().map(|canary| canary.adapter.digest()),
                "serves"
            );
            table.push((id, Serving { active, canary }));
        }
        self.parts().adapters.replace(table);
        let needed: BTreeSet<String> = following
            .needed()
            .map(|version| version.sha256.clone())
            .collect();
        let gone: Vec<_> = following
            .loaded
            .extract_if(|sha256, _| !needed.contains(sha256))
            .map(|(_, adapter)| (adapter.manifest().id.to_string(), adapter))
            .collect();
        following.draining.extend(gone);
        following.failed.retain(|sha256, _| needed.contains(sha256));
        following.note_watched();
    }

    /// A version that need not be wanted, ready to run; or why it cannot.
    pub(super) async fn loaded(&self, version: &PluginVersionRow) -> Result<Arc<Adapter>, String> {
        let known = {
            let following = self.0.following.lock().await;
            let mut spare = following.spare.iter();
            let spare = || spare.find(|adapter| adapter.digest() == version.sha256);
            following
                .loaded
                .get(&version.sha256)
                .or_else(spare)
                .cloned()
        };
        match known {
            Some(adapter) => Ok(adapter),
            None => self.load(version).await,
        }
    }

    /// A version, ready to run; or why it cannot.
    async fn load(&self, version: &PluginVersionRow) -> Result<Arc<Adapter>, String> {
        if version.trusted_by == UNSIGNED && !self.allows_unsigned() {
            return Err("it is not signed, and unsigned plugins are refused here".to_owned());
        }
        let stored = match self.parts().store.find_component(&version.sha256).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Err("its component is not in the database".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        match self
            .parts()
            .engine
            .load(Bytes::from(stored.component))
            .await
        {
            // The bytes are what their digest says, whatever the database holds.
            Ok(adapter) if adapter.digest() == version.sha256 => Ok(adapter),
            Ok(_other) => {
                Err("its component in the database was altered; install it again".to_owned())
            }
            Err(error) => Err(reason(&error)),
        }
    }

    fn report(
        &self,
        following: &Following,
    ) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let report = serde_json::to_string(&following.report()).unwrap_or_default();
        let now = self.parts().clock.now();
        let node = NodeRow {
            id: self.0.node,
            generation: following.generation,
            report,
            started_at: following.started_at,
            seen_at: now,
        };
        let store = self.parts().store.clone();
        async move {
            store.write_node(&node).await?;
            store.forget_nodes(now - NODE_FORGOTTEN_AFTER).await
        }
    }
}

impl Following {
    /// Versions that are wanted.
    fn needed(&self) -> impl Iterator<Item = &PluginVersionRow> {
        let ids = self
            .wanted
            .iter()
            .flat_map(|plugin| [plugin.active, plugin.canary, plugin.previous]);
        ids.filter_map(|id| self.versions.get(&id?))
    }

    /// Those of them that are not loaded.
    fn missing(&self) -> Vec<PluginVersionRow> {
        self.needed()
            .filter(|version| !self.loaded.contains_key(&version.sha256))
            .cloned()
            .collect()
    }

    /// Takes up what is loaded already, for another reason.
    fn adopt(&mut self) {
        let missing: Vec<String> = self.missing().into_iter().map(|one| one.sha256).collect();
        for sha256 in missing {
            let draining = self.draining.iter().map(|(_, one)| one);
            let mut known = self.spare.iter().chain(draining);
            let found = known.find(|adapter| adapter.digest() == sha256).cloned();
            if let Some(adapter) = found {
                self.spare.retain(|one| one.digest() != sha256);
                self.draining.retain(|(_, one)| one.digest() != sha256);
                self.loaded.insert(sha256, adapter);
            }
        }
    }

    /// Those of them that are to be loaded now.
    fn due(&self, now: DateTime<Utc>) -> Vec<PluginVersionRow> {
        let mut missing = self.missing();
        missing.retain(|version| self.is_due(version, now));
        missing
    }

    /// Whether nobody has loaded it, or tried to, meanwhile.
    fn is_due(&self, version: &PluginVersionRow, now: DateTime<Utc>) -> bool {
        let failure = self.failed.get(&version.sha256);
        !self.loaded.contains_key(&version.sha256)
            && failure.is_none_or(|failure| failure.retry_at <= now)
    }

    fn turn(&mut self, sha256: &str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.turns.entry(sha256.to_owned()).or_default())
    }

    /// Something has changed: what failed may not fail any more.
    fn forgive(&mut self, now: DateTime<Utc>) {
        for failure in self.failed.values_mut() {
            failure.tries = 0;
            failure.retry_at = now;
        }
    }

    fn fail(&mut self, version: &PluginVersionRow, reason: String, now: DateTime<Utc>) {
        let tries = self
            .failed
            .get(&version.sha256)
            .map_or(1, |failure| failure.tries.saturating_add(1));
        let retry_at = now + retry_after(tries);
        tracing::error!(
            plugin = version.plugin,
            version = version.version,
            sha256 = version.sha256,
            reason,
            tries,
            retry_at = %time::to_text(retry_at),
            "a plugin that is wanted cannot be loaded on this node"
        );
        let failure = Failure {
            reason,
            tries,
            retry_at,
        };
        self.failed.insert(version.sha256.clone(), failure);
    }
}

fn retry_after(tries: u32) -> TimeDelta {
    // Twice as long six times is more than the most already.
    let doubled = 1_i32 << tries.saturating_sub(1).min(6);
    (RETRY_AFTER * doubled).min(RETRY_AFTER_MAX)
}
