//! `POST /v1/oauth2/token`, and the bearer tokens that it gives out.

use std::sync::Mutex;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::{StatusCode, header};
use serde_json::json;

use super::{CLIENT_ID, CLIENT_SECRET, error, error::PaypalError, id};
use crate::{call::Call, clock::later, lock, reply::Reply, shelf::Shelf};

/// Tokens kept; the oldest are forgotten. A client that caches its token needs one.
const TOKENS_MAX: usize = 10_000;
const SCOPE: &str = "https://uri.paypal.com/services/payments/payment https://uri.paypal.com/services/subscriptions";
const APP_ID: &str = "APP-5A9D80X0ONE00R71T";

/// Tokens by their text, with the time when they end.
pub(super) struct Tokens(Mutex<Shelf<DateTime<Utc>>>);

impl Tokens {
    pub(super) fn new() -> Tokens {
        Tokens(Mutex::new(Shelf::new(TOKENS_MAX)))
    }

    /// The client's credentials are printed in the manual: comparing them needs no constant time.
    pub(super) fn issue(&self, call: &Call, now: DateTime<Utc>, ttl_s: u32) -> Reply {
        if basic(call) != Some((CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned())) {
            return error::invalid_client();
        }
        let form: Vec<_> = url::form_urlencoded::parse(&call.body).collect();
        let grant = form
            .iter()
            .find(|(name, _)| name == "grant_type")
            .map(|(_, value)| value.as_ref());
        match grant {
            Some("client_credentials") => {}
            None | Some("") => {
                return error::oauth(
                    StatusCode::BAD_REQUEST,
                    "unsupported_grant_type",
                    "Grant Type is NULL",
                );
            }
            Some(_) => {
                return error::oauth(
                    StatusCode::BAD_REQUEST,
                    "unsupported_grant_type",
                    "unsupported grant_type",
                );
            }
        }
        let token = id::access_token();
        let ends = later(now, TimeDelta::seconds(ttl_s.into()));
        lock(&self.0).push(token.clone(), ends);
        let nonce = format!(
            "{}{}",
            now.to_rfc3339_opts(SecondsFormat::Secs, true),
            id::payment()
        );
        Reply::json(
            StatusCode::OK,
            &json!({
                "scope": SCOPE,
                "access_token": token,
                "token_type": "Bearer",
                "app_id": APP_ID,
                "expires_in": ttl_s,
                "nonce": nonce,
            }),
        )
    }

    /// Without a bearer token the API answers in its own shape, with a bad one in that of OAuth.
    pub(super) fn check(&self, call: &Call, now: DateTime<Utc>) -> Result<(), Box<Reply>> {
        let token = call
            .header(header::AUTHORIZATION.as_str())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let Some(token) = token else {
            let refused = PaypalError::status(StatusCode::UNAUTHORIZED);
            return Err(Box::new(refused.reply()));
        };
        match lock(&self.0).find(token) {
            Some(ends) if now < *ends => Ok(()),
            Some(_) | None => Err(Box::new(error::invalid_token())),
        }
    }

    /// Every token given out so far is void.
    pub(super) fn revoke(&self) {
        lock(&self.0).clear();
    }
}

fn basic(call: &Call) -> Option<(String, String)> {
    let (scheme, credentials) = call
        .header(header::AUTHORIZATION.as_str())?
        .split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (client, secret) = text.split_once(':')?;
    Some((client.to_owned(), secret.to_owned()))
}
