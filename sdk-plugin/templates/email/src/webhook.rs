//! What the provider tells of its own accord: `{"id": …, "type": …, "email": {…}}`. The gateway has
//! checked the signature before this is called.

use onerouter_plugin::prelude::*;

use crate::bindings::webhooks::{
    Event, Kind, MessageReport, News, Reading, Request as Webhook, Subject,
};
use crate::message;

pub(crate) fn read(request: &Webhook) -> Result<Reading, CallError> {
    let body = webhook::object(&request.body)?;
    let news = body.object("email").and_then(|email| report(&email));
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

fn report(email: &Object<'_>) -> Option<MessageReport> {
    let status = message::status(email)?;
    Some(MessageReport {
        subject: Subject {
            kind: Kind::Email,
            provider_id: email.text("id").filter(|id| webhook::is_id(id))?,
            object_id: None,
            attempt_id: None,
        },
        status: status.to_owned(),
        segments: None,
        cost: None,
        sender: None,
        failure: message::failed(status, email),
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
    fn a_bounce_is_reported() {
        let body = r#"{"id":"evt_1","type":"email.bounced","created_at":"2026-01-02T03:04:05Z","email":{"id":"eml_1","status":"bounced","error":{"code":"550"}}}"#;
        let mut event = read_body(body).unwrap();
        assert_eq!(event.id.as_deref(), Some("evt_1"));
        assert_eq!(event.event_type, "email.bounced");
        assert_eq!(event.occurred_at, Some(1_767_323_045_000));
        let Some(News::Reported(report)) = event.news.pop() else {
            panic!("no report in {event:?}");
        };
        assert_eq!(report.status, "bounced");
        assert_eq!(report.subject.provider_id, "eml_1");
        let failure = report.failure.unwrap();
        assert_eq!(failure.provider_code.as_deref(), Some("550"));
    }

    #[test]
    fn what_is_not_known_is_an_event_without_news() {
        for body in [
            r#"{"id":"evt_1","type":"invoice.created"}"#,
            r#"{"type":"email.new","email":{"id":"eml_1","status":"teleported"}}"#,
            r#"{"type":"email.new","email":{"id":"two words","status":"sent"}}"#,
            r#"{"type":"email.new","email":[1,2]}"#,
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
