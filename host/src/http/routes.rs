//! Every route, in one list, and the layers around them in their order.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use onerouter_domain::code::ErrorCode;
use tower_http::cors::{Any, CorsLayer};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::openapi::{self, Document};
use super::problem::Problem;
use super::state::AppState;
use super::{
    api_keys, audit, checkout, docs, email, envelope, events, guard, health, marketplace,
    payment_links, payments, plans, plugin_keys, plugins, recordings, refunds, routing, services,
    shadow, sms, subscriptions, tenants, unsupported, webhook_endpoints, webhooks,
};
use crate::service::refusal::Refusal;

fn client_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(sms::create, sms::list))
        .routes(routes!(sms::get))
        .routes(routes!(sms::cancel))
        .routes(routes!(email::create, email::list))
        .routes(routes!(email::batch::create_batch))
        .routes(routes!(email::get))
        .routes(routes!(email::cancel))
        .routes(routes!(payments::create, payments::list))
        .routes(routes!(payments::create_order))
        .routes(routes!(payments::get))
        .routes(routes!(payments::get_order))
        .routes(routes!(payments::capture))
        .routes(routes!(payments::cancel))
        .routes(routes!(payments::confirm))
        .routes(routes!(refunds::create, refunds::list))
        .routes(routes!(refunds::create_of_payment))
        .routes(routes!(refunds::get))
        .routes(routes!(plans::create, plans::list))
        .routes(routes!(plans::get))
        .routes(routes!(subscriptions::create, subscriptions::list))
        .routes(routes!(subscriptions::get))
        .routes(routes!(subscriptions::cancel))
        .routes(routes!(subscriptions::pause))
        .routes(routes!(subscriptions::resume))
        .routes(routes!(subscriptions::change_plan))
        .routes(routes!(payment_links::create, payment_links::list))
        .routes(routes!(payment_links::get))
        .routes(routes!(payment_links::cancel))
        .routes(routes!(events::list, events::create_sample))
        .routes(routes!(events::get))
        .routes(routes!(events::resend))
        .routes(routes!(webhook_endpoints::create, webhook_endpoints::list))
        .routes(routes!(
            webhook_endpoints::get,
            webhook_endpoints::update,
            webhook_endpoints::delete
        ))
        .routes(routes!(webhook_endpoints::rotate_secret))
        .routes(routes!(webhook_endpoints::list_deliveries))
        .routes(routes!(webhook_endpoints::get_delivery))
        .routes(routes!(webhook_endpoints::test))
        .routes(routes!(webhook_endpoints::resend))
}

fn operator_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(services::list))
        .routes(routes!(services::connect))
        .routes(routes!(services::disconnect))
        .routes(routes!(routing::get, routing::put))
        .routes(routes!(routing::simulate))
        .routes(routes!(recordings::get, recordings::put))
        .routes(routes!(api_keys::create, api_keys::list))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(api_keys::roll))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::install))
        .routes(routes!(plugin_keys::list))
        .routes(routes!(plugin_keys::distrust))
        .routes(routes!(plugins::get, plugins::remove))
        .routes(routes!(plugins::activate))
        .routes(routes!(plugins::roll_back))
        .routes(routes!(shadow::check))
        .routes(routes!(marketplace::list))
        .routes(routes!(marketplace::get))
        .routes(routes!(tenants::create, tenants::list))
        .routes(routes!(audit::list))
}

fn open_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(webhooks::receive))
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(client_routes())
        .merge(operator_routes())
        .merge(open_routes())
        .split_for_parts();
    openapi::complete(&mut document);
    document
}

/// The whole service.
pub(crate) fn router(state: AppState, frontend: Option<&str>) -> Router {
    let client = client_routes().route_layer(from_fn_with_state(state.clone(), guard::client));
    let unsupported =
        unsupported::routes().route_layer(from_fn_with_state(state.clone(), guard::client));
    let operator =
        operator_routes().route_layer(from_fn_with_state(state.clone(), guard::operator));
    let (api, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(client)
        .merge(operator)
        .merge(open_routes())
        .split_for_parts();
    openapi::complete(&mut document);
    let mut router = api
        .merge(docs::routes(&document))
        .merge(unsupported)
        .merge(checkout::routes())
        .route("/metrics", get(health::metrics))
        .fallback(no_route)
        // Inside the envelope, so that refusals carry the headers too.
        .layer(from_fn(docs::headers));
    if let Some(layer) = frontend.and_then(cors) {
        router = router.layer(layer);
    }
    // Outermost: ids, limits on the request itself, panics, problems, metrics.
    router.layer(from_fn(envelope::layer)).with_state(state)
}

async fn no_route() -> Problem {
    Refusal::new(ErrorCode::NotFound, "There is no such path. See /docs.").into()
}

fn cors(origin: &str) -> Option<CorsLayer> {
    let origin: http::HeaderValue = origin.parse().ok()?;
    Some(
        CorsLayer::new()
            .allow_origin(origin)
            .allow_methods(Any)
            .allow_headers([
                http::header::AUTHORIZATION,
                http::header::CONTENT_TYPE,
                http::HeaderName::from_static("idempotency-key"),
                http::HeaderName::from_static("onerouter-tenant"),
                envelope::X_REQUEST_ID,
            ])
            .expose_headers(Any),
    )
}
