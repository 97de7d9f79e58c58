//! What the registry signs: how far its log goes, and when it said so.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::IndexError;
use crate::digest::Digest;
use crate::envelope::Envelope;
use crate::keys::{KeyPair, PublicKey};

/// Media type of a head.
pub const HEAD_TYPE: &str = "application/vnd.onerouter.index-head.v1+json";

/// A signed head has some 500 bytes.
pub const HEAD_BYTES_MAX: usize = 4 << 10;

/// The end of the log at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// How many entries there are.
    pub size: u64,
    /// The hash after the last one.
    pub hash: Digest,
    /// When that was so.
    pub time: DateTime<Utc>,
    /// When a newer head must have come.
    pub expires: DateTime<Utc>,
}

impl Head {
    /// Signs it.
    #[must_use]
    pub fn sign(&self, key: &KeyPair) -> Envelope {
        // Numbers and texts only: there is nothing that JSON could not hold.
        Envelope::sign(HEAD_TYPE, serde_json::to_vec(self).unwrap_or_default(), key)
    }
}

/// A head whose signature is the registry's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    envelope: Envelope,
    head: Head,
}

impl SignedHead {
    /// Reads a head and checks who signed it. Whether it is new is for [`super::Index`] to say.
    ///
    /// # Errors
    /// It is none, or another key's.
    pub fn open(json: &[u8], registry: &PublicKey) -> Result<Self, IndexError> {
        let envelope = Envelope::parse(json, HEAD_TYPE, HEAD_BYTES_MAX)?;
        let payload = envelope
            .verified_by(registry)
            .map_err(|wrong| IndexError::WrongSignature { key: wrong.0 })?;
        let head = serde_json::from_slice(payload)
            .map_err(|error| IndexError::Syntax(error.to_string()))?;
        Ok(Self { envelope, head })
    }

    /// What it says.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// It as it was signed.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        self.envelope.to_json()
    }
}
