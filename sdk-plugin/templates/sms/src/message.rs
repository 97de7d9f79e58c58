//! One text message.

use onerouter_plugin::prelude::*;

use crate::api;
use crate::bindings::sms::{Message, SendRequest};

/// The provider's states and the gateway's.
const STATUSES: [(&str, &str); 5] = [
    ("queued", "queued"),
    ("sent", "sent"),
    ("delivered", "delivered"),
    ("undeliverable", "undelivered"),
    ("failed", "failed"),
];

/// `POST /v1/messages`
pub(crate) fn send(request: &SendRequest) -> Result<Message, CallError> {
    let sender = request.sender.clone();
    let sender = sender.or_else(|| context::setting("from_number"));
    let body = body(request, sender.as_deref()).map_err(CallError::Invalid)?;
    let answer = api::write(api::url("messages"), &request.idempotency_key, body)?;
    let message = message(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status))?;
    Ok(Message { sender, ..message })
}

/// `GET /v1/messages/{id}`
pub(crate) fn get(provider_id: &str) -> Result<Message, CallError> {
    let answer = api::read(api::url("messages").segment(provider_id))?;
    message(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// The request's body; or everything in the request that this provider cannot do.
///
/// The same request gives the same bytes, whenever it is made: no clock, no randomness.
fn body(request: &SendRequest, sender: Option<&str>) -> Result<String, Vec<FieldError>> {
    let mut wrong = Vec::new();
    if !request.media_urls.is_empty() {
        let detail = "This provider sends no media.";
        wrong.push(field_error("/media_urls", "unsupported", detail));
    }
    if request.send_at.is_some() {
        let detail = "This provider sends at once only.";
        wrong.push(field_error("/send_at", "unsupported", detail));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut body = Writer::new();
    body.text("to", &request.to).text("text", &request.body);
    if let Some(sender) = sender {
        body.text("from", sender);
    }
    // Comes back in webhooks: so a message whose answer was lost is known again.
    body.text("reference", &request.attempt_id);
    Ok(body.finish())
}

/// The provider's view of a message; none where the answer makes no sense. Id and status must be right,
/// all else may be missing.
fn message(answer: &Answer) -> Option<Message> {
    let object = answer.object()?;
    let status = status(&object)?;
    Some(Message {
        provider_id: object.text("id")?,
        status: status.to_owned(),
        segments: object.number("parts").and_then(|parts| parts.parse().ok()),
        cost: cost(&object),
        sender: object.text("from"),
        failure: failed(status, &object),
        raw: answer.raw(),
        extra: Vec::new(),
    })
}

/// The gateway's word for the state of a message.
pub(crate) fn status(message: &Object<'_>) -> Option<&'static str> {
    let theirs = message.text("status")?;
    let known = STATUSES.iter().find(|(name, _)| *name == theirs);
    known.map(|(_, ours)| *ours)
}

/// `"price": {"amount": "0.0075", "currency": "EUR"}`, once the provider says so.
pub(crate) fn cost(message: &Object<'_>) -> Option<Cost> {
    let price = message.object("price")?;
    Some(Cost {
        amount: price.text_or_number("amount")?,
        currency: price.text("currency")?,
    })
}

/// Why a message did not arrive.
pub(crate) fn failed(status: &str, message: &Object<'_>) -> Option<Failure> {
    let (code, words) = match status {
        "undelivered" => ("recipient_unreachable", "The message did not arrive."),
        "failed" => (
            "unknown_failure",
            "The provider could not send the message.",
        ),
        _ => return None,
    };
    let error = message.object("error");
    let text = |name| error.as_ref()?.text(name);
    Some(Failure {
        provider_code: text("code"),
        provider_message: text("message"),
        ..failure(code, words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::answer;

    fn request() -> SendRequest {
        SendRequest {
            object_id: "sms_1".into(),
            attempt_id: "att_1".into(),
            idempotency_key: "key-1".into(),
            to: "+14155550123".into(),
            sender: None,
            body: "Grüße \"Ada\"".into(),
            media_urls: Vec::new(),
            send_at: None,
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_request_carries_recipient_text_and_sender() {
        assert_eq!(
            body(&request(), Some("+15005550006")).unwrap(),
            r#"{"to":"+14155550123","text":"Grüße \"Ada\"","from":"+15005550006","reference":"att_1"}"#
        );
    }

    #[test]
    fn everything_that_the_provider_cannot_do_is_named_before_anything_is_sent() {
        let odd = SendRequest {
            media_urls: vec!["https://example.com/a.png".into()],
            send_at: Some(1_700_000_000_000),
            ..request()
        };
        let wrong = body(&odd, None).unwrap_err();
        let pointers: Vec<_> = wrong.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!(pointers, ["/media_urls", "/send_at"]);
    }

    #[test]
    fn an_answer_is_told_in_the_gateways_words() {
        let body = r#"{"id":"msg_1","status":"undeliverable","parts":2,"price":{"amount":"0.0150","currency":"EUR"},"error":{"code":"absent","message":"Phone off"},"new":[1]}"#;
        let message = message(&answer(200, body)).unwrap();
        assert_eq!(message.provider_id, "msg_1");
        assert_eq!(message.status, "undelivered");
        assert_eq!(message.segments, Some(2));
        assert_eq!(message.cost.unwrap().amount, "0.0150");
        let failure = message.failure.unwrap();
        assert_eq!(failure.code, "recipient_unreachable");
        assert_eq!(failure.provider_code.as_deref(), Some("absent"));
    }

    #[test]
    fn an_answer_without_id_or_with_an_unknown_status_makes_no_sense() {
        for odd in [
            "",
            "[]",
            r#"{"status":"queued"}"#,
            r#"{"id":"msg_1"}"#,
            r#"{"id":"msg_1","status":"teleported"}"#,
            r#"{"id":7,"status":"queued"}"#,
        ] {
            assert!(message(&answer(200, odd)).is_none(), "{odd}");
        }
    }
}
