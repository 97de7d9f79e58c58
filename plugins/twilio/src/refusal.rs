//! Twilio's error codes: `{"code":21211,"message":"…","more_info":"…","status":400}`.
//!
//! The HTTP status that comes with a code is documented for a few only, so the code decides.

use alloc::borrow::ToOwned as _;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::refusal::{self, Ending, Refusal, lasting, passing};

use Ending::{Declined, InvalidState, NotFound, NotSent, Unauthorized};

/// The codes that have a meaning of their own here.
#[rustfmt::skip]
pub(crate) const REFUSALS: [Refusal; 29] = [
    lasting("10001", Declined, "account_suspended", "The account is not active."),
    lasting("20003", Unauthorized, "credentials_refused", "The credentials were refused, or the account is suspended."),
    lasting("20005", Declined, "account_suspended", "The account is not active."),
    lasting("20008", Declined, "permission_denied", "Twilio's test credentials may only create messages."),
    lasting("20009", InvalidState, "invalid_state", "The message is still on its way."),
    lasting("20404", NotFound, "not_found", "There is no such message in this account."),
    passing("20429", NotSent, "rate_limited", "Too many requests of this account at the same time."),
    lasting("21211", Declined, "invalid_recipient", "The recipient is not a valid number."),
    lasting("21212", Declined, "invalid_sender", "The sender is not a valid number or name."),
    lasting("21408", Declined, "region_not_enabled", "The account may not send to this region."),
    lasting("21602", Declined, "invalid_content", "The message has no text."),
    lasting("21603", Declined, "invalid_sender", "The message has no sender."),
    lasting("21604", Declined, "invalid_recipient", "The message has no recipient."),
    lasting("21606", Declined, "sender_not_allowed", "The sender is not one of the account's, or cannot send messages."),
    lasting("21608", Declined, "recipient_unverified", "A trial account may only send to verified numbers."),
    lasting("21610", Declined, "recipient_opted_out", "The recipient has opted out of messages from this sender."),
    passing("21611", Declined, "queue_overflow", "Too many messages are waiting for this sender."),
    lasting("21612", Declined, "recipient_unreachable", "This sender cannot reach this recipient."),
    lasting("21614", Declined, "invalid_recipient", "The recipient is not a mobile number."),
    lasting("21617", Declined, "invalid_content", "The text is longer than 1,600 characters."),
    lasting("21620", Declined, "invalid_content", "A media URL is not valid."),
    lasting("21623", Declined, "invalid_content", "The message has too many media."),
    lasting("21658", Declined, "invalid_content", "A part of the message is longer than allowed."),
    lasting("21701", Declined, "sender_not_allowed", "There is no such messaging service in this account."),
    // "Not sent" holds only under the statuses that the manifest declares together with this code.
    // Under any other the host takes it for unknown.
    passing("21730", NotSent, "provider_unavailable", "Twilio is down for maintenance."),
    lasting("30409", InvalidState, "invalid_state", "Only a message that still waits can be canceled."),
    lasting("35111", Declined, "invalid_content", "The message has a schedule without a time."),
    lasting("35114", Declined, "invalid_content", "A message is scheduled 5 minutes to 35 days ahead."),
    lasting("35118", Declined, "invalid_sender", "Only a messaging service schedules messages."),
];

/// After a request that creates a message.
pub(crate) fn after_create(answer: &Answer) -> CallError {
    match understand(answer) {
        // There is no message yet: it is the account, or something that the message refers to.
        (NotFound | InvalidState, failure) => CallError::Declined(failure),
        (ending, failure) => ending.after_write(failure),
    }
}

/// After a request that changes a message.
pub(crate) fn after_change(answer: &Answer) -> CallError {
    match understand(answer) {
        // Such a request says an id and the new status, nothing else that could be wrong.
        (Declined, failure) if failure.code == "provider_error" => {
            CallError::InvalidState(Failure {
                code: "invalid_state".to_owned(),
                message: "The message can no longer be changed.".to_owned(),
                ..failure
            })
        }
        (ending, failure) => ending.after_write(failure),
    }
}

/// After a request that only reads.
pub(crate) fn after_read(answer: &Answer) -> CallError {
    let (ending, failure) = understand(answer);
    ending.after_read(failure)
}

