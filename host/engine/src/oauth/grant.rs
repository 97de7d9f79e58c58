//! What is asked for at a token endpoint.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use onerouter_egress::{Origin, OutboundRequest, Written};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::exchange::TokenError;
use crate::scrub::Scrubber;

/// Tokens are a few hundred bytes, and those that carry claims a few thousand.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Digest of everything that a token depends on.
pub(super) type Key = [u8; 32];

/// Who asks.
pub(crate) struct Client<'c> {
    pub(crate) id: &'c str,
    pub(crate) secret: &'c str,
}

/// A token endpoint, and who asks for what there. `Debug` shows no client.
pub(crate) struct Grant {
    key: Key,
    origin: Origin,
    path: String,
    scope: String,
    /// Identifier and secret as [RFC 6749, section 2.3.1] joins them: as fields of a form, with a
    /// colon between.
    ///
    /// [RFC 6749, section 2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    pair: Zeroizing<String>,
}

impl Grant {
    pub(crate) fn new(origin: Origin, path: &str, scope: &str, client: &Client<'_>) -> Self {
        let encoded = |text: &str| {
            let pieces = form_urlencoded::byte_serialize(text.as_bytes());
            Zeroizing::new(pieces.collect::<String>())
        };
        let (id, secret) = (encoded(client.id), encoded(client.secret));
        Self {
            key: key(&origin, path, scope, client),
            origin,
            path: path.to_owned(),
            scope: scope.to_owned(),
            pair: Zeroizing::new([id.as_str(), ":", secret.as_str()].concat()),
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn request(&self) -> Result<OutboundRequest, TokenError> {
        let unfit = |_: http::Error| TokenError::Unfit;
        let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(self.pair.as_bytes())));
        let mut basic = HeaderValue::from_str(&basic).map_err(|error| unfit(error.into()))?;
        basic.set_sensitive(true);
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(AUTHORIZATION, basic);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scope.is_empty() {
            form.append_pair("scope", &self.scope);
        }
        let path = PathAndQuery::try_from(self.path.as_str());
        Ok(OutboundRequest {
            method: Method::POST,
            origin: self.origin.clone(),
            target: path.map_err(|error| unfit(error.into()))?,
            headers,
            body: form.finish().into(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            written: Written::default(),
        })
    }

    /// An answer of the endpoint without what it was sent: a connection's own search does not know a
    /// secret that was made a form's field before it was made base64.
    pub(super) fn scrubbed(&self, body: Bytes) -> Bytes {
        let secret = self.pair.split_once(':').map_or("", |(_, secret)| secret);
        let scrubber = Scrubber::new([secret].into_iter());
        scrubber.scrub(&body).map_or(body, Bytes::from)
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("origin", &self.origin)
            .field("path", &self.path)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Each part after its length: no two lists of parts make one text.
fn key(origin: &Origin, path: &str, scope: &str, client: &Client<'_>) -> Key {
    let mut digest = Sha256::new();
    let origin = origin.to_string();
    for part in [origin.as_str(), path, scope, client.id, client.secret] {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        digest.update(length.to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use onerouter_egress::Origin;

    use super::{Client, Grant};

    fn grant(host: &str, path: &str, scope: &str, id: &str, secret: &str) -> Grant {
        let client = Client { id, secret };
        Grant::new(Origin::https(host), path, scope, &client)
    }

    #[test]
    fn a_client_is_written_as_the_standard_says() {
        let odd = grant(
            "a.example",
            "/token",
            "read write",
            "i d:1",
            "s+/&=%\u{e9}-",
        );
        let request = odd.request().unwrap();
        let expected = STANDARD.encode("i+d%3A1:s%2B%2F%26%3D%25%C3%A9-");
        let sent = request.headers.get("authorization").unwrap();
        assert_eq!(sent.to_str().unwrap(), format!("Basic {expected}"));
        assert!(sent.is_sensitive());
        assert_eq!(
            request.body,
            "grant_type=client_credentials&scope=read+write"
        );
        assert_eq!(request.target, "/token");
        let plain = grant("a.example", "/token", "", "id", "secret-1");
        let request = plain.request().unwrap();
        assert_eq!(request.body, "grant_type=client_credentials");
    }

    #[test]
    fn whatever_a_token_depends_on_is_told_apart() {
        let grants = [
            grant("a.example", "/token", "", "id", "secret-1"),
            grant("b.example", "/token", "", "id", "secret-1"),
            grant("a.example", "/tokens", "", "id", "secret-1"),
            grant("a.example", "/token", "s", "id", "secret-1"),
            grant("a.example", "/token", "", "i", "secret-1"),
            grant("a.example", "/token", "", "id", "secret-2"),
            grant("a.example", "/toke", "n", "id", "secret-1"),
            grant("a.example", "/token", "", "ids", "ecret-1"),
        ];
        let keys: HashSet<_> = grants.iter().map(Grant::key).collect();
        assert_eq!(keys.len(), grants.len());
        let again = grant("a.example", "/token", "", "id", "secret-1");
        assert_eq!(again.key(), grants[0].key());
    }

    #[test]
    fn neither_an_echo_nor_a_print_shows_the_secret() {
        let grant = grant("a.example", "/token", "", "id", "secret+/1&2");
        let basic = grant.request().unwrap().headers["authorization"].clone();
        let body = format!(r#"{{"seen":"{}"}}"#, basic.to_str().unwrap());
        assert_eq!(
            grant.scrubbed(Bytes::from(body)),
            r#"{"seen":"Basic [redacted]"}"#
        );
        assert!(!format!("{grant:?}").contains("secret"));
    }
}
