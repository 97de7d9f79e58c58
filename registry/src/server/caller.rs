//! Who is calling: an account by its token, or anybody from an address.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use super::Registry;
use super::refusal::{Kind, Refusal};
use super::store::AccountRow;

/// Basic, as every OCI client understands it: the user's name is not looked at, the password is the
/// token. Clients of the API may send the token as a bearer.
pub(super) const CHALLENGE: HeaderValue =
    HeaderValue::from_static(r#"Basic realm="OneRouter registry", charset="UTF-8""#);

/// The address that a request came from, set by a server that knows better than the socket does.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// Where a request came from, as far as anybody says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address(pub(super) Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}

/// Who is calling.
#[derive(Debug, Clone)]
pub(super) struct Caller(Option<AccountRow>);

impl Caller {
    /// The account that is needed.
    pub(super) fn account(&self) -> Result<&AccountRow, Refusal> {
        self.0.as_ref().ok_or_else(|| {
            Refusal::new(
                Kind::Unauthorized,
                "this needs a publisher's token; log in with `onerouter registry login`",
            )
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or(Self(None)))
    }
}

/// Finds out who is calling, and whether they may call so often.
pub(super) async fn identify(
    State(registry): State<Registry>,
    mut request: Request,
    next: Next,
) -> Response {
    // Not the request itself: its body cannot be shared across an await.
    let (address, token) = (address(&request), token(request.headers()));
    match identified(&registry, address, token).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(Address(address));
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn identified(
    registry: &Registry,
    address: Option<IpAddr>,
    token: Result<Option<String>, Refusal>,
) -> Result<Caller, Refusal> {
    let rates = &registry.0.rates;
    let token = match token {
        Ok(Some(token)) => token,
        Ok(None) => return rates.admit_anonymous(address).map(|()| Caller(None)),
        Err(malformed) => return rates.admit_anonymous(address).and(Err(malformed)),
    };
    rates.admit_arrival(address)?;
    let Some(account) = registry.account_of(&token).await? else {
        rates.admit_anonymous(address)?;
        return Err(Refusal::new(
            Kind::Unauthorized,
            "the token is unknown, expired or revoked",
        ));
    };
    rates.admit_account(account.id)?;
    if account.suspended_at.is_some() {
        return Err(Refusal::new(
            Kind::Suspended,
            format!(
                "the account {} is suspended; ask whoever runs the registry",
                account.name
            ),
        ));
    }
    Ok(Caller(Some(account)))
}

fn address(request: &Request) -> Option<IpAddr> {
    let extensions = request.extensions();
    let told = extensions.get::<ClientAddress>().map(|told| told.0);
    told.or_else(|| {
        let socket = extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(socket.0.ip())
    })
}

/// The token of a request: a bearer's, or the password of Basic.
fn token(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let malformed = || {
        Refusal::new(
            Kind::Unauthorized,
            "the Authorization header is neither Bearer nor Basic",
        )
    };
    let value = value.to_str().map_err(|_not_text| malformed())?;
    let (scheme, credentials) = value.split_once(' ').ok_or_else(malformed)?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(credentials.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let decoded = STANDARD.decode(credentials).map_err(|_error| malformed())?;
    let text = String::from_utf8(decoded).map_err(|_error| malformed())?;
    let (_user, password) = text.split_once(':').ok_or_else(malformed)?;
    Ok(Some(password.to_owned()))
}
