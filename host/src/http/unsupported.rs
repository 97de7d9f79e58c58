//! Calls that clients of an earlier product make and that no provider here serves: saved payment
//! methods and split payments. They get the contract's refusal instead of a missing page.

use axum::Router;
use axum::routing::any;
use onerouter_domain::code::ErrorCode;

use super::problem::Problem;
use super::state::AppState;
use crate::service::caller::Caller;
use crate::service::refusal::Refusal;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/v1/payment-methods", any(saved_methods))
        .route("/v1/payment-methods/{*rest}", any(saved_methods))
        .route("/v1/marketplace", any(split_payments))
        .route("/v1/marketplace/{*rest}", any(split_payments))
}

async fn saved_methods(_caller: Caller) -> Problem {
    refusal("Saved payment methods are not supported by any connected provider.")
}

async fn split_payments(_caller: Caller) -> Problem {
    refusal("Split payments are not supported by any connected provider.")
}

fn refusal(detail: &str) -> Problem {
    Refusal::new(ErrorCode::UnsupportedByProvider, detail).into()
}
