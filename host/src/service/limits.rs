//! How often a key may be used, and how often an endpoint is sent to: shared by all nodes where there is a Redis, else by each node for
//! itself.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use moka::future::Cache;
use onerouter_domain::code::ErrorCode;
use uuid::Uuid;

use super::caller::{Caller, Rate};
use super::refusal::Refusal;
use crate::redis::{Redis, Taken};

/// Requests a second, sustained, unless the key says otherwise.
pub const RATE_PER_SECOND: u32 = 100;
/// Requests at once, unless the key says otherwise.
pub const RATE_BURST: u32 = 200;
/// Keys whose use is remembered here.
const KEYS_MAX: u64 = 100_000;
/// One that is not used for so long has its whole burst again.
const IDLE_MAX: Duration = Duration::from_secs(600);

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Counts requests of keys, or deliveries to endpoints.
#[derive(Debug)]
pub struct Limits {
    redis: Option<Arc<Redis>>,
    here: Cache<Uuid, Arc<Counted>>,
}

#[derive(Debug)]
struct Counted {
    rate: Rate,
    limiter: Limiter,
}

/// What is left of a limit after a request, for the response's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The policy.
    pub rate: Rate,
    /// Requests left at once.
    pub remaining: u32,
    /// Seconds until there is more.
    pub reset_s: u64,
}

impl Limits {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(redis: Option<Arc<Redis>>) -> Self {
        Self {
            redis,
            here: Cache::builder()
                .max_capacity(KEYS_MAX)
                .time_to_idle(IDLE_MAX)
                .build(),
        }
    }

    /// Counts one request of a caller.
    ///
    /// # Errors
    /// `rate_limited`, with the same allowance for the headers.
    pub async fn admit(&self, caller: &Caller) -> (Allowance, Result<(), Refusal>) {
        let rate = caller.rate;
        match self.take(caller.key.uuid(), rate).await {
            Taken::Admitted { remaining } => {
                let allowance = Allowance {
                    rate,
                    remaining,
                    reset_s: refill_s(rate, remaining),
                };
                (allowance, Ok(()))
            }
            Taken::Refused { wait } => {
                let wait_s = whole_seconds(wait);
                let refusal = Refusal::new(
                    ErrorCode::RateLimited,
                    format!(
                        "This API key may send {} requests a second, {} at once. Try again in {wait_s} s.",
                        rate.per_second, rate.burst
                    ),
                );
                let allowance = Allowance {
                    rate,
                    remaining: 0,
                    reset_s: wait_s,
                };
                (allowance, Err(refusal.retry_after(wait_s)))
            }
        }
    }

    /// Counts one of whatever has this id.
    pub async fn take(&self, of: Uuid, rate: Rate) -> Taken {
        if let Some(redis) = &self.redis {
            if let Some(taken) = redis.take(of, rate).await {
                return taken;
            }
            metrics::counter!("onerouter_limits_without_redis_total").increment(1);
        }
        self.take_here(of, rate).await
    }

    async fn take_here(&self, of: Uuid, rate: Rate) -> Taken {
        let new = async { Arc::new(Counted::new(rate)) };
        let entry = self.here.entry(of);
        let limiter = entry
            .or_insert_with_if(new, |limiter| limiter.rate != rate)
            .await
            .into_value();
        match limiter.limiter.check() {
            Ok(state) => Taken::Admitted {
                remaining: state.remaining_burst_capacity(),
            },
            Err(refused) => Taken::Refused {
                wait: refused.wait_time_from(DefaultClock::default().now()),
            },
        }
    }
}

impl Counted {
    fn new(rate: Rate) -> Self {
        let per_second = NonZeroU32::new(rate.per_second).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let limiter = RateLimiter::direct(quota).with_middleware::<StateInformationMiddleware>();
        Self { rate, limiter }
    }
}

fn refill_s(rate: Rate, remaining: u32) -> u64 {
    let missing = rate.burst.saturating_sub(remaining);
    u64::from(missing.div_ceil(rate.per_second.max(1)))
}

/// Rounded up: whoever comes back then is let in.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0))
        .max(1)
}
