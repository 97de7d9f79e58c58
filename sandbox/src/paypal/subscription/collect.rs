//! `POST /v1/billing/subscriptions/{id}/capture`: collects what is outstanding.

use http::StatusCode;

use super::{
    super::{
        books::Books,
        course,
        desk::Desk,
        error::PaypalError,
        fields::{self, Dialect, Fields},
        outcome::{Made, Outcome},
    },
    SubscriptionStatus,
    transaction::{Parts, Transaction, TransactionStatus},
};
use crate::{call::Call, config::PaypalCharge};

pub(in super::super) fn collect(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Billing)?;
    body.required_text("note", 1..=128)?;
    body.required_text("capture_type", 1..=24)?;
    body.check_choice("capture_type", &["OUTSTANDING_BALANCE"])?;
    let amount = body
        .money_above_zero("amount")?
        .ok_or_else(|| body.missing("amount"))?;
    let subscription = books.subscription_mut(id)?;
    match subscription.status {
        SubscriptionStatus::Active
        | SubscriptionStatus::Suspended
        | SubscriptionStatus::Expired => {}
        SubscriptionStatus::ApprovalPending
        | SubscriptionStatus::Approved
        | SubscriptionStatus::Cancelled => {
            return Err(PaypalError::issue("SUBSCRIPTION_STATUS_INVALID"));
        }
    }
    if amount.currency != subscription.outstanding.currency {
        return Err(body.wrong("CURRENCY_MISMATCH", "amount"));
    }
    if amount.minor > subscription.outstanding.minor {
        return Err(body.wrong("AMOUNT_GREATER_THAN_OUTSTANDING_BALANCE", "amount"));
    }
    let fails = desk.state.core.settings().paypal_charge == PaypalCharge::Fail
        || course::charge_fails(amount, subscription.custom_id.as_deref());
    let status = if fails {
        TransactionStatus::Declined
    } else {
        subscription.settle_balance(amount, desk.now);
        TransactionStatus::Completed
    };
    let transaction = Transaction::new(Parts::of(amount), status, desk.now);
    let made = Made::Transaction(id.to_owned(), transaction.id.clone());
    subscription.record(desk, transaction);
    Ok(Outcome::Made(StatusCode::OK, made))
}
