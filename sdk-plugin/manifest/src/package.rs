//! A manifest in and out of a component.

use std::borrow::Cow;

use wasm_encoder::{ComponentSection as _, CustomSection, Encode};
use wasmparser::{Parser, Payload};

use crate::capability::Capability;
use crate::check::{self, ManifestError};
use crate::format::Manifest;
use crate::surface::{Surface, SurfaceError};

/// Name of the custom section.
pub const SECTION: &str = "onerouter:manifest";

/// A larger manifest is refused.
pub const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// A component, looked at without running it.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// What it says about itself.
    pub manifest: Manifest,
    /// What it can do, derived from its exports.
    pub capabilities: Vec<Capability>,
}

/// Why a component cannot be packed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PackError {
    /// The component is not acceptable.
    #[error(transparent)]
    Surface(#[from] SurfaceError),
    /// The manifest is not acceptable.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There is one already.
    #[error("the component already carries a manifest; pack the file that the compiler wrote")]
    AlreadyPacked,
    /// Too much of it.
    #[error("the manifest has {0} bytes; {MANIFEST_BYTES_MAX} are allowed")]
    TooLarge(usize),
}

/// Why a component is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnpackError {
    /// Imports or exports that the host does not know, or no component at all.
    #[error(transparent)]
    Surface(#[from] SurfaceError),
    /// A manifest that breaks the rules.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// None.
    #[error("the component carries no manifest; embed one with `onerouter plugin pack`")]
    Missing,
    /// Two, and no way to know which was meant.
    #[error("the component carries more than one manifest")]
    Ambiguous,
    /// Too much of it.
    #[error("the manifest has {0} bytes; {MANIFEST_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// The component was changed after it was packed, or the manifest lies.
    #[error("the manifest says that the component {list} [{claimed}], but it {list} [{real}]")]
    Disagrees {
        /// `imports` or `exports`.
        list: &'static str,
        /// What the manifest says.
        claimed: String,
        /// What is there.
        real: String,
    },
}

/// Embeds `manifest` in `component`, with the component's imports and exports written into it.
///
/// # Errors
/// The component does not fit the host, carries a manifest already, or the manifest grows too large.
pub fn pack(component: &[u8], mut manifest: Manifest) -> Result<Vec<u8>, PackError> {
    let surface = Surface::read(component)?;
    check::webhook(&manifest, &surface.capabilities()?)?;
    if !sections(component)?.is_empty() {
        return Err(PackError::AlreadyPacked);
    }
    manifest.imports = surface.imports;
    manifest.exports = surface.exports;
    let json =
        serde_json::to_vec(&manifest).map_err(|error| ManifestError::Syntax(error.to_string()))?;
    if json.len() > MANIFEST_BYTES_MAX {
        return Err(PackError::TooLarge(json.len()));
    }
    let section = CustomSection {
        name: Cow::Borrowed(SECTION),
        data: Cow::Owned(json),
    };
    let mut packed = component.to_vec();
    packed.push(section.id());
    section.encode(&mut packed);
    Ok(packed)
}

/// Reads the manifest of a component and holds it against what is really there.
///
/// # Errors
/// Anything that makes the component unfit for the host, with a reason that a person can act on.
pub fn unpack(component: &[u8]) -> Result<Unpacked, UnpackError> {
    let surface = Surface::read(component)?;
    let found = sections(component)?;
    let json = match found.as_slice() {
        [] => return Err(UnpackError::Missing),
        [json] => *json,
        [_, _, ..] => return Err(UnpackError::Ambiguous),
    };
    if json.len() > MANIFEST_BYTES_MAX {
        return Err(UnpackError::TooLarge(json.len()));
    }
    let manifest = Manifest::from_json(json)?;
    agrees("imports", &manifest.imports, &surface.imports)?;
    agrees("exports", &manifest.exports, &surface.exports)?;
    let capabilities = surface.capabilities()?;
    check::webhook(&manifest, &capabilities)?;
    Ok(Unpacked {
        manifest,
        capabilities,
    })
}

fn agrees(list: &'static str, claimed: &[String], real: &[String]) -> Result<(), UnpackError> {
    if claimed == real {
        return Ok(());
    }
    Err(UnpackError::Disagrees {
        list,
        claimed: claimed.join(", "),
        real: real.join(", "),
    })
}

/// Contents of the manifest sections at the component's top level.
fn sections(component: &[u8]) -> Result<Vec<&[u8]>, SurfaceError> {
    let mut found = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| SurfaceError::Malformed(error.to_string()))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth = depth.saturating_add(1);
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                found.push(section.data());
            }
            _ => {}
        }
    }
    Ok(found)
}
