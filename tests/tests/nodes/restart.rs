//! Nodes are replaced one after another, while clients go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use onerouter_tests::harness::reply;
use onerouter_tests::write_path::eventually;
use reqwest::header::AUTHORIZATION;
use serde_json::json;
use tokio::task::JoinSet;

use crate::house::{House, start};

const NODES: usize = 3;
/// Requests that are under way all the time, less what is between an answer and the next request.
const CLIENTS: usize = 80;
const IN_FLIGHT_MIN: usize = 50;
/// How long the provider takes for each.
const PROVIDER_MS: u64 = 400;
const NUMBER: &str = "+14155550123";

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
        let body = json!({"to": NUMBER, "body": format!("message {number}")});
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_drops_nothing() {
    let Some(house) = House::new(NODES, &[]).await else {
        return;
    };
    let mut nodes = house.start().await;
    house.connect(&nodes[0]).await;
    let (_id, key) = house.key(&nodes[0], 100_000, 100_000).await;
    house.slow_provider(PROVIDER_MS).await;
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
    assert_eq!(house.reached(NUMBER).await, u64::try_from(sent).unwrap());
    println!("{sent} messages; in flight at the restarts: {at_restarts:?}");
}
