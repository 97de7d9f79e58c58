//! What is wanted of a plugin: which version serves, whom, and which one before. One transaction each.

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::{InstallationId, InstalledPluginId, TenantId};
use serde_json::{Value, json};

use super::agreement::Asked;
use super::install::{Order, in_order, manifest_of, no_one_to_compare};
use super::regression::WATCHED_FOR;
use super::standing::Distrusted;
use super::{Plugins, gateway, invalid, invalid_state};
use crate::service::audit::{self, Change};
use crate::service::authentication::unavailable;
use crate::service::caller::Operator;
use crate::service::refusal::Refusal;
use crate::store::{
    PluginRow, PluginTombstoneRow, PluginVersionRow, PluginWrite, StoreError, TenantTx,
};

/// Versions that served once and serve no more, besides the one before, that stay installed: enough to go
/// back by hand past a few bad releases. Each is up to 32 MiB in the database, and an older one can be
/// installed again.
const RETIRED_KEPT: usize = 5;

/// Which plugin, or which of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A plugin by its name.
    Name(String),
    /// A plugin by its id.
    Plugin(InstalledPluginId),
    /// A version by its id.
    Version(InstallationId),
    /// A version by its plugin's name and its number.
    Numbered(String, semver::Version),
}

/// Whom a new version serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activation {
    /// Only some, beside the version that serves; everybody where there is none.
    pub canary: Option<CanaryShare>,
    /// What the operator agrees to that it may do more: the digest of what they have read.
    pub approve: Option<String>,
}

/// Whom a canary serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CanaryShare {
    /// How many of a hundred tenants.
    pub percent: u8,
    /// Tenants whom it serves in any case.
    pub tenants: Vec<TenantId>,
}

/// Why the gateway takes a version back by itself.
#[derive(Debug, Clone)]
pub(super) struct Regressed {
    pub(super) plugin: String,
    /// What was wanted when that was seen: somebody may have changed it since.
    pub(super) generation: i64,
    pub(super) version: InstallationId,
    pub(super) reason: String,
}

/// What was done, for the audit log.
struct Done {
    action: &'static str,
    /// What may be done more than before, and was agreed to.
    agreed: Vec<String>,
}

const ROLLED_BACK: Done = Done {
    action: "plugin.rolled_back",
    agreed: Vec::new(),
};

/// A plugin and its versions, while nobody else can change them.
struct Held {
    tx: TenantTx,
    generation: i64,
    plugin: PluginRow,
    versions: Vec<PluginVersionRow>,
    distrusted: Distrusted,
    now: DateTime<Utc>,
}

impl Plugins {
    /// Lets a version serve: everybody, or some beside the one that serves. A plugin's newest version
    /// that never served, where none is named.
    ///
    /// # Errors
    /// `not_found`; `conflict` where it may do more than what serves and that was not agreed to;
    /// `invalid_state` where it is quarantined, its key was distrusted or revoked, or there is nothing to
    /// activate.
    pub async fn activate(
        &self,
        operator: &Operator,
        target: &Target,
        activation: &Activation,
    ) -> Result<PluginRow, Refusal> {
        self.activate_in(operator, target, activation, Order::Any)
            .await
    }

