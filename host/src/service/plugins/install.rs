//! From a source to an installed version: fetched, verified, compiled, probed, staged.

use onerouter_domain::id::{InstallationId, InstalledPluginId};
use onerouter_engine::LoadError;
use onerouter_manifest::Manifest;
use onerouter_registry::KeyId;
use onerouter_registry::client::{Fetched, Origin, Progress, Source};
use onerouter_registry::index::{Advisory, Index, Wanted};
use serde_json::json;

use super::agreement::Asked;
use super::standing::Distrusted;
use super::trust::{IndexNeed, Vouched, key_distrusted, refused};
use super::{Activation, Plugins, Target, conflict, invalid};
use crate::ids;
use crate::service::audit::{self, Change};
use crate::service::authentication::unavailable;
use crate::service::caller::Operator;
use crate::service::refusal::Refusal;
use crate::store::{
    NewPluginVersion, PluginKeyRow, PluginRow, PluginStanding, PluginVersionRow, StoreError,
    TenantTx,
};

/// Where a version is to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallSource {
    /// `NAME[@RANGE]` of the marketplace registry, `oci://…`, or a file on the gateway's machine.
    Text(String),
    /// `NAME[@RANGE]` of a bundle: a folder on the gateway's machine.
    Bundle {
        /// Its folder.
        folder: std::path::PathBuf,
        /// Which of its plugins.
        wanted: String,
    },
}

/// What an operator asks for.
#[derive(Debug, Clone)]
pub struct Install {
    /// Where from.
    pub source: InstallSource,
    /// Whose key the operator trusts for this plugin from now on.
    pub trust_key: Option<KeyId>,
    /// Whether it is to serve at once, and whom; none installs it only.
    pub activate: Option<Activation>,
    /// Whether a version may follow a greater one.
    pub allow_downgrade: bool,
}

/// How far an installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Bytes are coming.
    Fetching(Progress),
    /// They are here.
    Fetched,
    /// Whoever signed it may.
    Verified,
    /// It fits this host.
    Compiled,
    /// It starts.
    Probed,
    /// It is installed.
    Staged,
    /// It serves.
    Activated,
}

/// A version that was installed.
#[derive(Debug, Clone)]
pub struct Installed {
    /// As it is stored.
    pub row: PluginVersionRow,
    /// It serves, all or some.
    pub is_active: bool,
    /// The same bytes were there before.
    pub was_there: bool,
    /// What nobody has agreed to yet.
    pub asked: Asked,
    /// What should be known about it.
    pub advisories: Vec<Advisory>,
}

/// What holds for a version that is written down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Whose key the operator trusts for this plugin from now on.
    pub(super) trust_key: Option<KeyId>,
    /// Which versions it may follow.
    pub(super) order: Order,
    /// How it is to serve as soon as it is there.
    pub(super) activate: Option<&'a Activation>,
}

/// Which version may follow which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Somebody means just this one.
    Any,
    /// None that is older than the one that serves.
    NeverOlder,
}

/// A version that passed, and is written down nowhere.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) fetched: Fetched,
    pub(super) vouched: Vouched,
}

impl Plugins {
    /// Installs a version. Whatever is wrong with it leaves things as they were.
    ///
    /// # Errors
    /// `validation_failed` at `/source` with what is wrong; `conflict` where it is older than what
    /// serves, or its version is installed with other bytes; `overloaded` where its source cannot be
    /// reached. One that may do more than what serves is installed, and waits to be agreed to.
    pub async fn install(
        &self,
        operator: &Operator,
        install: &Install,
        progress: &(dyn Fn(Step) + Sync),
    ) -> Result<Installed, Refusal> {
        let (source, need) = self.source(&install.source)?;
        let index = self.index(need).await?;
        let fetched = self
            .parts()
            .client
            .fetch(&source, index.as_ref(), &|bytes| {
                progress(Step::Fetching(bytes));
            })
            .await
            .map_err(|error| refused(&error))?;
        progress(Step::Fetched);
        let vouched = self
            .verify(&fetched, install.trust_key, index.as_ref())
            .await?;
        progress(Step::Verified);
        let probed = self.probe(fetched, vouched, progress).await?;
        let newer = probed.fetched.newer_index.clone();
        let terms = Terms {
            trust_key: install.trust_key,
            order: install.order(),
            activate: install.activate.as_ref(),
        };
        let installed = self.stage(operator, probed, &terms).await?;
        if let Some(index) = &newer {
            self.keep_index(index).await;
        }
        if let Some(index) = newer.as_deref().or(index.as_ref()) {
            self.note_standings(index).await;
        }
        progress(Step::Staged);
        let Some(activation) = &install.activate else {
            return Ok(installed);
        };
        if !installed.asked.is_agreed(activation.approve.as_deref()) {
            return Ok(installed);
        }
        let target = Target::Version(installed.row.id);
        self.activate_in(operator, &target, activation, install.order())
            .await?;
        progress(Step::Activated);
        Ok(Installed {
            is_active: true,
            asked: Asked::default(),
            ..installed
        })
    }

