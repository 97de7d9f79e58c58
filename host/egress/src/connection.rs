//! One HTTP/1.1 connection, driven by whoever uses it.
//!
//! There is no task behind a connection. The future that sends a request drives it, and when that
//! future is dropped the connection goes with it: no byte is written behind the caller's back, so
//! [`Written`] can be trusted at once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::message::{Answer, Interruption, SendError, Unreachable, Wanted};
use crate::stream::{Meter, Metered, Stream, Tcp};
use crate::written::Written;

/// Headers of an answer; more is not a provider's API.
const HEADERS_MAX: usize = 128;

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Where only the start of a body is wanted, it has so long to come.
const START_WAIT: Duration = Duration::from_secs(1);

/// What goes on the wire.
pub(crate) type WireRequest = Request<Full<Bytes>>;

/// Why an exchange did not end with an answer.
pub(crate) enum Failed {
    /// The connection was dead, and here is the request, untouched.
    Unsent(Box<WireRequest>),
    /// Anything else.
    For(SendError),
}

pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<Metered>, Full<Bytes>>>>,
    closed: bool,
    meter: Meter,
    tcp: Tcp,
    tls: bool,
}

impl Connection {
    pub(crate) async fn open(stream: Stream, tcp: Tcp) -> Result<Self, Unreachable> {
        let meter = Meter::default();
        let tls = matches!(stream, Stream::Tls(_));
        let io = TokioIo::new(Metered::new(stream, meter.clone()));
        let (sender, driver) = http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .handshake(io)
            .await
            .map_err(|_closed| Unreachable::Connect)?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
            closed: false,
            meter,
            tcp,
            tls,
        })
    }

    /// Whether an idle connection can take a request. Anything that came in meanwhile, be it a
    /// close or bytes that nobody asked for, disqualifies it.
    pub(crate) fn is_usable(&mut self) -> bool {
        if !self.tcp.is_quiet() {
            return false;
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.poll_driver(&mut cx);
        !self.closed && self.sender.is_ready()
    }

    /// Sends one request and reads the answer. Also says whether another may follow.
    pub(crate) async fn exchange(
        &mut self,
        request: WireRequest,
        wanted: Wanted,
        written: &Written,
    ) -> Result<(Answer, bool), Failed> {
        self.meter.attach(written);
        let is_head = request.method() == Method::HEAD;
        let sending = self.sender.try_send_request(request);
        let response = match self.drive(sending).await {
            Ok(response) => response,
            Err(mut error) => {
                return Err(match error.take_message() {
                    Some(request) if !written.any() => Failed::Unsent(Box::new(request)),
                    Some(_) | None => Failed::For(SendError::Interrupted {
                        written: written.any(),
                        why: interruption(error.error()),
                    }),
                });
            }
        };
        let (answer, is_whole) = match wanted {
            Wanted::Whole { bytes_max } => {
                let answer = self.answer(response, is_head, bytes_max, written).await;
                (answer.map_err(Failed::For)?, true)
            }
            Wanted::Start { bytes } => {
                let start = self.start(response, bytes, written).await;
                start.map_err(Failed::For)?
            }
        };
        Ok((answer, is_whole && self.settle().await))
    }

    async fn answer(
        &mut self,
        response: Response<Incoming>,
        is_head: bool,
        bytes_max: u64,
        written: &Written,
    ) -> Result<Answer, SendError> {
        let broken = |why| SendError::Interrupted {
            written: written.any(),
            why,
        };
        let (parts, body) = response.into_parts();
        if parts.status.is_informational() {
            return Err(broken(Interruption::NotFinal));
        }
        if is_encoded(&parts.headers) {
            return Err(broken(Interruption::Encoded));
        }
        if !is_head && !self.shows_its_end(&parts.headers, &body) {
            return Err(broken(Interruption::Unbounded));
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: self.read(body, bytes_max, written).await?,
        })
    }

    /// Status, headers and the start of a body, and whether that is all of it.
    async fn start(
        &mut self,
        response: Response<Incoming>,
        bytes: usize,
        written: &Written,
    ) -> Result<(Answer, bool), SendError> {
        let (parts, mut body) = response.into_parts();
        if parts.status.is_informational() {
            return Err(SendError::Interrupted {
                written: written.any(),
                why: Interruption::NotFinal,
            });
        }
        let mut start = BytesMut::new();
        let reading = async {
            while let Some(frame) = self.drive(pin!(body.frame())).await {
                let Ok(frame) = frame else {
                    return false;
                };
                let data = frame.into_data().unwrap_or_default();
                let room = bytes.saturating_sub(start.len());
                let fits = data.len() <= room;
                start.extend_from_slice(&data.slice(..data.len().min(room)));
                if !fits {
                    return false;
                }
            }
            true
        };
        let is_whole = timeout(START_WAIT, reading).await.unwrap_or(false);
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: start.freeze(),
        };
        Ok((answer, is_whole))
    }

    /// A body that ends with the connection may have been cut: only TLS tells the difference.
    fn shows_its_end(&self, headers: &HeaderMap, body: &Incoming) -> bool {
        self.tls
            || body.is_end_stream()
            || body.size_hint().exact().is_some()
            || headers.contains_key(TRANSFER_ENCODING)
    }

    async fn read(
        &mut self,
        mut body: Incoming,
        limit: u64,
        written: &Written,
    ) -> Result<Bytes, SendError> {
        let too_large = SendError::TooLarge { limit };
        if body.size_hint().lower() > limit {
            return Err(too_large);
        }
        let mut whole = Whole::Empty;
        while let Some(frame) = self.drive(pin!(body.frame())).await {
            let frame = frame.map_err(|error| SendError::Interrupted {
                written: written.any(),
                why: interruption(&error),
            })?;
            // Trailers say nothing that an adapter may read.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let bytes = whole.len().saturating_add(data.len());
            if u64::try_from(bytes).unwrap_or(u64::MAX) > limit {
                return Err(too_large);
            }
            whole.push(data);
        }
        Ok(whole.into_bytes())
    }

    /// Lets the connection notice that the exchange is over.
    async fn settle(&mut self) -> bool {
        poll_fn(|cx| {
            self.poll_driver(cx);
            Poll::Ready(())
        })
        .await;
        !self.closed && self.sender.is_ready()
    }

    /// Runs `future`, which waits for something that the connection must do.
    async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            self.poll_driver(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    fn poll_driver(&mut self, cx: &mut Context<'_>) {
        if !self.closed {
            self.closed = self.driver.as_mut().poll(cx).is_ready();
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("tls", &self.tls)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// Most answers come in one piece and are passed on as it is.
enum Whole {
    Empty,
    One(Bytes),
    Many(BytesMut),
}

impl Whole {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, data: Bytes) {
        match self {
            Self::Empty => *self = Self::One(data),
            Self::One(first) => {
                let mut joined = BytesMut::with_capacity(first.len() + data.len());
                joined.extend_from_slice(first);
                joined.extend_from_slice(&data);
                *self = Self::Many(joined);
            }
            Self::Many(joined) => joined.extend_from_slice(&data),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

/// A body that is not what it seems could not be searched for secrets.
fn is_encoded(headers: &HeaderMap) -> bool {
    let other_than = |name, plain: &[u8]| {
        headers
            .get_all(name)
            .iter()
            .any(|value| !value.is_empty() && !value.as_bytes().eq_ignore_ascii_case(plain))
    };
    other_than(CONTENT_ENCODING, b"identity") || other_than(TRANSFER_ENCODING, b"chunked")
}

fn interruption(error: &hyper::Error) -> Interruption {
    if error.is_parse() {
        Interruption::Malformed
    } else {
        Interruption::Broken
    }
}
