//! Requests per second, all keys of the team together.

use std::sync::Mutex;

use chrono::{DateTime, Utc};

use super::error::ResendError;
use crate::{lock, reply::Reply};

/// Seconds until a window is over, at most: windows are one second long.
const RESET_S: u32 = 1;

#[derive(Debug, Default)]
pub(super) struct RateWindow(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// Unix time.
    second: i64,
    used: u32,
}

/// Where the limit stood for one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    limit: u32,
    remaining: u32,
}

impl RateWindow {
    pub(super) fn count(&self, now: DateTime<Utc>, limit: u32) -> Result<Rate, Box<Reply>> {
        let mut window = lock(&self.0);
        let second = now.timestamp();
        if window.second != second {
            *window = Window { second, used: 0 };
        }
        if window.used >= limit {
            let rate = Rate {
                limit,
                remaining: 0,
            };
            return Err(Box::new(
                rate.label(ResendError::named("rate_limit_exceeded").reply()),
            ));
        }
        window.used = window.used.saturating_add(1);
        Ok(Rate {
            limit,
            remaining: limit.saturating_sub(window.used),
        })
    }

    pub(super) fn clear(&self) {
        *lock(&self.0) = Window::default();
    }
}

impl Rate {
    pub(super) fn label(&self, reply: Reply) -> Reply {
        reply
            .with("ratelimit-limit", self.limit)
            .with("ratelimit-remaining", self.remaining)
            .with("ratelimit-reset", RESET_S)
    }
}
