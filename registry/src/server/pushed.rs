//! What was pushed of a version, and pushing what was sent in one request.

use bytes::Bytes;
use onerouter_manifest::{PluginId, Unpacked};
use semver::Version;

use super::Registry;
use super::manifests::{Reference, Tag};
use super::refusal::{Kind, Refusal};
use super::store::AccountRow;
use crate::digest::Digest;
use crate::package::{IMAGE_TYPE, Image, ImageManifest};
use crate::statement::{STATEMENT_BYTES_MAX, STATEMENT_TYPE, STATEMENTS_MAX};

impl Registry {
    /// The signed statements that were pushed as referrers of an image.
    pub(super) async fn pushed_statements(
        &self,
        name: &PluginId,
        image: Digest,
    ) -> Result<Vec<String>, Refusal> {
        let repository = name.as_str();
        let mut tx = self.0.store.read().await?;
        let mut blobs = Vec::new();
        let most = u64::try_from(STATEMENTS_MAX).unwrap_or(u64::MAX);
        let referrers = tx
            .list_referrers(repository, image, Some(STATEMENT_TYPE), most)
            .await?;
        for referrer in referrers {
            let manifest = tx.find_manifest(repository, referrer.digest).await?;
            let layer = manifest
                .and_then(|row| ImageManifest::parse(&row.body).ok())
                .and_then(|manifest| manifest.statement().ok().map(|layer| layer.digest));
            if let Some(digest) = layer {
                blobs.extend(tx.find_blob(repository, digest).await?);
            }
        }
        drop(tx);
        let mut statements = Vec::new();
        for blob in blobs {
            if !usize::try_from(blob.bytes).is_ok_and(|bytes| bytes <= STATEMENT_BYTES_MAX) {
                continue;
            }
            // A damaged one is logged there, and does not hide the next.
            if let Ok(bytes) = self.read_blob(&blob).await {
                statements.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(statements)
    }

    pub(super) async fn keep_image(
        &self,
        account: &AccountRow,
        name: &PluginId,
        image: &Image,
        version: Option<&Version>,
    ) -> Result<(), Refusal> {
        for blob in &image.blobs {
            let blob = (Digest::of(blob), blob.clone().into());
            self.keep_blob(account, name.as_str(), blob, None).await?;
        }
        let reference = version.map_or(Reference::Digest(image.digest()), |version| {
            Reference::Tag(Tag::from(version))
        });
        let sent = (IMAGE_TYPE, image.manifest.clone().into());
        self.put_manifest(account, name, &reference, sent).await?;
        Ok(())
    }

    pub(super) async fn component_of(
        &self,
        name: &PluginId,
        digest: Digest,
    ) -> Result<Bytes, Refusal> {
        let blob = self
            .0
            .store
            .read()
            .await?
            .find_blob(name.as_str(), digest)
            .await?;
        let blob = blob.ok_or_else(|| {
            Refusal::new(
                Kind::ManifestBlobUnknown,
                format!("the blob {digest} was not uploaded"),
            )
        })?;
        self.read_blob(&blob).await
    }

    pub(super) async fn unpack(&self, component: Bytes) -> Result<Unpacked, Refusal> {
        tokio::task::spawn_blocking(move || onerouter_manifest::unpack(&component))
            .await
            .map_err(|error| Refusal::internal("read a component", &error))?
            .map_err(|error| Refusal::new(Kind::Invalid, error))
    }
}
