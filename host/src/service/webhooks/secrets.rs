//! What an endpoint's deliveries are signed and sent with: made, sealed for the database, opened again.
//!
//! The forms are those of Standard Webhooks: `whsec_` and the base64 of a shared key, or `whpk_` and the
//! base64 of a public one.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId, WebhookEndpointId};
use rand::TryRng as _;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret as _, SecretBox};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::vault::{SecretPlace, Vault, VaultError};

/// Bytes of a shared key, and of the seed of a private one.
pub const KEY_BYTES: usize = 32;
/// The vault's name for what is sealed of an endpoint.
const SEALED_FIELD: &str = "webhook_endpoint";
/// The same for an answer in which a secret stands, while it is kept under an idempotency key.
const ANSWER_FIELD: &str = "webhook_endpoint_answer";

/// How deliveries are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigningKind {
    /// HMAC-SHA256 with a shared key: `v1`.
    Hmac,
    /// Ed25519 with a private key that only we have: `v1a`.
    Ed25519,
}

impl SigningKind {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// The text names no way to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be hmac or ed25519")]
pub struct ParseSigningKindError;

impl FromStr for SigningKind {
    type Err = ParseSigningKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Hmac, Self::Ed25519]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(ParseSigningKindError)
    }
}

/// One key that deliveries are signed with.
#[derive(Debug)]
pub struct SigningSecret {
    /// How it signs.
    pub kind: SigningKind,
    /// The shared key, or the seed of the private one.
    pub key: SecretBox<[u8; KEY_BYTES]>,
    /// From when on it signs no more; none for the one that was made last.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What an endpoint's deliveries are signed and sent with.
pub struct EndpointSecrets {
    /// Newest first; a delivery is signed with each that has not expired.
    pub signing: Vec<SigningSecret>,
    /// The tenant's own headers, in the order in which they were given.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for EndpointSecrets {
    /// Without the headers' values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSecrets")
            .field("signing", &self.signing)
            .finish_non_exhaustive()
    }
}

/// Why secrets were not made, sealed or opened. Never holds any of them.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// What was sealed is not what this version writes.
    #[error("the secrets of a webhook endpoint are unreadable")]
    Unreadable,
    /// The vault failed.
    #[error("cannot use the vault")]
    Vault(#[from] VaultError),
}

/// Whose secrets they are: what they are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointPlace {
    /// Whose.
    pub tenant: TenantId,
    /// In which environment.
    pub environment: Environment,
    /// Of which endpoint.
    pub endpoint: WebhookEndpointId,
}

impl EndpointPlace {
    /// The vault's places are named for connections; what is sealed for an endpoint has its id there, and
    /// a field that no connection has.
    const fn in_vault(self, field: &'static str) -> SecretPlace<'static> {
        SecretPlace {
            tenant: self.tenant,
            environment: self.environment,
            connection: ConnectionId::from_uuid(self.endpoint.uuid()),
            field,
        }
    }

    /// Encrypts an answer that shows a secret. Hold no transaction while calling.
    pub(super) async fn seal_answer(
        self,
        vault: &Vault,
        answer: &[u8],
    ) -> Result<Vec<u8>, SecretsError> {
        Ok(vault.encrypt(&self.in_vault(ANSWER_FIELD), answer).await?)
    }

    /// Decrypts what [`EndpointPlace::seal_answer`] gave.
    pub(super) async fn open_answer(
        self,
        vault: &Vault,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        Ok(vault.decrypt(&self.in_vault(ANSWER_FIELD), sealed).await?)
    }
}

impl SigningSecret {
    /// A new one.
    ///
    /// # Errors
    /// [`SecretsError::Random`].
    pub fn generate(kind: SigningKind) -> Result<Self, SecretsError> {
        let mut key = Box::new([0; KEY_BYTES]);
        SysRng
            .try_fill_bytes(key.as_mut_slice())
            .or(Err(SecretsError::Random))?;
        Ok(Self {
            kind,
            key: SecretBox::new(key),
            expires_at: None,
        })
    }

    /// Whether deliveries are signed with it at this time.
    #[must_use]
    pub fn is_in_use(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|expires| expires > now)
    }

