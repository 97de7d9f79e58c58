//! Takes a request's body: the right type, not too large, and not too slowly.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Version, header};
use http_body_util::BodyExt as _;
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::ConnectionId;

use super::problem::Problem;
use super::query::Query;
use super::state::AppState;
use crate::service::caller::Caller;
use crate::service::refusal::Refusal;
use held::{Bodies, Owner, Share};

pub(crate) mod held;

/// Most bodies are small.
pub(crate) const BODY_BYTES_MAX: usize = 256 << 10;
/// Of a webhook.
const WEBHOOK_BYTES_MAX: usize = 1 << 20;
/// Providers send at once; whoever does not keeps out others.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// E-mails carry attachments; the sandbox holds a few copies of one.
pub(crate) const EMAIL_BODY_BYTES_MAX: usize = 10 << 20;
/// A client that takes longer is cut off.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A body is read into a buffer that grows from this to twice its size, and so on: what is charged
/// is at most twice what was sent.
const BUFFER_BYTES_MIN: usize = 4 << 10;

/// A listener's own [`BODY_TIMEOUT`], put into its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyPatience(pub(crate) Duration);

/// A JSON body of at most `LIMIT` bytes, not yet parsed, of a request without query parameters.
#[derive(Debug)]
pub(crate) struct JsonBody<const LIMIT: usize = BODY_BYTES_MAX>(pub(crate) Bytes);

impl<const LIMIT: usize> FromRequest<AppState> for JsonBody<LIMIT> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        let version = request.version();
        let taken = match Query::none(request.uri().query()) {
            Ok(()) => take(request, &state.bodies, LIMIT).await,
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

impl FromRequest<AppState> for JsonBodyBesideQuery {
    type Rejection = Response;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Response> {
        let version = request.version();
        take(request, &state.bodies, BODY_BYTES_MAX)
            .await
            .map(Self)
            .map_err(|refusal| into_response(refusal, version))
    }
}

/// What a body must be.
#[derive(Clone, Copy)]
struct Wanted {
    limit: usize,
    patience: Duration,
    owner: Owner,
    is_media_type: fn(&HeaderValue) -> bool,
    unsupported: fn() -> Refusal,
}

/// The body of a webhook: JSON or a form.
///
/// # Errors
/// `unsupported_media_type`, `body_too_large`, `request_timeout`, `overloaded`.
pub(crate) async fn webhook(
    request: Request,
    bodies: &Bodies,
    connection: ConnectionId,
) -> Result<Bytes, Response> {
    let version = request.version();
    let wanted = Wanted {
        limit: WEBHOOK_BYTES_MAX,
        patience: WEBHOOK_TIMEOUT,
        owner: Owner::Webhook(connection),
        is_media_type: |media_type| is_json(media_type) || is_form(media_type),
        unsupported: || {
            Refusal::new(
                ErrorCode::UnsupportedMediaType,
                "A webhook is JSON or application/x-www-form-urlencoded, and not encoded.",
            )
        },
    };
    take_wanted(request, bodies, wanted)
        .await
        .map_err(|refusal| into_response(refusal, version))
}

async fn take(request: Request, bodies: &Bodies, limit: usize) -> Result<Bytes, Refusal> {
    // The guards let nobody else pass.
    let owner = match request.extensions().get::<Caller>() {
        Some(caller) => Owner::Tenant(caller.tenant),
        None => Owner::Operator,
    };
    let wanted = Wanted {
        limit,
        patience: BODY_TIMEOUT,
        owner,
        is_media_type: is_json,
        unsupported,
    };
    take_wanted(request, bodies, wanted).await
}

async fn take_wanted(request: Request, bodies: &Bodies, wanted: Wanted) -> Result<Bytes, Refusal> {
    let limit = wanted.limit;
    let unsupported = wanted.unsupported;
    let headers = request.headers();
    let media_type = headers.get(header::CONTENT_TYPE);
    let is_wanted = media_type.is_none_or(wanted.is_media_type);
    let is_encoded = headers.contains_key(header::CONTENT_ENCODING);
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    // What will be refused is not read first.
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let is_empty = declared == Some(0);
    if is_encoded || (declared.is_some() && !is_empty && !is_wanted) {
        return Err(unsupported());
    }
    let patience = match request.extensions().get::<BodyPatience>() {
        Some(BodyPatience(own)) => *own,
        None => wanted.patience,
    };
    let share = bodies.share(wanted.owner);
    let longest = declared.unwrap_or(limit);
    let read = read(request.into_body(), share, limit, longest);
    let body = match tokio::time::timeout(patience, read).await {
        Ok(read) => read?,
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
    if !body.is_empty() && !is_wanted {
        return Err(unsupported());
    }
    Ok(body)
}

/// Reads a body of probably no more than `longest` bytes, and charges what is kept of it before it
/// is kept.
async fn read(
    mut body: Body,
    mut share: Share,
    limit: usize,
    longest: usize,
) -> Result<Bytes, Refusal> {
    let mut buffer = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| {
            Refusal::new(
                ErrorCode::InvalidJson,
                "The body broke off before its end, or is not divided into chunks as HTTP asks.",
            )
        })?;
        let Ok(data) = frame.into_data() else {
            // Trailers mean nothing here.
            continue;
        };
        let length = buffer.len().saturating_add(data.len());
        if length > limit {
            return Err(too_large(limit));
        }
        if buffer.is_empty() && body.is_end_stream() {
            share.grow(length).map_err(|_full| full())?;
            return Ok(share.hold(data));
        }
        if length > share.bytes() {
            let twice = share.bytes().saturating_mul(2).max(BUFFER_BYTES_MIN);
            let room = twice.min(longest).max(length);
            share.grow(room).map_err(|_full| full())?;
            buffer.reserve(room.saturating_sub(buffer.len()));
        }
        buffer.extend_from_slice(&data);
    }
    Ok(share.hold(buffer.freeze()))
}

fn full() -> Refusal {
    Refusal::new(
        ErrorCode::Overloaded,
        "The gateway holds as many bodies as it can; nothing was taken. Try again.",
    )
    .retry_after(1)
}

/// Whoever is still sending is told that nobody will read it.
fn into_response(refusal: Refusal, version: Version) -> Response {
    let is_cut_off = matches!(
        refusal.code,
        ErrorCode::BodyTooLarge
            | ErrorCode::RequestTimeout
            | ErrorCode::InvalidJson
            | ErrorCode::Overloaded
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

fn is_form(media_type: &HeaderValue) -> bool {
    media_type.to_str().is_ok_and(|text| {
        let essence = text.split(';').next().unwrap_or_default();
        essence
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
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
