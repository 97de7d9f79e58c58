//! Plugins of this installation: installed, activated, tried on some, taken back, removed, while traffic
//! flows.
//!
//! What is wanted stands in the database, numbered by generations; every node follows it (`following`).
//! A version gets there by `install` alone, whether a person asks for it, on the command line or over the
//! API, or a file is put into the watched folder (`folder`):
//!
//! | state | means |
//! | --- | --- |
//! | `fetched` | its bytes are here, and of the shape of a plugin |
//! | `verified` | whoever signed it may, and is trusted (`trust`) |
//! | `compiled` | its imports, exports, types and demands fit this host |
//! | `probed` | an instance of it starts |
//! | `staged` | it is installed, and serves nobody yet |
//! | `active`, `canary` | it serves everybody, or some |
//! | `draining` | calls that began on it run to their end |
//! | `retired` | it served, and does no more |
//! | `quarantined` | it is not to serve, and why |
//!
//! Up to `probed` nothing is written: what is refused leaves nothing behind, and what serves goes on.
//! What a version would do otherwise is told before it serves by `shadow`. Whether one that serves is worse
//! than the one before is watched by `regression`; what becomes of its key, and what its registry says of it
//! later, by `keys` and `standing`.

mod agreement;
mod desired;
mod folder;
mod following;
mod install;
mod keys;
mod listing;
mod marketplace;
mod regression;
mod shadow;
mod standing;
mod trust;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::NodeId;
use onerouter_engine::{Adapters, Engine};
use onerouter_registry::client::{Client, RegistryApi};

use self::following::Following;
use super::audit::{Actor, Proof};
use super::caller::Operator;
use super::changes::Changes;
use super::recordings::Recordings;
use super::refusal::{FieldMistake, Refusal};
use crate::clock::Clock;
use crate::config::PluginTrust;
use crate::ids;
use crate::store::{DEFAULT_TENANT, Store};

pub use self::agreement::Asked;
pub use self::desired::{Activation, CanaryShare, Target};
pub use self::folder::Folder;
pub use self::install::{Install, InstallSource, Installed, Step};
pub use self::keys::{PublisherKey, TrustedFor};
pub use self::listing::{InstalledPlugin, InstalledVersion, NodeStanding, VersionState};
pub use self::marketplace::MarketplaceSearch;
pub use self::shadow::{CALLS_MAX, ShadowCheck, ShadowedCall};
pub use self::standing::{VersionWarning, WarningKind};

/// What plugins are managed with.
#[derive(Debug)]
pub struct PluginParts {
    /// Rows.
    pub store: Store,
    /// Compiles and tries.
    pub engine: Engine,
    /// What serves on this node.
    pub adapters: Arc<Adapters>,
    /// Tells other nodes.
    pub changes: Arc<Changes>,
    /// Times.
    pub clock: Clock,
    /// Calls to try versions with; none where nobody wants to.
    pub recordings: Option<Recordings>,
    /// Whose plugins run here.
    pub trust: PluginTrust,
    /// The marketplace registry.
    pub registry: Option<RegistryApi>,
    /// Gets plugins.
    pub client: Client,
    /// Where the copy of the registry's index is kept.
    pub data_dir: PathBuf,
    /// Watched for plugins.
    pub folder: PathBuf,
    /// Whether calls are served here.
    pub role: PluginRole,
}

/// What a program does with plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginRole {
    /// It is a node: it follows what is wanted, and says how far it is.
    Serves,
    /// It changes what is wanted, and nodes follow.
    Manages,
}

/// Manages plugins. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Plugins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: PluginParts,
    node: NodeId,
    following: tokio::sync::Mutex<Following>,
    /// Files of the watched folder that were refused, and why.
    refused: Mutex<BTreeMap<PathBuf, String>>,
    /// One shadow check at a time.
    shadowing: tokio::sync::Mutex<()>,
}

impl Plugins {
    /// Nothing is loaded yet: see [`Plugins::follow`].
    #[must_use]
    pub fn new(parts: PluginParts) -> Self {
        let following = Following::begun(parts.clock.now());
        Self(Arc::new(Inner {
            parts,
            node: NodeId::from_uuid(ids::next()),
            following: tokio::sync::Mutex::new(following),
            refused: Mutex::default(),
            shadowing: tokio::sync::Mutex::default(),
        }))
    }

    fn parts(&self) -> &PluginParts {
        &self.0.parts
    }

    /// Files of the watched folder that were refused, and why.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<PathBuf, String> {
        let refused = self.0.refused.lock();
        refused.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The gateway itself, where nobody has asked.
fn gateway() -> Operator {
    Operator {
        tenant: DEFAULT_TENANT,
        actor: Actor {
            proof: Proof::Gateway,
            address: None,
            request: None,
        },
    }
}

/// A request about plugins that breaks a rule.
fn invalid(pointer: &str, code: &'static str, detail: impl Into<String>) -> Refusal {
    Refusal::invalid(vec![FieldMistake::new(pointer, code, detail)])
}

fn conflict(detail: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::Conflict, detail)
}

fn invalid_state(detail: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidState, detail)
}
