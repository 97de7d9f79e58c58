//! Publishers' keys: which count here and for what, and how one is made to count no more.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use onerouter_domain::id::InstallationId;
use onerouter_registry::KeyId;
use serde_json::json;

use super::Plugins;
use crate::service::audit::{self, Change};
use crate::service::authentication::unavailable;
use crate::service::caller::Operator;
use crate::service::refusal::Refusal;
use crate::store::{DistrustedKeyRow, StoreError};

/// What trusts a key that the settings name.
const SETTING: &str = "setting";

/// A publisher's key that is known here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublisherKey {
    /// Its id.
    pub id: String,
    /// What it may sign; nothing where it is distrusted.
    pub trusted_for: Vec<TrustedFor>,
    /// Since when it counts for nothing.
    pub distrusted_at: Option<DateTime<Utc>>,
    /// Installed versions that it has signed, oldest first.
    pub installations: Vec<InstallationId>,
}

/// What a key may sign, and who has said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedFor {
    /// One plugin; every one that has no key of its own where there is none.
    pub plugin: Option<String>,
    /// `setting`, `operator`, `first_use`.
    pub by: String,
    /// Since when, where somebody has said so while the gateway ran.
    pub at: Option<DateTime<Utc>>,
}

impl PublisherKey {
    /// `trusted`, `distrusted`; `unknown` where nobody has said anything, and something that it signed is
    /// installed.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        if self.distrusted_at.is_some() {
            "distrusted"
        } else if self.trusted_for.is_empty() {
            "unknown"
        } else {
            "trusted"
        }
    }
}

impl Plugins {
    /// Every publisher's key that is known here, by id.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn keys(&self) -> Result<Vec<PublisherKey>, Refusal> {
        let failed = |error| unavailable("cannot read trusted keys", &error);
        let store = &self.parts().store;
        let mut keys = Keys::default();
        for (plugin, key) in &self.parts().trust.publisher_keys {
            keys.of(&key.to_string()).trusted_for.push(TrustedFor {
                plugin: plugin.as_ref().map(ToString::to_string),
                by: SETTING.to_owned(),
                at: None,
            });
        }
        for row in store.list_plugin_keys().await.map_err(failed)? {
            keys.of(&row.key_id).trusted_for.push(TrustedFor {
                plugin: Some(row.plugin),
                by: row.trusted_by,
                at: Some(row.trusted_at),
            });
        }
        for version in store.list_plugin_versions().await.map_err(failed)? {
            if let Some(key) = &version.publisher_key {
                keys.of(key).installations.push(version.id);
            }
        }
        for row in store.list_distrusted_keys().await.map_err(failed)? {
            let key = keys.of(&row.key_id);
            key.distrusted_at = Some(row.distrusted_at);
            // What the settings say of it does not count either.
            key.trusted_for.clear();
        }
        Ok(keys.0.into_values().collect())
    }

    /// From now on a key counts for nothing here: not by the settings, and not as the first one that is
    /// seen. What it has signed and what serves goes on, shows a warning, and is not activated anew. An
    /// operator who installs something with it as `trust_key` trusts it again.
    ///
    /// # Errors
    /// `not_found` where nobody here knows it.
    pub async fn distrust_key(
        &self,
        operator: &Operator,
        key: KeyId,
    ) -> Result<PublisherKey, Refusal> {
        let before = self.key(key).await?;
        if before.distrusted_at.is_none() {
            self.write_distrust(operator, &before)
                .await
                .map_err(|error| unavailable("cannot distrust a key", &error))?;
            self.parts().changes.note_plugins();
        }
        let after = self.key(key).await?;
        if !after.installations.is_empty() {
            tracing::warn!(
                key = after.id,
                installations = ?after.installations.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "versions stay installed whose key was distrusted; what serves of them goes on"
            );
        }
        Ok(after)
    }

    async fn key(&self, key: KeyId) -> Result<PublisherKey, Refusal> {
        let id = key.to_string();
        let mut keys = self.keys().await?.into_iter();
        keys.find(|known| known.id == id)
            .ok_or_else(|| Refusal::not_found("publisher key"))
    }

    async fn write_distrust(
        &self,
        operator: &Operator,
        key: &PublisherKey,
    ) -> Result<(), StoreError> {
        let now = self.parts().clock.now();
        let mut tx = self.parts().store.begin(operator.tenant).await?;
        // Whoever installs something that it has signed does so before this, or not at all.
        tx.begin_plugin_change().await?;
        let mut plugins = Vec::new();
        for row in tx.all_plugin_keys().await? {
            if row.key_id == key.id {
                tx.delete_plugin_key(&row.plugin, &row.key_id).await?;
                plugins.push(row.plugin);
            }
        }
        tx.insert_distrusted_key(&DistrustedKeyRow {
            key_id: key.id.clone(),
            distrusted_at: now,
        })
        .await?;
        let change = Change {
            action: "plugin.key_distrusted",
            target: key.id.clone(),
            before: Some(json!({"plugins": plugins})),
            after: Some(json!({"installations": key.installations})),
        };
        audit::record(&mut tx, operator, change, now).await?;
        tx.commit().await
    }
}

/// By id.
#[derive(Default)]
struct Keys(BTreeMap<String, PublisherKey>);

impl Keys {
    fn of(&mut self, id: &str) -> &mut PublisherKey {
        self.0.entry(id.to_owned()).or_insert_with(|| PublisherKey {
            id: id.to_owned(),
            ..PublisherKey::default()
        })
    }
}
