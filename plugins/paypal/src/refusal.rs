//! PayPal's error names: `{"name":"UNPROCESSABLE_ENTITY","message":"…","debug_id":"…","details":[{"issue":
//! "ORDER_NOT_APPROVED","description":"…"}]}`, and `{"error":"invalid_token"}` where a token was refused.
//!
//! The first issue decides, then the name, then the HTTP status. Sources: the API descriptions at
//! github.com/paypal/paypal-rest-api-specifications, which list the issues of each operation. Those that
//! only another kind of request can meet (items, shipping, cards, vaults, platforms) are left to the status.

use alloc::string::String;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::Object;
use onerouter_plugin::refusal::{self, Ending, Refusal, lasting, passing};

use crate::text;

use Ending::{Declined, InvalidState, NotFound, NotSent, Unauthorized, Unclear};

/// Room for the trace behind the words.
const WORDS_BYTES_MAX: usize = 900;
const DEBUG_ID_BYTES_MAX: usize = 64;

/// Issues of `details[0]`, then names. The retryable ones say why.
#[rustfmt::skip]
pub(crate) const REFUSALS: [Refusal; 107] = [
    // 400: the request itself.
    lasting("INVALID_REQUEST", Declined, "invalid_content", "PayPal does not take a part of the request."),
    lasting("MISSING_REQUIRED_PARAMETER", Declined, "invalid_content", "PayPal misses a part of the request."),
    lasting("MISSING_REQUEST_BODY", Declined, "provider_error", "PayPal misses the body of the request."),
    lasting("MALFORMED_REQUEST_JSON", Declined, "provider_error", "PayPal cannot read the request."),
    lasting("INVALID_PARAMETER_SYNTAX", Declined, "invalid_content", "A value does not have the form that PayPal expects."),
    lasting("INVALID_PARAMETER_VALUE", Declined, "invalid_content", "PayPal does not take one of the values."),
    lasting("INVALID_STRING_LENGTH", Declined, "invalid_content", "A text is too short or too long for PayPal."),
    lasting("INVALID_STRING_MIN_LENGTH", Declined, "invalid_content", "A text is too short for PayPal."),
    lasting("INVALID_STRING_MAX_LENGTH", Declined, "invalid_content", "A text is too long for PayPal."),
    lasting("INVALID_INTEGER_MIN_VALUE", Declined, "invalid_content", "A number is too small for PayPal."),
    lasting("INVALID_INTEGER_MAX_VALUE", Declined, "invalid_content", "A number is too large for PayPal."),
    lasting("NOT_SUPPORTED", Declined, "invalid_content", "PayPal does not support a part of the request."),
    lasting("PAYPAL_REQUEST_ID_REQUIRED", Declined, "provider_error", "PayPal misses the key of the request."),
    // 401 and 403: who asks.
    lasting("AUTHENTICATION_FAILURE", Unauthorized, "credentials_refused", "PayPal refused the credentials."),
    lasting("INVALID_ACCOUNT_STATUS", Unauthorized, "account_suspended", "The PayPal account cannot be used."),
    lasting("invalid_token", Unauthorized, "credentials_refused", "PayPal refused the access token."),
    lasting("invalid_client", Unauthorized, "credentials_refused", "PayPal refused the client ID or its secret."),
    lasting("NOT_AUTHORIZED", Declined, "permission_denied", "The account may not do this."),
    lasting("PERMISSION_DENIED", Declined, "permission_denied", "The app may not do this."),
    lasting("NOT_ENABLED_FOR_CARD_PROCESSING", Declined, "permission_denied", "The account is not set up for card payments."),
    lasting("PAYEE_ACCOUNT_NOT_VERIFIED", Declined, "permission_denied", "The merchant's account is not verified."),
    lasting("CONSENT_NEEDED", Declined, "permission_denied", "PayPal needs the consent of the account's owner."),
    lasting("NOT_ELIGIBLE_FOR_TOKEN_PROCESSING", Declined, "permission_denied", "The app may not pay with tokens."),
    // 404, 409, 415, 429, 500, 503.
    lasting("RESOURCE_NOT_FOUND", NotFound, "not_found", "PayPal does not know this."),
    lasting("INVALID_RESOURCE_ID", NotFound, "not_found", "PayPal does not know this id."),
    // The first request runs, and nobody knows how it will end. The same key brings its result later.
    passing("PREVIOUS_REQUEST_IN_PROGRESS", Unclear, "duplicate_key", "An earlier request about the same is still running."),
    passing("RESOURCE_CONFLICT", Unclear, "duplicate_key", "An earlier request about the same is in the way."),
    lasting("UNSUPPORTED_MEDIA_TYPE", Declined, "provider_error", "PayPal does not take this kind of request."),
    passing("RATE_LIMIT_REACHED", NotSent, "rate_limited", "Too many requests of this account."),
    passing("INTERNAL_SERVER_ERROR", Unclear, "provider_error", "PayPal failed to answer the request."),
    passing("SERVICE_UNAVAILABLE", Unclear, "provider_unavailable", "PayPal is not available."),
    // 422: amounts.
    lasting("UNPROCESSABLE_ENTITY", Declined, "provider_error", "PayPal refused the request."),
    lasting("AMOUNT_MISMATCH", Declined, "invalid_amount", "The amount is not the sum of its parts."),
    lasting("ITEM_TOTAL_MISMATCH", Declined, "invalid_amount", "The amount is not the sum of the items."),
    lasting("DECIMAL_PRECISION", Declined, "invalid_amount", "The amount has more decimals than PayPal takes."),
    lasting("DECIMALS_NOT_SUPPORTED", Declined, "invalid_amount", "PayPal takes only whole amounts in this currency."),
    lasting("CANNOT_BE_ZERO_OR_NEGATIVE", Declined, "invalid_amount", "The amount must be above zero."),
    lasting("CANNOT_BE_NEGATIVE", Declined, "invalid_amount", "The amount must not be negative."),
    lasting("MAX_VALUE_EXCEEDED", Declined, "invalid_amount", "The amount is larger than PayPal takes."),
    lasting("INVALID_CURRENCY_CODE", Declined, "currency_not_supported", "PayPal does not take this currency."),
    lasting("MULTI_CURRENCY_ORDER", Declined, "currency_not_supported", "The request mixes currencies."),
    lasting("CURRENCY_MISMATCH", Declined, "currency_not_supported", "The currency is not that of the plan."),
    lasting("CURRENCY_NOT_SUPPORTED_FOR_RECEIVER", Declined, "currency_not_supported", "The merchant's account does not take this currency."),
    lasting("AUTH_CAPTURE_CURRENCY_MISMATCH", Declined, "currency_not_supported", "The currency is not that of the authorization."),
    lasting("REFUND_CAPTURE_CURRENCY_MISMATCH", Declined, "currency_not_supported", "The currency is not that of the capture."),
    // 422: making an order.
    lasting("DUPLICATE_INVOICE_ID", Declined, "duplicate_key", "The invoice number was paid before."),
    lasting("DUPLICATE_REFERENCE_ID", Declined, "provider_error", "Two parts of the order have the same name."),
    lasting("UNSUPPORTED_INTENT", Declined, "provider_error", "PayPal cannot reserve the money of this order."),
    lasting("INCOMPATIBLE_PARAMETER_VALUE", Declined, "invalid_content", "One value contradicts another."),
    lasting("PAYEE_ACCOUNT_INVALID", Declined, "account_suspended", "PayPal does not know the merchant's account."),
    lasting("PAYEE_ACCOUNT_RESTRICTED", Declined, "account_suspended", "The merchant's account is restricted."),
    lasting("PAYEE_ACCOUNT_LOCKED_OR_CLOSED", Declined, "account_suspended", "The merchant's account is locked or closed."),
    lasting("AUTH_CAPTURE_NOT_ENABLED", Declined, "permission_denied", "The merchant's account may not reserve money."),
    // 422: taking or reserving the money of an order.
    lasting("ORDER_NOT_APPROVED", InvalidState, "invalid_state", "The buyer has not approved the order."),
    lasting("ORDER_ALREADY_CAPTURED", InvalidState, "invalid_state", "The money of this order was taken before."),
    lasting("ORDER_ALREADY_AUTHORIZED", InvalidState, "invalid_state", "The money of this order was reserved before."),
    lasting("ORDER_COMPLETED_OR_VOIDED", InvalidState, "invalid_state", "The order is complete or void."),
    lasting("ORDER_EXPIRED", InvalidState, "expired", "The order was not paid in time."),
    lasting("ACTION_DOES_NOT_MATCH_INTENT", InvalidState, "invalid_state", "The order was not made for this."),
    // PayPal takes the money by itself just now; whether it gets it, the order will tell.
    passing("ORDER_COMPLETION_IN_PROGRESS", Unclear, "invalid_state", "PayPal is completing the order."),
    // The buyer may choose other means; then the same request succeeds.
    passing("INSTRUMENT_DECLINED", Declined, "instrument_declined", "The buyer's means of payment was declined; they can choose another."),
    passing("REDIRECT_PAYER_FOR_ALTERNATE_FUNDING", Declined, "instrument_declined", "The buyer has to choose other means of payment."),
    // As soon as the buyer has done what PayPal asks of them.
    passing("PAYER_ACTION_REQUIRED", Declined, "action_required", "The buyer has to return to PayPal."),
    lasting("PAYER_CANNOT_PAY", Declined, "payer_not_allowed", "This buyer cannot pay this merchant."),
    lasting("PAYER_ACCOUNT_RESTRICTED", Declined, "payer_not_allowed", "The buyer's account is restricted."),
    lasting("PAYER_ACCOUNT_LOCKED_OR_CLOSED", Declined, "payer_not_allowed", "The buyer's account is locked or closed."),
    lasting("DOMESTIC_TRANSACTION_REQUIRED", Declined, "payer_not_allowed", "Buyer and merchant have to be in the same country."),
    lasting("PAYEE_BLOCKED_TRANSACTION", Declined, "security_blocked", "The merchant's own rules against fraud stop this payment."),
    lasting("TRANSACTION_BLOCKED_BY_PAYEE", Declined, "security_blocked", "The merchant's own rules against fraud stop this payment."),
    lasting("COMPLIANCE_VIOLATION", Declined, "security_blocked", "PayPal declined for reasons of compliance."),
    lasting("TRANSACTION_REFUSED", Declined, "payment_refused", "PayPal refused the payment."),
    lasting("TRANSACTION_LIMIT_EXCEEDED", Declined, "quota_exceeded", "The amount is above the limit of one payment."),
    lasting("TRANSACTION_RECEIVING_LIMIT_EXCEEDED", Declined, "quota_exceeded", "The merchant's account cannot receive more."),
    lasting("MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED", Declined, "quota_exceeded", "The order was tried too often."),
    lasting("AUTHORIZATION_AMOUNT_EXCEEDED", Declined, "amount_exceeded", "More than PayPal reserves for this order."),
    lasting("AUTHORIZATION_CURRENCY_MISMATCH", Declined, "currency_not_supported", "The currency is not that of the order."),
    lasting("MAX_AUTHORIZATION_COUNT_EXCEEDED", InvalidState, "quota_exceeded", "The order was authorized too often."),
    // 422: what was reserved.
    lasting("AUTHORIZATION_ALREADY_CAPTURED", InvalidState, "invalid_state", "What was reserved has been taken before."),
    lasting("AUTHORIZATION_DENIED", InvalidState, "invalid_state", "PayPal did not reserve the money."),
    lasting("AUTHORIZATION_EXPIRED", InvalidState, "expired", "What was reserved has expired."),
    lasting("AUTHORIZATION_VOIDED", InvalidState, "invalid_state", "What was reserved has been given up."),
    lasting("MAX_CAPTURE_AMOUNT_EXCEEDED", Declined, "amount_exceeded", "More than can be taken of what was reserved."),
    lasting("MAX_CAPTURE_COUNT_EXCEEDED", InvalidState, "quota_exceeded", "Nothing more can be taken of what was reserved."),
    lasting("PREVIOUSLY_CAPTURED", InvalidState, "invalid_state", "What was reserved has been taken; refund it instead."),
    lasting("PREVIOUSLY_VOIDED", InvalidState, "invalid_state", "What was reserved has been given up before."),
    lasting("CANNOT_BE_VOIDED", InvalidState, "invalid_state", "A renewed authorization is given up by the first one."),
    // 422: refunds.
    lasting("CAPTURE_FULLY_REFUNDED", Declined, "amount_exceeded", "Everything has been refunded before."),
    lasting("REFUND_AMOUNT_EXCEEDED", Declined, "amount_exceeded", "More than is left to refund."),
    lasting("REFUND_AMOUNT_TOO_LOW", Declined, "invalid_amount", "Nothing is left of the amount in the merchant's currency."),
    lasting("REFUND_TIME_LIMIT_EXCEEDED", Declined, "expired", "The payment is too old to be refunded."),
    lasting("REFUND_NOT_ALLOWED", Declined, "refund_not_allowed", "This payment cannot be refunded."),
    lasting("REFUND_IS_RESTRICTED", Declined, "refund_not_allowed", "Only who took the money can refund it."),
    lasting("REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK", Declined, "refund_not_allowed", "There is a chargeback for this payment."),
    lasting("TRANSACTION_DISPUTED", Declined, "refund_not_allowed", "There is an open dispute about this payment."),
    lasting("PARTIAL_REFUND_NOT_ALLOWED", Declined, "refund_not_allowed", "This payment can only be refunded as a whole."),
    lasting("MAX_NUMBER_OF_REFUNDS_EXCEEDED", Declined, "quota_exceeded", "The payment was refunded too often."),
    // Once the money has come.
    passing("PENDING_CAPTURE", Declined, "invalid_state", "The money has not come yet; it can be refunded when it has."),
    // Once there is enough on the account.
    passing("REFUND_FAILED_INSUFFICIENT_FUNDS", Declined, "insufficient_funds", "The merchant's balance is too low for this refund."),
    // 422: plans and subscriptions.
    lasting("SUBSCRIPTION_STATUS_INVALID", InvalidState, "invalid_state", "The subscription's status does not allow this."),
    lasting("SUBSCRIPTION_CANNOT_BE_ACTIVATED", InvalidState, "invalid_state", "Too many payments failed; the balance has to be paid first."),
    lasting("PLAN_STATUS_INVALID", InvalidState, "invalid_state", "The plan is not active."),
    lasting("PLAN_PRODUCT_NOT_COMPATIBLE", Declined, "invalid_content", "PayPal changes only between plans of the same product."),
    lasting("SUBSCRIPTION_CANNOT_HAVE_QUANTITY", Declined, "invalid_content", "The plan knows no quantities."),
    lasting("INVALID_BILLING_CYCLE_SEQUENCE", Declined, "invalid_content", "The plan has no such cycle."),
    lasting("CARD_SUBSCRIPTIONS_NOT_ENABLED", Declined, "permission_denied", "The account takes no cards for subscriptions."),
    lasting("COUNTRY_NOT_SUPPORTED", Declined, "region_not_enabled", "PayPal offers this not in the merchant's country."),
    lasting("USER_ACCOUNT_CLOSED", Declined, "account_suspended", "The account is locked or closed."),
];

