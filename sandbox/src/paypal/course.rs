//! How a payment ends: by a word in its references, by its amount, by the setting.
//!
//! All of it is the sandbox's own. A word stands in `custom_id` or `invoice_id`; what follows a dot is
//! free, so that invoice numbers can differ: `sandbox-capture-PENDING-ECHECK.17`.

use super::{error::PaypalError, issues, money::Money};
use crate::config::{PaypalCapture, PaypalRefund};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaptureStatus {
    Completed,
    Pending,
    Declined,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthorizationStatus {
    Created,
    Pending,
    Denied,
    PartiallyCaptured,
    Captured,
    Voided,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefundStatus {
    Completed,
    Pending,
    Failed,
    Cancelled,
}

const CAPTURES: [(&str, CaptureStatus); 4] = [
    ("COMPLETED", CaptureStatus::Completed),
    ("PENDING", CaptureStatus::Pending),
    ("DECLINED", CaptureStatus::Declined),
    ("FAILED", CaptureStatus::Failed),
];
/// Those that an authorization can be made with or be put into.
const AUTHORIZATIONS: [(&str, AuthorizationStatus); 3] = [
    ("CREATED", AuthorizationStatus::Created),
    ("PENDING", AuthorizationStatus::Pending),
    ("DENIED", AuthorizationStatus::Denied),
];
const REFUNDS: [(&str, RefundStatus); 4] = [
    ("COMPLETED", RefundStatus::Completed),
    ("PENDING", RefundStatus::Pending),
    ("FAILED", RefundStatus::Failed),
    ("CANCELLED", RefundStatus::Cancelled),
];
const CAPTURE_REASONS: [&str; 11] = [
    "BUYER_COMPLAINT",
    "CHARGEBACK",
    "ECHECK",
    "INTERNATIONAL_WITHDRAWAL",
    "OTHER",
    "PENDING_REVIEW",
    "RECEIVING_PREFERENCE_MANDATES_MANUAL_ACTION",
    "REFUNDED",
    "TRANSACTION_APPROVED_AWAITING_FUNDING",
    "UNILATERAL",
    "VERIFICATION_REQUIRED",
];

/// Whole units of the amounts that mean something, with what they mean.
pub(super) const AMOUNTS: [(i128, &str); 11] = [
    (7701, "capture-PENDING-PENDING_REVIEW"),
    (7702, "capture-PENDING-ECHECK"),
    (7703, "capture-DECLINED"),
    (7704, "capture-FAILED"),
    (7705, "authorization-PENDING"),
    (7706, "authorization-DENIED"),
    (7707, "refund-PENDING"),
    (7708, "refund-FAILED"),
    (7709, "refuse-INSTRUMENT_DECLINED"),
    (7710, "refund_refuse-REFUND_FAILED_INSUFFICIENT_FUNDS"),
    (7711, "charge-FAIL"),
];

/// The references and the amount of one payment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signs<'a> {
    pub(super) custom_id: Option<&'a str>,
    pub(super) invoice_id: Option<&'a str>,
    pub(super) amount: Money,
}

impl Signs<'_> {
    /// What is said about `subject`, without it: `PENDING-ECHECK`.
    fn said(&self, subject: &str) -> Option<&str> {
        let words = [self.custom_id, self.invoice_id].into_iter().flatten();
        let words = words.filter_map(|text| {
            let text = text.split('.').next().unwrap_or(text);
            text.strip_prefix("sandbox-")
        });
        let amount = AMOUNTS
            .iter()
            .find(|(whole, _)| *whole == self.amount.whole())
            .map(|(_, word)| *word);
        words
            .chain(amount)
            .find_map(|word| word.strip_prefix(subject)?.strip_prefix('-'))
    }
}

/// Whether the money can be taken or held at all.
pub(super) fn check_payment(signs: Signs<'_>) -> Result<(), PaypalError> {
    refuse(signs.said("refuse"))
}

pub(super) fn check_refund(signs: Signs<'_>) -> Result<(), PaypalError> {
    refuse(signs.said("refuse").or(signs.said("refund_refuse")))
}

fn refuse(issue: Option<&str>) -> Result<(), PaypalError> {
    match issue.and_then(issues::find) {
        Some(issue) => Err(PaypalError::issue(issue.name)),
        None => Ok(()),
    }
}

