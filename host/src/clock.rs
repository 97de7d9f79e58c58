//! The clock that everything takes its times from, so that a test can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_domain::time;

/// The system's clock, shifted by what a test asks for.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    shift_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Now, UTC, cut to microseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let shift = TimeDelta::milliseconds(self.shift_ms.load(Ordering::Relaxed));
        time::cut(
            Utc::now()
                .checked_add_signed(shift)
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
        )
    }

    /// Moves this clock and all its clones.
    pub fn advance(&self, by: TimeDelta) {
        self.shift_ms
            .fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}

impl onerouter_engine::Clock for Clock {
    fn now_ms(&self) -> u64 {
        time::to_millis(self.now())
    }
}
