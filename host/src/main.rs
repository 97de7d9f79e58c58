//! The `onerouter` program.

use std::process::ExitCode;

use anyhow::Context as _;
use mimalloc::MiMalloc;
use onerouter_engine::compile;
use rustix::process::{Resource, Rlimit, setrlimit};

/// A request makes some hundreds of small allocations on one thread and frees some on another, which
/// the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Sandboxed code that spins yields between its slices; timers must not wait for many of them.
const EVENT_INTERVAL: u32 = 13;

#[expect(clippy::print_stderr, reason = "the last word of a failed command")]
fn main() -> ExitCode {
    // Of this program there may be a second process, which compiles for the first and needs nothing
    // of what follows.
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == compile::ARGUMENT)
    {
        let arguments: Vec<_> = arguments.map(|it| it.to_string_lossy().into()).collect();
        return compile::serve(&arguments);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    // A core dump would hold every secret that the process has opened.
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )
    .context("cannot turn core dumps off")?;
    // One TLS provider for every client in the process.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_installed| anyhow::anyhow!("a TLS provider is installed already"))?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
        .context("cannot start the runtime")?
        .block_on(onerouter::cli::run())
}
