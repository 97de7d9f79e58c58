//! The OCI distribution specification, version 1.1: <https://github.com/opencontainers/distribution-spec>.
//!
//! A repository is a plugin's name: one component of a path. Whatever else a path could name does
//! not exist here.

mod blobs;
mod listing;
mod manifests;
mod uploads;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::Registry;
use super::caller::{CHALLENGE, Caller};
use super::refusal::{Kind, Refusal};
use crate::digest::{Digest, InvalidDigest};

const DIGEST_HEADER: HeaderName = HeaderName::from_static("docker-content-digest");

pub(super) fn routes() -> Router<Registry> {
    let routes = Router::new()
        .route("/", get(base))
        .route("/{name}/blobs/uploads", post(uploads::start))
        .route("/{name}/blobs/uploads/", post(uploads::start))
        .route(
            "/{name}/blobs/uploads/{upload}",
            patch(uploads::append)
                .put(uploads::finish)
                .get(uploads::status)
                .delete(uploads::cancel),
        )
        .route("/{name}/blobs/{digest}", get(blobs::read))
        .route(
            "/{name}/manifests/{reference}",
            get(manifests::read)
                .put(manifests::put)
                .delete(manifests::delete),
        )
        .route("/{name}/tags/list", get(listing::tags))
        .route("/{name}/referrers/{digest}", get(listing::referrers))
        .method_not_allowed_fallback(unsupported)
        .fallback(elsewhere);
    // Nested, so that the fallback is for these paths alone.
    Router::new().route("/v2/", get(base)).nest("/v2", routes)
}

/// Says that this is a registry. Clients learn here how to log in, also those that come without a
/// token and may read.
async fn base(_: Caller) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static("docker-distribution-api-version"),
        HeaderValue::from_static("registry/2.0"),
    );
    headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
    response
}

async fn unsupported() -> Refusal {
    Refusal::new(Kind::Unsupported, "this cannot be done here")
}

async fn elsewhere() -> Refusal {
    Refusal::new(
        Kind::NameInvalid,
        "there is nothing here; a repository is a plugin's name, without slashes",
    )
}

fn parse_digest(text: &str) -> Result<Digest, Refusal> {
    text.parse()
        .map_err(|error: InvalidDigest| Refusal::new(Kind::DigestInvalid, error))
}

/// A text of ours as a header.
fn header_value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text).map_err(|error| Refusal::internal("write a header", &error))
}
