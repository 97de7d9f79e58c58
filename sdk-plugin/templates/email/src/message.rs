//! One e-mail.

use onerouter_plugin::prelude::*;

use crate::bindings::email::{Message, SendRequest};
use crate::{api, draft};

/// The provider's states and the gateway's.
const STATUSES: [(&str, &str); 6] = [
    ("queued", "queued"),
    ("sent", "sent"),
    ("delivered", "delivered"),
    ("deferred", "delayed"),
    ("bounced", "bounced"),
    ("spam", "complained"),
];

/// `POST /v1/emails`
pub(crate) fn send(request: &SendRequest) -> Result<Message, CallError> {
    let sender = request.sender.clone();
    let sender = sender.or_else(|| context::setting("from_email"));
    let mistakes = draft::mistakes(request, sender.as_deref());
    let Some(sender) = sender.filter(|_| mistakes.is_empty()) else {
        return Err(CallError::Invalid(mistakes));
    };
    let body = draft::write(request, &sender);
    let answer = api::write(api::url("emails"), &request.idempotency_key, body)?;
    message(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// `GET /v1/emails/{id}`
pub(crate) fn get(provider_id: &str) -> Result<Message, CallError> {
    let answer = api::read(api::url("emails").segment(provider_id))?;
    message(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// The provider's view of an e-mail; none where the answer makes no sense. Id and status must be right,
/// all else may be missing.
fn message(answer: &Answer) -> Option<Message> {
    let object = answer.object()?;
    let status = status(&object)?;
    Some(Message {
        provider_id: object.text("id")?,
        status: status.to_owned(),
        cost: None,
        failure: failed(status, &object),
        raw: answer.raw(),
        extra: Vec::new(),
    })
}

/// The gateway's word for the state of an e-mail.
pub(crate) fn status(message: &Object<'_>) -> Option<&'static str> {
    let theirs = message.text("status")?;
    let known = STATUSES.iter().find(|(name, _)| *name == theirs);
    known.map(|(_, ours)| *ours)
}

/// Why an e-mail did not arrive, or was not wanted.
pub(crate) fn failed(status: &str, message: &Object<'_>) -> Option<Failure> {
    let (code, words) = match status {
        "bounced" => ("bounced", "The recipient's server refused the e-mail."),
        "complained" => ("complained", "The recipient marked the e-mail as spam."),
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

    #[test]
    fn an_answer_is_told_in_the_gateways_words() {
        let body = r#"{"id":"eml_1","status":"bounced","error":{"code":"550","message":"No such mailbox"},"new":[1]}"#;
        let message = message(&answer(200, body)).unwrap();
        assert_eq!(message.provider_id, "eml_1");
        assert_eq!(message.status, "bounced");
        let failure = message.failure.unwrap();
        assert_eq!(failure.code, "bounced");
        assert_eq!(failure.provider_message.as_deref(), Some("No such mailbox"));
    }

    #[test]
    fn an_answer_without_id_or_with_an_unknown_status_makes_no_sense() {
        for odd in [
            "",
            "[]",
            r#"{"status":"queued"}"#,
            r#"{"id":"eml_1"}"#,
            r#"{"id":"eml_1","status":"teleported"}"#,
        ] {
            assert!(message(&answer(200, odd)).is_none(), "{odd}");
        }
    }
}
