//! Whose plugins run here: what the configuration says, what operators have said, what the registry lists.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::time;
use onerouter_manifest::PluginId;
use onerouter_registry::client::{
    FetchError, Fetched, Origin, RegistryApi, load_index, save_index,
};
use onerouter_registry::index::{Freshness, Index};
use onerouter_registry::{Digest, KeyId, Listing, PublicKey, Trust, TrustedBy, VerifyError};

use super::standing::Distrusted;
use super::{Plugins, invalid};
use crate::config::UnsignedPlugins;
use crate::service::authentication::unavailable;
use crate::service::refusal::Refusal;

/// A head of the index that is older says nothing about what was revoked since.
const HEAD_AGE_MAX: TimeDelta = TimeDelta::days(2);

/// Whose word a version stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vouched {
    /// Somebody whom the operator trusts.
    Publisher(KeyId),
    /// The first one who was seen under the name.
    FirstUse(KeyId),
    /// Nobody's.
    Nobody,
}

impl Vouched {
    /// The name in the column.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Publisher(_) => "operator",
            Self::FirstUse(_) => "first_use",
            Self::Nobody => UNSIGNED,
        }
    }

    pub(super) const fn key(self) -> Option<KeyId> {
        match self {
            Self::Publisher(key) | Self::FirstUse(key) => Some(key),
            Self::Nobody => None,
        }
    }
}

/// The name in the column, of what nobody has signed.
pub(super) const UNSIGNED: &str = "unsigned";

impl Plugins {
    /// Whether plugins run here that nobody has signed.
    pub(super) fn allows_unsigned(&self) -> bool {
        self.parts().trust.unsigned == UnsignedPlugins::Allow
    }

    /// Whether a version may run here: `key` is one that the operator has just said they trust for it.
    pub(super) async fn verify(
        &self,
        fetched: &Fetched,
        key: Option<KeyId>,
        index: Option<&Index>,
    ) -> Result<Vouched, Refusal> {
        if fetched.statement.is_none() && self.allows_unsigned() {
            return Ok(Vouched::Nobody);
        }
        let distrusted = self.distrusted().await?;
        let mut trust = self.trust(&fetched.manifest.id).await?;
        if let Some(key) = key {
            trust = trust.key_for(fetched.manifest.id.clone(), key);
        }
        // Who names a key trusts it again.
        for distrusted in distrusted.keys().filter(|one| Some(*one) != key) {
            trust = trust.never(distrusted);
        }
        let listing = match (index, &fetched.origin) {
            (None, _) => Listing::NoRegistry,
            (Some(index), Origin::Registry { .. } | Origin::Bundle { .. }) => {
                Listing::Required(index.view())
            }
            (Some(index), Origin::Oci { .. } | Origin::File(_)) => {
                Listing::RevocationsOnly(index.view())
            }
        };
        let verified = fetched
            .verify(self.parts().clock.now(), listing, &trust)
            .map_err(|error| not_verified(&error, &distrusted))?;
        let id = verified.publisher().id();
        Ok(match verified.trusted_by {
            TrustedBy::Operator => Vouched::Publisher(id),
            TrustedBy::FirstUse => Vouched::FirstUse(id),
        })
    }

    async fn trust(&self, name: &PluginId) -> Result<Trust, Refusal> {
        let settings = &self.parts().trust;
        let mut trust = Trust::nobody();
        for (name, key) in &settings.publisher_keys {
            trust = match name {
                Some(name) => trust.key_for(name.clone(), *key),
                None => trust.key(*key),
            };
        }
        let rows = self.parts().store.list_plugin_keys().await;
        let rows = rows.map_err(|error| unavailable("cannot read trusted keys", &error))?;
        for row in rows {
            let name = PluginId::try_from(row.plugin).ok();
            if let (Some(name), Ok(key)) = (name, row.key_id.parse()) {
                trust = trust.key_for(name, key);
            }
        }
        if !settings.on_first_use {
            return Ok(trust);
        }
        // Where somebody has signed what is installed, nobody else is the first.
        let versions = self.parts().store.list_plugin_versions().await;
        let versions = versions.map_err(|error| unavailable("cannot read plugins", &error))?;
        let is_signed = versions
            .iter()
            .any(|row| row.plugin == name.as_str() && row.publisher_key.is_some());
        Ok(if is_signed {
            trust
        } else {
            trust.on_first_use()
        })
    }

    /// What the registry lists, as far as it is known here, and brought up to date where that is
    /// `needed`; none where no registry is set.
    pub(super) async fn index(&self, needed: IndexNeed) -> Result<Option<Index>, Refusal> {
        let Some(registry) = &self.parts().registry else {
            return Ok(None);
        };
        match self.updated_index(registry).await {
            Ok(index) => {
                self.note_standings(&index).await;
                Ok(Some(index))
            }
            // What is known of revoked keys is used, and must be readable; what is not known cannot be asked
            // for. A registry that is down, or shows nonsense, keeps nobody from a file of their own.
            Err(error) if needed == IndexNeed::AsFarAsKnown => {
                tracing::warn!(%error, "the registry's index is used as it was");
                let kept = self.kept_index(registry).await;
                kept.map_err(|error| refused(&error))
            }
            Err(error) => Err(refused(&error)),
        }
    }

