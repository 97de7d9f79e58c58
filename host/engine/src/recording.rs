//! A call as it can be made again: what went in, what the host answered meanwhile, and what came out.
//!
//! It is taken at the guest's border, where no secret ever passes: requests as the adapter asked for
//! them, before a credential is attached; answers as it got them, after secrets were removed.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use onerouter_domain::environment::Environment;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::bindings::onerouter::outbound::http as wit;
use crate::scrub::Scrubber;
use crate::wit::common::CallError;

/// Calls with more than this in parameters, requests, answers and result are not recorded.
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
    /// JSON.
    pub(crate) params: String,
    /// When it began, in milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// What the adapter was told when it asked for the time.
    pub(crate) times: Vec<u64>,
    pub(crate) signatures: Vec<RecordedSignature>,
    pub(crate) exchanges: Vec<Exchange>,
    /// JSON, as [`told`] writes it.
    pub(crate) result: String,
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
    pub(crate) timeout_ms: Option<u32>,
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
            timeout_ms: request.timeout_ms,
        }
    }
}

/// What each part of a request or an answer takes besides its text.
const PART_BYTES: usize = 32;

/// How much a request takes in a recording: known before any of it is copied.
pub(crate) fn asked_bytes(request: &wit::Request) -> usize {
    let body = match &request.body {
        wit::Body::Empty => 0,
        wit::Body::Json(text) => text.len(),
        wit::Body::Form(pairs) => pairs_bytes(pairs),
        wit::Body::Bytes(bytes) => base64_bytes(bytes),
    };
    let wanted = request.want_headers.iter();
    let wanted: usize = wanted.map(|name| name.len() + PART_BYTES).sum();
    let auth = request.auth.as_ref().map_or(0, String::len);
    PART_BYTES + request.url.len() + auth + pairs_bytes(&request.headers) + wanted + body
}

fn told_bytes(answer: &Result<wit::Response, wit::SendError>) -> usize {
    PART_BYTES
        + match answer {
            Ok(response) => pairs_bytes(&response.headers) + base64_bytes(&response.body),
            Err(wit::SendError::TooLarge(_)) => 0,
            Err(
                wit::SendError::Denied(text)
                | wit::SendError::Unreachable(text)
                | wit::SendError::Interrupted(text)
                | wit::SendError::Other(text),
            ) => text.len(),
        }
}

fn pairs_bytes(pairs: &[(String, String)]) -> usize {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| name.len() + value.len() + PART_BYTES)
        .sum()
}

const fn base64_bytes(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4
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

/// What an adapter answered, as JSON: `{"ok": …}`, or `{"error": {"declined": …}}`. None where it is too
/// large to be recorded.
pub(crate) fn told<T: Serialize>(answer: &Result<T, CallError>) -> Option<Value> {
    let parse = |text: String| serde_json::from_str::<Value>(&text).ok();
    Some(match answer {
        Ok(output) => json!({"ok": parse(bounded_json(output)?)?}),
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
            let inner = match parse(bounded_json(error)?)? {
                Value::Object(variant) => variant.into_iter().next().map(|(_, inner)| inner),
                _ => None,
            };
            json!({"error": {kind: inner}})
        }
    })
}

/// Text of JSON, or nothing where it would be larger than a recording may be: writing ends there. A file that
/// goes with an e-mail is a list of numbers in it.
pub(crate) fn bounded_json<T: Serialize>(value: &T) -> Option<String> {
    let mut bounded = Bounded(Vec::new());
    serde_json::to_writer(&mut bounded, value).ok()?;
    String::from_utf8(bounded.0).ok()
}

struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > RECORDING_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

    /// The request, where there is room for it.
    pub(crate) fn asked(&self, request: &wit::Request) -> Option<Asked> {
        self.has_room(asked_bytes(request))
            .then(|| Asked::of(request))
    }

    pub(crate) fn exchange(&self, asked: Asked, answer: &Result<wit::Response, wit::SendError>) {
        if self.has_room(told_bytes(answer)) {
            let told = Told::of(answer);
            self.lock().exchanges.push(Exchange { asked, told });
        }
    }

    /// Counts what is about to be copied. Where it does not fit, the call is not recorded at all.
    fn has_room(&self, bytes: usize) -> bool {
        let mut noted = self.lock();
        noted.bytes = noted.bytes.saturating_add(bytes);
        noted.bytes <= RECORDING_BYTES_MAX
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
    /// Hands the recording over, unless something did not fit. Secrets are looked for once more: an adapter may
    /// have put together what no answer held in one piece.
    pub(crate) fn end(self, result: &Value, secrets: &Scrubber) {
        let Noted {
            times,
            signatures,
            exchanges,
            bytes,
        } = std::mem::take(&mut *self.notes.lock());
        let result = result.to_string();
        let bytes = bytes + self.begun.params.len() + result.len();
        if bytes > RECORDING_BYTES_MAX || times.len().max(signatures.len()) > NOTES_MAX {
            return;
        }
        let scrubbed = serde_json::to_string(&exchanges)
            .ok()
            .and_then(|text| serde_json::from_str(&secrets.text(&text)).ok());
        let Some(exchanges) = scrubbed else {
            return;
        };
        self.recorder.keep(Recording {
            times,
            signatures,
            exchanges,
            result: secrets.text(&result).into_owned(),
            ..self.begun
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever a plugin puts what is large, it is counted before it is copied.
    #[test]
    fn every_part_of_a_request_and_of_an_answer_counts() {
        let large = || "x".repeat(RECORDING_BYTES_MAX);
        let request = || wit::Request {
            method: wit::Method::Post,
            url: "https://a.example/".to_owned(),
            headers: Vec::new(),
            body: wit::Body::Empty,
            auth: None,
            want_headers: Vec::new(),
            timeout_ms: None,
        };
        let large_requests = [
            wit::Request {
                url: large(),
                ..request()
            },
            wit::Request {
                auth: Some(large()),
                ..request()
            },
            wit::Request {
                headers: vec![(large(), String::new())],
                ..request()
            },
            wit::Request {
                want_headers: vec![large()],
                ..request()
            },
            wit::Request {
                want_headers: vec![String::new(); 10_000],
                ..request()
            },
            wit::Request {
                body: wit::Body::Json(large()),
                ..request()
            },
            wit::Request {
                body: wit::Body::Bytes(large().into_bytes()),
                ..request()
            },
            wit::Request {
                body: wit::Body::Form(vec![(String::new(), String::new()); 10_000]),
                ..request()
            },
        ];
        for request in large_requests {
            assert_eq!(
                Notes::default().asked(&request),
                None,
                "{:.80?}",
                request.body
            );
        }
        let answers = [
            Err(wit::SendError::Denied(large())),
            Err(wit::SendError::Other(large())),
            Ok(wit::Response {
                status: 200,
                headers: vec![(String::new(), large())],
                body: Vec::new(),
            }),
        ];
        for answer in answers {
            let notes = Notes::default();
            let asked = notes.asked(&request()).unwrap();
            notes.exchange(asked, &answer);
            assert_eq!(notes.lock().exchanges, []);
            assert!(notes.lock().bytes > RECORDING_BYTES_MAX);
        }
    }
}
