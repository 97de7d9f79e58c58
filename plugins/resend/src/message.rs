//! Resend's view of an e-mail, in our words.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::http::{Answer, Request};
use onerouter_plugin::json::Object;
use onerouter_plugin::url::Url;

use crate::account::{EMAILS, authenticated};
use crate::bindings::exports::onerouter::email::email::{Message, SendRequest};
use crate::refusal;

/// What a `last_event` means.
pub(crate) struct Event {
    pub(crate) theirs: &'static str,
    pub(crate) status: &'static str,
    /// Unified code and sentence, where the e-mail failed.
    pub(crate) failure: Option<(&'static str, &'static str)>,
}

const fn good(theirs: &'static str, status: &'static str) -> Event {
    Event {
        theirs,
        status,
        failure: None,
    }
}

const fn bad(
    theirs: &'static str,
    status: &'static str,
    code: &'static str,
    message: &'static str,
) -> Event {
    Event {
        theirs,
        status,
        failure: Some((code, message)),
    }
}

/// Resend's events and our statuses.
#[rustfmt::skip]
pub(crate) const EVENTS: [Event; 12] = [
    good("queued", "queued"),
    good("scheduled", "scheduled"),
    good("canceled", "canceled"),
    good("sent", "sent"),
    good("delivered", "delivered"),
    good("delivery_delayed", "delayed"),
    bad("bounced", "bounced", "bounced", "The recipient's server rejected the e-mail."),
    bad("complained", "complained", "complained", "The recipient marked the e-mail as spam."),
    // Both come after "delivered", and take its place as the last event.
    good("opened", "delivered"),
    good("clicked", "delivered"),
    bad("failed", "failed", "unknown_failure", "Resend could not send the e-mail."),
    bad("suppressed", "failed", "suppressed", "The recipient bounced or complained before, so Resend did not send."),
];

impl Event {
    pub(crate) fn named(theirs: &str) -> Option<&'static Self> {
        EVENTS.iter().find(|event| event.theirs == theirs)
    }

    /// Why the e-mail failed, where it did; `words` are Resend's, where it has any.
    pub(crate) fn failure(&self, words: Option<String>) -> Option<Failure> {
        self.failure.map(|(code, message)| Failure {
            provider_code: Some(self.theirs.to_owned()),
            provider_message: words,
            ..failure(code, message)
        })
    }
}

/// `GET /emails/{id}`
pub(crate) fn get(provider_id: &str) -> Result<Message, CallError> {
    let answer = authenticated(Request::get(Url::new(EMAILS).segment(provider_id)))
        .send()
        .map_err(failure::after_read)?;
    if !answer.is_success() {
        return Err(refusal::after_read(&answer));
    }
    read(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// `POST /emails/{id}/cancel`
pub(crate) fn cancel(provider_id: &str) -> Result<Message, CallError> {
    let url = Url::new(EMAILS).segment(provider_id).segment("cancel");
    let answer = authenticated(Request::post(url))
        .send()
        .map_err(failure::after_write)?;
    if !answer.is_success() {
        return Err(refusal::after_change(&answer));
    }
    // The specification shows a whole e-mail here, the libraries only its id.
    answer
        .object()
        .and_then(|object| message(&object, "canceled", answer.raw()))
        .ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// The answer to an e-mail that was handed over; it has nothing but an id.
pub(crate) fn created(
    object: &Object<'_>,
    raw: Option<String>,
    request: &SendRequest,
) -> Option<Message> {
    let status = match request.send_at {
        Some(_) => "scheduled",
        None => "queued",
    };
    message(object, status, raw)
}

fn read(answer: &Answer) -> Option<Message> {
    let object = answer.object()?;
    let Some(last_event) = object.text("last_event") else {
        // Nothing has happened to it so far.
        return message(&object, "queued", answer.raw());
    };
    // An event that this version does not know leaves the e-mail as the host knows it: any status
    // would be a guess.
    let event = Event::named(&last_event)?;
    let message = message(&object, event.status, answer.raw())?;
    Some(Message {
        failure: event.failure(None),
        ..message
    })
}

fn message(object: &Object<'_>, status: &str, raw: Option<String>) -> Option<Message> {
    Some(Message {
        provider_id: object.text("id").filter(|id| !id.is_empty())?,
        status: status.to_owned(),
        cost: None,
        failure: None,
        raw,
        extra: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use std::collections::HashSet;

    use super::*;
    use crate::draft::tests::request;

    const ID: &str = "4ef9a417-02e9-4d39-ad75-9611e0fcc33c";

    fn answer(body: &str) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn with_event(event: &str) -> Option<Message> {
        read(&answer(&format!(
            r#"{{"object":"email","id":"{ID}","to":["delivered@resend.dev"],"created_at":"2023-04-03 22:13:42.674981+00","last_event":{event}}}"#
        )))
    }

    #[test]
    fn every_event_has_a_status() {
        let mut seen = HashSet::new();
        for event in &EVENTS {
            assert!(seen.insert(event.theirs));
            let message = with_event(&format!("\"{}\"", event.theirs)).unwrap();
            assert_eq!(message.provider_id, ID);
            assert_eq!(message.status, event.status);
            let fails = matches!(event.status, "bounced" | "complained" | "failed");
            assert_eq!(message.failure.is_some(), fails, "{}", event.theirs);
            if let Some(failure) = message.failure {
                assert_eq!(failure.provider_code.as_deref(), Some(event.theirs));
            }
        }
        for (theirs, ours) in [
            ("delivery_delayed", "delayed"),
            ("opened", "delivered"),
            ("clicked", "delivered"),
            ("suppressed", "failed"),
        ] {
            assert_eq!(with_event(&format!("\"{theirs}\"")).unwrap().status, ours);
        }
        let suppressed = with_event("\"suppressed\"").unwrap().failure.unwrap();
        assert_eq!(suppressed.code, "suppressed");
    }

    #[test]
    fn no_event_yet_is_queued_and_an_unknown_one_is_no_answer() {
        assert_eq!(with_event("null").unwrap().status, "queued");
        assert!(with_event("\"teleported\"").is_none());
    }

    #[test]
    fn an_accepted_e_mail_has_only_an_id() {
        let body = format!(r#"{{"id":"{ID}"}}"#);
        let object = Object::parse(&body).unwrap();
        let message = created(&object, Some(body.clone()), &request()).unwrap();
        assert_eq!(message.status, "queued");
        assert_eq!(message.raw, Some(body.clone()));
        let later = SendRequest {
            send_at: Some(1),
            ..request()
        };
        assert_eq!(created(&object, None, &later).unwrap().status, "scheduled");
        let empty = Object::parse(r#"{"id":""}"#).unwrap();
        assert!(created(&empty, None, &later).is_none());
    }
}
