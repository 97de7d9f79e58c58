//! How often who may ask.

use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use super::Limits;
use super::refusal::{Kind, Refusal};

/// Addresses that are remembered. When there are more, new ones share one allowance.
const ADDRESSES_MAX: usize = 100_000;

pub(super) struct RateLimits {
    anonymous: DefaultKeyedRateLimiter<Option<IpAddr>>,
    accounts: DefaultKeyedRateLimiter<Uuid>,
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
            accounts: RateLimiter::keyed(per_minute(limits.account_per_minute)),
            clock: DefaultClock::default(),
        }
    }

    /// Somebody without a token, or with a wrong one.
    pub(super) fn admit_anonymous(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        let known = self.anonymous.len() < ADDRESSES_MAX;
        let place = address.filter(|_| known).map(network);
        self.admit(&self.anonymous, &place)
    }

    pub(super) fn admit_account(&self, account: Uuid) -> Result<(), Refusal> {
        self.admit(&self.accounts, &account)
    }

    /// Forgets who has not asked for so long that it does not count any more.
    pub(super) fn forget_idle(&self) {
        self.anonymous.retain_recent();
        self.anonymous.shrink_to_fit();
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

/// In IPv6 everybody has at least a network of 64 bits to take addresses from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}
