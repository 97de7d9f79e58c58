//! `POST /v2/payments/authorizations/{id}/reauthorize`: once, from day 4 to day 29.

use super::super::{
    books::Books,
    course::{self, AuthorizationStatus, Signs},
    desk::Desk,
    error::PaypalError,
    fields::{self, Dialect, Fields},
    happened::Entry,
    id,
    money::Money,
    outcome::{Made, Outcome},
};
use super::Authorization;
use crate::call::Call;

pub(in super::super) fn reauthorize(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Payments)?;
    let amount = body.money_above_zero("amount")?;
    let parent = books.authorization(id)?;
    check_state(parent, desk)?;
    let amount = check_amount(parent, amount)?;
    let signs = Signs {
        custom_id: parent.custom_id.as_deref(),
        invoice_id: parent.invoice_id.as_deref(),
        amount,
    };
    course::check_payment(signs)?;
    let renewal = Authorization {
        id: id::payment(),
        order: parent.order.clone(),
        amount,
        status: course::authorization(signs),
        custom_id: parent.custom_id.clone(),
        invoice_id: parent.invoice_id.clone(),
        parent: Some(id.to_owned()),
        renewed: false,
        created_at: desk.now,
        updated_at: desk.now,
        // "Within the 29-day authorization period": the honour period begins again, the life does not.
        expires_at: parent.expires_at,
    };
    renewal.tell(desk, Entry::New, Some(id));
    let made = renewal.id.clone();
    if let Some(unit) = books
        .orders
        .find_mut(&renewal.order)
        .and_then(|order| order.units.first_mut())
    {
        unit.authorizations.push(made.clone());
    }
    let parent = books.authorization_mut(id)?;
    parent.renewed = true;
    parent.updated_at = desk.now;
    books.authorizations.push(made.clone(), renewal);
    Ok(Outcome::created(Made::Authorization(made)))
}

fn check_state(parent: &Authorization, desk: &Desk<'_>) -> Result<(), PaypalError> {
    let issue = match parent.status {
        AuthorizationStatus::Voided => "AUTHORIZATION_VOIDED",
        AuthorizationStatus::Captured => "AUTHORIZATION_ALREADY_CAPTURED",
        AuthorizationStatus::Denied | AuthorizationStatus::Pending => "TRANSACTION_REFUSED",
        AuthorizationStatus::Created | AuthorizationStatus::PartiallyCaptured => {
            if parent.parent.is_some() {
                "REAUTHORIZATION_NOT_SUPPORTED"
            } else if parent.is_expired(desk.now) {
                "AUTHORIZATION_EXPIRED"
            } else if parent.renewed || parent.is_honoured(desk.now) {
                // A departure: no issue is documented for a second time, nor for too early.
                "TRANSACTION_REFUSED"
            } else {
                return Ok(());
            }
        }
    };
    Err(PaypalError::issue(issue))
}

fn check_amount(parent: &Authorization, amount: Option<Money>) -> Result<Money, PaypalError> {
    let amount = amount.unwrap_or(parent.amount);
    if amount.currency != parent.amount.currency {
        return Err(PaypalError::issue("AUTH_CURRENCY_MISMATCH").at("/amount/currency_code"));
    }
    if amount.minor > parent.amount.capture_limit().minor {
        return Err(PaypalError::issue("AUTHORIZATION_AMOUNT_EXCEEDED")
            .at("/amount/value")
            .value(amount.value()));
    }
    Ok(amount)
}
