//! Uploading blobs: at once, in pieces, or by taking one from another repository.

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, StatusCode, header};
use onerouter_manifest::PluginId;
use serde::Deserialize;
use uuid::Uuid;

use super::super::Registry;
use super::super::asked::Asked;
use super::super::caller::Caller;
use super::super::owned::parse_name;
use super::super::refusal::{Kind, Refusal};
use super::super::store::UploadRow;
use super::{DIGEST_HEADER, header_value, parse_digest};
use crate::digest::Digest;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

#[derive(Debug, Deserialize)]
pub(super) struct Started {
    digest: Option<String>,
    mount: Option<String>,
    from: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Finished {
    digest: Option<String>,
}

/// `POST /v2/{name}/blobs/uploads/`, with `?digest=` and a body, with `?mount=&from=`, or plain.
pub(super) async fn start(
    State(registry): State<Registry>,
    caller: Caller,
    Path(name): Path<String>,
    Asked(query): Asked<Started>,
    request: Request,
) -> Result<Response, Refusal> {
    let account = caller.account()?.clone();
    let name = parse_name(&name)?;
    registry.claim_name(&account, &name).await?;
    if let Some(digest) = query.digest {
        let digest = parse_digest(&digest)?;
        let most = registry.limits().blob_bytes_max;
        let held = registry.read_body(account.id, request, most).await?;
        let (keeper, repository) = (registry.clone(), name.clone());
        let kept = async move {
            let bytes = held.bytes();
            keeper
                .keep_if(&account, repository.as_str(), bytes, digest)
                .await
        };
        registry.to_the_end(kept).await?;
        return created(&name, digest);
    }
    if let (Some(digest), Some(from)) = (query.mount, query.from) {
        let digest = parse_digest(&digest)?;
        // A name that cannot be, like one that has no such blob, means: upload it yourself.
        if let Ok(from) = parse_name(&from) {
            let place = registry.place(account.id).await?;
            let (keeper, account, to) = (registry.clone(), account.clone(), name.clone());
            let mounted = async move {
                let mounted = keeper.mount_blob(&account, to.as_str(), digest, from.as_str());
                let mounted = mounted.await;
                drop(place);
                mounted
            };
            if registry.to_the_end(mounted).await? {
                return created(&name, digest);
            }
        }
    }
    let id = registry.start_upload(&account, &name).await?;
    under_way(&name, id, 0, StatusCode::ACCEPTED)
}

/// `PATCH /v2/{name}/blobs/uploads/{upload}`
pub(super) async fn append(
    State(registry): State<Registry>,
    caller: Caller,
    Path((name, upload)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let account = caller.account()?.clone();
    let (name, upload) = found(&registry, &caller, &name, &upload).await?;
    in_order(request.headers(), upload.received)?;
    let most = registry.limits().blob_bytes_max;
    let held = registry.read_body(account.id, request, most).await?;
    let (keeper, id) = (registry.clone(), upload.id);
    let appended = async move {
        let bytes = held.bytes();
        keeper.append_upload(&account, &upload, bytes).await
    };
    let received = registry.to_the_end(appended).await?;
    under_way(&name, id, received, StatusCode::ACCEPTED)
}

/// `PUT /v2/{name}/blobs/uploads/{upload}?digest=`
pub(super) async fn finish(
    State(registry): State<Registry>,
    caller: Caller,
    Path((name, upload)): Path<(String, String)>,
    Asked(query): Asked<Finished>,
    request: Request,
) -> Result<Response, Refusal> {
    let account = caller.account()?.clone();
    let (name, upload) = found(&registry, &caller, &name, &upload).await?;
    let digest = query
        .digest
        .ok_or_else(|| Refusal::new(Kind::DigestInvalid, "?digest= is missing"))?;
    let digest = parse_digest(&digest)?;
    in_order(request.headers(), upload.received)?;
    let most = registry.limits().blob_bytes_max;
    let held = registry.read_body(account.id, request, most).await?;
    let keeper = registry.clone();
    let finished = async move {
        let last = held.bytes();
        keeper.finish_upload(&account, &upload, last, digest).await
    };
    registry.to_the_end(finished).await?;
    created(&name, digest)
}

/// `GET /v2/{name}/blobs/uploads/{upload}`
pub(super) async fn status(
    State(registry): State<Registry>,
    caller: Caller,
    Path((name, upload)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let (name, upload) = found(&registry, &caller, &name, &upload).await?;
    under_way(&name, upload.id, upload.received, StatusCode::NO_CONTENT)
}

/// `DELETE /v2/{name}/blobs/uploads/{upload}`
pub(super) async fn cancel(
    State(registry): State<Registry>,
    caller: Caller,
    Path((name, upload)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let (_, upload) = found(&registry, &caller, &name, &upload).await?;
    registry.cancel_upload(&upload).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn found(
    registry: &Registry,
    caller: &Caller,
    name: &str,
    upload: &str,
) -> Result<(PluginId, UploadRow), Refusal> {
    let account = caller.account()?;
    let name = parse_name(name)?;
    let id = Uuid::parse_str(upload)
        .map_err(|_error| Refusal::new(Kind::UploadUnknown, "there is no such upload"))?;
    let upload = registry.get_upload(account, &name, id).await?;
    Ok((name, upload))
}

/// A piece that says where it begins must begin where the last one ended.
fn in_order(headers: &HeaderMap, received: u64) -> Result<(), Refusal> {
    let Some(range) = headers.get(header::CONTENT_RANGE) else {
        return Ok(());
    };
    let text = range.to_str().unwrap_or_default();
    // The specification writes `0-99`; some clients write it as RFC 9110 does.
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let range = text.split('/').next().unwrap_or(text);
    let start = range
        .split_once('-')
        .and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?)))
        .filter(|(first, last)| first <= last)
        .map(|(first, _)| first);
    match start {
        Some(start) if start == received => Ok(()),
        _ => Err(Refusal::new(
            Kind::RangeInvalid,
            format!("{received} bytes have come; the next piece must begin there"),
        )),
    }
}

fn created(name: &PluginId, digest: Digest) -> Result<Response, Refusal> {
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    let location = format!("/v2/{name}/blobs/{digest}");
    headers.insert(header::LOCATION, header_value(&location)?);
    headers.insert(DIGEST_HEADER, header_value(&digest.to_string())?);
    Ok(response)
}

fn under_way(
    name: &PluginId,
    id: Uuid,
    received: u64,
    status: StatusCode,
) -> Result<Response, Refusal> {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    let location = format!("/v2/{name}/blobs/uploads/{id}");
    headers.insert(header::LOCATION, header_value(&location)?);
    headers.insert(UPLOAD_ID, header_value(&id.to_string())?);
    // The last byte's place; so for nothing it is what Docker's registry has always said.
    let range = format!("0-{}", received.saturating_sub(1));
    headers.insert(header::RANGE, header_value(&range)?);
    Ok(response)
}
