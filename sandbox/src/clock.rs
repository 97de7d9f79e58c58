//! Time as the sandbox sees it: a source that can be injected, and the shift that the control API adds.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::lock;

/// Where the sandbox takes the time from.
pub trait Clock: fmt::Debug + Send + Sync {
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Stands still until it is moved, so that a test sees exactly the statuses it asks for.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    pub fn new(now: DateTime<Utc>) -> ManualClock {
        ManualClock(Mutex::new(now))
    }

    pub fn advance(&self, by: Duration) {
        let mut now = lock(&self.0);
        *now = later(*now, delta(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *lock(&self.0)
    }
}

/// The injected clock, shifted and possibly stopped by the control API.
#[derive(Debug)]
pub(crate) struct SandboxClock {
    source: Arc<dyn Clock>,
    shift: Mutex<Shift>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Shift {
    ahead: TimeDelta,
    frozen_at: Option<DateTime<Utc>>,
}

impl SandboxClock {
    pub(crate) fn new(source: Arc<dyn Clock>) -> SandboxClock {
        SandboxClock {
            source,
            shift: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let shift = *lock(&self.shift);
        later(
            shift.frozen_at.unwrap_or_else(|| self.source.now()),
            shift.ahead,
        )
    }

    pub(crate) fn advance(&self, by: TimeDelta) {
        let mut shift = lock(&self.shift);
        shift.ahead = shift.ahead.checked_add(&by).unwrap_or(shift.ahead);
    }

    pub(crate) fn freeze(&self) {
        let now = self.source.now();
        lock(&self.shift).frozen_at.get_or_insert(now);
    }

    /// Runs on from the source's time: what was added by `advance` stays.
    pub(crate) fn thaw(&self) {
        lock(&self.shift).frozen_at = None;
    }

    pub(crate) fn is_frozen(&self) -> bool {
        lock(&self.shift).frozen_at.is_some()
    }

    pub(crate) fn reset(&self) {
        *lock(&self.shift) = Shift::default();
    }
}

/// `at + by`, or `at` where the calendar ends.
pub(crate) fn later(at: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(by).unwrap_or(at)
}

/// A duration as chrono counts it; what does not fit (292 million years) becomes the longest that does.
pub(crate) fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
