//! Razorpay's errors: `{"error":{"code":"BAD_REQUEST_ERROR","description":"…","field":"amount",…}}`.
//!
//! There are three codes, and nearly everything is the first of them; what happened stands in the
//! description alone. So the table is of the words that tell descriptions apart. Sources: the error
//! tables of each operation at <https://razorpay.com/docs/api/>, and the samples of the official SDKs.

use alloc::string::String;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::refusal::{self, Ending, Refusal, lasting, passing};

use Ending::{Declined, InvalidState, NotFound, NotSent, Unauthorized, Unclear};

/// Codes that decide whatever is said beside them: nobody knows what was done.
#[rustfmt::skip]
const FAULTS: [Refusal; 2] = [
    passing("GATEWAY_ERROR", Unclear, "provider_unavailable", "The bank or the network behind Razorpay failed."),
    passing("SERVER_ERROR", Unclear, "provider_error", "Razorpay failed to answer the request."),
];

/// Words of rows that are asked for below.
const IN_PROGRESS: &str = "another payment operation is in progress";
const NOT_INSTANT: &str = "instant refund not supported";
const OTHER_AMOUNT: &str = "must be equal to the amount authorized";

/// Words of descriptions, in lower case; the first row whose words are there decides. The retryable ones
/// say why.
#[rustfmt::skip]
const REFUSALS: [Refusal; 52] = [
    // Who asks.
    lasting("authentication failed", Unauthorized, "credentials_refused", "Razorpay refused the key or its secret."),
    lasting("api key provided is invalid", Unauthorized, "credentials_refused", "Razorpay does not know the key."),
    lasting("api key/secret provided is invalid", Unauthorized, "credentials_refused", "Razorpay does not know the key."),
    lasting("api key is expired", Unauthorized, "credentials_refused", "The key has expired."),
    // What is asked for.
    lasting("id provided does not exist", NotFound, "not_found", "Razorpay does not know this id."),
    lasting("is not a valid id", NotFound, "not_found", "Razorpay does not know this id."),
    lasting("requested url was not found", Declined, "permission_denied", "Razorpay does not have this for the account; it may have to be switched on there."),
    lasting("not required and should not be sent", Declined, "provider_error", "Razorpay does not know a part of the request."),
    lasting("field is required", Declined, "invalid_content", "Razorpay misses a part of the request."),
    lasting("format is invalid", Declined, "invalid_content", "A value does not have the form that Razorpay expects."),
    lasting("may not be greater than", Declined, "invalid_content", "A value is longer or larger than Razorpay takes."),
    lasting("notes may not have", Declined, "invalid_content", "Razorpay takes fewer notes."),
    // Amounts.
    lasting("amount must be at least", Declined, "invalid_amount", "The amount is smaller than Razorpay takes."),
    lasting("amount must be an integer", Declined, "invalid_amount", "Razorpay cannot read the amount."),
    lasting("amount exceeds maximum amount", Declined, "invalid_amount", "The amount is larger than Razorpay takes."),
    lasting("last digit of the amount must be 0", Declined, "invalid_amount", "The third decimal has to be 0."),
    lasting("currency provided is not supported", Declined, "currency_not_supported", "Razorpay does not take this currency."),
    lasting("currency is not supported", Declined, "currency_not_supported", "Razorpay does not take this currency."),
    // Orders.
    lasting("receipt should be unique", Declined, "duplicate_key", "An order with this receipt exists."),
    // Whatever is done to a payment; the request beside this one may be its twin.
    passing(IN_PROGRESS, Unclear, "invalid_state", "Something else is being done to the payment."),
    // Capturing.
    lasting("already been captured", InvalidState, "invalid_state", "The money was taken before."),
    lasting("have been authorized and not yet captured", InvalidState, "invalid_state", "There is no money that waits to be taken."),
    lasting(OTHER_AMOUNT, Declined, "invalid_amount", "Razorpay takes exactly what was reserved."),
    lasting("order is already paid", InvalidState, "invalid_state", "The order was paid by another payment."),
    // Refunds.
    lasting("duplicate receipt found", Declined, "duplicate_key", "A refund with this receipt exists."),
    lasting("refund has already been processed", Declined, "refund_not_allowed", "The same was refunded before."),
    lasting(NOT_INSTANT, Declined, "refund_not_allowed", "Instant refunds of this payment are not possible."),
    lasting("partial refund is currently not supported", Declined, "refund_not_allowed", "Payments by this means are refunded as a whole only."),
    lasting("refund is currently not supported", Declined, "refund_not_allowed", "Payments by this means are not refunded over Razorpay."),
    lasting("refunds cannot be created on your account", Declined, "refund_not_allowed", "Refunds are switched off for the account, or for this means of payment."),
    lasting("blocked due to ongoing dispute", Declined, "refund_not_allowed", "The payment is in dispute."),
    lasting("void is not supported for partial refunds", Declined, "invalid_state", "Money that is only reserved goes back as a whole."),
    lasting("amount cannot be blank", Declined, "invalid_amount", "The amount has to be above zero."),
    lasting("notes validation failed", Declined, "invalid_content", "Razorpay takes fewer or shorter notes."),
    lasting("payment status should be captured", Declined, "invalid_state", "The payment was not captured."),
    lasting("fully refunded already", Declined, "amount_exceeded", "Everything has been refunded before."),
    lasting("greater than amount captured", Declined, "amount_exceeded", "More than is left to refund."),
    lasting("more than 6 months old", Declined, "expired", "The payment is too old to be refunded."),
    // Once there is enough on the account.
    passing("does not have enough balance", Declined, "insufficient_funds", "The merchant's balance is too low for this refund."),
    lasting("different request with the same idempotency key", Declined, "duplicate_key", "Another refund was made under the same key."),
    // The first request runs, and nobody knows how it will end.
    passing("idempotency key is still in progress", Unclear, "duplicate_key", "An earlier request about the same is still running."),
    // Payment links.
    lasting("reference id already attempted", Declined, "duplicate_key", "A payment link with this reference exists."),
    lasting("15 minutes in future", Declined, "invalid_content", "A payment link lasts at least 15 minutes."),
    lasting("cannot exceed six months", Declined, "invalid_content", "A payment link lasts at most six months."),
    lasting("cannot cancel or expire", InvalidState, "invalid_state", "The payment link has been paid or has ended."),
    // Subscriptions.
    lasting("is not cancellable in", InvalidState, "invalid_state", "The subscription has ended."),
    lasting("no billing cycle is going on", InvalidState, "invalid_state", "Nothing is paid for yet; the subscription can be canceled at once only."),
    lasting("can be paused in active state only", InvalidState, "invalid_state", "Only a subscription that is active can be paused."),
    lasting("can be resumed in paused state only", InvalidState, "invalid_state", "The subscription is not paused."),
    lasting("can't update subscription when", InvalidState, "invalid_state", "Only a subscription that runs changes its plan."),
    lasting("when payment mode is upi", Declined, "invalid_state", "A subscription that is paid by UPI cannot change."),
    lasting("exceeds the maximum duration", Declined, "invalid_content", "A subscription lasts at most a hundred years."),
];

