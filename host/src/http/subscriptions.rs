//! `/v1/subscriptions`

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use http::StatusCode;
use onerouter_domain::id::SubscriptionId;
use onerouter_domain::payment::SubscriptionStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, page};
use super::body::JsonBody;
use super::fields::{Fields, parse_time};
use super::guard::Write;
use super::objects::{self, CustomerFields, ListParams, RefreshParam, list_query, read_refresh};
use super::openapi::ClientProblems;
use super::paths::{self, Path};
use super::problem::Problem;
use super::state::AppState;
use crate::service::caller::{Access, Caller, Resource};
use crate::service::kind::NoContent;
use crate::service::objects::{Answer, Draft};
use crate::service::paying::{Moment, PlanRef};
use crate::service::refusal::Refusal;
use crate::service::subscription::{Subscription, SubscriptionAction, SubscriptionRequest};
use crate::service::view::payment::SubscriptionView;

const CREATE: &str = "POST /v1/subscriptions";
const CANCEL: &str = "POST /v1/subscriptions/{id}/cancel";
const PAUSE: &str = "POST /v1/subscriptions/{id}/pause";
const RESUME: &str = "POST /v1/subscriptions/{id}/resume";
const CHANGE_PLAN: &str = "POST /v1/subscriptions/{id}/change_plan";
const NOUN: &str = "subscription";
/// Characters of a plan's id.
const PLAN_LENGTH_MAX: usize = 255;
/// Charges.
const TOTAL_COUNT_MAX: i64 = 999;
/// How many of a plan.
const QUANTITY_MAX: i64 = 1_000_000;
/// Days of a trial.
const TRIAL_DAYS_MAX: i64 = 365;

/// A subscription to a plan.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"plan_id": "plan_01h455vb4pex5vsknk084sn02q", "total_count": 12}))]
pub(crate) struct CreateSubscription {
    /// The plan: `plan_…`, or the provider's id.
    #[schema(min_length = 1, max_length = 255)]
    plan_id: String,
    /// Who pays.
    #[schema(nullable, value_type = Option<CustomerFields>)]
    customer: Option<CustomerFields>,
    /// Charges until it ends; as many as the provider allows when left out.
    #[schema(nullable, minimum = 1, maximum = 999)]
    total_count: Option<u32>,
    /// How many of the plan; 1 when left out.
    #[schema(nullable, minimum = 1, maximum = 1000000)]
    quantity: Option<u32>,
    /// Days until the first charge. Not beside `start_date`.
    #[schema(nullable, minimum = 1, maximum = 365)]
    trial_days: Option<u32>,
    /// When it begins, in the future: a time, or a day of UTC.
    #[schema(nullable, format = DateTime)]
    start_date: Option<String>,
    /// Whether the provider writes to the buyer.
    #[schema(nullable)]
    customer_notify: Option<bool>,
    /// Where the buyer goes after having agreed.
    #[schema(nullable, max_length = 2048)]
    return_url: Option<String>,
    /// Where a buyer who gives up goes.
    #[schema(nullable, max_length = 2048)]
    cancel_url: Option<String>,
    /// Only this provider.
    #[schema(nullable, pattern = "^[a-z][a-z0-9-]{0,39}$")]
    provider: Option<String>,
    /// Your own pairs: up to 50, keys of `[A-Za-z0-9_.-]{1,64}`, values to 500 characters.
    #[schema(nullable)]
    metadata: Option<BTreeMap<String, String>>,
    /// Second name of `metadata`.
    #[schema(nullable)]
    notes: Option<BTreeMap<String, String>>,
}

/// When a subscription ends.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"cancel_at_cycle_end": true}))]
pub(crate) struct CancelSubscription {
    /// Not before what is paid for is over.
    #[schema(nullable)]
    cancel_at_cycle_end: Option<bool>,
}

/// When a subscription stops charging.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"pause_at": "now"}))]
pub(crate) struct PauseSubscription {
    /// `now` (the default) or `cycle_end`
    #[schema(nullable, pattern = "^(now|cycle_end)$")]
    pause_at: Option<String>,
}

