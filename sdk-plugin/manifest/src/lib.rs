//! The plugin manifest: what an adapter says about itself, readable without running it.
//!
//! An author writes `plugin.toml`. [`pack`] checks it, adds the component's real imports and
//! exports, and embeds the result as JSON in the custom section `onerouter:manifest`. A host calls
//! [`unpack`], which reads the section, checks everything again and refuses a component whose real
//! imports and exports are not the ones that the manifest names.
//!
//! - [`Manifest`] and its parts: the format
//! - [`Capability`]: what an adapter can do, derived from its exports
//! - [`Surface`]: the real imports and exports of a component
//! - [`permissions`]: what a version may do, and what it may do more than another
//! - [`pack`], [`unpack`]: in and out of a component
//!
//! ```
//! let manifest = onerouter_manifest::Manifest::from_toml(r#"
//!     manifest = 1
//!     id = "acme-texts"
//!     version = "1.0.0"
//!     publisher = "acme"
//!     name = "Acme Texts"
//!     license = "MIT"
//!
//!     [[outbound]]
//!     host = "api.acme.example"
//!     path_prefix = "/v1/"
//!     methods = ["GET", "POST"]
//! "#).unwrap();
//! assert_eq!(manifest.id.as_str(), "acme-texts");
//! ```

mod capability;
mod check;
mod format;
mod package;
pub mod permissions;
mod surface;
mod webhook;

pub use capability::{Capability, Category};
pub use check::{ManifestError, Mistake};
pub use format::{
    Attachment, BatchRule, ConnectionEnvironment, CredentialField, FieldKind, IdempotencyRule,
    Limits, Manifest, NotProcessed, OperationRule, OutboundRule, PluginId, Price, SettingField,
    SettingRole, Signature, SignatureAlgorithm, SignatureEncoding,
};
pub use package::{MANIFEST_BYTES_MAX, PackError, SECTION, UnpackError, Unpacked, pack, unpack};
pub use surface::{Surface, SurfaceError};
pub use webhook::{ProviderCheck, Webhook, WebhookSignature};
