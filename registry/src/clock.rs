//! The clock that everything takes its times from, so that a test can move it.

use std::fmt;

use chrono::{DateTime, SubsecRound as _, Utc};

/// Tells the time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now, UTC, cut to microseconds: what both databases keep.
    fn now(&self) -> DateTime<Utc>;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}
