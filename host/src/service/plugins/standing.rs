//! What was heard of installed versions since they were installed: a key that was revoked or distrusted, a
//! version that was yanked, an advisory. It is shown and logged, and keeps a version from being activated
//! anew; it takes nothing away that serves, for a registry must not be able to stop a gateway.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use onerouter_domain::time;
use onerouter_manifest::PluginId;
use onerouter_registry::index::Index;
use onerouter_registry::{KeyId, KeyList as _, KeyStanding};
use semver::Version;

use super::Plugins;
use crate::service::authentication::unavailable;
use crate::service::refusal::Refusal;
use crate::store::{
    DEFAULT_TENANT, DistrustedKeyRow, KnownAdvisory, PluginStanding, PluginVersionRow, StoreError,
};

/// Something that speaks against an installed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionWarning {
    /// What it is.
    pub kind: WarningKind,
    /// In words.
    pub detail: String,
}

/// What speaks against an installed version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningKind {
    /// An operator no longer trusts the key that signed it.
    KeyDistrusted,
    /// The registry says that the key may no longer publish it.
    KeyRevoked,
    /// The registry says that it should not be chosen.
    Yanked,
}

impl WarningKind {
    /// Snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyDistrusted => "key_distrusted",
            Self::KeyRevoked => "key_revoked",
            Self::Yanked => "yanked",
        }
    }

    /// Whether it keeps a version from being activated by whoever names it. What was yanked may still be
    /// had by its number, as from the registry.
    pub(super) const fn forbids(self) -> bool {
        match self {
            Self::KeyDistrusted | Self::KeyRevoked => true,
            Self::Yanked => false,
        }
    }
}

/// Keys that are distrusted, and since when.
#[derive(Debug, Default)]
pub(super) struct Distrusted(BTreeMap<String, DateTime<Utc>>);

impl Distrusted {
    pub(super) fn since(&self, key: &str) -> Option<DateTime<Utc>> {
        self.0.get(key).copied()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.0.keys().filter_map(|key| key.parse().ok())
    }

    /// All that speaks against a version.
    pub(super) fn warnings(&self, version: &PluginVersionRow) -> Vec<VersionWarning> {
        let key = version.publisher_key.as_deref().unwrap_or_default();
        let distrusted = self.since(key).map(|since| VersionWarning {
            kind: WarningKind::KeyDistrusted,
            detail: format!(
                "the key {key}, which signed it, is distrusted here since {}",
                time::to_text(since)
            ),
        });
        let standing = &version.standing;
        let revoked = standing.key_revoked.as_ref().map(|reason| VersionWarning {
            kind: WarningKind::KeyRevoked,
            detail: format!("the key {key}, which signed it, was revoked: {reason}"),
        });
        let yanked = standing.yanked.as_ref().map(|reason| VersionWarning {
            kind: WarningKind::Yanked,
            detail: format!("it was yanked: {reason}"),
        });
        [distrusted, revoked, yanked]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl FromIterator<DistrustedKeyRow> for Distrusted {
    fn from_iter<I: IntoIterator<Item = DistrustedKeyRow>>(rows: I) -> Self {
        let rows = rows.into_iter();
        Self(rows.map(|row| (row.key_id, row.distrusted_at)).collect())
    }
}

impl Plugins {
    pub(super) async fn distrusted(&self) -> Result<Distrusted, Refusal> {
        let rows = self.parts().store.list_distrusted_keys().await;
        let rows = rows.map_err(|error| unavailable("cannot read trusted keys", &error))?;
        Ok(rows.into_iter().collect())
    }

    /// Asks the registry for news of what is installed. Where it cannot be reached, or shows what does
    /// not go on from what is known, everything stays as it was: the next look comes.
    pub async fn look_at_registry(&self) {
        let Some(registry) = &self.parts().registry else {
            return;
        };
        match self.updated_index(registry).await {
            Ok(index) => self.note_standings(&index).await,
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "there is no news of installed plugins from the registry"
            ),
        }
    }

    /// Keeps what an index says of installed versions. That it cannot be kept stops nobody.
    pub(super) async fn note_standings(&self, index: &Index) {
        if let Err(error) = self.write_standings(index).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what the registry says of installed plugins cannot be kept"
            );
        }
    }

    async fn write_standings(&self, index: &Index) -> Result<(), StoreError> {
        let store = &self.parts().store;
        let versions = store.list_plugin_versions().await?;
        let news = versions.into_iter().filter_map(|version| {
            let standing = standing_of(index, &version)?;
            let known = &version.standing;
            // Another node may have seen more of the log than this one.
            let is_news =
                !standing.says_the_same_as(known) && standing.index_size >= known.index_size;
            is_news.then_some((version, standing))
        });
        let news: Vec<(PluginVersionRow, PluginStanding)> = news.collect();
        if news.is_empty() {
            return Ok(());
        }
        let mut tx = store.begin(DEFAULT_TENANT).await?;
        for (version, standing) in &news {
            tx.write_plugin_standing(version.id, standing).await?;
        }
        tx.commit().await?;
        for (version, standing) in &news {
            tell(version, standing);
        }
        Ok(())
    }
}

fn tell(version: &PluginVersionRow, standing: &PluginStanding) {
    tracing::warn!(
        plugin = version.plugin,
        version = version.version,
        sha256 = version.sha256,
        key_revoked = standing.key_revoked,
        yanked = standing.yanked,
        advisories = ?standing.advisories.iter().map(|one| &one.summary).collect::<Vec<_>>(),
        "the registry says something else of an installed version than before"
    );
}

/// What an index says of a version; none where it is not about this one: another registry's plugin may
/// have its name.
fn standing_of(index: &Index, version: &PluginVersionRow) -> Option<PluginStanding> {
    let name = PluginId::try_from(version.plugin.clone()).ok()?;
    let number: Version = version.version.parse().ok()?;
    let listed = index.view().find(&name)?;
    let key = version.publisher_key.as_ref();
    let key: Option<KeyId> = key.and_then(|key| key.parse().ok());
    let published = listed
        .versions
        .get(&number)
        .filter(|published| published.component.hex() == version.sha256);
    let standing = key.map(|key| index.view().standing(&name, key));
    let is_publishers = matches!(
        standing,
        Some(KeyStanding::Active | KeyStanding::Revoked { .. })
    );
    if published.is_none() && !is_publishers {
        return None;
    }
    let advisories = listed.advisories_of(&number);
    Some(PluginStanding {
        index_size: index.size(),
        key_revoked: match standing {
            Some(KeyStanding::Revoked { reason }) => Some(reason),
            Some(KeyStanding::Active | KeyStanding::Unlisted) | None => None,
        },
        yanked: published.and_then(|published| published.yanked.clone()),
        advisories: advisories
            .map(|advisory| KnownAdvisory {
                id: advisory.id.clone(),
                summary: advisory.summary.clone(),
                url: advisory.url.clone(),
            })
            .collect(),
    })
}
