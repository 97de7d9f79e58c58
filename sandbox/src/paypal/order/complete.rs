//! `POST /v2/checkout/orders/{id}/capture` and `…/authorize`

use super::{
    super::{
        authorization::Authorization,
        books::Books,
        capture::Take,
        course::{self, Signs},
        desk::Desk,
        error::PaypalError,
        fields::{self, Dialect, Fields},
        happened::{Entry, Happened, Subject, tell},
        id,
        outcome::{Made, Outcome},
    },
    Instrument, Intent, Order, OrderStatus,
    create::check_invoices,
    experience::check_source,
};
use crate::call::Call;

/// A departure: there is a limit, its figure is not documented.
const ATTEMPTS_MAX: u32 = 10;

pub(in super::super) fn capture(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    admit(books, desk, (id, Intent::Capture), call)?;
    let takes: Vec<Take> = books
        .order(id, desk.now)?
        .units
        .iter()
        .map(|unit| Take {
            order: id.to_owned(),
            authorization: None,
            amount: unit.amount,
            custom_id: unit.custom_id.clone(),
            invoice_id: unit.invoice_id.clone(),
            is_final: true,
        })
        .collect();
    for take in &takes {
        attempt(books, desk, id, take.signs())?;
    }
    let made: Vec<String> = takes
        .into_iter()
        .map(|take| take.book(books, desk))
        .collect();
    let order = books.order_mut(id, desk.now)?;
    for (unit, capture) in order.units.iter_mut().zip(made) {
        unit.captures.push(capture);
    }
    complete(books, desk, id)
}

pub(in super::super) fn authorize(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    if books
        .orders
        .find(id)
        .is_some_and(|order| order.is_over(desk.now))
    {
        return Err(PaypalError::issue("ORDER_EXPIRED"));
    }
    admit(books, desk, (id, Intent::Authorize), call)?;
    // `AUTHORIZE` orders have one unit.
    let unit = books.order(id, desk.now)?.units.first().cloned();
    let Some(unit) = unit else {
        return Err(PaypalError::issue("ORDER_COMPLETED_OR_VOIDED"));
    };
    let signs = Signs {
        custom_id: unit.custom_id.as_deref(),
        invoice_id: unit.invoice_id.as_deref(),
        amount: unit.amount,
    };
    attempt(books, desk, id, signs)?;
    let authorization = Authorization {
        id: id::payment(),
        order: id.to_owned(),
        amount: unit.amount,
        status: course::authorization(signs),
        custom_id: unit.custom_id.clone(),
        invoice_id: unit.invoice_id.clone(),
        parent: None,
        renewed: false,
        created_at: desk.now,
        updated_at: desk.now,
        expires_at: Authorization::expiry(desk.now),
    };
    authorization.tell(desk, Entry::New, None);
    let made = authorization.id.clone();
    books.authorizations.push(made.clone(), authorization);
    if let Some(unit) = books.order_mut(id, desk.now)?.units.first_mut() {
        unit.authorizations.push(made);
    }
    complete(books, desk, id)
}

/// Whether this order can be captured, or authorized, at all.
fn admit(
    books: &Books,
    desk: &Desk<'_>,
    (id, intent): (&str, Intent),
    call: &Call,
) -> Result<(), PaypalError> {
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Orders)?;
    if let Some(source) = body.object("payment_source")? {
        check_source(&source)?;
    }
    let order = books.order(id, desk.now)?;
    if order.intent != intent {
        return Err(PaypalError::issue("ACTION_DOES_NOT_MATCH_INTENT").at("/intent"));
    }
    let issue = match (order.status, order.instrument, intent) {
        (OrderStatus::Completed, _, Intent::Capture) => "ORDER_ALREADY_CAPTURED",
        (OrderStatus::Completed, _, Intent::Authorize) => "ORDER_ALREADY_AUTHORIZED",
        (OrderStatus::Voided, _, _) => "ORDER_COMPLETED_OR_VOIDED",
        (OrderStatus::Approved, _, _)
        // The buyer tried and was told; the merchant is told the same.
        | (_, Instrument::Declined, _) => return check_invoices(books, &order.units, id),
        (
            OrderStatus::Created | OrderStatus::PayerActionRequired,
            Instrument::Unknown | Instrument::Good,
            _,
        ) => "ORDER_NOT_APPROVED",
    };
    Err(PaypalError::issue(issue))
}

/// Asks the means of payment. A declined attempt is counted and leaves the order for another one.
fn attempt(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    signs: Signs<'_>,
) -> Result<(), PaypalError> {
    let asked = course::check_payment(signs);
    let order = books.order_mut(id, desk.now)?;
    let declined = PaypalError::issue("INSTRUMENT_DECLINED");
    let asked = match order.instrument {
        Instrument::Declined => Err(declined.clone()),
        Instrument::Good | Instrument::Unknown => asked,
    };
    let Err(refused) = asked else {
        return Ok(());
    };
    if order.declined >= ATTEMPTS_MAX {
        let issue = "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED";
        return Err(PaypalError::issue(issue));
    }
    order.declined = order.declined.saturating_add(1);
    if refused != declined {
        return Err(refused);
    }
    order.instrument = Instrument::Declined;
    Err(refused.redirecting(order.approval_url(&desk.base())))
}

fn complete(books: &mut Books, desk: &Desk<'_>, id: &str) -> Result<Outcome, PaypalError> {
    let order: &mut Order = books.order_mut(id, desk.now)?;
    order.status = OrderStatus::Completed;
    order.updated_at = desk.now;
    let subject = Subject {
        id,
        amount: order.total(),
        at: desk.now,
        object: None,
    };
    tell(desk, Happened::OrderCompleted, Entry::New, subject);
    let invoices: Vec<String> = order
        .units
        .iter()
        .filter_map(|unit| unit.invoice_id.clone())
        .collect();
    for invoice in invoices {
        books.invoices.take(&invoice, id);
    }
    Ok(Outcome::created(Made::Order(id.to_owned())))
}
