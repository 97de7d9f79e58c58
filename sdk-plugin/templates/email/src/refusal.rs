//! What the provider's errors mean: `{"error": {"code": …, "message": …}}` beside a status.

use onerouter_plugin::prelude::*;

/// The codes that are known. Every other is judged by its HTTP status.
const KNOWN: [Refusal; 4] = [
    lasting(
        "invalid_recipient",
        Ending::Declined,
        "invalid_recipient",
        "A recipient is not an address that can receive e-mail.",
    ),
    lasting(
        "domain_not_verified",
        Ending::Declined,
        "sender_not_allowed",
        "The account may not send from this domain.",
    ),
    lasting(
        "suppressed",
        Ending::Declined,
        "suppressed",
        "The recipient bounced or complained before.",
    ),
    passing(
        "quota_exceeded",
        Ending::Declined,
        "quota_exceeded",
        "The account has sent all that it may for now.",
    ),
];

/// How a call ends with an answer that is no success.
pub(crate) fn of(answer: &Answer) -> (Ending, Failure) {
    let object = answer.object();
    let error = object.and_then(|object| object.object("error"));
    let text = |name| error.as_ref()?.text(name);
    refusal::understand(&KNOWN, answer, text("code"), text("message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::answer;

    #[test]
    fn a_known_code_is_told_in_the_gateways_words() {
        let body = r#"{"error":{"code":"domain_not_verified","message":"Verify example.com"}}"#;
        let (ending, failure) = of(&answer(403, body));
        assert_eq!(ending, Ending::Declined);
        assert_eq!(failure.code, "sender_not_allowed");
        assert_eq!(
            failure.provider_message.as_deref(),
            Some("Verify example.com")
        );
    }

    #[test]
    fn the_status_decides_where_the_code_is_not_known() {
        for (status, body, ending) in [
            (400, r#"{"error":{"code":"new"}}"#, Ending::Declined),
            (401, "{}", Ending::Unauthorized),
            (404, "", Ending::NotFound),
            (429, "", Ending::NotSent),
            (500, "<html>", Ending::Unclear),
        ] {
            assert_eq!(of(&answer(status, body)).0, ending, "{status}");
        }
    }
}
