//! A plugin as an OCI artefact, and its signed statement as a referrer of that.
//!
//! The image has one layer, the component, and the configuration that the Wasm working group has
//! agreed on, so that `wkg`, `oras` and every registry understand it.

use std::collections::BTreeMap;

use onerouter_manifest::{UnpackError, Unpacked, unpack};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::digest::Digest;
use crate::statement::STATEMENT_TYPE;

/// Media type of an image manifest.
pub const IMAGE_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of a list of manifests.
pub const IMAGE_INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a component.
pub const COMPONENT_TYPE: &str = "application/wasm";
/// Media type of the configuration of an image of a component.
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// Media type of the configuration of something that needs none.
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// Carries a signed statement, in standard Base64, beside a component that is published.
pub const STATEMENT_HEADER: &str = "onerouter-statement";
/// The configuration of something that needs none.
pub const EMPTY: &[u8] = b"{}";

/// One thing that a manifest points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its bytes.
    pub digest: Digest,
    /// How many.
    pub size: u64,
    /// What kind of manifest it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            artifact_type: None,
            annotations: None,
        }
    }
}

/// An image manifest: what we read of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// 2.
    pub schema_version: u32,
    /// [`IMAGE_TYPE`], where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of thing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its configuration.
    pub config: Descriptor,
    /// Its contents.
    pub layers: Vec<Descriptor>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A list of manifests: what we read of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// 2.
    pub schema_version: u32,
    /// [`IMAGE_INDEX_TYPE`], where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// What they are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
}

/// Why a manifest is no plugin's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// Not an image manifest.
    #[error("the manifest cannot be read: {0}")]
    Syntax(String),
    /// Something else than one component.
    #[error(
        "the image has {layers} layer(s), the first of type {first}; a plugin is one layer of type {COMPONENT_TYPE}"
    )]
    NotOneComponent {
        /// How many there are.
        layers: usize,
        /// What the first one is.
        first: String,
    },
    /// A referrer that is none of a signed statement.
    #[error("the referrer does not carry one layer of type {STATEMENT_TYPE}")]
    NoStatement,
}

impl ImageManifest {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, PackageError> {
        let syntax = |reason: String| PackageError::Syntax(reason);
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| syntax(error.to_string()))?;
        if manifest.schema_version != 2 {
            return Err(syntax("its schemaVersion is not 2".to_owned()));
        }
        match manifest.media_type.as_deref() {
            None | Some(IMAGE_TYPE) => Ok(manifest),
            Some(other) => Err(syntax(format!(
                "its mediaType is {other}, not {IMAGE_TYPE}"
            ))),
        }
    }

    /// Its one layer, which is a component.
    ///
    /// # Errors
    /// It has other or more layers.
    pub fn component(&self) -> Result<&Descriptor, PackageError> {
        match self.layers.as_slice() {
            [only] if only.media_type == COMPONENT_TYPE => Ok(only),
            layers => Err(PackageError::NotOneComponent {
                layers: layers.len(),
                first: layers
                    .first()
                    .map_or_else(|| "none".to_owned(), |first| first.media_type.clone()),
            }),
        }
    }

    /// Its one layer, which is a signed statement.
    ///
    /// # Errors
    /// It has other or more layers.
    pub fn statement(&self) -> Result<&Descriptor, PackageError> {
        match self.layers.as_slice() {
            [only] if only.media_type == STATEMENT_TYPE => Ok(only),
            _ => Err(PackageError::NoStatement),
        }
    }
}

/// An image in its parts, ready to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What it consists of, beside the manifest: bytes by what they are.
    pub blobs: Vec<Vec<u8>>,
    /// The manifest.
    pub manifest: Vec<u8>,
}

impl Image {
    /// The digest by which it is known.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// The image of a plugin. The same component always gives the same image.
    ///
    /// # Errors
    /// The component is no plugin.
    pub fn of_component(component: &[u8]) -> Result<(Self, Unpacked), UnpackError> {
        let unpacked = unpack(component)?;
        let plugin = &unpacked.manifest;
        let layer = Descriptor::of(COMPONENT_TYPE, component);
        let config = to_json(&json!({
            // A time would make two images of one component.
            "created": "1970-01-01T00:00:00Z",
            "author": plugin.publisher,
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer.digest],
            "component": {"exports": plugin.exports, "imports": plugin.imports, "target": null},
        }));
        let mut annotations = BTreeMap::new();
        let mut annotate = |key: &str, value: &str| {
            annotations.insert(format!("org.opencontainers.image.{key}"), value.to_owned());
        };
        annotate("title", &plugin.name);
        annotate("version", &plugin.version.to_string());
        annotate("description", &plugin.description);
        annotate("licenses", &plugin.license);
        annotate("vendor", &plugin.publisher);
        if let Some(source) = &plugin.source {
            annotate("source", source);
        }
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(IMAGE_TYPE.to_owned()),
            artifact_type: None,
            config: Descriptor::of(CONFIG_TYPE, &config),
            layers: vec![layer],
            subject: None,
            annotations: Some(annotations),
        };
        let image = Self {
            blobs: vec![component.to_vec(), config],
            manifest: to_json(&manifest),
        };
        Ok((image, unpacked))
    }

    /// The referrer that carries a signed statement about the image with this manifest.
    #[must_use]
    pub fn of_statement(sidecar: &[u8], about: &[u8]) -> Self {
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(IMAGE_TYPE.to_owned()),
            artifact_type: Some(STATEMENT_TYPE.to_owned()),
            config: Descriptor::of(EMPTY_TYPE, EMPTY),
            layers: vec![Descriptor::of(STATEMENT_TYPE, sidecar)],
            subject: Some(Descriptor::of(IMAGE_TYPE, about)),
            annotations: None,
        };
        Self {
            blobs: vec![sidecar.to_vec(), EMPTY.to_vec()],
            manifest: to_json(&manifest),
        }
    }

    /// How a list of manifests names it.
    #[must_use]
    pub fn descriptor(&self, artifact_type: Option<&str>) -> Descriptor {
        Descriptor {
            artifact_type: artifact_type.map(str::to_owned),
            ..Descriptor::of(IMAGE_TYPE, &self.manifest)
        }
    }
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Texts and numbers only: there is nothing that JSON could not hold.
    serde_json::to_vec(value).unwrap_or_default()
}
