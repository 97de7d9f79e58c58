//! `/webhooks/{provider}/{connection_id}`: providers call this. No API key; who they are is told by what
//! they sign.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ipnet::IpNet;
use onerouter_domain::id::ConnectionId;

use super::body;
use super::client_address::Peer;
use super::openapi::WebhookProblems;
use super::paths::{self, Path};
use super::problem::Problem;
use super::state::AppState;
use crate::service::inbound::{Arrived, Reply};

const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Take a provider's webhook
///
/// For providers. What is signed as the provider signs is kept, and answered with 200 before anybody else
/// hears of it; the same webhook again is answered alike and does nothing. The address of a connection's
/// webhook stands beside the connection in `GET /api/services`.
#[utoipa::path(
    post, path = "/webhooks/{provider}/{connection_id}", tag = "webhooks", operation_id = "webhooks.receive",
    security(()),
    params(
        ("provider" = String, Path, description = "The provider"),
        ("connection_id" = String, Path, description = "`con_…`"),
    ),
    request_body(
        content((Object = "application/json"), (Object = "application/x-www-form-urlencoded")),
        description = "Whatever the provider sends, at most 1 MiB",
    ),
    responses(
        (status = 200, description = "It is kept. The body, if there is one, is what the provider wants to hear"),
        WebhookProblems
    )
)]
pub(crate) async fn receive(
    State(state): State<AppState>,
    Path((provider, connection)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Response> {
    let refused = |refusal| Problem(refusal).into_response();
    let connection: ConnectionId = paths::id(&connection, "webhook").map_err(refused)?;
    let addressee = state.inbound.addressee(&provider, connection).await;
    let addressee = addressee.map_err(refused)?;
    let (urls, query) = (urls(&state, &request), query(&request));
    let headers = request.headers().clone();
    let body = body::webhook(request, &state.bodies, connection).await;
    let body = body.inspect_err(|_refused| addressee.count_untaken())?;
    let arrived = Arrived {
        urls,
        query,
        headers,
        body,
    };
    let reply = state.inbound.receive(addressee, arrived).await;
    reply.map(into_response).map_err(refused)
}

fn query(request: &Request) -> String {
    request.uri().query().unwrap_or_default().to_owned()
}

/// The URLs under which a provider may have called: below the public one, where the operator has named it;
/// else below the one that was asked for, by the word of a trusted proxy or of the request itself.
fn urls(state: &AppState, request: &Request) -> Vec<String> {
    let path = request.uri().path_and_query();
    let path = path.map_or("/", http::uri::PathAndQuery::as_str);
    let base = state.public_url.trim_end_matches('/');
    let mut urls = vec![format!("{base}{path}")];
    if !state.has_public_url
        && let Some(asked) = asked_for(request, &state.trusted_proxies)
    {
        urls.push(format!("{asked}{path}"));
    }
    urls
}

/// Scheme and host of a request, as its client has written them.
fn asked_for(request: &Request, trusted: &[IpNet]) -> Option<String> {
    let headers = request.headers();
    let Peer(peer) = request.extensions().get::<Peer>().copied()?;
    let is_trusted = trusted
        .iter()
        .any(|network| network.contains(&peer.to_canonical()));
    let forwarded = |name| {
        is_trusted
            .then(|| first(headers, name))
            .flatten()
            .map(str::to_owned)
    };
    let scheme = forwarded(X_FORWARDED_PROTO).unwrap_or_else(|| "http".to_owned());
    let host = forwarded(X_FORWARDED_HOST).or_else(|| {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
            .map(str::to_owned)
    })?;
    matches!(scheme.as_str(), "http" | "https").then(|| format!("{scheme}://{host}"))
}

/// The nearest proxy's word.
fn first<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get_all(name).iter().next_back()?;
    let word = value.to_str().ok()?.rsplit(',').next()?.trim();
    (!word.is_empty()).then_some(word)
}

fn into_response(reply: Reply) -> Response {
    let Some((content_type, body)) = reply.content else {
        return StatusCode::OK.into_response();
    };
    let mut response = (StatusCode::OK, body).into_response();
    if let Ok(content_type) = HeaderValue::try_from(format!("{content_type}; charset=utf-8")) {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
    }
    response
}
