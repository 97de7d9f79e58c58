//! What is installed, what serves, and how far the nodes are.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use onerouter_domain::id::{InstallationId, InstalledPluginId, NodeId, TenantId};
use onerouter_manifest::{Capability, Manifest};

use super::Plugins;
use super::agreement::Asked;
use super::desired::Target;
use super::following::{FAILED, NODE_SILENT_MAX, Reported};
use super::install::manifest_of;
use super::standing::{Distrusted, VersionWarning};
use crate::service::authentication::unavailable;
use crate::service::refusal::Refusal;
use crate::store::{NodeRow, PluginRow, PluginVersionRow};

/// A plugin with everything of it that is installed.
#[derive(Debug, Clone)]
pub struct InstalledPlugin {
    /// Its id.
    pub id: InstalledPluginId,
    /// Its name.
    pub name: String,
    /// The version that serves.
    pub active: Option<InstallationId>,
    /// The one that served before.
    pub previous: Option<InstallationId>,
    /// The one that serves some.
    pub canary: Option<InstallationId>,
    /// How many of a hundred tenants that serves.
    pub canary_percent: u8,
    /// Whom it serves in any case.
    pub canary_tenants: Vec<TenantId>,
    /// When this was changed last, in generations.
    pub generation: i64,
    /// When this was changed last.
    pub changed_at: DateTime<Utc>,
    /// Why, where nobody asked for it.
    pub reason: Option<String>,
    /// Its versions, the newest first.
    pub versions: Vec<InstalledVersion>,
    /// How far each node is.
    pub nodes: Vec<NodeStanding>,
}

/// A version that is installed.
#[derive(Debug, Clone)]
pub struct InstalledVersion {
    /// As it is stored.
    pub row: PluginVersionRow,
    /// What it says about itself.
    pub manifest: Manifest,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// What it does.
    pub state: VersionState,
    /// What nobody has agreed to yet.
    pub asked: Asked,
    /// What speaks against it.
    pub warnings: Vec<VersionWarning>,
}

/// What an installed version does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    /// Nothing yet.
    Staged,
    /// Serves everybody but a canary's tenants.
    Active,
    /// Serves some.
    Canary,
    /// Finishes its calls.
    Draining,
    /// Nothing any more.
    Retired,
    /// Is not to do anything.
    Quarantined,
}

impl VersionState {
    /// Snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Canary => "canary",
            Self::Draining => "draining",
            Self::Retired => "retired",
            Self::Quarantined => "quarantined",
        }
    }
}

/// How far a node is with one plugin.
#[derive(Debug, Clone)]
pub struct NodeStanding {
    /// Which node.
    pub id: NodeId,
    /// It has followed everything that is wanted of this plugin.
    pub is_current: bool,
    /// What it has loaded of it.
    pub versions: Vec<Reported>,
    /// When it said so.
    pub seen_at: DateTime<Utc>,
}

impl Plugins {
    /// Everything that is installed, by name.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn list(&self) -> Result<Vec<InstalledPlugin>, Refusal> {
        let failed = |error| unavailable("cannot read plugins", &error);
        let store = &self.parts().store;
        let plugins = store.list_plugins().await.map_err(failed)?;
        let versions = store.list_plugin_versions().await.map_err(failed)?;
        let distrusted = self.distrusted().await?;
        let since = self.parts().clock.now() - NODE_SILENT_MAX;
        let nodes = store.list_nodes(since).await.map_err(failed)?;
        let nodes: Vec<(NodeRow, Vec<Reported>)> = nodes
            .into_iter()
            .map(|node| {
                // Another version of the gateway may say it in another way.
                let report = serde_json::from_str(&node.report).unwrap_or_default();
                (node, report)
            })
            .collect();
        let mut of_plugin: HashMap<String, Vec<PluginVersionRow>> = HashMap::new();
        for version in versions {
            of_plugin
                .entry(version.plugin.clone())
                .or_default()
                .push(version);
        }
        plugins
            .into_iter()
            .map(|plugin| {
                let versions = of_plugin.remove(&plugin.name).unwrap_or_default();
                shown(plugin, versions, &nodes, &distrusted)
            })
            .collect()
    }

    /// One plugin.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get(&self, target: &Target) -> Result<InstalledPlugin, Refusal> {
        let list = self.list().await?;
        let is_it = |plugin: &InstalledPlugin| match target {
            Target::Name(name) | Target::Numbered(name, _) => plugin.name == *name,
            Target::Plugin(id) => plugin.id == *id,
            Target::Version(id) => plugin.versions.iter().any(|one| one.row.id == *id),
        };
        list.into_iter()
            .find(is_it)
            .ok_or_else(|| Refusal::not_found("plugin"))
    }
}

fn shown(
    plugin: PluginRow,
    rows: Vec<PluginVersionRow>,
    nodes: &[(NodeRow, Vec<Reported>)],
    distrusted: &Distrusted,
) -> Result<InstalledPlugin, Refusal> {
    let nodes: Vec<NodeStanding> = nodes
        .iter()
        .map(|(node, report)| {
            let versions = report.iter().filter(|one| one.plugin == plugin.name);
            let versions: Vec<Reported> = versions.cloned().collect();
            NodeStanding {
                id: node.id,
                is_current: node.generation >= plugin.generation
                    && versions.iter().all(|one| one.state != FAILED),
                versions,
                seen_at: node.seen_at,
            }
        })
        .collect();
    let active = rows.iter().find(|row| Some(row.id) == plugin.active);
    let active = active.map(manifest_of).transpose()?;
    let mut versions = Vec::with_capacity(rows.len());
    for row in rows.into_iter().rev() {
        let manifest = manifest_of(&row)?;
        let asked = match &active {
            Some(active) => Asked::of(&row, active, &manifest),
            None => Asked::default(),
        };
        versions.push(InstalledVersion {
            state: state(&plugin, &row, &nodes),
            capabilities: manifest
                .exports
                .iter()
                .filter_map(|export| Capability::from_export(export))
                .collect(),
            asked,
            warnings: distrusted.warnings(&row),
            manifest,
            row,
        });
    }
    Ok(InstalledPlugin {
        id: plugin.id,
        name: plugin.name,
        active: plugin.active,
        previous: plugin.previous,
        canary: plugin.canary,
        canary_percent: plugin.canary_percent,
        canary_tenants: plugin.canary_tenants,
        generation: plugin.generation,
        changed_at: plugin.changed_at,
        reason: plugin.reason,
        versions,
        nodes,
    })
}

fn state(plugin: &PluginRow, row: &PluginVersionRow, nodes: &[NodeStanding]) -> VersionState {
    if plugin.active == Some(row.id) {
        return VersionState::Active;
    }
    if plugin.canary == Some(row.id) {
        return VersionState::Canary;
    }
    let calls = nodes.iter().flat_map(|node| &node.versions);
    let in_flight: usize = calls
        .filter(|one| one.sha256 == row.sha256)
        .map(|one| one.in_flight)
        .sum();
    if row.quarantine.is_some() {
        VersionState::Quarantined
    } else if in_flight > 0 {
        VersionState::Draining
    } else if row.activated_at.is_none() {
        VersionState::Staged
    } else {
        VersionState::Retired
    }
}
