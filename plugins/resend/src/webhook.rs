//! What Resend tells of its own accord: what became of an e-mail, and what its recipient did with it.
//! <https://resend.com/docs/dashboard/webhooks/event-types>

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::CallError;
use onerouter_plugin::json::Object;
use onerouter_plugin::time;
use onerouter_plugin::webhook::{self, unreadable};

use crate::bindings::exports::onerouter::webhooks::webhooks::{
    Engagement, EngagementKind, Event, Kind, MessageReport, News, Reading, Request, Subject,
};
use crate::message;

/// What the names of events that concern an e-mail begin with.
const EMAIL: &str = "email.";

pub(crate) fn read(request: &Request) -> Result<Reading, CallError> {
    let envelope = webhook::object(&request.body)?;
    let event_type = webhook::event_type(&envelope, "type")?;
    let happened = event_type.strip_prefix(EMAIL);
    // Those that a later version of Resend adds, and `received`, are about no e-mail of ours.
    let known = happened.and_then(message::Event::named);
    let news = match known {
        Some(known) => {
            let data = envelope.object("data");
            let news = data.and_then(|data| news(known, &data));
            Some(news.ok_or_else(|| unreadable("the event has no email_id"))?)
        }
        None => None,
    };
    let event = Event {
        // Resend's own is in the headers that are signed: the host knows it.
        id: None,
        event_type,
        occurred_at: envelope
            .text("created_at")
            .and_then(|text| time::parse_rfc3339(&text)),
        news: news.into_iter().collect(),
        extra: Vec::new(),
    };
    Ok(Reading {
        events: alloc::vec![event],
        answer: None,
    })
}

/// None where the e-mail has no id.
fn news(event: &message::Event, data: &Object<'_>) -> Option<News> {
    let subject = Subject {
        kind: Kind::Email,
        provider_id: data.text("email_id").filter(|id| webhook::is_id(id))?,
        object_id: None,
        attempt_id: None,
    };
    Some(match event.theirs {
        "opened" => News::Engaged(engagement(subject, EngagementKind::Opened, None)),
        "clicked" => {
            let link = data.object("click").and_then(|click| click.text("link"));
            News::Engaged(engagement(subject, EngagementKind::Clicked, link))
        }
        _ => News::Reported(report(event, subject, data)),
    })
}

fn engagement(subject: Subject, what: EngagementKind, link: Option<String>) -> Engagement {
    Engagement {
        subject,
        what,
        link: link.filter(|link| !link.is_empty()),
        // Not who they are: address and browser stay where they are.
        extra: Vec::new(),
    }
}

