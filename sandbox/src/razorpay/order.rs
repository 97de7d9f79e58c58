//! Orders: what a buyer is to pay, once.

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    State,
    books::{Books, Cause},
    checkout::Callback,
    error::{RazorpayError, Shape},
    fields::Fields,
    id, list,
    list::Listing,
    money,
    news::News,
    notes::Notes,
    payment::Payer,
    terms::CaptureTerms,
    view::set,
};
use crate::{call::Call, reply::Reply};

const SHAPE: Shape = Shape::Input;
const RECEIPT_CHARACTERS_MAX: usize = 40;

#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) amount_paid: i64,
    pub(super) currency: String,
    pub(super) receipt: Option<String>,
    pub(super) status: OrderStatus,
    pub(super) attempts: u32,
    pub(super) notes: Notes,
    /// The least first part, where the buyer may pay in parts.
    pub(super) parts: Option<i64>,
    /// When its payments are captured; none is as the account is set. No answer shows them.
    pub(super) terms: Option<CaptureTerms>,
    pub(super) created_at: DateTime<Utc>,
    /// Ids of all attempts, oldest first.
    pub(super) payments: Vec<String>,
    /// Where the last opened checkout page leads back to.
    pub(super) callback: Option<Callback>,
    /// What that page was told of the buyer and of what is sold.
    pub(super) payer: Payer,
    pub(super) description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OrderStatus {
    /// No attempt yet.
    Created,
    /// Until one payment is captured.
    Attempted,
    /// For good, also after a refund.
    Paid,
}

impl Order {
    /// One that nobody has tried to pay.
    pub(super) fn new(amount: i64, currency: String, created_at: DateTime<Utc>) -> Order {
        Order {
            id: id::random("order"),
            amount,
            amount_paid: 0,
            currency,
            receipt: None,
            status: OrderStatus::Created,
            attempts: 0,
            notes: Notes::default(),
            parts: None,
            terms: None,
            created_at,
            payments: Vec::new(),
            callback: None,
            payer: Payer::default(),
            description: None,
        }
    }

    pub(super) fn due(&self) -> i64 {
        self.amount.saturating_sub(self.amount_paid)
    }

    pub(super) fn view(&self) -> Value {
        json!({
            "id": self.id,
            "entity": "order",
            "amount": self.amount,
            "amount_paid": self.amount_paid,
            "amount_due": self.due(),
            "currency": self.currency,
            "receipt": self.receipt,
            "offer_id": null,
            "status": self.status,
            "attempts": self.attempts,
            "notes": self.notes.view(),
            "created_at": self.created_at.timestamp(),
        })
    }

    fn view_with(&self, books: &Books, expand: &[String]) -> Value {
        let mut view = self.view();
        let with_card = expand.iter().any(|name| name == "payments.card");
        if with_card || expand.iter().any(|name| name == "payments") {
            let payments = books.payments_of(self);
            let views = payments.map(|payment| payment.view(with_card));
            set(&mut view, "payments", list::collection(views));
        }
        view
    }
}

/// `POST /orders`
pub(super) fn create(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    let cause = Cause::request(&state.core, call);
    let order = parse(&fields, cause.at)?;
    let reply = Reply::json(StatusCode::OK, &order.view());
    let mut books = state.books();
    let id = order.id.clone();
    books.orders.push(id.clone(), order);
    books.announce(&cause, News::OrderCreated, &id);
    Ok(reply)
}

