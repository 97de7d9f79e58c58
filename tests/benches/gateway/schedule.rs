//! How long and how often things are measured.

use std::time::Duration;

/// By the environment, for short trials and long runs.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// `ONEROUTER_BENCH_ROUNDS`, after one that warms up.
    pub(crate) rounds: usize,
    /// `ONEROUTER_BENCH_SECONDS`: for each kind of request in each round.
    pub(crate) slot: Duration,
    /// `ONEROUTER_BENCH_CALLS`: adapter calls by themselves, of each kind in each round.
    pub(crate) calls: usize,
    pub(crate) connections: usize,
}

impl Schedule {
    pub(crate) fn of_environment() -> Self {
        let number = |name: &str, default: f64| {
            std::env::var(name).map_or(default, |text| {
                text.parse()
                    .unwrap_or_else(|_| panic!("{name}={text} is no number"))
            })
        };
        Self {
            rounds: number("ONEROUTER_BENCH_ROUNDS", 5.0) as usize,
            slot: Duration::from_secs_f64(number("ONEROUTER_BENCH_SECONDS", 3.0)),
            calls: number("ONEROUTER_BENCH_CALLS", 5_000.0) as usize,
            connections: 32,
        }
    }
}
