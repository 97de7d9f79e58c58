//! A plugin and its versions in the transaction that changes what is wanted of them.

use chrono::{DateTime, Utc};
use onerouter_domain::id::InstallationId;
use serde_json::{Value, json};

use super::super::agreement::Asked;
use super::super::install::{Order, in_order, manifest_of};
use super::super::invalid_state;
use super::super::standing::Distrusted;
use super::{Target, not_kept};
use crate::service::audit::{self, Change};
use crate::service::caller::Operator;
use crate::service::refusal::Refusal;
use crate::store::{
    PluginRow, PluginTombstoneRow, PluginVersionRow, PluginWrite, StoreError, TenantTx,
};

/// Versions that served once and serve no more, besides the one before, that stay installed: enough to go
/// back by hand past a few bad releases. Each is up to 32 MiB in the database, and an older one can be
/// installed again.
const RETIRED_KEPT: usize = 5;

/// What was done, for the audit log.
pub(super) struct Done {
    pub(super) action: &'static str,
    /// What may be done more than before, and was agreed to.
    pub(super) agreed: Vec<String>,
}

pub(super) const ROLLED_BACK: Done = Done {
    action: "plugin.rolled_back",
    agreed: Vec::new(),
};

/// A plugin and its versions, while nobody else can change them.
pub(super) struct Held {
    pub(super) tx: TenantTx,
    pub(super) generation: i64,
    pub(super) plugin: PluginRow,
    pub(super) versions: Vec<PluginVersionRow>,
    pub(super) distrusted: Distrusted,
    pub(super) now: DateTime<Utc>,
}

impl Held {
    pub(super) fn chosen(&self, target: &Target) -> Result<PluginVersionRow, Refusal> {
        chosen(&self.plugin, &self.versions, &self.distrusted, target)
    }

    pub(super) fn find(&self, id: Option<InstallationId>) -> Option<&PluginVersionRow> {
        self.versions.iter().find(|row| Some(row.id) == id)
    }

    /// Somebody may have let a greater one serve since this one was asked for.
    pub(super) fn refuse_overtaken(
        &self,
        version: &PluginVersionRow,
        order: Order,
    ) -> Result<(), Refusal> {
        let Some(active) = self.find(self.plugin.active) else {
            return Ok(());
        };
        in_order(&manifest_of(active)?, &manifest_of(version)?.version, order)
    }

    /// What nobody stands behind any more does not begin to serve; what serves everybody already goes on.
    pub(super) fn refuse_withdrawn(&self, version: &PluginVersionRow) -> Result<(), Refusal> {
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
    pub(super) fn warn_of(&self, id: Option<InstallationId>) {
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
    pub(super) async fn agree(
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
    pub(super) async fn keep_away(
        &mut self,
        version: &PluginVersionRow,
        reason: &str,
    ) -> Result<(), Refusal> {
        let row = tombstone(version, reason, self.now);
        self.tx.write_plugin_tombstone(&row).await.map_err(not_kept)
    }

    /// What is wanted once the newest thing was taken back.
    pub(super) fn rolled_back(&self, reason: Option<String>) -> Result<PluginWrite, Refusal> {
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

    pub(super) async fn write(
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

pub(super) fn wanted(plugin: &PluginRow) -> PluginWrite {
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

pub(super) fn removed(version: &PluginVersionRow) -> Change {
    Change {
        action: "plugin.removed",
        target: version.id.to_string(),
        before: Some(json!({
            "plugin": version.plugin, "version": version.version, "sha256": version.sha256,
        })),
        after: None,
    }
}

/// The version that is meant.
pub(in crate::service::plugins) fn chosen(
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
