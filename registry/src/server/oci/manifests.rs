//! Putting, reading and deleting manifests.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, Method, StatusCode, header};

use super::super::Registry;
use super::super::caller::Caller;
use super::super::manifests::Reference;
use super::super::owned::parse_name;
use super::super::refusal::{Kind, Refusal};
use super::{DIGEST_HEADER, header_value};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// `GET` and `HEAD /v2/{name}/manifests/{reference}`
pub(super) async fn read(
    State(registry): State<Registry>,
    Path((name, reference)): Path<(String, String)>,
    method: Method,
) -> Result<Response, Refusal> {
    let name = parse_name(&name)?;
    let reference = Reference::parse(&reference)?;
    let row = registry.get_manifest(&name, &reference).await?;
    let length = row.body.len();
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        row.body.into()
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header_value(&row.media_type)?);
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(DIGEST_HEADER, header_value(&row.digest.to_string())?);
    Ok(response)
}

/// `PUT /v2/{name}/manifests/{reference}`
pub(super) async fn put(
    State(registry): State<Registry>,
    caller: Caller,
    Path((name, reference)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let account = caller.account()?;
    let name = parse_name(&name)?;
    let reference = Reference::parse(&reference)?;
    registry.claim_name(account, &name).await?;
    let media_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or(value).trim().to_owned())
        .ok_or_else(|| Refusal::new(Kind::ManifestInvalid, "Content-Type is missing"))?;
    let most = registry.limits().manifest_bytes_max;
    let held = registry.read_body(account.id, request, most).await?;
    let row = registry
        .put_manifest(account, &name, &reference, (&media_type, held.bytes()))
        .await?;
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    let location = format!("/v2/{name}/manifests/{}", row.digest);
    headers.insert(header::LOCATION, header_value(&location)?);
    headers.insert(DIGEST_HEADER, header_value(&row.digest.to_string())?);
    if let Some(subject) = row.subject {
        headers.insert(SUBJECT, header_value(&subject.to_string())?);
    }
    Ok(response)
}

/// `DELETE /v2/{name}/manifests/{reference}`
pub(super) async fn delete(
    State(registry): State<Registry>,
    caller: Caller,
    Path((name, reference)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let name = parse_name(&name)?;
    registry.own_name(caller.account()?, &name).await?;
    match Reference::parse(&reference)? {
        Reference::Tag(tag) => registry.delete_tag(&name, &tag).await?,
        Reference::Digest(digest) => registry.delete_manifest(&name, digest).await?,
    }
    Ok(StatusCode::ACCEPTED)
}
