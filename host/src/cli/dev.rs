//! `onerouter dev`: the gateway and the provider sandbox on loopback, with everything connected.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use clap::Args;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::ConnectionId;
use onerouter_manifest::{Category, PluginId};
use onerouter_sandbox::{Sandbox, SandboxConfig, SandboxConnection};
use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::serve::StopSignal;
use super::{Global, core_dump, load, terminal};
use crate::config::{Config, Deployment, Flags, UnsignedPlugins, WebhookTargets};
use crate::gateway::{Doubles, Gateway, make_private_folder};
use crate::service::caller::Operator;
use crate::service::connections::{Connect, DEFAULT_LABEL};
use crate::service::inbound::webhook_url;
use crate::service::keys::CreateKey;
use crate::store::DEFAULT_TENANT;

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// Listen address of the gateway [env: ONEROUTER_BIND] [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    /// Listen address of the sandbox; port 0 picks one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    sandbox_bind: SocketAddr,
    /// Print one line of JSON when ready, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// The line that `--json` prints.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    base_url: &'a str,
    api_key: &'a str,
    admin_token: &'a str,
    sandbox_url: &'a str,
    /// There is no dashboard yet.
    dashboard: Option<&'a str>,
}

pub(super) async fn run(global: &Global, args: DevArgs) -> anyhow::Result<()> {
    terminal::start_log("warn");
    let mut config = load(&Flags {
        bind: args.bind,
        ..global.flags()
    })?;
    if config.deployment == Deployment::Production {
        bail!("ENVIRONMENT is production; `onerouter dev` is for development");
    }
    let mut stop = StopSignal::listen()?;
    let sandbox = Sandbox::start(SandboxConfig {
        bind: args.sandbox_bind,
        ..SandboxConfig::default()
    })
    .await
    .context("cannot start the provider sandbox")?;
    redirect(&mut config, &sandbox)?;
    config.providers_are_local = true;
    // What somebody has just built is not signed.
    config.plugin_trust.unsigned = UnsignedPlugins::Allow;
    trust_webhooks(&mut config, &sandbox)?;
    // The developer's own program is to hear of events.
    config.webhook_targets = WebhookTargets::Any;
    let admin_token = config.admin_token.clone().unwrap_or_else(random_token);
    config.admin_token = Some(admin_token.clone());
    let gateway = Gateway::start(&config, Doubles::default()).await?;
    core_dump::forbid()?;
    let operator = Operator::on_command_line(DEFAULT_TENANT);
    let mut connected = Vec::new();
    for connection in sandbox.connections() {
        match connect_with_webhook(&gateway, &operator, &sandbox, &connection).await {
            Ok(()) => connected.push(connection),
            Err(error) => {
                terminal::say(&format!(
                    "cannot connect {}: {error:#}",
                    connection.provider
                ));
            }
        }
    }
    let new_key = CreateKey {
        name: "onerouter dev".to_owned(),
        environment: Environment::Test,
        scopes: None,
        expires_at: None,
        rate: None,
        allowed_ips: None,
    };
    let created = gateway.parts().keys.create(&operator, new_key).await;
    let created = created.map_err(|refusal| anyhow::anyhow!(refusal.detail))?;
    let (base_url, sandbox_url) = (gateway.url(), sandbox.url());
    let ready = Ready {
        base_url: &base_url,
        api_key: created.key.expose(),
        admin_token: admin_token.expose_secret(),
        sandbox_url: &sandbox_url,
        dashboard: None,
    };
    if args.json {
        terminal::json(&ready)?;
    } else {
        terminal::data(&welcome(&ready, &connected));
    }
    stop.wait().await;
    stop.shut_down(gateway).await?;
    sandbox.shutdown().await;
    Ok(())
}

