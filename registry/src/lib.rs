//! The marketplace: signed packages, the signed index, the registry service, and its client.
//!
//! A plugin is one WebAssembly component. What travels with it is a [`Statement`], signed with its
//! publisher's key: this component is this version of this plugin. A registry keeps the components
//! as OCI artefacts, and an append-only signed log of who publishes what, so that a client notices
//! when it is shown another history than before.
//!
//! - [`Digest`], [`KeyPair`], [`PublicKey`], [`KeyId`], [`Envelope`]: what signatures are made of
//! - [`Statement`], [`verify`]: what a publisher signs, and all that is checked before it is believed
//! - [`index`]: the log, its head, what a client makes of it, the choice of a version
//! - [`names`], [`evolution`]: which names and which changes a registry refuses
//! - [`package`]: a component as an OCI image, its statement as a referrer
//! - [`server`]: the service, to be mounted into any axum router
//! - [`client`]: gets plugins from registries, files and bundles; publishes them
//!
//! ```
//! use chrono::{TimeDelta, Utc};
//! use onerouter_registry::{Digest, Envelope, KeyPair, Statement};
//!
//! let key = KeyPair::generate();
//! let now = Utc::now();
//! let statement = Statement {
//!     name: "acme-texts".to_owned().try_into().unwrap(),
//!     version: "1.0.0".parse().unwrap(),
//!     component: Digest::of(b"the component's bytes"),
//!     publisher: key.public(),
//!     issued: now,
//!     expires: now + TimeDelta::days(365),
//! };
//! let sidecar = statement.sign(&key).unwrap().to_json();
//! let read = Statement::open(&sidecar).unwrap();
//! assert_eq!(read.statement().version.to_string(), "1.0.0");
//! ```

#![forbid(unsafe_code)]

mod clock;
mod digest;
mod envelope;
mod keys;
mod statement;
mod trust;
mod verify;

pub mod client;
pub mod evolution;
pub mod index;
pub mod names;
pub mod package;
pub mod server;

pub use clock::{Clock, SystemClock};
pub use digest::{Digest, InvalidDigest};
pub use envelope::{Envelope, EnvelopeError, WrongSignature};
pub use keys::{InvalidKey, KeyFileError, KeyId, KeyPair, PublicKey};
pub use statement::{
    LIFETIME_MAX, STATEMENT_BYTES_MAX, STATEMENT_TYPE, SignError, SignedStatement, Statement,
    StatementError, is_publishable,
};
pub use trust::{KeyList, KeyStanding, Trust, TrustedBy};
pub use verify::{CLOCK_SKEW, Check, Listing, Verified, VerifyError, verify};