    /// What a consumer verifies with: `whsec_…`, a secret, or `whpk_…`, which is none.
    #[must_use]
    pub fn verifier(&self) -> Zeroizing<String> {
        let key = self.key.expose_secret();
        match self.kind {
            SigningKind::Hmac => Zeroizing::new(format!("whsec_{}", STANDARD.encode(key))),
            SigningKind::Ed25519 => {
                // Only a seed that is too short is refused.
                let pair = Ed25519KeyPair::from_seed_unchecked(key).ok();
                let public = pair
                    .as_ref()
                    .map_or(&[][..], |pair| pair.public_key().as_ref());
                Zeroizing::new(format!("whpk_{}", STANDARD.encode(public)))
            }
        }
    }
}

impl EndpointSecrets {
    /// The secrets that deliveries are signed with at this time, newest first.
    pub fn in_use(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SigningSecret> {
        self.signing.iter().filter(move |one| one.is_in_use(now))
    }

    /// Encrypts them for their place. Hold no transaction while calling.
    ///
    /// # Errors
    /// The vault cannot be used.
    pub async fn seal(&self, vault: &Vault, place: EndpointPlace) -> Result<Vec<u8>, SecretsError> {
        let plain = Zeroizing::new(serde_json::to_vec(&Written::of(self)).unwrap_or_default());
        Ok(vault.encrypt(&place.in_vault(SEALED_FIELD), &plain).await?)
    }

    /// Decrypts what [`EndpointSecrets::seal`] gave for the same place. Hold no transaction while calling.
    ///
    /// # Errors
    /// The vault cannot be used, or what it gives is of another version.
    pub async fn open(
        vault: &Vault,
        place: EndpointPlace,
        sealed: &[u8],
    ) -> Result<Self, SecretsError> {
        let plain = vault.decrypt(&place.in_vault(SEALED_FIELD), sealed).await?;
        let written: Written = serde_json::from_slice(&plain).or(Err(SecretsError::Unreadable))?;
        written.read().ok_or(SecretsError::Unreadable)
    }
}

/// The JSON that is sealed.
#[derive(Serialize, Deserialize)]
struct Written {
    signing: Vec<WrittenSecret>,
    headers: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct WrittenSecret {
    kind: SigningKind,
    /// Base64.
    key: String,
    expires_at: Option<DateTime<Utc>>,
}

impl Drop for WrittenSecret {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Written {
    fn of(secrets: &EndpointSecrets) -> Self {
        let written = secrets.signing.iter().map(|secret| WrittenSecret {
            kind: secret.kind,
            key: STANDARD.encode(secret.key.expose_secret()),
            expires_at: secret.expires_at,
        });
        Self {
            signing: written.collect(),
            headers: secrets.headers.clone(),
        }
    }

    fn read(self) -> Option<EndpointSecrets> {
        let read = self.signing.into_iter().map(|written| {
            let key = Zeroizing::new(STANDARD.decode(&written.key).ok()?);
            let mut boxed = Box::new([0; KEY_BYTES]);
            let fits = key.len() == KEY_BYTES;
            boxed.copy_from_slice(fits.then_some(&key)?);
            Some(SigningSecret {
                kind: written.kind,
                key: SecretBox::new(boxed),
                expires_at: written.expires_at,
            })
        });
        Some(EndpointSecrets {
            signing: read.collect::<Option<_>>()?,
            headers: self.headers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_it_was() {
        let mut secrets = EndpointSecrets {
            signing: vec![
                SigningSecret::generate(SigningKind::Hmac).unwrap(),
                SigningSecret::generate(SigningKind::Ed25519).unwrap(),
            ],
            headers: vec![("X-Key".to_owned(), "hunter2".to_owned())],
        };
        secrets.signing[1].expires_at = DateTime::from_timestamp(1_800_000_000, 0);
        let shown = |secrets: &EndpointSecrets| {
            let of = |one: &SigningSecret| (one.kind, one.verifier().to_string(), one.expires_at);
            secrets.signing.iter().map(of).collect::<Vec<_>>()
        };
        let read = Written::of(&secrets).read().unwrap();
        assert_eq!(shown(&read), shown(&secrets));
        assert_eq!(read.headers, secrets.headers);
        assert!(!format!("{read:?}").contains("hunter2"));
        let after = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(read.in_use(after).count(), 1);
    }

    /// The seed 0, 1, … 31 and its public key, computed by two other implementations.
    #[test]
    fn a_seed_has_its_public_key() {
        let mut seed = Box::new([0; KEY_BYTES]);
        for (place, byte) in (0..).zip(seed.iter_mut()) {
            *byte = place;
        }
        let secret = SigningSecret {
            kind: SigningKind::Ed25519,
            key: SecretBox::new(seed),
            expires_at: None,
        };
        assert_eq!(
            secret.verifier().as_str(),
            "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
        );
    }
}
