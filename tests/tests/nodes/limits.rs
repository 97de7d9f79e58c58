//! A key's limit is one limit, however many nodes it is used on, and so is an endpoint's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use onerouter_tests::node::Node;
use onerouter_tests::receiver::Receiver;
use onerouter_tests::redis::TestRedis;
use onerouter_tests::write_path::eventually;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::house::House;

const NODES: usize = 2;
const CLIENTS: usize = 64;
const PER_SECOND: u32 = 40;
const BURST: u32 = 50;
/// Admitted ones after which the clients stop: the burst, and more that has to be earned.
const ADMITTED_ENOUGH: usize = 100;

/// Tries, on a machine so slow that Redis does not always answer in time.
const TRIES: usize = 10;

/// How often the nodes have judged without Redis.
async fn without_redis(house: &House, nodes: &[Node]) -> f64 {
    let mut all = 0.0;
    for node in nodes {
        all += counted(house, node, "onerouter_limits_without_redis_total").await;
    }
    all
}

/// What a node has counted.
async fn counted(house: &House, node: &Node, name: &str) -> f64 {
    let metrics = house.caller(node, "").get("/metrics").await;
    let metrics = String::from_utf8(metrics.bytes).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |count| count.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_clients_on_two_nodes_are_given_one_limit() {
    let redis = TestRedis::start();
    let Some(house) = House::new(NODES, &[("REDIS_URL", redis.url())]).await else {
        return;
    };
    let nodes = house.start().await;
    for _ in 0..TRIES {
        let before = without_redis(&house, &nodes).await;
        let (admitted, earned, refused) = crowd(&house, &nodes).await;
        let after = without_redis(&house, &nodes).await;
        println!("{admitted} admitted of at most {earned:.1}, {refused} refused");
        if after > before {
            // A node has judged for itself: that was another limit.
            continue;
        }
        assert!(admitted as f64 <= earned, "{admitted} of {earned}");
        assert!(refused > 0);
        return;
    }
    panic!("Redis never answers in time");
}

/// A new key's clients: how many were admitted, how many there may be, how many were refused.
async fn crowd(house: &House, nodes: &[Node]) -> (usize, f64, usize) {
    let (_id, key) = house.key(&nodes[0], PER_SECOND, BURST).await;
    let admitted = Arc::new(AtomicUsize::new(0));
    let refused = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        let caller = house.caller(&nodes[n % NODES], &key);
        let (admitted, refused) = (Arc::clone(&admitted), Arc::clone(&refused));
        clients.spawn(async move {
            while admitted.load(Ordering::Relaxed) < ADMITTED_ENOUGH {
                let answer = caller.get("/v1/sms").await;
                let count = match answer.status {
                    200 => &admitted,
                    429 => {
                        assert_eq!(answer.code(), "rate_limited");
                        assert_eq!(answer.header("retry-after"), Some("1"));
                        &refused
                    }
                    _ => panic!("{answer:?}"),
                };
                count.fetch_add(1, Ordering::Relaxed);
                let policy = answer.header("ratelimit-policy");
                assert_eq!(policy, Some("\"default\";q=50;w=2"));
            }
        });
    }
    clients.join_all().await;
    let earned = began.elapsed().as_secs_f64() * f64::from(PER_SECOND) + f64::from(BURST);
    (
        admitted.load(Ordering::Relaxed),
        earned,
        refused.load(Ordering::Relaxed),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_given_one_limit_by_two_nodes() {
    const PER_SECOND: u32 = 20;
    const EVENTS: usize = 60;
    const DELIVERED: &str = r#"onerouter_webhook_deliveries_total{result="succeeded"}"#;
    let redis = TestRedis::start();
    let settings = [
        ("REDIS_URL", redis.url()),
        ("ONEROUTER_WEBHOOK_TARGETS", "any".to_owned()),
    ];
    let Some(house) = House::new(NODES, &settings).await else {
        return;
    };
    let nodes = house.start().await;
    let (_id, key) = house.key(&nodes[0], 100_000, 100_000).await;
    let callers: Vec<_> = nodes.iter().map(|node| house.caller(node, &key)).collect();
    let receiver = Receiver::start().await;
    for number in 0..TRIES {
        let before = without_redis(&house, &nodes).await;
        let path = format!("/{number}");
        let rate = json!({"per_second": PER_SECOND});
        let body = json!({
            "url": receiver.url(&path), "event_types": ["sms.sent"], "rate_limit": rate,
        });
        let made = callers[0].post("/v1/webhook-endpoints", &body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let began = Instant::now();
        for event in 0..EVENTS {
            let sample = json!({"type": "sms.sent"});
            let told = callers[event % NODES].post("/v1/events", &sample).await;
            assert_eq!(told.status, 200, "{told:?}");
        }
        eventually("all are told", async || {
            receiver.received(&path).len() >= EVENTS
        })
        .await;
        // A tenth of a second's may come at once.
        let most = (began.elapsed().as_secs_f64() + 0.1) * f64::from(PER_SECOND);
        let after = without_redis(&house, &nodes).await;
        println!("{EVENTS} were told of at most {most:.1}");
        let gone = format!("/v1/webhook-endpoints/{}", made.text("id"));
        let gone = callers[0].call(Method::DELETE, &gone, None).await;
        assert_eq!(gone.status, 200, "{gone:?}");
        if after > before {
            // A node has judged for itself: that was another limit.
            continue;
        }
        assert!(EVENTS as f64 <= most, "{EVENTS} of {most}");
        for node in &nodes {
            assert!(counted(&house, node, DELIVERED).await > 0.0, "both deliver");
        }
        return;
    }
    panic!("Redis never answers in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_is_told_as_a_single_node_tells_it() {
    let redis = TestRedis::start();
    let Some(house) = House::new(1, &[("REDIS_URL", redis.url())]).await else {
        return;
    };
    let nodes = house.start().await;
    let (_id, key) = house.key(&nodes[0], 1, 3).await;
    let slow = house.caller(&nodes[0], &key);
    for left in [2, 1, 0] {
        let answer = slow.get("/v1/sms").await;
        assert_eq!(answer.status, 200);
        let header = answer.header("ratelimit").unwrap();
        assert!(header.starts_with(&format!("\"default\";r={left};t=")));
    }
    let refused = slow.get("/v1/sms").await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit"), Some("\"default\";r=0;t=1"));
}