/// What a refusal means to a request for money that may have been made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// What was asked for was done before.
    Done,
    /// Nothing happened, and the buyer can choose again.
    Again,
    Refused,
}

pub(crate) fn meaning(answer: &Answer) -> Meaning {
    match Said::by(answer).issue.as_deref() {
        Some(
            "ORDER_ALREADY_CAPTURED"
            | "ORDER_ALREADY_AUTHORIZED"
            | "AUTHORIZATION_ALREADY_CAPTURED"
            | "PREVIOUSLY_VOIDED",
        ) if answer.status == 422 => Meaning::Done,
        Some(
            "INSTRUMENT_DECLINED"
            | "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"
            | "PAYER_ACTION_REQUIRED",
        ) if answer.status == 422 => Meaning::Again,
        Some(_) | None => Meaning::Refused,
    }
}

/// After a request that creates something.
pub(crate) fn after_create(answer: &Answer) -> CallError {
    match understand(answer) {
        // There is nothing yet: it is something that the request refers to.
        (NotFound | InvalidState, failure) => CallError::Declined(failure),
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

/// Why PayPal refused.
pub(crate) fn failure(answer: &Answer) -> Failure {
    understand(answer).1
}

/// The first issue.
pub(crate) fn issue(answer: &Answer) -> Option<String> {
    Said::by(answer).issue
}

fn understand(answer: &Answer) -> (Ending, Failure) {
    let said = Said::by(answer);
    let known = [&said.issue, &said.name]
        .into_iter()
        .flatten()
        .find(|code| REFUSALS.iter().any(|row| row.code == code.as_str()));
    // No name of an error makes a server error, or a redirect, a refusal.
    let table: &[Refusal] = match answer.status {
        400..=499 => &REFUSALS,
        _ => &[],
    };
    let (ending, failure) = refusal::understand(table, answer, known.cloned(), said.words);
    // The more exact of both, also where only the general one is known here.
    let failure = Failure {
        provider_code: said.issue.or(said.name),
        ..failure
    };
    (ending, failure)
}

/// What an answer says about itself.
struct Said {
    issue: Option<String>,
    /// Of the error, or in the answers about tokens.
    name: Option<String>,
    words: Option<String>,
}

impl Said {
    fn by(answer: &Answer) -> Self {
        let object = answer.object();
        let text = |name: &str| object.as_ref().and_then(|object| object.text(name));
        let detail = object
            .as_ref()
            .and_then(|object| object.items("details"))
            .and_then(|details| Object::parse(details.first()?));
        let detail = |name: &str| detail.as_ref().and_then(|detail| detail.text(name));
        let words = detail("description")
            .filter(|words| !words.is_empty())
            .or_else(|| text("message"))
            .or_else(|| text("error_description"));
        let debug_id =
            text("debug_id").or_else(|| answer.header("paypal-debug-id").map(Into::into));
        Self {
            issue: detail("issue"),
            name: text("name").or_else(|| text("error")),
            words: traced(words, debug_id),
        }
    }
}

/// PayPal's support finds a request by its `debug_id`.
fn traced(words: Option<String>, debug_id: Option<String>) -> Option<String> {
    let debug_id = debug_id.filter(|id| (1..=DEBUG_ID_BYTES_MAX).contains(&id.len()));
    let Some(debug_id) = debug_id else {
        return words;
    };
    let words = words.unwrap_or_default();
    let mut traced = text::cut(&words, WORDS_BYTES_MAX).into_owned();
    if !traced.is_empty() {
        traced.push(' ');
    }
    for part in ["(debug_id ", &debug_id, ")"] {
        traced.push_str(part);
    }
    Some(traced)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::api::tests::answer;

    /// The fact table: what PayPal documents, by the HTTP status that it comes with.
    const FACTS: [(u16, &str); 8] = [
        (
            400,
            "INVALID_REQUEST MISSING_REQUIRED_PARAMETER MISSING_REQUEST_BODY MALFORMED_REQUEST_JSON
            INVALID_PARAMETER_SYNTAX INVALID_PARAMETER_VALUE INVALID_STRING_LENGTH
            INVALID_STRING_MIN_LENGTH INVALID_STRING_MAX_LENGTH INVALID_INTEGER_MIN_VALUE
            INVALID_INTEGER_MAX_VALUE NOT_SUPPORTED PAYPAL_REQUEST_ID_REQUIRED",
        ),
        (
            401,
            "AUTHENTICATION_FAILURE INVALID_ACCOUNT_STATUS invalid_token invalid_client",
        ),
        (
            403,
            "NOT_AUTHORIZED PERMISSION_DENIED NOT_ENABLED_FOR_CARD_PROCESSING
            PAYEE_ACCOUNT_NOT_VERIFIED CONSENT_NEEDED NOT_ELIGIBLE_FOR_TOKEN_PROCESSING",
        ),
        (404, "RESOURCE_NOT_FOUND INVALID_RESOURCE_ID"),
        (409, "RESOURCE_CONFLICT PREVIOUS_REQUEST_IN_PROGRESS"),
        (415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            422,
            "UNPROCESSABLE_ENTITY
            AMOUNT_MISMATCH ITEM_TOTAL_MISMATCH DECIMAL_PRECISION DECIMALS_NOT_SUPPORTED
            CANNOT_BE_ZERO_OR_NEGATIVE CANNOT_BE_NEGATIVE MAX_VALUE_EXCEEDED INVALID_CURRENCY_CODE
            MULTI_CURRENCY_ORDER DUPLICATE_INVOICE_ID DUPLICATE_REFERENCE_ID UNSUPPORTED_INTENT
            INCOMPATIBLE_PARAMETER_VALUE PAYEE_ACCOUNT_INVALID PAYEE_ACCOUNT_RESTRICTED
            PAYEE_ACCOUNT_LOCKED_OR_CLOSED AUTH_CAPTURE_NOT_ENABLED
            ORDER_NOT_APPROVED ORDER_ALREADY_CAPTURED ORDER_COMPLETION_IN_PROGRESS
            INSTRUMENT_DECLINED PAYER_ACTION_REQUIRED REDIRECT_PAYER_FOR_ALTERNATE_FUNDING
            PAYER_CANNOT_PAY PAYER_ACCOUNT_RESTRICTED PAYER_ACCOUNT_LOCKED_OR_CLOSED
            DOMESTIC_TRANSACTION_REQUIRED PAYEE_BLOCKED_TRANSACTION TRANSACTION_BLOCKED_BY_PAYEE
            TRANSACTION_REFUSED TRANSACTION_LIMIT_EXCEEDED TRANSACTION_RECEIVING_LIMIT_EXCEEDED
            COMPLIANCE_VIOLATION MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED
            ACTION_DOES_NOT_MATCH_INTENT ORDER_ALREADY_AUTHORIZED ORDER_EXPIRED
            ORDER_COMPLETED_OR_VOIDED AUTHORIZATION_AMOUNT_EXCEEDED AUTHORIZATION_CURRENCY_MISMATCH
            MAX_AUTHORIZATION_COUNT_EXCEEDED
            AUTHORIZATION_ALREADY_CAPTURED AUTHORIZATION_DENIED AUTHORIZATION_EXPIRED
            AUTHORIZATION_VOIDED MAX_CAPTURE_AMOUNT_EXCEEDED MAX_CAPTURE_COUNT_EXCEEDED
            AUTH_CAPTURE_CURRENCY_MISMATCH PREVIOUSLY_CAPTURED PREVIOUSLY_VOIDED CANNOT_BE_VOIDED
            CAPTURE_FULLY_REFUNDED REFUND_AMOUNT_EXCEEDED REFUND_AMOUNT_TOO_LOW
            REFUND_TIME_LIMIT_EXCEEDED REFUND_NOT_ALLOWED REFUND_IS_RESTRICTED
            REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK PENDING_CAPTURE PARTIAL_REFUND_NOT_ALLOWED
            REFUND_FAILED_INSUFFICIENT_FUNDS MAX_NUMBER_OF_REFUNDS_EXCEEDED TRANSACTION_DISPUTED
            REFUND_CAPTURE_CURRENCY_MISMATCH
            SUBSCRIPTION_STATUS_INVALID SUBSCRIPTION_CANNOT_BE_ACTIVATED PLAN_STATUS_INVALID
            PLAN_PRODUCT_NOT_COMPATIBLE SUBSCRIPTION_CANNOT_HAVE_QUANTITY
            INVALID_BILLING_CYCLE_SEQUENCE CURRENCY_MISMATCH CURRENCY_NOT_SUPPORTED_FOR_RECEIVER
            CARD_SUBSCRIPTIONS_NOT_ENABLED COUNTRY_NOT_SUPPORTED USER_ACCOUNT_CLOSED",
        ),
        (429, "RATE_LIMIT_REACHED"),
    ];

    /// Names of server errors: whatever they say, the act may have happened.
    const SERVER_ERRORS: [(u16, &str); 2] =
        [(500, "INTERNAL_SERVER_ERROR"), (503, "SERVICE_UNAVAILABLE")];

    fn facts() -> impl Iterator<Item = (u16, &'static str)> {
        FACTS
            .iter()
            .flat_map(|(status, codes)| codes.split_whitespace().map(|code| (*status, code)))
            .chain(SERVER_ERRORS)
    }

    /// As an issue, as a name, or as an error about tokens.
    fn refused(status: u16, code: &str) -> Vec<Answer> {
        let issue = format!(
            r#"{{"name":"UNPROCESSABLE_ENTITY","message":"general","debug_id":"f1","details":[{{"issue":"{code}","description":"theirs","field":"/a","value":"1"}}],"links":[]}}"#
        );
        let name = format!(r#"{{"name":"{code}","message":"theirs","debug_id":"f1"}}"#);
        let token = format!(r#"{{"error":"{code}","error_description":"theirs"}}"#);
        [issue, name, token]
            .iter()
            .map(|body| answer(status, body))
            .collect()
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
        assert_eq!(REFUSALS.len(), 107);
        let rows: HashSet<&str> = REFUSALS.iter().map(|row| row.code).collect();
        assert_eq!(rows.len(), REFUSALS.len());
        let facts: HashSet<&str> = facts().map(|(_, code)| code).collect();
        let missing: Vec<_> = rows.symmetric_difference(&facts).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn documented_errors_end_as_their_row_says_wherever_the_code_stands() {
        let rows: HashMap<&str, &Refusal> = REFUSALS.iter().map(|row| (row.code, row)).collect();
        for (status, code) in facts() {
            for answer in refused(status, code) {
                let row = rows[code];
                let (ending, failure) = split(after_change(&answer));
                assert_eq!(ending, named(row.ending), "{code}");
                assert_eq!(failure.retryable, row.retryable, "{code}");
                if status < 500 {
                    assert_eq!(failure.code, row.unified, "{code}");
                    assert_eq!(failure.message, row.message);
                }
                assert_eq!(failure.provider_code.as_deref(), Some(code));
                assert!(failure.provider_message.unwrap().starts_with("theirs"));
                assert_eq!(failure.http_status, Some(status));
            }
        }
    }

    /// Those on which money or the way of a call hangs, written out.
    #[test]
    fn what_the_important_ones_mean() {
        for (status, code, ending, unified, retryable) in [
            (
                422,
                "ORDER_NOT_APPROVED",
                "invalid-state",
                "invalid_state",
                false,
            ),
            (
                422,
                "INSTRUMENT_DECLINED",
                "declined",
                "instrument_declined",
                true,
            ),
            (
                422,
                "CAPTURE_FULLY_REFUNDED",
                "declined",
                "amount_exceeded",
                false,
            ),
            (
                422,
                "REFUND_FAILED_INSUFFICIENT_FUNDS",
                "declined",
                "insufficient_funds",
                true,
            ),
            (
                422,
                "ORDER_COMPLETION_IN_PROGRESS",
                "unknown",
                "invalid_state",
                true,
            ),
            (
                422,
                "SUBSCRIPTION_STATUS_INVALID",
                "invalid-state",
                "invalid_state",
                false,
            ),
            (
                409,
                "PREVIOUS_REQUEST_IN_PROGRESS",
                "unknown",
                "duplicate_key",
                true,
            ),
            (404, "INVALID_RESOURCE_ID", "not-found", "not_found", false),
            (
                401,
                "invalid_client",
                "unauthorized",
                "credentials_refused",
                false,
            ),
            (429, "RATE_LIMIT_REACHED", "not-sent", "rate_limited", true),
            (
                500,
                "INTERNAL_SERVER_ERROR",
                "unknown",
                "provider_error",
                true,
            ),
        ] {
            let (found, failure) = split(after_change(&refused(status, code)[0]));
            let found = (found, failure.code.as_str(), failure.retryable);
            assert_eq!(found, (ending, unified, retryable), "{code}");
        }
    }

    #[test]
    fn an_unknown_issue_is_kept_and_the_name_or_the_status_decides() {
        let body = r#"{"name":"RESOURCE_NOT_FOUND","message":"m","details":[{"issue":"SOMETHING_NEW","description":"d"}]}"#;
        let (ending, failure) = split(after_change(&answer(404, body)));
        assert_eq!((ending, failure.code.as_str()), ("not-found", "not_found"));
        assert_eq!(failure.provider_code.as_deref(), Some("SOMETHING_NEW"));
        for (status, ending) in [(400, "declined"), (403, "declined"), (502, "unknown")] {
            let (found, failure) = split(after_change(&answer(status, "<html>")));
            assert_eq!(found, ending, "{status}");
            assert_eq!(
                (failure.provider_code, failure.provider_message),
                (None, None)
            );
        }
    }

    #[test]
    fn a_server_error_is_no_refusal_whatever_it_names() {
        for answer in refused(500, "ORDER_NOT_APPROVED") {
            assert_eq!(split(after_change(&answer)).0, "unknown");
            assert_eq!(split(after_create(&answer)).0, "unknown");
            assert_eq!(split(after_read(&answer)).0, "not-sent");
            assert_eq!(meaning(&answer), Meaning::Refused);
        }
        for answer in refused(500, "ORDER_ALREADY_CAPTURED") {
            assert_eq!(meaning(&answer), Meaning::Refused);
        }
    }

    #[test]
    fn a_create_knows_nothing_that_could_be_missing_or_in_the_wrong_state() {
        for (status, code) in [(404, "INVALID_RESOURCE_ID"), (422, "PLAN_STATUS_INVALID")] {
            assert_eq!(split(after_create(&refused(status, code)[0])).0, "declined");
        }
        let running = &refused(409, "PREVIOUS_REQUEST_IN_PROGRESS")[0];
        assert_eq!(split(after_create(running)).0, "unknown");
    }

    #[test]
    fn what_was_done_before_and_what_can_be_tried_again() {
        let of = |code| meaning(&refused(422, code)[0]);
        for code in [
            "ORDER_ALREADY_CAPTURED",
            "ORDER_ALREADY_AUTHORIZED",
            "AUTHORIZATION_ALREADY_CAPTURED",
            "PREVIOUSLY_VOIDED",
        ] {
            assert_eq!(of(code), Meaning::Done);
        }
        for code in [
            "INSTRUMENT_DECLINED",
            "PAYER_ACTION_REQUIRED",
            "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
        ] {
            assert_eq!(of(code), Meaning::Again);
        }
        assert_eq!(of("PREVIOUSLY_CAPTURED"), Meaning::Refused);
        assert_eq!(of("TRANSACTION_REFUSED"), Meaning::Refused);
    }

    #[test]
    fn the_trace_stands_behind_the_words_and_long_words_are_cut() {
        let words = |body: &str| split(after_change(&answer(422, body))).1.provider_message;
        assert_eq!(
            words(r#"{"name":"N","message":"m","debug_id":"f3"}"#).unwrap(),
            "m (debug_id f3)"
        );
        assert_eq!(
            words(r#"{"name":"N","debug_id":"f3"}"#).unwrap(),
            "(debug_id f3)"
        );
        let long = format!(r#"{{"message":"{}","debug_id":"f3"}}"#, "a".repeat(5_000));
        let long = words(&long).unwrap();
        assert!(long.len() < 1_000 && long.ends_with("(debug_id f3)"));
        let strange = format!(r#"{{"message":"m","debug_id":"{}"}}"#, "f".repeat(65));
        assert_eq!(words(&strange).unwrap(), "m");
    }

    #[test]
    fn what_was_not_processed_is_declared_in_the_manifest() {
        assert!(include_str!("../plugin.toml").contains("[[not_processed]]\nstatus = 429\n"));
        let not_sent = REFUSALS.iter().filter(|row| row.ending == NotSent);
        let not_sent: Vec<_> = not_sent.map(|row| row.code).collect();
        assert_eq!(not_sent, ["RATE_LIMIT_REACHED"]);
    }
}