    pub(super) async fn updated_index(&self, registry: &RegistryApi) -> Result<Index, FetchError> {
        let parts = self.parts();
        let (key, is_new) = match self.known_registry_key(registry).await {
            Some(key) => (key, false),
            None => (parts.client.registry_key(registry).await?, true),
        };
        let path = self.index_path(registry);
        let mut index = load_index(&path, key).await?;
        let freshness = Freshness::Within {
            now: parts.clock.now(),
            age_max: HEAD_AGE_MAX,
        };
        parts
            .client
            .update_index(registry, &mut index, freshness)
            .await?;
        save_index(&path, &index).await?;
        if is_new {
            self.remember_registry_key(registry, key).await;
        }
        Ok(index)
    }

    async fn kept_index(&self, registry: &RegistryApi) -> Result<Option<Index>, FetchError> {
        match self.known_registry_key(registry).await {
            Some(key) => load_index(&self.index_path(registry), key).await.map(Some),
            None => Ok(None),
        }
    }

    /// Keeps what a bundle knew more.
    pub(super) async fn keep_index(&self, index: &Index) {
        let Some(registry) = &self.parts().registry else {
            return;
        };
        if let Err(error) = save_index(&self.index_path(registry), index).await {
            tracing::warn!(%error, "the index of a bundle cannot be kept");
        }
    }

    /// The key that the registry must have: as it is set, or as it had it when it was asked first.
    async fn known_registry_key(&self, registry: &RegistryApi) -> Option<PublicKey> {
        if let Some(key) = self.parts().trust.registry_key {
            return Some(key);
        }
        let path = self.registry_file(registry, "key");
        let text = tokio::fs::read_to_string(path).await.ok()?;
        text.trim().parse().ok()
    }

    async fn remember_registry_key(&self, registry: &RegistryApi, key: PublicKey) {
        let path = self.registry_file(registry, "key");
        tracing::info!(
            registry = %registry.url(), %key,
            "the registry is known by this key from now on; compare it with what its operator says"
        );
        if let Err(error) = tokio::fs::write(&path, key.to_string()).await {
            tracing::warn!(%error, "cannot keep the registry's key in {}", path.display());
        }
    }

    fn index_path(&self, registry: &RegistryApi) -> PathBuf {
        self.registry_file(registry, "index.json")
    }

    /// One per registry: another one's history is not a fork of this one's.
    fn registry_file(&self, registry: &RegistryApi, extension: &str) -> PathBuf {
        let name = Digest::of(registry.url().as_str().as_bytes()).hex();
        let short: String = name.chars().take(16).collect();
        self.parts()
            .data_dir
            .join(format!("registry-{short}.{extension}"))
    }
}

/// Whether a request can go on without the registry's latest word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexNeed {
    /// It cannot: the version is chosen by it.
    Latest,
    /// It can: only keys that are known to be revoked matter.
    AsFarAsKnown,
}

fn is_away(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::Unreachable { .. }
            | FetchError::TooSlow
            | FetchError::Refused { status: 500.., .. }
    )
}

/// Why a plugin was not got, with what caused it.
pub(super) fn refused(error: &FetchError) -> Refusal {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    if is_away(error) {
        return Refusal::new(
            ErrorCode::Overloaded,
            format!("{text}. Nothing was installed."),
        )
        .retry_after(5);
    }
    invalid("/source", "not_fetched", text)
}

fn not_verified(error: &VerifyError, distrusted: &Distrusted) -> Refusal {
    if let VerifyError::KeyNotTrusted { key, .. } = error
        && let Some(since) = distrusted.since(&key.to_string())
    {
        return key_distrusted(*key, since);
    }
    invalid("/source", code_of(error), advised(error))
}

/// The refusal of what a distrusted key has signed.
pub(super) fn key_distrusted(key: KeyId, since: DateTime<Utc>) -> Refusal {
    invalid(
        "/source",
        "key_distrusted",
        format!(
            "the key {key} is distrusted here since {}; trust_key (`onerouter plugin install --trust-key {key}`) trusts it again",
            time::to_text(since)
        ),
    )
}

const fn code_of(error: &VerifyError) -> &'static str {
    match error {
        VerifyError::Unsigned { .. } => "unsigned",
        VerifyError::Malformed(_) => "malformed_signature",
        VerifyError::WrongSignature { .. } => "wrong_signature",
        VerifyError::OtherComponent { .. } => "other_component",
        VerifyError::OtherName { .. } => "other_name",
        VerifyError::OtherVersion { .. } => "other_version",
        VerifyError::Expired { .. } => "expired",
        VerifyError::NotYetValid { .. } => "not_yet_valid",
        VerifyError::KeyRevoked { .. } => "key_revoked",
        VerifyError::KeyNotListed { .. } => "key_not_listed",
        VerifyError::KeyNotTrusted { .. } => "key_not_trusted",
    }
}

/// What an operator can do about it here.
fn advised(error: &VerifyError) -> String {
    match error {
        VerifyError::Unsigned { .. } => format!(
            "{error}; for development, ONEROUTER_UNSIGNED_PLUGINS=allow runs it all the same"
        ),
        VerifyError::KeyNotTrusted { key, .. } => format!(
            "{error} (trust_key, or `onerouter plugin install --trust-key {key}`, or ONEROUTER_PUBLISHER_KEYS)"
        ),
        _ => error.to_string(),
    }
}
