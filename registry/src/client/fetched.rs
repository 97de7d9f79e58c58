//! What was got.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onerouter_manifest::{Capability, Manifest, PluginId, unpack};
use semver::Version;
use url::Url;

use super::{FetchError, OciReference};
use crate::digest::Digest;
use crate::index::{Advisory, Index};
use crate::trust::Trust;
use crate::verify::{Check, Listing, Verified, VerifyError, verify};

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that have come.
    pub received: u64,
    /// Bytes that will have come.
    pub total: u64,
}

/// Where a plugin came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// One of our registries, by way of its index.
    Registry {
        /// Its address.
        registry: Url,
        /// The image.
        image: Digest,
    },
    /// Some OCI registry.
    Oci {
        /// What was asked for.
        reference: OciReference,
        /// The image that it was.
        image: Digest,
    },
    /// A file.
    File(PathBuf),
    /// A bundle.
    Bundle {
        /// Its folder.
        folder: PathBuf,
        /// The image.
        image: Digest,
    },
}

/// A plugin: the right bytes, of the right shape. Whether to believe it is another question.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The component.
    pub component: Bytes,
    /// Its digest, computed here.
    pub digest: Digest,
    /// What it says about itself; held against its real imports and exports.
    pub manifest: Manifest,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// The signed statement that came with it, as it stands in a `.sig` file.
    pub statement: Option<Vec<u8>>,
    /// Where it came from.
    pub origin: Origin,
    /// What the index says should be known about this version.
    pub advisories: Vec<Advisory>,
    /// The index that came along in a bundle and chose it, where it goes on from the one that was
    /// known: to be kept in its place.
    pub newer_index: Option<Arc<Index>>,
}

impl Fetched {
    pub(super) async fn of(
        component: Bytes,
        statement: Option<Vec<u8>>,
        origin: Origin,
    ) -> Result<Self, FetchError> {
        let bytes = component.clone();
        let read = tokio::task::spawn_blocking(move || (Digest::of(&bytes), unpack(&bytes))).await;
        let (digest, unpacked) = read.map_err(FetchError::stopped)?;
        let unpacked = unpacked?;
        Ok(Self {
            component,
            digest,
            manifest: unpacked.manifest,
            capabilities: unpacked.capabilities,
            statement,
            origin,
            advisories: Vec::new(),
            newer_index: None,
        })
    }

    /// It must be this version of this plugin.
    pub(super) fn named(self, name: &PluginId, version: &Version) -> Result<Self, FetchError> {
        if self.manifest.id == *name && self.manifest.version == *version {
            return Ok(self);
        }
        Err(self.mislabelled(format!("{name} {version}")))
    }

    /// If its tag is a version, it must be that one.
    pub(super) fn tagged(self, tag: &str) -> Result<Self, FetchError> {
        match Version::parse(tag) {
            Ok(version) if version != self.manifest.version => {
                Err(self.mislabelled(format!("version {version}")))
            }
            Ok(_) | Err(_) => Ok(self),
        }
    }

    fn mislabelled(self, wanted: String) -> FetchError {
        FetchError::Mislabelled {
            wanted,
            name: self.manifest.id,
            version: self.manifest.version,
        }
    }

    pub(super) fn with_advisories(mut self, advisories: Vec<Advisory>) -> Self {
        self.advisories = advisories;
        self
    }

    pub(super) fn with_newer_index(mut self, index: Option<Arc<Index>>) -> Self {
        self.newer_index = index;
        self
    }

    /// Whether its publisher stands by it, and may.
    ///
    /// Where an index came along that goes on from the known one, a key that must be listed must be
    /// listed in that, and be revoked in neither.
    ///
    /// # Errors
    /// Something does not hold; see [`verify`].
    pub fn verify(
        &self,
        now: DateTime<Utc>,
        listed: Listing<'_>,
        trust: &Trust,
    ) -> Result<Verified, VerifyError> {
        if let (Some(newer), Listing::Required(known)) = (&self.newer_index, listed) {
            self.held_against(now, Listing::RevocationsOnly(known), trust)?;
            return self.held_against(now, Listing::Required(newer.view()), trust);
        }
        self.held_against(now, listed, trust)
    }

    fn held_against(
        &self,
        now: DateTime<Utc>,
        listed: Listing<'_>,
        trust: &Trust,
    ) -> Result<Verified, VerifyError> {
        let statement = self
            .statement
            .as_deref()
            .ok_or_else(|| VerifyError::Unsigned {
                name: self.manifest.id.clone(),
            })?;
        let check = Check {
            component: self.digest,
            manifest: &self.manifest,
            now,
            listed,
            trust,
        };
        verify(statement, &check)
    }
}
