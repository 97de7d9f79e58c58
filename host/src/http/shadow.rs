//! `/api/plugins/{id}/shadow`: a version that does not serve yet, tried with recorded calls.

use axum::extract::State;
use http::StatusCode;
use onerouter_domain::time;
use onerouter_engine::Difference;
use semver::Version;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, json};
use super::body::JsonBody;
use super::fields::Fields;
use super::openapi::{OperatorProblems, TenantParam};
use super::paths::Path;
use super::plugins::{named_version, target};
use super::problem::Problem;
use super::state::AppState;
use crate::service::caller::Operator;
use crate::service::plugins::{CALLS_MAX, ShadowCheck, ShadowedCall};
use crate::service::refusal::Refusal;

/// Calls that are made again unless another number is asked for.
pub(crate) const CALLS: u16 = 50;

/// A version that is to be tried.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"version": "1.3.0", "calls": 50}))]
pub(crate) struct CheckShadow {
    /// Which installed version. When left out: the one that the path names; for a plugin its canary, else
    /// the greatest version that has never served.
    #[schema(
        nullable,
        pattern = "^(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})(-[a-z][0-9A-Za-z]*)?$"
    )]
    version: Option<String>,
    /// How many recorded calls to make again, the newest of each tenant's operations in turns; 50 when left
    /// out.
    #[schema(nullable, minimum = 1, maximum = 100)]
    calls: Option<u16>,
}

/// What a version that does not serve yet does otherwise than the one that does. Nothing was sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShadowCheck)]
pub(crate) struct ShadowCheckView {
    /// `shadow_check`
    object: &'static str,
    /// The provider's name in paths.
    plugin: String,
    /// `ins_…` of the version that serves, whose calls they are.
    serving: String,
    /// Its number.
    serving_version: String,
    /// `ins_…` of the version that was tried.
    tried: String,
    /// Its number.
    tried_version: String,
    /// Recorded calls that were looked at. None: nothing is known of the version.
    recorded: usize,
    /// Those that went the same way.
    same: usize,
    /// Those that were not made again: they cannot be read, or there was no time for them.
    skipped: usize,
    /// How many went another way.
    different: usize,
    /// Those, the newest first.
    calls: Vec<ShadowedCallView>,
}

/// A call that went another way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShadowedCall)]
pub(crate) struct ShadowedCallView {
    /// `ten_…`
    tenant_id: String,
    /// `test` or `live`
    environment: &'static str,
    /// `sms.send`
    operation: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    recorded_at: String,
    /// How the version broke down, where it did.
    fault: Option<FaultView>,
    /// What it did otherwise.
    differences: Vec<DifferenceView>,
}

/// A breakdown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginFault)]
pub(crate) struct FaultView {
    /// `trap`, `panic`, `cpu_budget`, `memory`, `wall_timeout`, `malformed`, `other`, `host`
    kind: &'static str,
    /// What happened.
    detail: String,
}

/// Something that is not as it was.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShadowDifference)]
pub(crate) struct DifferenceView {
    /// Where: a JSON pointer. `/requests/0/body/to` is a member of the body of the first request,
    /// `/result/ok/status` one of what the adapter made of the answers.
    at: String,
    /// What was recorded; null where it is new. The first 300 characters.
    recorded: Option<String>,
    /// What it is now; null where it is gone. The first 300 characters.
    now: Option<String>,
}

impl From<ShadowCheck> for ShadowCheckView {
    fn from(check: ShadowCheck) -> Self {
        Self {
            object: "shadow_check",
            plugin: check.plugin,
            serving: check.serving.id.to_string(),
            serving_version: check.serving.version,
            tried: check.tried.id.to_string(),
            tried_version: check.tried.version,
            recorded: check.recorded,
            same: check.same,
            skipped: check.skipped,
            different: check.different.len(),
            calls: check
                .different
                .into_iter()
                .map(ShadowedCallView::from)
                .collect(),
        }
    }
}

impl From<ShadowedCall> for ShadowedCallView {
    fn from(call: ShadowedCall) -> Self {
        Self {
            tenant_id: call.tenant.to_string(),
            environment: call.environment.as_str(),
            operation: call.operation,
            recorded_at: time::to_text(call.recorded_at),
            fault: call.fault.map(|fault| FaultView {
                kind: fault.kind.as_str(),
                detail: fault.detail,
            }),
            differences: call
                .differences
                .into_iter()
                .map(|Difference { at, recorded, now }| DifferenceView { at, recorded, now })
                .collect(),
        }
    }
}

/// Try a version with recorded calls
///
/// The newest recorded calls of the version that serves are made again on the other one, against the recorded
/// answers of their providers: what it asks and what it makes of the answers is compared. Nothing is sent,
/// and what serves does not change.
#[utoipa::path(
    post, path = "/api/plugins/{id}/shadow", tag = "plugins", operation_id = "plugins.shadow",
    params(("id" = String, Path, description = "`ins_…` of a version, `plg_…`, or a plugin's name."), TenantParam),
    request_body = CheckShadow,
    responses((status = 200, description = "What differs.", body = ShadowCheckView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn check(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json, Problem> {
    let named = target(&id)?;
    let mut fields = Fields::of_body(&body)?;
    let version: Option<Version> = fields.parsed("version");
    let calls = fields.integer("calls", 1, CALLS_MAX.into());
    fields.finish(Some(()))?;
    let tried = named_version(&state, named, version).await?;
    let calls = calls.and_then(|calls| u16::try_from(calls).ok());
    // To its end, also when nobody waits for it any more: it is noted in the audit log.
    let plugins = state.plugins.clone();
    let checking = state.tasks.spawn(async move {
        plugins
            .shadow(&operator, &tried, calls.unwrap_or(CALLS))
            .await
    });
    let checked = checking
        .await
        .map_err(|error| Refusal::internal("cannot try a version", &error))??;
    Ok(json(StatusCode::OK, &ShadowCheckView::from(checked)))
}
