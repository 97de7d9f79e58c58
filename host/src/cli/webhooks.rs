//! `onerouter webhooks`: what a developer tries webhooks with, from outside, with an API key.

mod listen;
mod peer;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use http::Method;
use onerouter_domain::event::EventPattern;
use onerouter_domain::id::{EventId, WebhookEndpointId};
use onerouter_domain::time;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use self::peer::Peer;
use super::terminal;

/// Bytes of a file that is to hold an API key.
const KEY_BYTES_MAX: u64 = 1_024;

#[derive(Debug, Subcommand)]
pub(super) enum WebhooksCommand {
    /// Follow events live, and post each to a program on this machine
    #[command(after_help = "Examples:
  ONEROUTER_API_KEY=unf_test_… onerouter webhooks listen --forward-to http://127.0.0.1:3000/hook
  onerouter webhooks listen --api-key-file key.txt --type 'payment.*' --json

Each event is posted as a webhook is, signed with a secret that is printed at the start: give it to
your verifier. What happened before the start is not posted; see `onerouter webhooks resend`.")]
    Listen(listen::ListenArgs),
    /// Make a sample event, which is told as a real one is; with test keys
    #[command(after_help = "Examples:
  ONEROUTER_API_KEY=unf_test_… onerouter webhooks trigger payment.succeeded
  onerouter webhooks trigger endpoint.test --endpoint we_01h455vb4pex5vsknk084sn02q --json")]
    Trigger(TriggerArgs),
    /// Send an event again, or all events of a time
    #[command(after_help = "Examples:
  onerouter webhooks resend evt_01h455vb4pex5vsknk084sn02q
  onerouter webhooks resend evt_01h455vb4pex5vsknk084sn02q --endpoint we_01h455vb4pex5vsknk084sn02q
  onerouter webhooks resend --endpoint we_01h455vb4pex5vsknk084sn02q --since 2026-11-23T09:30:00Z --only-failed")]
    Resend(ResendArgs),
}

