//! The providers of master keys that a configuration asks for.

use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::keyfile::{self, KeyFileError};
use crate::vault::hashicorp;
use crate::vault::key_provider::{KeyProvider, KeyProviders};
use crate::vault::master_key::{MasterKey, MasterKeys};

/// Why data keys cannot be wrapped.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A generated key.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// HashiCorp Vault.
    #[cfg(feature = "hashicorp-vault")]
    #[error("cannot use HashiCorp Vault")]
    HashicorpVault(#[from] hashicorp::ClientError),
    /// The configuration refuses it before.
    #[cfg(not(feature = "hashicorp-vault"))]
    #[error("this program was built without HashiCorp Vault")]
    WithoutHashicorpVault,
}

/// What wraps data keys, and what else unwraps them. Nobody is asked yet.
///
/// # Errors
/// A key file or a certificate cannot be used.
pub fn key_providers(config: &Config) -> Result<KeyProviders, KeysError> {
    let masters = config.master_keys.clone();
    match &config.hashicorp_vault {
        Some(settings) if settings.keys.wraps() => {
            let providers = KeyProviders::new(transit(settings)?);
            Ok(match masters {
                Some(masters) => providers.and(Arc::new(masters)),
                None => providers,
            })
        }
        Some(settings) => {
            let masters = masters.map_or_else(|| generated(&config.data_dir), Ok)?;
            Ok(KeyProviders::from(masters).and(transit(settings)?))
        }
        None => Ok(masters
            .map_or_else(|| generated(&config.data_dir), Ok)?
            .into()),
    }
}

#[cfg(feature = "hashicorp-vault")]
fn transit(settings: &hashicorp::Settings) -> Result<Arc<dyn KeyProvider>, KeysError> {
    Ok(Arc::new(hashicorp::Transit::new(settings.clone())?))
}

#[cfg(not(feature = "hashicorp-vault"))]
fn transit(_: &hashicorp::Settings) -> Result<Arc<dyn KeyProvider>, KeysError> {
    Err(KeysError::WithoutHashicorpVault)
}

fn generated(data_dir: &Path) -> Result<MasterKeys, KeyFileError> {
    let path = data_dir.join("encryption.key");
    let text = keyfile::read_or_generate(&path)?;
    match MasterKey::parse(&text) {
        Ok(master) => Ok(MasterKeys::single(master)),
        Err(_not_a_key) => Err(KeyFileError::Damaged { path }),
    }
}
