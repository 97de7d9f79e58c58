//! Reading a bundle.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use semver::Version;

use super::bundle::blob_path;
use super::file::read;
use super::{ClientLimits, FetchError, Fetched, Origin};
use crate::digest::Digest;
use crate::index::{Advisory, Index, ResolveError, Wanted};
use crate::package::{Descriptor, IMAGE_TYPE, ImageIndex, ImageManifest, PackageError};
use crate::statement::{STATEMENT_BYTES_MAX, STATEMENT_TYPE, STATEMENTS_MAX, speaks_of};

pub(super) const INDEX_FILE: &str = "onerouter-index.json";
/// Names an image in a layout.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Images of one bundle.
const IMAGES_MAX: usize = 1_000;

/// What was chosen.
struct Chosen {
    version: Version,
    image: Digest,
    component: Digest,
    statement: Option<Vec<u8>>,
    advisories: Vec<Advisory>,
}

pub(super) async fn fetch(
    folder: &Path,
    wanted: &Wanted,
    known: Option<&Index>,
    limits: &ClientLimits,
) -> Result<Fetched, FetchError> {
    let layout = Layout { folder, limits };
    let listed = layout.listed().await?;
    let index = layout.index(known).await?;
    let by_index = index
        .as_deref()
        .filter(|index| index.view().find(&wanted.name).is_some());
    let chosen = match by_index {
        Some(index) => by_component(index, wanted, &layout.components(&listed).await?)?,
        // Nobody has said anything about that name: what the bundle says itself will do.
        None => layout.by_name(wanted, &listed).await?,
    };
    let component = layout.blob(chosen.component, ("component", limits.component_bytes_max));
    let origin = Origin::Bundle {
        folder: folder.to_owned(),
        image: chosen.image,
    };
    let fetched = Fetched::of(component.await?.into(), chosen.statement, origin).await?;
    let fetched = fetched.named(&wanted.name, &chosen.version)?;
    let newer = match index {
        Some(Cow::Owned(index)) => Some(Arc::new(index)),
        Some(Cow::Borrowed(_)) | None => None,
    };
    Ok(fetched
        .with_advisories(chosen.advisories)
        .with_newer_index(newer))
}

/// The version that the index chooses among those whose component is here. Not by their images: other
/// tools make other ones of the same component.
fn by_component(
    index: &Index,
    wanted: &Wanted,
    components: &BTreeMap<Digest, Digest>,
) -> Result<Chosen, FetchError> {
    let resolved = index.view().resolve_among(wanted, |published| {
        components.contains_key(&published.component)
    })?;
    let component = resolved.published.component;
    Ok(Chosen {
        version: resolved.version,
        image: components
            .get(&component)
            .copied()
            .unwrap_or(resolved.published.manifest),
        component,
        statement: Some(resolved.published.statement.into_bytes()),
        advisories: resolved.advisories,
    })
}

struct Layout<'a> {
    folder: &'a Path,
    limits: &'a ClientLimits,
}

