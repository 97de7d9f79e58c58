//! Names to addresses.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::time::{Instant, timeout};

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
    ipv4_only: Ipv4Only,
}

type Builder = ResolverBuilder<TokioRuntimeProvider>;
type Configure = Box<dyn Fn() -> Result<Builder, NetError> + Send + Sync>;

const ANSWERS_KEPT_MAX: Duration = Duration::from_secs(300);
/// That there is no such name is asked again each time. Providers' names exist; when one is not
/// found, something is broken for a moment, and the zone's own idea of how long to remember that,
/// an hour or a day, would make it last.
const FAILURES_KEPT_MAX: Duration = Duration::ZERO;
/// That a name with IPv4 addresses has no others is remembered for so long. Most providers have
/// none, and a new connection must not wait for a name server to say so once more.
const IPV4_ONLY_KEPT: Duration = Duration::from_secs(5);
/// Names of which that is remembered. More than providers have; beyond it, names are asked again.
const IPV4_ONLY_MAX: usize = 1_024;
/// Addresses of one kind wait so long for those of the other. Some name servers never answer when
/// asked for IPv6, and what is known already must not expire with the time to connect.
const OTHER_KIND_WAIT: Duration = Duration::from_millis(250);

impl SystemResolver {
    fn new(configure: Configure) -> Self {
        Self {
            resolver: OnceLock::new(),
            configure,
            ipv4_only: Ipv4Only::default(),
        }
    }

    fn build(&self) -> Option<TokioResolver> {
        let mut builder = (self.configure)()
            .inspect_err(
                |error| tracing::warn!(%error, "the name servers' configuration is not readable"),
            )
            .ok()?;
        let options = builder.options_mut();
        options.positive_max_ttl = Some(ANSWERS_KEPT_MAX);
        options.negative_max_ttl = Some(FAILURES_KEPT_MAX);
        builder
            .build()
            .inspect_err(|error| tracing::warn!(%error, "the resolver cannot start"))
            .ok()
    }

    /// IPv4 first: it works from everywhere.
    async fn find(&self, resolver: &TokioResolver, host: &str) -> Result<Vec<IpAddr>, NetError> {
        // The dot at the end keeps the machine's search domains out.
        let name = format!("{host}.");
        if self.ipv4_only.contains(host)
            && let Ok(found) = resolver.ipv4_lookup(name.as_str()).await
            && has_addresses(&found)
        {
            return Ok(addresses(&found).collect());
        }
        let (ipv4, ipv6) = both(
            resolver.ipv4_lookup(name.as_str()),
            resolver.ipv6_lookup(name.as_str()),
        )
        .await;
        match (ipv4, ipv6) {
            (Ok(ipv4), Ok(ipv6)) if has_addresses(&ipv6) => {
                Ok(addresses(&ipv4).chain(addresses(&ipv6)).collect())
            }
            (Ok(ipv4), _) if has_addresses(&ipv4) => {
                self.ipv4_only.insert(host);
                Ok(addresses(&ipv4).collect())
            }
            (_, Ok(found)) | (Ok(found), _) => Ok(addresses(&found).collect()),
            (Err(error), Err(_)) => Err(error),
        }
    }
}

type Found = Result<Lookup, NetError>;

/// What came of both look-ups.
async fn both(
    ipv4: impl Future<Output = Found>,
    ipv6: impl Future<Output = Found>,
) -> (Found, Found) {
    let (mut ipv4, mut ipv6) = (pin!(ipv4), pin!(ipv6));
    tokio::select! {
        found = &mut ipv4 => {
            let other = after(&found, ipv6).await;
            (found, other)
        }
        found = &mut ipv6 => {
            let other = after(&found, ipv4).await;
            (other, found)
        }
    }
}

/// The other look-up. Its end is awaited only if the first one was for nothing.
async fn after(first: &Found, other: impl Future<Output = Found>) -> Found {
    if first.as_ref().is_ok_and(has_addresses) {
        timeout(OTHER_KIND_WAIT, other)
            .await
            .unwrap_or(Err(NetError::Timeout))
    } else {
        other.await
    }
}

fn addresses(found: &Lookup) -> impl Iterator<Item = IpAddr> {
    found
        .answers()
        .iter()
        .filter_map(|record| record.data.ip_addr())
}

fn has_addresses(found: &Lookup) -> bool {
    addresses(found).next().is_some()
}

/// Names that had IPv4 addresses and no others, and until when that is believed.
#[derive(Default)]
struct Ipv4Only(Mutex<HashMap<String, Instant>>);

