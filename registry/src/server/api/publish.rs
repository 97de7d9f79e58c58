//! Publishing, yanking, advising.

use axum::Json;
use axum::extract::{Path, Request, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, header};
use onerouter_manifest::PluginId;
use semver::{Version, VersionReq};
use serde::Deserialize;
use serde_json::Value;

use super::super::Registry;
use super::super::caller::Caller;
use super::super::catalogue::NewAdvisory;
use super::super::log::By;
use super::super::owned::parse_name;
use super::super::refusal::{Kind, Refusal};
use super::keys::Reason;
use super::views::{self, Affecting};
use crate::package::{COMPONENT_TYPE, STATEMENT_HEADER};
use crate::statement::STATEMENT_BYTES_MAX;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pushed {
    version: Version,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advise {
    affected: VersionReq,
    summary: String,
    url: Option<String>,
}

/// `POST /registry/v1/plugins/{name}/versions`: either `{"version"}` of what was pushed before, or
/// the component itself, with its statement in [`STATEMENT_HEADER`].
pub(super) async fn publish(
    State(registry): State<Registry>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let account = caller.account()?.clone();
    let name = parse_name(&name)?;
    let sent = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes() == COMPONENT_TYPE.as_bytes());
    let row = if sent {
        let sidecar = statement(request.headers())?;
        // Before the body is read: strangers need not send it.
        registry.own_name(&account, &name).await?;
        let most = registry.limits().blob_bytes_max;
        let held = registry.read_body(account.id, request, most).await?;
        let (publisher, name) = (registry.clone(), name.clone());
        let published = async move {
            let component = held.bytes();
            publisher
                .publish_sent(&account, &name, component, sidecar.into())
                .await
        };
        registry.to_the_end(Box::pin(published)).await?
    } else {
        let Pushed { version } = registry.read_json(request).await?;
        registry.publish_pushed(&account, &name, &version).await?
    };
    Ok((
        StatusCode::CREATED,
        Json(views::version(&name, &row, &Affecting::default())),
    ))
}

fn statement(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let wrong = || {
        Refusal::new(
            Kind::Invalid,
            format!("{STATEMENT_HEADER}: needs the signed statement in standard Base64"),
        )
    };
    let value = headers.get(STATEMENT_HEADER).ok_or_else(wrong)?;
    if value.len() > STATEMENT_BYTES_MAX.saturating_mul(2) {
        return Err(wrong());
    }
    STANDARD.decode(value.as_bytes()).map_err(|_error| wrong())
}

/// `POST /registry/v1/plugins/{name}/versions/{version}/yank`
pub(super) async fn yank(
    State(registry): State<Registry>,
    caller: Caller,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let (name, version) = named(&name, &version)?;
    let account = caller.account()?;
    let Reason { reason } = registry.read_json(request).await?;
    registry
        .yank(By::Publisher(account), &name, &version, Some(reason))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /registry/v1/plugins/{name}/versions/{version}/unyank`
pub(super) async fn unyank(
    State(registry): State<Registry>,
    caller: Caller,
    Path((name, version)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let (name, version) = named(&name, &version)?;
    registry
        .yank(By::Publisher(caller.account()?), &name, &version, None)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /registry/v1/plugins/{name}/advisories`
pub(super) async fn advise(
    State(registry): State<Registry>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let account = caller.account()?;
    let name = parse_name(&name)?;
    let Advise {
        affected,
        summary,
        url,
    } = registry.read_json(request).await?;
    let new = NewAdvisory {
        affected,
        summary,
        url,
    };
    let row = registry.advise(By::Publisher(account), &name, new).await?;
    Ok((StatusCode::CREATED, Json(views::advisory(&row))))
}

pub(super) fn named(name: &str, version: &str) -> Result<(PluginId, Version), Refusal> {
    let version = Version::parse(version)
        .map_err(|error| Refusal::new(Kind::Invalid, format!("\"{version}\": {error}")))?;
    Ok((parse_name(name)?, version))
}
