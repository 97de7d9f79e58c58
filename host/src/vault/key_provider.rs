//! Who wraps data keys: a trait, and all that are configured.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::TenantId;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::VaultError;
use super::hashicorp::TransitKeyId;
use super::master_key::MasterKeys;

/// Bytes of a data key, and of a master key.
pub const KEY_BYTES: usize = 32;
/// Starts what a wrapped data key is bound to.
const LABEL: &[u8] = b"onerouter data key";
/// Of the form of what it is bound to.
const VERSION: u8 = 1;

/// A data key, in the open.
pub type DataKeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// What a provider gives, once it has.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, VaultError>>;

/// Whose a data key is, and which: what its wrapping is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataKeyPlace {
    /// Whose secrets it encrypts.
    pub tenant: TenantId,
    /// In which environment.
    pub environment: Environment,
    /// Its id.
    pub id: Uuid,
}

impl DataKeyPlace {
    /// The same for no other place: only the last part varies in length.
    #[must_use]
    pub fn associated_data(&self) -> Vec<u8> {
        [
            LABEL,
            &[VERSION],
            self.id.as_bytes(),
            self.tenant.uuid().as_bytes(),
            self.environment.as_str().as_bytes(),
        ]
        .concat()
    }
}

/// A data key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedDataKey {
    /// The id of the key that wraps it.
    pub key_id: String,
    /// What [`KeyProvider::unwrap`] takes, with the same place.
    pub bytes: Vec<u8>,
}

/// Wraps data keys by keys that it alone holds.
///
/// It is asked for each data key once, and again when the vault has forgotten it: never on a request
/// whose data key is in memory.
pub trait KeyProvider: fmt::Debug + Send + Sync {
    /// The id of the key that wraps in an environment now. May be shown.
    fn wrapping_key_id(&self, environment: Environment) -> Answer<'_, String>;

    /// Whether the key of this id is one of its own.
    fn knows(&self, key_id: &str) -> bool;

    /// Encrypts a data key, bound to its place.
    fn wrap<'a>(
        &'a self,
        place: &'a DataKeyPlace,
        key: &'a DataKeyBytes,
    ) -> Answer<'a, WrappedDataKey>;

    /// Decrypts what [`KeyProvider::wrap`] gave for the same place.
    fn unwrap<'a>(
        &'a self,
        place: &'a DataKeyPlace,
        wrapped: &'a WrappedDataKey,
    ) -> Answer<'a, DataKeyBytes>;

    /// Its keys, for people who look for one that is missing.
    fn describe(&self) -> String;
}

/// The providers that are configured: one wraps, all unwrap.
#[derive(Debug, Clone)]
pub struct KeyProviders {
    current: Arc<dyn KeyProvider>,
    /// What data keys are moved away from.
    others: Vec<Arc<dyn KeyProvider>>,
}

impl KeyProviders {
    /// One that wraps and unwraps.
    #[must_use]
    pub fn new(current: Arc<dyn KeyProvider>) -> Self {
        Self {
            current,
            others: Vec::new(),
        }
    }

    /// With another one that only unwraps.
    #[must_use]
    pub fn and(mut self, other: Arc<dyn KeyProvider>) -> Self {
        self.others.push(other);
        self
    }

    /// The id of the key that wraps in an environment now.
    pub(super) async fn wrapping_key_id(
        &self,
        environment: Environment,
    ) -> Result<String, VaultError> {
        self.current.wrapping_key_id(environment).await
    }

    pub(super) async fn wrap(
        &self,
        place: &DataKeyPlace,
        key: &DataKeyBytes,
    ) -> Result<WrappedDataKey, VaultError> {
        self.current.wrap(place, key).await
    }

    pub(super) async fn unwrap(
        &self,
        place: &DataKeyPlace,
        wrapped: &WrappedDataKey,
    ) -> Result<DataKeyBytes, VaultError> {
        let provider = self
            .all()
            .find(|provider| provider.knows(&wrapped.key_id))
            .ok_or_else(|| VaultError::UnknownMasterKey {
                id: place.id,
                master_key_id: wrapped.key_id.clone(),
                configured: self.describe(),
                mend: how_to_configure(&wrapped.key_id),
            })?;
        provider.unwrap(place, wrapped).await
    }

    fn describe(&self) -> String {
        let all: Vec<String> = self.all().map(|provider| provider.describe()).collect();
        all.join(", ")
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn KeyProvider>> {
        std::iter::once(&self.current).chain(&self.others)
    }
}

impl From<MasterKeys> for KeyProviders {
    fn from(masters: MasterKeys) -> Self {
        Self::new(Arc::new(masters))
    }
}

/// Which setting makes the key of an id known.
pub(super) fn how_to_configure(key_id: &str) -> String {
    match TransitKeyId::parse(key_id) {
        Some(id) => format!("set ONEROUTER_VAULT_KEY_PREVIOUS to {}", id.name),
        None => "set it as ENCRYPTION_KEY or ENCRYPTION_KEY_PREVIOUS".to_owned(),
    }
}
