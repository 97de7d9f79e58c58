//! Runs provider adapters: sandboxed WebAssembly components, one fresh instance per call.

mod adapter;
mod adapters;
mod bindings;
mod cache;
mod call;
mod checked;
mod config;
mod connection;
mod engine;
mod functions;
mod imports;
mod judge;
mod ledger;
mod limits;
mod load;
mod log;
mod outbound;
mod outcome;
mod record;
mod scrub;
mod state;
pub mod wit;

pub use adapter::Adapter;
pub use adapters::Adapters;
pub use config::{Clock, EngineConfig, MacKey, SystemClock, TICK, Ticker};
pub use connection::{
    CallContext, ConnectionContext, Credentials, CredentialsError, SECRET_BYTES_MAX,
    SECRET_BYTES_MIN,
};
pub use engine::{Engine, EngineError};
pub use ledger::{LedgerAnswer, LedgerEntry, Trace};
pub use load::{COMPONENT_BYTES_MAX, LoadError};
pub use log::{LogLevel, LogLine, LogSource};
pub use outbound::Denial;
pub use outcome::{
    CallReport, FaultKind, ItemRefusal, NotSent, Outcome, PluginFault, Refusal, RefusalKind,
    Unknown, UnknownReason,
};
