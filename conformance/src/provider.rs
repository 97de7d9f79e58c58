//! The provider's side of a run: a server on loopback that answers from a script, fails on purpose, or
//! passes requests on. It keeps what it was asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::cassette::{Answered, Asked, Exchange};
use crate::fault::Fault;
use crate::forward::Forward;

/// More than an adapter may send.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Requests that one script keeps; no manifest may ask for as many.
const RECEIVED_MAX: usize = 1_024;

/// What a token endpoint gives. Not a secret that anybody else has.
pub(crate) const ACCESS_TOKEN: &str = "kitaccesstoken0c9f1b7e54d24a0d8e6b";

/// What comes after the recorded answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Another request is one too many.
    Nothing,
    /// Every further request fails this way.
    Fails(Fault),
    /// Requests go to the live provider.
    Forwards,
}

/// What the provider does during one call.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) exchanges: VecDeque<Exchange>,
    pub(crate) then: Then,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) by: By,
}

/// Who answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Cassette,
    Fault,
    Live,
    Token,
    /// No such request is in the cassette.
    Nobody,
}

/// A running server. Dropping it ends it.
pub(crate) struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    state: Mutex<State>,
    token_paths: BTreeSet<String>,
    answer_bytes_max: u64,
    forward: Option<Forward>,
    chain: Option<String>,
    chain_path: Option<String>,
}

struct State {
    script: Script,
    received: Vec<Received>,
    recorded: Vec<Exchange>,
}

/// What one call left behind.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) received: Vec<Received>,
    /// Requests of the cassette that did not come.
    pub(crate) missing: Vec<Asked>,
    /// What the live provider answered.
    pub(crate) recorded: Vec<Exchange>,
}

/// What the server has to know of an adapter.
pub(crate) struct Settings {
    pub(crate) token_paths: BTreeSet<String>,
    pub(crate) answer_bytes_max: u64,
    pub(crate) forward: Option<Forward>,
    /// The certificates that webhooks are signed with, and what their path begins with.
    pub(crate) chain: Option<String>,
    pub(crate) chain_path: Option<String>,
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

impl Provider {
    pub(crate) async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                script: Script {
                    exchanges: VecDeque::new(),
                    then: Then::Nothing,
                },
                received: Vec::new(),
                recorded: Vec::new(),
            }),
            token_paths: settings.token_paths,
            answer_bytes_max: settings.answer_bytes_max,
            forward: settings.forward,
            chain: settings.chain,
            chain_path: settings.chain_path,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            _tasks: tasks,
        })
    }

    /// The URL that stands in for a host.
    pub(crate) fn base(&self, host: &str) -> String {
        format!("http://{}/{host}", self.address)
    }

    /// Begins with another script, and forgets the one before.
    pub(crate) fn play(&self, script: Script) {
        let mut state = self.shared.lock();
        *state = State {
            script,
            received: Vec::new(),
            recorded: Vec::new(),
        };
    }

    /// What came since then.
    pub(crate) fn heard(&self) -> Heard {
        let mut state = self.shared.lock();
        Heard {
            received: std::mem::take(&mut state.received),
            missing: state
                .script
                .exchanges
                .drain(..)
                .map(|exchange| exchange.request)
                .collect(),
            recorded: std::mem::take(&mut state.recorded),
        }
    }
}

/// Connections end with the server: their tasks are in a set that this one holds.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // The descriptors are used up for a moment, or the peer is gone already.
                Err(_) => {
                    tokio::task::yield_now().await;
                    continue;
                }
            },
            Some(_ended) = connections.join_next() => continue,
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            // One request each: a fault must not meet the next scenario.
            let served = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // Most faults are connections that end in an error.
            let _ended = served.await;
        });
    }
}

