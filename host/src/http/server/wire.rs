//! A client's stream as the HTTP library sees it.
//!
//! The library refuses by itself what it cannot read, with an empty answer; here that becomes a
//! problem like every other. It also waits without end for a client that does not read. When it is
//! done, the stream comes back, for a last word that the library cannot say.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::heard::Heard;
use super::seats::{Running, Seat};
use super::{WRITE_TIMEOUT, plain};

/// A stream that comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Wire<S> {
    /// There until it is dropped.
    stream: Option<S>,
    home: Option<oneshot::Sender<Returned<S>>>,
    seat: Arc<Seat>,
    heard: Heard,
    has_ended: bool,
    /// The library has refused what came, or the client does not read.
    is_over: bool,
    /// What is being said in the place of the library's own words.
    instead: Option<Instead>,
    stalled: Option<Stalled>,
}

/// A client that does not read keeps us from writing.
#[derive(Debug)]
struct Stalled {
    deadline: Pin<Box<Sleep>>,
    /// A connection that is written to is not idle.
    _running: Option<Running>,
}

/// A stream that the library is done with.
#[derive(Debug)]
pub(super) struct Returned<S> {
    pub(super) stream: S,
    /// The client has said that it sends nothing more.
    pub(super) has_ended: bool,
    /// A request of HTTP/1 had begun, and its headers had not ended.
    pub(super) is_mid_head: bool,
}

#[derive(Debug)]
struct Instead {
    words: Vec<u8>,
    said: usize,
    /// How many of the library's bytes this stands for.
    stands_for: usize,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, seat: Arc<Seat>) -> (Self, oneshot::Receiver<Returned<S>>) {
        let (home, returned) = oneshot::channel();
        let wire = Self {
            stream: Some(stream),
            home: Some(home),
            seat,
            heard: Heard::default(),
            has_ended: false,
            is_over: false,
            instead: None,
            stalled: None,
        };
        (wire, returned)
    }
}

impl<S: Unpin> Wire<S> {
    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        let stream = self.stream.as_mut();
        Ok(Pin::new(stream.ok_or(io::ErrorKind::NotConnected)?))
    }

    /// Bounds how long the client may keep us from writing.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let seat = &self.seat;
        let stalled = self.stalled.get_or_insert_with(|| Stalled {
            deadline: Box::pin(tokio::time::sleep(WRITE_TIMEOUT)),
            _running: seat.begin(),
        });
        ready!(stalled.deadline.as_mut().poll(cx));
        self.is_over = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some(instead) = &self.instead {
            let rest = instead.words.get(instead.said..).unwrap_or_default();
            if rest.is_empty() {
                let stands_for = instead.stands_for;
                self.instead = None;
                return Poll::Ready(Ok(stands_for));
            }
            let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let written = Pin::new(stream).poll_write(cx, rest);
            let said = ready!(self.unless_stalled(cx, written))?;
            if said == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(instead) = &mut self.instead {
                instead.said = instead.said.saturating_add(said);
            }
        }
        Poll::Ready(Ok(0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let has_room = buf.remaining() > 0;
        ready!(self.stream()?.poll_read(cx, buf))?;
        let bytes = buf.filled().get(before..).unwrap_or_default();
        if bytes.is_empty() {
            self.has_ended |= has_room;
        } else {
            self.heard.note(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_some() {
            return self.poll_instead(cx);
        }
        let bytes = match plain::find_bare(bytes) {
            Some((0, status)) => {
                let status = match status {
                    431 => self.heard.too_large(),
                    other => other,
                };
                self.is_over = true;
                self.instead = Some(Instead {
                    words: plain::instead_of(status),
                    said: 0,
                    stands_for: bytes.len(),
                });
                return self.poll_instead(cx);
            }
            // What stands before it goes first; the library comes again with the rest.
            Some((at, _)) => bytes.get(..at).unwrap_or_default(),
            None => bytes,
        };
        let written = self.stream()?.poll_write(cx, bytes);
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = bytes.iter().filter(|slice| !slice.is_empty());
        if let (Some(only), None) = (filled.next(), filled.next()) {
            return self.poll_write(cx, only);
        }
        let written = self.stream()?.poll_write_vectored(cx, bytes);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

impl<S> Drop for Wire<S> {
    fn drop(&mut self) {
        if let (Some(stream), Some(home)) = (self.stream.take(), self.home.take()) {
            let is_mid_head = self.heard.is_mid_head()
                && !self.seat.turn().is_busy
                && !self.is_over
                && !self.has_ended;
            // Nobody waits for the stream of a seat that was lost.
            let _unwanted = home.send(Returned {
                stream,
                has_ended: self.has_ended,
                is_mid_head,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::seats::Seats;
    use super::*;

    const BARE: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: Mon, 23 Nov 2026 17:00:00 GMT\r\n\r\n";

    fn wire(room: usize) -> (Wire<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(room);
        let seat = Arc::new(Seats::new(1)).take().unwrap();
        (Wire::new(near, seat).0, far)
    }

    async fn said(
        mut wire: Wire<tokio::io::DuplexStream>,
        mut far: tokio::io::DuplexStream,
        words: &str,
    ) -> String {
        let mut text = String::new();
        let say = async {
            wire.write_all(words.as_bytes()).await.unwrap();
            wire.shutdown().await.unwrap();
            drop(wire);
        };
        let (_, read) = tokio::join!(say, far.read_to_string(&mut text));
        read.unwrap();
        text
    }

    #[tokio::test]
    async fn a_bare_refusal_becomes_a_problem_however_little_is_written_at_a_time() {
        let bare = BARE.replace("431 Request Header Fields Too Large", "400 Bad Request");
        for room in [1, 7, 10_000] {
            let (wire, far) = wire(room);
            let own = "HTTP/1.1 200 OK\r\nx-request-id: a\r\ncontent-length: 2\r\n\r\n{}";
            let text = said(wire, far, &format!("{own}{bare}")).await;
            let problem = text.strip_prefix(own).unwrap();
            assert!(problem.starts_with("HTTP/1.1 400 "), "{problem}");
            assert!(
                problem.contains("\r\ncontent-type: application/problem+json\r\n"),
                "{problem}"
            );
            assert!(problem.contains("\r\nx-request-id: req_"), "{problem}");
            assert!(problem.contains("\"code\":\"invalid_header\""), "{problem}");
            assert!(problem.ends_with('}'), "{problem}");
        }
    }

    #[tokio::test]
    async fn what_is_too_large_is_named() {
        let header = format!("GET / HTTP/1.1\r\nA: {}", "x y".repeat(30_000));
        let many = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(101));
        let line = format!("GET /{}", "x".repeat(80_000));
        let body = "GET / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n".to_owned();
        for (head, code) in [
            (header, "headers_too_large"),
            (many, "headers_too_large"),
            (line, "uri_too_long"),
            (body, "body_too_large"),
        ] {
            let (mut wire, mut far) = wire(100_000);
            far.write_all(head.as_bytes()).await.unwrap();
            let mut read = vec![0; head.len()];
            wire.read_exact(&mut read).await.unwrap();
            let text = said(wire, far, BARE).await;
            assert!(text.contains(code), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let (mut wire, _far) = wire(10);
        let written = wire.write_all(&[b'x'; 1_000]).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
