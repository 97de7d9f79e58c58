//! Payments: attempts of a buyer to pay.

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    State,
    books::{Books, Cause},
    error::{RazorpayError, Shape},
    fields::Fields,
    id, list,
    list::Listing,
    money,
    notes::Notes,
    order::Order,
    view::set,
};
use crate::{call::Call, clock::later, reply::Reply};

const SHAPE: Shape = Shape::Input;
/// Who does not capture within this time of the payment's creation never wanted to, unless the order says
/// otherwise.
pub(super) const CAPTURE_WINDOW: TimeDelta = TimeDelta::days(3);
/// Of the amount, in hundredths of a percent, and the tax on it in percent: what Razorpay asks of a
/// domestic card.
const FEE_BASIS_POINTS: i64 = 200;
const TAX_PERCENT: i64 = 18;

#[derive(Debug)]
pub(super) struct Payment {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: PaymentStatus,
    pub(super) order_id: String,
    pub(super) link_id: Option<String>,
    pub(super) subscription_id: Option<String>,
    pub(super) invoice_id: Option<String>,
    pub(super) customer_id: Option<String>,
    pub(super) method: Method,
    pub(super) amount_refunded: i64,
    pub(super) captured: bool,
    /// How long after its creation it waits to be captured.
    pub(super) window: TimeDelta,
    pub(super) description: Option<String>,
    pub(super) payer: Payer,
    pub(super) notes: Notes,
    pub(super) created_at: DateTime<Utc>,
    /// Of the card, the bank or the UPI network.
    pub(super) reference: String,
    pub(super) card_id: String,
    /// Receipts of its refunds: each is taken once.
    pub(super) refund_receipts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PaymentStatus {
    Authorized,
    Captured,
    /// All of it.
    Refunded,
    /// Can still turn into `authorized` when the bank answers late.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    #[default]
    Card,
    Upi,
    Netbanking,
    Wallet,
}

impl Method {
    pub(super) const NAMES: [&'static str; 4] = ["card", "upi", "netbanking", "wallet"];
}

/// How to reach who pays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Payer {
    pub(super) email: Option<String>,
    pub(super) contact: Option<String>,
}

impl Payer {
    pub(super) fn addresses(&self) -> Vec<String> {
        [&self.email, &self.contact]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}

impl Payment {
    /// What the buyer meant to pay: the subscription, the link, or else the order.
    pub(super) fn paid_for(&self) -> &str {
        let special = self.subscription_id.as_deref().or(self.link_id.as_deref());
        special.unwrap_or(&self.order_id)
    }

    pub(super) fn was_authorized(&self) -> bool {
        match self.status {
            PaymentStatus::Authorized | PaymentStatus::Captured | PaymentStatus::Refunded => true,
            PaymentStatus::Failed => false,
        }
    }

    /// Until when it waits to be captured, if it does.
    pub(super) fn capture_until(&self) -> Option<DateTime<Utc>> {
        (self.status == PaymentStatus::Authorized).then(|| later(self.created_at, self.window))
    }

    pub(super) fn refundable(&self) -> i64 {
        self.amount.saturating_sub(self.amount_refunded)
    }

    pub(super) fn view(&self, with_card: bool) -> Value {
        let is = |method| self.method == method;
        let vpa = is(Method::Upi).then_some("success@razorpay");
        let (fee, tax) = self.fee().unzip();
        let refund_status = match self.amount_refunded {
            0 => None,
            refunded if refunded >= self.amount => Some("full"),
            _ => Some("partial"),
        };
        let failed = self.status == PaymentStatus::Failed;
        let if_failed = |text: &'static str| failed.then_some(text);
        let mut view = json!({
            "id": self.id,
            "entity": "payment",
            "amount": self.amount,
            "currency": self.currency,
            "status": self.status,
            "order_id": self.order_id,
            "invoice_id": self.invoice_id,
            "international": self.currency != "INR",
            "method": self.method,
            "amount_refunded": self.amount_refunded,
            "refund_status": refund_status,
            "captured": self.captured,
            "description": self.description,
            "card_id": is(Method::Card).then_some(&self.card_id),
            "bank": is(Method::Netbanking).then_some("HDFC"),
            "wallet": is(Method::Wallet).then_some("payzapp"),
            "vpa": vpa,
            "email": self.payer.email,
            "contact": self.payer.contact,
            "notes": self.notes.view(),
            "fee": fee,
            "tax": tax,
            "error_code": if_failed(Failure::CODE),
            "error_description": if_failed(Failure::DESCRIPTION),
            "error_source": if_failed(Failure::SOURCE),
            "error_step": if_failed(Failure::STEP),
            "error_reason": if_failed(Failure::REASON),
            "acquirer_data": self.acquirer_data(),
            "created_at": self.created_at.timestamp(),
        });
        if let Some(customer) = &self.customer_id {
            set(&mut view, "customer_id", customer.as_str());
            set(&mut view, "token_id", Value::Null);
        }
        if is(Method::Upi) {
            set(
                &mut view,
                "upi",
                json!({ "payer_account_type": "bank_account", "vpa": vpa }),
            );
        }
        if with_card && is(Method::Card) {
            set(
                &mut view,
                "card",
                json!({
                    "id": self.card_id,
                    "entity": "card",
                    "name": "Sandbox Buyer",
                    "last4": "1007",
                    "network": "Visa",
                    "type": "credit",
                    "issuer": "HDFC",
                    "international": false,
                    "emi": false,
                    "sub_type": "consumer",
                }),
            );
        }
        view
    }

