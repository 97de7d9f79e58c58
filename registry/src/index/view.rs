//! What the log says, by plugin.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use onerouter_manifest::PluginId;
use semver::{Version, VersionReq};

use super::{Entry, Event, ViewError};
use crate::digest::Digest;
use crate::keys::{KeyId, PublicKey};
use crate::statement::Statement;
use crate::trust::{KeyList, KeyStanding};

/// All plugins of a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    plugins: BTreeMap<PluginId, PluginEntry>,
}

/// One name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginEntry {
    /// Who may and might publish under it.
    pub keys: BTreeMap<KeyId, ListedKey>,
    /// What was published.
    pub versions: BTreeMap<Version, PublishedVersion>,
    /// What was found out about it since.
    pub advisories: Vec<Advisory>,
}

/// A publisher's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// The key.
    pub key: PublicKey,
    /// Since when.
    pub added_at: DateTime<Utc>,
    /// Until when, and why.
    pub revoked: Option<Revocation>,
}

/// The end of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: DateTime<Utc>,
    /// As the publisher gave it.
    pub reason: String,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedVersion {
    /// The component's bytes.
    pub component: Digest,
    /// The OCI manifest under which the registry keeps them.
    pub manifest: Digest,
    /// The signed statement, as it stands in a `.sig` file.
    pub statement: String,
    /// Whose it is.
    pub key: KeyId,
    /// When.
    pub published_at: DateTime<Utc>,
    /// Why it should not be chosen any more.
    pub yanked: Option<String>,
}

/// Something that who runs certain versions must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    /// Unique in the registry.
    pub id: String,
    /// Which versions.
    pub affected: VersionReq,
    /// What it is about.
    pub summary: String,
    /// Where more is said.
    pub url: Option<String>,
    /// When it was published.
    pub at: DateTime<Utc>,
}

impl View {
    /// The plugin of this name.
    #[must_use]
    pub fn find(&self, name: &PluginId) -> Option<&PluginEntry> {
        self.plugins.get(name)
    }

    /// Every plugin, by name.
    pub fn plugins(&self) -> impl Iterator<Item = (&PluginId, &PluginEntry)> {
        self.plugins.iter()
    }

    /// Takes in one entry. The rules are checked here again: a registry's signature says that it
    /// wrote the entry, not that it was right to.
    ///
    /// # Errors
    /// The entry contradicts the ones before it; nothing is changed then.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), ViewError> {
        match &entry.event {
            Event::KeyAdded { name, key } => self.add_key(name, *key, entry.at),
            Event::KeyRevoked { name, key, reason } => {
                let listed = self.active_key(name, *key)?;
                listed.revoked = Some(Revocation {
                    at: entry.at,
                    reason: reason.clone(),
                });
                Ok(())
            }
            Event::Published { .. } => self.publish(entry),
            Event::Yanked {
                name,
                version,
                reason,
            } => {
                self.version(name, version)?.yanked = Some(reason.clone());
                Ok(())
            }
            Event::Unyanked { name, version } => {
                self.version(name, version)?.yanked = None;
                Ok(())
            }
            Event::Advisory {
                name,
                id,
                affected,
                summary,
                url,
            } => {
                let advisories = &mut self.plugins.entry(name.clone()).or_default().advisories;
                advisories.push(Advisory {
                    id: id.clone(),
                    affected: affected.clone(),
                    summary: summary.clone(),
                    url: url.clone(),
                    at: entry.at,
                });
                Ok(())
            }
        }
    }

    fn add_key(
        &mut self,
        name: &PluginId,
        key: PublicKey,
        at: DateTime<Utc>,
    ) -> Result<(), ViewError> {
        let keys = &mut self.plugins.entry(name.clone()).or_default().keys;
        // A key that was revoked does not come back: whoever stole it would come back with it.
        if keys.contains_key(&key.id()) {
            return Err(ViewError::KeyAgain {
                name: name.clone(),
                key: key.id(),
            });
        }
        let listed = ListedKey {
            key,
            added_at: at,
            revoked: None,
        };
        keys.insert(key.id(), listed);
        Ok(())
    }

    fn active_key(&mut self, name: &PluginId, key: KeyId) -> Result<&mut ListedKey, ViewError> {
        self.plugins
            .get_mut(name)
            .and_then(|plugin| plugin.keys.get_mut(&key))
            .filter(|listed| listed.revoked.is_none())
            .ok_or_else(|| ViewError::NoSuchKey {
                name: name.clone(),
                key,
            })
    }

    fn version(
        &mut self,
        name: &PluginId,
        version: &Version,
    ) -> Result<&mut PublishedVersion, ViewError> {
        self.plugins
            .get_mut(name)
            .and_then(|plugin| plugin.versions.get_mut(version))
            .ok_or_else(|| ViewError::NoSuchVersion {
                name: name.clone(),
                version: version.clone(),
            })
    }

    fn publish(&mut self, entry: &Entry) -> Result<(), ViewError> {
        let Event::Published {
            name,
            version,
            component,
            manifest,
            statement,
        } = &entry.event
        else {
            return Ok(());
        };
        let other = || ViewError::OtherStatement {
            name: name.clone(),
            version: version.clone(),
        };
        let opened = Statement::open(statement.as_bytes())?;
        let said = opened.signed().map_err(|_wrong| other())?;
        if said.name != *name || said.version != *version || said.component != *component {
            return Err(other());
        }
        let key = said.publisher.id();
        self.active_key(name, key)?;
        let versions = &mut self.plugins.entry(name.clone()).or_default().versions;
        if versions.contains_key(version) {
            return Err(ViewError::VersionAgain {
                name: name.clone(),
                version: version.clone(),
            });
        }
        let published = PublishedVersion {
            component: *component,
            manifest: *manifest,
            statement: statement.clone(),
            key,
            published_at: entry.at,
            yanked: None,
        };
        versions.insert(version.clone(), published);
        Ok(())
    }
}

impl KeyList for View {
    fn standing(&self, name: &PluginId, key: KeyId) -> KeyStanding {
        match self.find(name).and_then(|plugin| plugin.keys.get(&key)) {
            None => KeyStanding::Unlisted,
            Some(listed) => match &listed.revoked {
                None => KeyStanding::Active,
                Some(revocation) => KeyStanding::Revoked {
                    reason: revocation.reason.clone(),
                },
            },
        }
    }
}
