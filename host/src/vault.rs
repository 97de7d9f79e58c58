//! Secrets at rest: envelope encryption.
//!
//! Each tenant has a random data key per environment. It encrypts the tenant's secrets and is itself
//! stored encrypted ("wrapped") by a master key, which only the configuration knows. Changing the
//! master key therefore rewrites one small row per tenant and environment, and no secret.
//!
//! Every ciphertext is bound to its place: tenant, environment, connection and field. Moved
//! anywhere else, it does not open.
//!
//! - [`key_provider`]: who wraps data keys, a trait
//! - [`master_key`]: master keys and their ids, the provider of this process
//! - [`hashicorp`]: HashiCorp Vault's transit engine, the provider on another machine
//! - `envelope`: the bytes of a ciphertext, and what it is bound to
//! - `inspection`: what wraps the stored data keys, and whether it opens them
//! - `rotation`: wrapping every data key under the current master key

mod envelope;
pub mod hashicorp;
mod inspection;
pub mod key_provider;
pub mod master_key;
mod rotation;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use moka::future::Cache;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_domain::time;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::store::{DataKeyRow, Store, StoreError};
use envelope::DataKey;
use key_provider::{DataKeyBytes, DataKeyPlace, KEY_BYTES, KeyProviders, WrappedDataKey};

pub use inspection::KeyUse;
pub use rotation::Rotation;

/// Data keys that are kept unwrapped in memory: the tenants of a busy node, at some 1 KiB each.
const CACHED_KEYS_MAX: u64 = 10_000;
/// How long one is kept. Bounds what a look into memory finds, and costs one query.
const CACHED_KEY_LIFETIME: Duration = Duration::from_secs(300);

/// Where a secret belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretPlace<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// In which environment.
    pub environment: Environment,
    /// Of which connection.
    pub connection: ConnectionId,
    /// In which field.
    pub field: &'a str,
}

