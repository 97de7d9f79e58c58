//! `/api/marketplace`: what could be installed, as the marketplace registry says.

use axum::extract::{RawQuery, State};
use http::StatusCode;
use onerouter_domain::code::ErrorCode;
use onerouter_manifest::PluginId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answers::{Json, json};
use super::openapi::{OperatorProblems, TenantParam};
use super::paths::Path;
use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use crate::service::caller::Operator;
use crate::service::plugins::MarketplaceSearch;
use crate::service::refusal::Refusal;

const TEXT_LENGTH_MAX: usize = 100;
const CURSOR_LENGTH_MAX: usize = 500;

/// Plugins of the registry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Marketplace {
    /// `list`
    object: &'static str,
    /// The ones with the most downloads first.
    data: Vec<Offer>,
    /// Whether there are more.
    has_more: bool,
    /// Send it as `cursor` to get them.
    next_cursor: Option<String>,
}

/// A plugin of the registry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Offer {
    /// As the registry shows it.
    #[schema(value_type = Object)]
    plugin: Value,
    /// The version that serves here, if one does.
    installed_version: Option<String>,
}

/// What is searched for.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "for the document; the query is read by hand")]
pub(crate) struct SearchParams {
    /// Words that name or describe it.
    #[param(max_length = 100)]
    q: Option<String>,
    /// `sms`, `email`, `payments`.
    #[param(pattern = "^(sms|email|payments)$")]
    category: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    #[param(max_length = 500)]
    cursor: Option<String>,
}

/// Search the marketplace
#[utoipa::path(
    get, path = "/api/marketplace", tag = "marketplace", operation_id = "marketplace.list",
    params(SearchParams, TenantParam),
    responses((status = 200, description = "A page.", body = Marketplace), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    _operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    let mut query = Query::of(query.as_deref());
    let words = |name: &str, most: usize, query: &mut Query| {
        query.parsed(name, "is too long", |text| {
            (text.chars().count() <= most).then(|| text.to_owned())
        })
    };
    let search = MarketplaceSearch {
        text: words("q", TEXT_LENGTH_MAX, &mut query),
        cursor: words("cursor", CURSOR_LENGTH_MAX, &mut query),
        category: query.parsed("category", "must be sms, email or payments", |text| {
            onerouter_manifest::Category::from_name(text)
        }),
        limit: query.parsed("limit", "must be 1 to 100", |text| {
            text.parse().ok().filter(|limit| (1..=100).contains(limit))
        }),
    };
    let search = query.finish(Some(search))?;
    let mut page = state.plugins.search(&search).await?;
    let installed = state.plugins.list().await?;
    let version_of = |plugin: &Value| {
        let name = plugin.get("name").and_then(Value::as_str)?;
        let known = installed.iter().find(|known| known.name == name)?;
        let mut versions = known.versions.iter();
        let active = versions.find(|version| Some(version.row.id) == known.active)?;
        Some(active.row.version.clone())
    };
    let data = page.get_mut("data").map(Value::take).unwrap_or_default();
    let Value::Array(data) = data else {
        return Err(nonsense().into());
    };
    let cursor = page.get("next_cursor").and_then(Value::as_str);
    let list = Marketplace {
        object: "list",
        data: data
            .into_iter()
            .map(|plugin| Offer {
                installed_version: version_of(&plugin),
                plugin,
            })
            .collect(),
        has_more: cursor.is_some(),
        next_cursor: cursor.map(str::to_owned),
    };
    Ok(json(StatusCode::OK, &list))
}

/// Retrieve a plugin's page of the marketplace
#[utoipa::path(
    get, path = "/api/marketplace/{plugin}", tag = "marketplace", operation_id = "marketplace.get",
    params(("plugin" = String, Path, description = "Its name."), TenantParam),
    responses((status = 200, description = "The plugin, with its versions, keys and advisories.", body = Offer), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    _operator: Operator,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    Query::none(query.as_deref())?;
    let name = PluginId::try_from(name).map_err(|_no_name| Refusal::not_found("plugin"))?;
    let plugin = state.plugins.page(&name).await?;
    let installed = state.plugins.list().await?;
    let known = installed.iter().find(|known| known.name == name.as_str());
    let installed_version = known.and_then(|known| {
        let mut versions = known.versions.iter();
        let active = versions.find(|version| Some(version.row.id) == known.active)?;
        Some(active.row.version.clone())
    });
    let offer = Offer {
        plugin,
        installed_version,
    };
    Ok(json(StatusCode::OK, &offer))
}

fn nonsense() -> Refusal {
    Refusal::new(
        ErrorCode::Overloaded,
        "The marketplace registry gives an answer that cannot be read.",
    )
}
