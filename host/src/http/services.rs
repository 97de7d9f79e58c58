//! `/api/services`

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use http::StatusCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::time;
use onerouter_manifest::{Capability, Category, FieldKind, PluginId};
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::answers::{Json, json};
use super::body::JsonBody;
use super::fields::Fields;
use super::openapi::{OperatorProblems, TenantParam};
use super::paths::Path;
use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use crate::service::caller::Operator;
use crate::service::connections::form;
use crate::service::connections::{Connect, DEFAULT_LABEL, Disconnect};
use crate::service::inbound::webhook_url;
use crate::service::refusal::Refusal;
use crate::store::ConnectionRow;

const LABEL_LENGTH_MAX: usize = 64;
/// Credentials, and settings, of one connection.
pub(crate) const FIELDS_MAX: usize = 64;
pub(crate) const ENVIRONMENT_RULE: &str = "must be test or live";

/// What a tenant gives to connect a provider.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"environment": "test", "credentials": {"api_key": "…"}, "settings": {"from_email": "Shop <hello@example.com>"}}))]
pub(crate) struct ConnectProvider {
    /// `test` or `live`: only keys of this environment reach the connection.
    #[schema(pattern = "^(test|live)$")]
    environment: String,
    /// As the plugin's manifest names them; `GET /api/services` lists them under `available`.
    credentials: BTreeMap<String, String>,
    /// As the plugin's manifest names them.
    #[schema(nullable)]
    settings: Option<BTreeMap<String, String>>,
    /// Tells several connections to one provider apart; `default` when left out.
    #[schema(
        nullable,
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9_.-]{1,64}$"
    )]
    label: Option<String>,
}

/// A tenant's connection to a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connection, example = json!({
    "id": "con_01h455vb4pex5vsknk084sn02q", "object": "connection", "environment": "test",
    "livemode": false, "service": "email", "provider": "acme", "label": "default",
    "credentials": {}, "settings": {"from_email": "Shop <hello@example.com>"}, "account": null,
    "webhook_url": "https://pay.shop.example/webhooks/acme/con_01h455vb4pex5vsknk084sn02q",
    "warnings": [], "created_at": "2026-11-23T09:30:00.000000Z", "updated_at": "2026-11-23T09:30:00.000000Z"
}))]
pub(crate) struct ConnectionView {
    /// `con_…`
    id: String,
    /// `connection`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// The category.
    service: String,
    /// The provider.
    provider: String,
    /// Tells several connections apart.
    label: String,
    /// The public fields. Secrets are never shown again.
    credentials: BTreeMap<String, String>,
    /// What was set.
    settings: BTreeMap<String, String>,
    /// The account's name at the provider, where it told one.
    account: Option<String>,
    /// Where the provider's webhooks go, to be set at the provider; `null` where its plugin reads none.
    webhook_url: Option<String>,
    /// What works only in part; told once, when the connection is made.
    warnings: Vec<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl ConnectionView {
    fn new(state: &AppState, row: ConnectionRow, warnings: Vec<String>) -> Self {
        let reads_webhooks = PluginId::try_from(row.provider.clone())
            .ok()
            .and_then(|provider| state.adapters.get(&provider))
            .is_some_and(|adapter| adapter.can(Capability::Webhooks));
        Self {
            webhook_url: reads_webhooks
                .then(|| webhook_url(&state.public_url, &row.provider, row.id)),
            id: row.id.to_string(),
            object: "connection",
            environment: row.environment.as_str(),
            livemode: row.environment.is_live(),
            service: row.category,
            provider: row.provider,
            label: row.label,
            credentials: row.public,
            settings: row.settings,
            account: row.account,
            warnings,
            created_at: time::to_text(row.created_at),
            updated_at: time::to_text(row.updated_at),
        }
    }
}

/// Connections, and what could be connected.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Services {
    /// `list`
    object: &'static str,
    /// The tenant's connections.
    data: Vec<ConnectionView>,
    /// Always false: the list is whole.
    has_more: bool,
    /// Always null.
    next_cursor: Option<String>,
    /// The providers whose plugins are installed.
    available: Vec<AvailableProvider>,
}

