//! `POST /v2/payments/authorizations/{id}/capture`

use super::super::{
    books::Books,
    capture::Take,
    course::{self, AuthorizationStatus},
    desk::Desk,
    error::PaypalError,
    fields::{self, Dialect, Fields},
    money::Money,
    outcome::{Made, Outcome},
};
use super::Authorization;
use crate::call::Call;

/// A departure: there is a limit, its figure is not documented.
const CAPTURES_MAX: usize = 10;

struct Draft<'a> {
    amount: Option<Money>,
    invoice_id: Option<&'a str>,
    is_final: bool,
}

pub(in super::super) fn capture(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let draft = Draft::parse(&Fields::of(&body, Dialect::Payments)?)?;
    let authorization = books.authorization(id)?;
    check_state(authorization, desk)?;
    let taken = taken(books, authorization);
    let amount = check_amount(authorization, taken, &draft)?;
    let order = authorization.order.clone();
    if books.captures_of(&order).len() >= CAPTURES_MAX {
        return Err(PaypalError::issue("MAX_CAPTURE_COUNT_EXCEEDED"));
    }
    if let Some(invoice) = draft.invoice_id
        && books.invoices.is_taken(invoice, &order)
    {
        return Err(PaypalError::issue("DUPLICATE_INVOICE_ID")
            .at("/invoice_id")
            .value(invoice));
    }
    let invoice = draft.invoice_id.or(authorization.invoice_id.as_deref());
    let take = Take {
        order: order.clone(),
        authorization: Some(id.to_owned()),
        amount,
        custom_id: authorization.custom_id.clone(),
        invoice_id: invoice.map(str::to_owned),
        is_final: draft.is_final,
    };
    course::check_payment(take.signs())?;
    let limit = authorization.amount;
    if let Some(invoice) = draft.invoice_id {
        books.invoices.take(invoice, &order);
    }
    let made = take.book(books, desk);
    let counts = books.capture(&made)?.status.counts();
    if let Some(unit) = books
        .orders
        .find_mut(&order)
        .and_then(|order| order.units.first_mut())
    {
        unit.captures.push(made.clone());
    }
    let authorization = books.authorization_mut(id)?;
    authorization.updated_at = desk.now;
    if counts {
        let is_spent = draft.is_final || taken.plus(amount).minor >= limit.minor;
        authorization.status = if is_spent {
            AuthorizationStatus::Captured
        } else {
            AuthorizationStatus::PartiallyCaptured
        };
    }
    Ok(Outcome::created(Made::Capture(made)))
}

fn check_state(authorization: &Authorization, desk: &Desk<'_>) -> Result<(), PaypalError> {
    let issue = match authorization.status {
        AuthorizationStatus::Captured => "AUTHORIZATION_ALREADY_CAPTURED",
        AuthorizationStatus::Denied => "AUTHORIZATION_DENIED",
        AuthorizationStatus::Voided => "AUTHORIZATION_VOIDED",
        // Under review: there is no issue of its own for it.
        AuthorizationStatus::Pending => "TRANSACTION_REFUSED",
        AuthorizationStatus::Created | AuthorizationStatus::PartiallyCaptured => {
            if !authorization.is_expired(desk.now) {
                return Ok(());
            }
            "AUTHORIZATION_EXPIRED"
        }
    };
    Err(PaypalError::issue(issue))
}

/// What was captured of it, of its parent and of its renewal: an order has one of them at a time.
fn taken(books: &Books, authorization: &Authorization) -> Money {
    let captures = books.captures_of(&authorization.order);
    let counting = captures
        .iter()
        .filter(|capture| capture.status.counts())
        .map(|capture| capture.amount);
    authorization.amount.zero().sum(counting)
}

fn check_amount(
    authorization: &Authorization,
    taken: Money,
    draft: &Draft<'_>,
) -> Result<Money, PaypalError> {
    let amount = draft
        .amount
        .unwrap_or_else(|| authorization.amount.minus(taken));
    if amount.currency != authorization.amount.currency {
        return Err(
            PaypalError::issue("AUTH_CAPTURE_CURRENCY_MISMATCH").at("/amount/currency_code")
        );
    }
    if !amount.is_positive() {
        return Err(PaypalError::issue("AUTHORIZATION_ALREADY_CAPTURED"));
    }
    if taken.plus(amount).minor > authorization.amount.capture_limit().minor {
        return Err(PaypalError::issue("MAX_CAPTURE_AMOUNT_EXCEEDED")
            .at("/amount/value")
            .value(amount.value()));
    }
    Ok(amount)
}

impl<'a> Draft<'a> {
    fn parse(body: &Fields<'a>) -> Result<Draft<'a>, PaypalError> {
        body.text("note_to_payer", 0..=255)?;
        body.text("soft_descriptor", 0..=22)?;
        Ok(Draft {
            amount: body.money_above_zero("amount")?,
            invoice_id: body
                .text("invoice_id", 0..=127)?
                .filter(|id| !id.is_empty()),
            is_final: body.flag("final_capture")?.unwrap_or(false),
        })
    }
}
