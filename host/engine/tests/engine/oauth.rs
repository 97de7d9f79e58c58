//! Access tokens that the host gets for an adapter: asked for once, shared, renewed in time.
//!
//! - [`renewal`]: what a provider does not accept any more
//! - [`refusals`]: no token to be had
//! - [`spellings`]: an adapter that asks for one itself
//! - [`echoes`]: a provider that repeats one

mod echoes;
mod refusals;
mod renewal;
mod spellings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use onerouter_domain::environment::Environment;
use onerouter_engine::wit::sms::Message;
use onerouter_engine::{CallReport, Clock, ConnectionContext, Credentials, EngineConfig, Outcome};
use onerouter_manifest::{Attachment, Manifest};
use tokio::sync::watch;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::host::{Host, config, fixture, request};
use crate::packing::repacked;
use crate::provider::{Received, Reply};

const TOKEN_PATH: &str = "/oauth2/token";

/// The saboteur, whose usual credential is a client's secret now.
fn component() -> Bytes {
    component_with(|_| {})
}

fn component_with(change: impl FnOnce(&mut Manifest)) -> Bytes {
    repacked(&fixture("saboteur"), |manifest| {
        let oauth = Attachment::OAuth2ClientCredentials {
            token_path: TOKEN_PATH.to_owned(),
            client_id: "user".to_owned(),
            client_secret: "token".to_owned(),
            scope: String::new(),
        };
        manifest.auth.insert("token".to_owned(), oauth);
        change(manifest);
    })
}

async fn host(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Host {
    Host::loading(config(), component(), script).await
}

/// A clock that stands still until somebody moves it.
#[derive(Debug)]
struct Hand(AtomicU64);

impl Hand {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_700_000_000_000)))
    }

    fn move_by(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn is_token_request(received: &Received) -> bool {
    received.target == TOKEN_PATH
}

/// A token as the standard has it.
fn granting(token: &str) -> Reply {
    let body = serde_json::json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 600, "scope": "all",
    });
    Reply::Answer(200, body.to_string())
}

/// Gives the tokens `access-token-1`, `access-token-2` …, and takes all messages.
fn numbering() -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    let count = AtomicUsize::new(0);
    move |received| {
        if is_token_request(received) {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            granting(&format!("access-token-{number}"))
        } else {
            Reply::created()
        }
    }
}

/// What was asked for, in order: `token`, or what a message was sent with.
fn heard(host: &Host) -> Vec<String> {
    let received = host.provider.received();
    let heard = received
        .iter()
        .map(|received| match is_token_request(received) {
            true => "token".to_owned(),
            false => received.header("authorization").unwrap().to_owned(),
        });
    heard.collect()
}

#[track_caller]
fn accepted(report: CallReport<Message>) -> Message {
    match report.outcome {
        Outcome::Accepted(message) => message,
        other => panic!("{other:?}"),
    }
}

/// A connection of the client with this secret.
pub(crate) fn client(secret: &str) -> Arc<ConnectionContext> {
    let public = BTreeMap::from([("user".to_owned(), "user-1".to_owned())]);
    let secret = Zeroizing::new(secret.to_owned());
    let secret = BTreeMap::from([("token".to_owned(), secret)]);
    Arc::new(ConnectionContext {
        environment: Environment::Test,
        credentials: Credentials::new(public, secret).unwrap(),
        settings: BTreeMap::new(),
        recorder: None,
    })
}

/// Many calls at the same time. The first request of any of them is answered when all of them wait for
/// that answer.
async fn crowd(
    count: usize,
    script: impl Fn(&Received, watch::Receiver<bool>) -> Reply + Send + Sync + 'static,
) -> (Vec<CallReport<Message>>, Arc<Host>) {
    let (say, may) = watch::channel(false);
    let slots = u32::try_from(count).unwrap();
    let config = EngineConfig {
        slots,
        slots_per_adapter: slots,
        ..config()
    };
    let script = move |received: &Received| script(received, may.clone());
    let host = Arc::new(Host::loading(config, component(), script).await);
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let host = Arc::clone(&host);
        calls.spawn(async move { host.send("hello").await });
    }
    host.provider.wait_for(1).await;
    // One thread runs everything here: whoever has not come this far does so now.
    while host.engine.free_slots() > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    say.send(true).unwrap();
    (calls.join_all().await, host)
}

