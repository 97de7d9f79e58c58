//! Resend's error names: `{"statusCode":422,"name":"missing_required_field","message":"…"}`.
//!
//! A name alone does not always tell: `validation_error` comes with 400, 403 and 422.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::refusal::{self, Ending, Refusal, lasting, passing};

use Ending::{Declined, InvalidState, NotFound, NotSent, Unauthorized, Unclear};

/// The key is right, but may only send.
pub(crate) const SENDING_ONLY: &str = "restricted_api_key";

/// The names that have a meaning of their own here.
#[rustfmt::skip]
pub(crate) const REFUSALS: [Refusal; 21] = [
    lasting("invalid_idempotency_key", Declined, "provider_error", "Resend does not take this idempotency key."),
    lasting("validation_error", Declined, "invalid_content", "Something in the e-mail is not valid."),
    lasting("missing_api_key", Unauthorized, "credentials_refused", "Resend got no API key."),
    lasting(SENDING_ONLY, Declined, "permission_denied", "The API key may only send."),
    lasting("invalid_api_key", Unauthorized, "credentials_refused", "The API key was refused."),
    lasting("not_found", NotFound, "not_found", "There is no such e-mail."),
    lasting("method_not_allowed", Declined, "provider_error", "Resend does not offer this."),
    lasting("invalid_idempotent_request", Declined, "duplicate_key", "This key was used for another e-mail."),
    // The first request runs, and nobody knows how it will end. Only the same request may follow.
    passing("concurrent_idempotent_requests", Unclear, "duplicate_key", "The first request with this key is still running."),
    lasting("missing_required_field", Declined, "invalid_content", "A field is missing."),
    lasting("invalid_parameter", Declined, "invalid_content", "A field is not valid."),
    lasting("invalid_attachment", Declined, "invalid_content", "An attachment is not valid."),
    lasting("invalid_from_address", Declined, "invalid_sender", "The sender is not a valid address."),
    lasting("invalid_access", Declined, "permission_denied", "The API key may not do this."),
    lasting("invalid_region", Declined, "provider_error", "The region is not valid."),
    passing("rate_limit_exceeded", NotSent, "rate_limited", "Too many requests of this team in one second."),
    passing("daily_quota_exceeded", NotSent, "quota_exceeded", "The daily quota is used up."),
    passing("monthly_quota_exceeded", NotSent, "quota_exceeded", "The monthly quota is used up."),
    lasting("security_error", Declined, "security_blocked", "Resend sees a security issue with the request."),
    passing("application_error", Unclear, "provider_error", "Resend failed to answer the request."),
    passing("internal_server_error", Unclear, "provider_error", "Resend failed to answer the request."),
];

/// After a request that creates e-mails.
pub(crate) fn after_create(answer: &Answer) -> CallError {
    match understand(answer) {
        // Nothing was asked for that could be missing.
        (NotFound, failure) => CallError::Declined(failure),
        // A 409 with a name that is not known here: it may be about a first request with this key.
        (InvalidState, failure) => CallError::Unknown(failure),
        (ending, failure) => ending.after_write(failure),
    }
}

