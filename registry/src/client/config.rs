//! What a client may do, and with whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

/// What a client knows and allows.
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    /// Credentials by registry: `host` or `host:port`, as in a reference.
    pub credentials: BTreeMap<String, Credentials>,
    /// By registry (`host` or `host:port`): hosts, besides its own, that its answers may lead to:
    /// where it keeps blobs, or who gives out its tokens (`auth.docker.io` for Docker Hub). Only over
    /// HTTPS.
    pub other_hosts: BTreeMap<String, BTreeSet<String>>,
    /// Registries that may be spoken to without TLS, besides those on loopback: `host` or
    /// `host:port`.
    pub plain_http: BTreeSet<String>,
    /// Bounds.
    pub limits: ClientLimits,
}

/// How to log in to a registry.
#[derive(Clone)]
pub struct Credentials {
    /// The user's name. Our registries do not look at it.
    pub username: String,
    /// The password, or a token.
    pub password: SecretString,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What an answer may cost.
#[derive(Debug, Clone)]
pub struct ClientLimits {
    /// Of a component. As much as a gateway loads.
    pub component_bytes_max: usize,
    /// Of a manifest, a list of referrers, a page of the API.
    pub document_bytes_max: usize,
    /// Of a whole index, as it is kept in memory: its entries, and 64 bytes for each.
    pub index_bytes_max: usize,
    /// To connect.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub idle_timeout: Duration,
    /// For everything together, and for each request of those who ask for one thing only.
    pub total_timeout: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            component_bytes_max: 32 << 20,
            document_bytes_max: 4 << 20,
            index_bytes_max: 256 << 20,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(300),
        }
    }
}
