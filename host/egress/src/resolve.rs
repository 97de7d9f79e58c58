//! Names to addresses.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};

/// The future of [`Resolve::resolve`].
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Finds the addresses of a name. What comes out is filtered by the client; an implementation need
/// not.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// Every address of `host`, those to be tried first in front.
    ///
    /// The future's error: the name does not exist, or the name servers do not answer.
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a>;
}

/// Asks the name servers of the machine's configuration, and keeps their answers for as long as
/// they allow, up to five minutes.
pub struct SystemResolver {
    /// Made on first use: a machine without name servers may still work with overrides alone.
    resolver: OnceLock<TokioResolver>,
    configure: Configure,
}

type Builder = ResolverBuilder<TokioRuntimeProvider>;
type Configure = Box<dyn Fn() -> Result<Builder, NetError> + Send + Sync>;

const ANSWERS_KEPT_MAX: Duration = Duration::from_secs(300);
/// That there is no such name is asked again each time. Providers' names exist; when one is not
/// found, something is broken for a moment, and the zone's own idea of how long to remember that,
/// an hour or a day, would make it last.
const FAILURES_KEPT_MAX: Duration = Duration::ZERO;

impl SystemResolver {
    fn new(configure: Configure) -> Self {
        Self {
            resolver: OnceLock::new(),
            configure,
        }
    }

    fn build(&self) -> Option<TokioResolver> {
        let mut builder = (self.configure)()
            .inspect_err(
                |error| tracing::warn!(%error, "the name servers' configuration is not readable"),
            )
            .ok()?;
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.positive_max_ttl = Some(ANSWERS_KEPT_MAX);
        options.negative_max_ttl = Some(FAILURES_KEPT_MAX);
        builder
            .build()
            .inspect_err(|error| tracing::warn!(%error, "the resolver cannot start"))
            .ok()
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new(Box::new(TokioResolver::builder_tokio))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let resolver = match self.resolver.get() {
                Some(resolver) => resolver,
                None => {
                    // A failure is not kept: the configuration may be readable the next time.
                    let made = self
                        .build()
                        .ok_or_else(|| io::Error::other("no name servers are configured"))?;
                    self.resolver.get_or_init(|| made)
                }
            };
            // The dot at the end keeps the machine's search domains out.
            let found = resolver
                .lookup_ip(format!("{host}."))
                .await
                .map_err(io::Error::other)?;
            Ok(found.iter().collect())
        })
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemResolver")
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hickory_resolver::config::{NameServerConfig, ResolverConfig};
    use tokio::net::UdpSocket;

    use super::*;

    const FOUND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
    const HOUR: [u8; 4] = 3_600_u32.to_be_bytes();

    /// What a name server says.
    #[derive(Clone, Copy)]
    enum Says {
        /// There is no such name, and there will be none for an hour.
        NoSuchName,
        /// It could not find out.
        Failure,
        /// The name has one address.
        Address,
    }

    /// A name server that answers the first two queries, one for each kind of address, in one way,
    /// and all others with an address.
    struct NameServer {
        socket: UdpSocket,
        first: Says,
        asked: Arc<AtomicUsize>,
    }

    impl NameServer {
        async fn serve(self) -> io::Result<()> {
            let mut packet = [0; 512];
            loop {
                let (length, peer) = self.socket.recv_from(&mut packet).await?;
                let says = match self.asked.fetch_add(1, Ordering::SeqCst) {
                    0 | 1 => self.first,
                    _ => Says::Address,
                };
                let answer = answer(&packet[..length], says);
                self.socket.send_to(&answer, peer).await?;
            }
        }
    }

    /// RFC 1035, section 4.
    fn answer(query: &[u8], says: Says) -> Vec<u8> {
        let mut name_end = 12;
        while query[name_end] != 0 {
            name_end += usize::from(query[name_end]) + 1;
        }
        let question = &query[12..name_end + 5];
        let is_ipv4 = question[question.len() - 4..][..2] == [0, 1];
        let (code, records, authorities) = match says {
            Says::NoSuchName => (3, 0, 1),
            Says::Failure => (2, 0, 0),
            Says::Address if is_ipv4 => (0, 1, 0),
            Says::Address => (0, 0, 1),
        };
        let mut answer = query[..2].to_vec();
        answer.extend([0x85, 0x80 | code, 0, 1, 0, records, 0, authorities, 0, 0]);
        answer.extend(question);
        if records == 1 {
            // The name of the question, its type and class, how long it may be kept.
            answer.extend([0xc0, 12, 0, 1, 0, 1]);
            answer.extend(HOUR);
            answer.extend([0, 4]);
            answer.extend(FOUND.octets());
        }
        if authorities == 1 {
            // The zone's: of the root, with no names and an hour in every field.
            answer.extend([0, 0, 6, 0, 1]);
            answer.extend(HOUR);
            answer.extend([0, 22, 0, 0]);
            answer.extend(HOUR.repeat(5));
        }
        answer
    }

    async fn asking(first: Says) -> (SystemResolver, Arc<AtomicUsize>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let server = NameServer {
            socket,
            first,
            asked: Arc::clone(&asked),
        };
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        let _serving = tokio::spawn(server.serve());
        let resolver = SystemResolver::new(Box::new(move || {
            let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
            server.connections[0].port = port;
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            let provider = TokioRuntimeProvider::default();
            let mut builder = TokioResolver::builder_with_config(config, provider);
            // One query of each kind is one look.
            builder.options_mut().attempts = 0;
            Ok(builder)
        }));
        (resolver, asked)
    }

    #[tokio::test]
    async fn a_name_that_was_not_found_is_looked_for_again_at_once() {
        for first in [Says::NoSuchName, Says::Failure] {
            let (resolver, _asked) = asking(first).await;
            assert!(resolver.resolve("api.example.com").await.is_err());
            let found = resolver.resolve("api.example.com").await.unwrap();
            assert_eq!(found, [FOUND]);
        }
    }

    #[tokio::test]
    async fn a_name_that_was_found_is_kept() {
        let (resolver, asked) = asking(Says::Address).await;
        assert_eq!(resolver.resolve("api.example.com").await.unwrap(), [FOUND]);
        let queries = asked.load(Ordering::SeqCst);
        assert_eq!(resolver.resolve("api.example.com").await.unwrap(), [FOUND]);
        assert!(
            asked.load(Ordering::SeqCst) <= queries + 1,
            "only what there is none of is asked again"
        );
    }

    #[tokio::test]
    async fn a_configuration_that_was_not_readable_is_read_again() {
        let read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let resolver = SystemResolver::new(Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Err(NetError::from("not readable"))
        }));
        for times in 1..=2 {
            assert!(resolver.resolve("api.example.com").await.is_err());
            assert_eq!(read.load(Ordering::SeqCst), times);
        }
    }
}
