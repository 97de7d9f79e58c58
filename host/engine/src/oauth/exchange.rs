//! Asking for a token, and what the answer means.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use onerouter_egress::SendError;
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroize as _;

use super::{Grant, Token};
use crate::engine::Inner;

/// A token without `expires_in` is asked for anew after five minutes: rarely enough to cost nothing, and
/// no provider's tokens are known to live shorter. One that does is renewed when it is refused.
const LIFETIME_S_DEFAULT: u64 = 300;

/// No token is kept for longer, whatever its provider says.
const LIFETIME_S_MAX: u64 = 24 * 60 * 60;

/// A token is not used in the last part of its life, in which it could expire on the way: a tenth, and a
/// minute at most.
const MARGIN_MS_MAX: u64 = 60_000;

/// Why there is no token. Nothing of the request that needs it was sent.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum TokenError {
    /// The endpoint's own word, which is final: with the same client it will say the same again.
    #[error("the token endpoint refused the client with status {status}")]
    Refused {
        status: u16,
        /// Without the client's secret.
        body: Bytes,
    },
    /// It may do better later.
    #[error("the token endpoint answered with status {0}")]
    Status(u16),
    /// No complete answer.
    #[error("no answer of the token endpoint: {0}")]
    Unanswered(SendError),
    /// Not what the standard says, or no token that can be used.
    #[error("the token endpoint's answer is not usable: {0}")]
    Malformed(&'static str),
    /// The client, or the path, cannot be written in a request.
    #[error("the request for a token cannot be written")]
    Unfit,
    /// Somebody else was asking, for longer than this call had time.
    #[error("no token in time")]
    Late,
}

/// [RFC 6749, section 5.1].
///
/// [RFC 6749, section 5.1]: https://www.rfc-editor.org/rfc/rfc6749#section-5.1
#[derive(Deserialize)]
struct Granted<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(borrow)]
    token_type: Cow<'a, str>,
    expires_in: Option<u64>,
}

/// Asks once.
pub(super) async fn exchange(
    engine: &Inner,
    grant: &Grant,
    deadline: Instant,
) -> Result<Arc<Token>, TokenError> {
    // What the provider counts from is a little later.
    let asked_at_ms = engine.clock.now_ms();
    let sent = engine.send(grant.request()?, deadline).await;
    let answer = sent.map_err(TokenError::Unanswered)?;
    match answer.status.as_u16() {
        200..300 => {
            // The search for a token of 4 KiB takes milliseconds to prepare.
            let granted = tokio::task::spawn_blocking(move || granted(answer.body, asked_at_ms));
            let granted = granted.await;
            granted.unwrap_or(Err(TokenError::Malformed("reading it failed")))
        }
        status @ (408 | 429) => Err(TokenError::Status(status)),
        status @ 400..500 => Err(TokenError::Refused {
            status,
            body: grant.scrubbed(answer.body),
        }),
        status => Err(TokenError::Status(status)),
    }
}

fn granted(body: Bytes, asked_at_ms: u64) -> Result<Arc<Token>, TokenError> {
    let read = read(&body, asked_at_ms);
    // Nobody else holds it, so the token is gone with it.
    if let Ok(mut bytes) = body.try_into_mut() {
        bytes.as_mut().zeroize();
    }
    read.map(Arc::new).map_err(TokenError::Malformed)
}

/// Never says what stood there.
fn read(body: &[u8], asked_at_ms: u64) -> Result<Token, &'static str> {
    let granted: Granted<'_> = serde_json::from_slice(body).map_err(
        |_what_stood_there| "no JSON object with access_token, token_type and a whole expires_in",
    )?;
    let Granted {
        mut access_token,
        token_type,
        expires_in,
    } = granted;
    if !token_type.eq_ignore_ascii_case("bearer") {
        return Err("the token_type is not bearer");
    }
    let fresh_until_ms = fresh_until_ms(asked_at_ms, expires_in)?;
    let token = Token::new(&access_token, fresh_until_ms)
        .ok_or("the access_token is not 8 to 4096 visible ASCII characters");
    // It was copied if it had escapes in it.
    if let Cow::Owned(text) = &mut access_token {
        text.zeroize();
    }
    token
}

