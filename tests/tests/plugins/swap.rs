//! Swaps under load: what runs ends on what it began on, and nothing fails.
//!
//! `cargo xtask soak --only swaps` does many; here it is a few.

use std::collections::HashMap;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use onerouter_registry::KeyPair;
use onerouter_tests::acme::{self, Acme, BUSY_TOKEN, TOKEN};
use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{ADMIN_TOKEN, Client};
use onerouter_tests::node::{Node, NodeSetup};
use onerouter_tests::write_path::eventually;
use serde_json::json;
use tokio::task::JoinSet;

use crate::rig::Rig;

/// Calls that are under way at each swap.
const IN_FLIGHT: usize = 50;
const CLIENTS: usize = 60;
/// What the nodes may grow by in the second half of many swaps.
const SLOPE_KIB_MAX: i64 = 64 << 10;
/// Requests of which only one call was seen so far.
const KNOWN_MAX: usize = 10_000;

#[tokio::test]
async fn a_call_ends_on_the_version_it_began_on() {
    let rig = Rig::start().await;
    rig.install("1.0.0").await;
    acme::connect(&rig.operator, TOKEN, "default").await;
    let client = rig.host.key("test").await;
    rig.acme.hold(true);
    let began = tokio::spawn({
        let client = client.clone();
        async move { client.post("/v1/sms", acme::message("began")).await }
    });
    rig.acme.until_arrived(1).await;
    rig.install("1.1.0").await;
    assert_eq!(
        rig.states().await[1],
        ("1.0.0".to_owned(), "draining".to_owned())
    );
    let comes = tokio::spawn({
        let client = client.clone();
        async move { client.post("/v1/sms", acme::message("comes")).await }
    });
    rig.acme.until_arrived(2).await;
    rig.acme.hold(false);
    for sent in [began.await.unwrap(), comes.await.unwrap()] {
        assert_eq!(sent.status, 201, "{sent:?}");
    }
    assert_eq!(rig.acme.versions_of("began"), ["1.0.0"]);
    assert_eq!(rig.acme.versions_of("comes"), ["1.1.0"]);
    rig.host.gateway.parts().plugins.follow().await.unwrap();
    assert_eq!(
        rig.states().await[1],
        ("1.0.0".to_owned(), "retired".to_owned())
    );
}

/// Gateways of their own, on one database, with two connections of which the first turns everything away:
/// each request makes two calls.
struct Fleet {
    nodes: Vec<Node>,
    acme: Acme,
    operators: Vec<Client>,
    clients: Vec<Client>,
    _folder: tempfile::TempDir,
    _database: TestDatabase,
}

impl Fleet {
    async fn start(count: usize) -> Option<Self> {
        let database = TestDatabase::postgres().await?;
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate();
        let acme = Acme::start().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let setup = |number: usize| NodeSetup {
            database_url: database.url().to_owned(),
            data_dir: folder.path().join(format!("node-{number}")),
            upstreams: vec![(acme::HOST.to_owned(), acme.base.clone())],
            port: 0,
            settings: vec![
                ("ENCRYPTION_KEY", "0a".repeat(32)),
                ("ONEROUTER_PUBLISHER_KEYS", key.public().id().to_string()),
                ("ONEROUTER_UNSIGNED_PLUGINS", "refuse".to_owned()),
                (
                    "ONEROUTER_PLUGINS_DIR",
                    folder.path().join("none").display().to_string(),
                ),
                ("RUST_LOG", "error".to_owned()),
            ],
        };
        let nodes: Vec<Node> = (0..count)
            .map(|number| Node::start(&setup(number)))
            .collect();
        let at = |token: &str| -> Vec<Client> {
            let nodes = nodes.iter();
            nodes
                .map(|node| Client::at(&node.base, token, &http))
                .collect()
        };
        let operators = at(ADMIN_TOKEN);
        let operator = &operators[0];
        for version in ["1.0.0", "1.1.0"] {
            let path = folder.path().join(format!("{version}.wasm"));
            let path = acme::write_signed(&path, &acme::component(version), &key);
            let installed = acme::install_agreeing(operator, json!({"source": path})).await;
            assert_eq!(installed.text("state"), "active", "{installed:?}");
        }
        acme::connect(operator, BUSY_TOKEN, "busy").await;
        acme::connect(operator, TOKEN, "default").await;
        let ids = acme::connections(operator).await;
        let policy = json!({
            "failover": true,
            "order": [
                {"connection_id": ids["busy"], "priority": 1},
                {"connection_id": ids["default"], "priority": 2},
            ],
        });
        let path = "/api/services/sms/routing?environment=test";
        let policy = Some(policy.to_string().into_bytes());
        let written = operator.send(reqwest::Method::PUT, path, policy).await;
        assert_eq!(written.status, 200, "{written:?}");
        let rate = json!({"per_second": 100_000, "burst": 100_000});
        let body = json!({"name": "load", "environment": "test", "rate_limit": rate});
        let made = operator.post("/api/api-keys", body).await;
        Some(Self {
            clients: at(made.text("key")),
            operators,
            nodes,
            acme,
            _folder: folder,
            _database: database,
        })
    }