    /// The same, for who may not mean every version.
    pub(super) async fn activate_in(
        &self,
        operator: &Operator,
        target: &Target,
        activation: &Activation,
        order: Order,
    ) -> Result<PluginRow, Refusal> {
        let mut held = self.hold(operator, target).await?;
        let version = held.chosen(target)?;
        held.refuse_overtaken(&version, order)?;
        held.refuse_withdrawn(&version)?;
        if let Some(reason) = &version.quarantine {
            return Err(invalid_state(format!(
                "{} {} is quarantined: {reason}. Install it again to try it once more.",
                version.plugin, version.version
            )));
        }
        if version.trusted_by == super::trust::UNSIGNED && !self.allows_unsigned() {
            return Err(invalid_state(format!(
                "{} {} is not signed, and unsigned plugins are refused here.",
                version.plugin, version.version
            )));
        }
        let agreed = held.agree(&version, activation.approve.as_deref()).await?;
        let before = held.plugin.clone();
        let mut write = PluginWrite {
            canary: None,
            canary_percent: 0,
            canary_tenants: Vec::new(),
            watched_until: before.watched_until,
            reason: None,
            active: before.active,
            previous: before.previous,
        };
        let action = match &activation.canary {
            Some(share) => {
                match before.active {
                    None => return Err(no_one_to_compare()),
                    Some(active) if active == version.id => {
                        return Err(invalid_state(format!(
                            "{} {} serves everybody already.",
                            version.plugin, version.version
                        )));
                    }
                    Some(_) => {}
                }
                if share.percent > 100 {
                    return Err(invalid(
                        "/canary/percent",
                        "out_of_range",
                        "must be 0 to 100",
                    ));
                }
                write.canary = Some(version.id);
                write.canary_percent = share.percent;
                write.canary_tenants.clone_from(&share.tenants);
                "plugin.canary_set"
            }
            None => {
                if before.active != Some(version.id) {
                    write.active = Some(version.id);
                    write.previous = before.active;
                    write.watched_until = before.active.map(|_| held.now + WATCHED_FOR);
                }
                "plugin.activated"
            }
        };
        let done = Done { action, agreed };
        let written = held.write(operator, write, done).await.map_err(not_kept)?;
        self.follow_change().await;
        Ok(written)
    }

    /// Takes back what is new: the canary where there is one, else the version that serves, for the one
    /// that served before. Asked for twice, it goes back once: there is nothing before that one then.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` where there is nothing to go back to.
    pub async fn roll_back(
        &self,
        operator: &Operator,
        target: &Target,
    ) -> Result<PluginRow, Refusal> {
        let held = self.hold(operator, target).await?;
        let write = held.rolled_back(None)?;
        held.warn_of(write.active);
        let written = held
            .write(operator, write, ROLLED_BACK)
            .await
            .map_err(not_kept)?;
        self.follow_change().await;
        Ok(written)
    }

    /// Takes a version back because it does worse than the one beside or before it, and quarantines it.
    /// Nothing happens where somebody has changed the plugin meanwhile.
    pub(super) async fn take_back(&self, regressed: &Regressed) -> Result<bool, Refusal> {
        let operator = gateway();
        let target = Target::Name(regressed.plugin.clone());
        let mut held = self.hold(&operator, &target).await?;
        let is_as_seen = held.plugin.generation == regressed.generation
            && [held.plugin.canary, held.plugin.active].contains(&Some(regressed.version));
        if !is_as_seen {
            return Ok(false);
        }
        let write = held.rolled_back(Some(regressed.reason.clone()))?;
        held.warn_of(write.active);
        held.tx
            .quarantine_plugin_version(regressed.version, &regressed.reason)
            .await
            .map_err(not_kept)?;
        if let Some(version) = held.find(Some(regressed.version)).cloned() {
            held.keep_away(&version, &regressed.reason).await?;
        }
        held.write(&operator, write, ROLLED_BACK)
            .await
            .map_err(not_kept)?;
        self.follow_change().await;
        Ok(true)
    }

    /// Forgets a version, or a plugin with all its versions. Calls that run on it finish.
    ///
    /// # Errors
    /// `not_found`; `invalid_state` for a version that serves. A file of it that lies in the watched folder
    /// does not bring it back.
    pub async fn remove(&self, operator: &Operator, target: &Target) -> Result<(), Refusal> {
        let failed = not_kept;
        let held = self.hold(operator, target).await?;
        let now = held.now;
        let Held {
            mut tx,
            generation,
            plugin,
            versions,
            distrusted,
            ..
        } = held;
        let gone = match target {
            Target::Name(_) | Target::Plugin(_) => {
                tx.delete_plugin(&plugin.name).await.map_err(failed)?;
                versions
            }
            Target::Version(_) | Target::Numbered(..) => {
                let version = chosen(&plugin, &versions, &distrusted, target)?;
                if [plugin.active, plugin.canary].contains(&Some(version.id)) {
                    return Err(invalid_state(format!(
                        "{} {} serves; activate another version first, or remove the plugin by its name.",
                        version.plugin, version.version
                    )));
                }
                let previous = plugin.previous.filter(|id| *id != version.id);
                let write = PluginWrite {
                    previous,
                    ..wanted(&plugin)
                };
                tx.write_plugin(&plugin.name, &write, generation, now)
                    .await
                    .map_err(failed)?;
                vec![version]
            }
        };
        for version in &gone {
            tx.delete_plugin_version(version).await.map_err(failed)?;
            tx.write_plugin_tombstone(&tombstone(version, "it was removed", now))
                .await
                .map_err(failed)?;
            audit::record(&mut tx, operator, removed(version), now)
                .await
                .map_err(failed)?;
        }
        tx.commit().await.map_err(failed)?;
        self.follow_change().await;
        Ok(())
    }