/// Which plan a subscription follows from now on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"new_plan_id": "plan_01h455vb4pex5vsknk084sn02q"}))]
pub(crate) struct ChangePlan {
    /// The plan: `plan_…`, or the provider's id.
    #[schema(min_length = 1, max_length = 255)]
    new_plan_id: String,
    /// `true` changes at once and settles the difference where the provider does that, `false` changes
    /// at the end of the cycle; left out, it is as the provider does it.
    #[schema(nullable)]
    prorate: Option<bool>,
}

const START_DATE: &str = "start_date";

fn parse(mut fields: Fields<'_>, now: DateTime<Utc>) -> Result<Draft<Subscription>, Refusal> {
    let plan = fields.required_text_of("plan_id", 1, PLAN_LENGTH_MAX);
    let customer = objects::customer(&mut fields);
    let count = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    let total_count = count(fields.integer("total_count", 1, TOTAL_COUNT_MAX));
    let quantity = count(fields.integer("quantity", 1, QUANTITY_MAX));
    let trial_days = count(fields.integer("trial_days", 1, TRIAL_DAYS_MAX));
    let start_date = start_date(&mut fields);
    let late = objects::not_ahead(&fields, START_DATE, start_date, now);
    if trial_days.is_some() && start_date.is_some() && late.is_none() {
        let detail = "says when the first charge is, and so does start_date; give one of them";
        fields.mistake("trial_days", "conflict", detail);
    }
    let customer_notify = fields.boolean("customer_notify");
    let return_url = objects::page(&mut fields, "return_url");
    let cancel_url = objects::page(&mut fields, "cancel_url");
    let provider = objects::provider(&mut fields);
    let metadata = fields.metadata();
    let request = plan.map(|plan| SubscriptionRequest {
        plan: PlanRef {
            id: None,
            provider_ref: plan,
            state: Vec::new(),
        },
        connection_id: None,
        customer,
        total_count,
        quantity: quantity.unwrap_or(1),
        trial_days,
        start_date,
        customer_notify,
        return_url,
        cancel_url,
    });
    Ok(Draft {
        request: objects::finish(fields, request, late.as_ref())?,
        content: NoContent {},
        metadata,
        provider,
        late,
    })
}

/// A time in RFC 3339, or a day of UTC.
fn start_date(fields: &mut Fields<'_>) -> Option<DateTime<Utc>> {
    let text = fields.text(START_DATE)?;
    let day = || {
        let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?;
        Some(day.and_time(NaiveTime::MIN).and_utc())
    };
    let time = parse_time(&text).or_else(day);
    if time.is_none() {
        let detail = "must be a time in RFC 3339 form with an offset, or a day such as 2027-01-31";
        fields.mistake(START_DATE, "invalid", detail);
    }
    time
}

/// Create a subscription
///
/// The answer has a `checkout_url` on which the buyer agrees.
#[utoipa::path(
    post, path = "/v1/subscriptions", tag = "subscriptions", operation_id = "subscriptions.create",
    params(objects::IdempotencyParam),
    request_body = CreateSubscription,
    responses((status = 201, description = "The provider has taken it.", body = SubscriptionView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Subscriptions, Access::Write)?;
    let new = parse(Fields::of_body(&body)?, state.clock.now())?;
    let intent = objects::intent(write.key, CREATE, &new);
    let made = state
        .subscriptions
        .subscribe(&state.plans, &caller, &write.origin, intent, new);
    Ok(Box::pin(made).await?)
}

/// Read a subscription
///
/// While the subscription is open it is refreshed from its provider, at most once in 2 seconds.
#[utoipa::path(
    get, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "subscriptions.get",
    params(("id" = String, Path, description = "`sub_…`"), RefreshParam),
    responses((status = 200, description = "The subscription.", body = SubscriptionView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Subscriptions, Access::Read)?;
    let refresh = read_refresh(query.as_deref())?;
    let id: SubscriptionId = paths::id(&id, NOUN)?;
    Ok(Json(
        StatusCode::OK,
        state.subscriptions.get(&caller, id, refresh).await?.into(),
    ))
}

