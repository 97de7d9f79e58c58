//! The providers of master keys that a configuration asks for.

use std::path::Path;

use crate::config::Config;
use crate::keyfile::{self, KeyFileError};
use crate::vault::key_provider::KeyProviders;
use crate::vault::master_key::{MasterKey, MasterKeys};

/// What wraps data keys, and what else unwraps them.
///
/// # Errors
/// A key file cannot be used.
pub fn key_providers(config: &Config) -> Result<KeyProviders, KeyFileError> {
    let masters = config.master_keys.clone();
    Ok(masters
        .map_or_else(|| generated(&config.data_dir), Ok)?
        .into())
}

fn generated(data_dir: &Path) -> Result<MasterKeys, KeyFileError> {
    let path = data_dir.join("encryption.key");
    let text = keyfile::read_or_generate(&path)?;
    match MasterKey::parse(&text) {
        Ok(master) => Ok(MasterKeys::single(master)),
        Err(_not_a_key) => Err(KeyFileError::Damaged { path }),
    }
}
