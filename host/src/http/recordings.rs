//! `/api/recordings`

use axum::extract::{RawQuery, State};
use http::StatusCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::time;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, json};
use super::body::JsonBodyBesideQuery;
use super::fields::Fields;
use super::openapi::{OperatorProblems, TenantParam};
use super::problem::Problem;
use super::query::Query;
use super::services::ENVIRONMENT_RULE;
use super::state::AppState;
use crate::service::caller::Operator;
use crate::service::recordings::{KEPT_FOR, KEPT_MAX, RecordingSetting};
use crate::service::refusal::Refusal;

/// Whether calls are to be kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": true}))]
pub(crate) struct ChooseRecordings {
    /// `false` also deletes those that were kept.
    enabled: bool,
}

/// Whether a tenant's calls to providers are kept for a while, so that a new version of a plugin can be
/// tried with them before it serves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recordings)]
pub(crate) struct RecordingsView {
    /// `recordings`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// Whether they are kept; while nobody has chosen, in `test` only.
    enabled: bool,
    /// How many are kept now.
    kept: u64,
    /// How many are kept of one operation of a plugin: the newest.
    kept_max: u16,
    /// How long each is kept, in days.
    kept_days: i64,
    /// When somebody chose. RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

impl From<RecordingSetting> for RecordingsView {
    fn from(setting: RecordingSetting) -> Self {
        Self {
            object: "recordings",
            environment: setting.environment.as_str(),
            livemode: setting.environment.is_live(),
            enabled: setting.enabled,
            kept: setting.kept,
            kept_max: KEPT_MAX,
            kept_days: KEPT_FOR.num_days(),
            updated_at: setting.updated_at.map(time::to_text),
        }
    }
}

/// Tell whether calls are recorded
#[utoipa::path(
    get, path = "/api/recordings", tag = "services", operation_id = "recordings.get",
    params(
        ("environment" = String, Query, description = "`test` or `live`", pattern = "^(test|live)$"),
        TenantParam
    ),
    responses((status = 200, description = "Whether they are, and how many.", body = RecordingsView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    let environment = environment(query.as_deref())?;
    let setting = state
        .recordings
        .setting(operator.tenant, environment)
        .await?;
    Ok(json(StatusCode::OK, &RecordingsView::from(setting)))
}

/// Choose whether calls are recorded
///
/// Some calls of each operation, with what adapters ask providers and what those answer, encrypted under the
/// tenant's key. Secrets are in none of it. Operators see of them what a new version does otherwise.
#[utoipa::path(
    put, path = "/api/recordings", tag = "services", operation_id = "recordings.put",
    params(
        ("environment" = String, Query, description = "`test` or `live`", pattern = "^(test|live)$"),
        TenantParam
    ),
    request_body = ChooseRecordings,
    responses((status = 200, description = "As it is now.", body = RecordingsView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    operator: Operator,
    RawQuery(query): RawQuery,
    JsonBodyBesideQuery(body): JsonBodyBesideQuery,
) -> Result<Json, Problem> {
    let environment = environment(query.as_deref())?;
    let mut fields = Fields::of_body(&body)?;
    let enabled = fields.required_boolean("enabled");
    let enabled = fields.finish(enabled)?;
    let setting = state
        .recordings
        .choose(&operator, environment, enabled)
        .await?;
    Ok(json(StatusCode::OK, &RecordingsView::from(setting)))
}

fn environment(query: Option<&str>) -> Result<Environment, Refusal> {
    let mut query = Query::of(query);
    let environment = query.required("environment", ENVIRONMENT_RULE, |text| text.parse().ok());
    query.finish(environment)
}
