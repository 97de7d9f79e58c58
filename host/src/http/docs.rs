//! `/openapi.json` and `/docs`, served from the binary.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use onerouter_domain::code::ErrorCode;
use utoipa_swagger_ui::{Config, serve};

use super::answers::Json;
use super::paths::Path;
use super::problem::Problem;
use super::state::AppState;
use crate::service::refusal::Refusal;

/// Everything that the page loads comes from here; it styles its own elements.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
const API_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

pub(crate) fn routes(document: &utoipa::openapi::OpenApi) -> Router<AppState> {
    let text: Bytes = document.to_json().unwrap_or_default().into();
    // Its default asks a server on the internet whether the document is valid.
    let config = Arc::new(Config::from("/openapi.json").validator_url("none"));
    let index = Arc::clone(&config);
    Router::new()
        .route(
            "/openapi.json",
            get(move || {
                let text = text.clone();
                async move { Json(StatusCode::OK, text) }
            }),
        )
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(move || async move { file("", index) }))
        .route(
            "/docs/{*path}",
            get(move |Path(path): Path<String>| async move { file(&path, config) }),
        )
}

fn file(path: &str, config: Arc<Config<'static>>) -> Response {
    match serve(path, config) {
        Ok(Some(file)) => {
            let mut response = file.bytes.into_owned().into_response();
            if let Ok(kind) = HeaderValue::try_from(file.content_type) {
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            response
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, DOCS_POLICY);
            response
        }
        Ok(None) => {
            Problem(Refusal::new(ErrorCode::NotFound, "There is no such page.")).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "cannot serve the documentation");
            Problem(Refusal::new(
                ErrorCode::InternalError,
                "The page cannot be served.",
            ))
            .into_response()
        }
    }
}

/// What every response tells a browser.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(API_POLICY);
    headers
        .entry(HeaderName::from_static("cache-control"))
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
