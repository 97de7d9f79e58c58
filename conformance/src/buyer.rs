//! The buyer at a live sandbox: a request that does what a person does on the provider's page.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use onerouter_egress::Upstreams;
use serde::Deserialize;
use serde_json::Value;

use crate::forward::Forward;
use crate::provider::{By, Received};
use crate::run::Facts;

/// Stands for a host that has an address in the place of a name.
const NAMELESS: &str = "buyer.invalid";

/// How the buyer is played at a live sandbox.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buyer {
    /// Where the request goes. `{{provider_id}}` in its path or query stands for what is to be paid.
    url: String,
    #[serde(default = "post")]
    method: String,
    /// The body. In its texts, `{{checkout_url}}` stands for the provider's page besides.
    #[serde(default)]
    json: Option<Value>,
}

fn post() -> String {
    "POST".to_owned()
}

/// Why nobody can play the buyer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BuyerError {
    #[error("{0} is not an http or https URL with a host")]
    Url(String),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unplayed {
    #[error("the request that plays the buyer got no answer")]
    Silence,
    #[error("the request that plays the buyer was answered with {0}")]
    Refused(u16),
}

/// Somebody who plays it.
#[derive(Debug)]
pub(crate) struct Player {
    buyer: Buyer,
    /// The host that the way knows, and the path with its query.
    host: String,
    target: String,
    way: Forward,
}

impl Buyer {
    /// Adds the way to the buyer. Its host, and the rest of the URL.
    pub(crate) fn add_to(&self, upstreams: &mut Upstreams) -> Result<(String, String), BuyerError> {
        let wrong = || BuyerError::Url(self.url.clone());
        let (scheme, rest) = self.url.split_once("://").ok_or_else(wrong)?;
        let (authority, target) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let name = authority.parse::<Authority>().map_err(|_odd| wrong())?;
        let host = if authority.parse::<SocketAddr>().is_ok() {
            NAMELESS
        } else {
            name.host()
        };
        let base = format!("{scheme}://{authority}");
        upstreams.set(host, &base).map_err(|_odd| wrong())?;
        Ok((host.to_owned(), target.to_owned()))
    }
}

impl Player {
    pub(crate) fn new(buyer: Buyer, (host, target): (String, String), way: Forward) -> Self {
        Self {
            buyer,
            host,
            target,
            way,
        }
    }

    /// Agrees to pay for something.
    pub(crate) async fn agrees(&self, object: &Facts) -> Result<(), Unplayed> {
        let answered = self.way.send(&self.request(object)).await;
        let answered = answered.map_err(|_unsent| Unplayed::Silence)?;
        if (200..300).contains(&answered.status) {
            return Ok(());
        }
        Err(Unplayed::Refused(answered.status))
    }

    fn request(&self, object: &Facts) -> Received {
        let id = object.provider_id.as_deref().unwrap_or_default();
        let page = object.checkout_url.as_deref().unwrap_or_default();
        let target = self.target.replace("{{provider_id}}", &encoded(id));
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut headers = HeaderMap::new();
        let body = self.buyer.json.as_ref().map(|body| {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let texts = BTreeMap::from([("{{provider_id}}", id), ("{{checkout_url}}", page)]);
            Bytes::from(filled(body, &texts).to_string())
        });
        Received {
            method: self.buyer.method.clone(),
            host: self.host.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.unwrap_or_default(),
            by: By::Live,
        }
    }
}

/// Also where a space is no `+`.
fn encoded(text: &str) -> String {
    let bytes = form_urlencoded::byte_serialize(text.as_bytes());
    bytes.collect::<String>().replace('+', "%20")
}

fn filled(value: &Value, texts: &BTreeMap<&str, &str>) -> Value {
    match value {
        Value::String(text) => {
            let fill = |text: String, (name, value): (&&str, &&str)| text.replace(name, value);
            Value::String(texts.iter().fold(text.clone(), fill))
        }
        Value::Array(items) => items.iter().map(|item| filled(item, texts)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| (name.clone(), filled(value, texts)));
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onerouter_egress::{Egress, EgressConfig};
    use serde_json::json;

    use super::*;

    fn player(buyer: Value) -> Result<Player, BuyerError> {
        let buyer: Buyer = serde_json::from_value(buyer).unwrap();
        let place = buyer.add_to(&mut Upstreams::default())?;
        let egress = Egress::new(EgressConfig::default()).unwrap();
        let way = Forward {
            egress: Arc::new(egress),
        };
        Ok(Player::new(buyer, place, way))
    }

    #[test]
    fn what_is_to_be_paid_stands_in_the_request() {
        let buyer = json!({
            "url": "http://127.0.0.1:4010/buyers/{{provider_id}}?of={{provider_id}}",
            "json": {"open": ["{{checkout_url}}"], "id": "{{provider_id}}", "amount": 5},
        });
        let object = Facts {
            provider_id: Some("a/b c".to_owned()),
            checkout_url: Some("https://pay.example.com/\"a\"".to_owned()),
            ..Facts::default()
        };
        let request = player(buyer).unwrap().request(&object);
        assert_eq!(
            (request.method.as_str(), request.host.as_str()),
            ("POST", NAMELESS)
        );
        assert_eq!(request.path, "/buyers/a%2Fb%20c");
        assert_eq!(request.query, "of=a%2Fb%20c");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            body,
            json!({"open": ["https://pay.example.com/\"a\""], "id": "a/b c", "amount": 5})
        );
    }

    #[test]
    fn a_buyer_may_have_a_name_and_needs_a_place() {
        let named = json!({"url": "https://buyers.example.com", "method": "PUT"});
        let request = player(named).unwrap().request(&Facts::default());
        assert_eq!(
            (request.host.as_str(), request.path.as_str()),
            ("buyers.example.com", "/")
        );
        assert!(request.body.is_empty() && request.headers.is_empty());
        for odd in [
            "",
            "/pay",
            "ftp://a.example",
            "http://",
            "http://{{provider_id}}/",
        ] {
            let refused = player(json!({ "url": odd }));
            assert!(matches!(refused, Err(BuyerError::Url(_))), "{odd}");
        }
    }
}
