//! Every refusal, and its two forms: OCI's errors under `/v2`, problem documents (RFC 9457) elsewhere.

use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::store::StoreError;

const DOCS: &str = "https://onerouter.dev/docs/registry/errors";

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BlobUnknown,
    UploadInvalid,
    UploadUnknown,
    RangeInvalid,
    DigestInvalid,
    ManifestInvalid,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    Unauthorized,
    Suspended,
    Denied,
    QuotaExceeded,
    Immutable,
    TooLarge,
    RateLimited,
    Unsupported,
    NotFound,
    Conflict,
    Invalid,
    Incompatible,
    SignatureRefused,
    CheckFailed,
    Timeout,
    Overloaded,
    Internal,
}

impl Kind {
    /// Status, OCI's code, our code, our title.
    const fn row(self) -> (u16, &'static str, &'static str, &'static str) {
        match self {
            Self::BlobUnknown => (404, "BLOB_UNKNOWN", "not_found", "There is no such blob"),
            Self::UploadInvalid => (
                400,
                "BLOB_UPLOAD_INVALID",
                "upload_invalid",
                "The upload is not valid",
            ),
            Self::UploadUnknown => (
                404,
                "BLOB_UPLOAD_UNKNOWN",
                "not_found",
                "There is no such upload",
            ),
            Self::RangeInvalid => (
                416,
                "BLOB_UPLOAD_INVALID",
                "range_invalid",
                "The range does not fit",
            ),
            Self::DigestInvalid => (
                400,
                "DIGEST_INVALID",
                "digest_invalid",
                "The digest does not fit",
            ),
            Self::ManifestInvalid => (
                400,
                "MANIFEST_INVALID",
                "manifest_invalid",
                "The manifest is not valid",
            ),
            Self::ManifestBlobUnknown => (
                404,
                "MANIFEST_BLOB_UNKNOWN",
                "not_found",
                "The manifest names what is not there",
            ),
            Self::ManifestUnknown => (
                404,
                "MANIFEST_UNKNOWN",
                "not_found",
                "There is no such manifest",
            ),
            Self::NameInvalid => (
                400,
                "NAME_INVALID",
                "name_refused",
                "The name cannot be had",
            ),
            Self::NameUnknown => (404, "NAME_UNKNOWN", "not_found", "There is no such plugin"),
            Self::Unauthorized => (401, "UNAUTHORIZED", "invalid_token", "A token is needed"),
            Self::Suspended => (403, "DENIED", "suspended", "The account is suspended"),
            Self::Denied => (403, "DENIED", "forbidden", "This is another publisher's"),
            Self::QuotaExceeded => (
                403,
                "DENIED",
                "quota_exceeded",
                "The account's quota is used up",
            ),
            Self::Immutable => (409, "DENIED", "immutable", "Versions never change"),
            Self::TooLarge => (
                413,
                "SIZE_INVALID",
                "body_too_large",
                "The body is too large",
            ),
            Self::RateLimited => (429, "TOOMANYREQUESTS", "rate_limited", "Too many requests"),
            Self::Unsupported => (
                405,
                "UNSUPPORTED",
                "method_not_allowed",
                "This is not possible here",
            ),
            Self::NotFound => (404, "NAME_UNKNOWN", "not_found", "There is no such thing"),
            Self::Conflict => (409, "DENIED", "conflict", "It is there already"),
            Self::Invalid => (
                422,
                "MANIFEST_INVALID",
                "validation_failed",
                "The request is not valid",
            ),
            Self::Incompatible => (
                422,
                "MANIFEST_INVALID",
                "incompatible_version",
                "The version breaks what it follows",
            ),
            Self::SignatureRefused => (
                422,
                "MANIFEST_INVALID",
                "signature_refused",
                "The signed statement does not hold",
            ),
            Self::CheckFailed => (
                422,
                "MANIFEST_INVALID",
                "check_failed",
                "The plugin does not pass a check",
            ),
            Self::Timeout => (
                408,
                "BLOB_UPLOAD_INVALID",
                "request_timeout",
                "The body took too long",
            ),
            Self::Overloaded => (
                503,
                "TOOMANYREQUESTS",
                "overloaded",
                "The registry has too much to do",
            ),
            Self::Internal => (
                500,
                "UNSUPPORTED",
                "internal_error",
                "Something went wrong here",
            ),
        }
    }

    fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Why a request was not done.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    kind: Kind,
    detail: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(kind: Kind, detail: impl fmt::Display) -> Self {
        Self {
            kind,
            detail: detail.to_string(),
            retry_after: None,
        }
    }

    /// What it says to people.
    pub(super) fn into_detail(self) -> String {
        self.detail
    }

    /// Whether it was decided, rather than that something broke with who knows what effect.
    pub(super) const fn is_decided(&self) -> bool {
        !matches!(self.kind, Kind::Internal | Kind::Overloaded)
    }

    pub(super) const fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Logged here, where it is handled; the client learns nothing of it.
    pub(super) fn internal(operation: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            chain = format!("{chain}: {inner}");
            source = inner.source();
        }
        tracing::error!(error = %chain, "registry: cannot {operation}");
        Self::new(Kind::Internal, "the registry failed; try again later")
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::new(Kind::Overloaded, "the registry has too much to do");
        }
        Self::from(StoreError::from(error))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::internal("use the database", &error)
    }
}

impl From<object_store::Error> for Refusal {
    fn from(error: object_store::Error) -> Self {
        Self::internal("use the blob store", &error)
    }
}

impl IntoResponse for Refusal {
    /// The body is written by [`render`], which knows what was asked for.
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes refusals in the form that belongs to the path.
pub(super) async fn render(request: Request, next: Next) -> Response {
    let is_oci = request.uri().path().starts_with("/v2");
    let mut response = next.run(request).await;
    let refusal = response.extensions_mut().remove::<Refusal>();
    let refusal = match refusal {
        Some(refusal) => refusal,
        // A path that is not even text is refused before any of ours sees it.
        None if response.status() == StatusCode::BAD_REQUEST => {
            Refusal::new(Kind::NameInvalid, "the path is not valid")
        }
        None => return response,
    };
    let (status, oci_code, code, title) = refusal.kind.row();
    let mut rendered = if is_oci {
        let error = json!({"code": oci_code, "message": refusal.detail, "detail": {"code": code}});
        Json(json!({"errors": [error]})).into_response()
    } else {
        let problem = json!({
            "type": format!("{DOCS}#{code}"),
            "title": title,
            "status": status,
            "detail": refusal.detail,
            "code": code,
            "retryable": matches!(refusal.kind, Kind::RateLimited | Kind::Overloaded | Kind::Timeout | Kind::Internal),
        });
        let mut response = Json(problem).into_response();
        let media_type = HeaderValue::from_static("application/problem+json");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        response
    };
    *rendered.status_mut() = refusal.kind.status();
    let headers = rendered.headers_mut();
    if refusal.kind == Kind::Unauthorized {
        headers.insert(header::WWW_AUTHENTICATE, super::caller::CHALLENGE);
    }
    if let Some(wait) = refusal.retry_after {
        // Rounded up: who comes a little early is refused again.
        headers.insert(header::RETRY_AFTER, wait.as_secs().saturating_add(1).into());
    }
    rendered
}
