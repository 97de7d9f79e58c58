//! Captures (v2 payments): money taken.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    MERCHANT_EMAIL, MERCHANT_ID,
    authorization::insert,
    books::Books,
    course::{self, CaptureStatus, Signs},
    desk::{Desk, time},
    happened::{Entry, Happened, Subject, tell},
    id,
    money::Money,
    outcome::link,
};

#[derive(Debug)]
pub(super) struct Capture {
    pub(super) id: String,
    pub(super) order: String,
    /// Where the money was held before.
    pub(super) authorization: Option<String>,
    pub(super) amount: Money,
    pub(super) status: CaptureStatus,
    pub(super) reason: Option<&'static str>,
    pub(super) custom_id: Option<String>,
    pub(super) invoice_id: Option<String>,
    pub(super) is_final: bool,
    pub(super) refunds: Vec<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// What is to be taken.
#[derive(Debug)]
pub(super) struct Take {
    pub(super) order: String,
    pub(super) authorization: Option<String>,
    pub(super) amount: Money,
    pub(super) custom_id: Option<String>,
    pub(super) invoice_id: Option<String>,
    pub(super) is_final: bool,
}

impl Take {
    pub(super) fn signs(&self) -> Signs<'_> {
        Signs {
            custom_id: self.custom_id.as_deref(),
            invoice_id: self.invoice_id.as_deref(),
            amount: self.amount,
        }
    }

    /// From here on the capture exists; gives its id.
    pub(super) fn book(self, books: &mut Books, desk: &Desk<'_>) -> String {
        let setting = desk.state.core.settings().paypal_capture;
        let (status, reason) = course::capture(self.signs(), setting);
        let capture = Capture {
            id: id::payment(),
            order: self.order,
            authorization: self.authorization,
            amount: self.amount,
            status,
            reason,
            custom_id: self.custom_id,
            invoice_id: self.invoice_id,
            is_final: self.is_final,
            refunds: Vec::new(),
            created_at: desk.now,
            updated_at: desk.now,
        };
        capture.tell(desk, Entry::New);
        let id = capture.id.clone();
        books.captures.push(id.clone(), capture);
        id
    }
}

impl Capture {
    pub(super) fn tell(&self, desk: &Desk<'_>, entry: Entry) {
        let happened = match self.status {
            CaptureStatus::Completed => Happened::CaptureCompleted,
            CaptureStatus::Pending => Happened::CapturePending,
            CaptureStatus::Declined | CaptureStatus::Failed => match entry {
                Entry::New => Happened::CaptureDeclined,
                Entry::Later => Happened::CaptureDenied,
            },
        };
        let subject = Subject {
            id: &self.id,
            amount: Some(self.amount),
            at: desk.now,
            object: Some(self.authorization.as_ref().unwrap_or(&self.order)),
        };
        tell(desk, happened, entry, subject);
    }

    /// What has gone back of it, or is on its way.
    pub(super) fn refunded(&self, books: &Books) -> Money {
        let refunds = self.refunds.iter().filter_map(|id| books.refunds.find(id));
        let counting = refunds.filter(|refund| refund.status.counts());
        self.amount.zero().sum(counting.map(|refund| refund.amount))
    }

    /// With what refunds make of it.
    fn status_name(&self, books: &Books) -> &'static str {
        let refunded = self.refunded(books);
        match self.status {
            CaptureStatus::Completed if refunded == self.amount => "REFUNDED",
            CaptureStatus::Completed if refunded.is_positive() => "PARTIALLY_REFUNDED",
            status => status.name(),
        }
    }

    pub(super) fn view(&self, books: &Books) -> Value {
        let path = format!("/v2/payments/captures/{}", self.id);
        let up = match &self.authorization {
            Some(authorization) => format!("/v2/payments/authorizations/{authorization}"),
            None => format!("/v2/checkout/orders/{}", self.order),
        };
        let mut related = json!({ "order_id": self.order });
        if let (Value::Object(related), Some(authorization)) = (&mut related, &self.authorization) {
            related.insert("authorization_id".to_owned(), authorization.as_str().into());
        }
        let mut view = json!({
            "id": self.id,
            "status": self.status_name(books),
            "amount": self.amount.view(),
            "final_capture": self.is_final,
            "disbursement_mode": "INSTANT",
            "seller_protection": { "status": "ELIGIBLE", "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"] },
            "create_time": time(self.created_at),
            "update_time": time(self.updated_at),
            "payee": { "email_address": MERCHANT_EMAIL, "merchant_id": MERCHANT_ID },
            "supplementary_data": { "related_ids": related },
            "links": [
                link(&path, "self", "GET"),
                link(&format!("{path}/refund"), "refund", "POST"),
                link(&up, "up", "GET"),
            ],
        });
        if let Value::Object(fields) = &mut view {
            if let Some(reason) = self.reason {
                fields.insert("status_details".to_owned(), json!({ "reason": reason }));
            }
            if self.status == CaptureStatus::Completed {
                let fee = self.amount.fee();
                let breakdown = json!({
                    "gross_amount": self.amount.view(),
                    "paypal_fee": fee.view(),
                    "net_amount": self.amount.minus(fee).view(),
                });
                fields.insert("seller_receivable_breakdown".to_owned(), breakdown);
            }
            insert(fields, "custom_id", self.custom_id.as_deref());
            insert(fields, "invoice_id", self.invoice_id.as_deref());
        }
        view
    }
}