/// How long a description may be for its words to be looked for.
const DESCRIPTION_BYTES_MAX: usize = 4_096;

/// What a refusal means to a request that may have been made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// What was asked for was done before.
    Done,
    /// There is no room for it, which may be because it was done before.
    PerhapsDone,
    Refused,
}

pub(crate) fn meaning(answer: &Answer) -> Meaning {
    let said = Said::by(answer);
    let words = said.row().map(|row| row.code);
    match words.filter(|_| answer.status == 400) {
        // The second is what is documented of a payment that was captured already.
        Some(
            "already been captured"
            | "order is already paid"
            | "reference id already attempted"
            | "duplicate receipt found",
        ) => Meaning::Done,
        Some(
            "fully refunded already"
            | "greater than amount captured"
            | "refund has already been processed",
        ) => Meaning::PerhapsDone,
        Some(_) | None => Meaning::Refused,
    }
}

/// Whether a capture was refused for its amount alone.
pub(crate) fn wants_another_amount(answer: &Answer) -> bool {
    is_refused_by(answer, OTHER_AMOUNT)
}

/// Whether a refund was refused because it cannot be instant.
pub(crate) fn wants_normal_speed(answer: &Answer) -> bool {
    is_refused_by(answer, NOT_INSTANT)
}

/// Whether a row of the table is why an answer is a refusal.
fn is_refused_by(answer: &Answer, words: &str) -> bool {
    let said = Said::by(answer);
    answer.status == 400 && said.row().is_some_and(|row| row.code == words)
}

