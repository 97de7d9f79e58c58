//! `/api/tenants`

use axum::extract::{RawQuery, State};
use http::StatusCode;
use onerouter_domain::id::TenantId;
use onerouter_domain::time;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, List, json, next_cursor};
use super::body::JsonBody;
use super::fields::Fields;
use super::openapi::{OperatorProblems, PageParams, TenantParam};
use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use crate::service::caller::Operator;
use crate::service::tenants::NAME_LENGTH_MAX;
use crate::store::TenantRow;

/// A tenant to be made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Acme"}))]
pub(crate) struct CreateTenant {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

/// Who owns data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(crate) struct TenantView {
    /// `ten_…`
    id: String,
    /// `tenant`
    object: &'static str,
    /// For people.
    name: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<TenantRow> for TenantView {
    fn from(row: TenantRow) -> Self {
        Self {
            id: row.id.to_string(),
            object: "tenant",
            name: row.name,
            created_at: time::to_text(row.created_at),
        }
    }
}

/// Create a tenant
#[utoipa::path(
    post, path = "/api/tenants", tag = "tenants", operation_id = "tenants.create",
    params(TenantParam),
    request_body = CreateTenant,
    responses((status = 201, description = "The tenant.", body = TenantView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    operator: Operator,
    JsonBody(body): JsonBody,
) -> Result<Json, Problem> {
    let mut fields = Fields::of_body(&body)?;
    let name = fields.required_text_of("name", 1, NAME_LENGTH_MAX);
    let name = fields.finish(name)?;
    let tenant = state.tenants.create(operator.actor, name).await?;
    Ok(json(StatusCode::CREATED, &TenantView::from(tenant)))
}

/// List tenants
#[utoipa::path(
    get, path = "/api/tenants", tag = "tenants", operation_id = "tenants.list",
    params(PageParams, TenantParam),
    responses((status = 200, description = "A page, newest first.", body = inline(List<TenantView>)), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    _operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    let mut query = Query::of(query.as_deref());
    let page = query.page::<TenantId>();
    let (limit, before) = query.finish(Some(page))?;
    let mut rows = state.tenants.list(limit, before).await?;
    let next_cursor = next_cursor(&mut rows, limit, |row| row.id);
    let data = rows.into_iter().map(TenantView::from).collect();
    Ok(json(StatusCode::OK, &List::page(data, next_cursor)))
}
