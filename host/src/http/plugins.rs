//! `/api/plugins`: for operators.

use axum::extract::{RawQuery, State};
use http::StatusCode;
use onerouter_domain::id::TenantId;
use onerouter_domain::time;
use onerouter_manifest::PluginId;
use onerouter_registry::index::Advisory;
use onerouter_registry::{Digest, KeyId};
use semver::Version;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, List, json};
use super::body::JsonBody;
use super::fields::Fields;
use super::openapi::{OperatorProblems, TenantParam};
use super::paths::Path;
use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use crate::service::caller::Operator;
use crate::service::plugins::{
    Activation, CanaryShare, Install, InstallSource, InstalledPlugin, InstalledVersion,
    NodeStanding, Target,
};
use crate::service::refusal::{FieldMistake, Refusal};
use crate::store::KnownAdvisory;

const SOURCE_LENGTH_MAX: usize = 1_000;
/// Tenants that are named for a canary; a larger part is a percentage.
const CANARY_TENANTS_MAX: usize = 1_000;

/// A version to be installed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"source": "acme-texts@^1.2"}))]
pub(crate) struct InstallPlugin {
    /// `NAME` or `NAME@RANGE` of the marketplace registry, `oci://host/repository:tag`, or the path of a
    /// component on the gateway's machine, whose statement lies beside it as `….wasm.sig`.
    #[schema(min_length = 1, max_length = 1000)]
    source: String,
    /// A bundle on the gateway's machine that `source` is to be taken from: its folder.
    #[schema(nullable, max_length = 1000)]
    bundle: Option<String>,
    /// The id of a publisher's key that is trusted for this plugin from now on.
    #[schema(nullable, pattern = "^sha256:[0-9a-f]{64}$")]
    trust_key: Option<String>,
    /// Whether it is to serve at once; `true` when left out.
    activate: Option<bool>,
    /// Agree to what it may do more than the version that serves: the `permissions_digest` of what was read.
    /// Anything else than that is not agreed to, and waits.
    #[schema(nullable, pattern = "^sha256:[0-9a-f]{64}$")]
    approve_permissions: Option<String>,
    /// A version may follow a greater one.
    allow_downgrade: Option<bool>,
    /// Let it serve only some tenants, beside the version that serves.
    #[schema(nullable)]
    canary: Option<CanaryOf>,
}

/// Whom a canary serves.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Canary)]
pub(crate) struct CanaryOf {
    /// How many of a hundred tenants: always the same ones.
    #[schema(minimum = 0, maximum = 100)]
    percent: Option<u8>,
    /// Tenants whom it serves in any case.
    #[schema(nullable, max_items = 1000)]
    tenants: Option<Vec<TenantText>>,
}

/// A tenant's id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(value_type = String, pattern = "^ten_[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$")]
pub(crate) struct TenantText(String);

/// A version that is to serve.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"version": "1.3.0", "canary": {"percent": 10}}))]
pub(crate) struct ActivatePlugin {
    /// Which installed version. When left out: the one that the path names; for a plugin its canary, else
    /// the greatest version that has never served.
    #[schema(
        nullable,
        pattern = "^(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})\\.(0|[1-9][0-9]{0,8})(-[a-z][0-9A-Za-z]*)?$"
    )]
    version: Option<String>,
    /// Agree to what it may do more than the version that serves: the `permissions_digest` of what was read.
    #[schema(nullable, pattern = "^sha256:[0-9a-f]{64}$")]
    approve_permissions: Option<String>,
    /// Let it serve only some tenants, beside the version that serves.
    #[schema(nullable)]
    canary: Option<CanaryOf>,
}

