//! `/api/audit`

use axum::extract::{RawQuery, State};
use http::StatusCode;
use onerouter_domain::id::AuditId;
use onerouter_domain::time;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::answers::{Json, List, json, next_cursor, raw};
use super::openapi::{OperatorProblems, PageParams, TenantParam};
use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use crate::service::caller::Operator;
use crate::store::{AuditFilter, AuditRow};

/// Characters of an action or a target that is looked for.
const SOUGHT_LENGTH_MAX: usize = 200;

/// What entries are looked for by.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by hand; this is for the document")]
pub(crate) struct AuditParams {
    /// Only this action: `api_key.created`
    #[param(max_length = 200)]
    action: Option<String>,
    /// Only about this: the id of what was changed.
    #[param(max_length = 200)]
    target: Option<String>,
    /// Only made at or after this time.
    #[param(format = DateTime)]
    created_after: Option<String>,
    /// Only made before this time.
    #[param(format = DateTime)]
    created_before: Option<String>,
}

/// Something that was changed over the management API or the command line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditEntryView {
    /// `aud_…`
    id: String,
    /// `audit_entry`
    object: &'static str,
    /// Who it was: `operator_token`, `command_line`, or the id of an API key (`key_…`). More may come.
    actor: String,
    /// What was done: `api_key.created`, `connection.replaced`, …
    action: String,
    /// To what: the id of a key, a connection, a tenant or a webhook endpoint; `sms/live` of a routing
    /// policy.
    target: String,
    /// What it was, without secrets; null where it is new.
    #[schema(value_type = Option<Object>)]
    before: Option<Box<RawValue>>,
    /// What it is now, without secrets; null where it is gone.
    #[schema(value_type = Option<Object>)]
    after: Option<Box<RawValue>>,
    /// The address that the request came from; null on the command line.
    address: Option<String>,
    /// The request's `X-Request-Id`.
    request_id: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<AuditRow> for AuditEntryView {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id.to_string(),
            object: "audit_entry",
            actor: row.actor,
            action: row.action,
            target: row.target,
            before: row.before.and_then(raw),
            after: row.after.and_then(raw),
            address: row.address,
            request_id: row.request_id,
            created_at: time::to_text(row.created_at),
        }
    }
}

/// List the audit log
///
/// Every change of a tenant's keys, connections, routing and webhook endpoints: who made it, from where, and what it was
/// before and after. Entries are never changed.
#[utoipa::path(
    get, path = "/api/audit", tag = "audit", operation_id = "audit.list",
    params(PageParams, AuditParams, TenantParam),
    responses((status = 200, description = "A page, newest first.", body = inline(List<AuditEntryView>)), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    let mut query = Query::of(query.as_deref());
    let sought = |text: &str| {
        let fits = text.chars().count() <= SOUGHT_LENGTH_MAX;
        fits.then(|| text.to_owned())
    };
    let rule = "has at most 200 characters";
    let action = query.parsed("action", rule, sought);
    let target = query.parsed("target", rule, sought);
    let created_after = query.time("created_after");
    let created_before = query.time("created_before");
    let page = query.page::<AuditId>();
    let (limit, before) = query.finish(Some(page))?;
    let filter = AuditFilter {
        limit: u32::from(limit),
        before,
        action,
        target,
        created_after,
        created_before,
    };
    let mut rows = state.audit.list(operator.tenant, filter).await?;
    let next_cursor = next_cursor(&mut rows, limit, |row| row.id);
    let data = rows.into_iter().map(AuditEntryView::from).collect();
    Ok(json(StatusCode::OK, &List::page(data, next_cursor)))
}
