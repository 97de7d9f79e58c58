//! Reading a bundle.

use std::io::ErrorKind;
use std::path::Path;

use semver::Version;

use super::bundle::blob_path;
use super::file::read;
use super::{ClientLimits, FetchError, Fetched, Origin};
use crate::digest::Digest;
use crate::index::{Advisory, Index, ResolveError, Wanted};
use crate::package::{Descriptor, ImageIndex, ImageManifest};
use crate::statement::{STATEMENT_BYTES_MAX, STATEMENT_TYPE};

pub(super) const INDEX_FILE: &str = "onerouter-index.json";
/// Names an image in a layout.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What was chosen.
struct Chosen {
    version: Version,
    image: Digest,
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
    let chosen = match layout.index(known).await? {
        Some(index) => by_index(&index, wanted)?,
        None => layout.by_name(wanted, &listed).await?,
    };
    let manifest = layout.blob(chosen.image, ("manifest", limits.document_bytes_max));
    let layer = ImageManifest::parse(&manifest.await?)?.component()?.clone();
    let component = layout.blob(layer.digest, ("component", limits.component_bytes_max));
    let origin = Origin::Bundle {
        folder: folder.to_owned(),
        image: chosen.image,
    };
    let fetched = Fetched::of(component.await?.into(), chosen.statement, origin).await?;
    let fetched = fetched.named(&wanted.name, &chosen.version)?;
    Ok(fetched.with_advisories(chosen.advisories))
}

fn by_index(index: &Index, wanted: &Wanted) -> Result<Chosen, FetchError> {
    let resolved = index.view().resolve(wanted)?;
    Ok(Chosen {
        version: resolved.version,
        image: resolved.published.manifest,
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

    /// The index that counts: the longer one of the bundle's and the known one. Without a known one
    /// nobody has said whose signature to expect, and the bundle's does not count.
    async fn index(&self, known: Option<&Index>) -> Result<Option<Index>, FetchError> {
        let Some(known) = known else {
            return Ok(None);
        };
        let bounds = ("index", self.limits.index_bytes_max);
        let own = match read(self.folder.join(INDEX_FILE), bounds).await {
            Ok(json) => Index::restore(&json, known.registry())?,
            Err(FetchError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        known.agrees_with(&own)?;
        let longer = if own.size() > known.size() {
            own
        } else {
            known.clone()
        };
        Ok(Some(longer))
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
        Ok(Chosen {
            version,
            image,
            statement: self.statement(image, listed).await?,
            advisories: Vec::new(),
        })
    }

    async fn statement(
        &self,
        image: Digest,
        listed: &[Descriptor],
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let statements = listed
            .iter()
            .filter(|entry| entry.artifact_type.as_deref() == Some(STATEMENT_TYPE));
        for entry in statements {
            let bounds = ("manifest", self.limits.document_bytes_max);
            let manifest = ImageManifest::parse(&self.blob(entry.digest, bounds).await?)?;
            let about = manifest.subject.as_ref().map(|subject| subject.digest);
            if about == Some(image) {
                let layer = manifest.statement()?;
                let bounds = ("statement", STATEMENT_BYTES_MAX);
                return self.blob(layer.digest, bounds).await.map(Some);
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
