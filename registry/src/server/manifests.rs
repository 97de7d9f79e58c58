//! Manifests and tags.

use bytes::Bytes;
use onerouter_manifest::PluginId;
use semver::Version;

use super::Registry;
use super::blobs::within_quota;
use super::refusal::{Kind, Refusal};
use super::store::{AccountRow, ManifestRow, Tx, VersionRow};
use crate::digest::Digest;
use crate::package::{Descriptor, IMAGE_INDEX_TYPE, IMAGE_TYPE, ImageIndex, ImageManifest};
use crate::statement::is_publishable;

/// Things that one manifest may name.
const NAMED_MAX: usize = 256;

/// Of a media type (RFC 6838 has 127 for each half).
const TYPE_BYTES_MAX: usize = 255;
/// Of annotations, as far as they are shown to who asks for referrers. Longer ones are in the
/// manifest only.
const ANNOTATIONS_BYTES_MAX: usize = 8 << 10;

/// What a manifest is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    Digest(Digest),
    Tag(Tag),
}

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The version that it is, if it is one. Once it is published, it never changes.
    pub(super) fn version(&self) -> Option<Version> {
        Version::parse(&self.0).ok()
    }
}

impl From<&Version> for Tag {
    fn from(version: &Version) -> Self {
        Self(version.to_string())
    }
}

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.contains(':') {
            return text
                .parse()
                .map(Self::Digest)
                .map_err(|error| Refusal::new(Kind::DigestInvalid, error));
        }
        let mut characters = text.chars();
        let begins = characters
            .next()
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let goes_on = characters.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if begins && goes_on && text.len() <= 128 {
            return Ok(Self::Tag(Tag(text.to_owned())));
        }
        Err(Refusal::new(
            Kind::ManifestInvalid,
            "a tag is a letter, digit or underscore, then up to 127 of those, dots and hyphens",
        ))
    }
}

/// A manifest that is to be put, read.
struct Read {
    row: ManifestRow,
    /// Blobs that it needs, with the sizes that it says.
    blobs: Vec<(Digest, u64)>,
    /// Manifests that it lists, likewise.
    manifests: Vec<(Digest, u64)>,
    /// It as an image, if it is one.
    image: Option<ImageManifest>,
}

impl Read {
    fn parse(media_type: &str, body: &Bytes) -> Result<Self, Refusal> {
        let wrong = |reason: String| Refusal::new(Kind::ManifestInvalid, reason);
        let sized = |named: &Descriptor| (named.digest, named.size);
        let mut row = ManifestRow {
            digest: Digest::of(body),
            media_type: media_type.to_owned(),
            artifact_type: None,
            subject: None,
            annotations: None,
            body: body.to_vec(),
        };
        let (blobs, manifests, image) = match media_type {
            IMAGE_TYPE => {
                let image = ImageManifest::parse(body).map_err(|error| wrong(error.to_string()))?;
                row.artifact_type = Some(
                    image
                        .artifact_type
                        .clone()
                        .unwrap_or_else(|| image.config.media_type.clone()),
                );
                row.subject = image.subject.as_ref().map(|subject| subject.digest);
                row.annotations = image
                    .annotations
                    .as_ref()
                    .and_then(|annotations| serde_json::to_string(annotations).ok())
                    .filter(|text| text.len() <= ANNOTATIONS_BYTES_MAX);
                let mut blobs = vec![sized(&image.config)];
                blobs.extend(image.layers.iter().map(sized));
                (blobs, Vec::new(), Some(image))
            }
            IMAGE_INDEX_TYPE => {
                let index: ImageIndex =
                    serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
                let typed = index
                    .media_type
                    .as_deref()
                    .is_none_or(|own| own == media_type);
                if index.schema_version != 2 || !typed {
                    return Err(wrong("it is not an index of schema version 2".to_owned()));
                }
                row.subject = index.subject.as_ref().map(|subject| subject.digest);
                let manifests = index.manifests.iter().map(sized).collect();
                (Vec::new(), manifests, None)
            }
            other => {
                return Err(wrong(format!(
                    "the type {other} is not kept here; {IMAGE_TYPE} and {IMAGE_INDEX_TYPE} are"
                )));
            }
        };
        let of_type = row.artifact_type.as_deref().unwrap_or_default();
        if of_type.len() > TYPE_BYTES_MAX || of_type.contains(char::is_control) {
            return Err(wrong(format!(
                "its type needs at most {TYPE_BYTES_MAX} characters on one line"
            )));
        }
        if blobs.len().max(manifests.len()) > NAMED_MAX {
            return Err(wrong(format!("it names more than {NAMED_MAX} things")));
        }
        Ok(Self {
            row,
            blobs,
            manifests,
            image,
        })
    }
}

