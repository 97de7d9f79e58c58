//! Pushing a plugin and its signed statement to an OCI registry.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::Response;

use super::http::{Call, accepted, nonsense, read};
use super::oci::{Repository, referrers_tag};
use super::{Client, FetchError, OciReference};
use crate::digest::Digest;
use crate::package::{IMAGE_INDEX_TYPE, IMAGE_TYPE, Image, ImageIndex};
use crate::statement::STATEMENT_TYPE;

/// Of an answer to something that was put.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The image.
    pub image: Digest,
    /// Its tag or digest in the registry.
    pub reference: OciReference,
}

impl Client {
    /// Pushes a component as an image, and its statement as what refers to it.
    ///
    /// # Errors
    /// The component is no plugin, or the registry refuses.
    pub async fn push(
        &self,
        reference: &OciReference,
        component: &[u8],
        sidecar: Option<&[u8]>,
    ) -> Result<Pushed, FetchError> {
        let (image, _) = Image::of_component(component)?;
        let repository = Repository::new(&self.http, reference)?;
        repository.push(&image, reference.reference()).await?;
        if let Some(sidecar) = sidecar {
            let referrer = Image::of_statement(sidecar, &image.manifest);
            let put = repository
                .push(&referrer, &referrer.digest().to_string())
                .await?;
            // A registry that knows referrers says so here; for others the list is kept by hand.
            if !put.contains_key("oci-subject") {
                repository.list_by_hand(&image, &referrer).await?;
            }
        }
        Ok(Pushed {
            image: image.digest(),
            reference: reference.clone(),
        })
    }
}

impl Repository<'_> {
    async fn push(&self, image: &Image, reference: &str) -> Result<HeaderMap, FetchError> {
        for blob in &image.blobs {
            self.put_blob(blob.clone().into()).await?;
        }
        self.put_manifest(reference, IMAGE_TYPE, image.manifest.clone().into())
            .await
    }

    async fn put_blob(&self, bytes: Bytes) -> Result<(), FetchError> {
        let digest = Digest::of(&bytes);
        let mut head = Call::get(self.url(&format!("blobs/{digest}"))?);
        head.method = Method::HEAD;
        if self.call(&head).await?.status() == StatusCode::OK {
            return Ok(());
        }
        let url = self.url("blobs/uploads/")?;
        let start = Call::send(
            Method::POST,
            url.clone(),
            "application/octet-stream",
            Bytes::new(),
        );
        let started = accepted(self.call(&start).await?, "repository").await?;
        let place = started
            .headers()
            .get(header::LOCATION)
            .and_then(|location| url.join(location.to_str().ok()?).ok())
            .ok_or_else(|| nonsense(&url, "it does not say where to upload to"))?;
        // Uploads carry credentials: they go to the registry itself and nowhere else.
        if place.origin() != url.origin() {
            return Err(FetchError::OtherHost {
                from: super::http::host_of(&url),
                to: super::http::host_of(&place),
            });
        }
        let mut place = place;
        place
            .query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let put = Call::send(Method::PUT, place, "application/octet-stream", bytes);
        finished(self.call(&put).await?).await.map(drop)
    }

    async fn put_manifest(
        &self,
        reference: &str,
        media_type: &'static str,
        bytes: Bytes,
    ) -> Result<HeaderMap, FetchError> {
        let url = self.url(&format!("manifests/{reference}"))?;
        let put = Call::send(Method::PUT, url, media_type, bytes);
        finished(self.call(&put).await?).await
    }

    /// The tag of the referrers, as the specification has clients keep it.
    async fn list_by_hand(&self, image: &Image, referrer: &Image) -> Result<(), FetchError> {
        let mut manifests = self.referrers(image.digest()).await?;
        let descriptor = referrer.descriptor(Some(STATEMENT_TYPE));
        if !manifests
            .iter()
            .any(|known| known.digest == descriptor.digest)
        {
            manifests.push(descriptor);
        }
        let index = ImageIndex {
            schema_version: 2,
            media_type: Some(IMAGE_INDEX_TYPE.to_owned()),
            manifests,
            subject: None,
        };
        let bytes = serde_json::to_vec(&index).unwrap_or_default();
        let tag = referrers_tag(image.digest());
        self.put_manifest(&tag, IMAGE_INDEX_TYPE, bytes.into())
            .await
            .map(drop)
    }
}

async fn finished(response: Response) -> Result<HeaderMap, FetchError> {
    let response = accepted(response, "repository").await?;
    let headers = response.headers().clone();
    read(response, "answer", ANSWER_BYTES_MAX).await?;
    Ok(headers)
}
