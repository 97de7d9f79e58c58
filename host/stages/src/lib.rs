//! Which step of a request uses the processor.
//!
//! The steps of a request say where they begin ([`Stage::begin`]); what runs as a task of its own
//! says so where it is spawned ([`Stage::task`]). With the feature `measure`, which only benchmarks
//! switch on, the CPU time of the thread is charged to the stage that a task is in while it is
//! polled, wherever the runtime moves it. Without the feature all of this compiles to nothing.
//!
//! ```
//! use onerouter_stages::Stage;
//!
//! # async fn request() {
//! Stage::Claim
//!     .task(async {
//!         // … claims …
//!         Stage::Adapter.begin();
//!         // … calls …
//!         Stage::Settle.begin();
//!     })
//!     .await;
//! # }
//! ```

#[cfg(feature = "measure")]
mod clock;

#[cfg(feature = "measure")]
pub use clock::{Totals, set_running, totals};

/// A step of a write, in the order of their first beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Who is asking, and whether they may now.
    Authenticate,
    /// The body is taken and read.
    Parse,
    /// A connection is chosen, and the claim is committed.
    Claim,
    /// The adapter runs: sandbox, rules, judgement.
    Adapter,
    /// The request to the provider, and its answer.
    Egress,
    /// The outcome is committed.
    Settle,
    /// The response is put together.
    Answer,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Authenticate,
        Self::Parse,
        Self::Claim,
        Self::Adapter,
        Self::Egress,
        Self::Settle,
        Self::Answer,
    ];

    /// Lower case, for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Parse => "parse",
            Self::Claim => "claim",
            Self::Adapter => "adapter",
            Self::Egress => "egress",
            Self::Settle => "settle",
            Self::Answer => "answer",
        }
    }
}

#[cfg(not(feature = "measure"))]
impl Stage {
    /// What this task does from here on belongs to this stage. Gives back the stage before.
    #[inline(always)]
    #[must_use = "a step inside another one goes back to it; otherwise call `begin`"]
    pub const fn enter(self) -> Self {
        self
    }

    /// What this task does from here on belongs to this stage.
    #[inline(always)]
    pub const fn begin(self) {}

    /// The same future, which begins with this stage.
    #[inline(always)]
    pub fn task<F: Future>(self, future: F) -> F {
        future
    }
}
