//! What Resend tells of an e-mail.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::{
    email::{Email, Event},
    webhook::Telling,
};

/// What a webhook can be set to. Of contacts, domains and e-mails that come in there is nothing to tell
/// here.
pub(super) const NAMES: [&str; 17] = [
    "email.sent",
    "email.delivered",
    "email.delivery_delayed",
    "email.bounced",
    "email.complained",
    "email.opened",
    "email.clicked",
    "email.failed",
    "email.scheduled",
    "email.suppressed",
    "email.received",
    "contact.created",
    "contact.updated",
    "contact.deleted",
    "domain.created",
    "domain.updated",
    "domain.deleted",
];

impl Event {
    /// `None`: nobody is told.
    fn event_type(self) -> Option<&'static str> {
        match self {
            Event::Queued | Event::Canceled => None,
            Event::Scheduled => Some("email.scheduled"),
            Event::Sent => Some("email.sent"),
            Event::Delivered => Some("email.delivered"),
            Event::DeliveryDelayed => Some("email.delivery_delayed"),
            Event::Bounced => Some("email.bounced"),
            Event::Complained => Some("email.complained"),
            Event::Opened => Some("email.opened"),
            Event::Clicked => Some("email.clicked"),
            Event::Failed => Some("email.failed"),
            Event::Suppressed => Some("email.suppressed"),
        }
    }

    /// What only this event tells.
    fn details(self, at: DateTime<Utc>) -> Option<(&'static str, Value)> {
        match self {
            Event::Bounced => Some((
                "bounce",
                json!({
                    "type": "Permanent",
                    "subType": "General",
                    "message": "The recipient's mail server has refused the message for good.",
                    "diagnosticCode": ["smtp; 550 5.1.1 user unknown"],
                }),
            )),
            Event::Clicked => Some((
                "click",
                json!({
                    "ipAddress": "192.0.2.1",
                    "link": "https://example.com/",
                    "timestamp": millis(at),
                    "userAgent": "Mozilla/5.0 (sandbox)",
                }),
            )),
            Event::Failed => Some(("failed", json!({ "reason": "reached_daily_quota" }))),
            Event::Suppressed => Some((
                "suppressed",
                json!({
                    "type": "OnAccountSuppressionList",
                    "reason": "previous_bounce",
                    "message": "The address is on the account's suppression list.",
                    "diagnosticCode": [],
                }),
            )),
            Event::Queued
            | Event::Scheduled
            | Event::Canceled
            | Event::Sent
            | Event::Delivered
            | Event::DeliveryDelayed
            | Event::Complained
            | Event::Opened => None,
        }
    }
}

/// `None`: nobody is told.
pub(super) fn telling<'a>(
    email: &'a Email,
    event: Event,
    at: DateTime<Utc>,
) -> Option<Telling<'a>> {
    let event_type = event.event_type()?;
    let draft = email.draft();
    let mut data = Map::new();
    let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
    set("email_id", email.id.clone().into());
    set("created_at", micros(email.created_at()).into());
    set("from", draft.from.clone().into());
    set("to", draft.to.clone().into());
    set("subject", draft.subject.clone().into());
    // An object here, though they were sent as a list; the headers the other way round.
    if !draft.tags.is_empty() {
        set("tags", Value::Object(draft.tags.clone()));
    }
    if !draft.headers.is_empty() {
        let headers = draft.headers.iter();
        let headers = headers.map(|(name, value)| json!({ "name": name, "value": value }));
        set("headers", headers.collect());
    }
    if let Some((name, details)) = event.details(at) {
        set(name, details);
    }
    Some(Telling {
        event: event_type,
        object: &email.id,
        at,
        body: json!({ "type": event_type, "created_at": millis(at), "data": data }),
    })
}

fn millis(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn micros(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, false)
}
