//! Several gateways, processes of their own, on one PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use onerouter_sandbox::{Sandbox, SandboxConfig};
use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{ADMIN_TOKEN, reply};
use onerouter_tests::node::{Node, NodeSetup, free_port};
use onerouter_tests::write_path::eventually;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

const NODES: usize = 3;
/// Requests that are under way all the time, less what is between an answer and the next request.
const CLIENTS: usize = 80;
const IN_FLIGHT_MIN: usize = 50;
/// How long the provider takes for each.
const PROVIDER_MS: u64 = 400;

/// The nodes, and what they share.
struct House {
    setups: Vec<NodeSetup>,
    sandbox: Sandbox,
    http: reqwest::Client,
    _database: TestDatabase,
    _folder: TempDir,
}

impl House {
    async fn new() -> Option<Self> {
        let database = TestDatabase::postgres().await?;
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
        let setup = |n: usize| NodeSetup {
            database_url: database.url().to_owned(),
            data_dir: folder.path().join(n.to_string()),
            upstreams: sandbox.upstreams(),
            port: free_port(),
            // One master key for all.
            settings: vec![("ENCRYPTION_KEY", "0a".repeat(32))],
        };
        Some(Self {
            setups: (0..NODES).map(setup).collect(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            sandbox,
            _database: database,
            _folder: folder,
        })
    }

    async fn post(&self, url: String, token: &str, body: &Value) -> Value {
        let request = self.http.post(url).json(body);
        let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = reply(request.send().await.unwrap()).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        answer.json
    }

    /// An API key, and the sandbox's connections, over one node.
    async fn key(&self, node: &Node) -> String {
        for connection in self.sandbox.connections() {
            let url = format!(
                "{}/api/services/{}/{}/connect",
                node.base, connection.service, connection.provider
            );
            let body = json!({
                "environment": connection.environment,
                "credentials": connection.credentials,
                "settings": connection.settings,
            });
            self.post(url, ADMIN_TOKEN, &body).await;
        }
        let rate = json!({"per_second": 100_000, "burst": 100_000});
        let body = json!({"name": "load", "environment": "test", "rate_limit": rate});
        let made = self.post(format!("{}/api/api-keys", node.base), ADMIN_TOKEN, &body);
        made.await["key"].as_str().unwrap().to_owned()
    }

    /// Has the provider take its time.
    async fn slow_provider(&self) {
        let fault = json!({
            "provider": "twilio", "method": "POST", "fault": "latency_before",
            "delay_ms": PROVIDER_MS, "times": 1_000_000,
        });
        let url = format!("{}/_sandbox/faults", self.sandbox.url());
        let answer = self.http.post(url).json(&fault).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
}

/// What the clients see.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    number: AtomicUsize,
    in_flight: AtomicUsize,
    sent: AtomicUsize,
}

/// A client that sends one message after another, to whichever node is its turn; one that takes no
/// connections is left out, as a balancer does. Gives back what was answered but for 201.
async fn client(load: Arc<Load>, bases: Vec<String>, key: String) -> Vec<String> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut failures = Vec::new();
    while !load.is_over.load(Ordering::Relaxed) {
        let number = load.number.fetch_add(1, Ordering::Relaxed);
        let body = json!({"to": "+14155550123", "body": format!("message {number}")});
        load.in_flight.fetch_add(1, Ordering::Relaxed);
        let mut answer = Err("no node takes connections".to_owned());
        for turn in 0..bases.len() {
            let base = &bases[(number + turn) % bases.len()];
            let request = http.post(format!("{base}/v1/sms")).json(&body);
            let request = request.header(AUTHORIZATION, format!("Bearer {key}"));
            match request.send().await {
                Ok(answered) => {
                    let answered = reply(answered).await;
                    let is_sent = answered.status == 201;
                    answer = is_sent.then_some(()).ok_or_else(|| format!("{answered:?}"));
                    break;
                }
                Err(error) if error.is_connect() => {}
                Err(error) => {
                    answer = Err(format!("{error:?}"));
                    break;
                }
            }
        }
        load.in_flight.fetch_sub(1, Ordering::Relaxed);
        match answer {
            Ok(()) => drop(load.sent.fetch_add(1, Ordering::Relaxed)),
            Err(failure) => failures.push(failure),
        }
    }
    failures
}

async fn start(setup: &NodeSetup) -> Node {
    let setup = setup.clone();
    tokio::task::spawn_blocking(move || Node::start(&setup))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_drops_nothing() {
    let Some(house) = House::new().await else {
        return;
    };
    let mut nodes = Vec::new();
    for setup in &house.setups {
        nodes.push(start(setup).await);
    }
    let key = house.key(&nodes[0]).await;
    house.slow_provider().await;
    let bases: Vec<String> = nodes.iter().map(|node| node.base.clone()).collect();
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(Arc::clone(&load), bases.clone(), key.clone()));
    }
    let mut at_restarts = Vec::new();
    for (place, setup) in house.setups.iter().enumerate() {
        // Everybody has sent something since the last restart.
        let before = load.sent.load(Ordering::Relaxed);
        eventually("messages are sent", async || {
            load.sent.load(Ordering::Relaxed) >= before + CLIENTS
                && load.in_flight.load(Ordering::Relaxed) >= IN_FLIGHT_MIN
        })
        .await;
        at_restarts.push(load.in_flight.load(Ordering::Relaxed));
        let old = nodes.remove(place);
        let status = tokio::task::spawn_blocking(|| old.stop()).await.unwrap();
        assert!(status.success(), "{status:?}");
        nodes.insert(place, start(setup).await);
    }
    load.is_over.store(true, Ordering::Relaxed);
    let failures: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    let sent = load.sent.load(Ordering::Relaxed);
    assert_eq!(failures, [""; 0], "of {sent}");
    assert!(sent > NODES * CLIENTS, "{sent}");
    // Each message has reached the provider once.
    let url = format!("{}/_sandbox/ledger?to=%2B14155550123", house.sandbox.url());
    let ledger = reply(house.http.get(url).send().await.unwrap()).await;
    assert_eq!(ledger.json["count"], sent);
    println!("{sent} messages; in flight at the restarts: {at_restarts:?}");
}
