//! How often who may ask.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use super::Limits;
use super::refusal::{Kind, Refusal};

/// Networks that are remembered.
const NETWORKS_MAX: usize = 100_000;
/// When there are more, they share so many allowances: whoever fills the table shuts out few others.
const SHARED: u64 = 4_096;

/// Whose allowance it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// The server that this is mounted into does not say.
    Unknown,
    Network(IpAddr),
    Shared(u64),
}

pub(super) struct RateLimits {
    anonymous: DefaultKeyedRateLimiter<Place>,
    /// Whoever brings a token, before it is looked up.
    arrivals: DefaultKeyedRateLimiter<Place>,
    accounts: DefaultKeyedRateLimiter<Uuid>,
    /// Keyed at random, so that nobody can choose with whom to share.
    hasher: RandomState,
    clock: DefaultClock,
}

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimits").finish_non_exhaustive()
    }
}

impl RateLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            anonymous: RateLimiter::keyed(per_minute(limits.anonymous_per_minute)),
            arrivals: RateLimiter::keyed(per_minute(limits.address_per_minute)),
            accounts: RateLimiter::keyed(per_minute(limits.account_per_minute)),
            hasher: RandomState::new(),
            clock: DefaultClock::default(),
        }
    }

    /// Somebody without a token, or with a wrong one.
    pub(super) fn admit_anonymous(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        let place = self.place(address, self.anonymous.len());
        self.admit(&self.anonymous, &place)
    }

    /// Somebody with a token, which may be made up: looking it up costs more than refusing.
    pub(super) fn admit_arrival(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        let place = self.place(address, self.arrivals.len());
        self.admit(&self.arrivals, &place)
    }

    /// Where somebody counts, given how many places are known.
    fn place(&self, address: Option<IpAddr>, known: usize) -> Place {
        match address.map(network) {
            None => Place::Unknown,
            Some(network) if known < NETWORKS_MAX => Place::Network(network),
            Some(network) => Place::Shared(self.hasher.hash_one(network) % SHARED),
        }
    }

    pub(super) fn admit_account(&self, account: Uuid) -> Result<(), Refusal> {
        self.admit(&self.accounts, &account)
    }

    /// Forgets who has not asked for so long that it does not count any more.
    pub(super) fn forget_idle(&self) {
        self.anonymous.retain_recent();
        self.anonymous.shrink_to_fit();
        self.arrivals.retain_recent();
        self.arrivals.shrink_to_fit();
        self.accounts.retain_recent();
    }

    fn admit<K: Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: &K,
    ) -> Result<(), Refusal> {
        limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            Refusal::new(Kind::RateLimited, "too many requests; wait a little").after(wait)
        })
    }
}

fn per_minute(requests: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN))
}

/// In IPv6 a household is given up to 2^72 addresses. A socket for both families writes IPv4 ones as
/// IPv6, all in one network of that size.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 72)).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_full_table_does_not_put_everybody_in_one_place() {
        let rates = RateLimits::new(&Limits::default());
        let places = |known| -> HashSet<Place> {
            let addresses =
                (0..1_000_u32).map(|last| IpAddr::from((0x0a00_0000 | last).to_be_bytes()));
            addresses
                .map(|address| rates.place(Some(address), known))
                .collect()
        };
        assert_eq!(places(0).len(), 1_000);
        assert!(places(NETWORKS_MAX).len() > 500);
        assert_eq!(rates.place(None, 0), Place::Unknown);
    }
}
