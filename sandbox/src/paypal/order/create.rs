//! `POST /v2/checkout/orders`

use http::StatusCode;

use super::{
    super::{
        books::Books,
        desk::Desk,
        error::PaypalError,
        fields::{self, Dialect, Fields},
        happened::{Entry, Happened, Subject, tell},
        id,
        outcome::{Made, Outcome},
    },
    Experience, Instrument, Intent, Order, OrderStatus,
    unit::{UNITS, Unit, check_together},
};
use crate::call::Call;

pub(in super::super) fn create(
    books: &mut Books,
    desk: &Desk<'_>,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Orders)?;
    let intent = body
        .choice("intent", &Intent::ALL)?
        .ok_or_else(|| body.missing("intent"))?;
    if body.present("payment_source").is_some() && desk.request_id.is_none() {
        return Err(PaypalError::issue("PAYPAL_REQUEST_ID_REQUIRED"));
    }
    let experience = Experience::parse(&body)?;
    let units = body
        .objects("purchase_units", UNITS)?
        .ok_or_else(|| body.missing("purchase_units"))?
        .iter()
        .map(|unit| Unit::parse(unit, experience.shipping))
        .collect::<Result<Vec<_>, _>>()?;
    check_together(&units, intent)?;
    let id = id::payment();
    check_invoices(books, &units, &id)?;
    // An order with a payment_source asks for the buyer at once. It was seen to be answered with 200.
    let (status, answered) = if experience.by_source {
        (OrderStatus::PayerActionRequired, StatusCode::OK)
    } else {
        (OrderStatus::Created, StatusCode::CREATED)
    };
    let order = Order {
        id: id.clone(),
        intent,
        status,
        units,
        experience,
        instrument: Instrument::Unknown,
        declined: 0,
        created_at: desk.now,
        updated_at: desk.now,
        approved_at: None,
    };
    let subject = Subject {
        id: &id,
        amount: order.total(),
        at: desk.now,
        object: None,
    };
    tell(desk, Happened::OrderCreated, Entry::New, subject);
    books.orders.push(id.clone(), order);
    Ok(Outcome::Made(answered, Made::Order(id)))
}

/// An invoice number that a payment for another order has used up.
pub(super) fn check_invoices(
    books: &Books,
    units: &[Unit],
    order: &str,
) -> Result<(), PaypalError> {
    for (index, unit) in units.iter().enumerate() {
        if let Some(invoice) = &unit.invoice_id
            && books.invoices.is_taken(invoice, order)
        {
            return Err(PaypalError::issue("DUPLICATE_INVOICE_ID")
                .at(format!("/purchase_units/{index}/invoice_id"))
                .value(invoice));
        }
    }
    Ok(())
}
