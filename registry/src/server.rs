//! The service: an OCI registry, and a small API for what OCI has no words for.
//!
//! [`Registry::open`] gives it, [`Registry::router`] is to be mounted into any axum server,
//! [`Registry::maintain`] is to be called every minute or so.
//!
//! - `oci`: distribution specification 1.1, under `/v2/`
//! - `api`: search, pages, keys, publishing, yanking, advisories, the index, under `/registry/v1/`
//! - `accounts`, `uploads`, `blobs`, `manifests`, `pushed`, `publish`, `catalogue`, `log`, `downloads`: what
//!   happens, step by step
//! - `operator`: what whoever runs it may do to every name
//! - `store`: all SQL
//!
//! Everything published may be read by everybody. Only the publisher of a name may write to it.

mod accounts;
mod api;
mod asked;
mod blobs;
mod body;
mod caller;
mod catalogue;
mod check;
mod config;
mod downloads;
mod limits;
mod log;
mod manifests;
mod oci;
mod operator;
mod owned;
mod publish;
mod pushed;
mod refusal;
mod store;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::sync::RwLock;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::keys::{KeyId, PublicKey};

pub use accounts::{Account, NewToken, Token, TokenSecret};
pub use caller::ClientAddress;
pub use catalogue::NewAdvisory;
pub use check::{CheckFailed, PublishCheck, Submission};
pub use config::{Limits, RegistryConfig};
pub use store::{Schema, StoreError, migrate};

use blobs::Blobs;
use body::Places;
use downloads::Downloads;
use limits::RateLimits;
use refusal::Refusal;
use store::Store;

/// A registry. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: RegistryConfig,
    store: Store,
    blobs: Blobs,
    rates: RateLimits,
    /// For bodies that are held in memory.
    places: Places,
    /// Read by what must come to its end; written by who closes.
    working: Arc<RwLock<()>>,
    downloads: Downloads,
}

/// Why a registry cannot be opened, or an operator's command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The place for blobs.
    #[error("the registry's blob store cannot be used")]
    Blobs(#[from] object_store::Error),
    /// The URL of the place for blobs.
    #[error("the registry's blob store has no valid URL: {0}")]
    BlobsUrl(#[from] url::ParseError),
    /// The database is another registry's.
    #[error(
        "the registry's database belongs to the key {known}, not to {own}; set the right key, or a database of its own"
    )]
    OtherKey {
        /// Whose it is.
        known: String,
        /// The key that was set.
        own: KeyId,
    },
    /// The blob store is another's, or nobody knows whose.
    #[error(
        "the blob store is not marked as this registry's, so nothing is cleared away there; see to its URL"
    )]
    OtherBlobs,
    /// What was asked for is not possible: a name of an account that is taken, a version that is not
    /// there.
    #[error("{0}")]
    Refused(String),
}

impl From<Refusal> for RegistryError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.into_detail())
    }
}

impl From<sqlx::Error> for RegistryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Registry {
    /// Opens a registry: its database, which is brought up to date, and its place for blobs.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub async fn open(config: RegistryConfig) -> Result<Self, RegistryError> {
        let store = Store::open(&config.database_url, config.schema).await?;
        let own = config.key.public().id();
        let mut tx = store.write().await?;
        let known = tx.claim_log(own).await?;
        if known != own.to_string() {
            return Err(RegistryError::OtherKey { known, own });
        }
        tx.commit().await?;
        let blobs = Blobs::open(&config)?;
        if let Err(error) = blobs.mark(own).await {
            // It may come back; until it is marked, nothing is collected there.
            tracing::warn!(%error, "registry: cannot mark the blob store");
        }
        Ok(Self(Arc::new(Inner {
            rates: RateLimits::new(&config.limits),
            places: Places::new(&config.limits),
            working: Arc::default(),
            downloads: Downloads::default(),
            store,
            blobs,
            config,
        })))
    }

    /// The routes. Addresses of clients are taken from [`ClientAddress`], if the server that this is
    /// mounted into sets it, else from axum's `ConnectInfo<SocketAddr>`.
    pub fn router(&self) -> Router {
        Router::new()
            .merge(oci::routes())
            .merge(api::routes())
            .layer(from_fn_with_state(self.clone(), caller::identify))
            .layer(axum::middleware::from_fn(refusal::render))
            .with_state(self.clone())
    }

    /// The key that the index is signed with.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.0.config.key.public()
    }

    /// Writes down what was counted, and clears away what nobody will come back for: uploads that
    /// were abandoned, blobs that no manifest names. To be called every minute or so, by any number
    /// of nodes, and before the end.
    ///
    /// # Errors
    /// The database or the blob store failed; the next call goes on.
    pub async fn maintain(&self) -> Result<(), RegistryError> {
        self.0.rates.forget_idle();
        // All of them: what one of them stumbles over must not keep the others from it for ever.
        let parts = [
            self.write_downloads().await,
            self.sweep_uploads().await,
            self.sweep_blobs().await,
        ];
        parts.into_iter().collect()
    }

    /// Does something to its end, even if the client hangs up: between an object and its row, say.
    #[expect(
        clippy::disallowed_methods,
        reason = "it holds a lock that `close` waits for"
    )]
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let working = Arc::clone(&self.0.working).read_owned().await;
        let task = tokio::spawn(async move {
            let done = work.await;
            drop(working);
            done
        });
        task.await
            .map_err(|error| Refusal::internal("finish a request", &error))?
    }

    /// Waits for what is being written, writes down what was counted, and closes the database.
    ///
    /// # Errors
    /// The counts could not be written; it is closed all the same.
    pub async fn close(&self) -> Result<(), RegistryError> {
        // What is still being written down; not for ever, since an object store may not answer.
        let ended = tokio::time::timeout(self.limits().body_timeout, self.0.working.write()).await;
        if ended.is_err() {
            tracing::warn!("registry: closed while something was being written");
        }
        let written = self.write_downloads().await;
        self.0.store.close().await;
        written
    }

    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.config.clock.now()
    }

    /// An id that begins with the time of the registry's own clock.
    fn new_id(&self) -> Uuid {
        let now = self.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let time = Timestamp::from_unix(ContextV7::new(), seconds, now.timestamp_subsec_nanos());
        Uuid::new_v7(time)
    }

    fn limits(&self) -> &Limits {
        &self.0.config.limits
    }
}
