//! What stands in the log.

use chrono::{DateTime, Utc};
use onerouter_manifest::PluginId;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::ViewError;
use crate::digest::Digest;
use crate::keys::{KeyId, PublicKey};

/// One entry, statement included, has some 1,500 bytes.
pub const ENTRY_BYTES_MAX: usize = 16 << 10;

/// Of a reason, a summary, an address.
pub const TEXT_CHARACTERS_MAX: usize = 500;

/// The hash of the empty log.
pub const GENESIS: &str = "onerouter-index-v1";

const LINK: &[u8] = b"onerouter-index-entry-v1\0";

/// Something that the registry did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub event: Event,
}

/// What it did.
///
/// A kind that a program does not know is an error, not skipped: it may be one that takes trust
/// away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// From now on this key may publish under the name.
    KeyAdded {
        /// The name.
        name: PluginId,
        /// The key.
        key: PublicKey,
    },
    /// From now on it may not, and what it has signed before no longer counts.
    KeyRevoked {
        /// The name.
        name: PluginId,
        /// The key.
        key: KeyId,
        /// Why.
        reason: String,
    },
    /// A version was published.
    Published {
        /// The plugin.
        name: PluginId,
        /// The version.
        version: Version,
        /// The component's bytes.
        component: Digest,
        /// The OCI manifest under which the registry keeps them.
        manifest: Digest,
        /// The signed statement, as it stands in a `.sig` file.
        statement: String,
    },
    /// A version should no longer be chosen.
    Yanked {
        /// The plugin.
        name: PluginId,
        /// The version.
        version: Version,
        /// Why.
        reason: String,
    },
    /// It may be chosen again.
    Unyanked {
        /// The plugin.
        name: PluginId,
        /// The version.
        version: Version,
    },
    /// Something that who runs certain versions must know.
    Advisory {
        /// The plugin.
        name: PluginId,
        /// Unique in the registry.
        id: String,
        /// Which versions.
        affected: VersionReq,
        /// What it is about.
        summary: String,
        /// Where more is said.
        url: Option<String>,
    },
}

impl Entry {
    /// Reads one entry.
    ///
    /// # Errors
    /// It is too long, of an unknown kind, or no entry at all.
    pub fn parse(text: &str) -> Result<Self, ViewError> {
        if text.len() > ENTRY_BYTES_MAX {
            return Err(ViewError::TooLarge(text.len()));
        }
        serde_json::from_str(text).map_err(|error| ViewError::Syntax(error.to_string()))
    }

    /// The text that is hashed and kept.
    ///
    /// # Errors
    /// It is too long.
    pub fn to_text(&self) -> Result<String, ViewError> {
        let text =
            serde_json::to_string(self).map_err(|error| ViewError::Syntax(error.to_string()))?;
        if text.len() > ENTRY_BYTES_MAX {
            return Err(ViewError::TooLarge(text.len()));
        }
        Ok(text)
    }
}

/// The hash of a log after one more entry; before the first it is that of [`GENESIS`].
#[must_use]
pub fn chain(before: Option<Digest>, entry: &str) -> Digest {
    let before = before.unwrap_or_else(|| Digest::of(GENESIS.as_bytes()));
    Digest::of_parts(&[LINK, before.as_bytes(), entry.as_bytes()])
}
