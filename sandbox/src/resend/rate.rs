//! The rate limit of the team, all its keys together, and how answers tell of it.

use super::error::ResendError;
use crate::reply::Reply;

/// Seconds until a window is over, at most: windows are one second long.
const RESET_S: u32 = 1;

/// Where the limit stood for one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    limit: u32,
    remaining: u32,
}

impl Rate {
    /// `remaining` is what the window has left after this request; `None`: it was one too many.
    pub(super) fn of(limit: u32, remaining: Option<u32>) -> Result<Rate, Box<Reply>> {
        let rate = Rate {
            limit,
            remaining: remaining.unwrap_or(0),
        };
        if remaining.is_none() {
            let refused = ResendError::named("rate_limit_exceeded").reply();
            return Err(Box::new(rate.label(refused)));
        }
        Ok(rate)
    }

    pub(super) fn label(&self, reply: Reply) -> Reply {
        reply
            .with("ratelimit-limit", self.limit)
            .with("ratelimit-remaining", self.remaining)
            .with("ratelimit-reset", RESET_S)
    }
}