    /// Plugins of the registry, verified, and the index that lists them: what a bundle is made of.
    ///
    /// # Errors
    /// As [`Plugins::install`]; `not_found` where no registry is set.
    pub async fn fetch_for_bundle(
        &self,
        wanted: &[String],
        progress: &(dyn Fn(Step) + Sync),
    ) -> Result<(Vec<Fetched>, Index), Refusal> {
        let index = self.index(IndexNeed::Latest).await?;
        let index = index.ok_or_else(|| Refusal::not_found("registry"))?;
        let mut plugins = Vec::with_capacity(wanted.len());
        for one in wanted {
            let (source, _) = self.source(&InstallSource::Text(one.clone()))?;
            if !matches!(source, Source::Registry { .. }) {
                return Err(invalid(
                    "/source",
                    "invalid_source",
                    format!("{one} is no plugin of the registry"),
                ));
            }
            let told = |bytes| progress(Step::Fetching(bytes));
            let fetched = self.parts().client.fetch(&source, Some(&index), &told);
            plugins.push(fetched.await.map_err(|error| refused(&error))?);
        }
        Ok((plugins, index))
    }

    fn source(&self, source: &InstallSource) -> Result<(Source, IndexNeed), Refusal> {
        let wrong =
            |error: &dyn std::fmt::Display| invalid("/source", "invalid_source", error.to_string());
        match source {
            InstallSource::Text(text) => {
                let registry = self.parts().registry.as_ref();
                let source = Source::parse(text, registry).map_err(|error| wrong(&error))?;
                let need = match &source {
                    Source::Registry { .. } => IndexNeed::Latest,
                    Source::Oci(_) | Source::File(_) | Source::Bundle { .. } => {
                        IndexNeed::AsFarAsKnown
                    }
                };
                Ok((source, need))
            }
            InstallSource::Bundle { folder, wanted } => {
                let wanted: Wanted = wanted.parse().map_err(|error| wrong(&error))?;
                let folder = folder.clone();
                Ok((Source::Bundle { folder, wanted }, IndexNeed::AsFarAsKnown))
            }
        }
    }

    /// Compiles it and lets it start.
    pub(super) async fn probe(
        &self,
        fetched: Fetched,
        vouched: Vouched,
        progress: &(dyn Fn(Step) + Sync),
    ) -> Result<Probed, Refusal> {
        let loaded = self.parts().engine.load(fetched.component.clone()).await;
        let adapter = loaded.map_err(|error| invalid("/source", "not_loadable", reason(&error)))?;
        progress(Step::Compiled);
        adapter.probe().await.map_err(|fault| {
            invalid(
                "/source",
                "not_startable",
                format!(
                    "the component does not start ({}): {}",
                    fault.kind.as_str(),
                    fault.detail
                ),
            )
        })?;
        progress(Step::Probed);
        self.remember_loaded(adapter).await;
        Ok(Probed { fetched, vouched })
    }

    /// The version that serves, with its manifest.
    pub(super) async fn active_of(
        &self,
        operator: &Operator,
        manifest: &Manifest,
    ) -> Result<Option<(PluginVersionRow, Manifest)>, Refusal> {
        let failed = |error| unavailable("cannot read plugins", &error);
        let name = manifest.id.as_str();
        let mut tx = self
            .parts()
            .store
            .begin_read(operator.tenant)
            .await
            .map_err(failed)?;
        let plugin = tx.find_plugin(name).await.map_err(failed)?;
        let versions = tx.plugin_versions(name).await.map_err(failed)?;
        drop(tx);
        let active = plugin.and_then(|plugin| plugin.active);
        let row = versions.into_iter().find(|row| Some(row.id) == active);
        row.map(|row| manifest_of(&row).map(|manifest| (row, manifest)))
            .transpose()
    }

