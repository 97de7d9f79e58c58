//! The ledger of deliveries: every attempt, with what was sent and what was answered.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, SecondsFormat, Utc};
use http::HeaderMap;
use serde::Serialize;

use super::{Delivery, Outcome, outbox::OutboxState};

const ATTEMPTS_KEPT: usize = 10_000;
/// Of an answer; nobody needs more to see what came back.
const ANSWER_CHARACTERS_KEPT: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct AttemptLog {
    kept: VecDeque<WebhookAttempt>,
    total: u64,
}

/// One attempt to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookAttempt {
    /// Counts all attempts since the start or the last reset.
    pub number: u64,
    pub provider: &'static str,
    pub account: &'static str,
    /// The id of the webhook, or of whatever the URL was given for: Twilio's message or number.
    pub webhook: String,
    /// The type of the event.
    pub event: String,
    pub event_id: String,
    /// What it happened to.
    pub object: String,
    /// 1 for the first.
    pub attempt: u32,
    /// By the sandbox's clock.
    pub at: String,
    pub method: String,
    pub url: String,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// `None` when there was no answer.
    pub status: Option<u16>,
    pub answer: String,
    /// Why there was none.
    pub error: Option<String>,
    /// When it is tried again, if it is.
    pub next_attempt_at: Option<String>,
}

/// An attempt before it is booked.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) delivery: Delivery,
    pub(super) at: DateTime<Utc>,
    pub(super) headers: HeaderMap,
    pub(super) outcome: Outcome,
    pub(super) next_attempt_at: Option<DateTime<Utc>>,
}

/// What a reader asks for; absent fields match everything.
#[derive(Debug, Default)]
pub(crate) struct AttemptFilter {
    pub(crate) provider: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) webhook: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) event_id: Option<String>,
    pub(crate) object: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct AttemptsView {
    /// Matching attempts that are still kept.
    count: usize,
    /// All attempts since the start or the last reset.
    total: u64,
    #[serde(flatten)]
    outbox: OutboxState,
    /// In the order in which they ended.
    data: Vec<WebhookAttempt>,
}

impl AttemptLog {
    pub(super) fn add(&mut self, record: Record) {
        if self.kept.len() >= ATTEMPTS_KEPT {
            self.kept.pop_front();
        }
        self.total = self.total.saturating_add(1);
        self.kept.push_back(record.view(self.total));
    }

    pub(super) fn read(
        &self,
        filter: &AttemptFilter,
        limit: usize,
        outbox: OutboxState,
    ) -> AttemptsView {
        let matching = || self.kept.iter().filter(|attempt| filter.matches(attempt));
        AttemptsView {
            count: matching().count(),
            total: self.total,
            outbox,
            data: matching().take(limit).cloned().collect(),
        }
    }

    pub(super) fn all(&self) -> Vec<WebhookAttempt> {
        self.kept.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        *self = AttemptLog::default();
    }
}

impl AttemptFilter {
    fn matches(&self, attempt: &WebhookAttempt) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.provider, attempt.provider)
            && is(&self.account, attempt.account)
            && is(&self.webhook, &attempt.webhook)
            && is(&self.event, &attempt.event)
            && is(&self.event_id, &attempt.event_id)
            && is(&self.object, &attempt.object)
    }
}

impl Record {
    fn view(self, number: u64) -> WebhookAttempt {
        let error = self.outcome.error().map(str::to_owned);
        let (status, answer) = match self.outcome {
            Outcome::Answered(answer) => (
                Some(answer.status),
                answer.body.chars().take(ANSWER_CHARACTERS_KEPT).collect(),
            ),
            Outcome::NotConnected(_) | Outcome::NotAnswered(_) | Outcome::NotAllowed(_) => {
                (None, String::new())
            }
        };
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = self.headers.iter();
        WebhookAttempt {
            number,
            provider: self.delivery.provider,
            account: self.delivery.account,
            webhook: self.delivery.webhook,
            event: self.delivery.event,
            event_id: self.delivery.event_id,
            object: self.delivery.object,
            attempt: self.delivery.attempts,
            at: time(self.at),
            method: self.delivery.method.to_string(),
            url: self.delivery.url.into(),
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: String::from_utf8_lossy(&self.delivery.body).into_owned(),
            status,
            answer,
            error,
            next_attempt_at: self.next_attempt_at.map(time),
        }
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
