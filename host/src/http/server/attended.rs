//! The router as one connection sees it: a request that is being answered keeps the connection's
//! seat.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use http::Request;
use tower::{Service, ServiceExt as _};

use super::plain;
use super::seats::Seat;
use crate::http::body::BodyPatience;

/// Cheap to clone; all clones are of one connection.
#[derive(Debug, Clone)]
pub(super) struct Attended {
    router: Router,
    seat: Arc<Seat>,
    body_timeout: Option<Duration>,
}

impl Attended {
    pub(super) const fn new(
        router: Router,
        seat: Arc<Seat>,
        body_timeout: Option<Duration>,
    ) -> Self {
        Self {
            router,
            seat,
            body_timeout,
        }
    }
}

impl<B> Service<Request<B>> for Attended
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(running) = self.seat.begin() else {
            // The connection is about to be closed; nothing may be begun on it.
            return Box::pin(async { Ok(plain::overloaded_response()) });
        };
        if let Some(timeout) = self.body_timeout {
            request.extensions_mut().insert(BodyPatience(timeout));
        }
        let answer = self.router.clone().oneshot(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(running);
            answer
        })
    }
}
