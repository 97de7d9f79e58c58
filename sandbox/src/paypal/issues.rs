//! The issues that `details[]` can name. PayPal's texts may change at any time and mean nothing to a
//! program; these are ours.

/// By HTTP status; each line is an issue and its description.
const ISSUES: &[(u16, &str)] = &[
    (400, INVALID),
    (401, UNAUTHENTICATED),
    (403, FORBIDDEN),
    (404, NOT_FOUND),
    (409, CONFLICT),
    (422, UNPROCESSABLE),
];

const INVALID: &str = "\
INVALID_ARRAY_MAX_ITEMS Too many items.
INVALID_ARRAY_MIN_ITEMS Too few items.
INVALID_COUNTRY_CODE Not a country code.
INVALID_INTEGER_MAX_VALUE The number is too large.
INVALID_INTEGER_MIN_VALUE The number is too small.
INVALID_PARAMETER_SYNTAX The value does not have the expected form.
INVALID_PARAMETER_VALUE The value is not valid.
INVALID_PATCH_OPERATION The operation does not fit what is there.
INVALID_STRING_LENGTH The text is too short or too long.
INVALID_STRING_MAX_LENGTH The text is too long.
INVALID_STRING_MIN_LENGTH The text is too short.
FIELD_NOT_PATCHABLE The field cannot be changed.
MALFORMED_REQUEST_JSON The body is no JSON.
MISSING_REQUEST_BODY The body is missing.
MISSING_REQUIRED_PARAMETER A required parameter is missing.
NOT_SUPPORTED The field is not supported.
PAYPAL_REQUEST_ID_REQUIRED An order with a payment_source needs a PayPal-Request-Id.
VALIDATION_ERROR Not a URL to which this sandbox sends webhooks: unless it is told otherwise, http or https to loopback (localhost, 127.0.0.0/8, [::1]).
WEBHOOK_NUMBER_LIMIT_EXCEEDED The app has as many webhooks as it may have.
WEBHOOK_URL_ALREADY_EXISTS The app has a webhook with that URL.";

const UNAUTHENTICATED: &str = "\
INVALID_ACCOUNT_STATUS The account cannot be used.";

const FORBIDDEN: &str = "\
CONSENT_NEEDED The buyer has to consent.
PAYEE_ACCOUNT_NOT_VERIFIED The payee is not verified.
PERMISSION_DENIED The caller may not do this.
NOT_ELIGIBLE_FOR_TOKEN_PROCESSING The caller may not pay by token.";

const NOT_FOUND: &str = "\
INVALID_RESOURCE_ID There is no such resource.";

const CONFLICT: &str = "\
PREVIOUS_REQUEST_IN_PROGRESS An earlier request on this resource is not finished; wait before trying again.";