/// After a request that changes an e-mail.
pub(crate) fn after_change(answer: &Answer) -> CallError {
    match understand(answer) {
        // Such a request says nothing but an id, so it must be the state that is wrong; which name
        // and status come for an e-mail that has been sent is not documented.
        (Declined, failure)
            if ["invalid_content", "provider_error"].contains(&failure.code.as_str()) =>
        {
            CallError::InvalidState(Failure {
                code: "invalid_state".to_owned(),
                message: "The e-mail can no longer be changed.".to_owned(),
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

/// Resend's own name of an error.
pub(crate) fn name(answer: &Answer) -> Option<String> {
    answer.object()?.text("name")
}

fn understand(answer: &Answer) -> (Ending, Failure) {
    let words = answer.object().and_then(|object| object.text("message"));
    let name = name(answer);
    match (answer.status, name.as_deref()) {
        // The sender's domain is not verified, or a testing key wrote to somebody else: only the
        // words tell which.
        (403, Some("validation_error")) => {
            let (ending, failure) = refusal::understand(&REFUSALS, answer, name, words);
            let message = "The account may not send this: the sender's domain is not verified, or the key is for testing only.";
            let failure = Failure {
                code: "permission_denied".to_owned(),
                message: message.to_owned(),
                ..failure
            };
            (ending, failure)
        }
        // Not from Resend's API but from the edge before it.
        (403, None) => {
            let (ending, failure) = refusal::understand(&REFUSALS, answer, name, words);
            let failure = Failure {
                code: "security_blocked".to_owned(),
                message: "Resend's edge refused the request.".to_owned(),
                ..failure
            };
            (ending, failure)
        }
        _ => refusal::understand(&REFUSALS, answer, name, words),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;
    use std::collections::HashSet;

    use super::*;

    /// The fact table: status, name, ending after a send, unified code, retryable.
    const FACTS: [(u16, &str, &str, &str, bool); 23] = [
        (
            400,
            "invalid_idempotency_key",
            "declined",
            "provider_error",
            false,
        ),
        (
            400,
            "validation_error",
            "declined",
            "invalid_content",
            false,
        ),
        (
            401,
            "missing_api_key",
            "unauthorized",
            "credentials_refused",
            false,
        ),
        (
            401,
            "restricted_api_key",
            "declined",
            "permission_denied",
            false,
        ),
        (
            403,
            "invalid_api_key",
            "unauthorized",
            "credentials_refused",
            false,
        ),
        (
            403,
            "validation_error",
            "declined",
            "permission_denied",
            false,
        ),
        (404, "not_found", "declined", "not_found", false),
        (
            405,
            "method_not_allowed",
            "declined",
            "provider_error",
            false,
        ),
        (
            409,
            "invalid_idempotent_request",
            "declined",
            "duplicate_key",
            false,
        ),
        (
            409,
            "concurrent_idempotent_requests",
            "unknown",
            "duplicate_key",
            true,
        ),
        (
            422,
            "missing_required_field",
            "declined",
            "invalid_content",
            false,
        ),
        (
            422,
            "invalid_parameter",
            "declined",
            "invalid_content",
            false,
        ),
        (
            422,
            "invalid_attachment",
            "declined",
            "invalid_content",
            false,
        ),
        (
            422,
            "invalid_from_address",
            "declined",
            "invalid_sender",
            false,
        ),
        (
            422,
            "invalid_access",
            "declined",
            "permission_denied",
            false,
        ),
        (422, "invalid_region", "declined", "provider_error", false),
        (
            422,
            "validation_error",
            "declined",
            "invalid_content",
            false,
        ),
        (429, "rate_limit_exceeded", "not-sent", "rate_limited", true),
        (
            429,
            "daily_quota_exceeded",
            "not-sent",
            "quota_exceeded",
            true,
        ),
        (
            429,
            "monthly_quota_exceeded",
            "not-sent",
            "quota_exceeded",
            true,
        ),
        (451, "security_error", "declined", "security_blocked", false),
        (500, "application_error", "unknown", "provider_error", true),
        (
            500,
            "internal_server_error",
            "unknown",
            "provider_error",
            true,
        ),
    ];

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn named(status: u16, name: &str) -> Answer {
        answer(
            status,
            &format!(r#"{{"statusCode":{status},"name":"{name}","message":"theirs"}}"#),
        )
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
    fn documented_errors_after_a_send() {
        for (status, name, ending, code, retryable) in FACTS {
            let (found, failure) = split(after_create(&named(status, name)));
            assert_eq!(
                (found, failure.code.as_str()),
                (ending, code),
                "{status} {name}"
            );
            assert_eq!(failure.retryable, retryable, "{name}");
            assert_eq!(failure.provider_code.as_deref(), Some(name));
            assert_eq!(failure.provider_message.as_deref(), Some("theirs"));
            assert_eq!(failure.http_status, Some(status));
        }
    }

    #[test]
    fn every_name_stands_there_once_and_in_the_fact_table() {
        let names: HashSet<&str> = REFUSALS.iter().map(|row| row.code).collect();
        assert_eq!(names.len(), REFUSALS.len());
        let facts: HashSet<&str> = FACTS.iter().map(|(_, name, ..)| *name).collect();
        assert_eq!(names, facts);
    }

    #[test]
    fn a_running_twin_is_never_called_not_sent() {
        let twin = named(409, "concurrent_idempotent_requests");
        assert_eq!(split(after_create(&twin)).0, "unknown");
        assert_eq!(
            split(after_create(&named(409, "something_new"))).0,
            "unknown"
        );
    }

    #[test]
    fn a_read_that_fails_is_not_sent_or_not_found() {
        assert_eq!(
            split(after_read(&named(500, "application_error"))).0,
            "not-sent"
        );
        assert_eq!(split(after_read(&answer(502, "<html>"))).0, "not-sent");
        assert_eq!(split(after_read(&named(404, "not_found"))).0, "not-found");
        assert_eq!(split(after_read(&named(401, SENDING_ONLY))).0, "declined");
    }

    #[test]
    fn an_e_mail_that_has_been_sent_cannot_be_canceled() {
        for (status, name) in [
            (400, "validation_error"),
            (403, "validation_error"),
            (405, "method_not_allowed"),
            (409, "something_new"),
            (422, "validation_error"),
            (422, "invalid_parameter"),
            (422, "something_new"),
        ] {
            let (ending, _) = split(after_change(&named(status, name)));
            let expected = if status == 403 {
                "declined"
            } else {
                "invalid-state"
            };
            assert_eq!(ending, expected, "{status} {name}");
        }
        assert_eq!(split(after_change(&named(404, "not_found"))).0, "not-found");
        assert_eq!(split(after_change(&named(401, SENDING_ONLY))).0, "declined");
        assert_eq!(
            split(after_change(&named(500, "application_error"))).0,
            "unknown"
        );
        assert_eq!(
            split(after_change(&named(429, "rate_limit_exceeded"))).0,
            "not-sent"
        );
    }

    #[test]
    fn the_edge_before_the_api_is_not_the_api() {
        let (ending, failure) = split(after_create(&answer(403, "error code: 1010")));
        assert_eq!(
            (ending, failure.code.as_str()),
            ("declined", "security_blocked")
        );
        let (ending, failure) = split(after_create(&named(403, "something_new")));
        assert_eq!(
            (ending, failure.code.as_str()),
            ("declined", "permission_denied")
        );
    }
}
