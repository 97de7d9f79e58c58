//! Payment links: an object of their own kind, without `entity`, with 0 for times that are not set.

use chrono::{DateTime, Months, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    State,
    books::{Books, Cause},
    checkout::Callback,
    error::{RazorpayError, Shape},
    id,
    list::Listing,
    news::News,
    notes::Notes,
    payment::Payer,
    view::set,
};
use crate::{call::Call, reply::Reply};

pub(super) const SHAPE: Shape = Shape::UnsetList;
/// How long a link without `expire_by` is valid, and the longest that can be asked for.
pub(super) const VALID_MONTHS: Months = Months::new(6);

#[derive(Debug)]
pub(super) struct PaymentLink {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) amount_paid: i64,
    pub(super) currency: String,
    pub(super) status: LinkStatus,
    /// The least first part, where the buyer may pay in parts.
    pub(super) parts: Option<i64>,
    /// What the merchant said about the first part.
    pub(super) first_min_partial_amount: i64,
    pub(super) description: String,
    pub(super) reference_id: String,
    pub(super) customer: Customer,
    pub(super) notify: Notify,
    pub(super) reminder_enable: bool,
    pub(super) notes: Notes,
    pub(super) callback: Option<Callback>,
    pub(super) short_url: String,
    pub(super) expire_by: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) cancelled_at: Option<DateTime<Utc>>,
    pub(super) expired_at: Option<DateTime<Utc>>,
    /// Made when somebody tries to pay.
    pub(super) order_id: Option<String>,
    /// Ids of captured payments, oldest first.
    pub(super) payments: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LinkStatus {
    Created,
    PartiallyPaid,
    Paid,
    Expired,
    Cancelled,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Customer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) contact: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Notify {
    pub(super) email: bool,
    pub(super) sms: bool,
}

impl PaymentLink {
    pub(super) fn is_open(&self) -> bool {
        match self.status {
            LinkStatus::Created | LinkStatus::PartiallyPaid => true,
            LinkStatus::Paid | LinkStatus::Expired | LinkStatus::Cancelled => false,
        }
    }

    pub(super) fn expires_at(&self) -> Option<DateTime<Utc>> {
        if !self.is_open() {
            return None;
        }
        self.expire_by
            .or_else(|| self.created_at.checked_add_months(VALID_MONTHS))
    }

    pub(super) fn payer(&self) -> Payer {
        Payer {
            email: self.customer.email.clone(),
            contact: self.customer.contact.clone(),
        }
    }

    pub(super) fn view(&self, books: &Books) -> Value {
        let seconds =
            |time: Option<DateTime<Utc>>| time.map_or(0, |time: DateTime<Utc>| time.timestamp());
        let reminders = if self.reminder_enable {
            json!({ "status": "pending" })
        } else {
            json!([])
        };
        let mut view = json!({
            "accept_partial": self.parts.is_some(),
            "amount": self.amount,
            "amount_paid": self.amount_paid,
            "callback_method": self.callback.as_ref().map_or("", |_| "get"),
            "callback_url": self.callback.as_ref().map_or("", |callback| &callback.url),
            "cancelled_at": seconds(self.cancelled_at),
            "created_at": self.created_at.timestamp(),
            "currency": self.currency,
            "customer": self.customer,
            "description": self.description,
            "expire_by": seconds(self.expire_by),
            "expired_at": seconds(self.expired_at),
            "first_min_partial_amount": self.first_min_partial_amount,
            "id": self.id,
            "notes": self.notes.view_or_null(),
            "notify": self.notify,
            "payments": self.payments_view(books),
            "reference_id": self.reference_id,
            "reminder_enable": self.reminder_enable,
            "reminders": reminders,
            "short_url": self.short_url,
            "status": self.status,
            "updated_at": self.updated_at.timestamp(),
            "upi_link": false,
            "user_id": "",
        });
        if let Some(order_id) = &self.order_id {
            set(&mut view, "order_id", order_id.as_str());
        }
        view
    }

    /// Null until one is captured.
    fn payments_view(&self, books: &Books) -> Value {
        if self.payments.is_empty() {
            return Value::Null;
        }
        let payments = self
            .payments
            .iter()
            .filter_map(|id| books.payments.find(id));
        payments
            .map(|payment| {
                json!({
                    "amount": payment.amount,
                    "created_at": payment.created_at.timestamp(),
                    "method": payment.method,
                    "payment_id": payment.id,
                    "plink_id": self.id,
                    "status": "captured",
                    "updated_at": payment.created_at.timestamp(),
                })
            })
            .collect()
    }
}

