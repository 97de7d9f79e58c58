//! Which operation a request is for.

use chrono::TimeDelta;
use http::{Method, StatusCode};

use super::error::PaypalError;
use crate::call::Call;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Token,
    CreateOrder,
    GetOrder(&'a str),
    PatchOrder(&'a str),
    CaptureOrder(&'a str),
    AuthorizeOrder(&'a str),
    GetAuthorization(&'a str),
    CaptureAuthorization(&'a str),
    Reauthorize(&'a str),
    Void(&'a str),
    GetCapture(&'a str),
    RefundCapture(&'a str),
    GetRefund(&'a str),
    CreateProduct,
    ListProducts,
    GetProduct(&'a str),
    CreatePlan,
    ListPlans,
    GetPlan(&'a str),
    ActivatePlan(&'a str),
    DeactivatePlan(&'a str),
    CreateSubscription,
    GetSubscription(&'a str),
    ReviseSubscription(&'a str),
    SuspendSubscription(&'a str),
    ActivateSubscription(&'a str),
    CancelSubscription(&'a str),
    CaptureSubscription(&'a str),
    ListTransactions(&'a str),
    CreateWebhook,
    ListWebhooks,
    GetWebhook(&'a str),
    PatchWebhook(&'a str),
    DeleteWebhook(&'a str),
    ListEventTypes,
    ListEvents,
    GetEvent(&'a str),
    ResendEvent(&'a str),
    VerifySignature,
    /// Of those who sign webhooks; public.
    Certificate(&'a str),
    /// Where the buyer approves an order, and what its buttons send.
    CheckoutPage,
    PlayCheckout,
    /// The same for subscriptions.
    ConsentPage,
    PlayConsent,
}

const ORDERS: TimeDelta = TimeDelta::hours(6);
const PAYMENTS: TimeDelta = TimeDelta::days(45);
const BILLING: TimeDelta = TimeDelta::hours(72);

impl<'a> Route<'a> {
    pub(super) fn of(call: &'a Call) -> Result<Route<'a>, PaypalError> {
        let segments: Vec<&str> = call.path().split('/').skip(1).collect();
        let (post, get) = (call.method == Method::POST, call.method == Method::GET);
        let found = match segments.as_slice() {
            ["v1", "oauth2", "token"] if post => Route::Token,
            ["v2", "checkout", "orders"] if post => Route::CreateOrder,
            ["v2", "checkout", "orders", id] if get => Route::GetOrder(id),
            ["v2", "checkout", "orders", id] if call.method == Method::PATCH => {
                Route::PatchOrder(id)
            }
            ["v2", "checkout", "orders", id, "capture"] if post => Route::CaptureOrder(id),
            ["v2", "checkout", "orders", id, "authorize"] if post => Route::AuthorizeOrder(id),
            ["v2", "payments", "authorizations", id] if get => Route::GetAuthorization(id),
            ["v2", "payments", "authorizations", id, act] if post => match *act {
                "capture" => Route::CaptureAuthorization(id),
                "reauthorize" => Route::Reauthorize(id),
                "void" => Route::Void(id),
                _ => return Err(nothing()),
            },
            ["v2", "payments", "captures", id] if get => Route::GetCapture(id),
            ["v2", "payments", "captures", id, "refund"] if post => Route::RefundCapture(id),
            ["v2", "payments", "refunds", id] if get => Route::GetRefund(id),
            ["v1", "catalogs", "products"] if post => Route::CreateProduct,
            ["v1", "catalogs", "products"] if get => Route::ListProducts,
            ["v1", "catalogs", "products", id] if get => Route::GetProduct(id),
            ["v1", "billing", "plans"] if post => Route::CreatePlan,
            ["v1", "billing", "plans"] if get => Route::ListPlans,
            ["v1", "billing", "plans", id] if get => Route::GetPlan(id),
            ["v1", "billing", "plans", id, "activate"] if post => Route::ActivatePlan(id),
            ["v1", "billing", "plans", id, "deactivate"] if post => Route::DeactivatePlan(id),
            ["v1", "billing", "subscriptions"] if post => Route::CreateSubscription,
            ["v1", "billing", "subscriptions", id] if get => Route::GetSubscription(id),
            ["v1", "billing", "subscriptions", id, "transactions"] if get => {
                Route::ListTransactions(id)
            }
            ["v1", "billing", "subscriptions", id, act] if post => match *act {
                "revise" => Route::ReviseSubscription(id),
                "suspend" => Route::SuspendSubscription(id),
                "activate" => Route::ActivateSubscription(id),
                "cancel" => Route::CancelSubscription(id),
                "capture" => Route::CaptureSubscription(id),
                _ => return Err(nothing()),
            },
            ["v1", "notifications", "webhooks"] if post => Route::CreateWebhook,
            ["v1", "notifications", "webhooks"] if get => Route::ListWebhooks,
            ["v1", "notifications", "webhooks", id] => match call.method {
                Method::GET => Route::GetWebhook(id),
                Method::PATCH => Route::PatchWebhook(id),
                Method::DELETE => Route::DeleteWebhook(id),
                _ => return Err(nothing()),
            },
            ["v1", "notifications", "webhooks-event-types"] if get => Route::ListEventTypes,
            ["v1", "notifications", "webhooks-events"] if get => Route::ListEvents,
            ["v1", "notifications", "webhooks-events", id] if get => Route::GetEvent(id),
            ["v1", "notifications", "webhooks-events", id, "resend"] if post => {
                Route::ResendEvent(id)
            }
            ["v1", "notifications", "verify-webhook-signature"] if post => Route::VerifySignature,
            ["v1", "notifications", "certs", id] if get => Route::Certificate(id),
            ["checkoutnow"] if get => Route::CheckoutPage,
            ["checkoutnow"] if post => Route::PlayCheckout,
            ["webapps", "billing", "subscriptions"] if get => Route::ConsentPage,
            ["webapps", "billing", "subscriptions"] if post => Route::PlayConsent,
            _ => return Err(nothing()),
        };
        Ok(found)
    }

    /// Whether a buyer's browser asks, not the merchant's server.
    pub(super) fn is_page(self) -> bool {
        matches!(
            self,
            Route::CheckoutPage | Route::PlayCheckout | Route::ConsentPage | Route::PlayConsent
        )
    }

    /// Whether anybody may ask, without a token.
    pub(super) fn is_public(self) -> bool {
        self.is_page() || matches!(self, Route::Certificate(_))
    }

    /// How long a `PayPal-Request-Id` is remembered, where it means something at all.
    pub(super) fn request_id_kept(self) -> Option<TimeDelta> {
        match self {
            Route::CreateOrder | Route::CaptureOrder(_) | Route::AuthorizeOrder(_) => Some(ORDERS),
            Route::CaptureAuthorization(_)
            | Route::Reauthorize(_)
            | Route::Void(_)
            | Route::RefundCapture(_) => Some(PAYMENTS),
            Route::CreateProduct
            | Route::CreatePlan
            | Route::CreateSubscription
            | Route::CaptureSubscription(_) => Some(BILLING),
            Route::Token
            | Route::GetOrder(_)
            | Route::PatchOrder(_)
            | Route::GetAuthorization(_)
            | Route::GetCapture(_)
            | Route::GetRefund(_)
            | Route::ListProducts
            | Route::GetProduct(_)
            | Route::ListPlans
            | Route::GetPlan(_)
            | Route::ActivatePlan(_)
            | Route::DeactivatePlan(_)
            | Route::GetSubscription(_)
            | Route::ReviseSubscription(_)
            | Route::SuspendSubscription(_)
            | Route::ActivateSubscription(_)
            | Route::CancelSubscription(_)
            | Route::ListTransactions(_)
            | Route::CreateWebhook
            | Route::ListWebhooks
            | Route::GetWebhook(_)
            | Route::PatchWebhook(_)
            | Route::DeleteWebhook(_)
            | Route::ListEventTypes
            | Route::ListEvents
            | Route::GetEvent(_)
            | Route::ResendEvent(_)
            | Route::VerifySignature
            | Route::Certificate(_)
            | Route::CheckoutPage
            | Route::PlayCheckout
            | Route::ConsentPage
            | Route::PlayConsent => None,
        }
    }

    /// Voids and refunds of one payment go one after the other: both list 409 for "a previous request
    /// on this resource".
    pub(super) fn exclusive(self) -> Option<&'a str> {
        match self {
            Route::Void(id) | Route::RefundCapture(id) => Some(id),
            _ => None,
        }
    }
}

fn nothing() -> PaypalError {
    PaypalError::status(StatusCode::NOT_FOUND)
}
