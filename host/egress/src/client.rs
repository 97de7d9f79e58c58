//! The client itself.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};

use crate::config::{Addresses, EgressConfig};
use crate::connection::{Failed, WireRequest};
use crate::dial::{Dialer, Guard, Route};
use crate::message::{Answer, Origin, OutboundRequest, SendError, Unreachable, Wanted};
use crate::pool::Pool;
use crate::resolve::{Resolve, SystemResolver};
use crate::upstreams::{Upstream, Upstreams};

/// Sent where the adapter names none; some providers refuse requests without one.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("onerouter/", env!("CARGO_PKG_VERSION")));

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// The client cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A root certificate or the protocol versions are not acceptable.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// The client. One per process, shared.
#[derive(Debug)]
pub struct Egress {
    upstreams: Upstreams,
    guard: Guard,
    dialer: Dialer,
    pool: Pool,
}

impl Egress {
    /// A client with the name servers of the machine's configuration.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        Self::with_resolver(config, Arc::new(SystemResolver::default()))
    }

    /// A client that asks `resolver` for addresses.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn with_resolver(
        config: EgressConfig,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, EgressError> {
        Ok(Self {
            dialer: Dialer::new(&config, resolver)?,
            pool: Pool::new(&config),
            guard: match config.addresses {
                Addresses::Public => Guard::Public,
                Addresses::Any => Guard::Override,
            },
            upstreams: config.upstreams,
        })
    }

    /// Sends one request, once, and reads the whole answer.
    ///
    /// Dropping the future closes the connection; `request.written` then says whether the request
    /// had left.
    ///
    /// # Errors
    /// [`SendError`]: there is no complete answer. [`SendError::written`] says whether the request
    /// may have reached anybody.
    pub async fn send(
        &self,
        request: OutboundRequest,
        deadline: Instant,
    ) -> Result<Answer, SendError> {
        let wanted = Wanted::Whole {
            bytes_max: request.answer_bytes_max,
        };
        self.send_and_read(request, wanted, deadline).await
    }

    /// The same where the status is what matters: the body is cut after `answer_bytes_max`, and where
    /// it does not come soon, and may be encoded.
    ///
    /// # Errors
    /// [`SendError`]: there is no answer, not even the head of one.
    pub async fn send_for_start(
        &self,
        request: OutboundRequest,
        deadline: Instant,
    ) -> Result<Answer, SendError> {
        let wanted = Wanted::Start {
            bytes: usize::try_from(request.answer_bytes_max).unwrap_or(usize::MAX),
        };
        self.send_and_read(request, wanted, deadline).await
    }

    async fn send_and_read(
        &self,
        request: OutboundRequest,
        wanted: Wanted,
        deadline: Instant,
    ) -> Result<Answer, SendError> {
        if deadline <= Instant::now() {
            return Err(SendError::TimedOut { written: false });
        }
        let written = request.written.clone();
        timeout_at(deadline, self.exchange(request, wanted))
            .await
            .unwrap_or_else(|_elapsed| {
                Err(SendError::TimedOut {
                    written: written.any(),
                })
            })
    }

    /// Closes connections that have been idle for too long. They would be closed when they are
    /// next looked at; call this now and then so that it happens without traffic too.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// Idle connections at the moment.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.pool.len()
    }

    async fn exchange(
        &self,
        request: OutboundRequest,
        wanted: Wanted,
    ) -> Result<Answer, SendError> {
        let written = request.written.clone();
        let upstream = self.upstreams.get(&request.origin.host);
        let (mut wire, route) = wire(request, upstream, self.guard);
        if let Some(mut connection) = self.pool.take(&route) {
            match connection.exchange(wire, wanted, &written).await {
                Ok((answer, reusable)) => {
                    if reusable {
                        self.pool.put(route, connection);
                    }
                    return Ok(answer);
                }
                // It had died while idle, and nothing of this request was written to it.
                Err(Failed::Unsent(unsent)) => wire = *unsent,
                Err(Failed::For(error)) => return Err(error),
            }
        }
        let mut connection = self.dialer.connect(&route).await?;
        match connection.exchange(wire, wanted, &written).await {
            Ok((answer, reusable)) => {
                if reusable {
                    self.pool.put(route, connection);
                }
                Ok(answer)
            }
            Err(Failed::Unsent(_)) => Err(Unreachable::Connect.into()),
            Err(Failed::For(error)) => Err(error),
        }
    }
}

/// The request as it is written, and where to.
fn wire(
    request: OutboundRequest,
    upstream: Option<&Upstream>,
    guard: Guard,
) -> (WireRequest, Route) {
    let host = host_header(&request.origin);
    let (target, route) = match upstream {
        None => {
            let route = Route {
                origin: request.origin,
                guard,
            };
            (request.target, route)
        }
        Some(upstream) => {
            let route = Route {
                origin: upstream.origin.clone(),
                guard: Guard::Override,
            };
            (prefixed(&upstream.path_prefix, request.target), route)
        }
    };
    let mut wire = Request::new(Full::new(request.body));
    *wire.method_mut() = request.method;
    *wire.uri_mut() = Uri::from(target);
    *wire.headers_mut() = request.headers;
    let headers = wire.headers_mut();
    if let Some(host) = host {
        headers.insert(HOST, host);
    }
    headers.insert(ACCEPT_ENCODING, IDENTITY);
    headers.entry(USER_AGENT).or_insert(AGENT);
    (wire, route)
}

/// None only for a host that is no name; the dialler refuses it.
fn host_header(origin: &Origin) -> Option<HeaderValue> {
    if origin.has_default_port() {
        HeaderValue::from_str(&origin.host).ok()
    } else {
        HeaderValue::try_from(format!("{}:{}", origin.host, origin.port)).ok()
    }
}

/// Falls back to the bare target where the two do not make a path, which a prefix out of a URL and
/// a checked target always do.
fn prefixed(prefix: &str, target: PathAndQuery) -> PathAndQuery {
    if prefix.is_empty() {
        return target;
    }
    PathAndQuery::try_from(format!("{prefix}{target}")).unwrap_or(target)
}
