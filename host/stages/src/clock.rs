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

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !RUNNING.load(Relaxed) {
            return self.future.as_mut().poll(cx);
        }
        let outer = switch(Some(self.stage));
        let polled = self.future.as_mut().poll(cx);
        if let Some(stage) = switch(outer) {
            self.stage = stage;
        }
        polled
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
