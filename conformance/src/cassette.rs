//! Cassettes: a provider's recorded answers, as JSON files.
//!
//! A folder holds one folder per operation, and that one file per scenario: `sms.send/success.json`. What
//! the files hold is described in `docs/guides/conformance.md`.

mod shelf;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::input::Input;

pub use shelf::{CassetteError, Cassettes};

/// One file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cassette {
    /// Version of this format; 1.
    pub(crate) cassette: u32,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
    /// What the adapter is told about the time; none is the kit's own fixed time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    /// Settings of the connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) settings: BTreeMap<String, String>,
    /// What differs from the kit's own request.
    #[serde(default, skip_serializing_if = "Input::is_default")]
    pub(crate) input: Input,
    /// How the call must end. Scenarios of a well-known name need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expect: Option<Expect>,
    /// Requests and answers, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) exchanges: Vec<Exchange>,
    /// For `webhooks.read`: what the provider sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) webhook: Option<Told>,
}

/// How a call must end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) outcome: ExpectedOutcome,
    /// Of what is declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<ExpectedKind>,
    /// The unified code of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// Status of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// How many objects are found, or sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExpectedOutcome {
    Accepted,
    Declined,
    NotSent,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExpectedKind {
    Declined,
    Unauthorized,
    NotFound,
    InvalidState,
}

/// One request, and the answer to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    pub(crate) request: Asked,
    pub(crate) answer: Answered,
}

/// What a request must be. Its body is the adapter's business, and checked elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) host: String,
    /// Without the query. `{{credentials.NAME}}` stands for a public credential.
    pub(crate) path: String,
}

/// What a provider says. A body is one of `json` and `text`, or empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) json: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// A webhook. The kit signs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    /// Of the body. `application/json` where it is `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    /// What stands after the `?` of the URL.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) query: String,
    /// Besides those that the signature makes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) json: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// How it is signed, where the manifest leaves that to the adapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sign: Option<OwnSignature>,
    /// Events that the adapter must read in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<usize>,
}

/// A signature of a scheme that the host does not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnSignature {
    /// Name under the manifest's `signatures`.
    pub(crate) signature: String,
    /// The header that it goes into.
    pub(crate) header: String,
    /// What is signed: `{body}` and `{header:NAME}` are replaced.
    pub(crate) message: String,
}

impl Cassette {
    /// One without anything.
    pub(crate) fn empty() -> Self {
        Self {
            cassette: 1,
            note: String::new(),
            recorded_at: None,
            settings: BTreeMap::new(),
            input: Input::default(),
            expect: None,
            exchanges: Vec::new(),
            webhook: None,
        }
    }
}

impl Answered {
    /// The body's bytes.
    pub(crate) fn body(&self) -> Vec<u8> {
        match (&self.json, &self.text) {
            (Some(json), _) => json.to_string().into_bytes(),
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
        }
    }

    /// From a body: `json` where nothing is lost by that, so that people can read it.
    pub(crate) fn set_body(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        match serde_json::from_str::<Value>(&text) {
            Ok(value) if is_exact(&value) => self.json = Some(value),
            Ok(_) | Err(_) => self.text = Some(text),
        }
    }
}

/// Whether a tree of values is the same as its text: `5.00` would become `5.0`.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(fields) => fields.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
