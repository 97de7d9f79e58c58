//! Which registry this is, and who is calling.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::Registry;
use super::super::caller::Caller;
use super::super::refusal::Refusal;

/// `GET /registry/v1`
pub(super) async fn about(State(registry): State<Registry>) -> Json<Value> {
    let key = registry.key();
    Json(json!({
        "object": "registry",
        "key": key,
        "key_id": key.id(),
        "blob_bytes_max": registry.limits().blob_bytes_max,
    }))
}

/// `GET /registry/v1/account`
pub(super) async fn own(
    State(registry): State<Registry>,
    caller: Caller,
) -> Result<Json<Value>, Refusal> {
    let account = caller.account()?;
    let mut tx = registry.0.store.read().await?;
    let bytes = tx.sum_bytes(account.id).await?;
    let names = tx.count_names(account.id).await?;
    Ok(Json(json!({
        "object": "account",
        "name": account.name,
        "bytes": bytes,
        "bytes_max": account.blob_bytes_max,
        "names": names,
        "names_max": account.names_max,
        "created_at": account.created_at,
    })))
}
