//! Answers that the client of one connection has not taken yet.
//!
//! With HTTP/2 a client decides how much of each answer it takes, and the library keeps the rest for
//! as long as the client shows that it is there. So an answer is handed over in pieces, each of which
//! tells when the library has written it and lets go of it: no answer may stand still for long, and
//! while much is unread, no more is begun.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::WRITE_TIMEOUT;
use super::seats::Running;

/// Requests wait while this much of earlier answers on their connection is unread.
const UNREAD_BYTES_MAX: usize = 256 << 10;
/// What a client must take in [`WRITE_TIMEOUT`] at least.
const PIECE_BYTES: usize = 16 << 10;

/// The answers of one connection.
#[derive(Debug, Default)]
pub(super) struct Unread {
    answers: Mutex<Answers>,
    begun: Notify,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Answers {
    next: u64,
    bytes: usize,
    open: BTreeMap<u64, Open>,
    /// The connection is about to be closed.
    is_given_up: bool,
}

#[derive(Debug)]
struct Open {
    bytes: usize,
    moved_at: Instant,
}

/// An answer, until the last piece of it is written or nobody wants it any more.
#[derive(Debug)]
struct Answer {
    unread: Arc<Unread>,
    number: u64,
    /// None where the connection is about to be closed.
    _running: Option<Running>,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Sending {
    body: Body,
    /// What the body gave and was too much for one piece.
    rest: Bytes,
    answer: Arc<Answer>,
}

struct Piece {
    bytes: Bytes,
    answer: Arc<Answer>,
}

impl Unread {
    /// Waits until another request may be begun. None if none may be any more.
    pub(super) async fn room(&self) -> Option<()> {
        loop {
            let taken = self.taken.notified();
            {
                let answers = self.lock();
                if answers.is_given_up {
                    return None;
                }
                if answers.bytes < UNREAD_BYTES_MAX {
                    return Some(());
                }
            }
            taken.await;
        }
    }

    /// Ends when an answer has stood still for too long.
    pub(super) async fn stalled(&self) {
        loop {
            let begun = self.begun.notified();
            let oldest = self.lock().open.values().map(|open| open.moved_at).min();
            let Some(oldest) = oldest else {
                begun.await;
                continue;
            };
            if oldest.elapsed() >= WRITE_TIMEOUT {
                self.lock().is_given_up = true;
                metrics::counter!("onerouter_http_connections_stalled_total").increment(1);
                break;
            }
            let until = oldest.checked_add(WRITE_TIMEOUT).unwrap_or(oldest);
            tokio::time::sleep_until(until).await;
        }
    }

    /// Hands an answer to the library.
    pub(super) fn send(self: &Arc<Self>, body: Body, running: Option<Running>) -> Sending {
        let bytes = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let number = {
            let mut answers = self.lock();
            let number = answers.next;
            answers.next = number.wrapping_add(1);
            answers.bytes = answers.bytes.saturating_add(bytes);
            let moved_at = Instant::now();
            answers.open.insert(number, Open { bytes, moved_at });
            number
        };
        self.begun.notify_waiters();
        Sending {
            body,
            rest: Bytes::new(),
            answer: Arc::new(Answer {
                unread: Arc::clone(self),
                number,
                _running: running,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn moved(&mut self, number: u64, bytes: usize) {
        if let Some(open) = self.open.get_mut(&number) {
            let bytes = bytes.min(open.bytes);
            open.bytes = open.bytes.saturating_sub(bytes);
            open.moved_at = Instant::now();
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        {
            let mut answers = self.unread.lock();
            if let Some(open) = answers.open.remove(&self.number) {
                answers.bytes = answers.bytes.saturating_sub(open.bytes);
            }
        }
        self.unread.taken.notify_waiters();
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let Self { bytes, answer } = self;
        answer.unread.lock().moved(answer.number, bytes.len());
        answer.unread.taken.notify_waiters();
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)?) else {
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let bytes = this.rest.split_to(PIECE_BYTES.min(this.rest.len()));
        let answer = Arc::clone(&this.answer);
        let piece = Bytes::from_owner(Piece { bytes, answer });
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;

    fn answer(unread: &Arc<Unread>, bytes: usize) -> Sending {
        unread.send(vec![b'x'; bytes].into(), None)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stands_still_is_noticed_and_one_that_moves_is_not() {
        let unread = Arc::new(Unread::default());
        let mut sending = answer(&unread, 5 * PIECE_BYTES);
        let most = WRITE_TIMEOUT - Duration::from_secs(1);
        for _ in 0..4 {
            let piece = sending.frame().await.unwrap().unwrap();
            assert!(
                tokio::time::timeout(most, unread.stalled()).await.is_err(),
                "it has moved since"
            );
            drop(piece);
        }
        let last = sending.frame().await.unwrap().unwrap();
        assert!(sending.is_end_stream());
        drop(sending);
        unread.stalled().await;
        drop(last);
        assert!(unread.stalled().now_or_never().is_none());
    }

    #[tokio::test]
    async fn requests_wait_while_much_is_unread() {
        let unread = Arc::new(Unread::default());
        let small = answer(&unread, 10);
        unread.room().await.unwrap();
        let mut large = answer(&unread, UNREAD_BYTES_MAX);
        let mut waiting = Box::pin(unread.room());
        assert!((&mut waiting).now_or_never().is_none());
        drop(small);
        assert!((&mut waiting).now_or_never().is_none());
        drop(large.frame().await.unwrap().unwrap());
        waiting.await.unwrap();
        drop(large);
        assert_eq!(unread.lock().bytes, 0);
    }

    #[tokio::test]
    async fn pieces_make_up_the_whole() {
        let unread = Arc::new(Unread::default());
        let whole: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        let sending = unread.send(whole.clone().into(), None);
        assert_eq!(sending.size_hint().exact(), Some(400_000));
        assert_eq!(sending.collect().await.unwrap().to_bytes(), whole);
    }
}
