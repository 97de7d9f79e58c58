//! The Email resource and its way through the events.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{State, draft::Draft, error::ResendError};
use crate::{clock, lock, reply::Reply, timeline::Timeline};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    Queued,
    Scheduled,
    Canceled,
    Sent,
    Delivered,
    DeliveryDelayed,
    Bounced,
    Complained,
    Opened,
    Clicked,
    Failed,
    Suppressed,
}

#[derive(Debug)]
pub(super) struct Email {
    pub(super) id: String,
    draft: Draft,
    created_at: DateTime<Utc>,
    timeline: Timeline<Event>,
    canceled: bool,
    /// Events that were told, or passed over.
    told: usize,
    /// What the control API said; from then on time changes nothing.
    forced: Option<Event>,
}

#[derive(Debug, Serialize)]
pub(super) struct EmailView<'a> {
    object: &'static str,
    id: &'a str,
    message_id: String,
    to: &'a [String],
    from: &'a str,
    created_at: String,
    subject: &'a str,
    html: Option<&'a str>,
    text: Option<&'a str>,
    bcc: &'a [String],
    cc: &'a [String],
    reply_to: &'a [String],
    last_event: Event,
    scheduled_at: Option<String>,
}

pub(super) fn fetch(state: &State, id: &str) -> Result<Reply, ResendError> {
    check_id(id)?;
    let now = state.core.clock.now();
    let emails = lock(&state.emails);
    let email = emails.find(id).ok_or_else(not_found)?;
    Ok(Reply::json(StatusCode::OK, &email.view(now)))
}

/// Ids are UUIDs in their usual form; others are a mistake of the caller rather than an unknown e-mail.
pub(super) fn check_id(id: &str) -> Result<(), ResendError> {
    Uuid::try_parse(id)
        .map(|_| ())
        .map_err(|_unreadable| ResendError::named("invalid_parameter"))
}

pub(super) fn not_found() -> ResendError {
    ResendError::saying("not_found", "Email not found")
}

impl Email {
    pub(super) fn new(draft: Draft, now: DateTime<Utc>, delivery: Duration) -> Email {
        let timeline = Timeline {
            begins_at: draft.scheduled_at.unwrap_or(now),
            lasts: clock::delta(delivery),
            first: Event::Queued,
            then: draft.course.steps(),
        };
        let id = Uuid::from_u128(rand::random());
        let id = uuid::Builder::from_random_bytes(id.into_bytes())
            .into_uuid()
            .to_string();
        Email {
            id,
            draft,
            created_at: now,
            timeline,
            canceled: false,
            told: 0,
            forced: None,
        }
    }

    pub(super) fn draft(&self) -> &Draft {
        &self.draft
    }

    pub(super) fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    /// The next event that comes by itself, and when.
    pub(super) fn next_step(&self) -> Option<(Event, DateTime<Utc>)> {
        if self.canceled || self.forced.is_some() {
            return None;
        }
        self.timeline.steps().nth(self.told)
    }

    pub(super) fn step_told(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    pub(super) fn to(&self) -> &[String] {
        &self.draft.to
    }

    pub(super) fn last_event(&self, now: DateTime<Utc>) -> Event {
        match (self.forced, self.canceled, self.draft.scheduled_at) {
            (Some(forced), _, _) => forced,
            (None, true, _) => Event::Canceled,
            (None, false, Some(at)) if now < at => Event::Scheduled,
            (None, false, _) => self.timeline.at(now).0,
        }
    }

    pub(super) fn reschedule(&mut self, at: DateTime<Utc>) {
        self.draft.scheduled_at = Some(at);
        self.timeline.begins_at = at;
    }

    pub(super) fn cancel(&mut self) {
        self.canceled = true;
    }

    pub(super) fn force(&mut self, event: Event) {
        self.forced = Some(event);
    }

    pub(super) fn view(&self, now: DateTime<Utc>) -> EmailView<'_> {
        let draft = &self.draft;
        EmailView {
            object: "email",
            id: &self.id,
            message_id: format!("<{}@email.example.com>", self.id),
            to: &draft.to,
            from: &draft.from,
            created_at: timestamp(self.created_at),
            subject: &draft.subject,
            html: draft.html.as_deref(),
            text: draft.text.as_deref(),
            bcc: &draft.bcc,
            cc: &draft.cc,
            reply_to: &draft.reply_to,
            last_event: self.last_event(now),
            scheduled_at: draft.scheduled_at.map(timestamp),
        }
    }
}

impl Event {
    pub(super) fn of_name(name: &str) -> Option<Event> {
        Event::deserialize(Value::from(name)).ok()
    }

    /// What follows `queued` until this event.
    fn steps(self) -> &'static [Event] {
        use Event::{
            Bounced, Canceled, Clicked, Complained, Delivered, DeliveryDelayed, Failed, Opened,
            Queued, Scheduled, Sent, Suppressed,
        };
        match self {
            Queued | Scheduled => &[],
            Sent => &[Sent],
            Delivered => &[Sent, Delivered],
            DeliveryDelayed => &[Sent, DeliveryDelayed],
            Bounced => &[Sent, Bounced],
            Complained => &[Sent, Delivered, Complained],
            Opened => &[Sent, Delivered, Opened],
            Clicked => &[Sent, Delivered, Opened, Clicked],
            Failed => &[Failed],
            Suppressed => &[Suppressed],
            Canceled => &[Canceled],
        }
    }
}

/// `2023-04-03 22:13:42.674981+00`: a space, and an offset of two digits.
pub(super) fn timestamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}