fn parse(fields: &Fields<'_>, now: DateTime<Utc>) -> Result<Order, RazorpayError> {
    fields.only(&[
        "amount",
        "currency",
        "receipt",
        "notes",
        "partial_payment",
        "first_payment_min_amount",
        "payment",
    ])?;
    // A fraction is refused whatever the currency is.
    fields
        .integer("amount")?
        .ok_or_else(|| fields.missing("amount"))?;
    let currency = money::currency(fields)?;
    let amount = money::amount(fields, "amount", &currency)?;
    let in_parts = fields.flag("partial_payment")?.unwrap_or(false);
    let parts = parse_parts(
        fields,
        "first_payment_min_amount",
        in_parts,
        (amount, &currency),
    )?;
    Ok(Order {
        receipt: fields.text("receipt", RECEIPT_CHARACTERS_MAX)?,
        notes: fields.notes()?.unwrap_or_default(),
        parts,
        terms: CaptureTerms::parse(fields)?,
        ..Order::new(amount, currency, now)
    })
}

/// The least first part; `None` where the buyer has to pay all at once.
pub(super) fn parse_parts(
    fields: &Fields<'_>,
    name: &'static str,
    in_parts: bool,
    (amount, currency): (i64, &str),
) -> Result<Option<i64>, RazorpayError> {
    let least = fields.integer(name)?;
    let label = name.replace('_', " ");
    match (in_parts, least) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(fields.wrong(
            name,
            format!("The {label} may be sent for partial payments only."),
        )),
        (true, None) => Ok(Some(money::minimum(currency))),
        (true, Some(least)) => {
            let least = money::check_amount(fields, name, least, currency)?;
            if least > amount {
                let text = format!("The {label} may not be greater than the amount.");
                return Err(fields.wrong(name, text));
            }
            Ok(Some(least))
        }
    }
}

/// `GET /orders/{id}`
pub(super) fn fetch(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let listing = Listing::of(call, SHAPE, &[])?;
    let books = state.books();
    let order = books.order(id)?;
    Ok(Reply::json(
        StatusCode::OK,
        &order.view_with(&books, &listing.expand),
    ))
}

/// `GET /orders`
pub(super) fn list(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let listing = Listing::of(call, SHAPE, &["authorized", "receipt"])?;
    let authorized = match listing.get("authorized") {
        None => None,
        Some("0") => Some(false),
        Some("1") => Some(true),
        Some(_) => {
            let text = "The authorized field must be 0 or 1.";
            return Err(RazorpayError::bad(SHAPE, text).about("authorized"));
        }
    };
    let receipt = listing.get("receipt");
    let books = state.books();
    let newest_first = books.orders.iter().rev().map(|(_, order)| order);
    let found = newest_first.filter(|order| {
        listing.covers(order.created_at)
            && receipt.is_none_or(|receipt| order.receipt.as_deref() == Some(receipt))
            && authorized.is_none_or(|wanted| {
                let was = books
                    .payments_of(order)
                    .any(|payment| payment.was_authorized());
                was == wanted
            })
    });
    let views = listing
        .page(found)
        .map(|order| order.view_with(&books, &listing.expand));
    Ok(list::reply(views))
}

/// `GET /orders/{id}/payments`: all attempts, failed ones too.
pub(super) fn payments(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let listing = Listing::of(call, SHAPE, &[])?;
    let with_card = listing.expand.iter().any(|name| name == "card");
    let books = state.books();
    let order = books.order(id)?;
    Ok(list::reply(
        books
            .payments_of(order)
            .map(|payment| payment.view(with_card)),
    ))
}

/// `PATCH /orders/{id}`: notes only.
pub(super) fn update(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    fields.only(&["notes"])?;
    let notes = fields.notes()?.ok_or_else(|| fields.missing("notes"))?;
    let mut books = state.books();
    books.order(id)?;
    let order = books
        .orders
        .find_mut(id)
        .ok_or_else(|| RazorpayError::not_found(SHAPE))?;
    order.notes = notes;
    Ok(Reply::json(StatusCode::OK, &order.view()))
}

impl Books {
    fn order(&self, id: &str) -> Result<&Order, RazorpayError> {
        id::check(SHAPE, "order", id)?;
        self.orders
            .find(id)
            .ok_or_else(|| RazorpayError::not_found(SHAPE))
    }
}
