//! A provider that answers every request with what a test puts into its mouth: for answers that the
//! sandbox never gives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// It listens until it is dropped.
#[derive(Debug)]
pub struct Edge {
    address: SocketAddr,
    words: Arc<Mutex<Words>>,
    serving: JoinHandle<()>,
}

/// One answer, and how often it was given.
#[derive(Debug, Clone)]
struct Words {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    given: usize,
}

impl Edge {
    /// On a free port, with `200` and `{}` so far: every account passes its check.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let words = Arc::new(Mutex::new(Words {
            status: 200,
            headers: Vec::new(),
            body: "{}".to_owned(),
            given: 0,
        }));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&words));
        let serve = async move { axum::serve(listener, router).await.unwrap() };
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with the test; nothing of it has to finish"
        )]
        let serving = tokio::spawn(serve);
        Self {
            address,
            words,
            serving,
        }
    }

    /// For [`crate::harness::Setup::upstreams`].
    pub fn upstream(&self, host: &str) -> (String, String) {
        (host.to_owned(), format!("http://{}", self.address))
    }

    /// From now on the answer is this, and its count begins anew.
    pub fn says(&self, status: u16, body: &Value) {
        self.says_text(status, Vec::new(), &body.to_string());
    }

    /// The same with headers, and any text.
    pub fn says_text(&self, status: u16, headers: Vec<(&'static str, String)>, body: &str) {
        *self.words.lock().unwrap() = Words {
            status,
            headers,
            body: body.to_owned(),
            given: 0,
        };
    }

    /// How often the answer was given.
    pub fn given(&self) -> usize {
        self.words.lock().unwrap().given
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(words): State<Arc<Mutex<Words>>>) -> Response {
    let mut words = words.lock().unwrap();
    words.given += 1;
    let status = StatusCode::from_u16(words.status).unwrap();
    let mut response = (status, words.body.clone()).into_response();
    for (name, value) in &words.headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}
