//! `cargo xtask cluster`: what a person plays with.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use onerouter_tests::harness::reply;
use onerouter_tests::write_path::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CLIENTS: usize = 8;
const ENOUGH: u64 = 100;

/// The command, until it is interrupted.
struct Cluster {
    child: Child,
    ready: Value,
}

impl Cluster {
    /// None where the tests were not started by the command itself, which builds what it needs.
    fn start() -> Option<Self> {
        let program = PathBuf::from(env::var_os("ONEROUTER_TEST_BIN")?).with_file_name("xtask");
        let mut child = Command::new(program)
            .args(["cluster", "--json", "--port", "0", "--no-build"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let data = child.stdout.take().unwrap();
        BufReader::new(data).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line);
        let ready = ready.unwrap_or_else(|_| panic!("it did not start: {line:?}"));
        Some(Self { child, ready })
    }

    fn text(&self, name: &str) -> String {
        self.ready[name].as_str().unwrap().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have ended by itself; what it had started ends with it.
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

fn signal(signal: &str, pid: u64) {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    number: AtomicU64,
    sent: AtomicU64,
    /// Numbers of those that nobody knows about yet: their node was killed.
    open: Mutex<Vec<u64>>,
}

/// A number of its own for each message.
fn to(number: u64) -> String {
    format!("+1415555{number:04}")
}

/// Sends one message after another. What is not answered as sent is repeated once under its key.
async fn client(load: Arc<Load>, base: String, key: String) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    while !load.is_over.load(Ordering::Relaxed) {
        let number = load.number.fetch_add(1, Ordering::Relaxed);
        let body = json!({"to": to(number), "body": "Hi"});
        let mut is_sent = false;
        for _ in 0..2 {
            let request = http.post(format!("{base}/v1/sms")).json(&body);
            let request = request.bearer_auth(&key);
            let request = request.header("Idempotency-Key", format!("message-{number}"));
            let answer = request.send().await;
            is_sent = answer.is_ok_and(|answer| answer.status() == StatusCode::CREATED);
            if is_sent {
                break;
            }
        }
        if is_sent {
            load.sent.fetch_add(1, Ordering::Relaxed);
        } else {
            load.open.lock().unwrap().push(number);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_loses_nothing_when_its_nodes_are_ended() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let Some(mut cluster) = cluster else {
        return;
    };
    let (base, key) = (cluster.text("base_url"), cluster.text("api_key"));
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(Arc::clone(&load), base.clone(), key.clone()));
    }
    let goes_on = async || {
        let before = load.sent.load(Ordering::Relaxed);
        eventually("messages are sent", async || {
            load.sent.load(Ordering::Relaxed) >= before + ENOUGH
        })
        .await;
    };
    goes_on().await;
    let nodes = cluster.ready["nodes"].as_array().unwrap().clone();
    assert_eq!(nodes.len(), 3);
    signal("-KILL", nodes[2]["pid"].as_u64().unwrap());
    goes_on().await;
    signal("-TERM", nodes[1]["pid"].as_u64().unwrap());
    goes_on().await;
    // Each comes back.
    for node in &nodes {
        let address = node["base_url"]
            .as_str()
            .unwrap()
            .trim_start_matches("http://")
            .to_owned();
        eventually("a node is started again", async || {
            TcpStream::connect(&address).await.is_ok()
        })
        .await;
    }
    goes_on().await;
    load.is_over.store(true, Ordering::Relaxed);
    clients.join_all().await;
    let open = load.open.lock().unwrap().clone();
    println!(
        "{} messages, {open:?} open",
        load.sent.load(Ordering::Relaxed)
    );
    // Those that were on the node that was killed, and no others.
    assert!(open.len() <= CLIENTS, "{open:?}");
    let ledger = format!("{}/_sandbox/ledger", cluster.text("sandbox_url"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for number in 0..load.number.load(Ordering::Relaxed) {
        let asked = http.get(&ledger).query(&[("to", to(number))]);
        let arrived = &reply(asked.send().await.unwrap()).await.json["count"];
        let is_open = open.contains(&number);
        assert!(
            arrived == 1 || is_open && arrived == 0,
            "{number}: {arrived}"
        );
    }

    // Interrupted, it takes everything with it.
    signal("-INT", u64::from(cluster.child.id()));
    let status = tokio::task::spawn_blocking(move || cluster.child.wait().map(|_| cluster));
    let cluster = status.await.unwrap().unwrap();
    let mut addresses = vec![cluster.text("base_url"), cluster.text("sandbox_url")];
    let of_nodes = nodes
        .iter()
        .map(|node| node["base_url"].as_str().unwrap().to_owned());
    addresses.extend(of_nodes);
    for address in addresses {
        let address = address.trim_start_matches("http://").to_owned();
        eventually("nothing is left", async || {
            TcpStream::connect(&address).await.is_err()
        })
        .await;
    }
}
