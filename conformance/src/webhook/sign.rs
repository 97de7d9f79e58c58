//! Signing as a provider does, by the scheme that the manifest names.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use onerouter_manifest::{Manifest, SignatureEncoding, WebhookSignature};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::certificate::Identity;
use super::{FORM, Vector};
use crate::connection::Connection;

/// What the secrets of Standard Webhooks begin with.
const SECRET_PREFIX: &str = "whsec_";

/// With what something is signed.
pub(super) struct Signer<'k> {
    pub(super) manifest: &'k Manifest,
    pub(super) connection: &'k Connection,
    pub(super) identity: Option<&'k Identity>,
}

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hand {
    /// The provider.
    Right,
    /// Somebody who does not know the secret.
    Wrong,
}

impl Signer<'_> {
    /// The vector with its signature; none where the kit cannot make one.
    pub(super) fn sign(&self, vector: &Vector, at_ms: u64, hand: Hand) -> Option<Vector> {
        let webhook = self.manifest.webhook.as_ref()?;
        let mut signed = vector.clone();
        match &webhook.signature {
            WebhookSignature::HmacBody {
                header,
                encoding,
                credentials,
                ..
            } => {
                let tag = sha256(self.key(credentials, hand)?.as_bytes(), &[&vector.body]);
                put(&mut signed.headers, header, &encode(*encoding, &tag));
            }
            WebhookSignature::HmacUrlForm {
                header,
                credentials,
            } => {
                if vector.content_type != FORM && !vector.body.is_empty() {
                    let hash = encode(SignatureEncoding::Hex, &Sha256::digest(&vector.body));
                    let parameter = format!("bodySHA256={hash}");
                    let whole = [signed.query.as_str(), &parameter];
                    let parts: Vec<_> = whole.into_iter().filter(|it| !it.is_empty()).collect();
                    signed.query = parts.join("&");
                }
                let key = self.key(credentials, hand)?;
                let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).ok()?;
                mac.update(signed.url().as_bytes());
                if vector.content_type == FORM {
                    mac.update(sorted_pairs(&vector.body).as_bytes());
                }
                let tag = STANDARD.encode(mac.finalize().into_bytes());
                put(&mut signed.headers, header, &tag);
            }
            WebhookSignature::StandardWebhooks {
                prefix,
                credentials,
            } => {
                let key = self.key(credentials, hand)?;
                let key = STANDARD
                    .decode(key.strip_prefix(SECRET_PREFIX).unwrap_or(&key))
                    .ok()?;
                let (id, time) = ("msg_kit0000000001", (at_ms / 1_000).to_string());
                let parts = [id.as_bytes(), b".", time.as_bytes(), b".", &vector.body];
                let tag = STANDARD.encode(sha256(&key, &parts));
                put(&mut signed.headers, &format!("{prefix}-id"), id);
                put(&mut signed.headers, &format!("{prefix}-timestamp"), &time);
                put(
                    &mut signed.headers,
                    &format!("{prefix}-signature"),
                    &format!("v1,{tag}"),
                );
            }
            WebhookSignature::CertificateCrc32 {
                prefix,
                webhook_id,
                certificate_hosts,
                certificate_path,
                ..
            } => {
                let identity = self.identity?;
                let time = i64::try_from(at_ms)
                    .ok()
                    .and_then(DateTime::from_timestamp_millis)?;
                let time = time.to_rfc3339_opts(SecondsFormat::Secs, true);
                let id = "kit00000-0000-4000-8000-000000000001";
                let webhook = match hand {
                    Hand::Right => self.connection.public(webhook_id)?,
                    Hand::Wrong => "another webhook",
                };
                let checksum = crc32fast::hash(&vector.body);
                let tag = identity.sign(&format!("{id}|{time}|{webhook}|{checksum}"))?;
                let url = Identity::url(certificate_hosts.first()?, certificate_path);
                for (part, value) in [
                    ("transmission-id", id),
                    ("transmission-time", &time),
                    ("transmission-sig", &STANDARD.encode(tag)),
                    ("cert-url", &url),
                    ("auth-algo", "SHA256withRSA"),
                ] {
                    put(&mut signed.headers, &format!("{prefix}-{part}"), value);
                }
            }
            WebhookSignature::Adapter {} => {
                let own = vector.own.as_ref()?;
                let signature = self.manifest.signatures.get(&own.signature)?;
                let names = [signature.credential.clone()];
                let message = filled(&own.message, vector)?;
                let tag = sha256(self.key(&names, hand)?.as_bytes(), &[&message]);
                put(
                    &mut signed.headers,
                    &own.header,
                    &encode(signature.encoding, &tag),
                );
            }
        }
        Some(signed)
    }

    /// The first secret that is there.
    fn key(&self, names: &[String], hand: Hand) -> Option<String> {
        let mut secrets = names.iter().filter_map(|name| self.connection.secret(name));
        let key = secrets.find(|secret| !secret.is_empty())?;
        Some(match hand {
            Hand::Right => key.to_owned(),
            // Another one of the same shape, base64 too.
            Hand::Wrong => match key.strip_prefix(SECRET_PREFIX) {
                Some(encoded) => format!("{SECRET_PREFIX}{}", "A".repeat(encoded.len().min(24))),
                None => "a secret that nobody gave to the provider".to_owned(),
            },
        })
    }
}

/// `{body}` and `{header:NAME}` in what is signed.
fn filled(template: &str, vector: &Vector) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        message.extend_from_slice(before.as_bytes());
        let (name, after) = after.split_once('}')?;
        match name.strip_prefix("header:") {
            Some(header) => message.extend_from_slice(vector.headers.get(header)?.as_bytes()),
            None if name == "body" => message.extend_from_slice(&vector.body),
            None => return None,
        }
        rest = after;
    }
    message.extend_from_slice(rest.as_bytes());
    Some(message)
}

pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

fn sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn encode(encoding: SignatureEncoding, bytes: &[u8]) -> String {
    match encoding {
        SignatureEncoding::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        SignatureEncoding::Base64 => STANDARD.encode(bytes),
    }
}

/// Each name with its value, in the order of names; of one that repeats, every value once.
fn sorted_pairs(body: &[u8]) -> String {
    let mut pairs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        pairs.entry(name).or_default().insert(value);
    }
    let mut text = String::new();
    for (name, values) in &pairs {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    text
}
