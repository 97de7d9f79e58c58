//! Every change of state is announced here, once and after it was made: the ledger is written from
//! it, and whoever delivers events to the merchant has to listen nowhere else.

use super::{
    NAME,
    books::{Books, Cause},
};
use crate::ledger::Effect;

/// The account that the key belongs to, as the ledger names it.
pub(super) const ACCOUNT: &str = "acc_SandboxRzp0001";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    OrderCreated,
    OrderPaid,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    RefundCreated,
    RefundProcessed,
    RefundFailed,
    /// It was to be instant and cannot be.
    RefundSpeedChanged,
    LinkCreated,
    LinkPartiallyPaid,
    LinkPaid,
    LinkCancelled,
    LinkExpired,
    PlanCreated,
    SubscriptionCreated,
    SubscriptionAuthenticated,
    SubscriptionActivated,
    SubscriptionCharged,
    SubscriptionPending,
    SubscriptionHalted,
    SubscriptionPaused,
    SubscriptionResumed,
    SubscriptionUpdated,
    SubscriptionCancelled,
    SubscriptionCompleted,
    SubscriptionExpired,
    /// A change was asked for and waits for the cycle's end.
    ChangeScheduled,
    /// That change is made.
    ScheduledChangeMade,
    CancelScheduled,
    ScheduledCancelMade,
}

/// What the ledger tells about an object.
#[derive(Debug, Default)]
struct Facts {
    object: Option<String>,
    amount: Option<i64>,
    currency: Option<String>,
    to: Vec<String>,
}

impl News {
    /// The ledger's kind; `None` for what follows by itself from an effect that is there already, and
    /// for what came to nothing.
    fn kind(self) -> Option<&'static str> {
        Some(match self {
            News::OrderCreated => "order",
            News::PaymentAuthorized => "payment",
            News::PaymentCaptured => "capture",
            News::RefundCreated => "refund",
            News::LinkCreated => "payment_link",
            News::LinkCancelled => "payment_link_cancel",
            News::PlanCreated => "plan",
            News::SubscriptionCreated => "subscription",
            News::SubscriptionPaused => "subscription_pause",
            News::SubscriptionResumed => "subscription_resume",
            News::SubscriptionUpdated | News::ChangeScheduled => "subscription_change",
            News::SubscriptionCancelled | News::CancelScheduled => "subscription_cancel",
            News::OrderPaid
            | News::PaymentFailed
            | News::RefundProcessed
            | News::RefundFailed
            | News::RefundSpeedChanged
            | News::LinkPartiallyPaid
            | News::LinkPaid
            | News::LinkExpired
            | News::SubscriptionAuthenticated
            | News::SubscriptionActivated
            | News::SubscriptionCharged
            | News::SubscriptionPending
            | News::SubscriptionHalted
            | News::SubscriptionCompleted
            | News::SubscriptionExpired
            | News::ScheduledChangeMade
            | News::ScheduledCancelMade => return None,
        })
    }
}

impl Books {
    /// Tells that this happened to the object; the books already show it.
    pub(super) fn announce(&self, cause: &Cause<'_>, news: News, id: &str) {
        tracing::debug!(?news, id, "something changed at Razorpay");
        self.tell(cause, news, id);
        let Some(kind) = news.kind() else {
            return;
        };
        let facts = self.facts(id);
        // What only changed an object is found under it as well.
        let acts_on = match news {
            News::OrderCreated
            | News::PaymentAuthorized
            | News::RefundCreated
            | News::LinkCreated
            | News::PlanCreated
            | News::SubscriptionCreated => facts.object,
            _ => Some(id.to_owned()),
        };
        cause.core.ledger.record(Effect {
            kind,
            provider: NAME,
            account: ACCOUNT.to_owned(),
            id: id.to_owned(),
            object: acts_on,
            amount: facts.amount.map(|amount| amount.to_string()),
            currency: facts.currency,
            to: facts.to,
            idempotency_key: cause.idempotency_key.map(str::to_owned),
            at: cause.at,
            body: cause.body.clone(),
        });
    }

    fn facts(&self, id: &str) -> Facts {
        if let Some(order) = self.orders.find(id) {
            return Facts {
                amount: Some(order.amount),
                currency: Some(order.currency.clone()),
                ..Facts::default()
            };
        }
        if let Some(payment) = self.payments.find(id) {
            return Facts {
                object: Some(payment.paid_for().to_owned()),
                amount: Some(payment.amount),
                currency: Some(payment.currency.clone()),
                to: payment.payer.addresses(),
            };
        }
        if let Some(refund) = self.refunds.find(id) {
            return Facts {
                object: Some(refund.payment_id.clone()),
                amount: Some(refund.amount),
                currency: Some(refund.currency.clone()),
                ..Facts::default()
            };
        }
        if let Some(link) = self.links.find(id) {
            return Facts {
                amount: Some(link.amount),
                currency: Some(link.currency.clone()),
                to: link.payer().addresses(),
                ..Facts::default()
            };
        }
        if let Some(plan) = self.plans.find(id) {
            return Facts {
                amount: Some(plan.amount),
                currency: Some(plan.currency.clone()),
                ..Facts::default()
            };
        }
        if let Some(subscription) = self.subscriptions.find(id) {
            return Facts {
                object: Some(subscription.plan.id.clone()),
                amount: Some(subscription.charge_amount()),
                currency: Some(subscription.plan.currency.clone()),
                to: subscription.payer.addresses(),
            };
        }
        Facts::default()
    }
}
