//! One text message.

use onerouter_plugin::prelude::*;

use crate::bindings::sms::{Message, SendRequest};
use crate::refusal;

const BASE: &str = "https://textbelt.com";

/// Textbelt refuses longer texts.
const TEXT_CHARACTERS_MAX: usize = 800;

/// The provider's states and the gateway's. `SENT` is the last word where a carrier reports no delivery.
const STATUSES: [(&str, &str); 4] = [
    ("SENDING", "queued"),
    ("SENT", "sent"),
    ("DELIVERED", "delivered"),
    ("FAILED", "undelivered"),
];

/// `POST /text`
pub(crate) fn send(request: &SendRequest) -> Result<Message, CallError> {
    let sender = request.sender.clone();
    let sender = sender.or_else(|| context::setting("sender_name"));
    let form = form(request, sender.as_deref()).map_err(CallError::Invalid)?;
    let answer = Request::post(Url::new(BASE).segment("text"))
        .auth("key")
        .form(form)
        .want("retry-after")
        .send()
        .map_err(failure::after_write)?;
    if let Some((ending, failure)) = refusal::of(&answer) {
        return Err(ending.after_write(failure));
    }
    let sent = sent(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status))?;
    Ok(Message { sender, ..sent })
}

/// `GET /status/{textId}`
pub(crate) fn get(provider_id: &str) -> Result<Message, CallError> {
    let answer = Request::get(Url::new(BASE).segment("status").segment(provider_id))
        .want("retry-after")
        .send()
        .map_err(failure::after_read)?;
    if !answer.is_success() {
        let (ending, failure) = refusal::by_status(&answer);
        return Err(ending.after_read(failure));
    }
    read(provider_id, &answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// The request's form; or everything in the request that this provider cannot do.
fn form(
    request: &SendRequest,
    sender: Option<&str>,
) -> Result<Vec<(String, String)>, Vec<FieldError>> {
    let mut wrong = Vec::new();
    if !request.media_urls.is_empty() {
        let detail = "Textbelt sends no media.";
        wrong.push(field_error("/media_urls", "unsupported", detail));
    }
    if request.send_at.is_some() {
        let detail = "Textbelt sends at once only.";
        wrong.push(field_error("/send_at", "unsupported", detail));
    }
    if request.body.chars().count() > TEXT_CHARACTERS_MAX {
        let detail = "Textbelt takes up to 800 characters.";
        wrong.push(field_error("/body", "too_long", detail));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut form = vec![
        ("phone".into(), request.to.clone()),
        ("message".into(), request.body.clone()),
    ];
    if let Some(sender) = sender {
        form.push(("sender".into(), sender.into()));
    }
    Ok(form)
}

/// `{"success": true, "textId": "12345", "quotaRemaining": 40}`: it waits for its carrier.
fn sent(answer: &Answer) -> Option<Message> {
    let object = answer.object()?;
    Some(message(object.text_or_number("textId")?, "queued", answer))
}

/// `{"status": "DELIVERED"}`; `UNKNOWN` tells nothing.
fn read(provider_id: &str, answer: &Answer) -> Option<Message> {
    let theirs = answer.object()?.text("status")?;
    let known = STATUSES.iter().find(|(name, _)| *name == theirs);
    let (_, status) = known?;
    let mut message = message(provider_id.into(), status, answer);
    if *status == "undelivered" {
        let words = "The message was not received.";
        message.failure = Some(failure("recipient_unreachable", words));
    }
    Some(message)
}

fn message(provider_id: String, status: &str, answer: &Answer) -> Message {
    Message {
        provider_id,
        status: status.into(),
        segments: None,
        cost: None,
        sender: None,
        failure: None,
        raw: answer.raw(),
        extra: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn request() -> SendRequest {
        SendRequest {
            object_id: "sms_1".into(),
            attempt_id: "att_1".into(),
            idempotency_key: "key-1".into(),
            to: "+14155550123".into(),
            sender: None,
            body: "Grüße".into(),
            media_urls: Vec::new(),
            send_at: None,
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_request_is_a_form_without_the_key() {
        let form = form(&request(), Some("Chairs Ltd")).unwrap();
        let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["phone", "message", "sender"]);
        assert_eq!(form[1].1, "Grüße");
    }

    #[test]
    fn everything_that_textbelt_cannot_do_is_named_before_anything_is_sent() {
        let odd = SendRequest {
            media_urls: vec!["https://example.com/a.png".into()],
            send_at: Some(1_700_000_000_000),
            body: "a".repeat(801),
            ..request()
        };
        let wrong = form(&odd, None).unwrap_err();
        let pointers: Vec<_> = wrong.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!(pointers, ["/media_urls", "/send_at", "/body"]);
    }

    #[test]
    fn a_message_that_was_taken_waits() {
        let taken = answer(r#"{"success":true,"textId":"12345","quotaRemaining":40}"#);
        let message = sent(&taken).unwrap();
        assert_eq!(
            (message.provider_id.as_str(), message.status.as_str()),
            ("12345", "queued")
        );
        assert!(sent(&answer(r#"{"success":true}"#)).is_none());
    }

    #[test]
    fn states_are_told_in_the_gateways_words() {
        for (theirs, ours) in STATUSES {
            let body = format!(r#"{{"status":"{theirs}"}}"#);
            assert_eq!(read("1", &answer(&body)).unwrap().status, ours);
        }
        assert!(read("1", &answer(r#"{"status":"UNKNOWN"}"#)).is_none());
        assert!(read("1", &answer("<html>")).is_none());
    }
}