/// List subscriptions
#[utoipa::path(
    get, path = "/v1/subscriptions", tag = "subscriptions", operation_id = "subscriptions.list",
    params(ListParams),
    responses((status = 200, description = "A page, newest first.", body = inline(super::answers::List<SubscriptionView<'static>>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may(Resource::Subscriptions, Access::Read)?;
    let query = list_query::<Subscription>(query.as_deref(), SubscriptionStatus::ALL)?;
    Ok(page(state.subscriptions.list(&caller, query).await?).into_response())
}

/// Cancel a subscription
///
/// At the end of the cycle the gateway does it itself where the provider cannot.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/cancel", tag = "subscriptions", operation_id = "subscriptions.cancel",
    params(("id" = String, Path, description = "`sub_…`"), objects::IdempotencyParam),
    request_body(content = CancelSubscription, description = "May be left out."),
    responses((status = 200, description = "The subscription.", body = SubscriptionView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Subscriptions, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let moment = match fields.boolean("cancel_at_cycle_end") {
        Some(true) => Moment::CycleEnd,
        Some(false) | None => Moment::Now,
    };
    fields.finish(Some(()))?;
    let id: SubscriptionId = paths::id(&id, NOUN)?;
    let intent = objects::act_intent(write.key, CANCEL, &(id.to_string(), moment));
    let action = SubscriptionAction::Cancel(moment);
    Ok(state
        .subscriptions
        .act(&caller, &write.origin, intent, id, action)
        .await?)
}

/// Pause a subscription
///
/// At the end of the cycle the gateway does it itself where the provider cannot.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/pause", tag = "subscriptions", operation_id = "subscriptions.pause",
    params(("id" = String, Path, description = "`sub_…`"), objects::IdempotencyParam),
    request_body(content = PauseSubscription, description = "May be left out."),
    responses((status = 200, description = "The subscription.", body = SubscriptionView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn pause(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Subscriptions, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let moment = match fields.text("pause_at").as_deref() {
        None | Some("now") => Moment::Now,
        Some("cycle_end") => Moment::CycleEnd,
        Some(_) => {
            fields.mistake("pause_at", "invalid", "must be now or cycle_end");
            Moment::Now
        }
    };
    fields.finish(Some(()))?;
    let id: SubscriptionId = paths::id(&id, NOUN)?;
    let intent = objects::act_intent(write.key, PAUSE, &(id.to_string(), moment));
    let action = SubscriptionAction::Pause(moment);
    Ok(state
        .subscriptions
        .act(&caller, &write.origin, intent, id, action)
        .await?)
}

/// Resume a subscription
///
/// After a pause; also takes back what the gateway was to do at the end of the cycle.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/resume", tag = "subscriptions", operation_id = "subscriptions.resume",
    params(("id" = String, Path, description = "`sub_…`"), objects::IdempotencyParam),
    request_body(content = objects::Nothing, description = "Nothing: leave it out, or send `{}`."),
    responses((status = 200, description = "The subscription.", body = SubscriptionView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn resume(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Subscriptions, Access::Write)?;
    Fields::none(&body)?;
    let id: SubscriptionId = paths::id(&id, NOUN)?;
    let intent = objects::cancel_intent(write.key, RESUME, &id.to_string());
    let action = SubscriptionAction::Resume;
    Ok(state
        .subscriptions
        .act(&caller, &write.origin, intent, id, action)
        .await?)
}

/// Change a subscription's plan
///
/// Where the buyer has to agree first, the answer's `checkout_url` leads there.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/change_plan", tag = "subscriptions", operation_id = "subscriptions.change_plan",
    params(("id" = String, Path, description = "`sub_…`"), objects::IdempotencyParam),
    request_body = ChangePlan,
    responses((status = 200, description = "The subscription.", body = SubscriptionView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn change_plan(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Subscriptions, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let plan = fields.required_text_of("new_plan_id", 1, PLAN_LENGTH_MAX);
    let moment = fields.boolean("prorate").map(|prorate| {
        if prorate {
            Moment::Now
        } else {
            Moment::CycleEnd
        }
    });
    let plan = fields.finish(plan)?;
    let id: SubscriptionId = paths::id(&id, NOUN)?;
    let intent = objects::act_intent(write.key, CHANGE_PLAN, &(id.to_string(), &plan, moment));
    Ok(state
        .subscriptions
        .change_plan(
            &state.plans,
            &caller,
            &write.origin,
            intent,
            id,
            &plan,
            moment,
        )
        .await?)
}
