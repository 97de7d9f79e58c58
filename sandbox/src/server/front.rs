//! The way of one request: find the provider, meet the fault, let the provider answer.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::framing::{self, Body};
use crate::{
    call::Call,
    control,
    core::Core,
    faults::{AfterFault, BeforeFault, Fault, Refusal},
    provider::{Exchange, Provider},
    reply::Reply,
};

/// The largest documented request is an e-mail of 40 MB after Base64; this is above it, so that the
/// provider gives the refusal, not the socket.
const BODY_BYTES_MAX: usize = 64 << 20;

pub(crate) struct Front {
    pub(crate) core: Arc<Core>,
    pub(crate) providers: Vec<Arc<dyn Provider>>,
    pub(crate) tasks: TaskTracker,
}

/// The connection is to be reset instead of answered.
#[derive(Debug)]
pub(super) struct Reset;

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}

impl Front {
    pub(super) async fn serve(&self, request: Request<Incoming>) -> Result<Response<Body>, Reset> {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return Ok(framing::whole(Reply::empty(StatusCode::PAYLOAD_TOO_LARGE)));
        };
        let body = body.to_bytes();
        match self.provider_of(&parts) {
            Some((provider, prefix)) => {
                let call = Arc::new(Call::new(parts, body, prefix, self.core.clock.now()));
                self.meet(provider, call).await
            }
            None => Ok(framing::whole(self.own(&parts, &body))),
        }
    }

    /// By path prefix, else by host name; with the length of the prefix.
    fn provider_of(&self, parts: &Parts) -> Option<(&Arc<dyn Provider>, usize)> {
        let path = parts.uri.path();
        let first = path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        if let Some(provider) = self
            .providers
            .iter()
            .find(|provider| provider.name() == first)
        {
            return Some((provider, first.len().saturating_add(1)));
        }
        let host = parts
            .uri
            .host()
            .or_else(|| parts.headers.get(header::HOST)?.to_str().ok())?;
        let host = host.split(':').next().unwrap_or(host);
        let provider = self.providers.iter().find(|provider| {
            let mut others = provider.other_hosts().iter();
            provider.host().eq_ignore_ascii_case(host)
                || others.any(|other| other.eq_ignore_ascii_case(host))
        })?;
        Some((provider, 0))
    }

    fn own(&self, parts: &Parts, body: &Bytes) -> Reply {
        control::answer(&self.core, &self.providers, parts, body)
    }

    async fn meet(
        &self,
        provider: &Arc<dyn Provider>,
        call: Arc<Call>,
    ) -> Result<Response<Body>, Reset> {
        let fault = match self.core.faults.take(provider.as_ref(), &call) {
            Ok(fault) => fault,
            Err(error) => {
                let reply = Reply::json(
                    StatusCode::BAD_REQUEST,
                    &json!({ "sandbox_error": error.to_string() }),
                );
                return Ok(framing::whole(reply));
            }
        };
        self.core
            .requests
            .record(provider.name(), &call, self.core.settings().requests_kept);
        provider.catch_up();
        // Held until the answer is on its way, whatever happens to it.
        let exchange = provider.open(&call);
        let reply = match fault {
            Some(Fault::Before(ref before)) => match before {
                BeforeFault::Reset => return Err(Reset),
                BeforeFault::Error(refusal) => refuse(provider.as_ref(), refusal),
                BeforeFault::Latency(delay) => {
                    // On a task of its own: a real provider does not notice either that its client gave up.
                    let (late, call, delay) = (exchange.clone(), Arc::clone(&call), *delay);
                    let answered = self.tasks.spawn(async move {
                        tokio::time::sleep(delay).await;
                        answer(late, &call)
                    });
                    answered.await.map_err(|error| {
                        tracing::error!(%error, "a delayed answer was lost");
                        Reset
                    })?
                }
            },
            Some(Fault::After(_)) | None => answer(exchange.clone(), &call),
        };
        let response = match fault {
            Some(Fault::After(after)) => damage(provider.as_ref(), after, reply).await?,
            Some(Fault::Before(_)) | None => framing::whole(reply),
        };
        call.set_answered(response.status());
        Ok(response)
    }
}

fn answer(exchange: Result<Arc<dyn Exchange>, Box<Reply>>, call: &Call) -> Reply {
    exchange.map_or_else(|refused| *refused, |exchange| exchange.answer(call))
}

fn refuse(provider: &dyn Provider, refusal: &Refusal) -> Reply {
    provider.refusal(refusal.status, refusal.code.as_deref())
}

/// What a fault after the effect makes of the answer.
async fn damage(
    provider: &dyn Provider,
    fault: AfterFault,
    mut reply: Reply,
) -> Result<Response<Body>, Reset> {
    Ok(match fault {
        AfterFault::Reset => return Err(Reset),
        AfterFault::Latency(delay) => {
            tokio::time::sleep(delay).await;
            framing::whole(reply)
        }
        AfterFault::Error(refusal) => framing::whole(refuse(provider, &refusal)),
        AfterFault::TruncatedBody => framing::truncated(reply),
        AfterFault::MalformedJson => {
            reply.body.truncate(reply.body.len().div_ceil(2));
            framing::whole(reply)
        }
        AfterFault::WrongContentType => {
            let page = "<!doctype html><html><body><h1>Welcome</h1></body></html>";
            framing::whole(Reply::of(reply.status, "text/html; charset=utf-8", page))
        }
        AfterFault::HugeBody(bytes) => framing::padded(reply, bytes),
        AfterFault::TrickleBody(pause) => framing::trickled(reply, pause),
    })
}
