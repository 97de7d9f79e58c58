//! One event on its way to one URL, and the rules of its provider.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method};
use url::Url;

#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) provider: &'static str,
    pub(crate) account: &'static str,
    /// The id of the webhook, or of whatever the URL was given for.
    pub(crate) webhook: String,
    /// The type of the event, as the provider writes it.
    pub(crate) event: String,
    pub(crate) event_id: String,
    /// The id of what it happened to.
    pub(crate) object: String,
    /// First attempts that share a URL and a lane are made one after the other, in the order of
    /// happening; no provider promises more, and most not even that.
    pub(crate) lane: String,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
    pub(crate) posted_at: DateTime<Utc>,
    /// When the first attempt was made: a clock that leaps leaves events behind for which it is already
    /// late, and they shall be tried as long as any other.
    pub(crate) tried_at: Option<DateTime<Utc>>,
    /// Attempts made.
    pub(crate) attempts: u32,
    /// Real time that they took.
    pub(crate) spent: Duration,
    pub(crate) times: Times,
    pub(crate) signature: Signature,
    pub(crate) rules: Arc<dyn Rules>,
}

/// How long an attempt may take, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) connect: Duration,
    /// Without a byte of the answer.
    pub(crate) read: Duration,
    pub(crate) total: Total,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Total {
    OfEachAttempt(Duration),
    OfAllAttempts(Duration),
}

/// `Wrong` by a fault only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    Right,
    Wrong,
}

/// How a provider signs, and how often it tries.
pub(crate) trait Rules: fmt::Debug + Send + Sync {
    /// The headers of the attempt that begins at `at`, signature included.
    fn headers(&self, delivery: &Delivery, at: DateTime<Utc>) -> HeaderMap;

    /// When it is tried again after an attempt that ended so; `attempts` counts that attempt.
    fn again(
        &self,
        delivery: &Delivery,
        outcome: &Outcome,
        at: DateTime<Utc>,
    ) -> Option<DateTime<Utc>>;
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(Answer),
    /// No connection, or no TLS on it.
    NotConnected(String),
    /// Connected, and then no whole answer in time.
    NotAnswered(String),
    /// Never sent: the target is not one to which this sandbox sends.
    NotAllowed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Delivery {
    pub(crate) fn time_left(&self) -> Duration {
        match self.times.total {
            Total::OfEachAttempt(total) => total,
            Total::OfAllAttempts(total) => total.saturating_sub(self.spent),
        }
    }
}

impl Outcome {
    pub(crate) fn is_success(&self) -> bool {
        matches!(self, Outcome::Answered(answer) if (200..300).contains(&answer.status))
    }

    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Outcome::Answered(_) => None,
            Outcome::NotConnected(why) | Outcome::NotAnswered(why) | Outcome::NotAllowed(why) => {
                Some(why)
            }
        }
    }
}
