//! A circuit breaker per connection: a provider that fails again and again is left alone for a
//! while, so that callers get their answer at once and another connection can serve.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_engine::{NotSent, Outcome, UnknownReason};

/// Outcomes are counted within this.
const WINDOW: TimeDelta = TimeDelta::seconds(30);
/// Fewer failures than this in a window say nothing about a provider.
const FAILURES_MIN: u32 = 10;
/// The breaker opens when at least one in this many calls fails.
const OPENS_AT_ONE_IN: u32 = 2;
/// How long an open breaker lets nothing through; after that, one call per such time is a probe.
const COOL_DOWN: TimeDelta = TimeDelta::seconds(10);

/// What a call says about the health of its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answered.
    Good,
    /// It did not, or with a failure of its own.
    Bad,
    /// The call says nothing about it.
    Silent,
}

impl Health {
    /// What an outcome says.
    #[must_use]
    pub fn of<T>(outcome: &Outcome<T>) -> Self {
        match outcome {
            Outcome::Accepted(_) | Outcome::Declined(_) => Self::Good,
            // A plugin that breaks down, perhaps over one odd message, says nothing of its provider.
            Outcome::Unknown(unknown) => match unknown.reason {
                UnknownReason::Fault(_) => Self::Silent,
                UnknownReason::Adapter
                | UnknownReason::Unanswered
                | UnknownReason::Contradicted => Self::Bad,
            },
            Outcome::NotSent(NotSent::Unreachable(_)) => Self::Bad,
            Outcome::NotSent(NotSent::Adapter(failure)) => {
                let is_server = failure.http_status.is_some_and(|status| status >= 500);
                if is_server || failure.code == "provider_unavailable" {
                    Self::Bad
                } else {
                    // A rate limit is an answer, but not one to a request that was served.
                    Self::Silent
                }
            }
            Outcome::NotSent(
                NotSent::Fault(_)
                | NotSent::Overloaded
                | NotSent::Cancelled
                | NotSent::Unsupported(_)
                | NotSent::Invalid(_),
            ) => Self::Silent,
        }
    }
}

/// Closed until many calls fail; then open, with a probe from time to time.
#[derive(Debug, Default)]
pub struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    window_began: DateTime<Utc>,
    calls: u32,
    failures: u32,
    /// While open: when the next probe may go.
    next_probe: Option<DateTime<Utc>>,
    /// A probe went and has not reported yet.
    is_probing: bool,
}

impl Breaker {
    /// Whether a call may go now. Of an open breaker that is due for a probe, the first one to ask
    /// may, and has until the next probe to report.
    pub fn admits(&self, now: DateTime<Utc>) -> bool {
        self.with(|state| match state.next_probe {
            None => true,
            Some(at) if wait(at, now).is_none() => {
                state.next_probe = Some(now + COOL_DOWN);
                state.is_probing = true;
                true
            }
            Some(_) => false,
        })
    }

    /// How long it lets nothing through; none when a call could go.
    pub fn open_for(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.with(|state| state.next_probe)
            .and_then(|at| wait(at, now))
    }

    /// Counts a call. Tells whether the breaker opened with it.
    pub fn record(&self, health: Health, now: DateTime<Utc>) -> bool {
        self.with(|state| match (health, state.next_probe) {
            (Health::Silent, Some(_)) if state.is_probing => {
                // The probe has told nothing: the next call is one.
                state.is_probing = false;
                state.next_probe = Some(now);
                false
            }
            (Health::Silent, _) => false,
            (Health::Good, Some(_)) => {
                *state = State::default();
                false
            }
            // When the next probe may go was set with this one; calls that were under way when the
            // breaker opened change nothing.
            (Health::Bad, Some(_)) => {
                state.is_probing = false;
                false
            }
            (health, None) => {
                let age = now.signed_duration_since(state.window_began);
                if age > WINDOW || age < TimeDelta::zero() {
                    *state = State {
                        window_began: now,
                        ..State::default()
                    };
                }
                state.calls = state.calls.saturating_add(1);
                if health == Health::Bad {
                    state.failures = state.failures.saturating_add(1);
                }
                let is_bad = state.failures >= FAILURES_MIN
                    && state.failures.saturating_mul(OPENS_AT_ONE_IN) >= state.calls;
                if is_bad {
                    state.next_probe = Some(now + COOL_DOWN);
                }
                is_bad
            }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How long to wait for a time. One that is further away than any that is ever set was set before
/// the clock was put back, and is over: else a connection would stay shut for as long as the clock jumped.
fn wait(at: DateTime<Utc>, now: DateTime<Utc>) -> Option<TimeDelta> {
    let left = at.signed_duration_since(now);
    (left > TimeDelta::zero() && left <= COOL_DOWN).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        let opened: Vec<bool> = (0..FAILURES_MIN)
            .map(|_| breaker.record(Health::Bad, at(0)))
            .collect();
        assert_eq!(opened.iter().filter(|opened| **opened).count(), 1);
        breaker
    }

    #[test]
    fn a_few_failures_or_a_minority_of_them_do_not_open_it() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES_MIN {
            assert!(!breaker.record(Health::Bad, at(0)));
        }
        assert!(breaker.admits(at(1)));
        let breaker = Breaker::default();
        for _ in 0..100 {
            breaker.record(Health::Good, at(0));
        }
        for _ in 0..50 {
            assert!(!breaker.record(Health::Bad, at(1)));
        }
        assert!(breaker.admits(at(1)));
    }

    #[test]
    fn failures_of_an_earlier_window_are_forgotten() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES_MIN {
            breaker.record(Health::Bad, at(0));
        }
        assert!(!breaker.record(Health::Bad, at(31)));
        assert!(breaker.admits(at(31)));
    }

    #[test]
    fn an_open_one_lets_one_probe_through_per_cool_down() {
        let breaker = opened();
        assert!(!breaker.admits(at(9)));
        assert_eq!(breaker.open_for(at(9)), Some(TimeDelta::seconds(1)));
        assert!(breaker.admits(at(10)));
        assert!(!breaker.admits(at(10)));
        assert!(!breaker.admits(at(19)));
        assert!(breaker.admits(at(20)));
    }

    #[test]
    fn a_good_probe_closes_it_and_a_bad_one_does_not() {
        let breaker = opened();
        assert!(breaker.admits(at(10)));
        assert!(!breaker.record(Health::Bad, at(12)));
        assert!(!breaker.admits(at(19)));
        assert!(breaker.admits(at(20)));
        breaker.record(Health::Good, at(23));
        assert!(breaker.admits(at(23)));
        assert_eq!(breaker.open_for(at(23)), None);
    }

    #[test]
    fn a_probe_that_says_nothing_gives_its_turn_back() {
        let breaker = opened();
        breaker.record(Health::Silent, at(1));
        assert!(!breaker.admits(at(9)), "it was no probe");
        assert!(breaker.admits(at(10)));
        assert!(!breaker.admits(at(11)));
        breaker.record(Health::Silent, at(12));
        assert!(breaker.admits(at(12)));
        assert!(!breaker.admits(at(12)));
    }

    #[test]
    fn a_clock_that_is_put_back_keeps_nothing_shut() {
        let breaker = opened();
        assert!(breaker.open_for(at(1)).is_some());
        assert_eq!(breaker.open_for(at(-3_600)), None);
        assert!(breaker.admits(at(-3_600)));
        assert!(!breaker.admits(at(-3_599)));
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_do_not_prolong_it() {
        let breaker = opened();
        for second in 1..9 {
            breaker.record(Health::Bad, at(second));
        }
        assert!(breaker.admits(at(10)));
    }
}
