//! The router as one connection sees it: a request keeps the connection's seat until its answer is
//! written, and is not begun while the client leaves much unread.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use axum::{BoxError, Router};
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};

use super::plain;
use super::seats::Seat;
use super::unread::{Sending, Unread};
use crate::http::body::BodyPatience;
use crate::http::client_address::Peer;

/// Cheap to clone; all clones are of one connection.
#[derive(Debug, Clone)]
pub(super) struct Attended {
    pub(super) router: Router,
    pub(super) seat: Arc<Seat>,
    pub(super) unread: Arc<Unread>,
    pub(super) peer: Peer,
    pub(super) farewell: Farewell,
    pub(super) body_timeout: Option<Duration>,
}

/// What a connection's client is told at a shutdown, by the means of its protocol.
#[derive(Debug, Clone)]
pub(super) struct Farewell {
    stop: CancellationToken,
    is_http2: Arc<AtomicBool>,
}

impl Farewell {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            is_http2: Arc::default(),
        }
    }

    /// Ends when the shutdown begins.
    pub(super) async fn begun(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the client has asked anything in HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    fn hear(&self, version: Version) {
        if version == Version::HTTP_2 {
            self.is_http2.store(true, Ordering::Relaxed);
        }
    }

    /// In HTTP/1, an answer during the shutdown is the connection's last.
    fn say<B>(&self, answer: &mut Response<B>) {
        if self.stop.is_cancelled() && !self.is_http2() {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
    }
}

impl<B> Service<Request<B>> for Attended
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Sending>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let unread = Arc::clone(&self.unread);
        let Some(running) = self.seat.begin() else {
            // The connection is about to be closed; nothing may be begun on it.
            return Box::pin(async move {
                Ok(plain::overloaded_response().map(|body| unread.send(body, None)))
            });
        };
        request.extensions_mut().insert(self.peer);
        self.farewell.hear(request.version());
        let farewell = self.farewell.clone();
        if let Some(timeout) = self.body_timeout {
            request.extensions_mut().insert(BodyPatience(timeout));
        }
        let router = self.router.clone();
        Box::pin(async move {
            if unread.room().await.is_none() {
                return Ok(plain::overloaded_response().map(|body| unread.send(body, None)));
            }
            let mut answer = router.oneshot(request).await?;
            farewell.say(&mut answer);
            Ok(answer.map(|body| unread.send(body, Some(running))))
        })
    }
}