/// Why a secret was not encrypted or decrypted. Never holds any of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    /// The store failed.
    #[error("cannot reach the data key")]
    Store(#[source] Arc<StoreError>),
    /// There is no such tenant, or none any more.
    #[error("the tenant was deleted")]
    TenantGone,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// Not the form of a ciphertext.
    #[error("not a ciphertext of this vault")]
    Malformed,
    /// The ciphertext was changed, or written for another place.
    #[error("the ciphertext was changed or belongs to another place")]
    Refused,
    /// The tenant has no such data key.
    #[error("there is no data key {id} in this place")]
    UnknownDataKey {
        /// Its id.
        id: Uuid,
    },
    /// The data key is wrapped by a master key that is not configured.
    #[error(
        "data key {id} is wrapped by master key {master_key_id}, which is not configured \
         (configured: {configured}); {mend}"
    )]
    UnknownMasterKey {
        /// The data key's id.
        id: Uuid,
        /// The master key's.
        master_key_id: String,
        /// The ids of those that are configured.
        configured: String,
        /// What to set.
        mend: String,
    },
    /// The data key's row was changed, or belongs to another tenant or environment.
    #[error("data key {id} was changed or belongs to another place")]
    DataKeyRefused {
        /// Its id.
        id: Uuid,
    },
    /// Whoever wraps data keys cannot be asked now; later it may.
    #[error("the key provider cannot be asked now")]
    ProviderUnavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// Whoever wraps data keys did not do it, and will not without a change.
    #[error("the key provider failed")]
    Provider(#[source] Arc<dyn Error + Send + Sync>),
    /// A rotation left some behind.
    #[error("{count} data key(s) were not wrapped anew, all others were")]
    LeftBehind {
        /// How many.
        count: u64,
        /// Why the first of them was.
        #[source]
        first: Box<Self>,
    },
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// Encrypts and decrypts tenants' secrets. Clones share their memory of data keys.
#[derive(Clone)]
pub struct Vault {
    store: Store,
    keys: KeyProviders,
    /// Those that new secrets are encrypted with.
    active: Cache<(TenantId, Environment), Arc<DataKey>>,
    /// The tenant stands in the key, so that a ciphertext never finds another tenant's data key.
    unwrapped: Cache<(TenantId, Environment, Uuid), Arc<DataKey>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// A vault whose data keys are in `store`.
    #[must_use]
    pub fn new(keys: impl Into<KeyProviders>, store: Store) -> Self {
        Self {
            store,
            keys: keys.into(),
            active: Cache::builder()
                .max_capacity(CACHED_KEYS_MAX)
                .time_to_live(CACHED_KEY_LIFETIME)
                .build(),
            unwrapped: Cache::builder()
                .max_capacity(CACHED_KEYS_MAX)
                .time_to_live(CACHED_KEY_LIFETIME)
                .build(),
        }
    }

    /// Encrypts a secret for its place. The tenant's first secret in an environment makes its data
    /// key, in a transaction of its own: hold none while calling.
    ///
    /// # Errors
    /// The data key cannot be read or made.
    pub async fn encrypt(
        &self,
        place: &SecretPlace<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let key = self
            .active
            .try_get_with(
                (place.tenant, place.environment),
                self.load_active(place.tenant, place.environment),
            )
            .await
            .map_err(Arc::unwrap_or_clone)?;
        key.encrypt(place, plaintext)
    }

    /// Decrypts what [`Vault::encrypt`] gave for the same place.
    ///
    /// # Errors
    /// [`VaultError::Refused`], [`VaultError::UnknownDataKey`]: it was changed or belongs elsewhere.
    /// [`VaultError::UnknownMasterKey`]: the configuration lacks the master key.
    pub async fn decrypt(
        &self,
        place: &SecretPlace<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let id = envelope::data_key_id(ciphertext)?;
        let key = self
            .unwrapped
            .try_get_with((place.tenant, place.environment, id), self.load(place, id))
            .await
            .map_err(Arc::unwrap_or_clone)?;
        key.decrypt(place, ciphertext)
    }

    async fn load(&self, place: &SecretPlace<'_>, id: Uuid) -> Result<Arc<DataKey>, VaultError> {
        let mut tx = self.store.begin_read(place.tenant).await?;
        let row = tx.find_data_key(id).await?;
        tx.commit().await?;
        let row = row
            .filter(|row| row.environment == place.environment)
            .ok_or(VaultError::UnknownDataKey { id })?;
        self.unwrap(row).await
    }

    async fn load_active(
        &self,
        tenant: TenantId,
        environment: Environment,
    ) -> Result<Arc<DataKey>, VaultError> {
        let mut tx = self.store.begin_read(tenant).await?;
        let row = tx.find_active_data_key(environment).await?;
        tx.commit().await?;
        match row {
            Some(row) => self.unwrap(row).await,
            None => self.create(tenant, environment).await,
        }
    }

    /// Of all who make the first data key at the same time, one's is kept and used by all.
    async fn create(
        &self,
        tenant: TenantId,
        environment: Environment,
    ) -> Result<Arc<DataKey>, VaultError> {
        let id = Uuid::now_v7();
        let place = DataKeyPlace {
            tenant,
            environment,
            id,
        };
        let wrapped = self
            .keys
            .wrap(&place, &envelope::random::<KEY_BYTES>()?)
            .await?;
        let row = DataKeyRow {
            id,
            tenant_id: tenant,
            environment,
            master_key_id: wrapped.key_id,
            wrapped: wrapped.bytes,
            // For people who look at the table; nothing is decided by it.
            created_at: time::cut(Utc::now()),
            retired_at: None,
        };
        let mut tx = self.store.begin(tenant).await?;
        // What is still being done for a tenant that was deleted makes nothing anew.
        if !tx.hold_tenant().await? {
            return Err(VaultError::TenantGone);
        }
        tx.insert_data_key_if_absent(&row).await?;
        let kept = tx.find_active_data_key(environment).await?;
        tx.commit().await?;
        self.unwrap(kept.ok_or(VaultError::UnknownDataKey { id })?)
            .await
    }

    async fn unwrap(&self, row: DataKeyRow) -> Result<Arc<DataKey>, VaultError> {
        let id = row.id;
        let bytes = self.unwrap_bytes(row).await?;
        Ok(Arc::new(DataKey::new(id, &bytes)))
    }

    async fn unwrap_bytes(&self, row: DataKeyRow) -> Result<DataKeyBytes, VaultError> {
        let place = place_of(&row);
        let wrapped = WrappedDataKey {
            key_id: row.master_key_id,
            bytes: row.wrapped,
        };
        self.keys.unwrap(&place, &wrapped).await
    }
}

const fn place_of(row: &DataKeyRow) -> DataKeyPlace {
    DataKeyPlace {
        tenant: row.tenant_id,
        environment: row.environment,
        id: row.id,
    }
}
