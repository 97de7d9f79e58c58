//! A call as it can be made again: what went in, what the host answered meanwhile, and what came out.
//!
//! It is taken at the guest's border, where no secret ever passes: requests as the adapter asked for
//! them, before a credential is attached; answers as it got them, after secrets were removed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use onerouter_domain::environment::Environment;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::bindings::onerouter::outbound::http as wit;
use crate::wit::common::CallError;

/// Calls with more than this in requests and answers are not recorded.
pub(crate) const RECORDING_BYTES_MAX: usize = 256 << 10;

/// Decides which calls of a connection are recorded, and keeps them.
pub trait Recorder: fmt::Debug + Send + Sync {
    /// Whether a call that is about to begin is to be recorded. Asked for every call.
    fn wants(&self, operation: &Operation) -> bool;

    /// Keeps a call that has ended. Does not wait for anything: the caller is a request.
    fn keep(&self, recording: Recording);
}

/// A function of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation {
    /// `payment_links`
    pub capability: &'static str,
    /// `create`
    pub function: &'static str,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.capability, self.function)
    }
}

/// A call as it can be made again.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// As [`Operation`] writes it.
    pub operation: String,
    /// SHA-256 of the component that served it.
    pub sha256: String,
    /// The connection's.
    pub environment: Environment,
    /// The connection's credentials that adapters may read.
    pub(crate) public: BTreeMap<String, String>,
    /// The connection's settings.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) key: Option<RecordedKey>,
    pub(crate) params: Value,
    /// When it began, in milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// What the adapter was told when it asked for the time.
    pub(crate) times: Vec<u64>,
    pub(crate) signatures: Vec<RecordedSignature>,
    pub(crate) exchanges: Vec<Exchange>,
    /// As [`told`] writes it.
    pub(crate) result: Value,
}

impl fmt::Debug for Recording {
    /// Without content, which is a tenant's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("operation", &self.operation)
            .field("sha256", &self.sha256)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// The key toward the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedKey {
    /// By which the manifest knows it.
    pub(crate) operation: String,
    pub(crate) text: String,
}

/// A signature that the adapter had checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedSignature {
    /// Digest of what was to be checked.
    pub(crate) of: String,
    pub(crate) fits: bool,
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) asked: Asked,
    pub(crate) told: Told,
}

/// A request as the adapter asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: AskedBody,
    pub(crate) auth: Option<String>,
    pub(crate) want_headers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AskedBody {
    Empty,
    Json(String),
    Form(Vec<(String, String)>),
    /// In Base64.
    Bytes(String),
}

/// What the host answered to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        /// In Base64.
        body: String,
    },
    Denied(String),
    Unreachable(String),
    Interrupted(String),
    TooLarge(u64),
    Other(String),
}

impl Asked {
    pub(crate) fn of(request: &wit::Request) -> Self {
        Self {
            method: method(request.method).to_owned(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: match &request.body {
                wit::Body::Empty => AskedBody::Empty,
                wit::Body::Json(text) => AskedBody::Json(text.clone()),
                wit::Body::Form(pairs) => AskedBody::Form(pairs.clone()),
                wit::Body::Bytes(bytes) => AskedBody::Bytes(STANDARD.encode(bytes)),
            },
            auth: request.auth.clone(),
            want_headers: request.want_headers.clone(),
        }
    }

    fn bytes(&self) -> usize {
        let pairs = |pairs: &[(String, String)]| -> usize {
            pairs
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum()
        };
        let body = match &self.body {
            AskedBody::Empty => 0,
            AskedBody::Json(text) | AskedBody::Bytes(text) => text.len(),
            AskedBody::Form(form) => pairs(form),
        };
        self.url.len() + pairs(&self.headers) + body
    }
}

const fn method(method: wit::Method) -> &'static str {
    match method {
        wit::Method::Get => "GET",
        wit::Method::Head => "HEAD",
        wit::Method::Post => "POST",
        wit::Method::Put => "PUT",
        wit::Method::Patch => "PATCH",
        wit::Method::Delete => "DELETE",
    }
}

impl Told {
    fn of(answer: &Result<wit::Response, wit::SendError>) -> Self {
        match answer {
            Ok(response) => Self::Answer {
                status: response.status,
                headers: response.headers.clone(),
                body: STANDARD.encode(&response.body),
            },
            Err(wit::SendError::Denied(text)) => Self::Denied(text.clone()),
            Err(wit::SendError::Unreachable(text)) => Self::Unreachable(text.clone()),
            Err(wit::SendError::Interrupted(text)) => Self::Interrupted(text.clone()),
            Err(wit::SendError::TooLarge(limit)) => Self::TooLarge(*limit),
            Err(wit::SendError::Other(text)) => Self::Other(text.clone()),
        }
    }

