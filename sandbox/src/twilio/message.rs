//! The Message resource and its way through the statuses.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Serialize;

use super::{
    MESSAGING_SERVICE_SID, State,
    account::Account,
    create::Draft,
    error::{self, TwilioError},
    inbound::InboundSms,
    media::Media,
    number::Course,
    segments,
    status::{self, Status},
};
use crate::{clock, lock, reply::Reply, timeline::Timeline};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sender {
    Number(String),
    /// The Messaging Service; it picks one of its numbers unless the request named one.
    Service {
        from: Option<String>,
    },
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) sid: String,
    pub(super) account: &'static Account,
    pub(super) to: String,
    sender: Sender,
    body: String,
    pub(super) media: Vec<Media>,
    segments: u32,
    pub(super) created_at: DateTime<Utc>,
    send_at: Option<DateTime<Utc>>,
    timeline: Timeline<Status>,
    error_code: Option<u32>,
    canceled_at: Option<DateTime<Utc>>,
    redacted_at: Option<DateTime<Utc>>,
    forced: Option<Forced>,
    direction: Direction,
    /// Where its statuses are told, fragment included.
    pub(super) status_callback: Option<String>,
    /// Statuses that were told, or passed over.
    told: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Direction {
    Inbound,
    OutboundApi,
    /// The answer to an inbound message.
    OutboundReply,
}

/// What the control API made of a message; from then on time changes nothing.
#[derive(Debug)]
pub(super) struct Forced {
    pub(super) status: Status,
    pub(super) error_code: Option<u32>,
    pub(super) error_message: Option<String>,
    pub(super) at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
pub(super) struct MessageView<'a> {
    account_sid: &'a str,
    api_version: &'static str,
    body: &'a str,
    date_created: String,
    date_sent: Option<String>,
    date_updated: String,
    direction: Direction,
    error_code: Option<u32>,
    error_message: Option<&'a str>,
    from: Option<&'a str>,
    messaging_service_sid: Option<&'static str>,
    num_media: String,
    num_segments: String,
    price: Option<String>,
    price_unit: Option<&'static str>,
    sid: &'a str,
    status: Status,
    subresource_uris: SubresourceUris,
    to: &'a str,
    uri: String,
}

#[derive(Debug, Serialize)]
struct SubresourceUris {
    media: String,
}

pub(super) fn fetch(state: &State, account: &Account, sid: &str) -> Result<Reply, TwilioError> {
    let now = state.core.clock.now();
    let messages = lock(&state.messages);
    let message = messages.find(sid).ok_or_else(|| not_found(account, sid))?;
    Ok(Reply::json(StatusCode::OK, &message.view(now)))
}

pub(super) fn not_found(account: &Account, sid: &str) -> TwilioError {
    TwilioError::about(
        20404,
        format!("/2010-04-01/Accounts/{}/Messages/{sid}.json", account.sid),
    )
}