/// A provider that could be connected.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AvailableProvider {
    /// Name in paths.
    provider: String,
    /// Name for people.
    name: String,
    /// Version of the plugin.
    version: String,
    /// What it is for.
    services: Vec<&'static str>,
    /// What it can do.
    capabilities: Vec<&'static str>,
    /// What a tenant must give.
    credentials: Vec<FieldView>,
    /// What a tenant may set.
    settings: Vec<FieldView>,
}

/// A field of a form.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldView {
    /// Name in the request.
    name: String,
    /// Name for people.
    label: String,
    /// Whether it is never shown again.
    secret: bool,
    /// Whether it may be left out.
    optional: bool,
    /// Regular expression that the whole value must match.
    pattern: Option<String>,
    /// Where to find it.
    help: String,
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Disconnected {
    /// `connection.deleted`
    object: &'static str,
    /// How many connections.
    deleted: u64,
}

/// List connections, and the providers that could be connected
#[utoipa::path(
    get, path = "/api/services", tag = "services", operation_id = "services.list",
    params(("environment" = Option<String>, Query, description = "Only of `test` or `live`."), TenantParam),
    responses((status = 200, description = "Both lists.", body = Services), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    let mut query = Query::of(query.as_deref());
    let environment = query.parsed("environment", ENVIRONMENT_RULE, |text| text.parse().ok());
    let environment = query.finish(Some(environment))?;
    let rows = state.connections.list(operator.tenant, environment).await?;
    let data = rows
        .into_iter()
        .map(|row| ConnectionView::new(&state, row, Vec::new()))
        .collect();
    let available = available(&state);
    let services = Services {
        object: "list",
        data,
        has_more: false,
        next_cursor: None,
        available,
    };
    Ok(json(StatusCode::OK, &services))
}

fn available(state: &AppState) -> Vec<AvailableProvider> {
    state
        .connections
        .available()
        .iter()
        .map(|adapter| {
            let manifest = adapter.manifest();
            let mut services: Vec<_> = adapter
                .capabilities()
                .iter()
                .filter_map(|capability| capability.category().map(Category::as_str))
                .collect();
            services.dedup();
            AvailableProvider {
                provider: manifest.id.to_string(),
                name: manifest.name.clone(),
                version: manifest.version.to_string(),
                services,
                capabilities: adapter
                    .capabilities()
                    .iter()
                    .map(|can| can.as_str())
                    .collect(),
                credentials: manifest
                    .credentials
                    .iter()
                    .map(|field| FieldView {
                        name: field.name.clone(),
                        label: field.label.clone(),
                        secret: field.kind == FieldKind::Secret,
                        optional: field.optional,
                        pattern: field.pattern.clone(),
                        help: field.help.clone(),
                    })
                    .collect(),
                settings: manifest
                    .settings
                    .iter()
                    .map(|field| FieldView {
                        name: field.name.clone(),
                        label: field.label.clone(),
                        secret: false,
                        optional: true,
                        pattern: field.pattern.clone(),
                        help: field.help.clone(),
                    })
                    .collect(),
            }
        })
        .collect()
}

