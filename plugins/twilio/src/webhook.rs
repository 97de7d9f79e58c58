//! What Twilio tells of its own accord: what became of a message, and messages that came in.
//!
//! <https://www.twilio.com/docs/messaging/guides/track-outbound-message-status>,
//! <https://www.twilio.com/docs/messaging/guides/webhook-request>

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use onerouter_plugin::common::CallError;
use onerouter_plugin::json::Object;
use onerouter_plugin::webhook::{self, unreadable};

use crate::bindings::exports::onerouter::webhooks::webhooks::{
    Answer, Consent, Event, IncomingMessage, Kind, Medium, MessageReport, News, Reading, Request,
    Subject,
};
use crate::{delivery, message};

/// Parameter of the callback URL that names the attempt.
pub(crate) const ATTEMPT: &str = "attempt";

const MEDIA_MAX: usize = 10;
const ADDRESS_BYTES_MAX: usize = 2_048;
const STATUS_BYTES_MAX: usize = 64;

/// TwiML: nothing is to be sent in reply. Text that is no TwiML would be.
const NO_REPLY: (&str, &str) = ("text/xml", "<Response/>");

/// What counts when it is all that a text says, in whatever case, and what `OptOutType` says.
/// <https://help.twilio.com/articles/223134027>
const WORDS: [(&str, Consent); 11] = [
    ("STOP", Consent::Stop),
    ("STOPALL", Consent::Stop),
    ("UNSUBSCRIBE", Consent::Stop),
    ("CANCEL", Consent::Stop),
    ("END", Consent::Stop),
    ("QUIT", Consent::Stop),
    ("START", Consent::Start),
    ("YES", Consent::Start),
    ("UNSTOP", Consent::Start),
    ("HELP", Consent::Help),
    ("INFO", Consent::Help),
];

pub(crate) fn read(request: &Request) -> Result<Reading, CallError> {
    let fields = Fields::of(request)?;
    let Some(provider_id) = fields.id() else {
        return Err(unreadable("the request has no MessageSid"));
    };
    let status = fields.text("MessageStatus");
    let status = status.or_else(|| fields.text("SmsStatus"));
    let has_content = ["Body", "NumMedia"].iter().any(|name| fields.has(name));
    match status.as_deref() {
        Some("received" | "receiving") => incoming(&fields, provider_id),
        None if has_content => incoming(&fields, provider_id),
        Some(status) => {
            let subject = Subject {
                kind: Kind::Sms,
                provider_id,
                object_id: None,
                attempt_id: attempt(request),
            };
            Ok(Reading {
                events: alloc::vec![report(&fields, subject, status)],
                answer: None,
            })
        }
        None => Err(unreadable(
            "the request is neither the status of a message nor a message",
        )),
    }
}

