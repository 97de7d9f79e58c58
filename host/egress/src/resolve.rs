//! Names to addresses.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;

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
#[derive(Default)]
pub struct SystemResolver {
    /// Made on first use: a machine without name servers may still work with overrides alone.
    resolver: OnceLock<TokioResolver>,
}

const ANSWERS_KEPT_MAX: Duration = Duration::from_secs(300);

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let resolver = match self.resolver.get() {
                Some(resolver) => resolver,
                None => {
                    // A failure is not kept: the configuration may be readable the next time.
                    let made = build()
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

fn build() -> Option<TokioResolver> {
    let mut builder = TokioResolver::builder_tokio()
        .inspect_err(
            |error| tracing::warn!(%error, "the name servers' configuration is not readable"),
        )
        .ok()?;
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.positive_max_ttl = Some(ANSWERS_KEPT_MAX);
    builder
        .build()
        .inspect_err(|error| tracing::warn!(%error, "the resolver cannot start"))
        .ok()
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemResolver")
    }
}
