//! Lists: of tags, of referrers.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::json;

use super::super::Registry;
use super::super::asked::Asked;
use super::super::owned::parse_name;
use super::super::refusal::Refusal;
use super::super::store::ReferrerRow;
use super::{header_value, parse_digest};
use crate::package::{Descriptor, IMAGE_INDEX_TYPE};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Tags of one page.
const TAGS_MAX: u64 = 1_000;
/// Referrers of one manifest. Only its publisher can make any.
const REFERRERS_MAX: u64 = 250;
/// Of their annotations together; what does not fit is shown without.
const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    n: Option<u64>,
    #[serde(default)]
    last: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    artifact_type: Option<String>,
}

/// `GET /v2/{name}/tags/list`
pub(super) async fn tags(
    State(registry): State<Registry>,
    Path(name): Path<String>,
    Asked(page): Asked<Page>,
) -> Result<Response, Refusal> {
    let name = parse_name(&name)?;
    registry.get_name(&name).await?;
    let limit = page.n.unwrap_or(TAGS_MAX).min(TAGS_MAX);
    let mut tx = registry.0.store.read().await?;
    let mut tags = tx
        .list_tags(name.as_str(), &page.last, limit.saturating_add(1))
        .await?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = tags.len() > kept;
    tags.truncate(kept);
    // A tag has no character that would mean something in a URL.
    let next = tags
        .last()
        .filter(|_| more)
        .map(|last| format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\""));
    let mut response = Json(json!({"name": name, "tags": tags})).into_response();
    if let Some(next) = next {
        response
            .headers_mut()
            .insert(header::LINK, header_value(&next)?);
    }
    Ok(response)
}

/// `GET /v2/{name}/referrers/{digest}`
pub(super) async fn referrers(
    State(registry): State<Registry>,
    Path((name, digest)): Path<(String, String)>,
    Asked(filter): Asked<Filter>,
) -> Result<Response, Refusal> {
    let name = parse_name(&name)?;
    let digest = parse_digest(&digest)?;
    let mut tx = registry.0.store.read().await?;
    let wanted = filter.artifact_type.as_deref();
    let rows = tx
        .list_referrers(name.as_str(), digest, wanted, REFERRERS_MAX)
        .await?;
    let mut left = ANNOTATIONS_BYTES_MAX;
    let manifests: Vec<Descriptor> = rows
        .into_iter()
        .map(|mut row| {
            let bytes = row.annotations.as_ref().map_or(0, String::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => row.annotations = None,
            }
            descriptor(&row)
        })
        .collect();
    let mut response = Json(json!({
        "schemaVersion": 2,
        "mediaType": IMAGE_INDEX_TYPE,
        "manifests": manifests,
    }))
    .into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(IMAGE_INDEX_TYPE),
    );
    if wanted.is_some() {
        headers.insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}

fn descriptor(row: &ReferrerRow) -> Descriptor {
    Descriptor {
        media_type: row.media_type.clone(),
        digest: row.digest,
        size: row.bytes,
        artifact_type: row.artifact_type.clone(),
        annotations: row
            .annotations
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok()),
    }
}