    pub(crate) fn again(&self) -> Result<wit::Response, wit::SendError> {
        match self {
            Self::Answer {
                status,
                headers,
                body,
            } => Ok(wit::Response {
                status: *status,
                headers: headers.clone(),
                body: STANDARD.decode(body).unwrap_or_default(),
            }),
            Self::Denied(text) => Err(wit::SendError::Denied(text.clone())),
            Self::Unreachable(text) => Err(wit::SendError::Unreachable(text.clone())),
            Self::Interrupted(text) => Err(wit::SendError::Interrupted(text.clone())),
            Self::TooLarge(limit) => Err(wit::SendError::TooLarge(*limit)),
            Self::Other(text) => Err(wit::SendError::Other(text.clone())),
        }
    }
}

/// What a signature was checked over. The text itself stands in the call's parameters.
pub(crate) fn signature_digest(name: &str, message: &[u8], tag: &str) -> String {
    let mut hash = Sha256::new();
    for part in [name.as_bytes(), message, tag.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    STANDARD.encode(hash.finalize())
}

/// What an adapter answered, as JSON: `{"ok": …}`, or `{"error": {"declined": …}}`.
pub(crate) fn told<T: Serialize>(answer: &Result<T, CallError>) -> serde_json::Result<Value> {
    Ok(match answer {
        Ok(output) => json!({"ok": serde_json::to_value(output)?}),
        Err(error) => {
            let kind = match error {
                CallError::Declined(_) => "declined",
                CallError::Unauthorized(_) => "unauthorized",
                CallError::NotSent(_) => "not_sent",
                CallError::NotFound(_) => "not_found",
                CallError::InvalidState(_) => "invalid_state",
                CallError::Unknown(_) => "unknown",
                CallError::Unsupported(_) => "unsupported",
                CallError::Other(_) => "other",
                CallError::Invalid(_) => "invalid",
            };
            let inner = match serde_json::to_value(error)? {
                Value::Object(variant) => variant.into_iter().next().map(|(_, inner)| inner),
                _ => None,
            };
            json!({"error": {kind: inner}})
        }
    })
}

/// What is noted while a call that is recorded runs.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    times: Vec<u64>,
    signatures: Vec<RecordedSignature>,
    exchanges: Vec<Exchange>,
    bytes: usize,
}

/// Times and signatures that are noted; whoever asks more often is not recorded.
const NOTES_MAX: usize = 1_000;

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn time(&self, now_ms: u64) {
        let mut noted = self.lock();
        if noted.times.len() <= NOTES_MAX {
            noted.times.push(now_ms);
        }
    }

    pub(crate) fn signature(&self, of: String, fits: bool) {
        let mut noted = self.lock();
        if noted.signatures.len() <= NOTES_MAX {
            noted.signatures.push(RecordedSignature { of, fits });
        }
    }

    pub(crate) fn exchange(&self, asked: Asked, answer: &Result<wit::Response, wit::SendError>) {
        let mut noted = self.lock();
        let size = asked.bytes()
            + answer
                .as_ref()
                .map_or(0, |response| response.body.len().div_ceil(3) * 4);
        noted.bytes = noted.bytes.saturating_add(size);
        // What does not fit is not copied either.
        if noted.bytes <= RECORDING_BYTES_MAX {
            let told = Told::of(answer);
            noted.exchanges.push(Exchange { asked, told });
        }
    }
}

/// A call that is being recorded.
pub(crate) struct Take {
    pub(crate) recorder: Arc<dyn Recorder>,
    pub(crate) notes: Arc<Notes>,
    /// All but the notes and the result.
    pub(crate) begun: Recording,
}

impl Take {
    /// Hands the recording over, unless something did not fit.
    pub(crate) fn end(self, result: Value) {
        let Noted {
            times,
            signatures,
            exchanges,
            bytes,
        } = std::mem::take(&mut *self.notes.lock());
        if bytes > RECORDING_BYTES_MAX || times.len().max(signatures.len()) > NOTES_MAX {
            return;
        }
        self.recorder.keep(Recording {
            times,
            signatures,
            exchanges,
            result,
            ..self.begun
        });
    }
}