const UNPROCESSABLE: &str = "\
ACTION_DOES_NOT_MATCH_INTENT The order was made with the other intent.
AMOUNT_CHANGE_NOT_ALLOWED The buyer approved another amount.
AMOUNT_GREATER_THAN_OUTSTANDING_BALANCE More than the outstanding balance.
AMOUNT_MISMATCH Not the sum of its breakdown.
AUTHORIZATION_ALREADY_CAPTURED The authorization has been captured.
AUTHORIZATION_AMOUNT_EXCEEDED More than may be authorized.
AUTHORIZATION_DENIED The authorization was denied.
AUTHORIZATION_EXPIRED The authorization has expired.
AUTHORIZATION_VOIDED The authorization was voided.
AUTH_CAPTURE_CURRENCY_MISMATCH The authorization has another currency.
AUTH_CURRENCY_MISMATCH The authorization has another currency.
CANNOT_BE_NEGATIVE Must not be negative.
CANNOT_BE_VOIDED A reauthorization is voided by its parent.
CANNOT_BE_ZERO_OR_NEGATIVE Must be more than zero.
CAPTURE_FULLY_REFUNDED Everything has been refunded.
CARD_SUBSCRIPTIONS_NOT_ENABLED The account takes no cards for subscriptions.
CITY_REQUIRED The country needs a city.
COMPLIANCE_VIOLATION Declined for reasons of compliance.
COUNTRY_NOT_SUPPORTED The merchant's country is not supported.
CURRENCY_MISMATCH All currencies must be the same.
CURRENCY_NOT_SUPPORTED_FOR_RECEIVER The recipient cannot take this currency.
DECIMALS_NOT_SUPPORTED The currency has no decimals.
DECIMAL_PRECISION More decimals than the currency has.
DONATION_ITEMS_NOT_SUPPORTED Donations need an order of one unit.
DUPLICATE_INVOICE_ID The invoice number was used before.
DUPLICATE_REFERENCE_ID Two units have the same reference_id.
DUPLICATE_RESOURCE_IDENTIFIER The identifier is taken.
INCOMPATIBLE_PARAMETER_VALUE Contradicts another field.
INSTRUMENT_DECLINED The means of payment was declined; let the buyer choose another.
INVALID_BILLING_CYCLE_SEQUENCE Cycles count from 1, trials first.
INVALID_CURRENCY_CODE Not a supported currency.
INVALID_JSON_POINTER_FORMAT Not a path into the order.
INVALID_PARAMETER Must not be part of the request.
INVALID_PRICING_SCHEME The price is of another kind than the plan's.
INVALID_TRIAL_BILLING_TOTAL_CYCLES A trial has an end.
ITEM_TOTAL_MISMATCH Not the sum of the items.
ITEM_TOTAL_REQUIRED Items need breakdown.item_total.
MAX_AUTHORIZATION_COUNT_EXCEEDED No more authorizations for this order.
MAX_CAPTURE_AMOUNT_EXCEEDED More than may be captured.
MAX_CAPTURE_COUNT_EXCEEDED No more captures for this authorization.
MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED Too many attempts.
MAX_NUMBER_OF_REFUNDS_EXCEEDED No more refunds for this capture.
MAX_VALUE_EXCEEDED At most 999999999999999.99.
MISSING_REGULAR_BILLING_CYCLE A plan needs a regular cycle.
MORE_THAN_TWO_TRIAL_BILLING_CYCLE_NOT_SUPPORTED At most two trials.
MULTIPLE_FREE_TRIAL_BILLING_CYCLES_NOT_SUPPORTED At most one free trial.
MULTIPLE_ITEM_CATEGORIES Donations cannot be mixed with goods.
MULTIPLE_REGULAR_BILLING_CYCLES_NOT_SUPPORTED Only one regular cycle.
MULTIPLE_SHIPPING_OPTION_SELECTED Only one option can be selected.
MULTI_CURRENCY_ORDER An order has one currency.
NOT_ENABLED_FOR_CARD_PROCESSING The account takes no cards.
NOT_PATCHABLE Cannot be changed.
ORDER_ALREADY_AUTHORIZED The order was authorized before.
ORDER_ALREADY_CAPTURED The order was captured before.
ORDER_ALREADY_COMPLETED The order is complete.
ORDER_COMPLETED_OR_VOIDED The order is complete or void.
ORDER_COMPLETION_IN_PROGRESS The order is being captured.
ORDER_EXPIRED The order has expired.
ORDER_NOT_APPROVED The buyer has not approved the order.
PARTIAL_REFUND_NOT_ALLOWED Only all of it can be refunded.
PATCH_PATH_REQUIRED The operation has no path.
PATCH_VALUE_REQUIRED The operation has no value.
PAYEE_ACCOUNT_INVALID No such payee.
PAYEE_ACCOUNT_LOCKED_OR_CLOSED The payee's account is locked or closed.
PAYEE_ACCOUNT_RESTRICTED The payee's account is restricted.
PAYEE_BLOCKED_TRANSACTION The payee's settings forbid it.
PAYER_ACCOUNT_LOCKED_OR_CLOSED The payer's account is locked or closed.
PAYER_ACCOUNT_RESTRICTED The payer's account is restricted.
PAYER_ACTION_REQUIRED The buyer has to return to PayPal.
PAYER_CANNOT_PAY The buyer cannot pay for this.
PENDING_CAPTURE The capture is pending.
PLAN_PRODUCT_NOT_COMPATIBLE The plans are for different products.
PLAN_STATUS_INVALID The plan's status does not allow it.
PLATFORM_FEES_NOT_SUPPORTED The caller may not take platform fees.
POSTAL_CODE_REQUIRED The country needs a postal code.
PREFERRED_SHIPPING_OPTION_AMOUNT_MISMATCH The selected option's amount is not breakdown.shipping.
PREVIOUSLY_CAPTURED The authorization has been captured.
PREVIOUSLY_VOIDED The authorization was voided before.
REAUTHORIZATION_NOT_SUPPORTED A reauthorization cannot be reauthorized.
REDIRECT_PAYER_FOR_ALTERNATE_FUNDING Let the buyer choose another source.
REFERENCE_ID_NOT_FOUND No unit has this reference_id.
REFERENCE_ID_REQUIRED Several units need reference_ids.
REFUND_AMOUNT_EXCEEDED More than is left to refund.
REFUND_AMOUNT_TOO_LOW Nothing is left after conversion.
REFUND_CAPTURE_CURRENCY_MISMATCH The capture has another currency.
REFUND_FAILED_INSUFFICIENT_FUNDS The merchant's balance is too low.
REFUND_NOT_ALLOWED The capture cannot be refunded.
REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK There is a chargeback.
REFUND_TIME_LIMIT_EXCEEDED The capture is too old.
SHIPPING_OPTIONS_NOT_SUPPORTED Options contradict the type or the preference.
SHIPPING_OPTION_NOT_SELECTED One option must be selected.
SUBSCRIPTION_CANNOT_BE_ACTIVATED The subscription cannot be activated.
SUBSCRIPTION_CANNOT_HAVE_QUANTITY The plan knows no quantities.
SUBSCRIPTION_STATUS_INVALID The subscription's status does not allow it.
TAX_TOTAL_MISMATCH Not the sum of the items' taxes.
TAX_TOTAL_REQUIRED Taxes need breakdown.tax_total.
TRANSACTION_BLOCKED_BY_PAYEE The payee's fraud protection blocks it.
TRANSACTION_DISPUTED There is an open dispute.
TRANSACTION_LIMIT_EXCEEDED More than the transaction limit.
TRANSACTION_RECEIVING_LIMIT_EXCEEDED More than the recipient may receive.
TRANSACTION_REFUSED The request was refused.
UNSUPPORTED_INTENT AUTHORIZE needs an order of one unit.
UNSUPPORTED_PATCH_PARAMETER_VALUE The value is not supported.
USER_ACCOUNT_CLOSED The account is locked or closed.";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) name: &'static str,
    pub(super) status: u16,
    pub(super) description: &'static str,
}

pub(super) fn find(name: &str) -> Option<Issue> {
    all().find(|issue| issue.name == name)
}

pub(super) fn all() -> impl Iterator<Item = Issue> {
    ISSUES.iter().flat_map(|(status, lines)| {
        lines.lines().filter_map(|line| {
            let (name, description) = line.split_once(' ')?;
            Some(Issue {
                name,
                status: *status,
                description,
            })
        })
    })
}
