//! `/api/api-keys`

use axum::extract::{RawQuery, State};
use chrono::TimeDelta;
use http::StatusCode;
use ipnet::IpNet;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::ApiKeyId;
use onerouter_domain::time;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, List, json, next_cursor};
use super::body::JsonBody;
use super::fields::Fields;
use super::objects::future_time;
use super::openapi::{OperatorProblems, PageParams, TenantParam};
use super::paths::{self, Path};
use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use crate::network;
use crate::service::caller::{ALL_SCOPES, Operator, Rate, SCOPES};
use crate::service::keys::{CreateKey, CreatedKey, OVERLAP_MAX};
use crate::service::limits::{RATE_BURST, RATE_PER_SECOND};
use crate::service::tenants::NAME_LENGTH_MAX;
use crate::store::ApiKeyRow;

/// Addresses and networks of one key.
const ALLOWED_IPS_MAX: usize = 100;
/// Requests a second, and at once, that a key may be given.
const RATE_MAX: i64 = 100_000;

/// A key to be made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "shop backend", "environment": "test"}))]
pub(crate) struct CreateApiKey {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `test` or `live`
    #[schema(pattern = "^(test|live)$")]
    environment: String,
    /// What it may do: `sms:read`, `sms:write` and such a pair for everything else; all when left out,
    /// nothing when empty.
    #[schema(nullable)]
    scopes: Option<Vec<String>>,
    /// When it ends; never when left out.
    #[schema(nullable, format = DateTime)]
    expires_at: Option<String>,
    /// How often it may be used: 100 a second and 200 at once when left out.
    #[schema(nullable)]
    rate_limit: Option<RateLimitView>,
    /// From where it may be used: addresses and networks (`203.0.113.7`, `10.0.0.0/8`); from anywhere
    /// when left out, from nowhere when empty.
    #[schema(nullable, max_items = 100)]
    allowed_ips: Option<Vec<String>>,
}

/// How often a key may be used.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimitView {
    /// Sustained.
    #[schema(minimum = 1, maximum = 100_000)]
    per_second: u32,
    /// At once.
    #[schema(minimum = 1, maximum = 100_000)]
    burst: u32,
}

/// How a key is replaced.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"overlap_seconds": 3600}))]
pub(crate) struct RollApiKey {
    /// The old key works on for this long, in seconds; 86,400 when left out, 0 ends it at once.
    #[schema(nullable, minimum = 0, maximum = 2_592_000)]
    overlap_seconds: Option<u32>,
}

/// An API key, without the key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct ApiKeyView {
    /// `key_…`
    id: String,
    /// `api_key`
    object: &'static str,
    /// For people.
    name: String,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// `unf_test_` or `unf_live_`
    prefix: String,
    /// The last four characters.
    last4: String,
    /// What it may do.
    scopes: Vec<String>,
    /// How often it may be used.
    rate_limit: RateLimitView,
    /// From where it may be used; null for anywhere.
    allowed_ips: Option<Vec<String>>,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// When it was last used, to a few seconds.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// When it was revoked.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// The whole key. Only the answer to a create or roll has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<ApiKeyRow> for ApiKeyView {
    fn from(row: ApiKeyRow) -> Self {
        let all = row.scopes.iter().any(|scope| scope == ALL_SCOPES);
        Self {
            id: row.id.to_string(),
            object: "api_key",
            name: row.name,
            environment: row.environment.as_str(),
            livemode: row.environment.is_live(),
            prefix: row.prefix,
            last4: row.last4,
            scopes: if all {
                SCOPES.map(str::to_owned).to_vec()
            } else {
                row.scopes
            },
            rate_limit: RateLimitView {
                per_second: row.rate_per_second.unwrap_or(RATE_PER_SECOND),
                burst: row.rate_burst.unwrap_or(RATE_BURST),
            },
            allowed_ips: row
                .allowed_ips
                .map(|networks| networks.iter().map(IpNet::to_string).collect()),
            expires_at: row.expires_at.map(time::to_text),
            last_used_at: row.last_used_at.map(time::to_text),
            revoked_at: row.revoked_at.map(time::to_text),
            created_at: time::to_text(row.created_at),
            key: None,
        }
    }
}

impl From<CreatedKey> for ApiKeyView {
    fn from(created: CreatedKey) -> Self {
        Self {
            key: Some(created.key.expose().to_owned()),
            ..created.row.into()
        }
    }
}

