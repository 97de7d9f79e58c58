//! How patient Twilio is with a webhook, set by the URL's fragment: `#rc=3&ct=2000&rt=5000&tt=15000`.
//! <https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides>

use std::{ops::RangeInclusive, time::Duration};

use crate::webhooks::{Outcome, Times, Total};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overrides {
    retries: u32,
    policy: Policy,
    pub(super) times: Times,
}

/// After which failures there is another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Policy {
    no_connection: bool,
    no_answer: bool,
    client_error: bool,
    server_error: bool,
}

const RETRIES: RangeInclusive<u64> = 0..=5;
const CONNECT_MS: RangeInclusive<u64> = 100..=10_000;
const READ_MS: RangeInclusive<u64> = 100..=15_000;

impl Overrides {
    /// What is not said is as usual; what is out of range is taken to its end.
    pub(super) fn of(fragment: Option<&str>) -> Overrides {
        let pairs = fragment.unwrap_or_default().split('&');
        let pairs: Vec<(&str, &str)> = pairs.filter_map(|pair| pair.split_once('=')).collect();
        let get = |name: &str| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        };
        let number = |name: &str, usual: u64, range: &RangeInclusive<u64>| {
            let asked = get(name).and_then(|text| text.parse().ok());
            asked.unwrap_or(usual).clamp(*range.start(), *range.end())
        };
        let ms = |name: &str, usual: u64, range| Duration::from_millis(number(name, usual, range));
        Overrides {
            retries: u32::try_from(number("rc", 1, &RETRIES)).unwrap_or_default(),
            policy: get("rp").map_or_else(Policy::usual, Policy::of),
            times: Times {
                connect: ms("ct", 5_000, &CONNECT_MS),
                read: ms("rt", 15_000, &READ_MS),
                total: Total::OfAllAttempts(ms("tt", 15_000, &READ_MS)),
            },
        }
    }

    /// Whether there is another attempt after so many.
    pub(super) fn tries_again(&self, attempts: u32, outcome: &Outcome) -> bool {
        attempts <= self.retries && self.policy.covers(outcome)
    }
}

impl Policy {
    fn usual() -> Policy {
        Policy {
            no_connection: true,
            ..Policy::default()
        }
    }

    fn of(text: &str) -> Policy {
        let has = |name: &str| text.split(',').any(|part| part == name || part == "all");
        Policy {
            no_connection: has("ct"),
            no_answer: has("rt"),
            client_error: has("4xx"),
            server_error: has("5xx"),
        }
    }

    fn covers(self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::NotConnected(_) => self.no_connection,
            Outcome::NotAnswered(_) => self.no_answer,
            Outcome::Answered(answer) => match answer.status {
                400..=499 => self.client_error,
                500..=599 => self.server_error,
                _ => false,
            },
            Outcome::NotAllowed(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_sets_what_it_names_within_the_limits() {
        let usual = Overrides::of(None);
        assert_eq!(usual.retries, 1);
        assert_eq!(usual.policy, Policy::usual());
        let set = Overrides::of(Some("rc=9&ct=1&rt=5000&tt=900&rp=rt,5xx&e=dublin"));
        assert_eq!(set.retries, 5);
        assert_eq!(
            set.times,
            Times {
                connect: Duration::from_millis(100),
                read: Duration::from_millis(5_000),
                total: Total::OfAllAttempts(Duration::from_millis(900)),
            }
        );
        assert!(set.policy.no_answer && set.policy.server_error);
        assert!(!set.policy.no_connection && !set.policy.client_error);
    }
}