    async fn hold(&self, operator: &Operator, target: &Target) -> Result<Held, Refusal> {
        let now = self.parts().clock.now();
        let name = self.name_of(target).await?;
        let mut tx = self
            .parts()
            .store
            .begin(operator.tenant)
            .await
            .map_err(not_kept)?;
        let generation = tx.begin_plugin_change().await.map_err(not_kept)?;
        let plugin = tx.find_plugin(&name).await.map_err(not_kept)?;
        let plugin = plugin.ok_or_else(|| absent(&name))?;
        let versions = tx.plugin_versions(&name).await.map_err(not_kept)?;
        let distrusted = tx.distrusted_keys().await.map_err(not_kept)?;
        Ok(Held {
            tx,
            generation,
            plugin,
            versions,
            distrusted: distrusted.into_iter().collect(),
            now,
        })
    }

    async fn name_of(&self, target: &Target) -> Result<String, Refusal> {
        let store = &self.parts().store;
        match target {
            Target::Name(name) | Target::Numbered(name, _) => Ok(name.clone()),
            Target::Plugin(id) => {
                let plugins = store.list_plugins().await.map_err(not_kept)?;
                let plugin = plugins.into_iter().find(|plugin| plugin.id == *id);
                plugin
                    .map(|plugin| plugin.name)
                    .ok_or_else(|| Refusal::not_found("plugin"))
            }
            Target::Version(id) => {
                let versions = store.list_plugin_versions().await.map_err(not_kept)?;
                let version = versions.into_iter().find(|version| version.id == *id);
                version
                    .map(|version| version.plugin)
                    .ok_or_else(|| Refusal::not_found("installed version"))
            }
        }
    }
}

impl Held {
    fn chosen(&self, target: &Target) -> Result<PluginVersionRow, Refusal> {
        chosen(&self.plugin, &self.versions, &self.distrusted, target)
    }

    fn find(&self, id: Option<InstallationId>) -> Option<&PluginVersionRow> {
        self.versions.iter().find(|row| Some(row.id) == id)
    }

    /// Somebody may have let a greater one serve since this one was asked for.
    fn refuse_overtaken(&self, version: &PluginVersionRow, order: Order) -> Result<(), Refusal> {
        let Some(active) = self.find(self.plugin.active) else {
            return Ok(());
        };
        in_order(&manifest_of(active)?, &manifest_of(version)?.version, order)
    }

    /// What nobody stands behind any more does not begin to serve; what serves everybody already goes on.
    fn refuse_withdrawn(&self, version: &PluginVersionRow) -> Result<(), Refusal> {
        if self.plugin.active == Some(version.id) {
            return Ok(());
        }
        let mut warnings = self.distrusted.warnings(version).into_iter();
        match warnings.find(|warning| warning.kind.forbids()) {
            None => Ok(()),
            Some(warning) => Err(invalid_state(format!(
                "{} {} is not activated: {}.",
                version.plugin, version.version, warning.detail
            ))),
        }
    }

    /// Going back must work, whatever was heard of the version before: it is said, and not refused.
    fn warn_of(&self, id: Option<InstallationId>) {
        let Some(version) = self.find(id) else {
            return;
        };
        for warning in self.distrusted.warnings(version) {
            tracing::warn!(
                plugin = version.plugin,
                version = version.version,
                reason = warning.detail,
                "a version serves again that something speaks against"
            );
        }
    }

