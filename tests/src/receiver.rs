//! Somebody who hears of events: an HTTP server that keeps what it was sent, and answers as it is told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running server. Every path is one endpoint. Dropped, it is gone.
#[derive(Debug)]
pub struct Receiver {
    url: String,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Inner {
    received: Mutex<Vec<Received>>,
    next: Mutex<HashMap<String, VecDeque<Answer>>>,
    usual: Mutex<HashMap<String, Answer>>,
    held: Mutex<HashMap<String, watch::Sender<bool>>>,
}

/// What it was sent.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub method: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What it answers.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Answer {
    /// With this status, and nothing else.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// With one more header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a body.
    pub fn saying(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

impl Received {
    /// A header as text.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name}"))
            .to_str()
            .unwrap()
    }

    /// `evt_…`
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The body.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Which version of its object it tells of.
    pub fn sequence(&self) -> u64 {
        self.header("onerouter-sequence").parse().unwrap()
    }
}

impl Receiver {
    /// On a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner::default());
        let router = axum::Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            inner,
            serving,
        }
    }

    /// `http://127.0.0.1:…` and a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What came to a path, in order.
    pub fn received(&self, path: &str) -> Vec<Received> {
        let received = self.inner.received.lock().unwrap();
        let of_path = received.iter().filter(|one| one.path == path);
        of_path.cloned().collect()
    }

    /// How much came, to whatever path.
    pub fn count(&self) -> usize {
        self.inner.received.lock().unwrap().len()
    }

    /// The ids of all that came, in order.
    pub fn ids(&self) -> Vec<String> {
        let received = self.inner.received.lock().unwrap();
        received.iter().map(|one| one.id().to_owned()).collect()
    }

    /// The deliveries of all that came, in order.
    pub fn deliveries(&self) -> Vec<String> {
        let received = self.inner.received.lock().unwrap();
        let of = received.iter().map(|one| one.header("onerouter-delivery"));
        of.map(str::to_owned).collect()
    }

    /// Answers the next request to a path in another way.
    pub fn answer_next(&self, path: &str, answer: Answer) {
        let mut next = self.inner.next.lock().unwrap();
        next.entry(path.to_owned()).or_default().push_back(answer);
    }

    /// Answers every request to a path in this way from now on.
    pub fn answer(&self, path: &str, answer: Answer) {
        let mut usual = self.inner.usual.lock().unwrap();
        usual.insert(path.to_owned(), answer);
    }

    /// Takes requests to a path, but answers none until [`Receiver::release`].
    pub fn hold(&self, path: &str) {
        let mut held = self.inner.held.lock().unwrap();
        held.entry(path.to_owned())
            .or_insert_with(|| watch::Sender::new(false))
            .send_replace(true);
    }

    /// Answers what was held.
    pub fn release(&self, path: &str) {
        if let Some(held) = self.inner.held.lock().unwrap().get(path) {
            held.send_replace(false);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Inner {
    fn answer_of(&self, path: &str) -> Answer {
        let next = self
            .next
            .lock()
            .unwrap()
            .get_mut(path)
            .and_then(VecDeque::pop_front);
        let usual = || self.usual.lock().unwrap().get(path).cloned();
        next.or_else(usual).unwrap_or_else(|| Answer::status(204))
    }
}

async fn receive(
    State(inner): State<Arc<Inner>>,
    method: axum::http::Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<axum::body::Body> {
    let path = uri.path().to_owned();
    inner.received.lock().unwrap().push(Received {
        path: path.clone(),
        method: method.to_string(),
        headers,
        body,
    });
    let held = inner
        .held
        .lock()
        .unwrap()
        .get(&path)
        .map(watch::Sender::subscribe);
    if let Some(mut held) = held {
        let _gone = held.wait_for(|held| !held).await;
    }
    let answer = inner.answer_of(&path);
    let mut response = Response::new(answer.body.into());
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
    for (name, value) in answer.headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}
