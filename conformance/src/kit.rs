//! Going through all scenarios of a component.

mod bench;
mod ground;
mod made_up;
mod recorded;
mod webhooks;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use onerouter_engine::{Compiler, EngineError, LoadError, MacKey};

use crate::cassette::{CassetteError, Cassettes};
use crate::connection::ConnectionError;
use crate::live::Live;
use crate::operation::Operation;
use crate::report::{Report, Source};
use bench::Bench;

/// A component with every capability and all cassettes takes a tenth of it.
const TIME_MAX: Duration = Duration::from_secs(300);

/// What is tried, and by what.
#[derive(Debug)]
pub struct Options {
    /// What the author has recorded.
    pub cassettes: Cassettes,
    /// A live sandbox in the place of the recorded answers.
    pub live: Option<Live>,
    /// For all scenarios together. What did not come to its turn fails the report.
    pub time_max: Duration,
    /// Where the component is compiled: apart, where it is a stranger's.
    pub compiler: Compiler,
    /// Where compiled code is kept; none compiles in every run.
    pub code_cache: Option<CodeCache>,
}

/// A folder of compiled code: a component that brings an interpreter along takes ten seconds to compile.
#[derive(Debug, Clone)]
pub struct CodeCache {
    /// Made with mode 0700.
    pub dir: PathBuf,
    /// Authenticates the files in it.
    pub mac_key: MacKey,
}

impl Options {
    /// Cassettes, and five minutes; compiled in this process, and not kept.
    #[must_use]
    pub fn new(cassettes: Cassettes) -> Self {
        Self {
            cassettes,
            live: None,
            time_max: TIME_MAX,
            compiler: Compiler::Here,
            code_cache: None,
        }
    }
}

/// The kit cannot run.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// The component is none that a gateway would load.
    #[error("the gateway would not load this component")]
    Load(#[from] LoadError),
    /// The engine does not start.
    #[error("the engine cannot start")]
    Engine(#[from] EngineError),
    /// The outbound client does not start.
    #[error("the outbound client cannot start")]
    Egress(#[from] onerouter_egress::EgressError),
    /// A host of the manifest cannot be stood in for.
    #[error("requests cannot be kept from a host of the manifest")]
    Upstreams(#[from] onerouter_egress::UpstreamsError),
    /// No port.
    #[error("the kit's server cannot start")]
    Server(#[from] std::io::Error),
    /// No certificate.
    #[error("the kit cannot make a certificate for webhooks: {0}")]
    Certificate(String),
    /// The credentials do not fit.
    #[error("the credentials cannot be used")]
    Connection(#[from] ConnectionError),
    /// A cassette cannot be written.
    #[error(transparent)]
    Cassette(#[from] CassetteError),
    /// The buyer is nowhere.
    #[error("the buyer of the sandbox cannot be played: {0}")]
    Buyer(String),
    /// A live sandbox stands in for none of the manifest's hosts.
    #[error("no upstream is named for {0}, where the plugin sends to")]
    NoUpstream(String),
}

/// What is tried next.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'p> {
    /// Scenarios that are over.
    pub done: usize,
    /// `sms.send`
    pub operation: &'p str,
    /// `success`
    pub scenario: &'p str,
}

/// Runs every scenario.
///
/// It ends by itself: each call within the manifest's wall-clock limit, all together within
/// [`Options::time_max`]. Dropping the future ends the call under way.
///
/// # Errors
/// The component cannot be loaded, or the kit cannot run. What is wrong with the adapter stands in the
/// report.
pub async fn test(
    component: Bytes,
    options: &Options,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Report, KitError> {
    let mut bench = Bench::new(component, options, progress).await?;
    for operation in Operation::ALL.iter().copied() {
        if !bench.can(operation) {
            continue;
        }
        if operation == Operation::WebhooksRead {
            bench.webhooks().await?;
        } else {
            bench.operation(operation).await?;
        }
    }
    Ok(bench.into_report(if options.live.is_some() {
        Source::Sandbox
    } else {
        Source::Cassettes
    }))
}
