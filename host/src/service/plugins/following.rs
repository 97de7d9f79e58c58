//! How a node follows what is wanted: it loads what it does not have, swaps one pointer, and says so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::id::InstallationId;
use onerouter_engine::{Adapter, Canary, Serving};
use onerouter_manifest::PluginId;
use serde::{Deserialize, Serialize};
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
/// How often what serves is held against what served before.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Loaded versions beyond those that are wanted: just probed, about to be wanted.
const SPARE_MAX: usize = 4;

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
    failed: BTreeMap<String, String>,
    /// What is wanted, as it was read last.
    pub(super) wanted: Vec<PluginRow>,
    pub(super) versions: HashMap<InstallationId, PluginVersionRow>,
    pub(super) watched: HashMap<String, Watched>,
}

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
                (plugin.previous, "previous"),
            ];
            for (id, state) in roles {
                let Some(version) = id.and_then(|id| self.versions.get(&id)) else {
                    continue;
                };
                let adapter = self.loaded.get(&version.sha256);
                let reason = self.failed.get(&version.sha256).cloned();
                report.push(Reported {
                    plugin: plugin.name.clone(),
                    sha256: version.sha256.clone(),
                    state: if adapter.is_some() { state } else { "failed" }.to_owned(),
                    in_flight: adapter.map_or(0, |adapter| adapter.in_flight()),
                    reason,
                });
            }
        }
        report.extend(self.draining.iter().map(|(plugin, adapter)| Reported {
            plugin: plugin.clone(),
            sha256: adapter.digest().to_owned(),
            state: "draining".to_owned(),
            in_flight: adapter.in_flight(),
            reason: None,
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
        for ticks in [&mut report, &mut watch] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    // What failed is tried again with the next report.
                    let _followed = self.follow().await;
                }
                _ = report.tick() => {
                    let _followed = self.follow().await;
                }
                _ = watch.tick() => self.watch().await,
            }
        }
    }

    /// This node ends: nobody is to wait for it.
    pub async fn leave(&self) {
        if let Err(error) = self.parts().store.delete_node(self.0.node).await {
            tracing::warn!(%error, "cannot say that this node ends");
        }
    }

    /// Makes this node do what is wanted. What cannot be loaded leaves in its place what served before.
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
        if generation.plugins != following.generation || !following.failed.is_empty() {
            // Read after the number: a change that comes between is followed twice, not missed.
            let wanted = self.parts().store.list_plugins().await.map_err(failed)?;
            let versions = self.parts().store.list_plugin_versions().await;
            let versions = versions.map_err(failed)?;
            self.swap(&mut following, wanted, versions).await?;
            following.generation = generation.plugins;
        }
        following.drain();
        self.report(&following).await.map_err(failed)
    }

    /// After a change that was made here.
    pub(super) async fn follow_change(&self) -> Result<(), Refusal> {
        self.parts().changes.note_plugins();
        self.follow().await
    }

    /// One that was just tried is not to be compiled again when it is wanted.
    pub(super) async fn remember_loaded(&self, adapter: Arc<Adapter>) {
        let mut following = self.0.following.lock().await;
        following.spare.push(adapter);
        if following.spare.len() > SPARE_MAX {
            following.spare.remove(0);
        }
    }

    async fn swap(
        &self,
        following: &mut Following,
        wanted: Vec<PluginRow>,
        versions: Vec<PluginVersionRow>,
    ) -> Result<(), Refusal> {
        let versions: HashMap<_, _> = versions.into_iter().map(|row| (row.id, row)).collect();
        let served_before = self.parts().adapters.list();
        following.failed.clear();
        let mut table = Vec::with_capacity(wanted.len());
        for plugin in &wanted {
            let Ok(id) = PluginId::try_from(plugin.name.clone()) else {
                tracing::error!(plugin.name, "a plugin's name in the database is none");
                continue;
            };
            for needed in [plugin.active, plugin.canary, plugin.previous] {
                if let Some(version) = needed.and_then(|id| versions.get(&id)) {
                    self.load(following, version).await?;
                }
            }
            let adapter = |id: Option<InstallationId>| {
                let version = versions.get(&id?)?;
                following.loaded.get(&version.sha256).cloned()
            };
            let active = adapter(plugin.active).or_else(|| {
                // Nothing is worse than what served a moment ago, but a version that was removed.
                let mut before = served_before.iter();
                before
                    .find(|adapter| adapter.manifest().id == id && plugin.active.is_some())
                    .cloned()
            });
            let Some(active) = active else {
                continue;
            };
            let canary = adapter(plugin.canary).map(|adapter| Canary {
                adapter,
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
        let needed: BTreeSet<&str> = wanted
            .iter()
            .flat_map(|plugin| [plugin.active, plugin.canary, plugin.previous])
            .filter_map(|id| Some(versions.get(&id?)?.sha256.as_str()))
            .collect();
        let gone: Vec<_> = following
            .loaded
            .extract_if(|sha256, _| !needed.contains(sha256.as_str()))
            .map(|(_, adapter)| (adapter.manifest().id.to_string(), adapter))
            .collect();
        following.draining.extend(gone);
        following.wanted = wanted;
        following.versions = versions;
        following.note_watched(self.parts().clock.now());
        Ok(())
    }

    /// Has a version ready, or says why not.
    async fn load(
        &self,
        following: &mut Following,
        version: &PluginVersionRow,
    ) -> Result<(), Refusal> {
        let sha256 = &version.sha256;
        if version.trusted_by == UNSIGNED && !self.allows_unsigned() {
            following.loaded.remove(sha256);
            following.fail(
                version,
                "it is not signed, and unsigned plugins are refused here".to_owned(),
            );
            return Ok(());
        }
        if following.loaded.contains_key(sha256) {
            return Ok(());
        }
        let mut known = following
            .spare
            .iter()
            .chain(following.draining.iter().map(|(_, one)| one));
        if let Some(adapter) = known.find(|adapter| adapter.digest() == sha256).cloned() {
            following.spare.retain(|one| one.digest() != sha256);
            following.draining.retain(|(_, one)| one.digest() != sha256);
            following.loaded.insert(sha256.clone(), adapter);
            return Ok(());
        }
        let component = self.parts().store.find_component(sha256).await;
        let component =
            component.map_err(|error| unavailable("cannot read a component", &error))?;
        let Some(stored) = component else {
            following.fail(version, "its component is not in the database".to_owned());
            return Ok(());
        };
        match self
            .parts()
            .engine
            .load(Bytes::from(stored.component))
            .await
        {
            // The bytes are what their digest says, whatever the database holds.
            Ok(adapter) if adapter.digest() == sha256 => {
                following.loaded.insert(sha256.clone(), adapter);
            }
            Ok(_other) => following.fail(
                version,
                "its component in the database was altered; install it again".to_owned(),
            ),
            Err(error) => following.fail(version, reason(&error)),
        }
        Ok(())
    }

    async fn report(&self, following: &Following) -> Result<(), StoreError> {
        let report = serde_json::to_string(&following.report()).unwrap_or_default();
        let now = self.parts().clock.now();
        let node = NodeRow {
            id: self.0.node,
            generation: following.generation,
            report,
            started_at: following.started_at,
            seen_at: now,
        };
        self.parts().store.write_node(&node).await?;
        self.parts().store.forget_nodes(now - NODE_SILENT_MAX).await
    }
}

impl Following {
    fn fail(&mut self, version: &PluginVersionRow, reason: String) {
        tracing::error!(
            plugin = version.plugin,
            version = version.version,
            sha256 = version.sha256,
            reason,
            "a plugin that is wanted cannot be loaded on this node"
        );
        self.failed.insert(version.sha256.clone(), reason);
    }
}