    /// Of what served once, all but the last few go. A file in the watched folder does not bring them back.
    async fn forget_retired(
        &mut self,
        operator: &Operator,
        write: &PluginWrite,
    ) -> Result<(), StoreError> {
        let wanted = [write.active, write.previous, write.canary];
        let mut retired: Vec<&PluginVersionRow> = self
            .versions
            .iter()
            .filter(|row| row.activated_at.is_some() && !wanted.contains(&Some(row.id)))
            .collect();
        retired.sort_by_key(|row| std::cmp::Reverse(row.activated_at));
        for version in retired.into_iter().skip(RETIRED_KEPT) {
            self.tx.delete_plugin_version(version).await?;
            let reason = "it served long ago, and was forgotten";
            self.tx
                .write_plugin_tombstone(&tombstone(version, reason, self.now))
                .await?;
            audit::record(&mut self.tx, operator, removed(version), self.now).await?;
        }
        Ok(())
    }

    /// What it may do more than what serves must be agreed to, whatever served when it was installed.
    /// Gives what was agreed to now.
    async fn agree(
        &mut self,
        version: &PluginVersionRow,
        approve: Option<&str>,
    ) -> Result<Vec<String>, Refusal> {
        let serves = [self.plugin.active, self.plugin.canary];
        let (Some(active), false) = (
            self.find(self.plugin.active),
            serves.contains(&Some(version.id)),
        ) else {
            return Ok(Vec::new());
        };
        let (old, new) = (manifest_of(active)?, manifest_of(version)?);
        let asked = Asked::of(version, &old, &new);
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        if !asked.is_agreed(approve) {
            return Err(asked.refused(&old, &new.version, approve));
        }
        let added = asked.permissions;
        let approved: Vec<String> = version.approved.iter().chain(&added).cloned().collect();
        self.tx
            .approve_plugin_version(version.id, &approved)
            .await
            .map_err(not_kept)?;
        Ok(added)
    }

    /// It does not come back by itself.
    async fn keep_away(&mut self, version: &PluginVersionRow, reason: &str) -> Result<(), Refusal> {
        let row = tombstone(version, reason, self.now);
        self.tx.write_plugin_tombstone(&row).await.map_err(not_kept)
    }

    /// What is wanted once the newest thing was taken back.
    fn rolled_back(&self, reason: Option<String>) -> Result<PluginWrite, Refusal> {
        let write = PluginWrite {
            canary: None,
            canary_percent: 0,
            canary_tenants: Vec::new(),
            watched_until: self.plugin.watched_until,
            reason,
            active: self.plugin.active,
            previous: self.plugin.previous,
        };
        if self.plugin.canary.is_some() {
            return Ok(write);
        }
        let previous = self.find(self.plugin.previous).ok_or_else(|| {
            invalid_state(format!(
                "{} has no earlier version to go back to.",
                self.plugin.name
            ))
        })?;
        if let Some(quarantine) = &previous.quarantine {
            return Err(invalid_state(format!(
                "{} {}, which served before, is quarantined: {quarantine}.",
                previous.plugin, previous.version
            )));
        }
        Ok(PluginWrite {
            active: self.plugin.previous,
            // Nothing swings back: neither the one who asks twice, nor a watch.
            previous: None,
            watched_until: None,
            ..write
        })
    }