/// A form, or a JSON object with the same names.
enum Fields<'r> {
    Form(&'r [(String, String)]),
    Json(Object<'r>),
}

impl<'r> Fields<'r> {
    fn of(request: &'r Request) -> Result<Self, CallError> {
        if request.form.is_empty() {
            webhook::object(&request.body).map(Self::Json)
        } else {
            Ok(Self::Form(&request.form))
        }
    }

    /// The text in a field; none where it is empty, as many are that do not apply.
    fn text(&self, name: &str) -> Option<String> {
        let text = match self {
            Self::Form(pairs) => webhook::value(pairs, name).map(str::to_owned),
            Self::Json(object) => object.text_or_number(name),
        };
        text.filter(|text| !text.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Form(pairs) => webhook::value(pairs, name).is_some(),
            Self::Json(object) => object.raw(name).is_some(),
        }
    }

    /// The message's; it stands there under its older names too.
    fn id(&self) -> Option<String> {
        ["MessageSid", "SmsSid", "SmsMessageSid"]
            .iter()
            .find_map(|name| self.text(name))
            .filter(|id| webhook::is_id(id))
    }

    /// `NumSegments` is 0 until it is known.
    fn segments(&self) -> Option<u32> {
        let count = self.text("NumSegments")?.parse().ok()?;
        (count > 0).then_some(count)
    }
}

/// Which attempt made the message: our own parameter, that came back.
fn attempt(request: &Request) -> Option<String> {
    webhook::value(&request.query, ATTEMPT)
        .filter(|id| webhook::is_id(id))
        .map(str::to_owned)
}

/// What became of a message. Of a status that this version does not know nothing is said.
fn report(fields: &Fields<'_>, subject: Subject, theirs: &str) -> Event {
    let news = message::status_of(theirs).map(|status| {
        let failed = matches!(status, "failed" | "undelivered");
        News::Reported(MessageReport {
            subject,
            status: status.to_owned(),
            segments: fields.segments(),
            cost: None,
            sender: fields.text("From"),
            failure: failed.then(|| {
                delivery::failure_of(fields.text("ErrorCode"), fields.text("ErrorMessage"))
            }),
        })
    });
    event(theirs, news.into_iter().collect())
}

/// A message that somebody sent.
fn incoming(fields: &Fields<'_>, provider_id: String) -> Result<Reading, CallError> {
    let (Some(sender), Some(to)) = (fields.text("From"), fields.text("To")) else {
        return Err(unreadable("an incoming message has no From or no To"));
    };
    let body = fields.text("Body").unwrap_or_default();
    let message = IncomingMessage {
        provider_id,
        sender,
        to,
        media: media(fields),
        segments: fields.segments(),
        consent: consent(fields.text("OptOutType").as_deref(), &body),
        body,
        extra: Vec::new(),
    };
    let (content_type, body) = NO_REPLY;
    Ok(Reading {
        events: alloc::vec![event("received", alloc::vec![News::Received(message)])],
        answer: Some(Answer {
            content_type: content_type.to_owned(),
            body: body.to_owned(),
        }),
    })
}

/// `MediaUrl0` and so on, which end where `NumMedia` says.
fn media(fields: &Fields<'_>) -> Vec<Medium> {
    let numbered = |name: &str, index: usize| fields.text(&[name, &index.to_string()].concat());
    let media = (0..MEDIA_MAX).map_while(|index| {
        let url = numbered("MediaUrl", index)?;
        let is_address = url.starts_with("https://")
            && url.len() <= ADDRESS_BYTES_MAX
            && url.bytes().all(|byte| byte.is_ascii_graphic());
        Some(is_address.then(|| Medium {
            url,
            content_type: numbered("MediaContentType", index).filter(|text| webhook::is_id(text)),
        }))
    });
    media.flatten().collect()
}

/// What Twilio took the text for; with Advanced Opt-Out it says so, in whatever language it is. Else by
/// the words themselves.
fn consent(opt_out_type: Option<&str>, body: &str) -> Option<Consent> {
    let meaning = |text: &str| {
        let text = text.trim();
        let mut words = WORDS.iter();
        words
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(_, consent)| *consent)
    };
    opt_out_type.and_then(meaning).or_else(|| meaning(body))
}

