//! A repository of an OCI registry, as one who reads it.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use reqwest::Response;
use secrecy::SecretString;
use tokio::sync::Mutex;
use url::Url;

use super::challenge::Challenge;
use super::http::{Call, Http, Login, accepted, host_of, nonsense, of_total, read, read_with};
use super::{Credentials, FetchError, OciReference, Progress, RegistryApi};
use crate::digest::Digest;
use crate::package::{Descriptor, IMAGE_INDEX_TYPE, IMAGE_TYPE, ImageIndex, ImageManifest};
use crate::statement::{STATEMENT_BYTES_MAX, STATEMENT_TYPE, STATEMENTS_MAX, speaks_of};

/// One repository, and how one is logged in to it.
#[derive(Debug)]
pub(super) struct Repository<'a> {
    pub(super) http: &'a Http,
    base: Url,
    name: String,
    credentials: Option<Credentials>,
    /// An async one: it is held while a token is got, so that one is got, not several.
    login: Mutex<Login>,
}

/// A document with its digest.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
    media_type: String,
}

impl<'a> Repository<'a> {
    pub(super) fn new(http: &'a Http, reference: &OciReference) -> Result<Self, FetchError> {
        Ok(Self {
            http,
            base: http.base(reference.host())?,
            name: reference.repository().to_owned(),
            credentials: http.credentials(reference.host()).cloned(),
            login: Mutex::new(Login::Nobody),
        })
    }

    /// A plugin's repository in one of our registries.
    pub(super) fn of_registry(http: &'a Http, registry: &RegistryApi, name: &str) -> Self {
        let token = |token: &SecretString| Credentials {
            username: "token".to_owned(),
            password: token.clone(),
        };
        Self {
            http,
            base: registry.url().clone(),
            name: name.to_owned(),
            credentials: registry.token().map(token),
            login: Mutex::new(Login::Nobody),
        }
    }

    pub(super) fn url(&self, rest: &str) -> Result<Url, FetchError> {
        let path = format!("/v2/{}/{rest}", self.name);
        self.base
            .join(&path)
            .map_err(|error| nonsense(&self.base, error))
    }

    /// Sends a request; logs in, if that is asked for, and sends it again.
    pub(super) async fn call(&self, call: &Call) -> Result<Response, FetchError> {
        let mut login = self.login.lock().await;
        let response = self.http.send(call, &login).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        *login = match (Challenge::of(response.headers()), &self.credentials) {
            (Some(Challenge::Basic), Some(credentials)) => Login::Basic(credentials.clone()),
            (Some(bearer @ Challenge::Bearer { .. }), credentials) => {
                self.http
                    .token(&self.base, &bearer, credentials.as_ref())
                    .await?
            }
            (Some(Challenge::Basic) | None, _) => return Ok(response),
        };
        self.http.send(call, &login).await
    }

    /// An image's manifest, by tag or digest.
    pub(super) async fn manifest(&self, reference: &str) -> Result<Document, FetchError> {
        let document = self.document(reference).await?;
        if document.media_type == IMAGE_TYPE {
            return Ok(document);
        }
        Err(FetchError::OtherType {
            host: host_of(&self.base),
            found: document.media_type,
        })
    }