/// Create an API key
#[utoipa::path(
    post, path = "/api/api-keys", tag = "api-keys", operation_id = "api_keys.create",
    params(TenantParam),
    request_body = CreateApiKey,
    responses((status = 201, description = "The key, shown this one time.", body = ApiKeyView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    operator: Operator,
    JsonBody(body): JsonBody,
) -> Result<Json, Problem> {
    let mut fields = Fields::of_body(&body)?;
    let name = fields.required_text_of("name", 1, NAME_LENGTH_MAX);
    let environment: Option<Environment> = fields.required_parsed("environment");
    let scopes: Option<Vec<Scope>> = fields.parsed_list("scopes", SCOPES.len());
    let expires_at = future_time(&mut fields, "expires_at", state.clock.now());
    let rate = rate(&mut fields);
    let allowed_ips: Option<Vec<Network>> = fields.parsed_list("allowed_ips", ALLOWED_IPS_MAX);
    let (name, environment) = fields.finish(name.zip(environment))?;
    let own = |Scope(scope): Scope| scope.to_owned();
    let new = CreateKey {
        name,
        environment,
        scopes: scopes.map(|scopes| scopes.into_iter().map(own).collect()),
        expires_at,
        rate,
        allowed_ips: allowed_ips
            .map(|networks| networks.into_iter().map(|Network(net)| net).collect()),
    };
    let created = state.keys.create(&operator, new).await?;
    Ok(json(StatusCode::CREATED, &ApiKeyView::from(created)))
}

fn rate(fields: &mut Fields<'_>) -> Option<Rate> {
    let value = fields.value("rate_limit")?;
    let mut inner = Fields::at(fields.pointer("rate_limit"), value);
    let per_second = inner.required_integer("per_second", 1, RATE_MAX);
    let burst = inner.required_integer("burst", 1, RATE_MAX);
    fields.adopt(inner.end());
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    Some(Rate {
        per_second: number(per_second)?,
        burst: number(burst)?,
    })
}

#[derive(Debug)]
struct Network(IpNet);

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = network::parse(text).map(Self);
        network.ok_or_else(|| format!("must be {}", network::RULE))
    }
}

#[derive(Debug)]
struct Scope(&'static str);

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        SCOPES
            .into_iter()
            .find(|scope| *scope == text)
            .map(Self)
            .ok_or_else(|| format!("must be one of {}", SCOPES.join(", ")))
    }
}

/// List API keys
#[utoipa::path(
    get, path = "/api/api-keys", tag = "api-keys", operation_id = "api_keys.list",
    params(PageParams, TenantParam),
    responses((status = 200, description = "A page, newest first.", body = inline(List<ApiKeyView>)), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    let mut query = Query::of(query.as_deref());
    let page = query.page::<ApiKeyId>();
    let (limit, before) = query.finish(Some(page))?;
    let mut rows = state
        .keys
        .list(operator.tenant, limit, before.map(ApiKeyId::uuid))
        .await?;
    let next_cursor = next_cursor(&mut rows, limit, |row| row.id);
    let data = rows.into_iter().map(ApiKeyView::from).collect();
    Ok(json(StatusCode::OK, &List::page(data, next_cursor)))
}

/// Revoke an API key
///
/// It stops working at once here and within a second on every other node.
#[utoipa::path(
    delete, path = "/api/api-keys/{id}", tag = "api-keys", operation_id = "api_keys.revoke",
    params(("id" = String, Path, description = "`key_…`"), TenantParam),
    responses((status = 200, description = "The revoked key.", body = ApiKeyView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn revoke(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    Query::none(query.as_deref())?;
    let id: ApiKeyId = paths::id(&id, "API key")?;
    let row = state.keys.revoke(&operator, id).await?;
    Ok(json(StatusCode::OK, &ApiKeyView::from(row)))
}

/// Roll an API key
///
/// Makes a new key with the same rights; the old one works on for the overlap.
#[utoipa::path(
    post, path = "/api/api-keys/{id}/roll", tag = "api-keys", operation_id = "api_keys.roll",
    params(("id" = String, Path, description = "`key_…`"), TenantParam),
    request_body = RollApiKey,
    responses((status = 201, description = "The new key, shown this one time.", body = ApiKeyView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn roll(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json, Problem> {
    let mut fields = Fields::of_body(&body)?;
    let overlap = fields.integer("overlap_seconds", 0, OVERLAP_MAX.num_seconds());
    let overlap = fields.finish(Some(overlap))?;
    let id: ApiKeyId = paths::id(&id, "API key")?;
    let overlap = overlap
        .and_then(TimeDelta::try_seconds)
        .unwrap_or(TimeDelta::days(1));
    let created = state.keys.roll(&operator, id, overlap).await?;
    Ok(json(StatusCode::CREATED, &ApiKeyView::from(created)))
}
