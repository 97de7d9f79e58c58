//! The request that one try makes, and what is kept of its answer.

use chrono::{DateTime, Utc};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use onerouter_domain::time;
use onerouter_egress::{Origin, OutboundRequest, Written};
use url::Url;

use crate::config::WebhookTargets;
use crate::service::webhooks::secrets::EndpointSecrets;
use crate::service::webhooks::signing;
use crate::store::{DeliveryRow, WebhookEndpointRow};

/// Bytes of an answer's body that are read and kept.
pub(super) const ANSWER_BYTES_MAX: u64 = 4 << 10;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("OneRouter/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const SEQUENCE: HeaderName = HeaderName::from_static("onerouter-sequence");
const DELIVERY: HeaderName = HeaderName::from_static("onerouter-delivery");

/// An endpoint that is ready to be sent to.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) row: WebhookEndpointRow,
    pub(super) secrets: EndpointSecrets,
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsendable {
    #[error("the endpoint's URL cannot be used")]
    Url,
    #[error("the endpoint's URL does not begin with https://")]
    Plain,
    #[error("the endpoint has no secret that is valid")]
    Unsigned,
}

/// The request of a try that is made at this time.
pub(super) fn request(
    target: &Target,
    delivery: &DeliveryRow,
    targets: WebhookTargets,
    at: DateTime<Utc>,
) -> Result<OutboundRequest, Unsendable> {
    let (origin, path) = place(&target.row.url)?;
    if !origin.tls && targets == WebhookTargets::Public {
        return Err(Unsendable::Plain);
    }
    let body = body(delivery);
    let id = delivery.event_id.to_string();
    let signatures = signing::signatures(&target.secrets.signing, &id, at, body.as_bytes());
    if signatures.is_empty() {
        return Err(Unsendable::Unsigned);
    }
    let mut headers = own_headers(&target.secrets);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(USER_AGENT, AGENT);
    for (name, value) in [
        (ID, id),
        (TIMESTAMP, at.timestamp().to_string()),
        (SIGNATURE, signatures),
        (SEQUENCE, delivery.sequence.to_string()),
        (DELIVERY, delivery.id.to_string()),
    ] {
        // All of them are ASCII.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    Ok(OutboundRequest {
        method: Method::POST,
        origin,
        target: path,
        headers,
        body: body.into(),
        answer_bytes_max: ANSWER_BYTES_MAX,
        written: Written::default(),
    })
}

fn place(url: &str) -> Result<(Origin, PathAndQuery), Unsendable> {
    let url = Url::parse(url).or(Err(Unsendable::Url))?;
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(Unsendable::Url),
    };
    let host = url.host_str().ok_or(Unsendable::Url)?.to_owned();
    let port = url.port_or_known_default().ok_or(Unsendable::Url)?;
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let path = path.parse().or(Err(Unsendable::Url))?;
    Ok((Origin { tls, host, port }, path))
}

/// The event's data goes as it is stored: the same bytes each time.
fn body(delivery: &DeliveryRow) -> String {
    let event_type = &delivery.event_type;
    let timestamp = time::to_text(delivery.event_at);
    let data = &delivery.data;
    format!(r#"{{"type":"{event_type}","timestamp":"{timestamp}","data":{data}}}"#)
}

/// What the tenant wants to be sent with. None of it can change what makes the message.
fn own_headers(secrets: &EndpointSecrets) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &secrets.headers {
        let named = HeaderName::try_from(name.as_str()).ok();
        let valued = HeaderValue::try_from(value.as_str()).ok();
        let (Some(name), Some(mut value)) = (named, valued) else {
            continue;
        };
        if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            continue;
        }
        value.set_sensitive(true);
        headers.append(name, value);
    }
    headers
}

/// What is kept of an answer's body, as text. Control characters but for tabs and line ends are left
/// out: people will read it on a terminal, and a database may refuse some.
pub(super) fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .filter(|one| !one.is_control() || matches!(one, '\n' | '\t'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_an_origin_and_a_path() {
        for (url, origin, path) in [
            ("https://example.com", "https://example.com", "/"),
            (
                "https://example.com:8443/a?b=c#d",
                "https://example.com:8443",
                "/a?b=c",
            ),
            ("http://127.0.0.1:80/x", "http://127.0.0.1", "/x"),
            ("https://[::1]:9/", "https://[::1]:9", "/"),
        ] {
            let (found, target) = place(url).unwrap();
            assert_eq!(
                (found.to_string().as_str(), target.as_str()),
                (origin, path),
                "{url}"
            );
        }
        for url in [
            "",
            "example.com",
            "ftp://example.com/",
            "file:///etc/passwd",
            "data:,x",
        ] {
            assert_eq!(place(url), Err(Unsendable::Url), "{url}");
        }
    }

    #[test]
    fn an_answer_is_kept_as_readable_text() {
        assert_eq!(shown(b"ok\r\n\tfine"), "ok\n\tfine");
        assert_eq!(shown(b"\x1b[31mred\0\x07\x7f"), "[31mred");
        assert_eq!(shown(b"a\xff\xc3"), "a\u{fffd}\u{fffd}");
    }
}
