//! How many clients are connected, and who gives way when a new one comes.
//!
//! When every seat is taken, the connection that has been idle for longest is closed, as nginx does
//! with its keep-alive connections: idle ones, slow ones that never finish a request among them, cost
//! their owners nothing, and must not keep out those who have something to ask. A connection is idle
//! as long as no handler works for it and nothing is left to write: from its start to its first whole
//! head, and when its answers are written. Only when all are being answered is a newcomer turned away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The seats of one listener.
#[derive(Debug)]
pub(super) struct Seats {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    /// Seats of idle connections, those that have been idle for longest in front.
    idle: BTreeMap<u64, Arc<Notify>>,
    next: u64,
}

/// The place of one connection. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    lost: Arc<Notify>,
    /// Changed only while [`Seats::taken`] is locked, which is always taken first.
    standing: Mutex<Standing>,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    /// Answers that are not written yet.
    running: u32,
    /// Key among the idle, where none is. A seat that is not found there is lost.
    since: u64,
    /// See [`Turn::number`].
    turns: u64,
}

/// Whose turn it is to speak on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// Whether a request is being answered.
    pub(super) is_busy: bool,
    /// Changes whenever one begins or ends.
    pub(super) number: u64,
}

/// A request whose answer is not written yet.
#[derive(Debug)]
pub(super) struct Running(Arc<Seat>);

impl Seats {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            taken: Mutex::default(),
        }
    }

    /// A seat for a new connection: a free one, or that of the one that has been idle for longest.
    /// None if everybody is being answered.
    pub(super) fn take(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let mut taken = self.lock();
        if taken.count >= self.max {
            let Some((_, idle)) = taken.idle.pop_first() else {
                metrics::counter!("onerouter_http_connections_refused_total").increment(1);
                return None;
            };
            metrics::counter!("onerouter_http_connections_evicted_total").increment(1);
            taken.leave();
            idle.notify_one();
        }
        taken.count = taken.count.saturating_add(1);
        metrics::gauge!("onerouter_http_connections").increment(1.0);
        let lost = Arc::new(Notify::new());
        let standing = Standing {
            running: 0,
            since: taken.rest(&lost),
            turns: 0,
        };
        Some(Arc::new(Seat {
            seats: Arc::clone(self),
            lost,
            standing: Mutex::new(standing),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn rest(&mut self, lost: &Arc<Notify>) -> u64 {
        let since = self.next;
        self.next = since.wrapping_add(1);
        self.idle.insert(since, Arc::clone(lost));
        since
    }

    fn leave(&mut self) {
        self.count = self.count.saturating_sub(1);
        metrics::gauge!("onerouter_http_connections").decrement(1.0);
    }
}

impl Seat {
    /// A request has come in whole. None if the seat was given to somebody else just now.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Running> {
        let mut taken = self.seats.lock();
        let mut standing = self.standing();
        if standing.running == 0 {
            taken.idle.remove(&standing.since)?;
        }
        standing.running = standing.running.saturating_add(1);
        standing.turns = standing.turns.wrapping_add(1);
        Some(Running(Arc::clone(self)))
    }

    /// Ends when the seat was given to somebody else.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Whose turn it is to speak.
    pub(super) fn turn(&self) -> Turn {
        let standing = self.standing();
        Turn {
            is_busy: standing.running > 0,
            number: standing.turns,
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Self(seat) = self;
        let mut taken = seat.seats.lock();
        let mut standing = seat.standing();
        standing.running = standing.running.saturating_sub(1);
        standing.turns = standing.turns.wrapping_add(1);
        if standing.running == 0 {
            standing.since = taken.rest(&seat.lost);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        let since = self.standing().since;
        // Nothing runs any more: whatever runs holds the seat.
        if taken.idle.remove(&since).is_some() {
            taken.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(seat: &Seat) -> bool {
        use futures_util::FutureExt as _;
        seat.lost().now_or_never().is_some()
    }

    #[test]
    fn the_connection_that_was_idle_for_longest_gives_way() {
        let seats = Arc::new(Seats::new(3));
        let [first, second, third] = [(); 3].map(|()| seats.take().unwrap());
        // The first is busy, the second was asked something since the third came.
        let running = first.begin().unwrap();
        drop(second.begin().unwrap());
        let _fourth = seats.take().unwrap();
        assert_eq!(
            [&first, &second, &third].map(|seat| is_lost(seat)),
            [false, false, true]
        );
        assert!(third.begin().is_none(), "a lost seat takes no request");
        drop(third);
        assert_eq!(seats.lock().count, 3);
        drop(running);
    }

    #[test]
    fn who_is_being_answered_keeps_the_seat() {
        let seats = Arc::new(Seats::new(2));
        let taken = [(); 2].map(|()| seats.take().unwrap());
        let running: Vec<_> = taken.iter().map(|seat| seat.begin().unwrap()).collect();
        assert!(seats.take().is_none());
        drop(running);
        assert!(seats.take().is_some());
    }

    #[test]
    fn seats_are_given_back_once() {
        let seats = Arc::new(Seats::new(1));
        for _ in 0..5 {
            let lost = seats.take().unwrap();
            let kept = seats.take().unwrap();
            drop(lost);
            assert_eq!(seats.lock().count, 1);
            let running = kept.begin().unwrap();
            drop(kept);
            assert_eq!(
                seats.lock().count,
                1,
                "a request holds the seat of its connection"
            );
            drop(running);
            let taken = seats.lock();
            assert_eq!((taken.count, taken.idle.len()), (0, 0));
        }
    }
}
