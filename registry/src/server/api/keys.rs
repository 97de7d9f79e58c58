//! Publisher keys of a name.

use axum::Json;
use axum::extract::{Path, Request, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Registry;
use super::super::caller::Caller;
use super::super::log::By;
use super::super::owned::parse_name;
use super::super::refusal::{Kind, Refusal};
use super::views;
use crate::keys::{KeyId, PublicKey};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddKey {
    key: PublicKey,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    pub(super) reason: String,
}

/// `GET /registry/v1/plugins/{name}/keys`
pub(super) async fn list(
    State(registry): State<Registry>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let name = parse_name(&name)?;
    registry.get_name(&name).await?;
    let rows = registry
        .0
        .store
        .read()
        .await?
        .list_keys(name.as_str())
        .await?;
    Ok(views::list(rows.iter().map(views::key).collect()))
}

/// `POST /registry/v1/plugins/{name}/keys`
pub(super) async fn add(
    State(registry): State<Registry>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let account = caller.account()?;
    let name = parse_name(&name)?;
    let AddKey { key } = registry.read_json(request).await?;
    registry.add_key(account, &name, key).await?;
    let added = json!({"object": "key", "plugin": name, "key": key, "key_id": key.id()});
    Ok((StatusCode::CREATED, Json(added)))
}

/// `POST /registry/v1/plugins/{name}/keys/{key}/revoke`
pub(super) async fn revoke(
    State(registry): State<Registry>,
    caller: Caller,
    Path((name, key)): Path<(String, String)>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let account = caller.account()?;
    let name = parse_name(&name)?;
    let key: KeyId = key
        .parse()
        .map_err(|error| Refusal::new(Kind::Invalid, error))?;
    let Reason { reason } = registry.read_json(request).await?;
    registry
        .end_key(By::Publisher(account), &name, key, reason)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
