//! Webhooks that are signed with a shared secret.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::CONTENT_TYPE;
use onerouter_manifest::{SignatureAlgorithm, SignatureEncoding};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{WebhookRefusal, WebhookRequest, single};
use crate::connection::Credentials;
use crate::imports::signature::hex;

/// How far the time of a request that carries one may be from ours.
const TOLERANCE_S: u64 = 300;

/// Signatures in one header; with more of them somebody is trying.
const TAGS_MAX: usize = 16;

/// What the symmetric secrets of Standard Webhooks begin with.
const SECRET_PREFIX: &str = "whsec_";

/// Padding may be left out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The secrets that are there, in the order of their names.
pub(super) fn keys<'c>(
    credentials: &'c Credentials,
    names: &[String],
) -> Result<Vec<&'c str>, WebhookRefusal> {
    let keys = names.iter().filter_map(|name| credentials.secret(name));
    let keys: Vec<_> = keys.filter(|key| !key.is_empty()).collect();
    if keys.is_empty() {
        let name = names.first().cloned().unwrap_or_default();
        return Err(WebhookRefusal::NoSecret(name));
    }
    Ok(keys)
}

/// A MAC of the body.
pub(super) fn body(
    keys: &[&str],
    (algorithm, encoding): (SignatureAlgorithm, SignatureEncoding),
    tag: &str,
    body: &[u8],
) -> Result<(), WebhookRefusal> {
    let tag = match encoding {
        SignatureEncoding::Hex => hex(tag),
        SignatureEncoding::Base64 => STANDARD.decode(tag).ok(),
    };
    let tag = tag.ok_or(WebhookRefusal::Mismatch)?;
    // All of them, so that the time tells nothing about which one was meant.
    let fits = keys.iter().fold(false, |fits, key| {
        let made = match algorithm {
            SignatureAlgorithm::HmacSha256 => is_sha256(key.as_bytes(), &[body], &tag),
        };
        fits | made
    });
    held(fits)
}

/// A MAC of the URL and the form's pairs, sorted: the hash of that.
pub(super) fn url_form(
    keys: &[&str],
    tag: &str,
    request: &WebhookRequest<'_>,
) -> Result<[u8; 32], WebhookRefusal> {
    let tag = STANDARD
        .decode(tag)
        .map_err(|_not_base64| WebhookRefusal::Mismatch)?;
    let content_type = request.headers.get(CONTENT_TYPE);
    let media_type = content_type.and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default().split(';').next();
    let is_form = media_type
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let pairs = if is_form {
        sorted_pairs(request.body)
    } else {
        String::new()
    };
    let mut covered = None;
    for url in request
        .urls
        .iter()
        .flat_map(|url| with_and_without_port(url))
    {
        // A body that the MAC does not cover is covered by its hash in the URL.
        if !is_form && !request.body.is_empty() && !names_body(&url, request.body) {
            continue;
        }
        for key in keys {
            let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key.as_bytes()) else {
                continue;
            };
            mac.update(url.as_bytes());
            mac.update(pairs.as_bytes());
            if mac.verify_slice(&tag).is_ok() {
                let hash = Sha256::new().chain_update(&url).chain_update(&pairs);
                covered = Some(hash.finalize().into());
            }
        }
    }
    covered.ok_or(WebhookRefusal::Mismatch)
}

/// Each name with its value, in the order of names; of one that repeats, every value once.
fn sorted_pairs(body: &[u8]) -> String {
    let mut pairs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        pairs.entry(name).or_default().insert(value);
    }
    let mut text = String::with_capacity(body.len());
    for (name, values) in &pairs {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    text
}

/// The URL as it is; and with the port that goes without saying, or without the one that it has.
fn with_and_without_port(url: &str) -> [String; 2] {
    let Some((scheme, rest)) = url.split_once("://") else {
        return [url.to_owned(), url.to_owned()];
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let port = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let other = match port {
        Some((host, _)) => format!("{scheme}://{host}{path}"),
        None => {
            let port = if scheme == "https" { 443 } else { 80 };
            format!("{scheme}://{authority}:{port}{path}")
        }
    };
    [url.to_owned(), other]
}

/// Whether the query's `bodySHA256` is the body's.
fn names_body(url: &str, body: &[u8]) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let mut hashes = url.query_pairs().filter(|(name, _)| name == "bodySHA256");
    let hash = hashes
        .next()
        .and_then(|(_, hash)| hex(&hash.to_ascii_lowercase()));
    hashes.next().is_none() && hash.is_some_and(|hash| hash == Sha256::digest(body).as_slice())
}

/// Standard Webhooks: the id that it is signed with.
pub(super) fn standard(
    keys: &[&str],
    prefix: &str,
    request: &WebhookRequest<'_>,
) -> Result<String, WebhookRefusal> {
    let [id_header, time_header, tag_header] =
        ["id", "timestamp", "signature"].map(|part| format!("{prefix}-{part}"));
    let id = single(request.headers, &id_header)?;
    let time = single(request.headers, &time_header)?;
    let tags = single(request.headers, &tag_header)?;
    let signed_at: u64 = time
        .parse()
        .map_err(|_no_number| WebhookRefusal::Header(time_header))?;
    if (request.received_at_ms / 1_000).abs_diff(signed_at) > TOLERANCE_S {
        return Err(WebhookRefusal::Stale);
    }
    let tags = tags
        .split(' ')
        .filter_map(|tag| tag.strip_prefix("v1,"))
        .take(TAGS_MAX);
    let tags: Vec<_> = tags.filter_map(|tag| LENIENT.decode(tag).ok()).collect();
    let mut fits = false;
    let mut usable = false;
    for key in keys {
        let text = key.strip_prefix(SECRET_PREFIX).unwrap_or(key);
        let Some(key) = LENIENT.decode(text).ok().filter(|key| !key.is_empty()) else {
            continue;
        };
        usable = true;
        for tag in &tags {
            let parts = [id.as_bytes(), b".", time.as_bytes(), b".", request.body];
            fits |= is_sha256(&key, &parts, tag);
        }
    }
    if !usable {
        return Err(WebhookRefusal::NoSecret("secret in base64".to_owned()));
    }
    held(fits).map(|()| id.to_owned())
}