/// Requests for the providers go to the sandbox, unless the operator sends them elsewhere.
fn redirect(config: &mut Config, sandbox: &Sandbox) -> anyhow::Result<()> {
    for (host, base) in sandbox.upstreams() {
        let is_set = config.upstreams.iter().any(|(known, _)| known == host);
        if !is_set {
            config.upstreams.set(&host, &base)?;
        }
    }
    Ok(())
}

/// What the sandbox signs with a certificate of its own is believed.
fn trust_webhooks(config: &mut Config, sandbox: &Sandbox) -> anyhow::Result<()> {
    if config.webhook_roots.is_some() {
        return Ok(());
    }
    let Some(root) = sandbox.webhook_root_certificate() else {
        return Ok(());
    };
    make_private_folder(&config.data_dir)?;
    let path = config.data_dir.join("sandbox-root.pem");
    std::fs::write(&path, root).with_context(|| format!("cannot write {}", path.display()))?;
    config.webhook_roots = Some(path);
    Ok(())
}

/// Connects a provider, has it send its events to the connection, and connects it again with what they are
/// signed with.
async fn connect_with_webhook(
    gateway: &Gateway,
    operator: &Operator,
    sandbox: &Sandbox,
    connection: &SandboxConnection,
) -> anyhow::Result<()> {
    let id = connect(gateway, operator, connection).await?;
    let url = webhook_url(&gateway.url(), connection.provider, id);
    let connection = sandbox.connection_with_webhook(connection.provider, &url)?;
    connect(gateway, operator, &connection).await.map(drop)
}

async fn connect(
    gateway: &Gateway,
    operator: &Operator,
    connection: &SandboxConnection,
) -> anyhow::Result<ConnectionId> {
    let category = Category::from_name(connection.service)
        .with_context(|| format!("this version has no {}", connection.service))?;
    let provider =
        PluginId::try_from(connection.provider.to_owned()).map_err(anyhow::Error::msg)?;
    let texts = |map: &BTreeMap<&'static str, String>| -> BTreeMap<String, String> {
        map.iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    };
    let connect = Connect {
        environment: Environment::Test,
        label: DEFAULT_LABEL.to_owned(),
        credentials: texts(&connection.credentials)
            .into_iter()
            .map(|(name, value)| (name, Zeroizing::new(value)))
            .collect(),
        settings: texts(&connection.settings),
    };
    let connections = &gateway.parts().connections;
    match connections
        .connect(operator, category, &provider, connect)
        .await
    {
        Ok(connected) => Ok(connected.row.id),
        Err(refusal) => bail!("{}", refusal.detail),
    }
}

fn random_token() -> SecretString {
    let token: String = rand::rng()
        .sample_iter(rand::distr::Alphanumeric)
        .take(32)
        .map(char::from)
        .collect();
    format!("dev_{token}").into()
}

fn welcome(ready: &Ready<'_>, connected: &[SandboxConnection]) -> String {
    let mut text = format!(
        "\nOneRouter is ready.

  API          {base}
  API docs     {base}/docs
  API key      {key}
  Admin token  {admin}
  Sandbox      {sandbox}  (the providers, emulated: nothing leaves this machine)
",
        base = ready.base_url,
        key = ready.api_key,
        admin = ready.admin_token,
        sandbox = ready.sandbox_url,
    );
    for (index, connection) in connected.iter().enumerate() {
        let intro = if index == 0 {
            "Your first call"
        } else {
            "Another"
        };
        text.push_str(&format!(
            "
{intro}, served by {provider}:

  curl {base}{path} \\
    -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{body}'
",
            provider = connection.provider,
            base = ready.base_url,
            path = connection.example_path,
            key = ready.api_key,
            body = connection.example_body.to_string().replace('\'', "'\\''"),
        ));
    }
    text.push_str(&format!(
        "
Then see what became of it (delivered after some 5 s), with the id of the answer:

  curl {}/v1/sms/ID -H 'Authorization: Bearer {}'

A payment waits for its buyer: open the checkout_url of its answer in a browser.

Stop with Ctrl-C.
",
        ready.base_url, ready.api_key
    ));
    text
}
