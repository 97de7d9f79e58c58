//! Takes a request's body: the right type, not too large, and not too slowly.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, Version, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use onerouter_domain::code::ErrorCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;
use super::query::Query;
use crate::service::refusal::Refusal;

/// Most bodies are small.
pub(crate) const BODY_BYTES_MAX: usize = 256 << 10;
/// E-mails carry attachments; the sandbox holds a few copies of one.
pub(crate) const EMAIL_BODY_BYTES_MAX: usize = 10 << 20;
/// A client that takes longer is cut off.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

const KIB: usize = 1 << 10;
/// KiB of bodies that are held at the same time: what a stranger can make us keep, however many
/// connections send slowly.
const HELD_KIB_MAX: usize = 256 << 10;

static HELD: Semaphore = Semaphore::const_new(HELD_KIB_MAX);

/// A listener's own [`BODY_TIMEOUT`], put into its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyPatience(pub(crate) Duration);

/// A part of [`HELD_KIB_MAX`], from before the first byte is read until the body is dropped.
struct Share {
    permit: SemaphorePermit<'static>,
}

impl Share {
    fn take(bytes: usize) -> Option<Self> {
        let kib = u32::try_from(bytes.div_ceil(KIB).max(1)).ok()?;
        let permit = HELD.try_acquire_many(kib).ok()?;
        let share = Self { permit };
        metrics::gauge!("onerouter_http_body_bytes_held").increment(share.bytes());
        Some(share)
    }

    fn bytes(&self) -> f64 {
        // A gauge; exact up to 2^53.
        u32::try_from(self.permit.num_permits()).map_or(0.0, |kib| f64::from(kib) * 1_024.0)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        metrics::gauge!("onerouter_http_body_bytes_held").decrement(self.bytes());
    }
}

/// A body with its share.
struct Held {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A JSON body of at most `LIMIT` bytes, not yet parsed, of a request without query parameters.
#[derive(Debug)]
pub(crate) struct JsonBody<const LIMIT: usize = BODY_BYTES_MAX>(pub(crate) Bytes);

impl<S: Send + Sync, const LIMIT: usize> FromRequest<S> for JsonBody<LIMIT> {
    type Rejection = Response;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Response> {
        let version = request.version();
        let taken = match Query::none(request.uri().query()) {
            Ok(()) => take(request, LIMIT).await,
            Err(refusal) => Err(refusal),
        };
        taken
            .map(Self)
            .map_err(|refusal| into_response(refusal, version))
    }
}

/// A JSON body, not yet parsed, of a request whose handler reads the query parameters.
#[derive(Debug)]
pub(crate) struct JsonBodyBesideQuery(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBodyBesideQuery {
    type Rejection = Response;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Response> {
        let version = request.version();
        take(request, BODY_BYTES_MAX)
            .await
            .map(Self)
            .map_err(|refusal| into_response(refusal, version))
    }
}

async fn take(request: Request, limit: usize) -> Result<Bytes, Refusal> {
    let headers = request.headers();
    let is_json = headers.get(header::CONTENT_TYPE).is_none_or(is_json);
    let is_encoded = headers.contains_key(header::CONTENT_ENCODING);
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    // What will be refused is not read first.
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let is_empty = declared == Some(0);
    if is_encoded || (declared.is_some() && !is_empty && !is_json) {
        return Err(unsupported());
    }
    let Some(share) = Share::take(declared.unwrap_or(limit)) else {
        return Err(Refusal::new(
            ErrorCode::Overloaded,
            "The gateway holds as many bodies as it can; nothing was taken. Try again.",
        )
        .retry_after(1));
    };
    let patience = match request.extensions().get::<BodyPatience>() {
        Some(BodyPatience(own)) => *own,
        None => BODY_TIMEOUT,
    };
    let read = Limited::new(request.into_body(), limit).collect();
    let body = match tokio::time::timeout(patience, read).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(limit)),
        Ok(Err(_broken)) => {
            return Err(Refusal::new(
                ErrorCode::InvalidJson,
                "The body broke off before its end, or is not divided into chunks as HTTP asks.",
            ));
        }
        Err(_elapsed) => {
            return Err(Refusal::new(
                ErrorCode::RequestTimeout,
                format!(
                    "The body did not arrive within {} seconds.",
                    patience.as_secs()
                ),
            ));
        }
    };
    if !body.is_empty() && !is_json {
        return Err(unsupported());
    }
    Ok(Bytes::from_owner(Held {
        bytes: body,
        _share: share,
    }))
}

/// Whoever is still sending is told that nobody will read it.
fn into_response(refusal: Refusal, version: Version) -> Response {
    let is_cut_off = matches!(
        refusal.code,
        ErrorCode::BodyTooLarge | ErrorCode::RequestTimeout | ErrorCode::InvalidJson
    );
    let mut response = Problem(refusal).into_response();
    if is_cut_off && version <= Version::HTTP_11 {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn is_json(media_type: &HeaderValue) -> bool {
    media_type.to_str().is_ok_and(|text| {
        let essence = text.split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

fn unsupported() -> Refusal {
    Refusal::new(
        ErrorCode::UnsupportedMediaType,
        "Send the body as JSON, not encoded, with Content-Type: application/json.",
    )
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        ErrorCode::BodyTooLarge,
        format!("The body may have at most {limit} bytes."),
    )
}
