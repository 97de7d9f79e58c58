//! Takes a request's body: the right type, not too large, and not too slowly.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use onerouter_domain::code::ErrorCode;

use super::problem::Problem;
use super::query::Query;
use crate::service::refusal::Refusal;

/// Most bodies are small.
pub(crate) const BODY_BYTES_MAX: usize = 256 << 10;
/// E-mails carry attachments; the sandbox holds a few copies of one.
pub(crate) const EMAIL_BODY_BYTES_MAX: usize = 10 << 20;
/// A client that takes longer is cut off.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

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
        Ok(Self(body))
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        ErrorCode::BodyTooLarge,
        format!("The body may have at most {limit} bytes."),
    )
}