/// A plugin that is installed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plugin)]
pub(crate) struct PluginView {
    /// `plg_…`
    id: String,
    /// `plugin`
    object: &'static str,
    /// The provider's name in paths.
    name: String,
    /// `ins_…` of the version that serves.
    active: Option<String>,
    /// `ins_…` of the version that served before; it stays loaded.
    previous: Option<String>,
    /// The version that serves some tenants.
    canary: Option<CanaryView>,
    /// Grows with every change of any plugin.
    generation: i64,
    /// Why it is as it is, where the gateway has changed it by itself.
    reason: Option<String>,
    /// The newest first.
    installations: Vec<InstallationView>,
    /// How far the gateways of this installation are.
    nodes: Vec<NodeView>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// The version that serves some tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CanaryView {
    /// `ins_…`
    installation: String,
    /// How many of a hundred tenants.
    percent: u8,
    /// Tenants whom it serves in any case.
    tenants: Vec<String>,
}

/// A version that is installed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Installation)]
pub(crate) struct InstallationView {
    /// `ins_…`
    id: String,
    /// `installation`
    object: &'static str,
    /// Its plugin's name.
    plugin: String,
    /// Name for people.
    title: String,
    /// Which version.
    version: String,
    /// `staged`, `active`, `canary`, `draining`, `retired`, `quarantined`
    state: &'static str,
    /// Why it is quarantined.
    reason: Option<String>,
    /// SHA-256 of the component.
    sha256: String,
    /// Where it came from.
    source: String,
    /// Id of the key that signed it.
    publisher_key: Option<String>,
    /// `operator`, `first_use`, `unsigned`
    trusted_by: String,
    /// What it is for.
    services: Vec<&'static str>,
    /// What it can do.
    capabilities: Vec<&'static str>,
    /// What it may do more than the version that serves, and nobody has agreed to.
    permissions_added: Vec<String>,
    /// The name of just that, for `approve_permissions`; null where there is nothing to agree to.
    permissions_digest: Option<String>,
    /// What speaks against it since it was installed. What serves goes on; a version whose key was
    /// distrusted or revoked is not activated anew.
    warnings: Vec<WarningView>,
    /// What its registry says should be known about it. It is asked every hour.
    advisories: Vec<AdvisoryView>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    installed_at: String,
    /// When it served last. RFC 3339, UTC.
    #[schema(format = DateTime)]
    activated_at: Option<String>,
}

/// Something that speaks against a version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstallationWarning)]
pub(crate) struct WarningView {
    /// `key_distrusted`, `key_revoked`, `yanked`
    kind: &'static str,
    /// In words.
    detail: String,
}

/// Something that should be known about a version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Advisory)]
pub(crate) struct AdvisoryView {
    /// Unique in its registry.
    id: String,
    /// What it is about.
    summary: String,
    /// Where more is said.
    url: Option<String>,
}

/// How far a gateway is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginNode)]
pub(crate) struct NodeView {
    /// Which one; new with each start.
    id: String,
    /// Whether it does all that is wanted of this plugin.
    current: bool,
    /// What it has loaded.
    versions: Vec<LoadedView>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    seen_at: String,
}

/// A version on one gateway.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoadedVersion)]
pub(crate) struct LoadedView {
    /// SHA-256 of the component.
    sha256: String,
    /// `active`, `canary`, `previous`, `draining`, `failed`
    state: String,
    /// Calls that run on it.
    in_flight: usize,
    /// Why it is not loaded.
    reason: Option<String>,
    /// When that is tried again, unless something changes before. RFC 3339, UTC.
    #[schema(format = DateTime)]
    retry_at: Option<String>,
}

/// Installed plugins, and what was not installed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginList {
    /// `list`
    object: &'static str,
    /// By name.
    data: Vec<PluginView>,
    /// Always false: the list is whole.
    has_more: bool,
    /// Always null.
    next_cursor: Option<String>,
    /// Files of this gateway's watched folder that were refused.
    refused: Vec<RefusedFile>,
}

/// A file that is no plugin, or may not run here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedFile {
    /// Its path.
    file: String,
    /// Why.
    reason: String,
}

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemovedPlugin {
    /// As the path named it.
    id: String,
    /// `plugin.deleted`
    object: &'static str,
    /// Always true.
    deleted: bool,
}

