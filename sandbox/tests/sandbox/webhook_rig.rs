//! The merchant's end: a server that takes webhooks in, and what a test asks of the deliveries.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use onerouter_sandbox::{NewWebhook, Webhook, WebhookAttempt};
use reqwest::{Method, header::HeaderMap};
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::rig::{Answer, Rig};

/// What came in at the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query, as they were sent.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

#[derive(Debug, Clone)]
enum Reply {
    Of(u16, &'static str, &'static str),
    Never,
}

#[derive(Default)]
struct Desk {
    received: Mutex<Vec<Received>>,
    replies: Mutex<VecDeque<Reply>>,
}

/// A server on a port of its own. It answers 204 unless it was told otherwise.
pub(crate) struct Receiver {
    url: String,
    desk: Arc<Desk>,
    /// Ends with the receiver.
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Receiver {
        Receiver::serve(None).await
    }

    /// With a certificate that nobody else trusts.
    pub(crate) async fn start_with_tls() -> Receiver {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Receiver::serve(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let desk = Arc::new(Desk::default());
        let served = Arc::clone(&desk);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (desk, tls) = (Arc::clone(&served), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => converse(desk, stream).await,
                        Some(tls) => converse(desk, tls.accept(stream).await.unwrap()).await,
                    }
                });
            }
        });
        Receiver {
            url,
            desk,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The next answers, one each.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        let replies = statuses.iter().map(|status| Reply::Of(*status, "", ""));
        self.desk.replies.lock().unwrap().extend(replies);
    }

    pub(crate) fn answer_with(&self, content_type: &'static str, body: &'static str) {
        let reply = Reply::Of(200, content_type, body);
        self.desk.replies.lock().unwrap().push_back(reply);
    }

    /// The next request gets no answer at all.
    pub(crate) fn hang(&self) {
        self.desk.replies.lock().unwrap().push_back(Reply::Never);
    }

    /// Everything since the last look, in the order of arrival.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.desk.received.lock().unwrap())
    }

    /// What came since the last look, which was one.
    pub(crate) fn one(&self) -> Received {
        let mut received = self.take();
        assert_eq!(received.len(), 1, "{received:?}");
        received.remove(0)
    }
}

async fn converse(desk: Arc<Desk>, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(|request| take(Arc::clone(&desk), request));
    // How a sender leaves is its own affair.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn take(
    desk: Arc<Desk>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    desk.received.lock().unwrap().push(Received {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    });
    let reply = desk.replies.lock().unwrap().pop_front();
    let (status, content_type, body) = match reply {
        None => (204, "", ""),
        Some(Reply::Of(status, content_type, body)) => (status, content_type, body),
        Some(Reply::Never) => std::future::pending().await,
    };
    let mut response = hyper::Response::builder().status(status);
    if !content_type.is_empty() {
        response = response.header("content-type", content_type);
    }
    Ok(response.body(Full::new(Bytes::from(body))).unwrap())
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.text.as_bytes())
            .into_owned()
            .collect()
    }

    /// A parameter of the form.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let form = self.form();
        let mut found = form.into_iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value)
    }
}

impl Rig {
    /// Has everything that is due delivered.
    pub(crate) async fn settled(&self) {
        let settled = self.sandbox.webhooks_settled();
        let patience = std::time::Duration::from_secs(20);
        tokio::time::timeout(patience, settled).await.unwrap();
    }

    pub(crate) async fn advance_and_settle(&self, seconds: i64) {
        self.advance(seconds).await;
        self.settled().await;
    }

    pub(crate) fn webhook(&self, provider: &str, url: String) -> Webhook {
        let new = NewWebhook {
            provider: provider.to_owned(),
            url,
            ..NewWebhook::default()
        };
        self.sandbox.add_webhook(&new).unwrap()
    }

    pub(crate) fn attempts(&self) -> Vec<WebhookAttempt> {
        self.sandbox.webhook_attempts()
    }

    /// When each attempt was made, in seconds after the first.
    pub(crate) fn seconds_of_attempts(&self) -> Vec<i64> {
        let attempts = self.attempts();
        let times = attempts.iter().map(|attempt| {
            chrono::DateTime::parse_from_rfc3339(&attempt.at)
                .unwrap()
                .timestamp()
        });
        let times: Vec<i64> = times.collect();
        times.iter().map(|time| time - times[0]).collect()
    }

    /// Moves the clock to each retry, as long as there is one.
    pub(crate) async fn retry_to_the_end(&self) {
        self.settled().await;
        while let Some(next) = self.next_retry() {
            let clock = self.get("clock").await;
            let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap();
            let now = time(clock["now"].as_str().unwrap());
            let ms = time(&next).signed_duration_since(now).num_milliseconds();
            let body = serde_json::json!({ "advance_ms": ms.max(0) + 1 });
            let moved: Answer = self.control(Method::POST, "clock", body).await;
            assert_eq!(moved.status, 200, "{moved:?}");
            self.settled().await;
        }
    }

    /// When the next attempt is announced that has not been made.
    fn next_retry(&self) -> Option<String> {
        let attempts = self.attempts();
        let is_made = |of: &WebhookAttempt| {
            attempts
                .iter()
                .any(|other| other.event_id == of.event_id && other.attempt == of.attempt + 1)
        };
        let open = attempts.iter().filter(|attempt| !is_made(attempt));
        open.filter_map(|attempt| attempt.next_attempt_at.clone())
            .min()
    }
}
