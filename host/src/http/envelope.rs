//! The outermost layer: what every request gets and every response has.
//!
//! One function instead of a stack of middleware, because the order matters and each part needs
//! what the others know: the request's id goes into every problem, a panic must still be counted,
//! and a refusal is rendered once.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::RequestId;
use onerouter_stages::Stage;

use super::problem::{self, Problem};
use super::server::framing;
use crate::ids;
use crate::service::refusal::Refusal;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer URLs are refused.
const URI_BYTES_MAX: usize = 8 << 10;
/// All headers of a request together, names and values.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// Who a request is, for problems and rows.
#[derive(Debug, Clone)]
pub(crate) struct RequestIdentity {
    /// Ours, time-ordered, for rows.
    pub(crate) id: RequestId,
    /// What is shown: the caller's own id where it sent a good one.
    pub(crate) shown: String,
}

pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let identity = identify(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = match admit(&request) {
        Ok(()) => {
            request.extensions_mut().insert(identity.clone());
            match AssertUnwindSafe(Stage::Authenticate.task(next.run(request)))
                .catch_unwind()
                .await
            {
                Ok(response) => response,
                Err(_panic) => {
                    // The message went to standard error with the panic itself.
                    tracing::error!(request.id = identity.shown, "a handler panicked");
                    Problem(Refusal::new(
                        ErrorCode::InternalError,
                        "Something went wrong on our side.",
                    ))
                    .into_response()
                }
            }
        }
        Err(refusal) => Problem(refusal).into_response(),
    };
    let mut response = finish(response, &method, &identity.shown);
    if let Ok(value) = HeaderValue::try_from(identity.shown.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    record(&method, route, response.status(), started, &identity.shown);
    response
}

/// A caller's own id is kept when it is harmless.
fn identify(headers: &HeaderMap) -> RequestIdentity {
    let id = RequestId::from_uuid(ids::next());
    let own = headers
        .get(X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| {
            (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        });
    RequestIdentity {
        id,
        shown: own.map_or_else(|| id.to_string(), str::to_owned),
    }
}

fn admit(request: &Request) -> Result<(), Refusal> {
    framing::check(request)?;
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if length > URI_BYTES_MAX {
        return Err(Refusal::new(
            ErrorCode::UriTooLong,
            format!("The URL has {length} bytes; {URI_BYTES_MAX} are allowed."),
        ));
    }
    let bytes: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .fold(0, usize::saturating_add);
    if bytes > HEADER_BYTES_MAX {
        return Err(Refusal::new(
            ErrorCode::HeadersTooLarge,
            format!("The headers have {bytes} bytes; {HEADER_BYTES_MAX} are allowed."),
        ));
    }
    Ok(())
}

/// Renders a refusal, whoever made it: a handler, the router, or a library underneath.
fn finish(response: Response, method: &Method, shown: &str) -> Response {
    let refusal = match response.extensions().get::<Problem>() {
        Some(Problem(refusal)) => refusal.clone(),
        None if response.status() == StatusCode::METHOD_NOT_ALLOWED => not_allowed(method),
        None => return response,
    };
    let mut rendered = problem::render(&refusal, shown);
    let own = rendered.headers().clone();
    for (name, value) in response.headers() {
        if !own.contains_key(name) && name != http::header::CONTENT_LENGTH {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    rendered
}

/// The router writes `Allow` when this layer is done.
fn not_allowed(method: &Method) -> Refusal {
    Refusal::new(
        ErrorCode::MethodNotAllowed,
        format!("{method} is not allowed here; the header Allow names what is."),
    )
}

fn record(method: &Method, route: &str, status: StatusCode, started: Instant, shown: &str) {
    let elapsed = started.elapsed();
    // Methods and routes are bounded sets: a stranger cannot grow the number of series.
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "_OTHER",
    };
    let class = match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    metrics::histogram!(
        "onerouter_http_request_duration_seconds",
        "method" => method.to_owned(), "route" => route.to_owned(), "status_class" => class,
    )
    .record(elapsed.as_secs_f64());
    tracing::debug!(
        request.id = shown,
        http.route = route,
        http.status = status.as_u16(),
        duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        "{method} {route}"
    );
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_problem_that_tells_nothing_of_it() {
        let router = Router::new()
            .route(
                "/",
                get(|| async { panic!("hunter2 in a message") as &str }),
            )
            .layer(from_fn(layer));
        let request = Request::get("/")
            .header("host", "a")
            .header(X_REQUEST_ID, "mine")
            .body(Body::empty())
            .unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[X_REQUEST_ID], "mine");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("\"code\":\"internal_error\""), "{text}");
        assert!(text.contains("\"request_id\":\"mine\""), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