    /// Writes it down, in one transaction: it serves nobody yet.
    ///
    /// # Errors
    /// What would keep it from serving, too, if that is what is asked for: nothing is written then.
    pub(super) async fn stage(
        &self,
        operator: &Operator,
        probed: Probed,
        terms: &Terms<'_>,
    ) -> Result<Installed, Refusal> {
        let Probed { fetched, vouched } = probed;
        let failed = |error| unavailable("cannot install a plugin", &error);
        let now = self.parts().clock.now();
        let name = fetched.manifest.id.as_str();
        let manifest = serde_json::to_string(&fetched.manifest)
            .map_err(|error| Refusal::internal("cannot keep a manifest", &error))?;
        let mut tx = self
            .parts()
            .store
            .begin(operator.tenant)
            .await
            .map_err(failed)?;
        let generation = tx.begin_plugin_change().await.map_err(failed)?;
        let id = InstalledPluginId::from_uuid(ids::next());
        tx.insert_plugin(name, id, generation, now)
            .await
            .map_err(failed)?;
        let plugin = tx.find_plugin(name).await.map_err(failed)?;
        let versions = tx.plugin_versions(name).await.map_err(failed)?;
        let sha256 = fetched.digest.hex();
        refuse_other_bytes(&versions, &fetched, &sha256, vouched)?;
        let keys = tx.plugin_keys(name).await.map_err(failed)?;
        refuse_second_first_use(vouched, &keys)?;
        let distrusted = tx.distrusted_keys().await.map_err(failed)?;
        let distrusted: Distrusted = distrusted.into_iter().collect();
        refuse_distrusted(vouched, terms, &distrusted)?;
        let active = plugin.as_ref().and_then(|plugin| plugin.active);
        let active = versions.iter().find(|row| Some(row.id) == active);
        admit(&fetched.manifest, active, terms)?;
        let row = PluginVersionRow {
            id: InstallationId::from_uuid(ids::next()),
            plugin: name.to_owned(),
            version: fetched.manifest.version.to_string(),
            sha256,
            manifest,
            source: shown(&fetched.origin),
            publisher_key: vouched.key().map(|key| key.to_string()),
            trusted_by: vouched.as_str().to_owned(),
            approved: Vec::new(),
            quarantine: None,
            standing: PluginStanding::default(),
            installed_at: now,
            activated_at: None,
        };
        let stored = tx
            .insert_plugin_version(&NewPluginVersion {
                row: &row,
                component: &fetched.component,
                statement: fetched.statement.as_deref(),
            })
            .await
            .map_err(failed)?;
        let was_there = stored.id != row.id;
        let mut changes = release(&mut tx, &stored).await.map_err(failed)?;
        let is_new = |key: KeyId| !keys.iter().any(|known| known.key_id == key.to_string());
        let trusted = match vouched {
            Vouched::FirstUse(key) if is_new(key) => Some((key, "first_use")),
            Vouched::Publisher(key) if terms.trust_key == Some(key) && is_new(key) => {
                Some((key, "operator"))
            }
            Vouched::FirstUse(_) | Vouched::Publisher(_) | Vouched::Nobody => None,
        };
        if let Some((key, trusted_by)) = trusted {
            let row = PluginKeyRow {
                plugin: name.to_owned(),
                key_id: key.to_string(),
                trusted_by: trusted_by.to_owned(),
                trusted_at: now,
            };
            tx.insert_plugin_key(&row).await.map_err(failed)?;
            // Distrusted or not: it was named. Any other one that is distrusted was refused above.
            tx.delete_distrusted_key(&row.key_id)
                .await
                .map_err(failed)?;
            changes.push(Change {
                action: "plugin.key_trusted",
                target: name.to_owned(),
                before: None,
                after: Some(json!({"key": row.key_id, "trusted_by": row.trusted_by})),
            });
        }
        if vouched == Vouched::Nobody {
            forget_earlier_builds(&mut tx, &versions, &stored, plugin.as_ref())
                .await
                .map_err(failed)?;
        }
        if !was_there {
            changes.push(Change {
                action: "plugin.installed",
                target: stored.id.to_string(),
                before: None,
                after: Some(json!({
                    "plugin": stored.plugin, "version": stored.version, "sha256": stored.sha256,
                    "source": stored.source, "publisher_key": stored.publisher_key,
                })),
            });
        }
        for change in changes {
            audit::record(&mut tx, operator, change, now)
                .await
                .map_err(failed)?;
        }
        tx.commit().await.map_err(failed)?;
        self.parts().changes.note_plugins();
        let asked = match active {
            Some(active) if active.id != stored.id => {
                Asked::of(&stored, &manifest_of(active)?, &fetched.manifest)
            }
            _ => Asked::default(),
        };
        Ok(Installed {
            is_active: active.is_some_and(|active| active.id == stored.id),
            row: PluginVersionRow {
                quarantine: None,
                ..stored
            },
            was_there,
            asked,
            advisories: fetched.advisories,
        })
    }
}

impl Install {
    const fn order(&self) -> Order {
        if self.allow_downgrade {
            Order::Any
        } else {
            Order::NeverOlder
        }
    }
}