impl Ipv4Only {
    fn contains(&self, host: &str) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(host).is_some_and(|until| *until > Instant::now())
    }

    fn insert(&self, host: &str) {
        let now = Instant::now();
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= IPV4_ONLY_MAX {
            names.retain(|_, until| *until > now);
        }
        if names.len() < IPV4_ONLY_MAX {
            names.insert(host.to_owned(), now + IPV4_ONLY_KEPT);
        }
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
            self.find(resolver, host).await.map_err(io::Error::other)
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
    /// Longer than a test takes: nothing is answered because a query was given up.
    const ANSWER_TIMEOUT: Duration = Duration::from_secs(3_600);
    /// Ends a test that would wait for that.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// What a name server says.
    #[derive(Clone, Copy)]
    enum Says {
        /// There is no such name, and there will be none for an hour.
        NoSuchName,
        /// It could not find out.
        Failure,
        /// The name has one address, of the one kind.
        Address,
        /// The same, but whoever asks for the other kind is left waiting.
        AddressOrNothing,
    }

    /// A name server that answers the first two queries, one for each kind of address, in one way,
    /// and all others in another.
    struct NameServer {
        socket: UdpSocket,
        first: Says,
        then: Says,
        asked: Arc<AtomicUsize>,
    }

    impl NameServer {
        async fn serve(self) -> io::Result<()> {
            let mut packet = [0; 512];
            loop {
                let (length, peer) = self.socket.recv_from(&mut packet).await?;
                let says = match self.asked.fetch_add(1, Ordering::SeqCst) {
                    0 | 1 => self.first,
                    _ => self.then,
                };
                if let Some(answer) = answer(&packet[..length], says) {
                    self.socket.send_to(&answer, peer).await?;
                }
            }
        }
    }

    /// RFC 1035, section 4.
    fn answer(query: &[u8], says: Says) -> Option<Vec<u8>> {
        let mut name_end = 12;
        while query[name_end] != 0 {
            name_end += usize::from(query[name_end]) + 1;
        }
        let question = &query[12..name_end + 5];
        let is_ipv4 = question[question.len() - 4..][..2] == [0, 1];
        let (code, records, authorities) = match says {
            Says::NoSuchName => (3, 0, 1),
            Says::Failure => (2, 0, 0),
            Says::Address | Says::AddressOrNothing if is_ipv4 => (0, 1, 0),
            Says::Address => (0, 0, 1),
            Says::AddressOrNothing => return None,
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
        Some(answer)
    }

    async fn asking(first: Says, then: Says) -> (SystemResolver, Arc<AtomicUsize>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let server = NameServer {
            socket,
            first,
            then,
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
            let options = builder.options_mut();
            // One query of each kind is one look.
            options.attempts = 0;
            options.timeout = ANSWER_TIMEOUT;
            Ok(builder)
        }));
        (resolver, asked)
    }

    #[tokio::test]
    async fn a_name_that_was_not_found_is_looked_for_again_at_once() {
        for first in [Says::NoSuchName, Says::Failure] {
            let (resolver, _asked) = asking(first, Says::Address).await;
            assert!(resolver.resolve("api.example.com").await.is_err());
            let found = resolver.resolve("api.example.com").await.unwrap();
            assert_eq!(found, [FOUND]);
        }
    }

    #[tokio::test]
    async fn a_name_that_was_found_is_kept() {
        let (resolver, asked) = asking(Says::Address, Says::Failure).await;
        for _time in 0..3 {
            let found = resolver.resolve("api.example.com").await.unwrap();
            assert_eq!(found, [FOUND]);
        }
        let queries = asked.load(Ordering::SeqCst);
        assert_eq!(queries, 2, "that there is no IPv6 is remembered too");
    }

    #[tokio::test]
    async fn a_name_server_that_is_silent_about_ipv6_does_not_keep_ipv4_back() {
        let (resolver, asked) = asking(Says::AddressOrNothing, Says::AddressOrNothing).await;
        for _time in 0..2 {
            let resolving = resolver.resolve("api.example.com");
            let found = timeout(PATIENCE, resolving).await.expect("given up on");
            assert_eq!(found.unwrap(), [FOUND]);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_name_that_lost_its_ipv4_addresses_is_asked_for_the_others() {
        let (resolver, asked) = asking(Says::NoSuchName, Says::NoSuchName).await;
        resolver.ipv4_only.insert("api.example.com");
        assert!(resolver.resolve("api.example.com").await.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn names_are_remembered_up_to_a_bound() {
        let names = Ipv4Only::default();
        for number in 0..=IPV4_ONLY_MAX {
            names.insert(&number.to_string());
        }
        assert!(names.contains("0"));
        assert!(!names.contains(&IPV4_ONLY_MAX.to_string()));
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
