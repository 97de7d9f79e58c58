//! Refunds: on their way to the buyer, and what becomes of them.

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    REFUND_FAILS, REFUND_NOT_INSTANT, REFUND_REFUSED_INSTANT, REFUND_STAYS_PENDING, State,
    agenda::Due,
    books::{Books, Cause},
    error::{RazorpayError, Shape},
    fields::Fields,
    id, list,
    list::Listing,
    money,
    news::News,
    notes::Notes,
    payment::{Payment, PaymentStatus},
};
use crate::{call::Call, clock, reply::Reply};

pub(super) const IDEMPOTENCY_HEADER: &str = "x-refund-idempotency";

const SHAPE: Shape = Shape::Input;
const RECEIPT_CHARACTERS_MAX: usize = 40;
/// Banks take back nothing older in the normal way.
const NORMAL_WITHIN: TimeDelta = TimeDelta::days(180);

#[derive(Debug)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) payment_id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    receipt: Option<String>,
    notes: Notes,
    status: RefundStatus,
    requested: Speed,
    processed: Option<Speed>,
    created_at: DateTime<Utc>,
    settles_at: Option<DateTime<Utc>>,
    reference: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum RefundStatus {
    Pending,
    Processed,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Speed {
    Normal,
    /// Only ever asked for: instant when possible.
    Optimum,
    /// Only ever an outcome.
    Instant,
}

/// A refund that passed every check.
#[derive(Debug)]
pub(super) struct NewRefund {
    payment_id: String,
    amount: i64,
    currency: String,
    receipt: Option<String>,
    notes: Notes,
    speed: Speed,
}

impl NewRefund {
    /// All that is left of a payment, at normal speed.
    pub(super) fn of_all(payment: &Payment) -> NewRefund {
        NewRefund::of_part(payment, payment.refundable())
    }

    pub(super) fn of_part(payment: &Payment, amount: i64) -> NewRefund {
        NewRefund {
            payment_id: payment.id.clone(),
            amount,
            currency: payment.currency.clone(),
            receipt: None,
            notes: Notes::default(),
            speed: Speed::Normal,
        }
    }

    fn is_marked(&self, mark: &str) -> bool {
        is_marked(mark, self.receipt.as_deref(), &self.notes)
    }
}

impl Refund {
    pub(super) fn settles_at(&self) -> Option<DateTime<Utc>> {
        self.settles_at
    }

    fn is_marked(&self, mark: &str) -> bool {
        is_marked(mark, self.receipt.as_deref(), &self.notes)
    }

    pub(super) fn view(&self) -> Value {
        let reference = (self.status == RefundStatus::Processed).then_some(&self.reference);
        let acquirer_data = match self.processed {
            Some(Speed::Instant) => json!({ "rrn": reference }),
            _ => json!({ "arn": reference }),
        };
        json!({
            "id": self.id,
            "entity": "refund",
            "amount": self.amount,
            "currency": self.currency,
            "payment_id": self.payment_id,
            "notes": self.notes.view(),
            "receipt": self.receipt,
            "acquirer_data": acquirer_data,
            "created_at": self.created_at.timestamp(),
            "batch_id": null,
            "status": self.status,
            "speed_processed": self.processed,
            "speed_requested": self.requested,
        })
    }
}

/// `POST /payments/{id}/refund`
pub(super) fn create(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    fields.only(&["amount", "speed", "notes", "receipt"])?;
    let cause = Cause {
        idempotency_key: call.header(IDEMPOTENCY_HEADER),
        ..Cause::request(&state.core, call)
    };
    let mut books = state.books();
    let new = parse(&fields, books.payment(id)?, cause.at)?;
    let refund_id = books.refund(&cause, new);
    Ok(Reply::json(StatusCode::OK, &books.refund_view(&refund_id)?))
}

fn parse(
    fields: &Fields<'_>,
    payment: &Payment,
    now: DateTime<Utc>,
) -> Result<NewRefund, RazorpayError> {
    let refuse = |text: &'static str| Err(RazorpayError::bad(SHAPE, text));
    let asked = fields.integer("amount")?;
    let receipt = fields.text("receipt", RECEIPT_CHARACTERS_MAX)?;
    let notes = fields.notes()?.unwrap_or_default();
    let speed = match fields.one_of("speed", &["normal", "optimum"])? {
        Some("optimum") => Speed::Optimum,
        _ => Speed::Normal,
    };
    if let Some(receipt) = &receipt
        && payment.refund_receipts.contains(receipt)
    {
        return refuse("Duplicate receipt found for this refund request.");
    }
    match payment.status {
        PaymentStatus::Captured => {}
        PaymentStatus::Refunded => return refuse("The payment has been fully refunded already"),
        PaymentStatus::Authorized | PaymentStatus::Failed => {
            return refuse("The payment status should be captured for action to be taken");
        }
    }
    let amount = match asked {
        None => payment.refundable(),
        Some(0) => return refuse("Amount cannot be blank."),
        // The page on instant refunds takes any amount, that on normal ones has a least.
        Some(amount) if speed == Speed::Optimum && amount > 0 => {
            money::check_digits(fields, "amount", amount, &payment.currency)?
        }
        Some(amount) => money::check_amount(fields, "amount", amount, &payment.currency)?,
    };
    if amount > payment.refundable() {
        return refuse("The refund amount provided is greater than amount captured");
    }
    let new = NewRefund {
        receipt,
        notes,
        speed,
        ..NewRefund::of_part(payment, amount)
    };
    if speed == Speed::Optimum && new.is_marked(REFUND_REFUSED_INSTANT) {
        return refuse("Instant refund not supported for the payment.");
    }
    if speed == Speed::Normal && now.signed_duration_since(payment.created_at) > NORMAL_WITHIN {
        return Err(RazorpayError::bad(
            Shape::Unset,
            "Refund is not supported by the bank because the payment is more than 6 months old",
        ));
    }
    Ok(new)
}

fn is_marked(mark: &str, receipt: Option<&str>, notes: &Notes) -> bool {
    receipt == Some(mark) || notes.has_value(mark)
}

/// `GET /refunds/{id}`, `GET /payments/{id}/refunds/{id}`
pub(super) fn fetch(
    state: &State,
    of_payment: Option<&str>,
    id: &str,
) -> Result<Reply, RazorpayError> {
    let books = state.books();
    if let Some(payment_id) = of_payment {
        books.payment(payment_id)?;
    }
    id::check(SHAPE, "rfnd", id)?;
    let refund = books.refunds.find(id);
    let refund = refund
        .filter(|refund| of_payment.is_none_or(|payment_id| payment_id == refund.payment_id))
        .ok_or_else(|| RazorpayError::not_found(SHAPE))?;
    Ok(Reply::json(StatusCode::OK, &refund.view()))
}

/// `GET /refunds`, `GET /payments/{id}/refunds`
pub(super) fn list(
    state: &State,
    of_payment: Option<&str>,
    call: &Call,
) -> Result<Reply, RazorpayError> {
    let listing = Listing::of(call, SHAPE, &[])?;
    let books = state.books();
    if let Some(payment_id) = of_payment {
        books.payment(payment_id)?;
    }
    let newest_first = books.refunds.iter().rev().map(|(_, refund)| refund);
    let found = newest_first.filter(|refund| {
        listing.covers(refund.created_at)
            && of_payment.is_none_or(|payment_id| payment_id == refund.payment_id)
    });
    Ok(list::reply(listing.page(found).map(Refund::view)))
}

impl Books {
    /// The money leaves the merchant at once and is on its way; gives the refund's id.
    pub(super) fn refund(&mut self, cause: &Cause<'_>, new: NewRefund) -> String {
        let mut refund = Refund {
            id: id::random("rfnd"),
            payment_id: new.payment_id,
            amount: new.amount,
            currency: new.currency,
            receipt: new.receipt,
            notes: new.notes,
            status: RefundStatus::Pending,
            requested: new.speed,
            processed: None,
            created_at: cause.at,
            settles_at: None,
            reference: id::digits(12),
        };
        let (id, payment_id) = (refund.id.clone(), refund.payment_id.clone());
        let instant = refund.requested == Speed::Optimum && !refund.is_marked(REFUND_NOT_INSTANT);
        let settles_at = if refund.is_marked(REFUND_STAYS_PENDING) {
            None
        } else if instant {
            Some(cause.at)
        } else {
            let delivery = clock::delta(cause.core.settings().delivery());
            Some(clock::later(cause.at, delivery))
        };
        refund.settles_at = settles_at;
        let receipt = refund.receipt.clone();
        self.refunds.push(id.clone(), refund);
        if let Some(payment) = self.payments.find_mut(&payment_id) {
            payment.refund_receipts.extend(receipt);
            payment.amount_refunded = payment.amount_refunded.saturating_add(new.amount);
            if payment.refundable() <= 0 {
                payment.status = PaymentStatus::Refunded;
            }
        }
        self.announce(cause, News::RefundCreated, &id);
        if new.speed == Speed::Optimum && !instant {
            self.announce(cause, News::RefundSpeedChanged, &id);
        }
        match settles_at {
            Some(at) if at <= cause.at => self.settle_refund(cause, &id),
            Some(at) => self.schedule(at, Due::Refund(id.clone())),
            None => {}
        }
        id
    }

    /// The bank's last word on a refund.
    pub(super) fn settle_refund(&mut self, cause: &Cause<'_>, id: &str) {
        let Some(refund) = self.refunds.find_mut(id) else {
            return;
        };
        refund.settles_at = None;
        if !refund.is_marked(REFUND_FAILS) {
            let instant =
                refund.requested == Speed::Optimum && !refund.is_marked(REFUND_NOT_INSTANT);
            refund.status = RefundStatus::Processed;
            refund.processed = Some(if instant {
                Speed::Instant
            } else {
                Speed::Normal
            });
            self.announce(cause, News::RefundProcessed, id);
            return;
        }
        refund.status = RefundStatus::Failed;
        let (amount, payment_id) = (refund.amount, refund.payment_id.clone());
        if let Some(payment) = self.payments.find_mut(&payment_id) {
            payment.amount_refunded = payment.amount_refunded.saturating_sub(amount);
            if payment.status == PaymentStatus::Refunded {
                payment.status = PaymentStatus::Captured;
            }
        }
        self.announce(cause, News::RefundFailed, id);
    }

    fn refund_view(&self, id: &str) -> Result<Value, RazorpayError> {
        let refund = self.refunds.find(id);
        refund
            .map(Refund::view)
            .ok_or_else(|| RazorpayError::not_found(SHAPE))
    }
}
