//! Gets plugins from registries, files and bundles, and publishes them.
//!
//! Whoever answers is not trusted: what comes is bounded in size and time, is never more than was
//! announced, must have the digest that was asked for, and no answer leads to a host that the
//! operator has not named. What a [`Fetched`] is worth, [`Fetched::verify`] says.
//!
//! - [`Source`]: where from; [`Client::fetch`]; [`Fetched`]
//! - [`RegistryApi`]: one of our registries: its index, publishing, search
//! - [`OciReference`], [`Client::push`]: any OCI registry
//! - [`bundle`]: a folder that needs no network

pub mod bundle;

mod challenge;
mod config;
mod error;
mod fetched;
mod file;
mod http;
mod layout;
mod oci;
mod push;
mod reference;
mod registry;
mod source;

use bytes::Bytes;
use tokio::time::timeout;

use crate::index::{Index, Resolved};
use crate::package::ImageManifest;

pub use config::{ClientConfig, ClientLimits, Credentials};
pub use error::FetchError;
pub use fetched::{Fetched, Origin, Progress};
pub use file::sidecar_of;
pub use push::Pushed;
pub use reference::{InvalidReference, OciReference};
pub use registry::{NewAdvisory, RegistryApi, load_index, save_index};
pub use source::{InvalidSource, Source};

use http::Http;
use oci::Repository;

/// Gets plugins.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(config: ClientConfig) -> Result<Self, FetchError> {
        Http::new(config).map(|http| Self { http })
    }

    /// Gets a plugin. `index` is what is known of the registry: for [`Source::Registry`] it says
    /// which version and where; a bundle's own index must agree with it, and may know more
    /// ([`Fetched::newer_index`]).
    ///
    /// # Errors
    /// It cannot be had, or what came is not what was asked for. Nothing is left behind.
    pub async fn fetch(
        &self,
        source: &Source,
        index: Option<&Index>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Fetched, FetchError> {
        let limits = self.http.limits();
        let fetched = async {
            match source {
                Source::Registry { registry, wanted } => {
                    let index = index.ok_or(FetchError::NoIndex)?;
                    let resolved = index.view().resolve(wanted)?;
                    self.fetch_resolved(registry, resolved, progress).await
                }
                Source::Oci(reference) => self.fetch_oci(reference, progress).await,
                Source::File(path) => file::fetch(path, limits).await,
                Source::Bundle { folder, wanted } => {
                    layout::fetch(folder, wanted, index, limits).await
                }
            }
        };
        timeout(limits.total_timeout, fetched)
            .await
            .map_err(|_elapsed| FetchError::TooSlow)?
    }

    /// What the index says that a version is: its component by digest, its statement from the log.
    async fn fetch_resolved(
        &self,
        registry: &RegistryApi,
        resolved: Resolved,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Fetched, FetchError> {
        let repository = Repository::of_registry(&self.http, registry, resolved.name.as_str());
        let published = &resolved.published;
        let body = repository.manifest(&published.manifest.to_string()).await?;
        let layer = ImageManifest::parse(&body.bytes)?.component()?.clone();
        if layer.digest != published.component {
            return Err(FetchError::OtherDigest {
                what: "component",
                wanted: published.component,
                found: layer.digest,
            });
        }
        let component = repository.component(&layer, progress).await?;
        let origin = Origin::Registry {
            registry: registry.url().clone(),
            image: published.manifest,
        };
        let statement = published.statement.clone().into_bytes();
        Fetched::of(component, Some(statement), origin)
            .await?
            .named(&resolved.name, &resolved.version)
            .map(|fetched| fetched.with_advisories(resolved.advisories))
    }

    async fn fetch_oci(
        &self,
        reference: &OciReference,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Fetched, FetchError> {
        let repository = Repository::new(&self.http, reference)?;
        let body = repository.manifest(reference.reference()).await?;
        let layer = ImageManifest::parse(&body.bytes)?.component()?.clone();
        let statement = repository.statement(body.digest, layer.digest).await?;
        let component: Bytes = repository.component(&layer, progress).await?;
        let origin = Origin::Oci {
            reference: reference.clone(),
            image: body.digest,
        };
        Fetched::of(component, statement, origin)
            .await?
            .tagged(reference.reference())
    }
}
