//! The money that was moved for an order: authorizations, captures, and what went back of them.

use alloc::string::String;

use onerouter_plugin::common::Failure;
use onerouter_plugin::failure::failure;
use onerouter_plugin::json::Object;
use onerouter_plugin::payments::Money;
use onerouter_plugin::time;

use crate::money;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthorizationStatus {
    Created,
    Captured,
    Denied,
    PartiallyCaptured,
    Voided,
    Pending,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) id: String,
    pub(crate) status: AuthorizationStatus,
    /// After this nothing can be captured.
    pub(crate) expires_at: Option<u64>,
    /// Why it is pending.
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaptureStatus {
    Completed,
    PartiallyRefunded,
    Refunded,
    Pending,
    Declined,
    Failed,
}

#[derive(Debug, Clone)]
pub(crate) struct Capture {
    pub(crate) id: String,
    pub(crate) status: CaptureStatus,
    /// Why it is pending or was declined.
    pub(crate) reason: Option<String>,
    pub(crate) amount: Option<Money>,
    /// Absent while it is pending.
    pub(crate) fee: Option<Money>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefundStatus {
    Completed,
    Pending,
    Failed,
    Cancelled,
}

/// PayPal's names, as [Payments v2](https://developer.paypal.com/docs/api/payments/v2/) lists them.
const AUTHORIZATIONS: [(&str, AuthorizationStatus); 6] = [
    ("CREATED", AuthorizationStatus::Created),
    ("CAPTURED", AuthorizationStatus::Captured),
    ("DENIED", AuthorizationStatus::Denied),
    ("PARTIALLY_CAPTURED", AuthorizationStatus::PartiallyCaptured),
    ("VOIDED", AuthorizationStatus::Voided),
    ("PENDING", AuthorizationStatus::Pending),
];

const CAPTURES: [(&str, CaptureStatus); 6] = [
    ("COMPLETED", CaptureStatus::Completed),
    ("PARTIALLY_REFUNDED", CaptureStatus::PartiallyRefunded),
    ("REFUNDED", CaptureStatus::Refunded),
    ("PENDING", CaptureStatus::Pending),
    ("DECLINED", CaptureStatus::Declined),
    ("FAILED", CaptureStatus::Failed),
];

const REFUNDS: [(&str, RefundStatus); 4] = [
    ("COMPLETED", RefundStatus::Completed),
    ("PENDING", RefundStatus::Pending),
    ("FAILED", RefundStatus::Failed),
    ("CANCELLED", RefundStatus::Cancelled),
];

impl Authorization {
    pub(crate) fn read(object: &Object<'_>) -> Option<Self> {
        Some(Self {
            id: id(object)?,
            status: named(object, &AUTHORIZATIONS)?,
            expires_at: object
                .text("expiration_time")
                .and_then(|text| time::parse_rfc3339(&text)),
            reason: reason(object),
        })
    }
}

impl Capture {
    pub(crate) fn read(object: &Object<'_>) -> Option<Self> {
        let breakdown = object.object("seller_receivable_breakdown");
        Some(Self {
            id: id(object)?,
            status: named(object, &CAPTURES)?,
            reason: reason(object),
            amount: money::read_if_there(object, "amount")?,
            // A fee informs; one that cannot be read is left out.
            fee: breakdown.and_then(|breakdown| money::read(&breakdown, "paypal_fee")),
        })
    }

    /// The money has moved, whatever went back since.
    pub(crate) const fn is_paid(&self) -> bool {
        match self.status {
            CaptureStatus::Completed
            | CaptureStatus::PartiallyRefunded
            | CaptureStatus::Refunded => true,
            CaptureStatus::Pending | CaptureStatus::Declined | CaptureStatus::Failed => false,
        }
    }

    /// Why there is no money; none where there is, or may still come.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let (code, message, theirs) = match self.status {
            CaptureStatus::Declined => (
                "instrument_declined",
                "The buyer's means of payment was declined.",
                "DECLINED",
            ),
            CaptureStatus::Failed => (
                "unknown_failure",
                "PayPal could not take the money.",
                "FAILED",
            ),
            CaptureStatus::Completed
            | CaptureStatus::PartiallyRefunded
            | CaptureStatus::Refunded
            | CaptureStatus::Pending => return None,
        };
        Some(Failure {
            provider_code: Some(self.reason.clone().unwrap_or_else(|| theirs.into())),
            ..failure(code, message)
        })
    }
}

impl RefundStatus {
    pub(crate) fn read(object: &Object<'_>) -> Option<Self> {
        named(object, &REFUNDS)
    }
}

/// PayPal's id of something.
pub(crate) fn id(object: &Object<'_>) -> Option<String> {
    object.text("id").filter(|id| is_id(id))
}

/// Whether it can be an id: never empty, never long, plain characters.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What `status_details` says.
pub(crate) fn reason(object: &Object<'_>) -> Option<String> {
    object
        .object("status_details")?
        .text("reason")
        .filter(|reason| reason.len() <= 64)
}

/// A status that this version does not know is no status: any other would be a guess.
pub(crate) fn named<T: Copy>(object: &Object<'_>, names: &[(&str, T)]) -> Option<T> {
    let status = object.text("status")?;
    names
        .iter()
        .find(|(name, _)| *name == status)
        .map(|(_, value)| *value)
}
