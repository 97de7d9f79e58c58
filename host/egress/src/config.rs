//! What the operator decides about outbound requests.

use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::upstreams::Upstreams;

/// Which addresses may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addresses {
    /// Public ones, found by a name.
    #[default]
    Public,
    /// Any, also where they stand in the place of a name: the operator trusts whoever names them.
    Any,
}

/// Settings of an [`crate::Egress`].
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// Where requests for a host go instead. The address guards are skipped for exactly these.
    pub upstreams: Upstreams,
    /// Which addresses may be dialled for all others.
    pub addresses: Addresses,
    /// Certificate authorities besides the public ones, for private upstreams and tests.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// For DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// An idle connection is not used again after this. Shorter than what servers allow, so that
    /// it is us who close first: a request written to a connection that the server has just
    /// closed has an unknown outcome.
    pub idle_timeout: Duration,
    /// Idle connections kept for one origin.
    pub idle_per_origin: usize,
    /// Idle connections kept altogether.
    pub idle_total: usize,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            upstreams: Upstreams::default(),
            addresses: Addresses::default(),
            extra_roots: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(20),
            idle_per_origin: 64,
            idle_total: 1_024,
        }
    }
}
