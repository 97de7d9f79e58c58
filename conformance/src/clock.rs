//! The time that adapters are told.

use std::sync::atomic::{AtomicU64, Ordering};

use onerouter_engine::Clock;

use crate::canonical::NOW_MS;

/// Stands still, at the time of a recording.
#[derive(Debug)]
pub(crate) struct KitClock(AtomicU64);

impl KitClock {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(NOW_MS))
    }

    pub(crate) fn set(&self, now_ms: u64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }
}

impl Clock for KitClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
