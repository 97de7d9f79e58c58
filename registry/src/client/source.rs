//! Where a plugin is to come from.

use std::path::PathBuf;

use super::{OciReference, RegistryApi};
use crate::index::{ResolveError, Wanted};

/// Where a plugin is to come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// One of our registries.
    Registry {
        /// Which one.
        registry: RegistryApi,
        /// Which plugin.
        wanted: Wanted,
    },
    /// Any OCI registry.
    Oci(OciReference),
    /// A component's file; its statement is the file beside it whose name ends in `.sig` besides.
    File(PathBuf),
    /// A folder that [`super::bundle::write`], or any tool for OCI layouts, has written.
    Bundle {
        /// The folder.
        folder: PathBuf,
        /// Which plugin.
        wanted: Wanted,
    },
}

/// A text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// It begins with `oci://` and does not go on so.
    #[error(transparent)]
    Reference(#[from] super::InvalidReference),
    /// It is no `NAME@RANGE`.
    #[error(transparent)]
    Wanted(#[from] ResolveError),
    /// It is `NAME@RANGE`, but there is no registry.
    #[error(
        "{0} is a plugin of a registry, and none is set; set ONEROUTER_REGISTRY_URL, or name a file or oci://…"
    )]
    NoRegistry(Wanted),
}

impl Source {
    /// Reads what a person typed: `oci://…`, a path (with a slash, or ending in `.wasm`), or
    /// `NAME[@RANGE]` of `registry`.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str, registry: Option<&RegistryApi>) -> Result<Self, InvalidSource> {
        if text.starts_with("oci://") {
            return Ok(Self::Oci(text.parse()?));
        }
        let is_path = text.contains(std::path::is_separator);
        let is_component = std::path::Path::new(text)
            .extension()
            .is_some_and(|extension| extension == "wasm");
        if is_path || is_component {
            return Ok(Self::File(text.into()));
        }
        let wanted: Wanted = text.parse()?;
        match registry {
            Some(registry) => Ok(Self::Registry {
                registry: registry.clone(),
                wanted,
            }),
            None => Err(InvalidSource::NoRegistry(wanted)),
        }
    }
}