#[tokio::test]
async fn a_token_is_got_once_and_sent_with_every_request() {
    use base64::Engine as _;
    let host = host(numbering()).await;
    for _ in 0..3 {
        let report = host.send("two-posts").await;
        // The exchange is the host's own affair.
        let paths: Vec<_> = report.ledger.iter().map(|entry| &entry.path).collect();
        assert_eq!(paths, ["/v1/messages"; 2]);
        assert!(report.logs.is_empty(), "{:?}", report.logs);
        accepted(report);
    }
    let mut expected = vec!["Bearer access-token-1"; 7];
    expected[0] = "token";
    assert_eq!(heard(&host), expected);

    let asked = &host.provider.received()[0];
    // As RFC 6749 has it in section 2.3.1: both are fields of a form first.
    let pair = "user-1:tok%2Ben%2Fwith%3Dodd%26chars-0123456789";
    let basic = base64::engine::general_purpose::STANDARD.encode(pair);
    let expected = format!("Basic {basic}");
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.header("authorization"), Some(expected.as_str()));
    assert_eq!(asked.header("accept"), Some("application/json"));
    assert_eq!(
        asked.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(asked.header("host"), Some("api.saboteur.example"));
    assert_eq!(asked.body, "grant_type=client_credentials");
}

#[tokio::test]
async fn a_scope_is_asked_for() {
    let component = component_with(|manifest| {
        let Some(Attachment::OAuth2ClientCredentials { scope, .. }) =
            manifest.auth.get_mut("token")
        else {
            panic!("another attachment");
        };
        "messages.write all".clone_into(scope);
    });
    let host = Host::loading(config(), component, numbering()).await;
    accepted(host.send("hello").await);
    assert_eq!(
        host.provider.received()[0].body,
        "grant_type=client_credentials&scope=messages.write+all"
    );
}

#[tokio::test]
async fn fifty_calls_at_the_same_time_make_one_exchange() {
    let (reports, host) = crowd(50, |received, may| {
        let granted = r#"{"access_token":"access-token-1","token_type":"Bearer"}"#;
        match is_token_request(received) {
            true => Reply::Later(may, 200, granted.to_owned()),
            false => Reply::created(),
        }
    })
    .await;
    assert_eq!(reports.len(), 50);
    for report in reports {
        accepted(report);
    }
    let mut expected = vec!["Bearer access-token-1"; 51];
    expected[0] = "token";
    assert_eq!(heard(&host), expected);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let clock = Hand::new();
    let config = EngineConfig {
        clock: clock.clone(),
        ..config()
    };
    let host = Host::loading(config, component(), numbering()).await;
    // Ten minutes, of which the last one is not used.
    for (passed, token) in [(0, 1), (539_999, 1), (1, 2), (539_999, 2), (600_000, 3)] {
        clock.move_by(passed);
        accepted(host.send("hello").await);
        let last = heard(&host).pop().unwrap();
        assert_eq!(last, format!("Bearer access-token-{token}"));
    }
    assert_eq!(host.provider.received().len(), 5 + 3);
}

#[tokio::test]
async fn a_token_belongs_to_those_who_were_given_the_same_client() {
    let mut host = host(numbering()).await;
    for (secret, token) in [
        ("secret-of-acme-1", 1),
        ("secret-of-bolt-1", 2),
        ("secret-of-acme-1", 1),
        ("secret-of-bolt-2", 3),
    ] {
        host.connection = client(secret);
        accepted(host.send("hello").await);
        let last = heard(&host).pop().unwrap();
        assert_eq!(last, format!("Bearer access-token-{token}"), "{secret}");
    }
}

#[tokio::test]
async fn another_adapter_of_the_same_provider_shares_the_token() {
    let host = host(numbering()).await;
    accepted(host.send("hello").await);
    let newer = component_with(|manifest| manifest.version.minor += 1);
    let newer = host.engine.load(newer).await.unwrap();
    let report = newer.sms_send(&host.context(), &request("hello")).await;
    accepted(report);
    let token = "Bearer access-token-1";
    assert_eq!(heard(&host), ["token", token, token]);
}

#[tokio::test]
async fn a_connection_without_the_client_is_told_so() {
    let mut host = host(numbering()).await;
    host.connection = client("");
    let report = host.send("hello").await;
    assert!(
        report.logs[0].message.contains("lacks a credential"),
        "{:?}",
        report.logs
    );
    assert!(host.provider.received().is_empty());
}
