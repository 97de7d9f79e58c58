//! The one place that every change of state passes through: it goes into the ledger when it is an effect,
//! and knows the event that PayPal tells its merchants. Whatever sends webhooks hangs itself in here.

use chrono::{DateTime, Utc};

use super::{MERCHANT_ID, NAME, desk::Desk, money::Money};
use crate::ledger::Effect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    OrderCreated,
    OrderChanged,
    OrderApproved,
    OrderCompleted,
    OrderVoided,
    AuthorizationCreated,
    AuthorizationPending,
    AuthorizationDenied,
    AuthorizationVoided,
    CaptureCompleted,
    CapturePending,
    CaptureDeclined,
    /// Of all of it or of a part.
    RefundCompleted,
    RefundPending,
    RefundFailed,
    ProductCreated,
    PlanCreated,
    PlanActivated,
    PlanDeactivated,
    SubscriptionCreated,
    /// By the buyer; with the choice "continue" it still waits for the merchant.
    SubscriptionApproved,
    SubscriptionStarted,
    SubscriptionRevised,
    /// The buyer agreed to a revision.
    SubscriptionUpdated,
    /// By the merchant.
    SubscriptionSuspended,
    /// After too many failed payments.
    SubscriptionHalted,
    SubscriptionActivated,
    SubscriptionCancelled,
    /// Because the first payment failed.
    SubscriptionAbandoned,
    SubscriptionExpired,
    PaymentCompleted,
    PaymentFailed,
}

/// What it happened to.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) id: &'a str,
    pub(super) amount: Option<Money>,
    pub(super) at: DateTime<Utc>,
    /// The id of what was acted on: the capture of a refund, the subscription of a charge.
    pub(super) object: Option<&'a str>,
}

impl Happened {
    /// `None`: PayPal tells nobody.
    fn event_type(self) -> Option<&'static str> {
        Some(match self {
            Happened::OrderApproved => "CHECKOUT.ORDER.APPROVED",
            Happened::OrderCompleted => "CHECKOUT.ORDER.COMPLETED",
            Happened::AuthorizationCreated => "PAYMENT.AUTHORIZATION.CREATED",
            Happened::AuthorizationVoided => "PAYMENT.AUTHORIZATION.VOIDED",
            Happened::CaptureCompleted => "PAYMENT.CAPTURE.COMPLETED",
            Happened::CapturePending => "PAYMENT.CAPTURE.PENDING",
            Happened::CaptureDeclined => "PAYMENT.CAPTURE.DECLINED",
            Happened::RefundCompleted => "PAYMENT.CAPTURE.REFUNDED",
            Happened::RefundPending => "PAYMENT.REFUND.PENDING",
            Happened::RefundFailed => "PAYMENT.REFUND.FAILED",
            Happened::ProductCreated => "CATALOG.PRODUCT.CREATED",
            Happened::PlanCreated => "BILLING.PLAN.CREATED",
            Happened::PlanActivated => "BILLING.PLAN.ACTIVATED",
            Happened::PlanDeactivated => "BILLING.PLAN.DEACTIVATED",
            Happened::SubscriptionCreated => "BILLING.SUBSCRIPTION.CREATED",
            Happened::SubscriptionStarted | Happened::SubscriptionActivated => {
                "BILLING.SUBSCRIPTION.ACTIVATED"
            }
            Happened::SubscriptionUpdated => "BILLING.SUBSCRIPTION.UPDATED",
            Happened::SubscriptionSuspended | Happened::SubscriptionHalted => {
                "BILLING.SUBSCRIPTION.SUSPENDED"
            }
            Happened::SubscriptionCancelled | Happened::SubscriptionAbandoned => {
                "BILLING.SUBSCRIPTION.CANCELLED"
            }
            Happened::SubscriptionExpired => "BILLING.SUBSCRIPTION.EXPIRED",
            Happened::PaymentCompleted => "PAYMENT.SALE.COMPLETED",
            Happened::PaymentFailed => "BILLING.SUBSCRIPTION.PAYMENT.FAILED",
            Happened::OrderCreated
            | Happened::OrderChanged
            | Happened::OrderVoided
            | Happened::AuthorizationPending
            | Happened::AuthorizationDenied
            | Happened::SubscriptionApproved
            | Happened::SubscriptionRevised => return None,
        })
    }

    /// `None`: nothing that a merchant asked for or paid came of it.
    fn ledger_kind(self) -> Option<&'static str> {
        Some(match self {
            Happened::OrderCreated => "order",
            Happened::AuthorizationCreated | Happened::AuthorizationPending => "authorization",
            Happened::AuthorizationVoided => "void",
            Happened::CaptureCompleted | Happened::CapturePending => "capture",
            Happened::RefundCompleted | Happened::RefundPending => "refund",
            Happened::ProductCreated => "product",
            Happened::PlanCreated => "plan",
            Happened::SubscriptionCreated => "subscription",
            Happened::SubscriptionRevised => "subscription_revise",
            Happened::SubscriptionSuspended => "subscription_suspend",
            Happened::SubscriptionActivated => "subscription_activate",
            Happened::SubscriptionCancelled => "subscription_cancel",
            Happened::PaymentCompleted => "payment",
            Happened::OrderChanged
            | Happened::OrderApproved
            | Happened::OrderCompleted
            | Happened::OrderVoided
            | Happened::AuthorizationDenied
            | Happened::CaptureDeclined
            | Happened::RefundFailed
            | Happened::PlanActivated
            | Happened::PlanDeactivated
            | Happened::SubscriptionApproved
            | Happened::SubscriptionStarted
            | Happened::SubscriptionUpdated
            | Happened::SubscriptionHalted
            | Happened::SubscriptionAbandoned
            | Happened::SubscriptionExpired
            | Happened::PaymentFailed => return None,
        })
    }
}

/// `Later`: a new state of what the ledger has already, a pending capture that is completed say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    New,
    Later,
}

pub(super) fn tell(desk: &Desk<'_>, happened: Happened, entry: Entry, subject: Subject<'_>) {
    tracing::debug!(
        provider = NAME,
        event = happened.event_type(),
        id = subject.id,
        "{happened:?}"
    );
    let Some(kind) = happened.ledger_kind().filter(|_| entry == Entry::New) else {
        return;
    };
    desk.state.core.ledger.record(Effect {
        kind,
        provider: NAME,
        account: MERCHANT_ID.to_owned(),
        id: subject.id.to_owned(),
        object: subject.object.map(str::to_owned),
        amount: subject.amount.map(Money::value),
        currency: subject.amount.map(|amount| amount.currency.code.to_owned()),
        to: Vec::new(),
        idempotency_key: desk.request_id.clone(),
        at: subject.at,
        body: desk.body.clone(),
    });
}