/// `Thu, 24 Aug 2023 05:01:45 +0000`
pub(super) fn rfc2822(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

impl Message {
    pub(super) fn new(
        draft: Draft,
        account: &'static Account,
        now: DateTime<Utc>,
        delivery: Duration,
    ) -> Message {
        let kind = if draft.media_urls.is_empty() {
            "SM"
        } else {
            "MM"
        };
        let first = match (&draft.sender, draft.send_at) {
            (Sender::Service { .. }, None) => Status::Accepted,
            // At its time a scheduled message goes into the queue.
            (Sender::Service { .. }, Some(_)) | (Sender::Number(_), _) => Status::Queued,
        };
        let timeline = Timeline {
            begins_at: draft.send_at.unwrap_or(now),
            lasts: clock::delta(delivery),
            first,
            then: status::steps(draft.course, first),
        };
        let error_code = match draft.course {
            Course::Undelivered(code) | Course::Failed(code) => Some(code),
            Course::Delivered | Course::StaysQueued | Course::StaysSending | Course::StaysSent => {
                None
            }
        };
        Message {
            sid: new_sid(kind),
            account,
            to: draft.to,
            sender: draft.sender,
            segments: segments::count(&draft.body),
            body: draft.body,
            media: draft.media_urls.iter().map(|url| Media::new(url)).collect(),
            created_at: now,
            send_at: draft.send_at,
            timeline,
            error_code,
            canceled_at: None,
            redacted_at: None,
            forced: None,
            direction: draft.direction,
            told: usize::from(draft.send_at.is_none()),
            status_callback: draft.status_callback,
        }
    }

    /// One that somebody sent to a number of the account.
    pub(super) fn inbound(
        new: &InboundSms,
        account: &'static Account,
        now: DateTime<Utc>,
    ) -> Message {
        let draft = Draft {
            to: new.to.clone(),
            sender: Sender::Number(new.from.clone()),
            body: new.body.clone(),
            media_urls: new.media_urls.clone(),
            send_at: None,
            course: Course::Delivered,
            direction: Direction::Inbound,
            status_callback: None,
        };
        let mut message = Message::new(draft, account, now, Duration::ZERO);
        message.timeline.first = Status::Received;
        message.timeline.then = &[];
        message
    }

    /// The next status to be told, and when it begins. The one in the answer to the request is not.
    pub(super) fn next_step(&self) -> Option<(Status, DateTime<Utc>)> {
        if self.status_callback.is_none() || self.forced.is_some() || self.canceled_at.is_some() {
            return None;
        }
        self.timeline.steps().nth(self.told)
    }

    pub(super) fn step_told(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }

    pub(super) fn segments(&self) -> u32 {
        self.segments
    }

    /// The status at `now` and when it began.
    pub(super) fn status(&self, now: DateTime<Utc>) -> (Status, DateTime<Utc>) {
        if let Some(forced) = &self.forced {
            return (forced.status, forced.at);
        }
        if let Some(at) = self.canceled_at {
            return (Status::Canceled, at);
        }
        if self.send_at.is_some_and(|at| now < at) {
            return (Status::Scheduled, self.created_at);
        }
        self.timeline.at(now)
    }

    /// The sender, once it is picked.
    pub(super) fn from(&self, status: Status) -> Option<&str> {
        match &self.sender {
            Sender::Number(from) | Sender::Service { from: Some(from) } => Some(from),
            Sender::Service { from: None } => {
                self.is_picked(status).then(|| self.account.pool_sender())
            }
        }
    }

    pub(super) fn sent_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = match (&self.forced, self.canceled_at) {
            (Some(forced), _) => forced.at,
            (None, Some(_)) => return None,
            (None, None) => now,
        };
        let by_itself = self
            .timeline
            .time_of(Status::Sent)
            .filter(|at| *at <= until);
        by_itself.or_else(|| {
            self.forced
                .as_ref()
                .filter(|forced| forced.status.is_sent())
                .map(|forced| forced.at)
        })
    }

    pub(super) fn cancel(&mut self, now: DateTime<Utc>) {
        self.canceled_at = Some(now);
    }

    pub(super) fn redact(&mut self, now: DateTime<Utc>) {
        self.body.clear();
        self.redacted_at = Some(now);
    }

    pub(super) fn force(&mut self, forced: Forced) {
        self.forced = Some(forced);
    }

    /// The answer to the create request: the first status, however short the delivery is.
    pub(super) fn first_view(&self) -> MessageView<'_> {
        let first = if self.send_at.is_some() {
            Status::Scheduled
        } else {
            self.timeline.first
        };
        self.view_as(first, self.created_at, None)
    }

    pub(super) fn view(&self, now: DateTime<Utc>) -> MessageView<'_> {
        let (status, since) = self.status(now);
        self.view_as(status, since, self.sent_at(now))
    }

    fn view_as(
        &self,
        status: Status,
        since: DateTime<Utc>,
        sent_at: Option<DateTime<Utc>>,
    ) -> MessageView<'_> {
        let uri = format!(
            "/2010-04-01/Accounts/{}/Messages/{}",
            self.account.sid, self.sid
        );
        let segments = if self.is_picked(status) {
            self.segments
        } else {
            0
        };
        let (error_code, error_message) = self.error(status);
        MessageView {
            account_sid: self.account.sid,
            api_version: "2010-04-01",
            body: &self.body,
            date_created: rfc2822(self.created_at),
            date_sent: sent_at.map(rfc2822),
            date_updated: rfc2822(self.redacted_at.map_or(since, |at| at.max(since))),
            direction: self.direction,
            error_code,
            error_message,
            from: self.from(status),
            messaging_service_sid: self.is_by_service().then_some(MESSAGING_SERVICE_SID),
            num_media: self.media.len().to_string(),
            num_segments: segments.to_string(),
            price: sent_at.map(|_| price(self.segments)),
            // Null with the price, as in the documented example of a fresh message.
            price_unit: sent_at.map(|_| "USD"),
            sid: &self.sid,
            status,
            subresource_uris: SubresourceUris {
                media: format!("{uri}/Media.json"),
            },
            to: &self.to,
            uri: format!("{uri}.json"),
        }
    }

    pub(super) fn error(&self, status: Status) -> (Option<u32>, Option<&str>) {
        if let Some(forced) = &self.forced {
            let text = forced.error_code.map(error::delivery_message);
            return (forced.error_code, forced.error_message.as_deref().or(text));
        }
        let code = self
            .error_code
            .filter(|_| matches!(status, Status::Undelivered | Status::Failed));
        (code, code.map(error::delivery_message))
    }

    pub(super) fn is_by_service(&self) -> bool {
        matches!(self.sender, Sender::Service { .. })
    }

    fn is_picked(&self, status: Status) -> bool {
        let waits = matches!(
            status,
            Status::Accepted | Status::Scheduled | Status::Canceled
        );
        !(waits && self.is_by_service())
    }
}

pub(super) fn new_sid(kind: &str) -> String {
    format!("{kind}{:032x}", rand::random::<u128>())
}

/// 0.0075 USD per segment, negative because it is a charge: `-0.00750`.
fn price(segments: u32) -> String {
    let hundred_thousandths = u64::from(segments).saturating_mul(750);
    format!(
        "-{}.{:05}",
        hundred_thousandths / 100_000,
        hundred_thousandths % 100_000
    )
}
