//! Takes a request's body: the right type, not too large, and not too slowly.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header;
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

/// A body with its share of [`HELD_KIB_MAX`].
struct Held {
    bytes: Bytes,
    _permit: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A JSON body of at most `LIMIT` bytes, not yet parsed. No route that takes one takes a query
/// parameter too.
#[derive(Debug)]
pub(crate) struct JsonBody<const LIMIT: usize = BODY_BYTES_MAX>(pub(crate) Bytes);

impl<S: Send + Sync, const LIMIT: usize> FromRequest<S> for JsonBody<LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        Query::none(request.uri().query())?;
        let media_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let encoded = request.headers().contains_key(header::CONTENT_ENCODING);
        let declared = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > LIMIT) {
            return Err(too_large(LIMIT).into());
        }
        let reserved = declared.unwrap_or(LIMIT).div_ceil(KIB).max(1);
        let Ok(permit) = HELD.try_acquire_many(u32::try_from(reserved).unwrap_or(u32::MAX)) else {
            return Err(Refusal::new(
                ErrorCode::Overloaded,
                "The gateway holds as many bodies as it can; nothing was taken. Try again.",
            )
            .retry_after(1)
            .into());
        };
        let read = Limited::new(request.into_body(), LIMIT).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, read).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(LIMIT).into()),
            Ok(Err(_broken)) => {
                return Err(Refusal::new(
                    ErrorCode::InvalidJson,
                    "The body broke off before its end.",
                )
                .into());
            }
            Err(_elapsed) => {
                return Err(Refusal::new(
                    ErrorCode::RequestTimeout,
                    format!(
                        "The body did not arrive within {} seconds.",
                        BODY_TIMEOUT.as_secs()
                    ),
                )
                .into());
            }
        };
        let is_json = media_type.as_ref().is_none_or(|value| {
            value.to_str().is_ok_and(|text| {
                let essence = text
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_ascii_lowercase();
                essence == "application/json"
                    || (essence.starts_with("application/") && essence.ends_with("+json"))
            })
        });
        if encoded || (!body.is_empty() && !is_json) {
            return Err(Refusal::new(
                ErrorCode::UnsupportedMediaType,
                "Send the body as JSON, not encoded, with Content-Type: application/json.",
            )
            .into());
        }
        Ok(Self(Bytes::from_owner(Held {
            bytes: body,
            _permit: permit,
        })))
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        ErrorCode::BodyTooLarge,
        format!("The body may have at most {limit} bytes."),
    )
}