/// `GET /payment_links/{id}`
pub(super) fn fetch(state: &State, id: &str) -> Result<Reply, RazorpayError> {
    let books = state.books();
    let view = books.link(id)?.view(&books);
    Ok(Reply::json(StatusCode::OK, &view))
}

/// `GET /payment_links`: not the collection that every other list is.
pub(super) fn list(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let listing = Listing::of(call, SHAPE, &["payment_id", "reference_id"])?;
    let (payment_id, reference) = (listing.get("payment_id"), listing.get("reference_id"));
    let books = state.books();
    let newest_first = books.links.iter().rev().map(|(_, link)| link);
    let found = newest_first.filter(|link| {
        listing.covers(link.created_at)
            && reference.is_none_or(|reference| reference == link.reference_id)
            && payment_id.is_none_or(|id| link.payments.iter().any(|paid| paid == id))
    });
    let views: Vec<Value> = listing.page(found).map(|link| link.view(&books)).collect();
    Ok(Reply::json(
        StatusCode::OK,
        &json!({ "payment_links": views }),
    ))
}

/// `POST /payment_links/{id}/cancel`
pub(super) fn cancel(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let cause = Cause::request(&state.core, call);
    let mut books = state.books();
    let refuse = |text: &'static str| Err(RazorpayError::bad(SHAPE, text));
    match books.link(id)?.status {
        LinkStatus::Created => {}
        LinkStatus::Paid | LinkStatus::PartiallyPaid => {
            return refuse("cannot cancel or expire an already paid/partially paid link");
        }
        LinkStatus::Expired | LinkStatus::Cancelled => {
            return refuse("cannot cancel or expire an expired link");
        }
    }
    if let Some(link) = books.links.find_mut(id) {
        link.status = LinkStatus::Cancelled;
        link.cancelled_at = Some(cause.at);
        link.updated_at = cause.at;
    }
    books.announce(&cause, News::LinkCancelled, id);
    let view = books.link(id)?.view(&books);
    Ok(Reply::json(StatusCode::OK, &view))
}

/// `POST /payment_links/{id}/notify_by/{medium}`
pub(super) fn notify(state: &State, id: &str, medium: &str) -> Result<Reply, RazorpayError> {
    state.books().link(id)?;
    if !["sms", "email"].contains(&medium) {
        return Err(RazorpayError::bad(SHAPE, "not a valid notification medium"));
    }
    Ok(Reply::json(StatusCode::OK, &json!({ "success": true })))
}

impl Books {
    pub(super) fn link(&self, id: &str) -> Result<&PaymentLink, RazorpayError> {
        if !id::is_valid("plink", id) {
            let stripped = id.strip_prefix("plink_").unwrap_or(id);
            let text = format!("invalid input [strippedId] = [{stripped}]");
            return Err(RazorpayError::bad(SHAPE, text));
        }
        self.links
            .find(id)
            .ok_or_else(|| RazorpayError::not_found(SHAPE))
    }

    /// A captured payment of the link's order.
    pub(super) fn credit_link(&mut self, cause: &Cause<'_>, link_id: &str, payment_id: &str) {
        let Some(amount) = self.payments.find(payment_id).map(|payment| payment.amount) else {
            return;
        };
        let Some(link) = self.links.find_mut(link_id) else {
            return;
        };
        link.amount_paid = link.amount_paid.saturating_add(amount);
        link.payments.push(payment_id.to_owned());
        link.updated_at = cause.at;
        let news = if link.amount_paid >= link.amount {
            link.status = LinkStatus::Paid;
            News::LinkPaid
        } else {
            link.status = LinkStatus::PartiallyPaid;
            News::LinkPartiallyPaid
        };
        self.announce(cause, news, link_id);
    }

    pub(super) fn expire_link(&mut self, cause: &Cause<'_>, id: &str) {
        if let Some(link) = self.links.find_mut(id) {
            link.status = LinkStatus::Expired;
            link.expired_at = Some(cause.at);
            link.updated_at = cause.at;
            self.announce(cause, News::LinkExpired, id);
        }
    }
}