/// Twilio has no names for them, and signs neither an id nor a time.
fn event(status: &str, news: Vec<News>) -> Event {
    let is_plain = status.len() <= STATUS_BYTES_MAX && webhook::is_id(status);
    Event {
        id: None,
        event_type: ["message.", if is_plain { status } else { "unknown" }].concat(),
        occurred_at: None,
        news,
        extra: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::message::STATUSES;

    const SID: &str = "SM00000000000000000000000000000001";

    /// A request with these fields as a form.
    fn form(fields: &[(&str, &str)]) -> Request {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Request {
            content_type: "application/x-www-form-urlencoded".into(),
            query: alloc::vec![("attempt".into(), "att_1".into())],
            headers: Vec::new(),
            form: fields.iter().map(pair).collect(),
            body: b"not looked at".to_vec(),
            received_at: 1_692_853_305_000,
            extra: Vec::new(),
        }
    }

    fn json(body: &[u8]) -> Request {
        Request {
            content_type: "application/json".into(),
            body: body.to_vec(),
            ..form(&[])
        }
    }

    fn callback(status: &str, more: &[(&str, &str)]) -> Request {
        let fields = [
            ("SmsSid", SID),
            ("SmsStatus", status),
            ("MessageStatus", status),
            ("To", "+14155550100"),
            ("MessageSid", SID),
            ("AccountSid", "AC00000000000000000000000000000001"),
            ("From", "+15005550006"),
            ("ApiVersion", "2010-04-01"),
        ];
        form(&[&fields[..], more].concat())
    }

    fn text(body: &str, more: &[(&str, &str)]) -> Request {
        let fields = [
            ("ToCountry", "US"),
            ("FromCity", ""),
            ("SmsMessageSid", SID),
            ("NumMedia", "0"),
            ("SmsSid", SID),
            ("SmsStatus", "received"),
            ("Body", body),
            ("To", "+15005550006"),
            ("NumSegments", "1"),
            ("MessageSid", SID),
            ("From", "+14155550100"),
        ];
        form(&[&fields[..], more].concat())
    }

    fn only(request: &Request) -> Event {
        let mut reading = read(request).unwrap();
        assert_eq!(reading.events.len(), 1);
        reading.events.pop().unwrap()
    }

    fn reported(request: &Request) -> MessageReport {
        match only(request).news.pop() {
            Some(News::Reported(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    fn received(request: &Request) -> IncomingMessage {
        match only(request).news.pop() {
            Some(News::Received(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_status_is_reported_in_our_words() {
        for (theirs, ours) in STATUSES {
            if ours == "received" {
                continue;
            }
            let request = callback(theirs, &[]);
            let event = only(&request);
            assert_eq!(event.event_type, format!("message.{theirs}"));
            assert!(event.id.is_none() && event.occurred_at.is_none());
            let report = reported(&request);
            assert_eq!(report.status, ours);
            assert_eq!(report.sender.as_deref(), Some("+15005550006"));
            assert_eq!(report.subject.kind, Kind::Sms);
            assert_eq!(report.subject.provider_id, SID);
            assert_eq!(report.subject.attempt_id.as_deref(), Some("att_1"));
            let fails = matches!(ours, "failed" | "undelivered");
            assert_eq!(report.failure.is_some(), fails, "{theirs}");
            assert!(read(&request).unwrap().answer.is_none());
        }
    }

    #[test]
    fn a_failure_keeps_twilios_code_and_words() {
        let more = [
            ("ErrorCode", "30003"),
            ("ErrorMessage", "Unreachable destination handset"),
        ];
        let failure = reported(&callback("undelivered", &more)).failure.unwrap();
        assert_eq!(failure.code, "recipient_unreachable");
        assert_eq!(failure.provider_code.as_deref(), Some("30003"));
        assert!(failure.provider_message.unwrap().starts_with("Unreach"));
        for odd in ["", "0", "99999999999999999999", "x"] {
            let failed = reported(&callback("failed", &[("ErrorCode", odd)]));
            assert_eq!(failed.failure.unwrap().code, "unknown_failure");
        }
        // What an error code says of a message that goes well is not looked at.
        let sent = reported(&callback("sent", &more));
        assert!(sent.failure.is_none());
    }

    #[test]
    fn a_status_may_come_as_json() {
        let body = format!(
            r#"{{"MessageSid":"{SID}","MessageStatus":"failed","ErrorCode":30007,"From":"+15005550006","NumSegments":2}}"#
        );
        let report = reported(&json(body.as_bytes()));
        assert_eq!(
            (report.status.as_str(), report.segments),
            ("failed", Some(2))
        );
        assert_eq!(report.failure.unwrap().code, "content_filtered");
    }

    #[test]
    fn an_unknown_status_is_an_event_without_news() {
        let event = only(&callback("teleported", &[]));
        assert_eq!(event.event_type, "message.teleported");
        assert!(event.news.is_empty());
        for odd in ["tele ported", "\u{e9}", &"a".repeat(65)] {
            let event = only(&callback(odd, &[]));
            assert_eq!(event.event_type, "message.unknown");
            assert!(event.news.is_empty());
        }
    }

    #[test]
    fn an_attempt_that_is_none_is_left_out() {
        for odd in ["", "a b", &"a".repeat(256)] {
            let request = Request {
                query: alloc::vec![("attempt".into(), odd.to_owned())],
                ..callback("sent", &[])
            };
            assert_eq!(reported(&request).subject.attempt_id, None);
        }
        let request = Request {
            query: Vec::new(),
            ..callback("sent", &[("attempt", "att_2")])
        };
        assert_eq!(reported(&request).subject.attempt_id, None);
    }

    #[test]
    fn a_message_comes_in_and_gets_no_reply() {
        let reading = read(&text("Hello", &[])).unwrap();
        let answer = reading.answer.unwrap();
        assert_eq!(
            (answer.content_type.as_str(), answer.body.as_str()),
            ("text/xml", "<Response/>")
        );
        assert_eq!(reading.events[0].event_type, "message.received");
        let message = received(&text("Hello", &[]));
        assert_eq!(message.provider_id, SID);
        assert_eq!(message.sender, "+14155550100");
        assert_eq!(message.to, "+15005550006");
        assert_eq!(message.body, "Hello");
        assert_eq!(message.segments, Some(1));
        assert!(message.media.is_empty() && message.consent.is_none());
    }

    #[test]
    fn a_message_without_a_status_is_known_by_its_content() {
        let bare = [
            ("MessageSid", SID),
            ("From", "12345"),
            ("To", "+15005550006"),
        ];
        let with = |name| form(&[&bare[..], &[(name, "")]].concat());
        assert_eq!(received(&with("Body")).sender, "12345");
        assert_eq!(received(&with("NumMedia")).body, "");
        assert!(read(&form(&bare)).is_err());
    }

    #[test]
    fn pictures_come_along() {
        let pictures = [
            ("MediaUrl0", "https://api.twilio.com/a"),
            ("MediaContentType0", "image/jpeg"),
            ("MediaUrl1", "javascript:alert(1)"),
            ("MediaUrl2", "https://api.twilio.com/c"),
            ("MediaUrl4", "https://api.twilio.com/e"),
        ];
        let media = received(&text("", &pictures)).media;
        let urls: Vec<_> = media.iter().map(|medium| medium.url.as_str()).collect();
        assert_eq!(
            urls,
            ["https://api.twilio.com/a", "https://api.twilio.com/c"]
        );
        assert_eq!(media[0].content_type.as_deref(), Some("image/jpeg"));
        assert_eq!(media[1].content_type, None);
        let names: Vec<_> = (0..20).map(|index| format!("MediaUrl{index}")).collect();
        let many = names
            .iter()
            .map(|name| (name.as_str(), "https://a.example/"));
        let many: Vec<_> = many.collect();
        assert_eq!(received(&text("", &many)).media.len(), 10);
    }

    #[test]
    fn consent_is_one_word_or_what_twilio_says() {
        let of = |body: &str, more: &[(&str, &str)]| received(&text(body, more)).consent;
        for (body, expected) in [
            ("STOP", Consent::Stop),
            ("StopAll", Consent::Stop),
            ("unsubscribe", Consent::Stop),
            ("CANCEL", Consent::Stop),
            ("end\n", Consent::Stop),
            (" quit ", Consent::Stop),
            ("Start", Consent::Start),
            ("yes", Consent::Start),
            ("UNSTOP", Consent::Start),
            ("help", Consent::Help),
            ("INFO", Consent::Help),
        ] {
            assert_eq!(of(body, &[]), Some(expected), "{body}");
        }
        for body in ["Stop please", "", "STOP.", "S T O P", "yes!"] {
            assert_eq!(of(body, &[]), None, "{body}");
        }
        assert_eq!(
            of("Arr\u{ea}t", &[("OptOutType", "STOP")]),
            Some(Consent::Stop)
        );
        assert_eq!(of("stop", &[("OptOutType", "START")]), Some(Consent::Start));
        assert_eq!(
            of("stop", &[("OptOutType", "TELEPORT")]),
            Some(Consent::Stop)
        );
        assert_eq!(of("Hello", &[("OptOutType", "")]), None);
    }

    #[test]
    fn what_is_neither_is_an_error() {
        let call = [("CallSid", "CA1"), ("CallStatus", "completed")];
        let long = "a".repeat(256);
        for request in [
            form(&call),
            form(&[("MessageSid", ""), ("MessageStatus", "sent")]),
            form(&[("MessageSid", "a b"), ("MessageStatus", "sent")]),
            form(&[("MessageSid", &long), ("MessageStatus", "sent")]),
            form(&[("MessageSid", SID)]),
            form(&[("MessageSid", SID), ("Body", "x"), ("From", "+1")]),
            form(&[("MessageSid", SID), ("Body", "x"), ("To", "+1")]),
            json(b""),
            json(b"[]"),
            json(b"{\"MessageSid\":\"\xff\"}"),
            json(br#"{"MessageSid":null,"MessageStatus":"sent"}"#),
            json(br#"{"MessageSid":{"a":1},"MessageStatus":"sent"}"#),
            json("[".repeat(100_000).as_bytes()),
        ] {
            assert!(matches!(read(&request), Err(CallError::Other(_))));
        }
        let odd = json(br#"{"MessageSid":1e999,"MessageStatus":[],"SmsStatus":{},"Body":7,"From":{},"To":"x"}"#);
        assert!(read(&odd).is_err());
    }

    #[test]
    fn damaged_bodies_keep_the_promises() {
        let body = format!(
            r#"{{"MessageSid":"{SID}","SmsStatus":"received","From":"+14155550100","To":"+15005550006","Body":"a\u00e9","NumMedia":1,"MediaUrl0":"https://a.example/","NumSegments":"1"}}"#
        );
        for at in 0..body.len() {
            let bytes = body.as_bytes();
            let _ = read(&json(&bytes[..at]));
            for put in b"\"\\{}[],:0-eu \x00\xff" {
                let mut damaged = bytes.to_vec();
                damaged[at] = *put;
                let Ok(reading) = read(&json(&damaged)) else {
                    continue;
                };
                for event in reading.events {
                    assert!((1..=100).contains(&event.event_type.len()));
                    for news in event.news {
                        let id = match news {
                            News::Reported(report) => report.subject.provider_id,
                            News::Received(message) => message.provider_id,
                            other => panic!("{other:?}"),
                        };
                        assert!(webhook::is_id(&id));
                    }
                }
            }
        }
    }
}