fn is_sha256(key: &[u8], parts: &[&[u8]], tag: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return false;
    };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(tag).is_ok()
}

fn held(fits: bool) -> Result<(), WebhookRefusal> {
    if fits {
        Ok(())
    } else {
        Err(WebhookRefusal::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    /// The vector of the Standard Webhooks project's own tests.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const TAG: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn standard_at(seconds: u64, tags: &str, body: &'static str) -> Result<String, WebhookRefusal> {
        let headers = headers(&[
            ("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("svix-timestamp", "1614265330"),
            ("svix-signature", tags),
        ]);
        let request = WebhookRequest {
            urls: &[],
            headers: &headers,
            body: &Bytes::from_static(body.as_bytes()),
            received_at_ms: seconds * 1_000,
        };
        let old = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        standard(&[old, SECRET], "svix", &request)
    }

    const BODY: &str = r#"{"test": 2432232314}"#;
    const AT: u64 = 1_614_265_330;

    #[test]
    fn standard_webhooks_hold_for_five_minutes_either_way() {
        for at in [AT, AT - 300, AT + 300] {
            assert!(standard_at(at, TAG, BODY).is_ok(), "{at}");
        }
        for at in [AT - 301, AT + 301, 0] {
            assert_eq!(standard_at(at, TAG, BODY), Err(WebhookRefusal::Stale));
        }
    }

    #[test]
    fn one_of_several_signatures_is_enough_and_broken_ones_are_passed_over() {
        for tags in [
            format!("v1,AAAA {TAG}"),
            format!("v1 v1, v1a,zzzz , {TAG} v2,x"),
        ] {
            assert!(standard_at(AT, &tags, BODY).is_ok(), "{tags}");
        }
        for tags in [
            "v1,",
            "v1",
            "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "v1,AAAA",
        ] {
            let refused = standard_at(AT, tags, BODY);
            assert_eq!(refused, Err(WebhookRefusal::Mismatch), "{tags}");
        }
        let altered = standard_at(AT, TAG, r#"{"test": 2432232315}"#);
        assert_eq!(altered, Err(WebhookRefusal::Mismatch));
    }

    fn signed(url: &str, pairs: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(b"12345").unwrap();
        mac.update(url.as_bytes());
        mac.update(pairs.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn url_form_of(
        url: &str,
        content_type: &str,
        body: &'static str,
        tag: &str,
    ) -> Result<(), WebhookRefusal> {
        let headers = headers(&[("content-type", content_type)]);
        let request = WebhookRequest {
            urls: &[url.to_owned()],
            headers: &headers,
            body: &Bytes::from_static(body.as_bytes()),
            received_at_ms: 0,
        };
        url_form(&["another", "12345"], tag, &request).map(drop)
    }

    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

    #[test]
    fn pairs_are_sorted_and_repeated_ones_count_once() {
        let body = "To=%2B1&Body=a+b&Empty=&Media=b&Media=a&Media=b";
        let pairs = "Bodya bEmptyMediaaMediabTo+1";
        let url = "https://a.example/hook?x=1&y=%27";
        assert_eq!(url_form_of(url, FORM, body, &signed(url, pairs)), Ok(()));
        let tag = signed("https://a.example:443/hook?x=1&y=%27", pairs);
        assert_eq!(url_form_of(url, FORM, body, &tag), Ok(()));
        let with_port = "https://a.example:8443/hook?x=1&y=%27";
        assert_eq!(
            url_form_of(with_port, FORM, body, &signed(url, pairs)),
            Ok(())
        );
        let other = signed("https://b.example/hook?x=1&y=%27", pairs);
        let refused = url_form_of(url, FORM, body, &other);
        assert_eq!(refused, Err(WebhookRefusal::Mismatch));
    }

    #[test]
    fn another_body_is_covered_by_its_hash_in_the_url() {
        let url = "https://a.example/hook?bodySHA256=\
            5c9c9ce3e58e9eeb1cb3dd5cf1dd1b5a4f5d2c9c9d0a4f4c8f6f9f7f1b3d2a10";
        let refused = url_form_of(url, "application/json", "{}", &signed(url, ""));
        assert_eq!(refused, Err(WebhookRefusal::Mismatch));
        let url = "https://a.example/hook?bodySHA256=\
            44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(
            url_form_of(url, "application/json", "{}", &signed(url, "")),
            Ok(())
        );
        // Without it nobody has signed the body.
        let url = "https://a.example/hook";
        let refused = url_form_of(url, "application/json", "{}", &signed(url, ""));
        assert_eq!(refused, Err(WebhookRefusal::Mismatch));
    }
}
