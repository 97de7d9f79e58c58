//! `/v1/webhook-endpoints`

pub(super) mod body;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use http::StatusCode;
use onerouter_domain::id::{DeliveryId, EventId, WebhookEndpointId};

use self::body::{
    CreateWebhookEndpoint, ResendWebhookEvents, RotateWebhookSecret, TestWebhookEndpoint,
    UpdateWebhookEndpoint,
};
use super::answers::{Json, List, json, next_cursor};
use super::body::JsonBody;
use super::fields::Fields;
use super::guard::Asking;
use super::objects::IdempotencyParam;
use super::openapi::{ClientProblems, PageParams};
use super::paths::{self, Path};
use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use crate::service::audit::Actor;
use crate::service::caller::{Access, Caller, Resource};
use crate::service::webhooks::endpoints::OVERLAP_MAX;
use crate::service::webhooks::events::Again;
use crate::service::webhooks::view::{DeletedEndpointView, DeliveryView, EndpointView, ResendView};
use crate::store::DeliveryFilter;

const CREATE: &str = "POST /v1/webhook-endpoints";
const ROTATE: &str = "POST /v1/webhook-endpoints/{id}/rotate-secret";
const TEST: &str = "POST /v1/webhook-endpoints/{id}/test";
const RESEND: &str = "POST /v1/webhook-endpoints/{id}/resend";
const NOUN: &str = "webhook endpoint";
/// What becomes of a delivery.
pub(crate) const DELIVERY_STATES: [&str; 4] = ["pending", "succeeded", "failed", "canceled"];

