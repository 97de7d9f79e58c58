//! Blobs: bytes that a repository keeps, by their digest.

use std::fmt;
use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{Stream, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use secrecy::ExposeSecret as _;
use url::Url;
use uuid::Uuid;

use super::refusal::{Kind, Refusal};
use super::store::{AccountRow, BlobRow, ChunkRow, Tx};
use super::{Registry, RegistryConfig, RegistryError};
use crate::digest::Digest;
use crate::keys::KeyId;

/// Of one sweep; the next one goes on.
const SWEPT_MAX: u64 = 100;
/// Where objects are in the store.
const FOLDER: &str = "objects";
/// Says whose store it is.
const MARKER: &str = "onerouter-registry";
/// An object gets its row within seconds. One that has none after so long belongs to a node that died
/// in between.
const ORPHAN_AGE: TimeDelta = TimeDelta::days(1);

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
        if url.scheme() == "file"
            && let Ok(folder) = url.to_file_path()
        {
            std::fs::create_dir_all(&folder).map_err(|source| object_store::Error::Generic {
                store: "file",
                source: Box::new(source),
            })?;
            // A row is on the disk once it is committed; so must be what it stands for.
            let store = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true);
            return Ok(Self(PrefixStore::new(Box::new(store), Path::default())));
        }
        let options = config
            .blobs_options
            .iter()
            .map(|(name, value)| (name, value.expose_secret()));
        let (store, prefix) = object_store::parse_url_opts(&url, options)?;
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

    /// Writes down whose store it is, unless somebody has before.
    pub(super) async fn mark(&self, key: KeyId) -> Result<(), object_store::Error> {
        if self.marker().await?.is_none() {
            let bytes = key.to_string().into_bytes();
            self.0.put(&Path::from(MARKER), bytes.into()).await?;
        }
        Ok(())
    }

    async fn marker(&self) -> Result<Option<Bytes>, object_store::Error> {
        match self.0.get(&Path::from(MARKER)).await {
            Ok(found) => found.bytes().await.map(Some),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How large an object is, if it is there.
    async fn size(&self, object: Uuid) -> Result<Option<u64>, object_store::Error> {
        match self.0.head(&place(object)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn copy(&self, from: Uuid, to: Uuid) -> Result<(), object_store::Error> {
        self.0.copy(&place(from), &place(to)).await
    }

    /// Every object, by its name.
    fn list(&self) -> impl Stream<Item = Result<Uuid, object_store::Error>> + '_ {
        let folder = Path::from(FOLDER);
        self.0.list(Some(&folder)).try_filter_map(|found| {
            let name = found.location.filename().map(str::to_owned);
            // What else may lie in a bucket is not ours.
            let object = name.and_then(|name| Uuid::parse_str(&name).ok());
            std::future::ready(Ok(object))
        })
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
    Path::from_iter([FOLDER, folder, &text])
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

    /// Keeps bytes whose digest is known to be right, and ends the upload that they came by, if they
    /// did.
    pub(super) async fn keep_blob(
        &self,
        account: &AccountRow,
        repository: &str,
        blob: (Digest, Bytes),
        upload: Option<Uuid>,
    ) -> Result<(), Refusal> {
        let (digest, bytes) = blob;
        let row = BlobRow {
            repository: repository.to_owned(),
            digest,
            account_id: account.id,
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            object: self.new_id(),
            created_at: self.now(),
        };
        let mut tx = self.0.store.read().await?;
        if let Some(known) = tx.find_blob(repository, digest).await? {
            drop(tx);
            self.mend(&known, bytes).await?;
            return match upload {
                Some(upload) => self.forget_upload(upload).await,
                None => Ok(()),
            };
        }
        // What is uploaded in pieces is counted already.
        if upload.is_none() {
            within_quota(&mut tx, account, row.bytes).await?;
        }
        drop(tx);
        // The object first: a row without one would be a blob that cannot be read.
        self.0.blobs.put(row.object, bytes).await?;
        self.insert_blob(account, &row, upload).await
    }

    /// Writes an object again that was damaged: nobody else can, since its digest names it.
    async fn mend(&self, row: &BlobRow, bytes: Bytes) -> Result<(), Refusal> {
        if self.0.blobs.size(row.object).await? == Some(row.bytes) {
            return Ok(());
        }
        tracing::warn!(blob.digest = %row.digest, "registry: a damaged blob is replaced");
        self.0.blobs.put(row.object, bytes).await?;
        Ok(())
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
            object: self.new_id(),
            created_at: self.now(),
            ..source.clone()
        };
        self.0.blobs.copy(source.object, row.object).await?;
        self.insert_blob(account, &row, None).await?;
        Ok(true)
    }

    async fn insert_blob(
        &self,
        account: &AccountRow,
        row: &BlobRow,
        upload: Option<Uuid>,
    ) -> Result<(), Refusal> {
        match self.counted(account, row, upload).await {
            Ok((inserted, pieces)) => {
                if !inserted {
                    // Somebody else was faster, with the same bytes.
                    self.0.blobs.delete(row.object).await?;
                }
                for piece in pieces {
                    self.0.blobs.delete(piece.object).await?;
                }
                Ok(())
            }
            Err(refusal) => {
                // Where the database broke off, the row may be there all the same.
                if refusal.is_decided() {
                    self.0.blobs.delete(row.object).await?;
                }
                Err(refusal)
            }
        }
    }

    /// The row, if the account may keep so much, and the end of its upload, at once. Gives whether the
    /// row is new, and the pieces that are left over.
    async fn counted(
        &self,
        account: &AccountRow,
        row: &BlobRow,
        upload: Option<Uuid>,
    ) -> Result<(bool, Vec<ChunkRow>), Refusal> {
        let mut tx = self.0.store.write().await?;
        tx.lock_account(account.id).await?;
        let mut pieces = Vec::new();
        if let Some(upload) = upload {
            pieces = tx.list_chunks(upload).await?;
            if !tx.delete_upload(upload).await? {
                return Err(Refusal::new(Kind::UploadUnknown, "the upload is over"));
            }
        }
        within_quota(&mut tx, account, row.bytes).await?;
        let inserted = tx.insert_blob(row).await?;
        tx.commit().await?;
        Ok((inserted, pieces))
    }

    /// Looks through the whole store for what a node left behind that died between writing an object
    /// and its row. To be called once a day or so. Gives how many there were.
    ///
    /// # Errors
    /// The store is not marked as this registry's, or it or the database failed; the next call begins
    /// again.
    pub async fn collect_orphans(&self) -> Result<u64, RegistryError> {
        // With the wrong URL everything in it would look like what nobody stands for.
        let marker = self.0.blobs.marker().await?;
        let own = self.key().id().to_string();
        if marker.as_deref() != Some(own.as_bytes()) {
            return Err(RegistryError::OtherBlobs);
        }
        let mut objects = std::pin::pin!(self.0.blobs.list());
        let mut deleted = 0_u64;
        while let Some(object) = objects.try_next().await? {
            let young = self.age_of(object).is_none_or(|age| age < ORPHAN_AGE);
            if young || self.0.store.read().await?.has_object(object).await? {
                continue;
            }
            self.0.blobs.delete(object).await?;
            deleted = deleted.saturating_add(1);
        }
        Ok(deleted)
    }

    /// How old an object is, by the time in its name.
    fn age_of(&self, object: Uuid) -> Option<TimeDelta> {
        let (seconds, _) = object.get_timestamp()?.to_unix();
        let made = DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0)?;
        Some(self.now().signed_duration_since(made))
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