/// It would serve: what keeps it from that.
fn admit(
    new: &Manifest,
    active: Option<&PluginVersionRow>,
    terms: &Terms<'_>,
) -> Result<(), Refusal> {
    let Some(activation) = terms.activate else {
        return Ok(());
    };
    match active {
        None if activation.canary.is_some() => Err(no_one_to_compare()),
        None => Ok(()),
        Some(active) => in_order(&manifest_of(active)?, &new.version, terms.order),
    }
}

/// Nobody goes back unasked.
pub(super) fn in_order(
    active: &Manifest,
    new: &semver::Version,
    order: Order,
) -> Result<(), Refusal> {
    if order == Order::Any || *new >= active.version {
        return Ok(());
    }
    Err(conflict(format!(
        "{} {new} is older than {}, which serves; say allow_downgrade (--allow-downgrade) if that is meant.",
        active.id, active.version
    )))
}

/// Somebody may have distrusted the key since the signature was looked at.
fn refuse_distrusted(
    vouched: Vouched,
    terms: &Terms<'_>,
    distrusted: &Distrusted,
) -> Result<(), Refusal> {
    let Some(key) = vouched.key().filter(|key| terms.trust_key != Some(*key)) else {
        return Ok(());
    };
    match distrusted.since(&key.to_string()) {
        Some(since) => Err(key_distrusted(key, since)),
        None => Ok(()),
    }
}

/// A version never changes. Only what nobody has signed, and an author builds again and again, may.
fn refuse_other_bytes(
    versions: &[PluginVersionRow],
    fetched: &Fetched,
    sha256: &str,
    vouched: Vouched,
) -> Result<(), Refusal> {
    let version = fetched.manifest.version.to_string();
    let twin = versions
        .iter()
        .find(|row| row.version == version && row.sha256 != sha256);
    match twin {
        Some(twin) if vouched != Vouched::Nobody || twin.publisher_key.is_some() => {
            Err(conflict(format!(
                "{} {version} is installed already, with other bytes ({}): a version never changes. Give what is new a number of its own.",
                twin.plugin, twin.sha256
            )))
        }
        _ => Ok(()),
    }
}

/// It has passed everything once more, because somebody asked for it: what kept it away no longer does.
async fn release(tx: &mut TenantTx, stored: &PluginVersionRow) -> Result<Vec<Change>, StoreError> {
    let was_away = tx
        .delete_plugin_tombstone(&stored.plugin, &stored.sha256)
        .await?;
    if stored.quarantine.is_some() {
        tx.release_plugin_version(stored.id).await?;
    }
    if !was_away && stored.quarantine.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![Change {
        action: "plugin.released",
        target: stored.id.to_string(),
        before: Some(json!({"quarantine": stored.quarantine})),
        after: None,
    }])
}

/// Two nodes may have seen two first ones at the same moment.
fn refuse_second_first_use(vouched: Vouched, keys: &[PluginKeyRow]) -> Result<(), Refusal> {
    let Vouched::FirstUse(key) = vouched else {
        return Ok(());
    };
    let key = key.to_string();
    if keys.is_empty() || keys.iter().any(|known| known.key_id == key) {
        return Ok(());
    }
    Err(conflict(format!(
        "the plugin has a publisher already, whose key is another than {key}."
    )))
}

/// An author builds the same version again and again: what is neither wanted nor the last one goes.
async fn forget_earlier_builds(
    tx: &mut TenantTx,
    versions: &[PluginVersionRow],
    stored: &PluginVersionRow,
    plugin: Option<&PluginRow>,
) -> Result<(), StoreError> {
    let wanted = plugin.map_or([None; 3], |plugin| {
        [plugin.active, plugin.previous, plugin.canary]
    });
    for row in versions {
        let is_build = row.version == stored.version
            && row.publisher_key.is_none()
            && row.id != stored.id
            && !wanted.contains(&Some(row.id));
        if is_build {
            tx.delete_plugin_version(row).await?;
        }
    }
    Ok(())
}

pub(super) fn manifest_of(row: &PluginVersionRow) -> Result<Manifest, Refusal> {
    Manifest::from_json(row.manifest.as_bytes())
        .map_err(|error| Refusal::internal("cannot read a stored manifest", &error))
}

pub(super) fn no_one_to_compare() -> Refusal {
    invalid(
        "/canary",
        "no_active_version",
        "nothing serves yet that a canary could be compared with; activate it for everybody",
    )
}

fn shown(origin: &Origin) -> String {
    match origin {
        Origin::Registry { registry, .. } => registry.to_string(),
        Origin::Oci { reference, image } => format!("{reference} ({image})"),
        Origin::File(path) => path.display().to_string(),
        Origin::Bundle { folder, .. } => folder.display().to_string(),
    }
}

/// With what caused it.
pub(super) fn reason(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
