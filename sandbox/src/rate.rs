//! Requests per second.

use std::sync::Mutex;

use chrono::{DateTime, Utc};

use crate::lock;

/// Counts within each second of the sandbox's clock.
#[derive(Debug, Default)]
pub(crate) struct RateWindow(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// Unix time.
    second: i64,
    used: u32,
}

impl RateWindow {
    /// How many more are left in this second; `None` when this one is too many.
    pub(crate) fn count(&self, now: DateTime<Utc>, limit: u32) -> Option<u32> {
        let mut window = lock(&self.0);
        let second = now.timestamp();
        if window.second != second {
            *window = Window { second, used: 0 };
        }
        if window.used >= limit {
            return None;
        }
        window.used = window.used.saturating_add(1);
        Some(limit.saturating_sub(window.used))
    }

    pub(crate) fn clear(&self) {
        *lock(&self.0) = Window::default();
    }
}
