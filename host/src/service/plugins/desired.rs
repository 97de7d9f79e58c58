//! What is wanted of a plugin: which version serves, whom, and which one before. One transaction each.

mod held;

use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::{InstallationId, InstalledPluginId, TenantId};

pub(super) use self::held::chosen;
use self::held::{Done, Held, ROLLED_BACK, removed, tombstone, wanted};
use super::install::{Order, no_one_to_compare};
use super::regression::WATCHED_FOR;
use super::{Plugins, gateway, invalid, invalid_state};
use crate::service::audit;
use crate::service::authentication::unavailable;
use crate::service::caller::Operator;
use crate::service::refusal::Refusal;
use crate::store::{PluginRow, PluginWrite, StoreError};

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

    pub(super) async fn name_of(&self, target: &Target) -> Result<String, Refusal> {
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

fn absent(name: &str) -> Refusal {
    Refusal::new(
        ErrorCode::NotFound,
        format!("There is no plugin \"{name}\" here."),
    )
}

fn not_kept(error: StoreError) -> Refusal {
    unavailable("cannot change plugins", &error)
}
