//! `/api/health`, `/metrics`

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use onerouter_domain::code::ErrorCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, json};
use super::problem::Problem;
use super::state::AppState;
use crate::service::refusal::Refusal;

/// How the gateway is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok` or `degraded`
    status: &'static str,
    /// Version of the gateway.
    version: &'static str,
    /// `ok` or `unavailable`
    database: &'static str,
    /// `ok`, `unavailable` (each node limits for itself until it is back), or `not_configured`
    redis: &'static str,
    /// Adapters that are ready to run.
    plugins: usize,
}

async fn check(state: &AppState) -> Health {
    let database = match state.store.ping().await {
        Ok(()) => "ok",
        Err(error) => {
            tracing::warn!(%error, "health: the database does not answer");
            "unavailable"
        }
    };
    let redis = match &state.redis {
        Some(redis) if redis.is_up() => "ok",
        Some(_) => "unavailable",
        None => "not_configured",
    };
    let is_well = database == "ok" && redis != "unavailable";
    Health {
        status: if is_well { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        database,
        redis,
        plugins: state.adapters.list().len(),
    }
}

/// How the gateway is
#[utoipa::path(
    get, path = "/api/health", tag = "health", operation_id = "health.get",
    responses(
        (status = 200, description = "Able to serve.", body = Health),
        (status = 503, description = "Not able to serve.", body = Health)
    ),
    security(())
)]
pub(crate) async fn health(State(state): State<AppState>) -> Json {
    let health = check(&state).await;
    // Without Redis everything works, if with less precision.
    let status = if health.database == "ok" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &health)
}

/// Whether the process is alive
#[utoipa::path(
    get, path = "/api/health/live", tag = "health", operation_id = "health.live",
    responses((status = 200, description = "It is.", body = Alive)),
    security(())
)]
pub(crate) async fn live() -> Json {
    json(StatusCode::OK, &Alive { status: "ok" })
}

/// Whether the process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    /// `ok`
    status: &'static str,
}

/// Whether the gateway can serve
#[utoipa::path(
    get, path = "/api/health/ready", tag = "health", operation_id = "health.ready",
    responses(
        (status = 200, description = "It can.", body = Health),
        (status = 503, description = "It cannot: do not send traffic here.", body = Health)
    ),
    security(())
)]
pub(crate) async fn ready(State(state): State<AppState>) -> Json {
    health(State(state)).await
}

/// `GET /metrics`: Prometheus text.
pub(crate) async fn metrics(State(state): State<AppState>) -> Result<Response, Problem> {
    let Some(handle) = &state.metrics else {
        return Err(Refusal::new(ErrorCode::NotFound, "Metrics are not served here.").into());
    };
    let mut response = handle.render().into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    Ok(response)
}
