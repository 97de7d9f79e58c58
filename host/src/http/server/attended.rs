//! The router as one connection sees it: a request keeps the connection's seat until its answer is
//! written, and is not begun while the client leaves much unread.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use axum::{BoxError, Router};
use bytes::Bytes;
use http::{Request, Response};
use tower::{Service, ServiceExt as _};

use super::plain;
use super::seats::Seat;
use super::unread::{Sending, Unread};
use crate::http::body::BodyPatience;
use crate::http::client_address::Peer;

/// Cheap to clone; all clones are of one connection.
#[derive(Debug, Clone)]
pub(super) struct Attended {
    router: Router,
    seat: Arc<Seat>,
    unread: Arc<Unread>,
    peer: Peer,
    body_timeout: Option<Duration>,
}

impl Attended {
    pub(super) const fn new(
        router: Router,
        seat: Arc<Seat>,
        unread: Arc<Unread>,
        peer: Peer,
        body_timeout: Option<Duration>,
    ) -> Self {
        Self {
            router,
            seat,
            unread,
            peer,
            body_timeout,
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
        if let Some(timeout) = self.body_timeout {
            request.extensions_mut().insert(BodyPatience(timeout));
        }
        let router = self.router.clone();
        Box::pin(async move {
            if unread.room().await.is_none() {
                return Ok(plain::overloaded_response().map(|body| unread.send(body, None)));
            }
            let answer = router.oneshot(request).await?;
            Ok(answer.map(|body| unread.send(body, Some(running))))
        })
    }
}
