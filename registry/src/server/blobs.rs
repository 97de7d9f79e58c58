//! Blobs: bytes that a repository keeps, by their digest.

use std::fmt;
use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use secrecy::ExposeSecret as _;
use url::Url;
use uuid::Uuid;

use super::refusal::{Kind, Refusal};
use super::store::{AccountRow, BlobRow, Tx};
use super::{Registry, RegistryConfig, RegistryError};
use crate::digest::Digest;

/// Of one sweep; the next one goes on.
const SWEPT_MAX: u64 = 100;

/// Where the bytes are.
pub(super) struct Blobs(PrefixStore<Box<dyn ObjectStore>>);

impl fmt::Debug for Blobs {
    /// Without the store, which holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blobs").finish_non_exhaustive()
    }
}

impl Blobs {
    pub(super) fn open(config: &RegistryConfig) -> Result<Self, RegistryError> {
        let url = Url::parse(&config.blobs_url)?;
        let options = config
            .blobs_options
            .iter()
            .map(|(name, value)| (name, value.expose_secret()));
        let (store, prefix) = object_store::parse_url_opts(&url, options)?;
        if url.scheme() == "file"
            && let Ok(folder) = url.to_file_path()
        {
            std::fs::create_dir_all(&folder).map_err(|source| object_store::Error::Generic {
                store: "file",
                source: Box::new(source),
            })?;
        }
        Ok(Self(PrefixStore::new(store, prefix)))
    }

    pub(super) async fn put(&self, object: Uuid, bytes: Bytes) -> Result<(), object_store::Error> {
        self.0.put(&place(object), bytes.into()).await.map(drop)
    }

    pub(super) async fn get(&self, object: Uuid) -> Result<Bytes, object_store::Error> {
        self.0.get(&place(object)).await?.bytes().await
    }

    pub(super) async fn stream(
        &self,
        object: Uuid,
        range: Option<Range<u64>>,
    ) -> Result<Body, object_store::Error> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let found = self.0.get_opts(&place(object), options).await?;
        Ok(Body::from_stream(
            found.into_stream().map_err(std::io::Error::other),
        ))
    }

    async fn copy(&self, from: Uuid, to: Uuid) -> Result<(), object_store::Error> {
        self.0.copy(&place(from), &place(to)).await
    }

    /// That it was gone already is as well.
    pub(super) async fn delete(&self, object: Uuid) -> Result<(), object_store::Error> {
        match self.0.delete(&place(object)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Names are random and ours: nothing that a client sends becomes part of a path.
fn place(object: Uuid) -> Path {
    let text = object.simple().to_string();
    // The end: ids of one time begin alike.
    let (_, folder) = text.split_at(text.len().saturating_sub(2));
    Path::from_iter(["objects", folder, &text])
}

impl Registry {
    /// A blob of a repository.
    pub(super) async fn get_blob(
        &self,
        repository: &str,
        digest: Digest,
    ) -> Result<BlobRow, Refusal> {
        let found = self
            .0
            .store
            .read()
            .await?
            .find_blob(repository, digest)
            .await?;
        found.ok_or_else(|| {
            Refusal::new(
                Kind::BlobUnknown,
                format!("{repository} has no blob {digest}"),
            )
        })
    }

    /// The bytes of a blob, checked.
    pub(super) async fn read_blob(&self, row: &BlobRow) -> Result<Bytes, Refusal> {
        let bytes = self.0.blobs.get(row.object).await?;
        let checked = bytes.clone();
        let found = tokio::task::spawn_blocking(move || Digest::of(&checked))
            .await
            .map_err(|error| Refusal::internal("hash a blob", &error))?;
        if found == row.digest {
            return Ok(bytes);
        }
        tracing::error!(blob.digest = %row.digest, found = %found, "registry: a stored blob is damaged");
        Err(Refusal::new(Kind::Internal, "the stored blob is damaged"))
    }

    /// Keeps bytes whose digest is known to be right.
    pub(super) async fn keep_blob(
        &self,
        account: &AccountRow,
        repository: &str,
        digest: Digest,
        bytes: Bytes,
    ) -> Result<(), Refusal> {
        let row = BlobRow {
            repository: repository.to_owned(),
            digest,
            account_id: account.id,
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            object: Uuid::now_v7(),
            created_at: self.now(),
        };
        let mut tx = self.0.store.read().await?;
        if tx.find_blob(repository, digest).await?.is_some() {
            return Ok(());
        }
        within_quota(&mut tx, account, row.bytes).await?;
        drop(tx);
        // The object first: a row without one would be a blob that cannot be read.
        self.0.blobs.put(row.object, bytes).await?;
        self.insert_blob(&row).await
    }

    /// Gives a repository a blob of another one. False when that has none.
    pub(super) async fn mount_blob(
        &self,
        account: &AccountRow,
        repository: &str,
        digest: Digest,
        from: &str,
    ) -> Result<bool, Refusal> {
        let mut tx = self.0.store.read().await?;
        let Some(source) = tx.find_blob(from, digest).await? else {
            return Ok(false);
        };
        if tx.find_blob(repository, digest).await?.is_some() {
            return Ok(true);
        }
        within_quota(&mut tx, account, source.bytes).await?;
        drop(tx);
        let row = BlobRow {
            repository: repository.to_owned(),
            account_id: account.id,
            object: Uuid::now_v7(),
            created_at: self.now(),
            ..source.clone()
        };
        self.0.blobs.copy(source.object, row.object).await?;
        self.insert_blob(&row).await?;
        Ok(true)
    }

    async fn insert_blob(&self, row: &BlobRow) -> Result<(), Refusal> {
        let mut tx = self.0.store.write().await?;
        let inserted = tx.insert_blob(row).await?;
        tx.commit().await?;
        if !inserted {
            // Somebody else was faster, with the same bytes.
            self.0.blobs.delete(row.object).await?;
        }
        Ok(())
    }

    /// Clears away blobs that no manifest names.
    pub(super) async fn sweep_blobs(&self) -> Result<(), RegistryError> {
        let before: DateTime<Utc> = self.now() - self.limits().unused_blob_lifetime;
        let mut tx = self.0.store.write().await?;
        tx.lock_log().await?;
        let unused = tx.delete_unused_blobs(before, SWEPT_MAX).await?;
        tx.commit().await?;
        for row in unused {
            self.0.blobs.delete(row.object).await?;
        }
        Ok(())
    }
}

/// Whether an account may keep so much more.
pub(super) async fn within_quota(
    tx: &mut Tx,
    account: &AccountRow,
    more: u64,
) -> Result<(), Refusal> {
    let kept = tx.sum_bytes(account.id).await?;
    if kept.saturating_add(more) <= account.blob_bytes_max {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::QuotaExceeded,
        format!(
            "the account keeps {kept} bytes and may keep {}; {more} more do not fit",
            account.blob_bytes_max
        ),
    ))
}