    /// Fee with its tax, and the tax alone; unknown until the money is taken.
    fn fee(&self) -> Option<(i64, i64)> {
        if !self.captured {
            return None;
        }
        let fee = self.amount.saturating_mul(FEE_BASIS_POINTS) / 10_000;
        let tax = fee.saturating_mul(TAX_PERCENT) / 100;
        Some((fee.saturating_add(tax), tax))
    }

    fn acquirer_data(&self) -> Value {
        let reference = self.was_authorized().then_some(&self.reference);
        match self.method {
            Method::Card => json!({ "auth_code": reference }),
            Method::Upi => json!({ "rrn": reference }),
            Method::Netbanking => json!({ "bank_transaction_id": reference }),
            Method::Wallet => json!({ "transaction_id": reference }),
        }
    }
}

/// Why a payment fails that the buyer, or the bank, declines.
pub(super) struct Failure;

impl Failure {
    pub(super) const CODE: &'static str = "BAD_REQUEST_ERROR";
    pub(super) const DESCRIPTION: &'static str = "Your payment didn't go through as it was declined by the bank. Try another payment method or contact your bank.";
    pub(super) const SOURCE: &'static str = "bank";
    pub(super) const STEP: &'static str = "payment_authorization";
    pub(super) const REASON: &'static str = "payment_failed";
}

/// `GET /payments/{id}`
pub(super) fn fetch(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let listing = Listing::of(call, SHAPE, &[])?;
    let with_card = listing.expand.iter().any(|name| name == "card");
    let books = state.books();
    Ok(Reply::json(
        StatusCode::OK,
        &books.payment(id)?.view(with_card),
    ))
}

/// `GET /payments`
pub(super) fn list(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let listing = Listing::of(call, SHAPE, &[])?;
    let with_card = listing.expand.iter().any(|name| name == "card");
    let books = state.books();
    let newest_first = books.payments.iter().rev().map(|(_, payment)| payment);
    let found = newest_first.filter(|payment| listing.covers(payment.created_at));
    Ok(list::reply(
        listing.page(found).map(|payment| payment.view(with_card)),
    ))
}

/// `POST /payments/{id}/capture`: all of it or nothing.
pub(super) fn capture(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    fields.only(&["amount", "currency"])?;
    let amount = fields
        .integer("amount")?
        .ok_or_else(|| fields.missing("amount"))?;
    let currency = money::currency(&fields)?;
    let cause = Cause::request(&state.core, call);
    let mut books = state.books();
    let payment = books.payment(id)?;
    let refuse = |text: &'static str| Err(RazorpayError::bad(SHAPE, text));
    match payment.status {
        PaymentStatus::Authorized => {}
        PaymentStatus::Captured => return refuse("This payment has already been captured"),
        PaymentStatus::Refunded | PaymentStatus::Failed => {
            return refuse(
                "Only payments which have been authorized and not yet captured can be captured",
            );
        }
    }
    if currency != payment.currency {
        return refuse("The currency must be the one that was authorized");
    }
    if amount != payment.amount {
        return refuse("Capture amount must be equal to the amount authorized");
    }
    if !books.has_room_for(id) {
        return refuse(ORDER_PAID);
    }
    books.capture(&cause, id);
    Ok(Reply::json(StatusCode::OK, &books.payment(id)?.view(false)))
}

pub(super) const ORDER_PAID: &str = "Your payment has been declined as the order is already paid. Please initiate the payment with a new order.";

impl Books {
    pub(super) fn payment(&self, id: &str) -> Result<&Payment, RazorpayError> {
        id::check(SHAPE, "pay", id)?;
        self.payments
            .find(id)
            .ok_or_else(|| RazorpayError::not_found(SHAPE))
    }

    /// All attempts, oldest first.
    pub(super) fn payments_of<'a>(&'a self, order: &'a Order) -> impl Iterator<Item = &'a Payment> {
        order
            .payments
            .iter()
            .filter_map(|id| self.payments.find(id))
    }
}
