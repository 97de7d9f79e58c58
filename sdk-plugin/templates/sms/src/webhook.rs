//! What the provider tells of its own accord: `{"id": …, "type": …, "message": {…}}`. The gateway has
//! checked the signature before this is called.

use onerouter_plugin::prelude::*;

use crate::bindings::webhooks::{
    Event, Kind, MessageReport, News, Reading, Request as Webhook, Subject,
};
use crate::message;

pub(crate) fn read(request: &Webhook) -> Result<Reading, CallError> {
    let body = webhook::object(&request.body)?;
    let news = body.object("message").and_then(|message| report(&message));
    Ok(Reading {
        events: vec![Event {
            id: body.text("id").filter(|id| webhook::is_id(id)),
            event_type: webhook::event_type(&body, "type")?,
            occurred_at: body
                .text("created_at")
                .and_then(|text| time::parse_rfc3339(&text)),
            // An event about something else is kept, and says nothing.
            news: news.map(News::Reported).into_iter().collect(),
            extra: Vec::new(),
        }],
        answer: None,
    })
}

fn report(message: &Object<'_>) -> Option<MessageReport> {
    let status = message::status(message)?;
    Some(MessageReport {
        subject: Subject {
            kind: Kind::Sms,
            provider_id: message.text("id").filter(|id| webhook::is_id(id))?,
            object_id: None,
            attempt_id: message
                .text("reference")
                .filter(|id| id.starts_with("att_")),
        },
        status: status.to_owned(),
        segments: message.number("parts").and_then(|parts| parts.parse().ok()),
        cost: message::cost(message),
        sender: message.text("from"),
        failure: message::failed(status, message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_body(body: &str) -> Result<Event, CallError> {
        let mut reading = read(&Webhook {
            content_type: "application/json".into(),
            query: Vec::new(),
            headers: Vec::new(),
            form: Vec::new(),
            body: body.into(),
            received_at: 1_700_000_000_000,
            extra: Vec::new(),
        })?;
        Ok(reading.events.remove(0))
    }

    #[test]
    fn a_delivery_is_reported() {
        let body = r#"{"id":"evt_1","type":"message.delivered","created_at":"2026-01-02T03:04:05Z","message":{"id":"msg_1","status":"delivered","reference":"att_1"}}"#;
        let mut event = read_body(body).unwrap();
        assert_eq!(event.id.as_deref(), Some("evt_1"));
        assert_eq!(event.event_type, "message.delivered");
        assert_eq!(event.occurred_at, Some(1_767_323_045_000));
        let Some(News::Reported(report)) = event.news.pop() else {
            panic!("no report in {event:?}");
        };
        assert_eq!(report.status, "delivered");
        assert_eq!(report.subject.provider_id, "msg_1");
        assert_eq!(report.subject.attempt_id.as_deref(), Some("att_1"));
    }

    #[test]
    fn what_is_not_known_is_an_event_without_news() {
        for body in [
            r#"{"id":"evt_1","type":"invoice.created"}"#,
            r#"{"type":"message.new","message":{"id":"msg_1","status":"teleported"}}"#,
            r#"{"type":"message.new","message":{"id":"two words","status":"sent"}}"#,
            r#"{"type":"message.new","message":[1,2]}"#,
        ] {
            assert!(read_body(body).unwrap().news.is_empty(), "{body}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for body in ["", "[]", "{}", r#"{"type":7}"#] {
            assert!(
                matches!(read_body(body), Err(CallError::Other(_))),
                "{body}"
            );
        }
    }
}
