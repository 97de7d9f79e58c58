//! `/v1/plans`

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use onerouter_domain::id::PlanId;
use onerouter_domain::money::Currency;
use onerouter_domain::payment::PlanStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, page};
use super::body::JsonBody;
use super::fields::Fields;
use super::guard::Write;
use super::money::{Amount, CurrencyCode};
use super::objects::{self, ListParams, RefreshParam, list_query, read_refresh};
use super::openapi::ClientProblems;
use super::paths::{self, Path};
use super::problem::Problem;
use super::state::AppState;
use crate::service::caller::{Access, Caller, Resource};
use crate::service::kind::NoContent;
use crate::service::objects::{Answer, Draft};
use crate::service::plan::{Interval, Plan, PlanRequest};
use crate::service::refusal::Refusal;
use crate::service::view::payment::PlanView;

const CREATE: &str = "POST /v1/plans";
/// Characters of a name.
const NAME_LENGTH_MAX: usize = 127;
/// Characters of a description.
const DESCRIPTION_LENGTH_MAX: usize = 1_000;
/// Intervals between two charges.
const INTERVAL_COUNT_MAX: i64 = 365;

/// What a subscription charges, and how often.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Pro", "amount": 499.00, "currency": "INR", "interval": "month"}))]
pub(crate) struct CreatePlan {
    /// For people.
    #[schema(min_length = 1, max_length = 127)]
    name: String,
    /// Charged each time.
    #[schema(value_type = Amount)]
    amount: f64,
    /// In which currency.
    #[schema(value_type = CurrencyCode)]
    currency: String,
    /// `day`, `week`, `month` or `year`
    #[schema(pattern = "^(day|week|month|year)$")]
    interval: String,
    /// Every so many intervals; 1 when left out.
    #[schema(nullable, minimum = 1, maximum = 365)]
    interval_count: Option<u32>,
    /// For people.
    #[schema(nullable, min_length = 1, max_length = 1000)]
    description: Option<String>,
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

fn parse(mut fields: Fields<'_>) -> Result<Draft<Plan>, Refusal> {
    let name = fields.required_text_of("name", 1, NAME_LENGTH_MAX);
    let currency: Option<Currency> = fields.required_parsed("currency");
    let amount = fields.required_money("amount", currency);
    let interval = match fields.required_text("interval").as_deref() {
        Some("day") => Some(Interval::Day),
        Some("week") => Some(Interval::Week),
        Some("month") => Some(Interval::Month),
        Some("year") => Some(Interval::Year),
        Some(_) => {
            fields.mistake("interval", "invalid", "must be day, week, month or year");
            None
        }
        None => None,
    };
    let count = fields.integer("interval_count", 1, INTERVAL_COUNT_MAX);
    let description = fields.text_of("description", 1, DESCRIPTION_LENGTH_MAX);
    let provider = objects::provider(&mut fields);
    let metadata = fields.metadata();
    let request = name
        .zip(amount)
        .zip(interval)
        .map(|((name, amount), interval)| PlanRequest {
            name,
            amount,
            interval,
            interval_count: count
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(1),
            description,
        });
    Ok(Draft {
        request: fields.finish(request)?,
        content: NoContent {},
        metadata,
        provider,
        late: None,
    })
}

/// Create a plan
#[utoipa::path(
    post, path = "/v1/plans", tag = "plans", operation_id = "plans.create",
    params(objects::IdempotencyParam),
    request_body = CreatePlan,
    responses((status = 201, description = "The provider has taken it.", body = PlanView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Plans, Access::Write)?;
    let new = parse(Fields::of_body(&body)?)?;
    let intent = objects::intent(write.key, CREATE, &new);
    Ok(state
        .plans
        .create(&caller, &write.origin, intent, new)
        .await?)
}

/// Read a plan
#[utoipa::path(
    get, path = "/v1/plans/{id}", tag = "plans", operation_id = "plans.get",
    params(("id" = String, Path, description = "`plan_…`"), RefreshParam),
    responses((status = 200, description = "The plan.", body = PlanView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Plans, Access::Read)?;
    let refresh = read_refresh(query.as_deref())?;
    let id: PlanId = paths::id(&id, "plan")?;
    Ok(Json(
        StatusCode::OK,
        state.plans.get(&caller, id, refresh).await?.into(),
    ))
}

/// List plans
#[utoipa::path(
    get, path = "/v1/plans", tag = "plans", operation_id = "plans.list",
    params(ListParams),
    responses((status = 200, description = "A page, newest first.", body = inline(super::answers::List<PlanView<'static>>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may(Resource::Plans, Access::Read)?;
    let query = list_query::<Plan>(query.as_deref(), PlanStatus::ALL)?;
    Ok(page(state.plans.list(&caller, query).await?).into_response())
}