/// A capture's status, and the reason why it is pending.
pub(super) fn capture(
    signs: Signs<'_>,
    setting: PaypalCapture,
) -> (CaptureStatus, Option<&'static str>) {
    let (status, reason) = match signs.said("capture") {
        Some(said) => said.split_once('-').unwrap_or((said, "")),
        None => (
            match setting {
                PaypalCapture::Completed => "COMPLETED",
                PaypalCapture::Pending => "PENDING",
                PaypalCapture::Declined => "DECLINED",
                PaypalCapture::Failed => "FAILED",
            },
            "",
        ),
    };
    let status = CaptureStatus::of_name(status).unwrap_or(CaptureStatus::Completed);
    (status, status.reason(reason))
}

pub(super) fn authorization(signs: Signs<'_>) -> AuthorizationStatus {
    signs
        .said("authorization")
        .and_then(AuthorizationStatus::of_name)
        .unwrap_or(AuthorizationStatus::Created)
}

pub(super) fn refund(signs: Signs<'_>, setting: PaypalRefund) -> RefundStatus {
    let set = match setting {
        PaypalRefund::Completed => RefundStatus::Completed,
        PaypalRefund::Pending => RefundStatus::Pending,
        PaypalRefund::Failed => RefundStatus::Failed,
        PaypalRefund::Cancelled => RefundStatus::Cancelled,
    };
    let said = signs.said("refund").and_then(RefundStatus::of_name);
    said.unwrap_or(set)
}

pub(super) fn charge_fails(amount: Money, custom_id: Option<&str>) -> bool {
    let signs = Signs {
        custom_id,
        invoice_id: None,
        amount,
    };
    signs.said("charge") == Some("FAIL")
}

impl CaptureStatus {
    pub(super) fn of_name(name: &str) -> Option<CaptureStatus> {
        find(&CAPTURES, name)
    }

    pub(super) fn name(self) -> &'static str {
        name(&CAPTURES, self)
    }

    /// Whether money has moved or may still.
    pub(super) fn counts(self) -> bool {
        match self {
            CaptureStatus::Completed | CaptureStatus::Pending => true,
            CaptureStatus::Declined | CaptureStatus::Failed => false,
        }
    }

    /// The documented reason of that name; a pending capture has one in any case.
    pub(super) fn reason(self, name: &str) -> Option<&'static str> {
        let named = CAPTURE_REASONS.iter().find(|known| **known == name);
        match self {
            CaptureStatus::Pending => Some(named.copied().unwrap_or("PENDING_REVIEW")),
            CaptureStatus::Completed | CaptureStatus::Declined | CaptureStatus::Failed => None,
        }
    }
}

impl AuthorizationStatus {
    pub(super) fn of_name(name: &str) -> Option<AuthorizationStatus> {
        find(&AUTHORIZATIONS, name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            AuthorizationStatus::Created => "CREATED",
            AuthorizationStatus::Pending => "PENDING",
            AuthorizationStatus::Denied => "DENIED",
            AuthorizationStatus::PartiallyCaptured => "PARTIALLY_CAPTURED",
            AuthorizationStatus::Captured => "CAPTURED",
            AuthorizationStatus::Voided => "VOIDED",
        }
    }
}

impl RefundStatus {
    pub(super) fn of_name(name: &str) -> Option<RefundStatus> {
        find(&REFUNDS, name)
    }

    pub(super) fn name(self) -> &'static str {
        name(&REFUNDS, self)
    }

    /// Whether its money goes or may still go back.
    pub(super) fn counts(self) -> bool {
        match self {
            RefundStatus::Completed | RefundStatus::Pending => true,
            RefundStatus::Failed | RefundStatus::Cancelled => false,
        }
    }
}

fn find<S: Copy>(names: &[(&str, S)], name: &str) -> Option<S> {
    let found = names.iter().find(|(known, _)| *known == name);
    found.map(|(_, status)| *status)
}

fn name<S: Copy + PartialEq>(names: &[(&'static str, S)], status: S) -> &'static str {
    let found = names.iter().find(|(_, known)| *known == status);
    found.map_or("", |(name, _)| *name)
}
