//! What an event shows: the resource to which it happened.

use serde_json::Value;

use super::{
    super::{books::Books, desk::Desk, happened::Happened},
    Told,
};

/// The resource as it is now. `None` when it is forgotten, or nobody is told of it.
pub(super) fn find(books: &Books, desk: &Desk<'_>, told: &Told) -> Option<Value> {
    let id = told.id.as_str();
    match told.happened {
        Happened::OrderCreated
        | Happened::OrderChanged
        | Happened::OrderApproved
        | Happened::OrderCompleted
        | Happened::OrderVoided => Some(books.orders.find(id)?.view(books, desk)),
        Happened::AuthorizationCreated
        | Happened::AuthorizationPending
        | Happened::AuthorizationDenied
        | Happened::AuthorizationVoided => Some(books.authorizations.find(id)?.view()),
        Happened::CaptureCompleted
        | Happened::CapturePending
        | Happened::CaptureDeclined
        | Happened::CaptureDenied => Some(books.captures.find(id)?.view(books)),
        Happened::RefundCompleted | Happened::RefundPending | Happened::RefundFailed => {
            Some(books.refunds.find(id)?.view(books))
        }
        Happened::ProductCreated => Some(books.products.find(id)?.view()),
        Happened::PlanCreated | Happened::PlanActivated | Happened::PlanDeactivated => {
            Some(books.plans.find(id)?.view())
        }
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
        | Happened::SubscriptionExpired => {
            let subscription = books.subscriptions.find(id)?;
            Some(subscription.view(&desk.base(), &[]))
        }
        // Shown at the moment itself: the transaction has no shelf of its own.
        Happened::PaymentCompleted | Happened::PaymentFailed => None,
    }
}

/// What the buyer has approved: the order or the subscription. Its events are sent in their order.
pub(super) fn lane<'a>(books: &'a Books, told: &'a Told) -> &'a str {
    let id = told.id.as_str();
    let refunded = books.refunds.find(id).map(|refund| refund.capture.as_str());
    if let Some(capture) = books.captures.find(refunded.unwrap_or(id)) {
        return &capture.order;
    }
    if let Some(authorization) = books.authorizations.find(id) {
        return &authorization.order;
    }
    match told.happened {
        Happened::PaymentCompleted | Happened::PaymentFailed => {
            told.object.as_deref().unwrap_or(id)
        }
        _ => id,
    }
}