/// After a request that creates something.
pub(crate) fn after_create(answer: &Answer) -> CallError {
    match understand(answer) {
        // There is nothing yet: it is something that the request refers to.
        (NotFound | InvalidState, failure) => CallError::Declined(failure),
        // What is being done is done to the payment; beside it nothing was made.
        (Unclear, failure) if is_refused_by(answer, IN_PROGRESS) => CallError::Declined(failure),
        (ending, failure) => ending.after_write(failure),
    }
}

/// After a request that changes something.
pub(crate) fn after_change(answer: &Answer) -> CallError {
    let (ending, failure) = understand(answer);
    ending.after_write(failure)
}

/// After a request that only reads.
pub(crate) fn after_read(answer: &Answer) -> CallError {
    let (ending, failure) = understand(answer);
    ending.after_read(failure)
}

/// Why Razorpay refused.
pub(crate) fn failure(answer: &Answer) -> Failure {
    understand(answer).1
}

fn understand(answer: &Answer) -> (Ending, Failure) {
    let said = Said::by(answer);
    let row = match answer.status {
        // Too many requests, whatever is said.
        429 => Some(passing(
            "",
            NotSent,
            "rate_limited",
            "Too many requests of this account.",
        )),
        400..=499 => said.row().copied().or(match answer.status {
            // Of a refund whose key is in use; the words for it are not documented.
            409 => Some(passing(
                "",
                Unclear,
                "duplicate_key",
                "An earlier request about the same is in the way.",
            )),
            _ => None,
        }),
        // No words make a server error, or a redirect, a refusal.
        _ => said.fault().copied(),
    };
    let words_of_row = row.map(|row| String::from(row.code));
    let (ending, failure) = refusal::understand(row.as_slice(), answer, words_of_row, said.words());
    let failure = Failure {
        provider_code: said.code,
        ..failure
    };
    (ending, failure)
}

/// What an answer says about itself.
struct Said {
    code: Option<String>,
    description: Option<String>,
    field: Option<String>,
}

impl Said {
    fn by(answer: &Answer) -> Self {
        let object = answer.object();
        let error = object.as_ref().and_then(|object| object.object("error"));
        let text = |name: &str| {
            let text = error.as_ref().and_then(|error| error.text(name));
            text.filter(|text| !text.is_empty())
        };
        Self {
            code: text("code"),
            description: text("description"),
            field: text("field"),
        }
    }

