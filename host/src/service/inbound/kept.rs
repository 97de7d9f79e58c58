//! The form in which a webhook is kept: all of it, encrypted with the tenant's data key.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use onerouter_engine::WebhookSigned;
use onerouter_engine::wit::webhooks;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Arrived;
use crate::vault::SecretPlace;

const FORM: &str = "application/x-www-form-urlencoded";

/// Pairs of a query or a form that an adapter gets.
const PAIRS_MAX: usize = 1_000;

/// A webhook as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    head: Head,
    pub(super) body: Bytes,
}

/// What stands before the body, as one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    query: String,
    headers: Vec<(String, String)>,
    /// The id that was signed, where the signature leaves it open which body belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transmission: Option<String>,
}

impl Kept {
    pub(super) fn of(arrived: &Arrived) -> Self {
        let headers = arrived.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        Self {
            head: Head {
                query: arrived.query.clone(),
                headers: headers.collect(),
                transmission: None,
            },
            body: arrived.body.clone(),
        }
    }

    /// The same, once it is known what is signed of it.
    pub(super) fn of_signed(arrived: &Arrived, signed: &WebhookSigned) -> Self {
        let mut kept = Self::of(arrived);
        if !signed.covers_body {
            kept.head.transmission = signed.id.as_deref().map(bounded);
        }
        kept
    }

    /// Of several bodies under this id one is the provider's at most.
    pub(super) fn transmission(&self) -> Option<&str> {
        self.head.transmission.as_deref()
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        Zeroizing::new(bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let at = bytes.iter().position(|byte| *byte == b'\n')?;
        let (head, rest) = bytes.split_at(at);
        Some(Self {
            head: serde_json::from_slice(head).ok()?,
            body: Bytes::copy_from_slice(rest.get(1..)?),
        })
    }

    /// By what it is known again: the id that its signature covers, or what it covers besides. What nobody has
    /// signed (an id in another header, a query) may be anything in a copy of it.
    pub(super) fn keys(&self, signed: &WebhookSigned) -> Vec<String> {
        let Some(id) = signed.id.as_deref() else {
            let covered = signed.covered.unwrap_or_else(|| self.body_hash());
            return vec![format!("content:{}", hex(&covered))];
        };
        let id = bounded(id);
        // Two events may have the same content where each has an id of its own.
        let key = if signed.covers_body {
            format!("signed:{id}")
        } else {
            // Whoever was faster with another body under this id must not have it taken for a repetition.
            format!("signed:{id}:{}", hex(&self.body_hash()))
        };
        vec![key]
    }

    fn body_hash(&self) -> [u8; 32] {
        Sha256::digest(&self.body).into()
    }

    fn content_type(&self) -> String {
        let value = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = value.split(';').next().unwrap_or_default();
        media_type.trim().to_ascii_lowercase()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// What the adapter gets of it.
    pub(super) fn to_wit(&self, wanted: &[String], received_at: u64) -> webhooks::Request {
        let content_type = self.content_type();
        let form = if content_type == FORM {
            pairs(&self.body)
        } else {
            Vec::new()
        };
        let headers = self.head.headers.iter();
        let headers = headers.filter(|(name, _)| wanted.contains(name));
        webhooks::Request {
            content_type,
            query: pairs(self.head.query.as_bytes()),
            headers: headers.cloned().collect(),
            form,
            body: self.body.to_vec(),
            received_at,
            extra: Vec::new(),
        }
    }

    /// The body for people: as JSON, where it is that; a form as an object.
    pub(super) fn shown(&self) -> Option<Box<serde_json::value::RawValue>> {
        let text = if self.content_type() == FORM {
            let pairs: std::collections::BTreeMap<_, _> = pairs(&self.body).into_iter().collect();
            serde_json::to_string(&pairs).ok()?
        } else {
            String::from_utf8(self.body.to_vec()).ok()?
        };
        // What databases and readers further on could not take.
        if text.len() > SHOWN_BYTES_MAX || text.contains("\\u0000") {
            return None;
        }
        serde_json::value::RawValue::from_string(text).ok()
    }
}

/// An id, or of a long one its hash.
fn bounded(id: &str) -> String {
    if id.len() > ID_BYTES_MAX {
        hex(&Sha256::digest(id))
    } else {
        id.to_owned()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A longer id is known by its hash.
const ID_BYTES_MAX: usize = 200;
/// A larger body is kept, and not shown.
const SHOWN_BYTES_MAX: usize = 64 << 10;

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded)
        .take(PAIRS_MAX)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// The name under which a webhook is encrypted.
pub(super) fn field(id: Uuid) -> String {
    format!("webhook:{id}")
}

pub(super) const fn place(
    tenant: TenantId,
    environment: Environment,
    connection: ConnectionId,
    field: &str,
) -> SecretPlace<'_> {
    SecretPlace {
        tenant,
        environment,
        connection,
        field,
    }
}