/// What is done with one request.
enum Play {
    Answer(Answered),
    Fail(Fault),
    Forward(Forward),
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    let whole = parts.uri.path().trim_start_matches('/');
    let (host, path) = whole.split_once('/').unwrap_or((whole, ""));
    let mut received = Received {
        method: parts.method.as_str().to_owned(),
        host: host.to_owned(),
        path: format!("/{path}"),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        by: By::Nobody,
    };
    let play = shared.next(&mut received);
    match play {
        Play::Answer(answered) => whole_answer(&answered),
        Play::Fail(fault) => fail(fault, &received, shared.answer_bytes_max).await,
        Play::Forward(forward) => {
            let answered = forward.send(&received).await.map_err(io::Error::other)?;
            if received.by == By::Live {
                shared.lock().recorded.push(Exchange {
                    request: Asked {
                        method: received.method,
                        host: received.host,
                        path: received.path,
                    },
                    answer: answered.clone(),
                });
            }
            whole_answer(&answered)
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses by the script, and writes the request down.
    fn next(&self, received: &mut Received) -> Play {
        if let (Some(path), Some(chain)) = (&self.chain_path, &self.chain)
            && received.path.starts_with(path)
        {
            // Asked for by the host itself, and no part of the call.
            return Play::Answer(Answered {
                status: 200,
                headers: BTreeMap::new(),
                json: None,
                text: Some(chain.clone()),
            });
        }
        let mut state = self.lock();
        let play = if self.token_paths.contains(&received.path) {
            received.by = By::Token;
            match &self.forward {
                Some(forward) => Play::Forward(forward.clone()),
                None => Play::Answer(token()),
            }
        } else {
            state.script.next(received, self.forward.as_ref())
        };
        if state.received.len() < RECEIVED_MAX {
            state.received.push(received.clone());
        }
        play
    }
}

impl Script {
    fn next(&mut self, received: &mut Received, forward: Option<&Forward>) -> Play {
        if let Some(exchange) = self.exchanges.front() {
            if exchange.request.is(received) {
                received.by = By::Cassette;
                let exchange = self.exchanges.pop_front();
                return exchange.map_or_else(nobody, |exchange| Play::Answer(exchange.answer));
            }
            return nobody();
        }
        match (self.then, forward) {
            (Then::Fails(fault), _) => {
                received.by = By::Fault;
                Play::Fail(fault)
            }
            (Then::Forwards, Some(forward)) => {
                received.by = By::Live;
                Play::Forward(forward.clone())
            }
            (Then::Nothing | Then::Forwards, _) => nobody(),
        }
    }
}

impl Asked {
    fn is(&self, received: &Received) -> bool {
        self.method == received.method && self.host == received.host && self.path == received.path
    }
}

/// Nothing that an adapter could take for an answer.
fn nobody() -> Play {
    Play::Answer(Answered {
        status: 500,
        headers: BTreeMap::new(),
        json: None,
        text: Some("the cassette has no such request at this place".to_owned()),
    })
}

fn token() -> Answered {
    let body = serde_json::json!({
        "access_token": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 3_600,
    });
    Answered {
        status: 200,
        headers: BTreeMap::new(),
        json: Some(body),
        text: None,
    }
}

fn whole_answer(answered: &Answered) -> io::Result<Response<Body>> {
    let status = StatusCode::from_u16(answered.status).map_err(io::Error::other)?;
    let mut response = Response::builder().status(status);
    let has_type = answered
        .headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("content-type"));
    if answered.json.is_some() && !has_type {
        response = response.header("content-type", "application/json");
    }
    for (name, value) in &answered.headers {
        response = response.header(name, value);
    }
    let body = Full::new(Bytes::from(answered.body()));
    response
        .body(body.map_err(never).boxed_unsync())
        .map_err(io::Error::other)
}

fn never(never: Infallible) -> io::Error {
    match never {}
}

/// An error ends the connection without an answer.
async fn fail(
    fault: Fault,
    received: &Received,
    answer_bytes_max: u64,
) -> io::Result<Response<Body>> {
    if let Some(answered) = fault.answer(received) {
        return whole_answer(&answered);
    }
    match fault {
        Fault::NoAnswerInTime => std::future::pending().await,
        Fault::CutOff => {
            let start = Ok(Frame::data(Bytes::from_static(b"{\"id\":\"kit-cut-off\",")));
            let end = Err(io::Error::other("cut off on purpose"));
            streamed(4_096, stream::iter([start, end]))
        }
        Fault::Enormous => {
            const CHUNK: &[u8] = &[b' '; 16 << 10];
            let length = answer_bytes_max.saturating_add(1);
            let chunks = length.div_ceil(16 << 10);
            let chunks = (0..chunks).map(move |index| {
                let left = length.saturating_sub(index.saturating_mul(16 << 10));
                let size = usize::try_from(left).unwrap_or(CHUNK.len());
                let chunk = CHUNK.get(..size.min(CHUNK.len())).unwrap_or(CHUNK);
                Ok(Frame::data(Bytes::from_static(chunk)))
            });
            streamed(length, stream::iter(chunks))
        }
        _ => Err(io::Error::other("no answer, on purpose")),
    }
}

fn streamed(
    length: u64,
    frames: impl stream::Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static,
) -> io::Result<Response<Body>> {
    Response::builder()
        .header("content-type", "application/json")
        .header("content-length", length)
        .body(StreamBody::new(frames).boxed_unsync())
        .map_err(io::Error::other)
}
