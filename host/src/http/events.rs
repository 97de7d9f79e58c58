//! `/v1/events`

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use onerouter_domain::id::{EventId, WebhookEndpointId};
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, List, json};
use super::body::JsonBody;
use super::fields::Fields;
use super::guard::Asking;
use super::objects::IdempotencyParam;
use super::openapi::ClientProblems;
use super::paths::{self, Path};
use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use super::webhook_endpoints::body::EventType;
use crate::service::caller::{Access, Caller, Resource};
use crate::service::webhooks::events::{DeliveriesMade, EventQuery, Reading};
use crate::service::webhooks::view::{EventView, parse_object_id};

const CREATE: &str = "POST /v1/events";
const RESEND: &str = "POST /v1/events/{id}/resend";

/// The parameters of a list of events.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by hand; this is for the document")]
pub(crate) struct EventParams {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `desc`, the newest first, when left out. `asc`, the oldest first, is the feed.
    #[param(pattern = "^(asc|desc)$")]
    order: Option<String>,
    /// Only of this type (`payment.succeeded`) or family (`payment.*`).
    #[param(rename = "type")]
    event_type: Option<String>,
    /// Only about this object.
    object_id: Option<String>,
    /// Only of this time or later.
    #[param(format = DateTime)]
    created_after: Option<String>,
    /// Only before this time.
    #[param(format = DateTime)]
    created_before: Option<String>,
}

/// An event that has not happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"type": "payment.succeeded"}))]
pub(crate) struct CreateSampleEvent {
    /// Of which type: one about an object.
    #[serde(rename = "type")]
    event_type: String,
}

/// To whom an event is told once more.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"endpoint_id": "we_01h455vb4pex5vsknk084sn02q"}))]
pub(crate) struct ResendEvent {
    /// To this endpoint, whatever its `event_types` are; when left out, to every endpoint that is enabled
    /// and wants to hear of the type.
    #[schema(nullable, pattern = "^we_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    endpoint_id: Option<String>,
}

/// List events, or follow them
///
/// Newest first, and events are there as soon as what they tell of. A key sees those about what it may
/// read: payments with `payments:read`, and so on.
///
/// With `order=asc` it is a feed: oldest first, and `next_cursor` is always there, also at the end. Whoever
/// keeps it and goes on from it, for ever, sees every event once. For that to hold, an event appears in
/// the feed 30 seconds after it has happened, and later where the transaction that writes it takes longer.
///
/// Events are kept for 30 days at least. Where few of them pass a filter, a page may hold fewer than
/// `limit`, or none, and still have a `next_cursor`.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "events.list",
    params(EventParams),
    responses((status = 200, description = "A page, in the order that was asked for.", body = inline(List<EventView>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Events, Access::Read)?;
    let mut query = Query::of(query.as_deref());
    let reading = query.parsed("order", "must be asc or desc", |text| match text {
        "asc" => Some(Reading::Feed),
        "desc" => Some(Reading::Newest),
        _ => None,
    });
    let rule = "must be a type of event such as payment.succeeded, or a family such as payment.*";
    let types = query.parsed("type", rule, |text| text.parse().ok());
    let rule = "must be the id of an object";
    let object_id = query.parsed("object_id", rule, parse_object_id);
    let created_after = query.time("created_after");
    let created_before = query.time("created_before");
    let (limit, cursor) = query.page::<EventId>();
    let asked = EventQuery {
        reading: reading.unwrap_or(Reading::Newest),
        limit,
        cursor,
        types,
        object_id,
        created_after,
        created_before,
    };
    let asked = query.finish(Some(asked))?;
    let events = state.webhooks.events(&caller, asked).await?;
    let list = List {
        object: "list",
        data: events.data,
        has_more: events.has_more,
        next_cursor: events.next_cursor.map(|id| id.to_string()),
    };
    Ok(json(StatusCode::OK, &list))
}

/// Read an event
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "events", operation_id = "events.get",
    params(("id" = String, Path, description = "`evt_…`")),
    responses((status = 200, description = "The event.", body = EventView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Events, Access::Read)?;
    Query::none(query.as_deref())?;
    let id = paths::id(&id, "event")?;
    let view = state.webhooks.event(&caller, id).await?;
    Ok(json(StatusCode::OK, &view))
}

/// Make a sample event
///
/// Something that has not happened, to try things with: it is listed and told like any other. Its object
/// does not exist; its `provider` is `sample`. With test keys only.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", operation_id = "events.create_sample",
    params(IdempotencyParam),
    request_body = CreateSampleEvent,
    responses((status = 200, description = "The event.", body = EventView), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_sample(
    State(state): State<AppState>,
    asking: Asking,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    asking.caller.may(Resource::Events, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let event_type: Option<EventType> = fields.required_parsed("type");
    let event_type = fields.finish(event_type)?;
    let event_type = event_type.as_str();
    let intent = asking.intent(CREATE, &event_type);
    let answer = state
        .webhooks
        .create_sample(asking.by(&intent), event_type)
        .await?;
    Ok(answer.into_response())
}

/// Send an event again
#[utoipa::path(
    post, path = "/v1/events/{id}/resend", tag = "events", operation_id = "events.resend",
    params(("id" = String, Path, description = "`evt_…`"), IdempotencyParam),
    request_body = ResendEvent,
    responses((status = 200, description = "The deliveries, which are being made.", body = DeliveriesMade), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn resend(
    State(state): State<AppState>,
    asking: Asking,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    asking.caller.may(Resource::Events, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let endpoint: Option<WebhookEndpointId> = fields.parsed("endpoint_id");
    let endpoint = fields.finish(Some(endpoint))?;
    let id: EventId = paths::id(&id, "event")?;
    let intent = asking.intent(RESEND, &(id, endpoint));
    let answer = state
        .webhooks
        .resend_event(asking.by(&intent), id, endpoint)
        .await?;
    Ok(answer.into_response())
}