fn understand(answer: &Answer) -> (Ending, Failure) {
    let object = answer.object();
    let object = object.as_ref();
    refusal::understand(
        &REFUSALS,
        answer,
        object.and_then(|object| object.text_or_number("code")),
        object.and_then(|object| object.text("message")),
    )
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use std::collections::HashSet;

    use super::*;

    /// The rows of the fact table: code, usual status, ending, unified code, retryable.
    const FACTS: [(&str, u16, &str, &str, bool); 16] = [
        ("20003", 401, "unauthorized", "credentials_refused", false),
        ("20404", 404, "declined", "not_found", false),
        ("20429", 429, "not-sent", "rate_limited", true),
        ("21211", 400, "declined", "invalid_recipient", false),
        ("21212", 400, "declined", "invalid_sender", false),
        ("21408", 403, "declined", "region_not_enabled", false),
        ("21602", 400, "declined", "invalid_content", false),
        ("21604", 400, "declined", "invalid_recipient", false),
        ("21606", 400, "declined", "sender_not_allowed", false),
        ("21608", 400, "declined", "recipient_unverified", false),
        ("21610", 400, "declined", "recipient_opted_out", false),
        ("21611", 429, "declined", "queue_overflow", true),
        ("21612", 400, "declined", "recipient_unreachable", false),
        ("21614", 400, "declined", "invalid_recipient", false),
        ("21617", 400, "declined", "invalid_content", false),
        ("21730", 503, "not-sent", "provider_unavailable", true),
    ];

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn coded(status: u16, code: &str) -> Answer {
        let body = format!(
            r#"{{"code":{code},"message":"theirs","more_info":"https://www.twilio.com/docs/errors/{code}","status":{status}}}"#
        );
        answer(status, &body)
    }

    fn split(error: CallError) -> (&'static str, Failure) {
        match error {
            CallError::Declined(failure) => ("declined", failure),
            CallError::Unauthorized(failure) => ("unauthorized", failure),
            CallError::NotSent(failure) => ("not-sent", failure),
            CallError::NotFound(failure) => ("not-found", failure),
            CallError::InvalidState(failure) => ("invalid-state", failure),
            CallError::Unknown(failure) => ("unknown", failure),
            CallError::Unsupported(_) | CallError::Invalid(_) | CallError::Other(_) => panic!(),
        }
    }

    #[test]
    fn every_code_stands_there_once() {
        let codes: HashSet<&str> = REFUSALS.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), REFUSALS.len());
        assert!(REFUSALS.iter().all(|row| row.code.parse::<u32>().is_ok()));
    }

    #[test]
    fn what_was_not_processed_is_declared_in_the_manifest() {
        let manifest = include_str!("../plugin.toml");
        assert!(manifest.contains("[[not_processed]]\nstatus = 429\n"));
        for row in REFUSALS.iter().filter(|row| row.ending == NotSent) {
            let declared = format!("pointer = \"/code\"\nvalues = [\"{}\"]", row.code);
            assert!(
                row.code == "20429" || manifest.contains(&declared),
                "{}",
                row.code
            );
        }
    }

    #[test]
    fn documented_codes_after_a_create() {
        for (code, status, ending, unified, retryable) in FACTS {
            let (found, failure) = split(after_create(&coded(status, code)));
            assert_eq!((found, failure.code.as_str()), (ending, unified), "{code}");
            assert_eq!(failure.retryable, retryable, "{code}");
            assert_eq!(failure.provider_code.as_deref(), Some(code));
            assert_eq!(failure.provider_message.as_deref(), Some("theirs"));
            assert_eq!(failure.http_status, Some(status));
        }
    }

    #[test]
    fn a_server_error_is_unknown_after_a_write_and_not_sent_after_a_read() {
        for body in ["", "<html>", r#"{"code":20500,"message":"m"}"#] {
            assert_eq!(split(after_create(&answer(500, body))).0, "unknown");
            assert_eq!(split(after_change(&answer(500, body))).0, "unknown");
            assert_eq!(split(after_read(&answer(500, body))).0, "not-sent");
        }
    }

    #[test]
    fn a_create_knows_no_message_that_could_be_missing_or_in_the_wrong_state() {
        assert_eq!(split(after_create(&answer(404, ""))).0, "declined");
        assert_eq!(split(after_create(&answer(409, ""))).0, "declined");
    }

    #[test]
    fn a_message_that_cannot_be_canceled_any_more_is_in_the_wrong_state() {
        for (status, code) in [(400, "20001"), (409, "30409"), (400, "30409"), (409, "1")] {
            let (ending, failure) = split(after_change(&coded(status, code)));
            assert_eq!(
                (ending, failure.code.as_str()),
                ("invalid-state", "invalid_state")
            );
            assert_eq!(failure.provider_code.as_deref(), Some(code));
        }
        assert_eq!(split(after_change(&coded(404, "20404"))).0, "not-found");
        assert_eq!(split(after_change(&coded(429, "20429"))).0, "not-sent");
        assert_eq!(split(after_change(&coded(403, "20008"))).0, "declined");
    }

    #[test]
    fn a_code_may_be_text() {
        let (_, failure) = split(after_read(&answer(400, r#"{"code":"21211"}"#)));
        assert_eq!(failure.code, "invalid_recipient");
        assert_eq!(failure.provider_code, Some(String::from("21211")));
    }
}