fn fresh_until_ms(asked_at_ms: u64, expires_in: Option<u64>) -> Result<u64, &'static str> {
    let lifetime_s = expires_in.unwrap_or(LIFETIME_S_DEFAULT).min(LIFETIME_S_MAX);
    if lifetime_s == 0 {
        return Err("the token has expired already");
    }
    let lifetime_ms = lifetime_s.saturating_mul(1_000);
    let margin_ms = MARGIN_MS_MAX.min(lifetime_ms / 10);
    Ok(asked_at_ms.saturating_add(lifetime_ms.saturating_sub(margin_ms)))
}

#[cfg(test)]
mod tests {
    use super::{fresh_until_ms, read};

    #[test]
    fn a_token_ends_before_it_expires() {
        for (expires_in, expected) in [
            (Some(1), Ok(900)),
            (Some(100), Ok(90_000)),
            (Some(600), Ok(540_000)),
            (Some(32_400), Ok(32_340_000)),
            (Some(u64::MAX), Ok(86_340_000)),
            (None, Ok(270_000)),
        ] {
            let until = fresh_until_ms(5, expires_in).map(|until| until - 5);
            assert_eq!(until, expected, "{expires_in:?}");
        }
        assert!(fresh_until_ms(5, Some(0)).is_err());
    }

    #[test]
    fn an_answer_is_what_the_standard_says_or_nothing() {
        for body in [
            r#"{"access_token":"tok-0123456789","token_type":"Bearer","expires_in":60}"#,
            r#"{"token_type":"bearer","access_token":"tok-0123456789"}"#,
            r#"{"access_token":"tok-01234\/56789","token_type":"BEARER","expires_in":null,"a":[{}]}"#,
        ] {
            assert!(read(body.as_bytes(), 0).is_ok(), "{body}");
        }
        for body in [
            "",
            "null",
            "[]",
            "tok-0123456789",
            r#""tok-0123456789""#,
            "access_token=tok-0123456789&token_type=bearer",
            r#"{"access_token":"tok-0123456789"}"#,
            r#"{"token_type":"bearer"}"#,
            r#"{"access_token":null,"token_type":"bearer"}"#,
            r#"{"access_token":1234567890,"token_type":"bearer"}"#,
            r#"{"access_token":["tok-0123456789"],"token_type":"bearer"}"#,
            r#"{"access_token":{"a":"tok-0123456789"},"token_type":"bearer"}"#,
            r#"{"access_token":"tok-0123456789","token_type":"mac"}"#,
            r#"{"access_token":"tok-0123456789","token_type":null}"#,
            r#"{"access_token":"tok-0123456789","token_type":"bearer","expires_in":0}"#,
            r#"{"access_token":"tok-0123456789","token_type":"bearer","expires_in":-1}"#,
            r#"{"access_token":"tok-0123456789","token_type":"bearer","expires_in":1.5}"#,
            r#"{"access_token":"tok-0123456789","token_type":"bearer","expires_in":1e3}"#,
            r#"{"access_token":"tok-0123456789","token_type":"bearer","expires_in":"60"}"#,
            r#"{"access_token":"tok-0123456789","token_type":"bearer","expires_in":[60]}"#,
            r#"{"access_token":"tok-0123456789","access_token":"tok-2222222222","token_type":"bearer"}"#,
            r#"{"access_token":"tok-1","token_type":"bearer"}"#,
            r#"{"access_token":"tok-0123\u000a456789","token_type":"bearer"}"#,
            r#"{"access_token":"tok-0123 456789","token_type":"bearer"}"#,
            r#"{"access_token":"tok-0123456789","token_type":"bearer"} and more"#,
        ] {
            assert!(read(body.as_bytes(), 0).is_err(), "{body}");
        }
    }
}
