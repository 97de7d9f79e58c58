//! `onerouter sandbox`: the emulated providers alone, for gateways that run elsewhere.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use onerouter_sandbox::{Sandbox, SandboxConfig};
use serde_json::json;

use super::serve::StopSignal;
use super::terminal;

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Listen address; port 0 picks one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4010")]
    bind: SocketAddr,
    /// Print one line of JSON when ready, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: SandboxArgs) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen()?;
    let sandbox = Sandbox::start(SandboxConfig {
        bind: args.bind,
        ..SandboxConfig::default()
    })
    .await
    .context("cannot start the provider sandbox")?;
    let upstreams: Vec<String> = sandbox
        .upstreams()
        .iter()
        .map(|(host, base)| format!("{host}={base}"))
        .collect();
    let upstreams = upstreams.join(",");
    let connections: Vec<_> = sandbox
        .connections()
        .into_iter()
        .map(|connection| {
            json!({
                "service": connection.service,
                "provider": connection.provider,
                "environment": connection.environment,
                "credentials": connection.credentials,
                "settings": connection.settings,
            })
        })
        .collect();
    if args.json {
        terminal::json(&json!({
            "object": "sandbox",
            "sandbox_url": sandbox.url(),
            "upstreams": upstreams,
            "connections": connections,
        }))?;
    } else {
        let url = sandbox.url();
        terminal::data(&format!(
            "\nThe providers are emulated at {url}: nothing leaves this machine.

Start gateways with

  ONEROUTER_UPSTREAMS='{upstreams}'

and connect each provider there, as the operator. The credentials are not secret:
"
        ));
        for connection in &connections {
            let (service, provider) = (&connection["service"], &connection["provider"]);
            let body = json!({
                "environment": connection["environment"],
                "credentials": connection["credentials"],
                "settings": connection["settings"],
            });
            terminal::data(&format!(
                "  POST /api/services/{}/{}/connect\n  {body}\n",
                service.as_str().unwrap_or_default(),
                provider.as_str().unwrap_or_default(),
            ));
        }
        terminal::say("Stop with Ctrl-C.");
    }
    stop.wait().await;
    sandbox.shutdown().await;
    Ok(())
}
