//! Uploads in pieces. Every piece is an object of its own, so any node can take the next one.

use bytes::{Bytes, BytesMut};
use onerouter_manifest::PluginId;
use uuid::Uuid;

use super::blobs::within_quota;
use super::refusal::{Kind, Refusal};
use super::store::{AccountRow, ChunkRow, UploadRow};
use super::{Registry, RegistryError};
use crate::digest::Digest;

/// Of one upload. Smaller ones than this makes of the largest blob are not sent by honest clients.
const CHUNKS_MAX: usize = 1_000;
/// Of one sweep; the next one goes on.
const SWEPT_MAX: u64 = 100;

impl Registry {
    /// Begins an upload.
    pub(super) async fn start_upload(
        &self,
        account: &AccountRow,
        name: &PluginId,
    ) -> Result<Uuid, Refusal> {
        let upload = UploadRow {
            id: self.new_id(),
            repository: name.as_str().to_owned(),
            account_id: account.id,
            received: 0,
            expires_at: self.now() + self.limits().upload_lifetime,
        };
        let mut tx = self.0.store.write().await?;
        if tx.count_uploads(account.id).await? >= self.limits().account_uploads_max {
            return Err(Refusal::new(
                Kind::RateLimited,
                "too many uploads are under way; finish or cancel some",
            ));
        }
        tx.insert_upload(&upload).await?;
        tx.commit().await?;
        Ok(upload.id)
    }

    /// An upload of this account to this name.
    pub(super) async fn get_upload(
        &self,
        account: &AccountRow,
        name: &PluginId,
        id: Uuid,
    ) -> Result<UploadRow, Refusal> {
        let found = self.0.store.read().await?.find_upload(id).await?;
        found
            .filter(|upload| {
                upload.repository == name.as_str()
                    && upload.account_id == account.id
                    && upload.expires_at > self.now()
            })
            .ok_or_else(|| {
                Refusal::new(
                    Kind::UploadUnknown,
                    "there is no such upload, or it took too long",
                )
            })
    }

    /// Takes the next piece, which begins where the last one ended. Gives how much there is now.
    pub(super) async fn append_upload(
        &self,
        account: &AccountRow,
        upload: &UploadRow,
        bytes: Bytes,
    ) -> Result<u64, Refusal> {
        let chunk = ChunkRow {
            start: upload.received,
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            object: self.new_id(),
        };
        let received = chunk.start.saturating_add(chunk.bytes);
        self.refuse_oversized(received)?;
        if chunk.bytes == 0 {
            return Ok(received);
        }
        let mut tx = self.0.store.read().await?;
        within_quota(&mut tx, account, chunk.bytes).await?;
        if tx.list_chunks(upload.id).await?.len() >= CHUNKS_MAX {
            return Err(Refusal::new(
                Kind::UploadInvalid,
                "the upload has too many pieces",
            ));
        }
        drop(tx);
        self.0.blobs.put(chunk.object, bytes).await?;
        let expires_at = self.now() + self.limits().upload_lifetime;
        let mut tx = self.0.store.write().await?;
        tx.lock_account(account.id).await?;
        if let Err(refusal) = within_quota(&mut tx, account, chunk.bytes).await {
            drop(tx);
            self.0.blobs.delete(chunk.object).await?;
            return Err(refusal);
        }
        let appended = tx.insert_chunk(upload.id, &chunk, expires_at).await?;
        tx.commit().await?;
        if appended {
            return Ok(received);
        }
        self.0.blobs.delete(chunk.object).await?;
        Err(Refusal::new(
            Kind::RangeInvalid,
            "another piece with this beginning came first",
        ))
    }

    /// Puts the pieces and the last bytes together, and keeps them if they are what `digest` says.
    pub(super) async fn finish_upload(
        &self,
        account: &AccountRow,
        upload: &UploadRow,
        last: Bytes,
        digest: Digest,
    ) -> Result<(), Refusal> {
        let chunks = self.0.store.read().await?.list_chunks(upload.id).await?;
        // What has come by now, not what had when the request began.
        let last_bytes = u64::try_from(last.len()).unwrap_or(u64::MAX);
        let bytes = chunks.iter().map(|chunk| chunk.bytes);
        self.refuse_oversized(bytes.fold(last_bytes, u64::saturating_add))?;
        let whole = if chunks.is_empty() {
            last
        } else {
            let mut whole = BytesMut::new();
            for chunk in &chunks {
                whole.extend_from_slice(&self.0.blobs.get(chunk.object).await?);
            }
            whole.extend_from_slice(&last);
            whole.freeze()
        };
        let blob = (digest, checked(whole, digest).await?);
        self.keep_blob(account, &upload.repository, blob, Some(upload.id))
            .await
    }

    /// Keeps bytes that came at once, if they are what `digest` says.
    pub(super) async fn keep_if(
        &self,
        account: &AccountRow,
        repository: &str,
        bytes: Bytes,
        digest: Digest,
    ) -> Result<(), Refusal> {
        let blob = (digest, checked(bytes, digest).await?);
        self.keep_blob(account, repository, blob, None).await
    }

    /// Ends an upload without keeping anything.
    pub(super) async fn cancel_upload(&self, upload: &UploadRow) -> Result<(), Refusal> {
        self.forget_upload(upload.id).await
    }

    pub(super) async fn forget_upload(&self, id: Uuid) -> Result<(), Refusal> {
        let mut tx = self.0.store.write().await?;
        let chunks = tx.list_chunks(id).await?;
        tx.delete_upload(id).await?;
        tx.commit().await?;
        for chunk in chunks {
            self.0.blobs.delete(chunk.object).await?;
        }
        Ok(())
    }

    /// Clears away what nobody went on with.
    pub(super) async fn sweep_uploads(&self) -> Result<(), RegistryError> {
        let mut tx = self.0.store.write().await?;
        let expired = tx.list_expired_uploads(self.now(), SWEPT_MAX).await?;
        let mut chunks = Vec::new();
        for upload in &expired {
            chunks.extend(tx.list_chunks(upload.id).await?);
            tx.delete_upload(upload.id).await?;
        }
        tx.commit().await?;
        for chunk in chunks {
            self.0.blobs.delete(chunk.object).await?;
        }
        Ok(())
    }

    fn refuse_oversized(&self, bytes: u64) -> Result<(), Refusal> {
        let most = self.limits().blob_bytes_max;
        if usize::try_from(bytes).is_ok_and(|bytes| bytes <= most) {
            return Ok(());
        }
        Err(Refusal::new(
            Kind::TooLarge,
            format!("a blob may have {most} bytes"),
        ))
    }
}

/// The bytes, if they are what `digest` says.
async fn checked(bytes: Bytes, digest: Digest) -> Result<Bytes, Refusal> {
    let hashed = bytes.clone();
    let found = tokio::task::spawn_blocking(move || Digest::of(&hashed))
        .await
        .map_err(|error| Refusal::internal("hash an upload", &error))?;
    if found == digest {
        return Ok(bytes);
    }
    Err(Refusal::new(
        Kind::DigestInvalid,
        format!("the bytes are {found}, not {digest}"),
    ))
}
