//! The one place that every change of state passes through: it goes into the ledger when it is an effect,
//! and is told to the merchant as the event that it is.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{MERCHANT_ID, NAME, desk::Desk, money::Money, notification::Told};
use crate::{ledger::Effect, lock};

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
    /// It was pending.
    CaptureDenied,
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
    pub(super) fn event_type(self) -> Option<&'static str> {
        Some(match self {
            Happened::OrderApproved => "CHECKOUT.ORDER.APPROVED",
            Happened::OrderCompleted => "CHECKOUT.ORDER.COMPLETED",
            Happened::AuthorizationCreated => "PAYMENT.AUTHORIZATION.CREATED",
            Happened::AuthorizationVoided => "PAYMENT.AUTHORIZATION.VOIDED",
            Happened::CaptureCompleted => "PAYMENT.CAPTURE.COMPLETED",
            Happened::CapturePending => "PAYMENT.CAPTURE.PENDING",
            Happened::CaptureDeclined => "PAYMENT.CAPTURE.DECLINED",
            Happened::CaptureDenied => "PAYMENT.CAPTURE.DENIED",
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
            | Happened::CaptureDenied
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

/// What happened to something that the books will show when the operation is over.
pub(super) fn tell(desk: &Desk<'_>, happened: Happened, entry: Entry, subject: Subject<'_>) {
    note(desk, happened, &subject, || None);
    record(desk, happened, entry, subject);
}

/// … to something that can be shown right away, and may be another thing when the operation is over.
pub(super) fn tell_showing(
    desk: &Desk<'_>,
    happened: Happened,
    subject: Subject<'_>,
    resource: impl FnOnce() -> Value,
) {
    note(desk, happened, &subject, || Some(resource()));
    record(desk, happened, Entry::New, subject);
}

/// For the merchant's webhooks, if any of them wants to hear of it.
fn note(
    desk: &Desk<'_>,
    happened: Happened,
    subject: &Subject<'_>,
    resource: impl FnOnce() -> Option<Value>,
) {
    let Some(event_type) = happened.event_type() else {
        return;
    };
    let mut notifications = lock(&desk.state.notifications);
    if notifications.webhooks.wants(event_type) {
        notifications.note(Told {
            happened,
            id: subject.id.to_owned(),
            object: subject.object.map(str::to_owned),
            at: subject.at,
            resource: resource(),
        });
    }
}

fn record(desk: &Desk<'_>, happened: Happened, entry: Entry, subject: Subject<'_>) {
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