/// Which gateway is called, and as whom.
#[derive(Debug, Args)]
struct Gateway {
    /// The gateway
    #[arg(
        long,
        value_name = "URL",
        env = "ONEROUTER_URL",
        default_value = "http://127.0.0.1:8000"
    )]
    url: String,
    /// A file with the API key, - for standard input; ONEROUTER_API_KEY when left out
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct TriggerArgs {
    /// A type of event: payment.succeeded, sms.delivered, …
    #[arg(value_name = "TYPE", value_parser = event_type)]
    event_type: String,
    /// Only to this endpoint; when left out, to all that want to hear of the type
    #[arg(long)]
    endpoint: Option<WebhookEndpointId>,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
pub(super) struct ResendArgs {
    /// An event
    #[arg(value_name = "EVENT", required_unless_present = "since", conflicts_with_all = ["since", "until", "only_failed"])]
    event: Option<EventId>,
    /// Only to this endpoint; when left out, to all that want to hear of the event
    #[arg(long)]
    endpoint: Option<WebhookEndpointId>,
    /// Every event of this time or later, such as 2026-11-23T09:30:00Z
    #[arg(long, value_name = "TIME", requires = "endpoint")]
    since: Option<DateTime<Utc>>,
    /// Only those before this time
    #[arg(long, value_name = "TIME", requires = "since")]
    until: Option<DateTime<Utc>>,
    /// Only those that the endpoint has not taken
    #[arg(long, requires = "since")]
    only_failed: bool,
    #[command(flatten)]
    gateway: Gateway,
}

pub(super) async fn run(command: WebhooksCommand) -> anyhow::Result<()> {
    match command {
        WebhooksCommand::Listen(args) => listen::run(args).await,
        WebhooksCommand::Trigger(args) => trigger(args).await,
        WebhooksCommand::Resend(args) => resend(args).await,
    }
}

async fn trigger(args: TriggerArgs) -> anyhow::Result<()> {
    let api = args.gateway.open()?;
    let body = json!({"type": args.event_type});
    let path = match args.endpoint {
        Some(endpoint) => format!("/v1/webhook-endpoints/{endpoint}/test"),
        None => "/v1/events".to_owned(),
    };
    let made = api.call(Method::POST, &path, Some(&body)).await?;
    if args.gateway.json {
        return terminal::json(&made);
    }
    // A delivery names its event; an event is one.
    let event = made.get("event_id").or_else(|| made.get("id"));
    terminal::data(&format!(
        "{} {}",
        args.event_type,
        text(event.unwrap_or(&Value::Null))
    ));
    Ok(())
}

async fn resend(args: ResendArgs) -> anyhow::Result<()> {
    let api = args.gateway.open()?;
    let Some((since, endpoint)) = args.since.zip(args.endpoint) else {
        let event = args
            .event
            .context("name an event, or --endpoint and --since")?;
        let path = format!("/v1/events/{event}/resend");
        let body = json!({"endpoint_id": args.endpoint});
        let made = api.call(Method::POST, &path, Some(&body)).await?;
        if args.gateway.json {
            return terminal::json(&made);
        }
        let deliveries = made
            .get("data")
            .and_then(Value::as_array)
            .map(Vec::as_slice);
        for delivery in deliveries.unwrap_or_default() {
            terminal::data(&format!(
                "{} to {}",
                text(&delivery["id"]),
                text(&delivery["endpoint_id"])
            ));
        }
        return Ok(());
    };
    let path = format!("/v1/webhook-endpoints/{endpoint}/resend");
    let mut body = json!({
        "since": time::to_text(since),
        "until": args.until.map(time::to_text),
        "only_failed": args.only_failed,
    });
    let mut count = 0;
    loop {
        let made = api.call(Method::POST, &path, Some(&body)).await?;
        count += made
            .get("count")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        if made.get("has_more") != Some(&Value::Bool(true)) {
            break;
        }
        let next = made.get("next_cursor").cloned().unwrap_or_default();
        if let Some(body) = body.as_object_mut() {
            body.insert("cursor".to_owned(), next);
        }
        terminal::say(&format!("{count} so far"));
    }
    if args.gateway.json {
        return terminal::json(&json!({"object": "webhook_resend", "count": count}));
    }
    terminal::data(&format!("{count} to {endpoint}"));
    Ok(())
}

impl Gateway {
    fn open(&self) -> anyhow::Result<Api> {
        let key = match &self.api_key_file {
            Some(path) => key_in(path)?,
            None => key_of_environment()
                .context("set ONEROUTER_API_KEY, or name a file with the key by --api-key-file")?,
        };
        let peer = Peer::at(&self.url).context("--url cannot be used")?;
        Ok(Api { peer, key })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "no setting of a gateway: the key of whoever calls one, and never an argument"
)]
fn key_of_environment() -> Option<SecretString> {
    let key = std::env::var("ONEROUTER_API_KEY").ok()?;
    Some(key.trim().to_owned().into()).filter(|key: &SecretString| !key.expose_secret().is_empty())
}

fn key_in(path: &Path) -> anyhow::Result<SecretString> {
    let mut key = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .take(KEY_BYTES_MAX)
            .read_to_string(&mut key)
            .context("cannot read the API key from standard input")?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(KEY_BYTES_MAX).read_to_string(&mut key))
            .with_context(|| format!("cannot read the API key from {}", path.display()))?;
    }
    Ok(key.trim().to_owned().into())
}

/// The gateway's API, as somebody with a key sees it.
#[derive(Debug)]
struct Api {
    peer: Peer,
    key: SecretString,
}

impl Api {
    /// Calls an operation: its answer, or what the gateway says against it.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.ask(method, path, body).await?;
        serde_json::from_slice(&answer).context("the gateway's answer is no JSON")
    }

    /// The same, as it was written.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<bytes::Bytes> {
        let bearer = format!("Bearer {}", self.key.expose_secret());
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.peer.send(method, path, &headers, body.into()).await;
        let answer = answer.context("cannot reach the gateway")?;
        if !answer.status.is_success() {
            let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let detail = problem
                .get("detail")
                .and_then(Value::as_str)
                .unwrap_or("no reason given");
            bail!("{}: {detail}", answer.status);
        }
        Ok(answer.body)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn event_type(text: &str) -> Result<String, String> {
    let pattern: EventPattern = text.parse().map_err(|error| format!("{error}"))?;
    if pattern.family().is_some() {
        return Err("must be one type, not a family".to_owned());
    }
    Ok(text.to_owned())
}
