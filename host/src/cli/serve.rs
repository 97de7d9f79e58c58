//! `onerouter serve`

use std::io;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Global, core_dump, load, terminal};
use crate::config::Flags;
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
    let mut stop = StopSignal::listen()?;
    let gateway = Gateway::start(&config, Doubles::default()).await?;
    core_dump::forbid()?;
    terminal::say(&format!("onerouter listens on {}", gateway.url()));
    stop.wait().await;
    terminal::say("finishing what is in flight");
    stop.shut_down(gateway).await
}

/// SIGINT or SIGTERM. Listened for before anybody is told that the program is ready: a signal that
/// comes right after must not kill it.
#[derive(Debug)]
pub(super) struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Lets the gateway finish what is in flight, unless a second signal comes.
    ///
    /// # Errors
    /// It was cut short. What was in flight is settled by asking, as after a crash.
    pub(super) async fn shut_down(&mut self, gateway: Gateway) -> anyhow::Result<()> {
        tokio::select! {
            () = gateway.shutdown() => Ok(()),
            () = self.wait() => Err(anyhow::anyhow!(
                "a second signal cut the shutdown short; calls in flight will be settled by asking"
            )),
        }
    }
}
