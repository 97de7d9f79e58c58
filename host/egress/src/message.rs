//! What is sent, and what comes back.

use std::fmt;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};

use crate::written::Written;

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `https`, or else `http`.
    pub tls: bool,
    /// Name in lower case.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Origin {
    /// `https` on port 443.
    #[must_use]
    pub fn https(host: impl Into<String>) -> Self {
        Self {
            tls: true,
            host: host.into(),
            port: 443,
        }
    }

    /// Whether the port goes without saying.
    pub(crate) fn has_default_port(&self) -> bool {
        self.port == if self.tls { 443 } else { 80 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.has_default_port() {
            return Ok(());
        }
        write!(f, ":{}", self.port)
    }
}

/// One request. `Debug` shows neither the query nor headers nor the body: they hold secrets.
pub struct OutboundRequest {
    /// Method.
    pub method: Method,
    /// Where to.
    pub origin: Origin,
    /// Path and query.
    pub target: PathAndQuery,
    /// Headers. `Host` and `Accept-Encoding` are set by the client, whatever stands here.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// A larger answer is refused by [`crate::Egress::send`], and cut by
    /// [`crate::Egress::send_for_start`].
    pub answer_bytes_max: u64,
    /// Counts what is written; keep a clone.
    pub written: Written,
}

impl fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundRequest")
            .field("method", &self.method)
            .field("origin", &self.origin)
            .field("path", &self.target.path())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status, 200 and above.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// How much of an answer is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// All of it; a larger one is refused.
    Whole {
        /// Bytes of the body.
        bytes_max: u64,
    },
    /// Its status and headers, and of the body what comes soon.
    Start {
        /// Bytes of the body.
        bytes: usize,
    },
}

/// There is no complete answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No connection. Nothing was written.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The connection broke, or what came back is no acceptable answer.
    #[error("{why}")]
    Interrupted {
        /// Whether the first byte of the request was written.
        written: bool,
        /// What happened.
        why: Interruption,
    },
    /// The answer is larger than allowed.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The deadline came first.
    #[error("no complete answer in time")]
    TimedOut {
        /// Whether the first byte of the request was written.
        written: bool,
    },
}

impl SendError {
    /// Whether the first byte of the request was written.
    #[must_use]
    pub fn written(&self) -> bool {
        match self {
            Self::Unreachable(_) => false,
            Self::Interrupted { written, .. } | Self::TimedOut { written } => *written,
            Self::TooLarge { .. } => true,
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// A literal address where a name is expected.
    #[error("the host is an address, not a name")]
    LiteralAddress,
    /// The name servers know no address.
    #[error("the host's name does not resolve")]
    Name,
    /// Every address is private, reserved or local.
    #[error("the host's name resolves to no public address")]
    NotPublic,
    /// Nobody accepts a connection.
    #[error("no connection to the host")]
    Connect,
    /// The TLS handshake failed.
    #[error("no TLS session with the host")]
    Tls,
    /// DNS, TCP and TLS together took too long.
    #[error("no connection to the host in time")]
    Timeout,
}

/// Why an exchange ended without a complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Interruption {
    /// Closed or reset.
    #[error("the connection broke before the answer was complete")]
    Broken,
    /// Not HTTP/1.1, or with too many or too large headers.
    #[error("the answer is not valid HTTP")]
    Malformed,
    /// An informational status as the final one.
    #[error("the answer has no final status")]
    NotFinal,
    /// Compressed although nobody asked for it.
    #[error("the answer has a content encoding, which was not asked for")]
    Encoded,
    /// Neither a length nor chunks, and no TLS that would show a cut.
    #[error("the answer does not say where it ends")]
    Unbounded,
}