    /// Resident memory of all nodes, in KiB.
    fn resident_kib(&self) -> u64 {
        self.nodes.iter().map(Node::resident_kib).sum()
    }

    /// Both calls of a request went through one version. Gives how many requests made two.
    fn check(&self, known: &mut HashMap<String, String>) -> usize {
        let mut of_two_calls = 0;
        for seen in self.acme.take_seen() {
            match known.remove(&seen.text) {
                Some(version) => {
                    assert_eq!(version, seen.version, "{}", seen.text);
                    of_two_calls += 1;
                }
                None => {
                    known.insert(seen.text, seen.version);
                }
            }
        }
        // Those that made one call are not to fill the memory that is measured nowhere.
        if known.len() > KNOWN_MAX {
            known.clear();
        }
        of_two_calls
    }
}

/// Swaps again and again under load.
async fn swap(nodes: usize, swaps: usize) {
    let Some(fleet) = Fleet::start(nodes).await else {
        return;
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let mut load = JoinSet::new();
    for number in 0..CLIENTS {
        let client = fleet.clients[number % nodes].clone();
        let (is_over, sent) = (Arc::clone(&is_over), Arc::clone(&sent));
        load.spawn(async move {
            let mut round = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                let text = format!("{number} {round}");
                let reply = client.post("/v1/sms", acme::message(&text)).await;
                assert_eq!(reply.status, 201, "{reply:?}");
                sent.fetch_add(1, Ordering::Relaxed);
                round += 1;
            }
        });
    }
    let mut memory = Vec::new();
    let mut known = HashMap::new();
    let mut of_two_calls = 0;
    for swapped in 0..swaps {
        // Enough calls are under way: the provider has them, and answers none.
        fleet.acme.hold(true);
        fleet.acme.until_in_flight(IN_FLIGHT).await;
        let operator = &fleet.operators[swapped % nodes];
        let version = if swapped % 2 == 0 { "1.0.0" } else { "1.1.0" };
        let swap = acme::activate_agreeing(operator, version).await;
        assert_eq!(swap.status, 200, "{swap:?}");
        fleet.acme.hold(false);
        if swapped % (swaps / 10).max(1) == 0 {
            memory.push(fleet.resident_kib());
            // In pieces: what the provider has seen must not be what grows.
            of_two_calls += fleet.check(&mut known);
        }
        if let Some(ended) = load.try_join_next() {
            ended.unwrap();
        }
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    of_two_calls += fleet.check(&mut known);
    assert!(of_two_calls > 0, "no request made a second call");
    // Nothing of what was swapped out stays, and no place is lost.
    eventually("all nodes are at rest", async || {
        let plugin = fleet.operators[0].get("/api/plugins/acme-texts").await;
        let nodes = plugin.json["nodes"].as_array().unwrap().clone();
        let are_current = nodes.iter().all(|node| {
            let versions = node["versions"].as_array().unwrap();
            node["current"] == true && versions.len() == 2
        });
        let mut are_free = true;
        for node in &fleet.nodes {
            let metrics = reqwest::get(format!("{}/metrics", node.base)).await;
            let metrics = metrics.unwrap().text().await.unwrap();
            are_free &= metrics.contains("\nonerouter_engine_slots_free 1000\n");
        }
        nodes.len() == fleet.nodes.len() && are_current && are_free
    })
    .await;
    let slope = memory.last().unwrap().cast_signed() - memory[memory.len() / 2].cast_signed();
    // A swap that left something behind would show after thousands of them.
    assert!(swaps < 1_000 || slope < SLOPE_KIB_MAX, "{memory:?}");
    eprintln!(
        "{swaps} swaps over {nodes} node(s), {} requests, {of_two_calls} of two calls; resident KiB at each tenth: {memory:?}; over the second half: {slope:+} KiB",
        sent.load(Ordering::Relaxed)
    );
}

fn count(variable: &str, few: usize) -> usize {
    env::var(variable).map_or(few, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_fail_nothing_and_no_request_sees_two_versions() {
    swap(1, count("ONEROUTER_SOAK_SWAPS", 20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_over_several_nodes_fail_nothing() {
    swap(3, count("ONEROUTER_SOAK_SWAPS_OF_NODES", 6)).await;
}
