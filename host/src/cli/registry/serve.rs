//! `onerouter registry serve`

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ipnet::IpNet;
use onerouter_registry::server::{ClientAddress, Registry};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::place::Place;
use crate::cli::serve::StopSignal;
use crate::cli::{Global, core_dump, terminal};
use crate::http::{self, Listener};

/// Abandoned uploads are cleared away, and downloads written down.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);
/// What a node left behind that died is looked for among all that is kept.
const COLLECT_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    /// Listen address; port 0 picks one
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8100",
        env = "ONEROUTER_REGISTRY_BIND"
    )]
    bind: SocketAddr,
    /// Networks of proxies that say whom they forward for
    #[arg(
        long,
        value_name = "NETWORK",
        value_delimiter = ',',
        env = "ONEROUTER_TRUSTED_PROXIES"
    )]
    trusted_proxies: Vec<IpNet>,
    #[command(flatten)]
    place: Place,
    /// Print one line of JSON when ready, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(global: &Global, args: ServeArgs) -> anyhow::Result<()> {
    let mut stop_signal = StopSignal::listen()?;
    let registry = args.place.open(global).await?;
    core_dump::forbid()?;
    let listener =
        Listener::bind(args.bind).with_context(|| format!("cannot listen on {}", args.bind))?;
    let url = format!("http://{}", listener.address());
    let router = http::tell_address(registry.router(), args.trusted_proxies, |address| {
        ClientAddress(address)
    });
    let key = registry.key();
    if args.json {
        terminal::json(&json!({"object": "registry", "url": url, "key": key}))?;
    } else {
        terminal::data(&format!(
            "The registry listens on {url}\nIts key is {key}\n"
        ));
    }
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let serving = tasks.spawn(listener.serve(router, stop.clone()));
    let keeping = tasks.spawn(keep(registry.clone(), stop.clone()));
    stop_signal.wait().await;
    terminal::say("finishing what is in flight");
    stop.cancel();
    let ended = async {
        serving.await?;
        keeping.await?;
        anyhow::Ok(())
    };
    tokio::select! {
        ended = ended => ended?,
        () = stop_signal.wait() => terminal::say("a second signal cut the shutdown short"),
    }
    registry.close().await.context("cannot close the registry")
}

/// Keeps order until `stop`. What fails is tried again.
async fn keep(registry: Registry, stop: CancellationToken) {
    let mut maintain = interval(MAINTAIN_EVERY);
    let mut collect = interval(COLLECT_EVERY);
    for ticks in [&mut maintain, &mut collect] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        let kept = tokio::select! {
            () = stop.cancelled() => return,
            _ = maintain.tick() => registry.maintain().await,
            _ = collect.tick() => registry.collect_orphans().await.map(drop),
        };
        if let Err(error) = kept {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the registry cannot keep order"
            );
        }
    }
}
