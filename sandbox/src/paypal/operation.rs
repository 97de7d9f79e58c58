//! What each route does.

use http::StatusCode;

use super::{
    authorization,
    books::Books,
    checkout, consent,
    desk::Desk,
    error::PaypalError,
    notification::{listing, verify, webhook},
    order,
    outcome::Outcome,
    plan, product, refund,
    route::Route,
    subscription,
};
use crate::{call::Call, reply::Reply};

pub(super) fn page(books: &mut Books, desk: &Desk<'_>, route: Route<'_>, call: &Call) -> Reply {
    match route {
        Route::CheckoutPage => checkout::page(books, desk, call),
        Route::PlayCheckout => checkout::posted(books, desk, call),
        Route::PlayConsent => consent::posted(books, desk, call),
        _ => consent::page(books, desk, call),
    }
}

pub(super) fn operate(
    books: &mut Books,
    desk: &Desk<'_>,
    route: Route<'_>,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    match route {
        Route::CreateOrder => order::create::create(books, desk, call),
        Route::GetOrder(id) => {
            let order = books.order(id, desk.now)?;
            Ok(Outcome::Shown(order.view(books, desk)))
        }
        Route::PatchOrder(id) => order::patch::patch(books, desk, id, call),
        Route::CaptureOrder(id) => order::complete::capture(books, desk, id, call),
        Route::AuthorizeOrder(id) => order::complete::authorize(books, desk, id, call),
        Route::GetAuthorization(id) => Ok(Outcome::Shown(books.authorization(id)?.view())),
        Route::CaptureAuthorization(id) => authorization::capture::capture(books, desk, id, call),
        Route::Reauthorize(id) => authorization::reauthorize::reauthorize(books, desk, id, call),
        Route::Void(id) => authorization::void::void(books, desk, id),
        Route::GetCapture(id) => Ok(Outcome::Shown(books.capture(id)?.view(books))),
        Route::RefundCapture(id) => refund::refund(books, desk, id, call),
        Route::GetRefund(id) => Ok(Outcome::Shown(books.refund(id)?.view(books))),
        Route::CreateProduct => product::create(books, desk, call),
        Route::ListProducts => product::list(books, call),
        Route::GetProduct(id) => Ok(Outcome::Shown(books.product(id)?.view())),
        Route::CreatePlan => plan::create(books, desk, call),
        Route::ListPlans => plan::list(books, desk, call),
        Route::GetPlan(id) => Ok(Outcome::Shown(books.plan(id)?.view())),
        Route::ActivatePlan(id) => plan::activate(books, desk, id),
        Route::DeactivatePlan(id) => plan::deactivate(books, desk, id),
        Route::CreateSubscription => subscription::create::create(books, desk, call),
        Route::GetSubscription(id) => subscription::change::get(books, desk, id, call),
        Route::ReviseSubscription(id) => subscription::revise::revise(books, desk, id, call),
        Route::SuspendSubscription(id) => subscription::change::suspend(books, desk, id, call),
        Route::ActivateSubscription(id) => subscription::change::activate(books, desk, id, call),
        Route::CancelSubscription(id) => subscription::change::cancel(books, desk, id, call),
        Route::CaptureSubscription(id) => subscription::collect::collect(books, desk, id, call),
        Route::ListTransactions(id) => subscription::transaction::list(books, id, call),
        Route::CreateWebhook => webhook::create(desk.state, call),
        Route::ListWebhooks => Ok(webhook::list(desk.state)),
        Route::GetWebhook(id) => webhook::get(desk.state, id),
        Route::PatchWebhook(id) => webhook::patch(desk.state, id, call),
        Route::DeleteWebhook(id) => webhook::delete(desk.state, id),
        Route::ListEventTypes => Ok(webhook::types()),
        Route::ListEvents => listing::list(desk.state, call),
        Route::GetEvent(id) => listing::get(desk.state, id),
        Route::ResendEvent(id) => listing::resend(desk.state, id, call),
        Route::VerifySignature => verify::verify(desk.state, call),
        Route::Token
        | Route::Certificate(_)
        | Route::CheckoutPage
        | Route::PlayCheckout
        | Route::ConsentPage
        | Route::PlayConsent => Err(PaypalError::status(StatusCode::NOT_FOUND)),
    }
}
