//! `POST /v2/payments/captures/{id}/refund`, and refunds.

use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    authorization::insert,
    books::Books,
    course::{self, CaptureStatus, RefundStatus, Signs},
    desk::Desk,
    error::PaypalError,
    fields::{self, Dialect, Fields},
    happened::{Entry, Happened, Subject, tell},
    id,
    money::Money,
    outcome::{Made, Outcome, link},
};
use crate::call::Call;

/// A departure: the documentation names neither limit.
const TIME_LIMIT: TimeDelta = TimeDelta::days(180);
const REFUNDS_MAX: usize = 10;
/// Refunds were seen with such a time zone, unlike everything else.
const ZONE_S: i32 = -8 * 3600;

#[derive(Debug)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) capture: String,
    pub(super) amount: Money,
    pub(super) status: RefundStatus,
    custom_id: Option<String>,
    invoice_id: Option<String>,
    note_to_payer: Option<String>,
    created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

struct Draft<'a> {
    amount: Option<Money>,
    custom_id: Option<&'a str>,
    invoice_id: Option<&'a str>,
    note_to_payer: Option<&'a str>,
}

pub(super) fn refund(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let draft = Draft::parse(&Fields::of(&body, Dialect::Payments)?)?;
    let amount = check(books, desk.now, id, &draft)?;
    let signs = Signs {
        custom_id: draft.custom_id,
        invoice_id: draft.invoice_id,
        amount,
    };
    course::check_refund(signs)?;
    let setting = desk.state.core.settings().paypal_refund;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let refund = Refund {
        id: id::payment(),
        capture: id.to_owned(),
        amount,
        status: course::refund(signs, setting),
        custom_id: owned(draft.custom_id),
        invoice_id: owned(draft.invoice_id),
        note_to_payer: owned(draft.note_to_payer),
        created_at: desk.now,
        updated_at: desk.now,
    };
    refund.tell(desk, Entry::New);
    if let Some(invoice) = draft.invoice_id {
        books.invoices.take_refund(invoice);
    }
    let capture = books.capture_mut(id)?;
    capture.refunds.push(refund.id.clone());
    capture.updated_at = desk.now;
    let made = Made::Refund(refund.id.clone());
    books.refunds.push(refund.id.clone(), refund);
    Ok(Outcome::created(made))
}

/// Whether it can be refunded; how much will be.
fn check(
    books: &Books,
    now: DateTime<Utc>,
    id: &str,
    draft: &Draft<'_>,
) -> Result<Money, PaypalError> {
    let capture = books.capture(id)?;
    match capture.status {
        CaptureStatus::Completed => {}
        CaptureStatus::Pending => return Err(PaypalError::issue("PENDING_CAPTURE")),
        CaptureStatus::Declined | CaptureStatus::Failed => {
            return Err(PaypalError::issue("REFUND_NOT_ALLOWED"));
        }
    }
    let left = capture.amount.minus(capture.refunded(books));
    if !left.is_positive() {
        return Err(PaypalError::issue("CAPTURE_FULLY_REFUNDED"));
    }
    if now.signed_duration_since(capture.created_at) > TIME_LIMIT {
        return Err(PaypalError::issue("REFUND_TIME_LIMIT_EXCEEDED"));
    }
    if capture.refunds.len() >= REFUNDS_MAX {
        return Err(PaypalError::issue("MAX_NUMBER_OF_REFUNDS_EXCEEDED"));
    }
    if let Some(invoice) = draft.invoice_id
        && books.invoices.is_refunded(invoice)
    {
        return Err(PaypalError::issue("DUPLICATE_INVOICE_ID")
            .at("/invoice_id")
            .value(invoice));
    }
    let amount = draft.amount.unwrap_or(left);
    if amount.currency != capture.amount.currency {
        return Err(
            PaypalError::issue("REFUND_CAPTURE_CURRENCY_MISMATCH").at("/amount/currency_code")
        );
    }
    if amount.minor > left.minor {
        return Err(PaypalError::issue("REFUND_AMOUNT_EXCEEDED")
            .at("/amount/value")
            .value(amount.value()));
    }
    Ok(amount)
}

impl<'a> Draft<'a> {
    fn parse(body: &Fields<'a>) -> Result<Draft<'a>, PaypalError> {
        Ok(Draft {
            amount: body.money_above_zero("amount")?,
            custom_id: body.text("custom_id", 1..=127)?,
            invoice_id: body.text("invoice_id", 1..=127)?,
            note_to_payer: body.text("note_to_payer", 1..=255)?,
        })
    }
}

impl Refund {
    pub(super) fn tell(&self, desk: &Desk<'_>, entry: Entry) {
        let happened = match self.status {
            RefundStatus::Completed => Happened::RefundCompleted,
            RefundStatus::Pending => Happened::RefundPending,
            RefundStatus::Failed | RefundStatus::Cancelled => Happened::RefundFailed,
        };
        let subject = Subject {
            id: &self.id,
            amount: Some(self.amount),
            at: desk.now,
            object: Some(&self.capture),
        };
        tell(desk, happened, entry, subject);
    }

    pub(super) fn view(&self, books: &Books) -> Value {
        let total = books
            .captures
            .find(&self.capture)
            .map_or(self.amount, |capture| capture.refunded(books));
        let path = format!("/v2/payments/refunds/{}", self.id);
        let up = format!("/v2/payments/captures/{}", self.capture);
        let mut view = json!({
            "id": self.id,
            "status": self.status.name(),
            "amount": self.amount.view(),
            "seller_payable_breakdown": {
                "gross_amount": self.amount.view(),
                "paypal_fee": self.amount.zero().view(),
                "net_amount": self.amount.view(),
                "total_refunded_amount": total.view(),
            },
            "create_time": zoned(self.created_at),
            "update_time": zoned(self.updated_at),
            "links": [link(&path, "self", "GET"), link(&up, "up", "GET")],
        });
        if let Value::Object(fields) = &mut view {
            if self.status == RefundStatus::Pending {
                let details = json!({ "reason": "ECHECK" });
                fields.insert("status_details".to_owned(), details);
            }
            insert(fields, "custom_id", self.custom_id.as_deref());
            insert(fields, "invoice_id", self.invoice_id.as_deref());
            insert(fields, "note_to_payer", self.note_to_payer.as_deref());
        }
        view
    }
}

fn zoned(at: DateTime<Utc>) -> String {
    match FixedOffset::east_opt(ZONE_S) {
        Some(zone) => at
            .with_timezone(&zone)
            .to_rfc3339_opts(SecondsFormat::Secs, false),
        None => at.to_rfc3339_opts(SecondsFormat::Secs, true),
    }
}