fn report(event: &message::Event, subject: Subject, data: &Object<'_>) -> MessageReport {
    // What is told of a failure stands under the event's own name, or nearly.
    let detail = data.object(match event.theirs {
        "bounced" => "bounce",
        name => name,
    });
    let told = |field: &str| detail.as_ref()?.text(field);
    // A full mailbox, a server that is down: it may still arrive.
    let passes = event.theirs == "bounced" && told("type").as_deref() == Some("Transient");
    let (status, failure) = if passes {
        ("delayed", None)
    } else {
        let words = told("message").or_else(|| told("reason"));
        (event.status, event.failure(words))
    };
    MessageReport {
        subject,
        status: status.to_owned(),
        segments: None,
        cost: None,
        sender: None,
        failure,
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const ID: &str = "4ef9a417-02e9-4d39-ad75-9611e0fcc33c";

    fn request(body: &str) -> Request {
        Request {
            content_type: "application/json".into(),
            query: Vec::new(),
            headers: Vec::new(),
            form: Vec::new(),
            body: body.into(),
            received_at: 1_700_000_000_000,
            extra: Vec::new(),
        }
    }

    fn body(event: &str, more: &str) -> String {
        format!(
            r#"{{"type":"{event}","created_at":"2023-08-24T07:01:45.126789+02:00","data":{{"created_at":"2023-08-24T05:01:44.894719+00:00","email_id":"{ID}","from":"Acme <hello@example.com>","to":["ada@example.com"],"subject":"Hello","tags":{{"kind":"welcome"}},"headers":[{{"name":"X-Ref","value":"7"}}]{more}}}}}"#
        )
    }

    fn only(body: &str) -> Event {
        let mut reading = read(&request(body)).unwrap();
        assert_eq!(reading.events.len(), 1);
        assert!(reading.answer.is_none());
        reading.events.pop().unwrap()
    }

    fn reported(event: &str, more: &str) -> MessageReport {
        match only(&body(event, more)).news.pop() {
            Some(News::Reported(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    fn engaged(event: &str, more: &str) -> Engagement {
        match only(&body(event, more)).news.pop() {
            Some(News::Engaged(engagement)) => engagement,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_has_the_time_of_the_envelope_and_no_id() {
        let event = only(&body("email.sent", ""));
        assert_eq!(event.event_type, "email.sent");
        assert_eq!(event.occurred_at, Some(1_692_853_305_126));
        assert!(event.id.is_none());
        for odd in ["null", "7", "\"\"", "\"yesterday\"", "{}"] {
            let odd = format!(r#"{{"type":"domain.created","created_at":{odd}}}"#);
            assert_eq!(only(&odd).occurred_at, None);
        }
    }

    #[test]
    fn what_became_of_an_e_mail_is_reported() {
        for (event, status, code) in [
            ("email.sent", "sent", None),
            ("email.delivered", "delivered", None),
            ("email.delivery_delayed", "delayed", None),
            ("email.bounced", "bounced", Some("bounced")),
            ("email.complained", "complained", Some("complained")),
            ("email.failed", "failed", Some("unknown_failure")),
            ("email.scheduled", "scheduled", None),
            ("email.suppressed", "failed", Some("suppressed")),
        ] {
            let report = reported(event, "");
            assert_eq!(report.status, status, "{event}");
            let failure = report.failure;
            assert_eq!(failure.as_ref().map(|failure| failure.code.as_str()), code);
            let theirs = failure.and_then(|failure| failure.provider_code);
            assert_eq!(theirs.as_deref(), code.and(event.strip_prefix("email.")));
            assert_eq!(report.subject.kind, Kind::Email);
            assert_eq!(report.subject.provider_id, ID);
            assert!(report.subject.object_id.is_none() && report.subject.attempt_id.is_none());
        }
    }

    #[test]
    fn resends_words_come_along() {
        let words = |event, more| reported(event, more).failure.unwrap().provider_message;
        let bounce = r#","bounce":{"type":"Permanent","subType":"NoEmail","message":"No such mailbox.","diagnosticCode":["smtp; 550 5.1.1"]}"#;
        assert_eq!(
            words("email.bounced", bounce).as_deref(),
            Some("No such mailbox.")
        );
        let failed = r#","failed":{"reason":"reached_daily_quota"}"#;
        assert_eq!(
            words("email.failed", failed).as_deref(),
            Some("reached_daily_quota")
        );
        let suppressed = r#","suppressed":{"type":"Suppressed","reason":"previous_bounce","message":"Bounced before.","diagnosticCode":[]}"#;
        assert_eq!(
            words("email.suppressed", suppressed).as_deref(),
            Some("Bounced before.")
        );
        for odd in [
            "",
            r#","bounce":null"#,
            r#","bounce":[]"#,
            r#","bounce":{"message":7}"#,
        ] {
            assert_eq!(words("email.bounced", odd), None, "{odd}");
        }
    }

    #[test]
    fn a_bounce_that_passes_is_a_delay() {
        for (kind, status) in [
            ("\"Transient\"", "delayed"),
            ("\"Permanent\"", "bounced"),
            ("\"Undetermined\"", "bounced"),
            ("\"Teleported\"", "bounced"),
            ("null", "bounced"),
            ("7", "bounced"),
        ] {
            let bounce = format!(r#","bounce":{{"type":{kind},"subType":"MailboxFull"}}"#);
            let report = reported("email.bounced", &bounce);
            assert_eq!(report.status, status);
            assert_eq!(report.failure.is_some(), status == "bounced");
        }
    }

    #[test]
    fn what_a_recipient_does_is_an_engagement() {
        let opened = engaged("email.opened", "");
        assert_eq!(opened.what, EngagementKind::Opened);
        assert_eq!(
            (opened.subject.provider_id.as_str(), opened.link),
            (ID, None)
        );
        let click = r#","click":{"ipAddress":"192.0.2.7","link":"https://example.com/a?b=1","timestamp":"2023-08-24T05:01:44.000Z","userAgent":"Browser"}"#;
        let clicked = engaged("email.clicked", click);
        assert_eq!(clicked.what, EngagementKind::Clicked);
        assert_eq!(clicked.link.as_deref(), Some("https://example.com/a?b=1"));
        assert!(clicked.extra.is_empty());
        for odd in [
            "",
            r#","click":7"#,
            r#","click":{"link":null}"#,
            r#","click":{"link":""}"#,
        ] {
            assert_eq!(engaged("email.clicked", odd).link, None, "{odd}");
        }
    }

    #[test]
    fn the_rest_is_no_news() {
        for event in [
            "email.received",
            "email.teleported",
            "email.",
            "email",
            "contact.created",
            "contact.updated",
            "contact.deleted",
            "domain.created",
            "domain.updated",
            "domain.deleted",
            "teleport.done",
        ] {
            let event = only(&body(event, ""));
            assert!(event.news.is_empty(), "{}", event.event_type);
            let bare = format!(r#"{{"type":"{}","data":[]}}"#, event.event_type);
            assert!(only(&bare).news.is_empty());
        }
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for odd in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"type":7}"#,
            r#"{"type":""}"#,
            r#"{"type":"email.sent"}"#,
            r#"{"type":"email.sent","data":null}"#,
            r#"{"type":"email.sent","data":[]}"#,
            r#"{"type":"email.sent","data":{"email_id":7}}"#,
            r#"{"type":"email.sent","data":{"email_id":""}}"#,
            r#"{"type":"email.clicked","data":{"email_id":"a b"}}"#,
            &format!(
                r#"{{"type":"email.sent","data":{{"email_id":"{}"}}}}"#,
                "a".repeat(256)
            ),
            &format!(r#"{{"type":"{}"}}"#, "a".repeat(101)),
            &"{\"data\":".repeat(100_000),
        ] {
            assert!(
                matches!(read(&request(odd)), Err(CallError::Other(_))),
                "{odd}"
            );
        }
        let odd = Request {
            body: b"{\"type\":\"email.sent\xff\"}".to_vec(),
            ..request("")
        };
        assert!(read(&odd).is_err());
    }

    #[test]
    fn damaged_bodies_keep_the_promises() {
        let click = r#","click":{"link":"https://example.com/\u00e9"}"#;
        let body = body("email.clicked", click);
        for at in 0..body.len() {
            let bytes = body.as_bytes();
            let cut = Request {
                body: bytes[..at].to_vec(),
                ..request("")
            };
            assert!(read(&cut).is_err());
            for put in b"\"\\{}[],:0-eu \x00\xff" {
                let mut damaged = bytes.to_vec();
                damaged[at] = *put;
                let damaged = Request {
                    body: damaged,
                    ..request("")
                };
                let Ok(reading) = read(&damaged) else {
                    continue;
                };
                for event in reading.events {
                    assert!((1..=100).contains(&event.event_type.len()));
                    for news in event.news {
                        let subject = match news {
                            News::Engaged(engagement) => engagement.subject,
                            News::Reported(report) => report.subject,
                            other => panic!("{other:?}"),
                        };
                        assert!(webhook::is_id(&subject.provider_id));
                    }
                }
            }
        }
    }
}
