//! How a call ended, and all that is known about it.

use std::time::Duration;

use crate::ledger::LedgerEntry;
use crate::log::LogLine;
use crate::wit::common::{Failure, FieldError};

/// How a call ended. The host has decided this from the adapter's word and its own ledger; the
/// table of the rules stands in the module `judge`.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<T> {
    /// It was done.
    Accepted(T),
    /// The provider answered in full and refused: final, nothing was created.
    Declined(Refusal),
    /// Nothing was processed. Only this may be sent again, here or through another provider.
    NotSent(NotSent),
    /// The provider may have acted. Never send it again: settle it by reading.
    Unknown(Unknown),
}

impl<T> Outcome<T> {
    /// The same outcome around another value.
    pub fn map<U>(self, into: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Accepted(value) => Outcome::Accepted(into(value)),
            Self::Declined(refusal) => Outcome::Declined(refusal),
            Self::NotSent(reason) => Outcome::NotSent(reason),
            Self::Unknown(unknown) => Outcome::Unknown(unknown),
        }
    }
}

/// A provider's refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// What was refused.
    pub kind: RefusalKind,
    /// Why.
    pub failure: Failure,
}

/// What a provider refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request.
    Declined,
    /// The credentials.
    Unauthorized,
    /// It does not know the object.
    NotFound,
    /// The object's state does not allow it any more.
    InvalidState,
}

/// Why nothing was processed.
#[derive(Debug, Clone, PartialEq)]
pub enum NotSent {
    /// The adapter says so and the ledger agrees: a rate limit, maintenance. `retry_after_ms` of
    /// the failure says how long the provider asked to wait.
    Adapter(Failure),
    /// The provider could not be reached: DNS, connect or TLS. Says what the adapter made of it,
    /// where it said anything.
    Unreachable(Option<Failure>),
    /// All slots were taken for longer than a call may wait.
    Overloaded,
    /// The deadline had passed before the adapter ran.
    Cancelled,
    /// The adapter broke down before anything left the host.
    Fault(PluginFault),
    /// The adapter lacks the capability, or says that its provider cannot do this.
    Unsupported(String),
    /// The request breaks a rule of the provider.
    Invalid(Vec<FieldError>),
}

/// Why it is not known whether the provider acted.
#[derive(Debug, Clone, PartialEq)]
pub struct Unknown {
    /// What makes it unknown.
    pub reason: UnknownReason,
    /// What the adapter said, where it said anything.
    pub failure: Option<Failure>,
}

/// What makes an outcome unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownReason {
    /// The adapter cannot tell.
    Adapter,
    /// A request that may have changed something has no complete answer.
    Unanswered,
    /// The adapter says that nothing was sent, but something had left the host.
    Contradicted,
    /// The adapter broke down after something had left the host.
    Fault(PluginFault),
}

/// A breakdown of the adapter itself. Counted against the plugin, never shown to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFault {
    /// What happened.
    pub kind: FaultKind,
    /// For the operator's log, without secrets. At most 1,000 bytes.
    pub detail: String,
}

/// Kinds of breakdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// A WebAssembly trap: unreachable code, out of bounds, stack exhausted.
    Trap,
    /// The guest's language runtime panicked.
    Panic,
    /// The CPU budget is used up.
    CpuBudget,
    /// The memory limit, or another limit of the instance, was hit.
    Memory,
    /// The call's wall-clock time is over.
    WallTimeout,
    /// The result cannot be read or breaks the contract.
    Malformed,
    /// The adapter answered with an error of no kind: a bug of its own.
    Other,
    /// The host itself failed; not the plugin's fault.
    Host,
}

impl FaultKind {
    /// Snake case, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Panic => "panic",
            Self::CpuBudget => "cpu_budget",
            Self::Memory => "memory",
            Self::WallTimeout => "wall_timeout",
            Self::Malformed => "malformed",
            Self::Other => "other",
            Self::Host => "host",
        }
    }
}

/// What became of one e-mail of a batch that the provider did not take.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemRefusal {
    /// Refused for good.
    Declined(Refusal),
    /// Not processed; may be sent again.
    NotSent(NotSent),
    /// Nobody knows.
    Unknown(Unknown),
}

/// All that is known about one call.
#[derive(Debug, Clone)]
pub struct CallReport<T> {
    /// How it ended.
    pub outcome: Outcome<T>,
    /// Every request that passed the rules, in order.
    pub ledger: Vec<LedgerEntry>,
    /// From the call of the method to its end, the wait for a slot included.
    pub duration: Duration,
    /// Epoch ticks during which the guest ran.
    pub guest_cpu_ticks: u32,
    /// What the adapter wrote, scrubbed of secrets, plus the host's own remarks on the call.
    pub logs: Vec<LogLine>,
    /// Lines that did not fit.
    pub logs_dropped: u32,
    /// Highest memory over all linear memories, in bytes.
    pub memory_peak: u64,
    /// The host has told the adapter of a signature that it fits.
    pub vouched: bool,
}

impl<T> CallReport<T> {
    /// The same report around another value.
    pub fn map<U>(self, into: impl FnOnce(T) -> U) -> CallReport<U> {
        CallReport {
            outcome: self.outcome.map(into),
            ledger: self.ledger,
            duration: self.duration,
            guest_cpu_ticks: self.guest_cpu_ticks,
            logs: self.logs,
            logs_dropped: self.logs_dropped,
            memory_peak: self.memory_peak,
            vouched: self.vouched,
        }
    }
}
