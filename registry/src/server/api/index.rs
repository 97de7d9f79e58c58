//! The index, as clients follow it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Registry;
use super::super::asked::Asked;
use super::super::log::ENTRIES_MAX;
use super::super::refusal::Refusal;

#[derive(Debug, Deserialize)]
pub(super) struct From {
    #[serde(default)]
    from: u64,
    limit: Option<u64>,
}

/// `GET /registry/v1/index/head`: the signed head, to be kept as it is.
pub(super) async fn head(State(registry): State<Registry>) -> Result<Response, Refusal> {
    let mut response = registry.signed_head().await?.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `GET /registry/v1/index/entries?from=N`: entries as texts, since their exact bytes are hashed.
pub(super) async fn entries(
    State(registry): State<Registry>,
    Asked(query): Asked<From>,
) -> Result<Json<Value>, Refusal> {
    let limit = query.limit.unwrap_or(ENTRIES_MAX);
    let entries = registry.entries(query.from, limit).await?;
    Ok(Json(json!({
        "object": "entries",
        "from": query.from,
        "entries": entries,
    })))
}
