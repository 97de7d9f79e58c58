//! What calls used of what their manifest asks for.

use onerouter_engine::TICK;
use onerouter_manifest::Limits;
use serde::Serialize;

use crate::finding::{Finding, Findings};
use crate::run::Run;

/// What one call used, and what it may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Metered {
    /// CPU time in milliseconds, counted in ticks of 5 ms.
    pub cpu_ms: Use,
    /// Highest memory over all memories, in bytes.
    pub memory_bytes: Use,
    /// Outbound requests.
    pub requests: Use,
    /// Wall-clock time in milliseconds. Here the provider answers at once: in production it is the
    /// provider that takes the time.
    pub wall_ms: Use,
}

/// Of one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Use {
    /// What was used.
    pub used: u64,
    /// The manifest's limit.
    pub limit: u64,
}

impl Use {
    fn percent(self) -> u64 {
        self.used
            .saturating_mul(100)
            .checked_div(self.limit)
            .unwrap_or_default()
    }

    fn more(self, other: Self) -> Self {
        if other.used > self.used { other } else { self }
    }
}

impl Metered {
    pub(crate) fn of(run: &Run, limits: &Limits) -> Self {
        let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let millis =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            cpu_ms: Use {
                used: millis(TICK).saturating_mul(run.ticks.into()),
                limit: limits.cpu_ms,
            },
            memory_bytes: Use {
                used: run.memory_peak,
                limit: limits.memory_bytes,
            },
            requests: Use {
                used: whole(run.ledger.len()),
                limit: limits.requests.into(),
            },
            wall_ms: Use {
                used: millis(run.duration),
                limit: limits.wall_ms,
            },
        }
    }

    /// The larger use of each.
    pub(crate) fn peak(self, other: Self) -> Self {
        Self {
            cpu_ms: self.cpu_ms.more(other.cpu_ms),
            memory_bytes: self.memory_bytes.more(other.memory_bytes),
            requests: self.requests.more(other.requests),
            wall_ms: self.wall_ms.more(other.wall_ms),
        }
    }

    /// More than half is worth a look, more than all is too much.
    pub(crate) fn judge(&self) -> Findings {
        let mut findings = Findings::default();
        for (name, metered) in [
            ("CPU time (ms)", self.cpu_ms),
            ("memory (bytes)", self.memory_bytes),
            ("requests", self.requests),
            ("wall-clock time (ms)", self.wall_ms),
        ] {
            let percent = metered.percent();
            let text = format!(
                "{percent} % of the limit of {name}: {} of {}",
                metered.used, metered.limit
            );
            if percent > 100 {
                findings.fail(Finding::new(
                    "limit_exceeded",
                    text,
                    "use less, or ask for more under `limits` in the manifest",
                ));
            } else if percent > 50 {
                findings.warn(Finding::new(
                    "limit_near",
                    text,
                    "use less, or ask for more under `limits` in the manifest: a busy host is slower than this one",
                ));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::{Metered, Use};
    use crate::finding::Verdict;

    #[test]
    fn half_of_a_limit_is_worth_a_look_and_more_than_all_too_much() {
        for (used, verdict) in [
            (0, Verdict::Passed),
            (50, Verdict::Passed),
            (51, Verdict::Warned),
            (100, Verdict::Warned),
            (101, Verdict::Failed),
        ] {
            let metered = Metered {
                cpu_ms: Use { used, limit: 100 },
                ..Metered::default()
            };
            assert_eq!(metered.judge().verdict(), verdict, "{used}");
        }
    }
}
