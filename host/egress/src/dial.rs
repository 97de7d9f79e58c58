//! From an origin to a connection: resolve, check, dial, TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::address::is_public;
use crate::client::EgressError;
use crate::config::EgressConfig;
use crate::connection::Connection;
use crate::message::{Origin, Unreachable};
use crate::resolve::Resolve;
use crate::stream::{Stream, Tcp};

/// Addresses of one name that are tried, one after another.
const ADDRESSES_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct Dialer {
    resolver: Arc<dyn Resolve>,
    tls: Arc<ClientConfig>,
    connect_timeout: Duration,
}

/// Where a connection leads, and under which guard it was made. Connections are shared between
/// requests of the same route only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    pub(crate) origin: Origin,
    pub(crate) guard: Guard,
}

/// Whether the address guards hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Guard {
    /// Public addresses only.
    Public,
    /// Named or allowed by the operator.
    Override,
}

impl Dialer {
    pub(crate) fn new(
        config: &EgressConfig,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, EgressError> {
        Ok(Self {
            resolver,
            tls: Arc::new(tls(config)?),
            connect_timeout: config.connect_timeout,
        })
    }

    pub(crate) async fn connect(&self, route: &Route) -> Result<Connection, Unreachable> {
        let origin = &route.origin;
        let connecting = async {
            let addresses = match route.guard {
                Guard::Public => self.public_addresses(origin).await?,
                Guard::Override => any_addresses(origin).await?,
            };
            let tcp = self.dial(&addresses).await?;
            let stream = if origin.tls {
                Stream::Tls(Box::new(self.secure(origin, tcp.clone()).await?))
            } else {
                Stream::Plain(tcp.clone())
            };
            Connection::open(stream, tcp).await
        };
        timeout(self.connect_timeout, connecting)
            .await
            .unwrap_or(Err(Unreachable::Timeout))
    }

    /// Addresses that passed the guard. Exactly these are dialled: a second look-up could answer
    /// otherwise.
    async fn public_addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, Unreachable> {
        if is_literal(&origin.host) {
            return Err(Unreachable::LiteralAddress);
        }
        let found = self.resolver.resolve(&origin.host).await.map_err(|error| {
            tracing::debug!(host = origin.host, %error, "a name does not resolve");
            Unreachable::Name
        })?;
        if found.is_empty() {
            return Err(Unreachable::Name);
        }
        let public: Vec<_> = found
            .into_iter()
            .filter(|address| is_public(*address))
            .map(|address| SocketAddr::new(address, origin.port))
            .collect();
        if public.is_empty() {
            tracing::warn!(host = origin.host, "a name resolves to no public address");
            return Err(Unreachable::NotPublic);
        }
        Ok(public)
    }

    async fn dial(&self, addresses: &[SocketAddr]) -> Result<Tcp, Unreachable> {
        // A dead address must not use up the time of the others.
        let share = self.connect_timeout / 2;
        for address in addresses.iter().take(ADDRESSES_MAX) {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY cannot be set");
                    }
                    return Ok(Tcp::new(stream));
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "cannot connect"),
                Err(_elapsed) => tracing::debug!(%address, "no connection in time"),
            }
        }
        Err(Unreachable::Connect)
    }

    async fn secure(
        &self,
        origin: &Origin,
        tcp: Tcp,
    ) -> Result<tokio_rustls::client::TlsStream<Tcp>, Unreachable> {
        let name = ServerName::try_from(bare(&origin.host).to_owned())
            .map_err(|_invalid| Unreachable::Tls)?;
        TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, tcp)
            .await
            .map_err(|error| {
                tracing::debug!(host = origin.host, %error, "the TLS handshake failed");
                Unreachable::Tls
            })
    }
}

async fn any_addresses(origin: &Origin) -> Result<Vec<SocketAddr>, Unreachable> {
    let host = bare(&origin.host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, origin.port)]);
    }
    lookup_host((host, origin.port))
        .await
        .map(Iterator::collect)
        .map_err(|error| {
            tracing::debug!(host, %error, "the name of an override does not resolve");
            Unreachable::Name
        })
}

/// Any notation of an address, the odd ones included: whatever a URL parser would not take for a
/// name.
fn is_literal(host: &str) -> bool {
    !matches!(url::Host::parse(host), Ok(url::Host::Domain(_)))
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn tls(config: &EgressConfig) -> Result<ClientConfig, EgressError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for root in &config.extra_roots {
        roots.add(root.clone()).map_err(EgressError::Tls)?;
    }
    // Named here, so that no process-wide default has to be installed first.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(EgressError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // HTTP/1.1 only: one request at a time on a connection makes the count of bytes exact.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}