    async fn write(
        mut self,
        operator: &Operator,
        write: PluginWrite,
        done: Done,
    ) -> Result<PluginRow, StoreError> {
        let (name, now) = (self.plugin.name.clone(), self.now);
        self.tx
            .write_plugin(&name, &write, self.generation, now)
            .await?;
        for id in [write.active, write.canary] {
            let was = [self.plugin.active, self.plugin.canary];
            if let Some(id) = id
                && !was.contains(&Some(id))
            {
                self.tx.note_plugin_activation(id, now).await?;
            }
        }
        // Only where one takes over from another, not on the way back: that is to take no time.
        if write.previous.is_some() && write.previous == self.plugin.active {
            self.forget_retired(operator, &write).await?;
        }
        let written = PluginRow {
            active: write.active,
            previous: write.previous,
            canary: write.canary,
            canary_percent: write.canary_percent,
            canary_tenants: write.canary_tenants,
            generation: self.generation,
            changed_at: now,
            watched_until: write.watched_until,
            reason: write.reason,
            ..self.plugin.clone()
        };
        let mut after = self.shown(&written);
        if !done.agreed.is_empty()
            && let Value::Object(after) = &mut after
        {
            after.insert("approved".to_owned(), json!(done.agreed));
        }
        let change = Change {
            action: done.action,
            target: name,
            before: Some(self.shown(&self.plugin)),
            after: Some(after),
        };
        audit::record(&mut self.tx, operator, change, now).await?;
        self.tx.commit().await?;
        Ok(written)
    }

    fn shown(&self, plugin: &PluginRow) -> Value {
        let number = |id| self.find(id).map(|row| row.version.as_str());
        json!({
            "active": number(plugin.active), "previous": number(plugin.previous),
            "canary": number(plugin.canary), "canary_percent": plugin.canary_percent,
            "canary_tenants": plugin.canary_tenants, "reason": plugin.reason,
        })
    }
}

fn removed(version: &PluginVersionRow) -> Change {
    Change {
        action: "plugin.removed",
        target: version.id.to_string(),
        before: Some(json!({
            "plugin": version.plugin, "version": version.version, "sha256": version.sha256,
        })),
        after: None,
    }
}

fn wanted(plugin: &PluginRow) -> PluginWrite {
    PluginWrite {
        active: plugin.active,
        previous: plugin.previous,
        canary: plugin.canary,
        canary_percent: plugin.canary_percent,
        canary_tenants: plugin.canary_tenants.clone(),
        watched_until: plugin.watched_until,
        reason: plugin.reason.clone(),
    }
}

/// The version that is meant.
fn chosen(
    plugin: &PluginRow,
    versions: &[PluginVersionRow],
    distrusted: &Distrusted,
    target: &Target,
) -> Result<PluginVersionRow, Refusal> {
    let found = match target {
        Target::Version(id) => versions.iter().find(|row| row.id == *id),
        // The same number may have been built more than once, unsigned: the last one is meant.
        Target::Numbered(_, version) => {
            let version = version.to_string();
            versions.iter().rfind(|row| row.version == version)
        }
        Target::Name(_) | Target::Plugin(_) => {
            return newest_unused(plugin, versions, distrusted)
                .cloned()
                .ok_or_else(|| {
                    invalid_state(format!(
                        "{} has no version that waits to be activated; name one.",
                        plugin.name
                    ))
                });
        }
    };
    found
        .cloned()
        .ok_or_else(|| Refusal::not_found("installed version"))
}

/// The canary, else the greatest version that has never served and that nothing speaks against.
fn newest_unused<'v>(
    plugin: &PluginRow,
    versions: &'v [PluginVersionRow],
    distrusted: &Distrusted,
) -> Option<&'v PluginVersionRow> {
    let canary = versions.iter().find(|row| Some(row.id) == plugin.canary);
    canary.or_else(|| {
        versions
            .iter()
            .filter(|row| row.activated_at.is_none() && row.quarantine.is_none())
            .filter(|row| distrusted.warnings(row).is_empty())
            .max_by_key(|row| row.version.parse::<semver::Version>().ok())
    })
}

pub(super) fn tombstone(
    version: &PluginVersionRow,
    reason: &str,
    at: DateTime<Utc>,
) -> PluginTombstoneRow {
    PluginTombstoneRow {
        plugin: version.plugin.clone(),
        sha256: version.sha256.clone(),
        reason: reason.to_owned(),
        at,
    }
}

fn absent(name: &str) -> Refusal {
    Refusal::new(
        ErrorCode::NotFound,
        format!("There is no plugin \"{name}\" here."),
    )
}

fn not_kept(error: StoreError) -> Refusal {
    unavailable("cannot change plugins", &error)
}
