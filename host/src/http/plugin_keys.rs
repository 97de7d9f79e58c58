//! `/api/plugins/keys`: whose plugins run here. For operators.

use axum::extract::{RawQuery, State};
use http::StatusCode;
use onerouter_domain::time;
use onerouter_registry::KeyId;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, List, json};
use super::openapi::{OperatorProblems, TenantParam};
use super::paths::Path;
use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use crate::service::caller::Operator;
use crate::service::plugins::{PublisherKey, TrustedFor};
use crate::service::refusal::Refusal;

/// A publisher's key that is known here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginKey)]
pub(crate) struct PluginKeyView {
    /// `sha256:…`
    id: String,
    /// `plugin_key`
    object: &'static str,
    /// `trusted`, `distrusted`; `unknown` where nobody has said anything, and something that it signed is
    /// installed.
    state: &'static str,
    /// What it may sign; nothing where it is distrusted.
    trusted_for: Vec<TrustedForView>,
    /// `ins_…` of what it has signed and is installed, the oldest first. Of that, what serves goes on when
    /// the key is distrusted, with a warning.
    installations: Vec<String>,
    /// Since when it counts for nothing. RFC 3339, UTC.
    #[schema(format = DateTime)]
    distrusted_at: Option<String>,
}

/// What a key may sign, and who has said so.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginKeyTrust)]
pub(crate) struct TrustedForView {
    /// A plugin's name; null for every one that has no key of its own.
    plugin: Option<String>,
    /// `setting`, `operator`, `first_use`
    trusted_by: String,
    /// Since when; null where the settings say it. RFC 3339, UTC.
    #[schema(format = DateTime)]
    trusted_at: Option<String>,
}

impl From<PublisherKey> for PluginKeyView {
    fn from(key: PublisherKey) -> Self {
        Self {
            state: key.state(),
            id: key.id,
            object: "plugin_key",
            trusted_for: key
                .trusted_for
                .into_iter()
                .map(TrustedForView::from)
                .collect(),
            installations: key.installations.iter().map(ToString::to_string).collect(),
            distrusted_at: key.distrusted_at.map(time::to_text),
        }
    }
}

impl From<TrustedFor> for TrustedForView {
    fn from(trust: TrustedFor) -> Self {
        Self {
            plugin: trust.plugin,
            trusted_by: trust.by,
            trusted_at: trust.at.map(time::to_text),
        }
    }
}

/// List publishers' keys
#[utoipa::path(
    get, path = "/api/plugins/keys", tag = "plugins", operation_id = "plugin_keys.list",
    params(TenantParam),
    responses((status = 200, description = "All that are known here, by id.", body = List<PluginKeyView>), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    _operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    Query::none(query.as_deref())?;
    let keys = state.plugins.keys().await?.into_iter();
    let list = List::page(keys.map(PluginKeyView::from).collect(), None);
    Ok(json(StatusCode::OK, &list))
}

/// Trust a publisher's key no more
///
/// It counts for nothing from then on, whatever the settings name, and is not trusted on first use either.
/// What it has signed and what serves goes on, with a warning; it can be gone back to, but not be installed or
/// activated anew. Installing something with the key as `trust_key` trusts it again.
#[utoipa::path(
    delete, path = "/api/plugins/keys/{key_id}", tag = "plugins", operation_id = "plugin_keys.distrust",
    params(("key_id" = String, Path, description = "The key's id: `sha256:…`."), TenantParam),
    responses((status = 200, description = "The key, distrusted.", body = PluginKeyView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn distrust(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    Query::none(query.as_deref())?;
    let key: KeyId = id
        .parse()
        .map_err(|_no_id| Refusal::not_found("publisher key"))?;
    let key = state.plugins.distrust_key(&operator, key).await?;
    Ok(json(StatusCode::OK, &PluginKeyView::from(key)))
}
