//! The clock behind the stages: CPU time of threads, charged when a stage or a task changes.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use rustix::time::{ClockId, clock_gettime};

use crate::Stage;

const STAGES: usize = Stage::ALL.len();

static RUNNING: AtomicBool = AtomicBool::new(false);
static SPENT_NS: [AtomicU64; STAGES] = [const { AtomicU64::new(0) }; STAGES];
static READINGS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What the thread is doing, and its CPU time when it began to.
    static NOW: Cell<Option<(Stage, u64)>> = const { Cell::new(None) };
}

/// What was charged since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Nanoseconds of CPU, in the order of [`Stage::ALL`].
    pub spent_ns: [u64; STAGES],
    /// How often a clock was read: each reading costs time of its own.
    pub readings: u64,
}

/// Starts or stops the clock. While it stands, a change of stage costs one load.
pub fn set_running(running: bool) {
    RUNNING.store(running, Relaxed);
}

/// Reads what was charged so far.
#[must_use]
pub fn totals() -> Totals {
    let mut totals = Totals {
        readings: READINGS.load(Relaxed),
        ..Totals::default()
    };
    for (total, spent) in totals.spent_ns.iter_mut().zip(&SPENT_NS) {
        *total = spent.load(Relaxed);
    }
    totals
}

impl Stage {
    /// What this task does from here on belongs to this stage. Gives back the stage before, for a
    /// step inside another one.
    #[must_use = "a step inside another one goes back to it; otherwise call `begin`"]
    pub fn enter(self) -> Self {
        if !RUNNING.load(Relaxed) {
            return self;
        }
        // Outside of a task nothing is charged.
        match NOW.get() {
            Some((before, _)) => {
                switch(Some(self));
                before
            }
            None => self,
        }
    }

    /// What this task does from here on belongs to this stage.
    pub fn begin(self) {
        let _before = self.enter();
    }

    /// The same future, which begins with this stage.
    pub fn task<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        Task {
            stage: self,
            future: Box::pin(future),
        }
    }
}

/// A task that remembers its stage while it waits.
struct Task<F> {
    stage: Stage,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { stage, future } = self.get_mut();
        if !RUNNING.load(Relaxed) {
            return future.as_mut().poll(cx);
        }
        let _turn = Turn::begin(stage);
        future.as_mut().poll(cx)
    }
}

/// A task's time on the thread. Its end, by a panic too, gives the thread back to the stage before:
/// otherwise whatever runs there next would be charged to this task's.
struct Turn<'a> {
    stage: &'a mut Stage,
    outer: Option<Stage>,
}

impl<'a> Turn<'a> {
    fn begin(stage: &'a mut Stage) -> Self {
        let outer = switch(Some(*stage));
        Self { stage, outer }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(stage) = switch(self.outer) {
            *self.stage = stage;
        }
    }
}

/// Charges the thread's stage and begins another.
fn switch(next: Option<Stage>) -> Option<Stage> {
    let now = thread_ns();
    READINGS.fetch_add(1, Relaxed);
    let before = NOW.replace(next.map(|stage| (stage, now)));
    let (stage, since) = before?;
    if let Some(spent) = SPENT_NS.get(stage as usize) {
        spent.fetch_add(now.saturating_sub(since), Relaxed);
    }
    Some(stage)
}

/// CPU time of this thread: it stands still while the thread does.
fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::task::Waker;

    use super::*;

    fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
        let mut future = std::pin::pin!(future);
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_task_that_panics_leaves_the_thread_to_the_stage_before() {
        set_running(true);
        let panicking = Stage::Adapter.task(async { panic!("in the middle") });
        let polled = catch_unwind(AssertUnwindSafe(|| poll_once(panicking)));
        assert!(polled.is_err());
        assert_eq!(NOW.get(), None);

        let panicking = Stage::Adapter.task(async { panic!("in the middle") });
        let outer = Stage::Claim.task(async {
            let polled = catch_unwind(AssertUnwindSafe(|| poll_once(panicking)));
            assert!(polled.is_err());
            NOW.get().map(|(stage, _)| stage)
        });
        assert_eq!(poll_once(outer), Poll::Ready(Some(Stage::Claim)));
        assert_eq!(NOW.get(), None);
    }
}
