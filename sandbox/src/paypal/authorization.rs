//! Authorizations (v2 payments): money held for a while.

pub(super) mod capture;
pub(super) mod reauthorize;
pub(super) mod void;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    MERCHANT_EMAIL, MERCHANT_ID,
    course::AuthorizationStatus,
    desk::{Desk, time},
    happened::{Entry, Happened, Subject, tell},
    money::Money,
    outcome::link,
};
use crate::clock::later;

/// After this nothing can be captured.
const LIFE: TimeDelta = TimeDelta::days(29);
/// PayPal warrants the funds so long; a reauthorization is for afterwards.
const HONOUR: TimeDelta = TimeDelta::days(3);

#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) id: String,
    pub(super) order: String,
    pub(super) amount: Money,
    pub(super) status: AuthorizationStatus,
    pub(super) custom_id: Option<String>,
    pub(super) invoice_id: Option<String>,
    /// The authorization that this one renews.
    pub(super) parent: Option<String>,
    /// Whether it has been renewed itself.
    pub(super) renewed: bool,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

impl Authorization {
    pub(super) fn expiry(created_at: DateTime<Utc>) -> DateTime<Utc> {
        later(created_at, LIFE)
    }

    pub(super) fn is_expired(&self, now: DateTime<Utc>) -> bool {
        now >= self.expires_at
    }

    pub(super) fn is_honoured(&self, now: DateTime<Utc>) -> bool {
        now.signed_duration_since(self.created_at) < HONOUR
    }

    pub(super) fn tell(&self, desk: &Desk<'_>, entry: Entry, object: Option<&str>) {
        let happened = match self.status {
            AuthorizationStatus::Pending => Happened::AuthorizationPending,
            AuthorizationStatus::Denied => Happened::AuthorizationDenied,
            AuthorizationStatus::Created
            | AuthorizationStatus::PartiallyCaptured
            | AuthorizationStatus::Captured
            | AuthorizationStatus::Voided => Happened::AuthorizationCreated,
        };
        let subject = Subject {
            id: &self.id,
            amount: Some(self.amount),
            at: desk.now,
            object: object.or(Some(&self.order)),
        };
        tell(desk, happened, entry, subject);
    }

    pub(super) fn view(&self) -> Value {
        let path = format!("/v2/payments/authorizations/{}", self.id);
        let mut links = vec![link(&path, "self", "GET")];
        match self.status {
            AuthorizationStatus::Created
            | AuthorizationStatus::Pending
            | AuthorizationStatus::PartiallyCaptured => {
                for act in ["capture", "void", "reauthorize"] {
                    links.push(link(&format!("{path}/{act}"), act, "POST"));
                }
            }
            AuthorizationStatus::Denied
            | AuthorizationStatus::Captured
            | AuthorizationStatus::Voided => {}
        }
        links.push(link(
            &format!("/v2/checkout/orders/{}", self.order),
            "up",
            "GET",
        ));
        let mut view = json!({
            "id": self.id,
            "status": self.status.name(),
            "amount": self.amount.view(),
            "seller_protection": { "status": "ELIGIBLE", "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"] },
            "expiration_time": time(self.expires_at),
            "create_time": time(self.created_at),
            "update_time": time(self.updated_at),
            "payee": { "email_address": MERCHANT_EMAIL, "merchant_id": MERCHANT_ID },
            "supplementary_data": { "related_ids": { "order_id": self.order } },
            "links": links,
        });
        if let Value::Object(fields) = &mut view {
            if self.status == AuthorizationStatus::Pending {
                let details = json!({ "reason": "PENDING_REVIEW" });
                fields.insert("status_details".to_owned(), details);
            }
            insert(fields, "custom_id", self.custom_id.as_deref());
            insert(fields, "invoice_id", self.invoice_id.as_deref());
        }
        view
    }
}

pub(super) fn insert(fields: &mut serde_json::Map<String, Value>, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        fields.insert(name.to_owned(), text.into());
    }
}