impl From<InstalledPlugin> for PluginView {
    fn from(plugin: InstalledPlugin) -> Self {
        Self {
            id: plugin.id.to_string(),
            object: "plugin",
            name: plugin.name,
            active: plugin.active.map(|id| id.to_string()),
            previous: plugin.previous.map(|id| id.to_string()),
            canary: plugin.canary.map(|id| CanaryView {
                installation: id.to_string(),
                percent: plugin.canary_percent,
                tenants: plugin
                    .canary_tenants
                    .iter()
                    .map(TenantId::to_string)
                    .collect(),
            }),
            generation: plugin.generation,
            reason: plugin.reason,
            installations: plugin
                .versions
                .into_iter()
                .map(|version| InstallationView::new(version, Vec::new()))
                .collect(),
            nodes: plugin.nodes.into_iter().map(NodeView::from).collect(),
            updated_at: time::to_text(plugin.changed_at),
        }
    }
}

impl InstallationView {
    fn new(version: InstalledVersion, advisories: Vec<Advisory>) -> Self {
        let InstalledVersion {
            row,
            manifest,
            capabilities,
            state,
            asked,
            warnings,
        } = version;
        let mut known = row.standing.advisories;
        // Of a bundle whose registry is not the one that is set.
        for advisory in advisories {
            if !known.iter().any(|one| one.id == advisory.id) {
                known.push(KnownAdvisory {
                    id: advisory.id,
                    summary: advisory.summary,
                    url: advisory.url,
                });
            }
        }
        let mut services: Vec<_> = capabilities
            .iter()
            .filter_map(|can| can.category())
            .map(|category| category.as_str())
            .collect();
        services.sort_unstable();
        services.dedup();
        Self {
            id: row.id.to_string(),
            object: "installation",
            plugin: row.plugin,
            title: manifest.name,
            version: row.version,
            state: state.as_str(),
            reason: row.quarantine,
            sha256: row.sha256,
            source: row.source,
            publisher_key: row.publisher_key,
            trusted_by: row.trusted_by,
            services,
            capabilities: capabilities.iter().map(|can| can.as_str()).collect(),
            permissions_added: asked.permissions,
            permissions_digest: asked.digest,
            warnings: warnings
                .into_iter()
                .map(|warning| WarningView {
                    kind: warning.kind.as_str(),
                    detail: warning.detail,
                })
                .collect(),
            advisories: known
                .into_iter()
                .map(|advisory| AdvisoryView {
                    id: advisory.id,
                    summary: advisory.summary,
                    url: advisory.url,
                })
                .collect(),
            installed_at: time::to_text(row.installed_at),
            activated_at: row.activated_at.map(time::to_text),
        }
    }
}

impl From<NodeStanding> for NodeView {
    fn from(node: NodeStanding) -> Self {
        Self {
            id: node.id.to_string(),
            current: node.is_current,
            versions: node
                .versions
                .into_iter()
                .map(|one| LoadedView {
                    sha256: one.sha256,
                    state: one.state,
                    in_flight: one.in_flight,
                    reason: one.reason,
                    retry_at: one.retry_at.map(time::to_text),
                })
                .collect(),
            seen_at: time::to_text(node.seen_at),
        }
    }
}

/// List installed plugins
#[utoipa::path(
    get, path = "/api/plugins", tag = "plugins", operation_id = "plugins.list",
    params(TenantParam),
    responses((status = 200, description = "All of them, by name.", body = PluginList), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    _operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    Query::none(query.as_deref())?;
    let List {
        object,
        data,
        has_more,
        next_cursor,
    } = List::page(
        state
            .plugins
            .list()
            .await?
            .into_iter()
            .map(PluginView::from)
            .collect(),
        None,
    );
    let refused = state.plugins.refused().into_iter();
    let refused = refused.map(|(file, reason)| RefusedFile {
        file: file.display().to_string(),
        reason,
    });
    let list = PluginList {
        object,
        data,
        has_more,
        next_cursor,
        refused: refused.collect(),
    };
    Ok(json(StatusCode::OK, &list))
}