/// Connect a provider
///
/// The credentials are checked for their shape and, where the plugin can, with the provider; then
/// they are kept encrypted. Connecting again under the same label replaces them.
#[utoipa::path(
    post, path = "/api/services/{service}/{provider}/connect", tag = "services",
    operation_id = "services.connect",
    params(
        ("service" = String, Path, description = "The category: `sms`, `email`."),
        ("provider" = String, Path, description = "The provider's name."),
        TenantParam
    ),
    request_body = ConnectProvider,
    responses(
        (status = 201, description = "Connected.", body = ConnectionView),
        (status = 200, description = "The connection of this label has new credentials.", body = ConnectionView),
        OperatorProblems
    ),
    security(("operator_token" = []))
)]
pub(crate) async fn connect(
    State(state): State<AppState>,
    operator: Operator,
    Path((service, provider)): Path<(String, String)>,
    JsonBody(body): JsonBody,
) -> Result<Json, Problem> {
    let (category, provider) = names(&service, provider)?;
    let adapter = state
        .connections
        .connectable(operator.tenant, category, &provider)?;
    let mut fields = Fields::of_body(&body)?;
    let environment: Option<Environment> = fields.required_parsed("environment");
    let credentials = fields.required_pairs("credentials", FIELDS_MAX).map(secret);
    let settings = fields.pairs("settings", FIELDS_MAX).unwrap_or_default();
    let settings = settings
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let label = label(&mut fields);
    if let Some(credentials) = &credentials {
        let sorted = form::sort_credentials(adapter.manifest(), credentials);
        fields.adopt(sorted.err().unwrap_or_default());
    }
    fields.adopt(form::check_settings(adapter.manifest(), &settings));
    let (environment, credentials) = fields.finish(environment.zip(credentials))?;
    let connect = Connect {
        environment,
        label: label.unwrap_or_else(|| DEFAULT_LABEL.to_owned()),
        credentials,
        settings,
    };
    let connected = state
        .connections
        .connect(&operator, category, &provider, connect)
        .await?;
    let status = if connected.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(json(
        status,
        &ConnectionView::new(&state, connected.row, connected.warnings),
    ))
}

/// Disconnect a provider
#[utoipa::path(
    delete, path = "/api/services/{service}/{provider}", tag = "services",
    operation_id = "services.disconnect",
    params(
        ("service" = String, Path, description = "The category: `sms`, `email`."),
        ("provider" = String, Path, description = "The provider's name."),
        ("environment" = String, Query, description = "`test` or `live`"),
        ("label" = Option<String>, Query, description = "Only the connection of this label; all of the provider when left out."),
        TenantParam
    ),
    responses((status = 200, description = "Disconnected. What was sent over it can still be read.", body = Disconnected), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn disconnect(
    State(state): State<AppState>,
    operator: Operator,
    Path((service, provider)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    let mut query = Query::of(query.as_deref());
    let environment: Option<Environment> =
        query.required("environment", ENVIRONMENT_RULE, |text| text.parse().ok());
    let label = query.parsed(
        "label",
        "may hold 1 to 64 letters, digits, _, . and -",
        |text| is_label(text).then(|| text.to_owned()),
    );
    let environment = query.finish(environment)?;
    let (category, provider) = names(&service, provider)?;
    let disconnect = Disconnect {
        environment,
        category,
        provider: &provider,
        label: label.as_deref(),
    };
    let deleted = state.connections.disconnect(&operator, disconnect).await?;
    Ok(json(
        StatusCode::OK,
        &Disconnected {
            object: "connection.deleted",
            deleted,
        },
    ))
}

fn label(fields: &mut Fields<'_>) -> Option<String> {
    let label = fields.text_of("label", 1, LABEL_LENGTH_MAX)?;
    if !is_label(&label) {
        let detail = "may hold letters, digits, _, . and - only";
        fields.mistake("label", "invalid", detail);
    }
    Some(label)
}

fn secret(pairs: Vec<(String, String)>) -> BTreeMap<String, Zeroizing<String>> {
    pairs
        .into_iter()
        .map(|(name, value)| (name, Zeroizing::new(value)))
        .collect()
}

fn names(service: &str, provider: String) -> Result<(Category, PluginId), Refusal> {
    let category = Category::from_name(service).ok_or_else(|| Refusal::not_found("service"))?;
    let provider =
        PluginId::try_from(provider).map_err(|_reason| Refusal::not_found("provider"))?;
    Ok((category, provider))
}

fn is_label(text: &str) -> bool {
    (1..=LABEL_LENGTH_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}