impl Registry {
    /// The manifest that a reference leads to.
    pub(super) async fn get_manifest(
        &self,
        name: &PluginId,
        reference: &Reference,
    ) -> Result<ManifestRow, Refusal> {
        let unknown = |what: &str| {
            Refusal::new(
                Kind::ManifestUnknown,
                format!("{name} has no manifest {what}"),
            )
        };
        let mut tx = self.0.store.read().await?;
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => tx
                .find_tag(name.as_str(), tag.as_str())
                .await?
                .ok_or_else(|| unknown(tag.as_str()))?,
        };
        tx.find_manifest(name.as_str(), digest)
            .await?
            .ok_or_else(|| unknown(&digest.to_string()))
    }

    /// Keeps a manifest, and lets a tag point at it. All that it names must be there. A tag that is a
    /// version is only ever given to a component that says the same name and version of itself.
    pub(super) async fn put_manifest(
        &self,
        account: &AccountRow,
        name: &PluginId,
        reference: &Reference,
        sent: (&str, Bytes),
    ) -> Result<ManifestRow, Refusal> {
        let (media_type, body) = sent;
        let read = Read::parse(media_type, &body)?;
        match reference {
            Reference::Digest(digest) if *digest != read.row.digest => {
                return Err(Refusal::new(
                    Kind::DigestInvalid,
                    format!("the manifest is {}, not {digest}", read.row.digest),
                ));
            }
            Reference::Tag(tag) => {
                if let Some(version) = tag.version() {
                    self.refuse_mislabelled(name, &version, &read).await?;
                }
            }
            Reference::Digest(_) => {}
        }
        self.store_manifest(account, name, &read).await?;
        if let Reference::Tag(tag) = reference {
            self.point_tag(name, tag, read.row.digest).await?;
        }
        Ok(read.row)
    }

    /// Keeps a manifest whose blobs are there.
    async fn store_manifest(
        &self,
        account: &AccountRow,
        name: &PluginId,
        read: &Read,
    ) -> Result<(), Refusal> {
        let repository = name.as_str();
        let mut tx = self.0.store.write().await?;
        // So that no blob is swept away before it is named.
        tx.lock_log().await?;
        if tx
            .find_manifest(repository, read.row.digest)
            .await?
            .is_some()
        {
            return Ok(());
        }
        for (digest, said) in &read.blobs {
            let blob = tx.find_blob(repository, *digest).await?.ok_or_else(|| {
                let reason = format!("the blob {digest} was not uploaded");
                Refusal::new(Kind::ManifestBlobUnknown, reason)
            })?;
            refuse_other_size(*digest, *said, blob.bytes)?;
        }
        for (digest, said) in &read.manifests {
            let manifest = tx.find_manifest(repository, *digest).await?;
            let manifest = manifest.ok_or_else(|| {
                let reason = format!("the manifest {digest} was not put");
                Refusal::new(Kind::ManifestBlobUnknown, reason)
            })?;
            let bytes = u64::try_from(manifest.body.len()).unwrap_or(u64::MAX);
            refuse_other_size(*digest, *said, bytes)?;
        }
        let bytes = u64::try_from(read.row.body.len()).unwrap_or(u64::MAX);
        tx.lock_account(account.id).await?;
        within_quota(&mut tx, account, bytes).await?;
        let by = (account.id, self.now());
        let blobs: Vec<Digest> = read.blobs.iter().map(|(digest, _)| *digest).collect();
        tx.insert_manifest(repository, &read.row, &blobs, by)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn point_tag(&self, name: &PluginId, tag: &Tag, to: Digest) -> Result<(), Refusal> {
        let mut tx = self.0.store.write().await?;
        tx.lock_log().await?;
        if tx.find_tag(name.as_str(), tag.as_str()).await? == Some(to) {
            return Ok(());
        }
        if let Some(published) = published(&mut tx, name, tag).await? {
            return Err(Refusal::new(
                Kind::Immutable,
                format!(
                    "{name} {} is {} and stays it; publish another version",
                    published.version, published.manifest
                ),
            ));
        }
        tx.set_tag(name.as_str(), tag.as_str(), to, self.now())
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether an image is the version that its tag says.
    async fn refuse_mislabelled(
        &self,
        name: &PluginId,
        version: &Version,
        read: &Read,
    ) -> Result<(), Refusal> {
        let wrong = |reason: String| Refusal::new(Kind::ManifestInvalid, reason);
        if !is_publishable(version) {
            return Err(wrong(format!(
                "{version} cannot be the version of a plugin"
            )));
        }
        let image = read.image.as_ref().ok_or_else(|| {
            wrong(format!(
                "the tag {version} is a version, so it must be an image"
            ))
        })?;
        let layer = image
            .component()
            .map_err(|error| wrong(error.to_string()))?;
        let component = self.component_of(name, layer.digest).await?;
        let unpacked = self.unpack(component).await?;
        let manifest = &unpacked.manifest;
        if manifest.id == *name && manifest.version == *version {
            return Ok(());
        }
        Err(wrong(format!(
            "the component says that it is {} {}, not {name} {version}",
            manifest.id, manifest.version
        )))
    }

    /// Takes a tag away.
    pub(super) async fn delete_tag(&self, name: &PluginId, tag: &Tag) -> Result<(), Refusal> {
        let mut tx = self.0.store.write().await?;
        // So that it is not published meanwhile.
        tx.lock_log().await?;
        if published(&mut tx, name, tag).await?.is_some() {
            return Err(Refusal::new(
                Kind::Immutable,
                "a version cannot be deleted; yank it",
            ));
        }
        let deleted = tx.delete_tag(name.as_str(), tag.as_str()).await?;
        tx.commit().await?;
        if deleted {
            return Ok(());
        }
        Err(Refusal::new(
            Kind::ManifestUnknown,
            format!("{name} has no tag {}", tag.as_str()),
        ))
    }

    /// Takes a manifest away, with the tags that point at it.
    pub(super) async fn delete_manifest(
        &self,
        name: &PluginId,
        digest: Digest,
    ) -> Result<(), Refusal> {
        let repository = name.as_str();
        let mut tx = self.0.store.write().await?;
        tx.lock_log().await?;
        if tx.count_versions_on(repository, digest).await? > 0 {
            return Err(Refusal::new(
                Kind::Immutable,
                "the manifest is a version's, which cannot be deleted; yank it",
            ));
        }
        let deleted = tx.delete_manifest(repository, digest).await?;
        tx.commit().await?;
        if deleted {
            return Ok(());
        }
        Err(Refusal::new(
            Kind::ManifestUnknown,
            format!("{name} has no manifest {digest}"),
        ))
    }
}

/// What a tag was published as.
async fn published(
    tx: &mut Tx,
    name: &PluginId,
    tag: &Tag,
) -> Result<Option<VersionRow>, sqlx::Error> {
    match tag.version() {
        Some(version) => tx.find_version(name.as_str(), &version).await,
        None => Ok(None),
    }
}

/// Who pulls takes no more than was said, so a manifest that says less is of no use to anybody.
fn refuse_other_size(digest: Digest, said: u64, found: u64) -> Result<(), Refusal> {
    if said == found {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::ManifestInvalid,
        format!("{digest} has {found} bytes, not {said}"),
    ))
}
