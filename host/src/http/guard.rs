//! Who may pass: API keys on `/v1`, the operator's token on `/api`.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::idempotency::IdempotencyKey;
use onerouter_stages::Stage;
use serde::Serialize;
use tokio::time::Instant;

use super::client_address::{self, Peer};
use super::envelope::RequestIdentity;
use super::objects::act_intent;
use super::problem::Problem;
use super::state::AppState;
use crate::service::audit::{Actor, Proof};
use crate::service::caller::{Caller, Operator, Origin};
use crate::service::limits::Allowance;
use crate::service::objects::{Intent, REQUEST_DEADLINE};
use crate::service::refusal::{FieldMistake, Refusal};
use crate::service::webhooks::Asked;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const ONEROUTER_TENANT: &str = "onerouter-tenant";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Authenticates a client's request, counts it against the key's limit, and writes the limit's
/// headers into the response.
pub(crate) async fn client(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = address(&state, &request);
    let caller = match authorization(request.headers()) {
        Ok(authorization) => state.authentication.caller(authorization, address).await,
        Err(refusal) => Err(refusal),
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(refusal) => return Problem(refusal).into_response(),
    };
    let (allowance, admitted) = state.limits.admit(&caller).await;
    let mut response = match admitted {
        Ok(()) => {
            let extensions = request.extensions_mut();
            extensions.insert(caller);
            extensions.insert(ClientAddress(address));
            Stage::Parse.begin();
            next.run(request).await
        }
        Err(refusal) => Problem(refusal).into_response(),
    };
    Stage::Answer.begin();
    write_allowance(response.headers_mut(), allowance);
    response
}

/// Authenticates an operator's request.
pub(crate) async fn operator(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let identity = request.extensions().get::<RequestIdentity>();
    let actor = Actor {
        proof: Proof::Token,
        address: address(&state, &request),
        request: identity.map(|identity| identity.shown.as_str().into()),
    };
    let checked = async {
        // Who is asking comes first: a stranger learns nothing about tenants.
        let token = state
            .authentication
            .operator_token(authorization(headers)?)?;
        let tenant = match single(headers, ONEROUTER_TENANT, "OneRouter-Tenant")? {
            Some(text) => Some(
                text.parse()
                    .map_err(|error| invalid_header("OneRouter-Tenant", format!("is {error}")))?,
            ),
            None => None,
        };
        state.authentication.operator(token, tenant, actor).await
    };
    match checked.await {
        Ok(operator) => {
            request.extensions_mut().insert(operator);
            next.run(request).await
        }
        Err(refusal) => Problem(refusal).into_response(),
    }
}

fn address(state: &AppState, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>()?;
    let headers = request.headers();
    Some(client_address::of(*peer, headers, &state.trusted_proxies))
}

fn write_allowance(headers: &mut HeaderMap, allowance: Allowance) {
    let Allowance {
        rate,
        remaining,
        reset_s,
    } = allowance;
    let policy = format!("\"default\";q={};w={}", rate.burst, rate.window_s());
    let state = format!("\"default\";r={remaining};t={reset_s}");
    for (name, value) in [(RATELIMIT_POLICY, policy), (RATELIMIT, state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

fn authorization(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    single(headers, header::AUTHORIZATION.as_str(), "Authorization")
}

/// A header that may stand there once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &str, shown: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(invalid_header(shown, "stands there more than once"));
    }
    match first.map(HeaderValue::to_str) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(invalid_header(
            shown,
            "may hold printable ASCII characters only",
        )),
    }
}

fn invalid_header(name: &str, detail: impl Into<String>) -> Refusal {
    let detail = detail.into();
    Refusal {
        errors: vec![FieldMistake::new(name, "invalid", detail.clone())],
        ..Refusal::new(
            ErrorCode::InvalidHeader,
            format!("The header {name} {detail}."),
        )
    }
}

/// The caller that `client` has let in.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| unguarded().into())
    }
}

/// Where a client's request came from.
#[derive(Debug, Clone, Copy)]
struct ClientAddress(Option<IpAddr>);

/// Whoever has a client's key, for the audit log.
impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let extensions = &parts.extensions;
        let caller = extensions.get::<Caller>().ok_or_else(unguarded)?;
        let address = extensions.get::<ClientAddress>();
        let identity = extensions.get::<RequestIdentity>();
        Ok(Self {
            proof: Proof::ApiKey(caller.key),
            address: address.and_then(|ClientAddress(address)| *address),
            request: identity.map(|identity| identity.shown.as_str().into()),
        })
    }
}

/// The operator that `operator` has let in.
impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| unguarded().into())
    }
}

/// What a write carries besides its path and its body.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    /// The request itself, with its deadline.
    pub(crate) origin: Origin,
    /// The caller's `Idempotency-Key`, where there is one.
    pub(crate) key: Option<IdempotencyKey>,
}

impl<S: Send + Sync> FromRequestParts<S> for Write {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let identity = parts
            .extensions
            .get::<RequestIdentity>()
            .ok_or_else(unguarded)?;
        let now = Instant::now();
        let deadline = now.checked_add(REQUEST_DEADLINE).unwrap_or(now);
        let text = single(&parts.headers, IDEMPOTENCY_KEY, "Idempotency-Key")?;
        let key = text
            .map(IdempotencyKey::parse)
            .transpose()
            .map_err(|error| invalid_header("Idempotency-Key", error.to_string()))?;
        Ok(Self {
            origin: Origin {
                request: identity.id,
                deadline,
                shown: identity.shown.as_str().into(),
            },
            key,
        })
    }
}

/// Who asks for something that is noted in the audit log and done once, and by which request.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    /// For whom.
    pub(crate) caller: Caller,
    actor: Actor,
    key: Option<IdempotencyKey>,
}

impl Asking {
    /// By what the request is known again: its route, and what is asked for.
    pub(crate) fn intent(&self, route: &'static str, asked: &impl Serialize) -> Intent {
        act_intent(self.key.clone(), route, asked)
    }

    /// With what the request is known again by.
    pub(crate) const fn by<'a>(&'a self, intent: &'a Intent) -> Asked<'a> {
        Asked {
            caller: &self.caller,
            actor: &self.actor,
            intent,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self {
            caller: Caller::from_request_parts(parts, state).await?,
            actor: Actor::from_request_parts(parts, state).await?,
            key: Write::from_request_parts(parts, state).await?.key,
        })
    }
}

/// A route without its guard: a mistake of ours that must not let anybody in.
fn unguarded() -> Refusal {
    tracing::error!("a route has no guard");
    Refusal::new(ErrorCode::InvalidApiKey, "This call needs authentication.")
}
