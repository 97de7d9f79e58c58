//! What the provider's errors mean: `{"error": {"code": …, "message": …}}` beside a status.

use onerouter_plugin::prelude::*;

/// The codes that are known. Every other is judged by its HTTP status.
const KNOWN: [Refusal; 3] = [
    lasting(
        "currency_not_enabled",
        Ending::Declined,
        "currency_not_enabled",
        "The account takes no payments in this currency.",
    ),
    lasting(
        "already_captured",
        Ending::InvalidState,
        "invalid_state",
        "The money was taken before.",
    ),
    lasting(
        "refund_too_large",
        Ending::Declined,
        "refund_not_allowed",
        "More than was paid and is left cannot be refunded.",
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
        let body = r#"{"error":{"code":"already_captured","message":"Captured at noon"}}"#;
        let (ending, failure) = of(&answer(422, body));
        assert_eq!(ending, Ending::InvalidState);
        assert_eq!(failure.provider_code.as_deref(), Some("already_captured"));
        assert_eq!(
            failure.provider_message.as_deref(),
            Some("Captured at noon")
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
