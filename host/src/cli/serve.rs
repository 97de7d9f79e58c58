//! `onerouter serve`

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Global, load, terminal};
use crate::config::{Config, Flags};
use crate::gateway::{Doubles, Gateway};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Listen address [env: ONEROUTER_BIND] [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
}

pub(super) async fn run(global: &Global, args: ServeArgs) -> anyhow::Result<()> {
    terminal::start_log("info");
    let config = load(&Flags {
        bind: args.bind,
        ..global.flags()
    })?;
    warn_of_what_is_not_there_yet(&config);
    let gateway = Gateway::start(&config, Doubles::default()).await?;
    terminal::say(&format!("onerouter listens on {}", gateway.url()));
    until_stopped().await?;
    terminal::say("finishing what is in flight");
    gateway.shutdown().await;
    Ok(())
}

fn warn_of_what_is_not_there_yet(config: &Config) {
    if config.redis_url.is_some() {
        tracing::warn!(
            "REDIS_URL is set but not used by this version: limits are kept per process"
        );
    }
}

/// Waits for SIGINT or SIGTERM.
pub(super) async fn until_stopped() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
