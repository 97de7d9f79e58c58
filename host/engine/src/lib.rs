//! Runs provider adapters: sandboxed WebAssembly components, one fresh instance per call.
//!
//! An adapter asks the host to send HTTP; the host checks the request against the adapter's
//! manifest, attaches the credential, sends, and removes the credential from what comes back. It
//! keeps a ledger of what left, and that ledger has the last word on how a call ended.
//!
//! - [`Engine`], [`EngineConfig`]: wasmtime with its pools, slots, ticker and code cache
//! - [`compile`]: machine code, within bounds
//! - [`Adapter`]: one loaded component, and the calls that it takes
//! - [`Adapters`], [`Serving`], [`Canary`]: which adapter serves which provider and tenant, swapped
//!   without a pause; [`Calls`]: how its calls have gone
//! - [`CallContext`], [`ConnectionContext`], [`Credentials`]: for whom a call is made
//! - [`CallReport`], [`Outcome`]: how it ended, and all that is known about it
//! - [`LedgerEntry`], [`Trace`], [`Denial`]: what was sent, and what was not
//! - [`Recorder`], [`Recording`], [`Replay`], [`Difference`]: calls that are kept, and made again on another
//!   version, with nothing sent
//! - [`wit`]: the records that cross the border
//!
//! Inside, in the order of a call: `call` admits it and runs it on a store of its own (`state`,
//! `limits`), `imports` serves it (`outbound` is the way out, `oauth` has the tokens), `record` keeps
//! what outlives it,
//! `checked` holds its result against the contract, `judge` decides, `tally` counts. `load`,
//! `compile` and `cache` come before all that; `sandboxes` are where instances live. `scrub` finds
//! secrets.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use onerouter_egress::{Egress, EgressConfig};
//! use onerouter_engine::{Adapters, Engine, EngineConfig, MacKey};
//!
//! let egress = Arc::new(Egress::new(EgressConfig::default())?);
//! let engine = Engine::new(EngineConfig::new(MacKey::new([7; 32])), egress)?;
//! let adapters = Adapters::default();
//! for (path, loaded) in engine.load_folder("plugins".as_ref()).await {
//!     match loaded {
//!         Ok(adapter) => drop(adapters.install(adapter)),
//!         Err(error) => eprintln!("{}: {error}", path.display()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod adapter;
mod adapters;
mod bindings;
mod cache;
mod call;
mod checked;
pub mod compile;
mod config;
mod connection;
mod differences;
mod engine;
mod functions;
mod imports;
mod judge;
mod ledger;
mod limits;
mod load;
mod log;
#[cfg(feature = "measure")]
pub mod measure;
mod oauth;
mod outbound;
mod outcome;
mod record;
mod recording;
mod replay;
mod sandboxes;
mod scrub;
mod state;
mod tally;
mod webhook;
pub mod wit;

pub use adapter::Adapter;
pub use adapters::{Adapters, Canary, Serving, TenantAdapters};
pub use compile::{Compiler, CompilerProcess};
pub use config::{Clock, EngineConfig, MacKey, SystemClock, TICK, Ticker};
pub use connection::{
    CallContext, ConnectionContext, Credentials, CredentialsError, SECRET_BYTES_MAX,
    SECRET_BYTES_MIN,
};
pub use differences::Difference;
pub use engine::{Engine, EngineError};
pub use ledger::{LedgerAnswer, LedgerEntry, Trace};
pub use load::{COMPONENT_BYTES_MAX, LoadError};
pub use log::{LogLevel, LogLine, LogSource};
pub use outbound::Denial;
pub use outcome::{
    CallReport, FaultKind, ItemRefusal, NotSent, Outcome, PluginFault, Refusal, RefusalKind,
    Unknown, UnknownReason,
};
pub use recording::{Operation, Recorder, Recording};
pub use replay::{Replay, ReplayError};
pub use tally::Calls;
pub use webhook::{WebhookRefusal, WebhookRequest, WebhookRoot, WebhookSigned, webhook_roots};