/// Create a webhook endpoint
///
/// The answer shows the secret that deliveries are signed with, this one time. At most 50 in each
/// environment. The key needs the scopes to read what the endpoint is to hear of: for `payment.*`
/// `payments:read`, and all of them where `event_types` is left out.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints", tag = "webhooks", operation_id = "webhook_endpoints.create",
    params(IdempotencyParam),
    request_body = CreateWebhookEndpoint,
    responses((status = 201, description = "The endpoint, with its secret.", body = EndpointView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    asking: Asking,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    asking.caller.may(Resource::Webhooks, Access::Write)?;
    let new = body::create(Fields::of_body(&body)?, state.webhooks.targets())?;
    let intent = asking.intent(CREATE, &new);
    let answer = state.webhooks.create(asking.by(&intent), new).await?;
    Ok(answer.into_response())
}

/// List webhook endpoints
#[utoipa::path(
    get, path = "/v1/webhook-endpoints", tag = "webhooks", operation_id = "webhook_endpoints.list",
    params(PageParams),
    responses((status = 200, description = "A page, newest first.", body = inline(List<EndpointView>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Webhooks, Access::Read)?;
    let mut query = Query::of(query.as_deref());
    let page = query.page::<WebhookEndpointId>();
    let (limit, before) = query.finish(Some(page))?;
    let mut rows = state.webhooks.list(&caller, limit, before).await?;
    let next_cursor = next_cursor(&mut rows, limit, |(id, _)| *id);
    let data: Vec<_> = rows.into_iter().map(|(_, view)| view).collect();
    Ok(json(StatusCode::OK, &List::page(data, next_cursor)))
}

/// Read a webhook endpoint
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", operation_id = "webhook_endpoints.get",
    params(("id" = String, Path, description = "`we_…`")),
    responses((status = 200, description = "The endpoint.", body = EndpointView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Webhooks, Access::Read)?;
    Query::none(query.as_deref())?;
    let id = paths::id(&id, NOUN)?;
    let view = state.webhooks.get(&caller, id).await?;
    Ok(json(StatusCode::OK, &view))
}

/// Change a webhook endpoint
///
/// What is left out stays; `null` takes away what may be absent. `"enabled": true` enables an endpoint
/// again, whatever had disabled it. The key needs the scopes to read what the endpoint hears of then.
#[utoipa::path(
    patch, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", operation_id = "webhook_endpoints.update",
    params(("id" = String, Path, description = "`we_…`")),
    request_body = UpdateWebhookEndpoint,
    responses((status = 200, description = "The endpoint.", body = EndpointView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn update(
    State(state): State<AppState>,
    caller: Caller,
    actor: Actor,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json, Problem> {
    caller.may(Resource::Webhooks, Access::Write)?;
    let change = body::update(Fields::of_body(&body)?, state.webhooks.targets())?;
    let id = paths::id(&id, NOUN)?;
    let view = state.webhooks.update(&caller, &actor, id, &change).await?;
    Ok(json(StatusCode::OK, &view))
}

/// Delete a webhook endpoint
///
/// What was still to be delivered to it is canceled.
#[utoipa::path(
    delete, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", operation_id = "webhook_endpoints.delete",
    params(("id" = String, Path, description = "`we_…`")),
    responses((status = 200, description = "That it is gone.", body = DeletedEndpointView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    actor: Actor,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Webhooks, Access::Write)?;
    Query::none(query.as_deref())?;
    let id = paths::id(&id, NOUN)?;
    let view = state.webhooks.delete(&caller, &actor, id).await?;
    Ok(json(StatusCode::OK, &view))
}

/// Rotate the secret of a webhook endpoint
///
/// The answer shows the new secret, this one time. Until the overlap has ended, each delivery is signed
/// with both.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/rotate-secret", tag = "webhooks",
    operation_id = "webhook_endpoints.rotate_secret",
    params(("id" = String, Path, description = "`we_…`"), IdempotencyParam),
    request_body = RotateWebhookSecret,
    responses((status = 200, description = "The endpoint, with its new secret.", body = EndpointView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn rotate_secret(
    State(state): State<AppState>,
    asking: Asking,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    asking.caller.may(Resource::Webhooks, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let overlap = fields.integer("overlap_seconds", 0, OVERLAP_MAX.num_seconds());
    let overlap = fields.finish(Some(overlap))?;
    let id: WebhookEndpointId = paths::id(&id, NOUN)?;
    let intent = asking.intent(ROTATE, &(id, overlap));
    let overlap = overlap
        .and_then(TimeDelta::try_seconds)
        .unwrap_or(TimeDelta::days(1));
    let answer = state
        .webhooks
        .rotate_secret(asking.by(&intent), id, overlap)
        .await?;
    Ok(answer.into_response())
}

/// The parameters of a list of deliveries.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by hand; this is for the document")]
pub(crate) struct DeliveriesParams {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^whd_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    cursor: Option<String>,
    /// Only with this status.
    status: Option<String>,
}

/// List the deliveries to a webhook endpoint
///
/// Each is one event that is told to it, in as many attempts as it takes. Attempts are shown where one
/// delivery is read.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}/deliveries", tag = "webhooks",
    operation_id = "webhook_endpoints.list_deliveries",
    params(("id" = String, Path, description = "`we_…`"), DeliveriesParams),
    responses((status = 200, description = "A page, newest first.", body = inline(List<DeliveryView>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_deliveries(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Webhooks, Access::Read)?;
    let mut query = Query::of(query.as_deref());
    let rule = format!("must be one of {}", DELIVERY_STATES.join(", "));
    let status = query.parsed("status", &rule, |text| {
        DELIVERY_STATES.contains(&text).then(|| text.to_owned())
    });
    let page = query.page::<DeliveryId>();
    let (limit, before) = query.finish(Some(page))?;
    let filter = DeliveryFilter {
        endpoint: paths::id(&id, NOUN)?,
        limit: u32::from(limit),
        before,
        state: status,
    };
    let mut rows = state.webhooks.deliveries(&caller, filter).await?;
    let next_cursor = next_cursor(&mut rows, limit, |(id, _)| *id);
    let data: Vec<_> = rows.into_iter().map(|(_, view)| view).collect();
    Ok(json(StatusCode::OK, &List::page(data, next_cursor)))
}

/// Read a delivery
///
/// With every attempt: the status and the first 4 KiB of the answer, and how long it took.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}/deliveries/{delivery_id}", tag = "webhooks",
    operation_id = "webhook_endpoints.get_delivery",
    params(
        ("id" = String, Path, description = "`we_…`"),
        ("delivery_id" = String, Path, description = "`whd_…`")
    ),
    responses((status = 200, description = "The delivery.", body = DeliveryView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_delivery(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, delivery)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Webhooks, Access::Read)?;
    Query::none(query.as_deref())?;
    let id = paths::id(&id, NOUN)?;
    let delivery = paths::id(&delivery, "delivery")?;
    let view = state.webhooks.delivery(&caller, id, delivery).await?;
    Ok(json(StatusCode::OK, &view))
}

/// Send a test event
///
/// To this endpoint only, whatever its `event_types` are: `endpoint.test` with the endpoint as its data.
/// With a test key also a sample of any other type.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/test", tag = "webhooks", operation_id = "webhook_endpoints.test",
    params(("id" = String, Path, description = "`we_…`"), IdempotencyParam),
    request_body = TestWebhookEndpoint,
    responses((status = 200, description = "The delivery, which is being made.", body = DeliveryView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn test(
    State(state): State<AppState>,
    asking: Asking,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    asking.caller.may(Resource::Webhooks, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let event_type: Option<body::EventType> = fields.parsed("type");
    let event_type = fields.finish(Some(event_type))?;
    let event_type = event_type.as_ref().map(body::EventType::as_str);
    let id: WebhookEndpointId = paths::id(&id, NOUN)?;
    let intent = asking.intent(TEST, &(id, event_type));
    let answer = state
        .webhooks
        .test(asking.by(&intent), id, event_type)
        .await?;
    Ok(answer.into_response())
}

/// Send events of a time again
///
/// Makes a new delivery of every event of that time that the endpoint wants to hear of. One request
/// looks at up to 1,000 events; while `has_more` is true, send it again with `next_cursor` as `cursor`.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/resend", tag = "webhooks", operation_id = "webhook_endpoints.resend",
    params(("id" = String, Path, description = "`we_…`"), IdempotencyParam),
    request_body = ResendWebhookEvents,
    responses((status = 200, description = "How many deliveries were made.", body = ResendView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn resend(
    State(state): State<AppState>,
    asking: Asking,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    asking.caller.may(Resource::Webhooks, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let since = fields.required_time("since");
    let until = fields.time("until");
    let only_failed = fields.boolean("only_failed").unwrap_or(false);
    let cursor: Option<EventId> = fields.parsed("cursor");
    let again = since.map(|since| Again {
        since,
        until,
        only_failed,
        cursor,
    });
    if let Some(since) = since
        && since >= until.unwrap_or(state.clock.now())
    {
        fields.mistake("since", "conflict", "must lie before until, and before now");
    }
    let again = fields.finish(again)?;
    let id: WebhookEndpointId = paths::id(&id, NOUN)?;
    let intent = asking.intent(RESEND, &(id, again));
    let answer = state
        .webhooks
        .resend_range(asking.by(&intent), id, again)
        .await?;
    Ok(answer.into_response())
}
