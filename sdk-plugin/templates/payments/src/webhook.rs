//! What the provider tells of its own accord: `{"id": …, "type": …, "order": {…}, "refund": {…}}`. The
//! gateway has checked the signature before this is called.
//!
//! About money nothing is said but that something has changed: the gateway asks the provider.

use onerouter_plugin::prelude::*;

use crate::bindings::webhooks::{Event, Kind, News, Reading, Request as Webhook, Subject};

pub(crate) fn read(request: &Webhook) -> Result<Reading, CallError> {
    let body = webhook::object(&request.body)?;
    let subjects = [
        ("order", Kind::Payment, "pay_"),
        ("refund", Kind::Refund, "re_"),
    ];
    let news = subjects.into_iter().filter_map(|(field, kind, ours)| {
        let object = body.object(field)?;
        let reference = object.text("reference");
        Some(News::Changed(Subject {
            kind,
            provider_id: object.text("id").filter(|id| webhook::is_id(id))?,
            object_id: reference.filter(|id| id.starts_with(ours)),
            attempt_id: None,
        }))
    });
    Ok(Reading {
        events: vec![Event {
            id: body.text("id").filter(|id| webhook::is_id(id)),
            event_type: webhook::event_type(&body, "type")?,
            occurred_at: body
                .text("created_at")
                .and_then(|text| time::parse_rfc3339(&text)),
            // An event about something else is kept, and says nothing.
            news: news.collect(),
            extra: Vec::new(),
        }],
        answer: None,
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
    fn an_event_names_what_has_changed() {
        let body = r#"{"id":"evt_1","type":"refund.done","created_at":"2026-01-02T03:04:05Z","order":{"id":"ord_1","reference":"pay_1","status":"paid"},"refund":{"id":"ref_1","reference":"somebody's"}}"#;
        let event = read_body(body).unwrap();
        assert_eq!(event.id.as_deref(), Some("evt_1"));
        assert_eq!(event.occurred_at, Some(1_767_323_045_000));
        let [News::Changed(order), News::Changed(refund)] = event.news.as_slice() else {
            panic!("{event:?}");
        };
        assert_eq!(
            (order.kind, order.provider_id.as_str()),
            (Kind::Payment, "ord_1")
        );
        assert_eq!(order.object_id.as_deref(), Some("pay_1"));
        assert_eq!(
            (refund.kind, refund.provider_id.as_str()),
            (Kind::Refund, "ref_1")
        );
        assert_eq!(refund.object_id, None);
    }

    #[test]
    fn what_is_not_known_is_an_event_without_news() {
        for body in [
            r#"{"id":"evt_1","type":"invoice.created"}"#,
            r#"{"type":"order.paid","order":{"id":"two words"}}"#,
            r#"{"type":"order.paid","order":[1,2]}"#,
        ] {
            assert!(read_body(body).unwrap().news.is_empty(), "{body}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for body in ["", "[]", "{}", r#"{"type":7}"#] {
            let read = read_body(body);
            assert!(matches!(read, Err(CallError::Other(_))), "{body}");
        }
    }
}