    async fn document(&self, reference: &str) -> Result<Document, FetchError> {
        let mut call = Call::get(self.url(&format!("manifests/{reference}"))?);
        let accept = HeaderValue::from_static(
            "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json",
        );
        call.headers.insert(header::ACCEPT, accept);
        let what = format!("manifest {reference}");
        let response = accepted(self.call(&call).await?, &what).await?;
        let told = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let media_type = told("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let media_type = media_type.to_owned();
        // A digest that was asked for must be there; one that is only told must at least be true.
        let wanted = reference
            .parse()
            .ok()
            .or_else(|| told("docker-content-digest")?.parse::<Digest>().ok());
        let most = self.http.limits().document_bytes_max;
        let bytes = read(response, "manifest", most).await?;
        let found = Digest::of(&bytes);
        match wanted {
            Some(wanted) if wanted != found => Err(FetchError::OtherDigest {
                what: "manifest",
                wanted,
                found,
            }),
            Some(_) | None => Ok(Document {
                bytes,
                digest: found,
                media_type,
            }),
        }
    }

    pub(super) async fn component(
        &self,
        layer: &Descriptor,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Bytes, FetchError> {
        let most = self.http.limits().component_bytes_max;
        self.blob(layer, ("component", most), progress).await
    }

    async fn blob(
        &self,
        descriptor: &Descriptor,
        bounds: (&'static str, usize),
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Bytes, FetchError> {
        let (what, most) = bounds;
        let size = usize::try_from(descriptor.size)
            .ok()
            .filter(|size| *size <= most)
            .ok_or(FetchError::TooLarge { what, most })?;
        let wanted = descriptor.digest;
        let call = Call::get(self.url(&format!("blobs/{wanted}"))?);
        let response = accepted(self.call(&call).await?, &format!("blob {wanted}")).await?;
        // No more than was announced, whatever the limit.
        let progress = of_total(progress, descriptor.size);
        let bytes = read_with(response, what, size, &progress).await?;
        let hashed = bytes.clone();
        let found = tokio::task::spawn_blocking(move || Digest::of(&hashed)).await;
        let found = found.map_err(FetchError::stopped)?;
        if found == wanted {
            return Ok(bytes);
        }
        Err(FetchError::OtherDigest {
            what,
            wanted,
            found,
        })
    }

    /// The signed statement about an image: the first that is validly signed and about the component.
    /// What cannot be read hides none.
    pub(super) async fn statement(
        &self,
        image: Digest,
        component: Digest,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let referrers = self.referrers(image).await?;
        let of_type = |entry: &&Descriptor| {
            let artifact_type = entry.artifact_type.as_deref();
            artifact_type.is_none_or(|artifact_type| artifact_type == STATEMENT_TYPE)
        };
        for entry in referrers.iter().filter(of_type).take(STATEMENTS_MAX) {
            match self.statement_in(entry, image).await {
                Ok(Some(sidecar)) if speaks_of(&sidecar, component) => {
                    return Ok(Some(sidecar.to_vec()));
                }
                // Of the connection, not of what was asked for.
                Err(error @ (FetchError::Unreachable { .. } | FetchError::TooSlow)) => {
                    return Err(error);
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }

    /// What a referrer carries, if it is a statement about this image.
    async fn statement_in(
        &self,
        entry: &Descriptor,
        image: Digest,
    ) -> Result<Option<Bytes>, FetchError> {
        let document = self.manifest(&entry.digest.to_string()).await?;
        let manifest = ImageManifest::parse(&document.bytes)?;
        let about = manifest.subject.as_ref().map(|subject| subject.digest);
        if about != Some(image) {
            return Ok(None);
        }
        let layer = manifest.statement()?;
        let bounds = ("statement", STATEMENT_BYTES_MAX);
        self.blob(layer, bounds, &|_progress| {}).await.map(Some)
    }

    /// What refers to an image: by the API for it, else by the tag that stands in for it.
    pub(super) async fn referrers(&self, image: Digest) -> Result<Vec<Descriptor>, FetchError> {
        let mut url = self.url(&format!("referrers/{image}"))?;
        url.query_pairs_mut()
            .append_pair("artifactType", STATEMENT_TYPE);
        let response = self.call(&Call::get(url)).await?;
        if response.status() != StatusCode::NOT_FOUND {
            let response = accepted(response, "referrers").await?;
            let most = self.http.limits().document_bytes_max;
            let bytes = read(response, "list of referrers", most).await?;
            return self.listed(&bytes);
        }
        match self.document(&referrers_tag(image)).await {
            Ok(document) if document.media_type == IMAGE_INDEX_TYPE => self.listed(&document.bytes),
            Ok(_) | Err(FetchError::Absent { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn listed(&self, bytes: &[u8]) -> Result<Vec<Descriptor>, FetchError> {
        let index: ImageIndex =
            serde_json::from_slice(bytes).map_err(|error| nonsense(&self.base, error))?;
        Ok(index.manifests)
    }
}

/// The tag under which a registry without the referrers API keeps what refers to an image.
pub(super) fn referrers_tag(image: Digest) -> String {
    format!("sha256-{}", image.hex())
}
