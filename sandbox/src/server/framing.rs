//! From a reply to bytes on the wire, whole or damaged.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, Either, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;

use crate::reply::Reply;

pub(super) type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, io::Error>>;

/// Long enough for the first half to leave before the connection breaks.
const FLUSH: Duration = Duration::from_millis(20);
const PADDING: &[u8] = &[b' '; 64 * 1024];

pub(super) fn whole(reply: Reply) -> Response<Body> {
    response(
        reply.status,
        reply.headers,
        Either::Left(Full::new(reply.body)),
    )
}

/// Announces the whole length, sends half, and breaks off.
pub(super) fn truncated(mut reply: Reply) -> Response<Body> {
    let length = reply.body.len();
    let half = reply.body.split_to(length.div_ceil(2));
    reply
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let cut = stream::once(async {
        tokio::time::sleep(FLUSH).await;
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    });
    streamed(reply, stream::once(async { Ok(half) }).chain(cut))
}

/// One byte each `pause`, with a known length.
pub(super) fn trickled(mut reply: Reply, pause: Duration) -> Response<Body> {
    let body = reply.body.clone();
    reply
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let bytes = stream::iter(0..body.len()).then(move |at| {
        let byte = body.slice(at..=at);
        async move {
            tokio::time::sleep(pause).await;
            Ok(byte)
        }
    });
    streamed(reply, bytes)
}

/// The reply, then white space up to `padding` bytes; without a length, so that only reading tells.
pub(super) fn padded(reply: Reply, padding: u64) -> Response<Body> {
    let chunk = PADDING.len() as u64;
    let body = reply.body.clone();
    let rest = stream::iter(0..padding.div_ceil(chunk)).map(move |index| {
        let left = padding
            .saturating_sub(index.saturating_mul(chunk))
            .min(chunk);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        Ok(Bytes::from_static(PADDING.get(..left).unwrap_or(PADDING)))
    });
    streamed(reply, stream::once(async { Ok(body) }).chain(rest))
}

fn streamed(
    reply: Reply,
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Response<Body> {
    let body = StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data)));
    response(
        reply.status,
        reply.headers,
        Either::Right(body.boxed_unsync()),
    )
}

fn response(status: http::StatusCode, headers: http::HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
