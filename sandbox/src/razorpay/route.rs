//! Which operation a request asks for.

use super::{
    State, checkout, error::RazorpayError, link, link_draft, order, payment, plan, refund,
    subscription, subscription_change,
};
use crate::{call::Call, reply::Reply};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    CreateOrder,
    Orders,
    Order(&'a str),
    OrderPayments(&'a str),
    UpdateOrder(&'a str),
    Payments,
    Payment(&'a str),
    Capture(&'a str),
    Refund(&'a str),
    Refunds(Option<&'a str>),
    OneRefund(Option<&'a str>, &'a str),
    CreateLink,
    Links,
    Link(&'a str),
    UpdateLink(&'a str),
    CancelLink(&'a str),
    NotifyLink(&'a str, &'a str),
    CreatePlan,
    Plans,
    Plan(&'a str),
    CreateSubscription,
    Subscriptions,
    Subscription(&'a str),
    UpdateSubscription(&'a str),
    CancelSubscription(&'a str),
    PauseSubscription(&'a str),
    ResumeSubscription(&'a str),
    ScheduledChanges(&'a str),
    CancelScheduledChanges(&'a str),
    /// The pages.
    Checkout,
    Short(&'a str),
    Decide(&'a str),
}

impl<'a> Route<'a> {
    /// A path that does not exist and a method that does not fit are refused alike.
    pub(super) fn of(call: &'a Call) -> Result<Route<'a>, RazorpayError> {
        let path = call.path().trim_end_matches('/');
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let route = match (call.method.as_str(), segments.as_slice()) {
            ("POST", ["v1", "orders"]) => Route::CreateOrder,
            ("GET", ["v1", "orders"]) => Route::Orders,
            ("GET", ["v1", "orders", id]) => Route::Order(id),
            ("GET", ["v1", "orders", id, "payments"]) => Route::OrderPayments(id),
            ("PATCH", ["v1", "orders", id]) => Route::UpdateOrder(id),
            ("GET", ["v1", "payments"]) => Route::Payments,
            ("GET", ["v1", "payments", id]) => Route::Payment(id),
            ("POST", ["v1", "payments", id, "capture"]) => Route::Capture(id),
            ("POST", ["v1", "payments", id, "refund"]) => Route::Refund(id),
            ("GET", ["v1", "payments", id, "refunds"]) => Route::Refunds(Some(id)),
            ("GET", ["v1", "payments", of, "refunds", id]) => Route::OneRefund(Some(of), id),
            ("GET", ["v1", "refunds"]) => Route::Refunds(None),
            ("GET", ["v1", "refunds", id]) => Route::OneRefund(None, id),
            ("POST", ["v1", "payment_links"]) => Route::CreateLink,
            ("GET", ["v1", "payment_links"]) => Route::Links,
            ("GET", ["v1", "payment_links", id]) => Route::Link(id),
            ("PATCH", ["v1", "payment_links", id]) => Route::UpdateLink(id),
            ("POST", ["v1", "payment_links", id, "cancel"]) => Route::CancelLink(id),
            ("POST", ["v1", "payment_links", id, "notify_by", medium]) => {
                Route::NotifyLink(id, medium)
            }
            ("POST", ["v1", "plans"]) => Route::CreatePlan,
            ("GET", ["v1", "plans"]) => Route::Plans,
            ("GET", ["v1", "plans", id]) => Route::Plan(id),
            ("POST", ["v1", "subscriptions"]) => Route::CreateSubscription,
            ("GET", ["v1", "subscriptions"]) => Route::Subscriptions,
            ("GET", ["v1", "subscriptions", id]) => Route::Subscription(id),
            ("PATCH", ["v1", "subscriptions", id]) => Route::UpdateSubscription(id),
            ("POST", ["v1", "subscriptions", id, "cancel"]) => Route::CancelSubscription(id),
            ("POST", ["v1", "subscriptions", id, "pause"]) => Route::PauseSubscription(id),
            ("POST", ["v1", "subscriptions", id, "resume"]) => Route::ResumeSubscription(id),
            ("GET", ["v1", "subscriptions", id, "retrieve_scheduled_changes"]) => {
                Route::ScheduledChanges(id)
            }
            ("POST", ["v1", "subscriptions", id, "cancel_scheduled_changes"]) => {
                Route::CancelScheduledChanges(id)
            }
            ("POST", ["v1", "checkout", "embedded"]) => Route::Checkout,
            ("GET", ["i", id]) => Route::Short(id),
            ("POST", ["i", id]) => Route::Decide(id),
            _ => return Err(RazorpayError::no_such_url()),
        };
        Ok(route)
    }

    /// Browsers have no key.
    pub(super) fn is_for_browsers(&self) -> bool {
        matches!(self, Route::Checkout | Route::Short(_) | Route::Decide(_))
    }

    pub(super) fn answer(self, state: &State, call: &Call) -> Result<Reply, RazorpayError> {
        match self {
            Route::CreateOrder => order::create(state, call),
            Route::Orders => order::list(state, call),
            Route::Order(id) => order::fetch(state, id, call),
            Route::OrderPayments(id) => order::payments(state, id, call),
            Route::UpdateOrder(id) => order::update(state, id, call),
            Route::Payments => payment::list(state, call),
            Route::Payment(id) => payment::fetch(state, id, call),
            Route::Capture(id) => payment::capture(state, id, call),
            Route::Refund(id) => refund::create(state, id, call),
            Route::Refunds(of_payment) => refund::list(state, of_payment, call),
            Route::OneRefund(of_payment, id) => refund::fetch(state, of_payment, id),
            Route::CreateLink => link_draft::create(state, call),
            Route::Links => link::list(state, call),
            Route::Link(id) => link::fetch(state, id),
            Route::UpdateLink(id) => link_draft::update(state, id, call),
            Route::CancelLink(id) => link::cancel(state, id, call),
            Route::NotifyLink(id, medium) => link::notify(state, id, medium),
            Route::CreatePlan => plan::create(state, call),
            Route::Plans => plan::list(state, call),
            Route::Plan(id) => plan::fetch(state, id),
            Route::CreateSubscription => subscription::create(state, call),
            Route::Subscriptions => subscription::list(state, call),
            Route::Subscription(id) => subscription::fetch(state, id),
            Route::UpdateSubscription(id) => subscription_change::update(state, id, call),
            Route::CancelSubscription(id) => subscription_change::cancel(state, id, call),
            Route::PauseSubscription(id) => subscription_change::pause(state, id, call),
            Route::ResumeSubscription(id) => subscription_change::resume(state, id, call),
            Route::ScheduledChanges(id) => subscription_change::scheduled(state, id),
            Route::CancelScheduledChanges(id) => subscription_change::unschedule(state, id, call),
            Route::Checkout => checkout::open(state, call),
            Route::Short(id) => Ok(checkout::short(state, id)),
            Route::Decide(id) => Ok(checkout::decide(state, id, call)),
        }
    }
}
