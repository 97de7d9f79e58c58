//! What the merchant is told of each change, as an event with the objects as they are at that moment.

use serde_json::{Value, json};

use super::{
    books::{Books, Cause},
    news::{ACCOUNT, News},
    view::set,
    webhook::Telling,
};

/// Every event that this Razorpay sends.
pub(super) const NAMES: [&str; 22] = [
    "payment.authorized",
    "payment.captured",
    "payment.failed",
    "order.paid",
    "refund.created",
    "refund.processed",
    "refund.failed",
    "refund.speed_changed",
    "payment_link.paid",
    "payment_link.partially_paid",
    "payment_link.cancelled",
    "payment_link.expired",
    "subscription.authenticated",
    "subscription.activated",
    "subscription.charged",
    "subscription.completed",
    "subscription.updated",
    "subscription.pending",
    "subscription.halted",
    "subscription.cancelled",
    "subscription.paused",
    "subscription.resumed",
];

/// The kind of object that an event is about, and what comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Payment,
    OrderAndPayment,
    RefundAndPayment,
    Link,
    LinkAndPayment,
    Subscription,
    SubscriptionAndPayment,
}

impl News {
    /// `None`: nobody is told.
    fn event(self) -> Option<(&'static str, About)> {
        Some(match self {
            News::PaymentAuthorized => ("payment.authorized", About::Payment),
            News::PaymentCaptured => ("payment.captured", About::Payment),
            News::PaymentFailed => ("payment.failed", About::Payment),
            News::OrderPaid => ("order.paid", About::OrderAndPayment),
            News::RefundCreated => ("refund.created", About::RefundAndPayment),
            News::RefundProcessed => ("refund.processed", About::RefundAndPayment),
            News::RefundFailed => ("refund.failed", About::RefundAndPayment),
            News::RefundSpeedChanged => ("refund.speed_changed", About::RefundAndPayment),
            News::LinkPaid => ("payment_link.paid", About::LinkAndPayment),
            News::LinkPartiallyPaid => ("payment_link.partially_paid", About::LinkAndPayment),
            News::LinkCancelled => ("payment_link.cancelled", About::Link),
            News::LinkExpired => ("payment_link.expired", About::Link),
            News::SubscriptionAuthenticated => ("subscription.authenticated", About::Subscription),
            News::SubscriptionActivated => ("subscription.activated", About::Subscription),
            News::SubscriptionCharged => ("subscription.charged", About::SubscriptionAndPayment),
            News::SubscriptionCompleted => {
                ("subscription.completed", About::SubscriptionAndPayment)
            }
            News::SubscriptionUpdated | News::ScheduledChangeMade => {
                ("subscription.updated", About::Subscription)
            }
            News::SubscriptionPending => ("subscription.pending", About::Subscription),
            News::SubscriptionHalted => ("subscription.halted", About::Subscription),
            News::SubscriptionCancelled | News::ScheduledCancelMade => {
                ("subscription.cancelled", About::Subscription)
            }
            News::SubscriptionPaused => ("subscription.paused", About::Subscription),
            News::SubscriptionResumed => ("subscription.resumed", About::Subscription),
            News::OrderCreated
            | News::LinkCreated
            | News::PlanCreated
            | News::SubscriptionCreated
            | News::SubscriptionExpired
            | News::ChangeScheduled
            | News::CancelScheduled => return None,
        })
    }
}

impl Books {
    pub(super) fn tell(&self, cause: &Cause<'_>, news: News, id: &str) {
        let Some((event, about)) = news.event() else {
            return;
        };
        if !self.webhooks.wants(event) {
            return;
        }
        let objects = self.objects(about, id);
        let mut payload = json!({});
        let mut contains = Vec::new();
        for (name, mut entity) in objects {
            match (event, name) {
                // As the documentation's sample has it, unlike every other.
                ("subscription.charged", "payment") => set(&mut entity, "captured", "1"),
                ("payment_link.paid" | "payment_link.partially_paid", "order") => {
                    let id = entity.get("id").and_then(Value::as_str).unwrap_or_default();
                    let bare = id.strip_prefix("order_").unwrap_or(id).to_owned();
                    set(&mut entity, "id", bare);
                }
                _ => {}
            }
            contains.push(name);
            set(&mut payload, name, json!({ "entity": entity }));
        }
        let body = json!({
            "entity": "event",
            "account_id": ACCOUNT,
            "event": event,
            "contains": contains,
            "payload": payload,
            "created_at": cause.at.timestamp(),
        });
        let telling = Telling {
            event,
            object: id,
            lane: self.lane(id),
            at: cause.at,
            body,
        };
        self.webhooks.post(cause.core, &telling);
    }

    /// In the order of `contains`.
    fn objects(&self, about: About, id: &str) -> Vec<(&'static str, Value)> {
        let payment = |id: Option<&str>| {
            let payment = self.payments.find(id?)?;
            Some(("payment", payment.view(true)))
        };
        let order = |id: Option<&str>| Some(("order", self.orders.find(id?)?.view()));
        let link = self.links.find(id);
        let subscription = self.subscriptions.find(id);
        let last = |payments: &[String]| payments.last().cloned();
        let objects = match about {
            About::Payment => vec![payment(Some(id))],
            About::OrderAndPayment => {
                let paid_by = self.orders.find(id).and_then(|order| {
                    let mut attempts = self.payments_of(order).collect::<Vec<_>>().into_iter();
                    let last = attempts.rfind(|payment| payment.captured)?;
                    Some(last.id.clone())
                });
                vec![payment(paid_by.as_deref()), order(Some(id))]
            }
            About::RefundAndPayment => {
                let refund = self.refunds.find(id);
                let of = refund.map(|refund| refund.payment_id.as_str());
                vec![refund.map(|refund| ("refund", refund.view())), payment(of)]
            }
            About::Link => vec![link.map(|link| ("payment_link", link.view(self)))],
            About::LinkAndPayment => {
                let paid_by = link.and_then(|link| last(&link.payments));
                vec![
                    link.map(|link| ("payment_link", link.view(self))),
                    order(link.and_then(|link| link.order_id.as_deref())),
                    payment(paid_by.as_deref()),
                ]
            }
            About::Subscription => {
                vec![subscription.map(|found| ("subscription", found.view()))]
            }
            About::SubscriptionAndPayment => {
                let paid_by = subscription.and_then(|found| last(&found.payments));
                vec![
                    subscription.map(|found| ("subscription", found.view())),
                    payment(paid_by.as_deref()),
                ]
            }
        };
        objects.into_iter().flatten().collect()
    }

    /// What the buyer meant to pay: the subscription, the link or the order.
    fn lane<'a>(&'a self, id: &'a str) -> &'a str {
        let of_refund = self.refunds.find(id);
        let payment = of_refund.map_or(id, |refund| refund.payment_id.as_str());
        if let Some(payment) = self.payments.find(payment) {
            return payment.paid_for();
        }
        let payments = self.orders.find(id).map(|order| &order.payments);
        let payment = payments
            .and_then(|payments| payments.last())
            .and_then(|id| self.payments.find(id));
        payment.map_or(id, |payment| payment.paid_for())
    }
}
