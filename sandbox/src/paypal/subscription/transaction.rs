//! What was charged, and `GET /v1/billing/subscriptions/{id}/transactions`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    super::{
        authorization::insert,
        books::Books,
        buyer,
        desk::{self, Desk},
        error::PaypalError,
        happened::{Happened, Subject, tell_showing},
        id,
        list::Query,
        money::Money,
        outcome::{Outcome, link},
    },
    PATH, Subscription,
};
use crate::call::Call;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum TransactionStatus {
    Completed,
    Declined,
}

/// What an amount is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// Of this charge.
    pub(super) new: Money,
    /// Of earlier ones.
    pub(super) outstanding: Money,
    pub(super) tax: Money,
    pub(super) shipping: Option<Money>,
}

#[derive(Debug)]
pub(in super::super) struct Transaction {
    pub(in super::super) id: String,
    status: TransactionStatus,
    parts: Parts,
    at: DateTime<Utc>,
}

impl Parts {
    /// One amount, nothing else.
    pub(super) fn of(amount: Money) -> Parts {
        Parts {
            new: amount,
            outstanding: amount.zero(),
            tax: amount.zero(),
            shipping: None,
        }
    }
}

impl Transaction {
    pub(super) fn new(parts: Parts, status: TransactionStatus, at: DateTime<Utc>) -> Transaction {
        Transaction {
            id: id::payment(),
            status,
            parts,
            at,
        }
    }

    fn amount(&self) -> Money {
        self.parts.new.plus(self.parts.outstanding)
    }

    pub(super) fn tell(&self, desk: &Desk<'_>, subscription: &Subscription) {
        let happened = match self.status {
            TransactionStatus::Completed => Happened::PaymentCompleted,
            TransactionStatus::Declined => Happened::PaymentFailed,
        };
        let subject = Subject {
            id: &self.id,
            amount: Some(self.amount()),
            at: self.at,
            object: Some(&subscription.id),
        };
        tell_showing(desk, happened, subject, || match self.status {
            TransactionStatus::Completed => self.sale(subscription),
            TransactionStatus::Declined => {
                subscription.view(&desk.base(), &["last_failed_payment"])
            }
        });
    }

    /// As webhooks show it: a sale of the Payments API v1, with names of its own.
    fn sale(&self, subscription: &Subscription) -> Value {
        let money = self.amount();
        let code = money.currency.code;
        let path = format!("/v1/payments/sale/{}", self.id);
        let mut sale = json!({
            "id": self.id,
            "state": "completed",
            "amount": {
                "total": money.value(),
                "currency": code,
                "details": { "subtotal": money.value() },
            },
            "payment_mode": "INSTANT_TRANSFER",
            "protection_eligibility": "ELIGIBLE",
            "protection_eligibility_type": "ITEM_NOT_RECEIVED_ELIGIBLE,UNAUTHORIZED_PAYMENT_ELIGIBLE",
            "transaction_fee": { "value": money.fee().value(), "currency": code },
            "billing_agreement_id": subscription.id,
            "create_time": desk::time(self.at),
            "update_time": desk::time(self.at),
            "links": [
                link(&path, "self", "GET"),
                link(&format!("{path}/refund"), "refund", "POST"),
            ],
        });
        if let Value::Object(fields) = &mut sale {
            insert(fields, "custom", subscription.custom_id.as_deref());
        }
        sale
    }

    pub(in super::super) fn view(&self) -> Value {
        let status = match self.status {
            TransactionStatus::Completed => "COMPLETED",
            TransactionStatus::Declined => "DECLINED",
        };
        let gross = self.amount();
        let mut breakdown = json!({ "gross_amount": gross.view() });
        if let Value::Object(breakdown) = &mut breakdown {
            if self.status == TransactionStatus::Completed {
                let fee = gross.fee();
                breakdown.insert("fee_amount".to_owned(), fee.view());
                breakdown.insert("net_amount".to_owned(), gross.minus(fee).view());
            }
            if self.parts.tax.is_positive() {
                breakdown.insert("tax_amount".to_owned(), self.parts.tax.view());
            }
            if let Some(shipping) = self.parts.shipping {
                breakdown.insert("shipping_amount".to_owned(), shipping.view());
            }
        }
        json!({
            "id": self.id,
            "status": status,
            "amount_with_breakdown": breakdown,
            "payer_name": buyer::name(),
            "payer_email": buyer::EMAIL,
            "time": desk::time(self.at),
        })
    }
}

pub(in super::super) fn list(books: &Books, id: &str, call: &Call) -> Result<Outcome, PaypalError> {
    let query = Query::of(call);
    let (start, end) = (time(&query, "start_time")?, time(&query, "end_time")?);
    if end < start {
        return Err(PaypalError::issue("INVALID_PARAMETER_VALUE").in_query("end_time"));
    }
    let subscription = books.subscription(id)?;
    let shown: Vec<Value> = subscription
        .transactions
        .iter()
        .filter(|transaction| (start..=end).contains(&transaction.at))
        .map(Transaction::view)
        .collect();
    let path = format!("{PATH}/{id}/transactions?{}", call.query());
    Ok(Outcome::Shown(json!({
        "total_items": shown.len(),
        "total_pages": usize::from(!shown.is_empty()),
        "transactions": shown,
        "links": [link(&path, "self", "GET")],
    })))
}

fn time(query: &Query<'_>, name: &str) -> Result<DateTime<Utc>, PaypalError> {
    let text = query
        .get(name)
        .ok_or_else(|| PaypalError::issue("MISSING_REQUIRED_PARAMETER").in_query(name))?;
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    time.map_err(|_no_time| {
        PaypalError::issue("INVALID_PARAMETER_SYNTAX")
            .in_query(name)
            .value(text)
    })
}