    fn fault(&self) -> Option<&'static Refusal> {
        let code = self.code.as_deref()?;
        FAULTS.iter().find(|row| row.code == code)
    }

    fn row(&self) -> Option<&'static Refusal> {
        self.fault().or_else(|| {
            let description = self.description.as_deref()?;
            if description.len() > DESCRIPTION_BYTES_MAX {
                return None;
            }
            let description = description.to_ascii_lowercase();
            REFUSALS.iter().find(|row| description.contains(row.code))
        })
    }

    /// Razorpay's words, and which field they are about.
    fn words(&self) -> Option<String> {
        let mut words = self.description.clone()?;
        if let Some(field) = &self.field {
            for part in [" (field ", field, ")"] {
                words.push_str(part);
            }
        }
        Some(words)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use std::collections::HashSet;

    use super::*;
    use crate::api::tests::answer;

    /// The fact table: descriptions as Razorpay documents them or its samples show them, with the
    /// status that they come with and the words by which they are known here.
    #[rustfmt::skip]
    const FACTS: [(u16, &str, &str); 52] = [
        (401, "Authentication failed", "authentication failed"),
        (401, "The api key provided is invalid", "api key provided is invalid"),
        (400, "The API key/secret provided is invalid", "api key/secret provided is invalid"),
        (401, "The API key is expired", "api key is expired"),
        (400, "The id provided does not exist", "id provided does not exist"),
        (400, "pay_29QQoUBi66xm2 is not a valid id", "is not a valid id"),
        (400, "The requested URL was not found on the server.", "requested url was not found"),
        (400, "colour is/are not required and should not be sent", "not required and should not be sent"),
        (400, "The plan id field is required.", "field is required"),
        (400, "The callback url format is invalid.", "format is invalid"),
        (400, "The receipt may not be greater than 40 characters.", "may not be greater than"),
        (400, "Notes may not have more than 15 key-value pairs.", "notes may not have"),
        (400, "The amount must be at least INR 1.00", "amount must be at least"),
        (400, "The amount must be an integer.", "amount must be an integer"),
        (400, "Amount exceeds maximum amount allowed.", "amount exceeds maximum amount"),
        (400, "The last digit of the amount must be 0 in KWD", "last digit of the amount must be 0"),
        (400, "The currency provided is not supported", "currency provided is not supported"),
        (400, "Currency is not supported", "currency is not supported"),
        (400, "This payment has already been captured", "already been captured"),
        (400, "Only payments which have been authorized and not yet captured can be captured", "have been authorized and not yet captured"),
        (400, "Capture amount must be equal to the amount authorized", "must be equal to the amount authorized"),
        (400, "Your payment has been declined as the order is already paid. Please initiate the payment with a new order.", "order is already paid"),
        (400, "Order receipt should be unique.", "receipt should be unique"),
        (400, "Request failed because another payment operation is in progress.", "another payment operation is in progress"),
        (400, "Duplicate receipt found for this refund request.", "duplicate receipt found"),
        (400, "Refund has already been processed.", "refund has already been processed"),
        (400, "Instant refund not supported for the payment.", "instant refund not supported"),
        (400, "Partial refund is currently not supported for this payment method.", "partial refund is currently not supported"),
        (400, "Refund is currently not supported for this payment method.", "refund is currently not supported"),
        (400, "Refunds cannot be created on your account for card payments.", "refunds cannot be created on your account"),
        (400, "The refund on this payment is blocked due to ongoing dispute investigation.", "blocked due to ongoing dispute"),
        (400, "Void is not supported for partial refunds.", "void is not supported for partial refunds"),
        (400, "Amount cannot be blank.", "amount cannot be blank"),
        (400, "Notes validation failed.", "notes validation failed"),
        (400, "cannot cancel or expire an already paid/partially paid link", "cannot cancel or expire"),
        (400, "The payment status should be captured for action to be taken", "payment status should be captured"),
        (400, "The payment has been fully refunded already", "fully refunded already"),
        (400, "The refund amount provided is greater than amount captured", "greater than amount captured"),
        (400, "Refund is not supported by the bank because the payment is more than 6 months old", "more than 6 months old"),
        (400, "Your account does not have enough balance to carry out the refund operation.", "does not have enough balance"),
        (409, "Different request with the same idempotency key has already been processed.", "different request with the same idempotency key"),
        (409, "Another request with the same idempotency key is still in progress.", "idempotency key is still in progress"),
        (400, "payment link creation with reference ID already attempted", "reference id already attempted"),
        (400, "timestamp must be atleast 15 minutes in future", "15 minutes in future"),
        (400, "expire_by cannot exceed six months from the date of creation", "cannot exceed six months"),
        (400, "Subscription is not cancellable in expired status.", "is not cancellable in"),
        (400, "Subscription cannot be cancelled at cycle end since no billing cycle is going on", "no billing cycle is going on"),
        (400, "Subscription can be paused in active state only", "can be paused in active state only"),
        (400, "Subscription can be resumed in paused state only", "can be resumed in paused state only"),
        (400, "Can't update Subscription when Subscription is not in Authenticated or Active state", "can't update subscription when"),
        (400, "subscriptions cannot be updated when payment mode is UPI", "when payment mode is upi"),
        (400, "Exceeds the maximum duration of a subscription, which is 100 years", "exceeds the maximum duration"),
    ];

    fn refused(status: u16, code: &str, description: &str) -> Answer {
        let body = format!(
            r#"{{"error":{{"code":"{code}","description":"{description}","source":"business","step":"NA","reason":"NA","metadata":{{}},"field":"amount"}}}}"#
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

    fn named(ending: Ending) -> &'static str {
        match ending {
            Declined => "declined",
            Unauthorized => "unauthorized",
            NotSent => "not-sent",
            NotFound => "not-found",
            InvalidState => "invalid-state",
            Unclear => "unknown",
        }
    }

    #[test]
    fn every_documented_error_stands_there_once() {
        assert_eq!(REFUSALS.len(), 52);
        let rows: HashSet<&str> = REFUSALS.iter().map(|row| row.code).collect();
        let facts: HashSet<&str> = FACTS.iter().map(|(.., words)| *words).collect();
        assert_eq!(rows.len(), REFUSALS.len());
        assert_eq!(rows, facts);
    }

    #[test]
    fn documented_errors_end_as_their_row_says() {
        for (status, description, words) in FACTS {
            let answer = refused(status, "BAD_REQUEST_ERROR", description);
            let row = REFUSALS.iter().find(|row| row.code == words).unwrap();
            let (ending, failure) = split(after_change(&answer));
            assert_eq!(ending, named(row.ending), "{description}");
            assert_eq!(failure.code, row.unified, "{description}");
            assert_eq!(failure.retryable, row.retryable, "{description}");
            assert_eq!(failure.message, row.message);
            assert_eq!(failure.provider_code.as_deref(), Some("BAD_REQUEST_ERROR"));
            let theirs = failure.provider_message.unwrap();
            assert!(theirs.starts_with(description) && theirs.ends_with("(field amount)"));
            assert_eq!(failure.http_status, Some(status));
        }
    }

    /// Those on which money or the way of a call hangs, written out.
    #[test]
    fn what_the_important_ones_mean() {
        let ending = |status, description: &str| {
            let (ending, failure) = split(after_change(&refused(
                status,
                "BAD_REQUEST_ERROR",
                description,
            )));
            (ending, failure.code, failure.retryable)
        };
        for (status, description, expected) in [
            (
                400,
                "This payment has already been captured",
                ("invalid-state", "invalid_state", false),
            ),
            (
                400,
                "The payment has been fully refunded already",
                ("declined", "amount_exceeded", false),
            ),
            (
                401,
                "Authentication failed",
                ("unauthorized", "credentials_refused", false),
            ),
            (
                400,
                "Authentication failed",
                ("unauthorized", "credentials_refused", false),
            ),
            (
                409,
                "Something is going on",
                ("unknown", "duplicate_key", true),
            ),
            (429, "Too many requests", ("not-sent", "rate_limited", true)),
            (400, "Something new", ("declined", "provider_error", false)),
            (
                500,
                "This payment has already been captured",
                ("unknown", "provider_error", true),
            ),
            (
                302,
                "This payment has already been captured",
                ("unknown", "provider_error", true),
            ),
        ] {
            let (ending, code, retryable) = ending(status, description);
            assert_eq!(
                (ending, code.as_str(), retryable),
                expected,
                "{status} {description}"
            );
        }
    }

    #[test]
    fn a_fault_is_no_refusal_whatever_its_status_and_words() {
        for status in [400, 500, 502, 504] {
            for code in ["GATEWAY_ERROR", "SERVER_ERROR"] {
                let answer = refused(status, code, "This payment has already been captured");
                assert_eq!(split(after_change(&answer)).0, "unknown", "{status} {code}");
                assert_eq!(split(after_create(&answer)).0, "unknown");
                assert_eq!(split(after_read(&answer)).0, "not-sent");
                assert_eq!(meaning(&answer), Meaning::Refused);
            }
        }
    }

    #[test]
    fn a_create_knows_nothing_that_could_be_missing_or_in_the_wrong_state() {
        for description in [
            "The id provided does not exist",
            "The order is already paid.",
        ] {
            let answer = refused(400, "BAD_REQUEST_ERROR", description);
            assert_eq!(split(after_create(&answer)).0, "declined");
        }
    }

    #[test]
    fn what_runs_beside_it_is_unclear_for_a_change_and_no_harm_to_what_is_new() {
        let busy = "Request failed because another payment operation is in progress.";
        let answer = refused(400, "BAD_REQUEST_ERROR", busy);
        for (error, expected) in [
            (after_change(&answer), "unknown"),
            (after_create(&answer), "declined"),
            (after_read(&answer), "not-sent"),
        ] {
            let (ending, failure) = split(error);
            assert_eq!((ending, failure.retryable), (expected, true));
        }
        let fault = refused(400, "SERVER_ERROR", busy);
        assert_eq!(split(after_create(&fault)).0, "unknown");
    }

    #[test]
    fn what_was_done_before() {
        let of = |status, text: &str| meaning(&refused(status, "BAD_REQUEST_ERROR", text));
        assert_eq!(
            of(400, "This payment has already been captured"),
            Meaning::Done
        );
        let reference = "payment link creation with reference ID already attempted";
        assert_eq!(of(400, reference), Meaning::Done);
        assert_eq!(of(500, reference), Meaning::Refused);
        assert_eq!(of(400, "The id provided does not exist"), Meaning::Refused);
        let receipt = "Duplicate receipt found for this refund request.";
        assert_eq!(of(400, receipt), Meaning::Done);
        let paid = "Your payment has been declined as the order is already paid. Please initiate the payment with a new order.";
        assert_eq!(of(400, paid), Meaning::Done);
        for no_room in [
            "The payment has been fully refunded already",
            "The refund amount provided is greater than amount captured",
            "Refund has already been processed.",
        ] {
            assert_eq!(of(400, no_room), Meaning::PerhapsDone);
            assert_eq!(of(502, no_room), Meaning::Refused);
        }
    }

    #[test]
    fn a_capture_is_refused_for_its_amount_or_for_something_else() {
        let wants = |status, description: &str| {
            wants_another_amount(&refused(status, "BAD_REQUEST_ERROR", description))
        };
        let amount = "Capture amount must be equal to the amount authorized";
        assert!(wants(400, amount));
        assert!(!wants(500, amount));
        assert!(!wants(400, "This payment has already been captured"));
        assert!(!wants_another_amount(&answer(200, "{}")));
    }

    #[test]
    fn what_is_missing_in_an_error_is_missing() {
        for body in [
            "",
            "[]",
            "<html>",
            "{}",
            r#"{"error":7}"#,
            r#"{"error":{"code":1}}"#,
        ] {
            let (ending, failure) = split(after_change(&answer(400, body)));
            assert_eq!(
                (ending, failure.code.as_str()),
                ("declined", "provider_error")
            );
            assert_eq!(
                (failure.provider_code, failure.provider_message),
                (None, None)
            );
        }
        let bare = r#"{"error":{"code":"BAD_REQUEST_ERROR","description":"The id provided does not exist"}}"#;
        assert_eq!(split(after_read(&answer(400, bare))).0, "not-found");
        let long = format!("{} authentication failed", "a".repeat(5_000));
        let long = refused(400, "BAD_REQUEST_ERROR", &long);
        assert_eq!(split(after_change(&long)).0, "declined");
    }

    #[test]
    fn what_was_not_processed_is_declared_in_the_manifest() {
        assert!(include_str!("../plugin.toml").contains("[[not_processed]]\nstatus = 429\n"));
        assert!(REFUSALS.iter().all(|row| row.ending != NotSent));
    }
}