impl Layout<'_> {
    async fn listed(&self) -> Result<Vec<Descriptor>, FetchError> {
        let no_bundle = |reason: String| FetchError::NoBundle {
            path: self.folder.to_owned(),
            reason,
        };
        let bounds = ("list of images", self.limits.document_bytes_max);
        let json = match read(self.folder.join("index.json"), bounds).await {
            Err(FetchError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(no_bundle("it has no index.json".to_owned()));
            }
            other => other?,
        };
        let index: ImageIndex =
            serde_json::from_slice(&json).map_err(|error| no_bundle(error.to_string()))?;
        Ok(index.manifests)
    }

    /// The components that are here, each with its image.
    async fn components(
        &self,
        listed: &[Descriptor],
    ) -> Result<BTreeMap<Digest, Digest>, FetchError> {
        let images = listed
            .iter()
            .filter(|entry| entry.media_type == IMAGE_TYPE && entry.artifact_type.is_none());
        let mut components = BTreeMap::new();
        for entry in images.take(IMAGES_MAX) {
            // What is no plugin's may lie in it too.
            if let Ok(component) = self.component_of(entry.digest).await? {
                components.entry(component).or_insert(entry.digest);
            }
        }
        Ok(components)
    }

    async fn component_of(
        &self,
        image: Digest,
    ) -> Result<Result<Digest, PackageError>, FetchError> {
        let bounds = ("manifest", self.limits.document_bytes_max);
        let manifest = ImageManifest::parse(&self.blob(image, bounds).await?);
        Ok(manifest.and_then(|manifest| manifest.component().map(|layer| layer.digest)))
    }

    /// The index that counts: the longer one of the bundle's and the known one. Without a known one
    /// nobody has said whose signature to expect, and the bundle's does not count.
    async fn index<'a>(
        &self,
        known: Option<&'a Index>,
    ) -> Result<Option<Cow<'a, Index>>, FetchError> {
        let Some(known) = known else {
            return Ok(None);
        };
        let bounds = ("index", self.limits.index_bytes_max);
        let own = match read(self.folder.join(INDEX_FILE), bounds).await {
            Ok(json) => Index::restore(&json, known.registry())?,
            Err(FetchError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(Some(Cow::Borrowed(known)));
            }
            Err(error) => return Err(error),
        };
        known.agrees_with(&own)?;
        Ok(Some(if own.size() > known.size() {
            Cow::Owned(own)
        } else {
            Cow::Borrowed(known)
        }))
    }

    /// The newest image whose name fits.
    async fn by_name(&self, wanted: &Wanted, listed: &[Descriptor]) -> Result<Chosen, FetchError> {
        let named = listed.iter().filter_map(|descriptor| {
            let name = descriptor.annotations.as_ref()?.get(REF_NAME)?;
            let (name, version) = name.split_once(':')?;
            let version = Version::parse(version).ok()?;
            (name == wanted.name.as_str()).then_some((version, descriptor.digest))
        });
        let mut versions: Vec<(Version, Digest)> = named.collect();
        versions.sort();
        let fitting = versions
            .iter()
            .rev()
            .find(|(version, _)| wanted.range.matches(version));
        let Some((version, image)) = fitting.cloned() else {
            return Err(FetchError::Resolve(ResolveError::NoneFits {
                name: wanted.name.clone(),
                range: wanted.range.clone(),
                versions: versions
                    .into_iter()
                    .rev()
                    .map(|(version, _)| version)
                    .collect(),
            }));
        };
        let component = self.component_of(image).await??;
        Ok(Chosen {
            version,
            image,
            component,
            statement: self.statement((image, component), listed).await?,
            advisories: Vec::new(),
        })
    }

    /// The first that is validly signed and about the component. What cannot be read hides none.
    async fn statement(
        &self,
        about: (Digest, Digest),
        listed: &[Descriptor],
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let (image, component) = about;
        let statements = listed
            .iter()
            .filter(|entry| entry.artifact_type.as_deref() == Some(STATEMENT_TYPE));
        let mut looked_at = 0;
        for entry in statements.take(IMAGES_MAX) {
            let bounds = ("manifest", self.limits.document_bytes_max);
            let Ok(manifest) = self.blob(entry.digest, bounds).await else {
                continue;
            };
            let Some(layer) = statement_about(image, &manifest) else {
                continue;
            };
            looked_at += 1;
            if looked_at > STATEMENTS_MAX {
                break;
            }
            match self.blob(layer, ("statement", STATEMENT_BYTES_MAX)).await {
                Ok(sidecar) if speaks_of(&sidecar, component) => return Ok(Some(sidecar)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }

    async fn blob(
        &self,
        digest: Digest,
        bounds: (&'static str, usize),
    ) -> Result<Vec<u8>, FetchError> {
        let bytes = read(self.folder.join(blob_path(digest)), bounds).await?;
        let found = Digest::of(&bytes);
        if found == digest {
            return Ok(bytes);
        }
        Err(FetchError::OtherDigest {
            what: bounds.0,
            wanted: digest,
            found,
        })
    }
}

/// The statement in a referrer's manifest, if it refers to this image.
fn statement_about(image: Digest, manifest: &[u8]) -> Option<Digest> {
    let manifest = ImageManifest::parse(manifest).ok()?;
    let about = manifest.subject.as_ref()?.digest;
    let layer = manifest.statement().ok()?;
    (about == image).then_some(layer.digest)
}
