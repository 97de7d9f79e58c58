//! Events: the envelope around a resource, and their names.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{
    super::{happened::Happened, id, outcome::link},
    Told,
};

pub(super) const PATH: &str = "/v1/notifications/webhooks-events";

/// Those that a webhook can be set to, beside `*`. Not all of them happen here.
pub(super) const NAMES: [&str; 36] = [
    "BILLING.PLAN.ACTIVATED",
    "BILLING.PLAN.CREATED",
    "BILLING.PLAN.DEACTIVATED",
    "BILLING.PLAN.PRICING-CHANGE.ACTIVATED",
    "BILLING.PLAN.UPDATED",
    "BILLING.SUBSCRIPTION.ACTIVATED",
    "BILLING.SUBSCRIPTION.CANCELLED",
    "BILLING.SUBSCRIPTION.CREATED",
    "BILLING.SUBSCRIPTION.EXPIRED",
    "BILLING.SUBSCRIPTION.PAYMENT.FAILED",
    "BILLING.SUBSCRIPTION.RE-ACTIVATED",
    "BILLING.SUBSCRIPTION.SUSPENDED",
    "BILLING.SUBSCRIPTION.UPDATED",
    "CATALOG.PRODUCT.CREATED",
    "CATALOG.PRODUCT.UPDATED",
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.ORDER.COMPLETED",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    "CUSTOMER.DISPUTE.CREATED",
    "CUSTOMER.DISPUTE.RESOLVED",
    "CUSTOMER.DISPUTE.UPDATED",
    "PAYMENT.AUTHORIZATION.CREATED",
    "PAYMENT.AUTHORIZATION.VOIDED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.DECLINED",
    "PAYMENT.CAPTURE.DENIED",
    "PAYMENT.CAPTURE.PENDING",
    "PAYMENT.CAPTURE.REFUNDED",
    "PAYMENT.CAPTURE.REVERSED",
    "PAYMENT.REFUND.FAILED",
    "PAYMENT.REFUND.PENDING",
    "PAYMENT.SALE.COMPLETED",
    "PAYMENT.SALE.DENIED",
    "PAYMENT.SALE.PENDING",
    "PAYMENT.SALE.REFUNDED",
    "PAYMENT.SALE.REVERSED",
];

#[derive(Debug)]
pub(in super::super) struct Event {
    pub(super) id: String,
    pub(super) event_type: &'static str,
    pub(super) created_at: DateTime<Utc>,
    /// The id of the resource.
    pub(super) object: String,
    pub(super) view: Value,
}

impl Event {
    pub(super) fn new(event_type: &'static str, told: &Told, resource: Value) -> Event {
        let id = format!("WH-{}-{}", id::payment(), id::payment());
        let path = format!("{PATH}/{id}");
        let (resource_type, version) = kind(told.happened);
        let mut view = json!({
            "id": id,
            "event_version": "1.0",
            "create_time": told.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "resource_type": resource_type,
            "event_type": event_type,
            "summary": summary(event_type),
            "resource": resource,
            "links": [
                link(&path, "self", "GET"),
                link(&format!("{path}/resend"), "resend", "POST"),
            ],
        });
        if let (Value::Object(fields), Some(version)) = (&mut view, version) {
            fields.insert("resource_version".to_owned(), version.into());
        }
        Event {
            id,
            event_type,
            created_at: told.at,
            object: told.id.clone(),
            view,
        }
    }

    pub(super) fn body(&self) -> Bytes {
        Bytes::from(self.view.to_string())
    }
}

/// The resource's type and version. A sale is older than versions.
fn kind(happened: Happened) -> (&'static str, Option<&'static str>) {
    match happened {
        Happened::OrderCreated
        | Happened::OrderChanged
        | Happened::OrderApproved
        | Happened::OrderCompleted
        | Happened::OrderVoided => ("checkout-order", Some("2.0")),
        Happened::AuthorizationCreated
        | Happened::AuthorizationPending
        | Happened::AuthorizationDenied
        | Happened::AuthorizationVoided => ("authorization", Some("2.0")),
        Happened::CaptureCompleted
        | Happened::CapturePending
        | Happened::CaptureDeclined
        | Happened::CaptureDenied => ("capture", Some("2.0")),
        Happened::RefundCompleted | Happened::RefundPending | Happened::RefundFailed => {
            ("refund", Some("2.0"))
        }
        Happened::ProductCreated => ("product", Some("2.0")),
        Happened::PlanCreated | Happened::PlanActivated | Happened::PlanDeactivated => {
            ("plan", Some("2.0"))
        }
        Happened::PaymentCompleted => ("sale", None),
        Happened::SubscriptionCreated
        | Happened::SubscriptionApproved
        | Happened::SubscriptionStarted
        | Happened::SubscriptionRevised
        | Happened::SubscriptionUpdated
        | Happened::SubscriptionSuspended
        | Happened::SubscriptionHalted
        | Happened::SubscriptionActivated
        | Happened::SubscriptionCancelled
        | Happened::SubscriptionAbandoned
        | Happened::SubscriptionExpired
        | Happened::PaymentFailed => ("subscription", Some("2.0")),
    }
}

/// For people; PayPal's own change at any time.
pub(super) fn summary(event_type: &str) -> String {
    let words = event_type.to_ascii_lowercase().replace(['.', '-'], " ");
    format!("Sandbox: {words}")
}
