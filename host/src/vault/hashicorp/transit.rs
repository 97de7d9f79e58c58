//! The transit engine as a provider: `encrypt`, `decrypt`, and what version a key has.
//!
//! A wrapped data key is the engine's own text, `vault:v3:…`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use onerouter_domain::environment::Environment;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::client::{Client, ClientError, Operation};
use super::{Settings, TransitKeyId};
use crate::vault::VaultError;
use crate::vault::key_provider::{Answer, DataKeyBytes, DataKeyPlace, KeyProvider, WrappedDataKey};

/// Of a wrapped data key, which has about 100.
const WRAPPED_BYTES_MAX: usize = 1024;
/// Bound to nothing that exists.
const ANOTHER_PLACE: &[u8] = b"onerouter: another place";

/// Data keys wrapped by HashiCorp Vault's transit engine.
#[derive(Debug)]
pub struct Transit {
    client: Client,
    /// Whether the engine has shown that it refuses what was encrypted for another place.
    is_binding: AtomicBool,
}

#[derive(Serialize)]
struct Encrypt<'a> {
    plaintext: &'a str,
    associated_data: &'a str,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Serialize)]
struct Decrypt<'a> {
    ciphertext: &'a str,
    associated_data: &'a str,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: String,
}

#[derive(Deserialize)]
struct Described {
    latest_version: u64,
}

impl Transit {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// The certificates of `VAULT_CACERT` cannot be read.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        Ok(Self {
            client: Client::new(settings)?,
            is_binding: AtomicBool::new(false),
        })
    }

    /// Whatever wraps in this environment; only asked where something does.
    fn wrapping_key(&self, environment: Environment) -> Result<&str, ClientError> {
        let keys = &self.client.settings().keys;
        keys.for_environment(environment)
            .ok_or(ClientError::NoKey { environment })
    }

    async fn latest(&self, environment: Environment) -> Result<String, ClientError> {
        let name = self.wrapping_key(environment)?;
        let described: Described = self
            .client
            .ask(Operation::Describe, name, None::<&()>)
            .await?;
        let version = described.latest_version;
        Ok(TransitKeyId { name, version }.to_string())
    }

    async fn encrypt(
        &self,
        place: &DataKeyPlace,
        key: &DataKeyBytes,
    ) -> Result<WrappedDataKey, ClientError> {
        let name = self.wrapping_key(place.environment)?;
        let plaintext = Zeroizing::new(STANDARD.encode(key.as_slice()));
        let body = Encrypt {
            plaintext: &plaintext,
            associated_data: &STANDARD.encode(place.associated_data()),
        };
        let encrypted: Encrypted = self
            .client
            .ask(Operation::Encrypt, name, Some(&body))
            .await?;
        let version = version_of(&encrypted.ciphertext).ok_or(ClientError::Malformed {
            what: "no ciphertext of its form",
        })?;
        if !self.is_binding.load(Ordering::Relaxed) {
            self.prove_binding(name, &encrypted.ciphertext).await?;
            self.is_binding.store(true, Ordering::Relaxed);
        }
        Ok(WrappedDataKey {
            key_id: TransitKeyId { name, version }.to_string(),
            bytes: encrypted.ciphertext.into_bytes(),
        })
    }

    /// A server before 1.13 takes no notice of `associated_data`, and would open the data key of one
    /// tenant as another's.
    async fn prove_binding(&self, name: &str, ciphertext: &str) -> Result<(), ClientError> {
        let elsewhere = self.decrypt_bound_to(name, ciphertext, ANOTHER_PLACE).await;
        match elsewhere {
            Err(ClientError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_opened) => Err(ClientError::Unbound),
        }
    }

    async fn decrypt(
        &self,
        place: &DataKeyPlace,
        wrapped: &WrappedDataKey,
    ) -> Result<DataKeyBytes, ClientError> {
        let id = TransitKeyId::parse(&wrapped.key_id);
        let text = std::str::from_utf8(&wrapped.bytes).ok();
        // The id and the engine's own text have to agree.
        let agrees = |text: &&str| version_of(text) == id.map(|id| id.version);
        let (Some(id), Some(text)) = (id, text.filter(agrees)) else {
            return Err(ClientError::Row);
        };
        self.decrypt_bound_to(id.name, text, &place.associated_data())
            .await
    }

    async fn decrypt_bound_to(
        &self,
        name: &str,
        ciphertext: &str,
        associated_data: &[u8],
    ) -> Result<DataKeyBytes, ClientError> {
        let body = Decrypt {
            ciphertext,
            associated_data: &STANDARD.encode(associated_data),
        };
        let decrypted: Decrypted = self
            .client
            .ask(Operation::Decrypt, name, Some(&body))
            .await?;
        let text = Zeroizing::new(decrypted.plaintext);
        let bytes = STANDARD.decode(text.as_bytes()).ok().map(Zeroizing::new);
        bytes
            .and_then(|bytes| bytes.as_slice().try_into().ok())
            .map(Zeroizing::new)
            .ok_or(ClientError::Malformed {
                what: "a data key of another length",
            })
    }
}

impl KeyProvider for Transit {
    fn wrapping_key_id(&self, environment: Environment) -> Answer<'_, String> {
        async move { self.latest(environment).await.map_err(failed) }.boxed()
    }

    fn knows(&self, key_id: &str) -> bool {
        let keys = &self.client.settings().keys;
        TransitKeyId::parse(key_id).is_some_and(|id| keys.all().any(|name| name == id.name))
    }

    fn wrap<'a>(
        &'a self,
        place: &'a DataKeyPlace,
        key: &'a DataKeyBytes,
    ) -> Answer<'a, WrappedDataKey> {
        async move { self.encrypt(place, key).await.map_err(failed) }.boxed()
    }

    fn unwrap<'a>(
        &'a self,
        place: &'a DataKeyPlace,
        wrapped: &'a WrappedDataKey,
    ) -> Answer<'a, DataKeyBytes> {
        async move { self.decrypt(place, wrapped).await.map_err(failed) }.boxed()
    }

    fn describe(&self) -> String {
        let keys = self.client.settings().keys.all();
        let names: Vec<String> = keys
            .map(|name| format!("{}{name}", super::ID_PREFIX))
            .collect();
        names.join(", ")
    }
}

fn failed(error: ClientError) -> VaultError {
    if error.is_temporary() {
        VaultError::ProviderUnavailable(Arc::new(error))
    } else {
        VaultError::Provider(Arc::new(error))
    }
}

/// `vault:v3:…`
fn version_of(ciphertext: &str) -> Option<u64> {
    let (version, sealed) = ciphertext.strip_prefix("vault:v")?.split_once(':')?;
    let is_sound = !sealed.is_empty() && ciphertext.len() <= WRAPPED_BYTES_MAX;
    version.parse().ok().filter(|_| is_sound)
}