/// Retrieve an installed plugin
#[utoipa::path(
    get, path = "/api/plugins/{id}", tag = "plugins", operation_id = "plugins.get",
    params(("id" = String, Path, description = "`plg_…`, its name, or `ins_…` of one of its versions."), TenantParam),
    responses((status = 200, description = "The plugin.", body = PluginView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    _operator: Operator,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    Query::none(query.as_deref())?;
    let plugin = state.plugins.get(&target(&id)?).await?;
    Ok(json(StatusCode::OK, &PluginView::from(plugin)))
}

/// Install a version of a plugin
///
/// Fetched, verified, compiled, probed, staged, and activated unless it may do more than the version that
/// serves: then it waits, `staged`, `permissions_added` says what there is to agree to, and
/// `permissions_digest` is how. What is refused
/// leaves nothing behind.
#[utoipa::path(
    post, path = "/api/plugins/install", tag = "plugins", operation_id = "plugins.install",
    params(TenantParam),
    request_body = InstallPlugin,
    responses(
        (status = 201, description = "The version.", body = InstallationView),
        (status = 200, description = "The same version was installed before.", body = InstallationView),
        OperatorProblems
    ),
    security(("operator_token" = []))
)]
pub(crate) async fn install(
    State(state): State<AppState>,
    operator: Operator,
    JsonBody(body): JsonBody,
) -> Result<Json, Problem> {
    let mut fields = Fields::of_body(&body)?;
    let source = fields.required_text_of("source", 1, SOURCE_LENGTH_MAX);
    let bundle = fields.text_of("bundle", 1, SOURCE_LENGTH_MAX);
    let trust_key = fields.text("trust_key").and_then(|text| {
        let key = text.parse::<KeyId>().ok();
        if key.is_none() {
            fields.mistake(
                "trust_key",
                "invalid",
                "must be the id of a publisher's key, as `onerouter plugin keygen` shows it",
            );
        }
        key
    });
    let activate = fields.boolean("activate").unwrap_or(true);
    let allow_downgrade = fields.boolean("allow_downgrade").unwrap_or(false);
    let activation = activation(&mut fields);
    let source = fields.finish(source)?;
    let install = Install {
        source: match bundle {
            Some(folder) => InstallSource::Bundle {
                folder: folder.into(),
                wanted: source,
            },
            None => InstallSource::Text(source),
        },
        trust_key,
        activate: activate.then_some(activation),
        allow_downgrade,
    };
    // To its end, also when nobody waits for it any more.
    let plugins = state.plugins.clone();
    let installing = state.tasks.spawn(async move {
        let installed = plugins.install(&operator, &install, &|_| {}).await?;
        let plugin = plugins.get(&Target::Version(installed.row.id)).await?;
        let version = plugin
            .versions
            .into_iter()
            .find(|version| version.row.id == installed.row.id)
            .ok_or_else(|| Refusal::not_found("installed version"))?;
        Ok::<_, Refusal>((installed, version))
    });
    let (installed, version) = installing
        .await
        .map_err(|error| Refusal::internal("cannot install a plugin", &error))??;
    let status = if installed.was_there {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let view = InstallationView::new(version, installed.advisories);
    Ok(json(status, &view))
}

/// Let an installed version serve
#[utoipa::path(
    post, path = "/api/plugins/{id}/activate", tag = "plugins", operation_id = "plugins.activate",
    params(("id" = String, Path, description = "`ins_…` of a version, `plg_…`, or a plugin's name."), TenantParam),
    request_body = ActivatePlugin,
    responses((status = 200, description = "The plugin.", body = PluginView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn activate(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json, Problem> {
    let target = target(&id)?;
    let mut fields = Fields::of_body(&body)?;
    let version: Option<Version> = fields.parsed("version");
    let activation = activation(&mut fields);
    fields.finish(Some(()))?;
    let target = named_version(&state, target, version).await?;
    let plugin = state
        .plugins
        .activate(&operator, &target, &activation)
        .await?;
    shown(&state, plugin.name).await
}

/// Take back what is new: the canary, else the version that serves
#[utoipa::path(
    post, path = "/api/plugins/{id}/rollback", tag = "plugins", operation_id = "plugins.rollback",
    params(("id" = String, Path, description = "`plg_…`, a plugin's name, or `ins_…` of one of its versions."), TenantParam),
    responses((status = 200, description = "The plugin.", body = PluginView), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn roll_back(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json, Problem> {
    Fields::none(&body)?;
    let plugin = state.plugins.roll_back(&operator, &target(&id)?).await?;
    shown(&state, plugin.name).await
}

/// Remove a version, or a plugin with all of them
#[utoipa::path(
    delete, path = "/api/plugins/{id}", tag = "plugins", operation_id = "plugins.remove",
    params(("id" = String, Path, description = "`ins_…` of a version that does not serve; `plg_…` or a plugin's name for all of them."), TenantParam),
    responses((status = 200, description = "Removed.", body = RemovedPlugin), OperatorProblems),
    security(("operator_token" = []))
)]
pub(crate) async fn remove(
    State(state): State<AppState>,
    operator: Operator,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    Query::none(query.as_deref())?;
    state.plugins.remove(&operator, &target(&id)?).await?;
    let removed = RemovedPlugin {
        id,
        object: "plugin.deleted",
        deleted: true,
    };
    Ok(json(StatusCode::OK, &removed))
}

async fn shown(state: &AppState, name: String) -> Result<Json, Problem> {
    let plugin = state.plugins.get(&Target::Name(name)).await?;
    Ok(json(StatusCode::OK, &PluginView::from(plugin)))
}

fn activation(fields: &mut Fields<'_>) -> Activation {
    let approve: Option<Digest> = fields.parsed("approve_permissions");
    let approve = approve.map(|digest| digest.to_string());
    let canary = fields.inner("canary").map(|mut canary| {
        let percent = canary.integer("percent", 0, 100).unwrap_or(0);
        let tenants = canary
            .list("tenants", CANARY_TENANTS_MAX)
            .unwrap_or_default();
        let mut named = Vec::with_capacity(tenants.len());
        let mut mistakes = Vec::new();
        for (pointer, value) in tenants {
            let text: Option<String> = serde_json::from_str(value.get()).ok();
            match text.and_then(|text| text.parse::<TenantId>().ok()) {
                Some(tenant) => named.push(tenant),
                None => mistakes.push(FieldMistake::new(
                    pointer,
                    "invalid",
                    "must be a tenant's id: ten_…",
                )),
            }
        }
        let share = CanaryShare {
            percent: u8::try_from(percent).unwrap_or(0),
            tenants: named,
        };
        fields.adopt(canary.end());
        fields.adopt(mistakes);
        share
    });
    Activation { canary, approve }
}

/// A version that the body may name by its number, of the plugin that the path names.
pub(super) async fn named_version(
    state: &AppState,
    target: Target,
    version: Option<Version>,
) -> Result<Target, Refusal> {
    let Some(version) = version else {
        return Ok(target);
    };
    if let Target::Version(_) = target {
        return Err(Refusal::invalid(vec![FieldMistake::new(
            "/version",
            "not_allowed",
            "the path names a version already",
        )]));
    }
    let plugin = state.plugins.get(&target).await?;
    Ok(Target::Numbered(plugin.name, version))
}

/// What a path names.
pub(super) fn target(id: &str) -> Result<Target, Refusal> {
    if let Ok(id) = id.parse() {
        return Ok(Target::Plugin(id));
    }
    if let Ok(id) = id.parse() {
        return Ok(Target::Version(id));
    }
    PluginId::try_from(id.to_owned())
        .map(|name| Target::Name(name.to_string()))
        .map_err(|_no_name| Refusal::not_found("plugin"))
}
