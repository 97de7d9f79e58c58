//! How an adapter's calls have gone: counted as they end, for whoever decides whether it stays.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::outcome::{FaultKind, NotSent, Outcome, Unknown, UnknownReason};

/// Steps of durations: four to each doubling, from 256 µs on.
const STEPS: usize = 80;
/// Durations below this are one step.
const LEAST_US: u64 = 256;

/// Counts of one adapter; each call adds to it once.
#[derive(Debug)]
pub(crate) struct Tally {
    calls: AtomicU64,
    faults: AtomicU64,
    failed: AtomicU64,
    durations: [AtomicU64; STEPS],
}

/// How calls have gone, from some moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// Calls that ended; without those that did not begin because there was no room or no time.
    pub calls: u64,
    /// Calls in which the adapter broke down: traps, limits, nonsense.
    pub faults: u64,
    /// Calls that nobody can tell the outcome of, or that were not processed; faults among them. Not what a
    /// provider refuses, or a request breaks.
    pub failed: u64,
    durations: [u64; STEPS],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            durations: [const { AtomicU64::new(0) }; STEPS],
        }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            calls: 0,
            faults: 0,
            failed: 0,
            durations: [0; STEPS],
        }
    }
}

impl Tally {
    pub(crate) fn count<T>(&self, outcome: &Outcome<T>, duration: Duration) {
        let fault = match outcome {
            Outcome::NotSent(NotSent::Overloaded | NotSent::Cancelled) => return,
            Outcome::NotSent(NotSent::Fault(fault)) => Some(fault),
            Outcome::Unknown(Unknown {
                reason: UnknownReason::Fault(fault),
                ..
            }) => Some(fault),
            _ => None,
        };
        // The host's own breakdowns are not its fault, nor what a provider refuses and a request breaks:
        // one tenant with a wrong key would make a version look bad.
        let is_fault = fault.is_some_and(|fault| fault.kind != FaultKind::Host);
        let is_failure = is_fault
            || matches!(
                outcome,
                Outcome::NotSent(NotSent::Adapter(_) | NotSent::Unreachable(_))
                    | Outcome::Unknown(_)
            );
        self.calls.fetch_add(1, Ordering::Relaxed);
        if is_fault {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        if is_failure {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(count) = self.durations.get(step(duration)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> Calls {
        let mut calls = Calls {
            calls: self.calls.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            ..Calls::default()
        };
        for (to, from) in calls.durations.iter_mut().zip(&self.durations) {
            *to = from.load(Ordering::Relaxed);
        }
        calls
    }
}

impl Calls {
    /// Those that have ended since `before`, which was read of the same adapter.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut calls = Self {
            calls: self.calls.saturating_sub(before.calls),
            faults: self.faults.saturating_sub(before.faults),
            failed: self.failed.saturating_sub(before.failed),
            durations: self.durations,
        };
        for (count, before) in calls.durations.iter_mut().zip(&before.durations) {
            *count = count.saturating_sub(*before);
        }
        calls
    }

    /// The duration that 95 of 100 calls do not exceed, a fifth too long at most.
    #[must_use]
    pub fn p95(&self) -> Duration {
        let all: u64 = self.durations.iter().sum();
        let wanted = all.saturating_mul(95).div_ceil(100);
        let mut counted = 0_u64;
        for (step, count) in self.durations.iter().enumerate() {
            counted = counted.saturating_add(*count);
            if counted >= wanted {
                return end_of(step);
            }
        }
        Duration::MAX
    }
}

fn step(duration: Duration) -> usize {
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if us < LEAST_US {
        return 0;
    }
    let doublings = us.ilog2();
    let quarter = (us >> (doublings - 2)) & 3;
    let steps = u64::from(doublings - LEAST_US.ilog2()) * 4 + quarter + 1;
    usize::try_from(steps).unwrap_or(usize::MAX).min(STEPS - 1)
}

/// The longest duration of a step.
fn end_of(step: usize) -> Duration {
    let step = u32::try_from(step).unwrap_or(u32::MAX);
    let (doublings, quarter) = (step / 4, u64::from(step % 4));
    let base = LEAST_US.checked_shl(doublings).unwrap_or(u64::MAX / 8);
    Duration::from_micros(base + base / 4 * quarter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_within_a_quarter() {
        for us in [
            1_u64, 255, 256, 300, 1_000, 5_123, 99_999, 2_000_000, 29_000_000,
        ] {
            let tally = Tally::default();
            tally.count(&Outcome::Accepted(()), Duration::from_micros(us));
            let told = u64::try_from(tally.read().p95().as_micros()).unwrap();
            assert!(told >= us, "{us}: {told}");
            assert!(told <= us.max(LEAST_US) * 5 / 4 + 1, "{us}: {told}");
        }
    }

    #[test]
    fn what_came_before_is_left_out() {
        let tally = Tally::default();
        for _ in 0..100 {
            tally.count(&Outcome::Accepted(()), Duration::from_secs(1));
        }
        let before = tally.read();
        tally.count(
            &Outcome::<()>::NotSent(NotSent::Unreachable(None)),
            Duration::from_millis(1),
        );
        tally.count(
            &Outcome::<()>::NotSent(NotSent::Unsupported(String::new())),
            Duration::from_millis(1),
        );
        tally.count(&Outcome::<()>::NotSent(NotSent::Overloaded), Duration::ZERO);
        let calls = tally.read().since(&before);
        assert_eq!((calls.calls, calls.failed, calls.faults), (2, 1, 0));
        assert!(calls.p95() < Duration::from_millis(2));
    }
}
