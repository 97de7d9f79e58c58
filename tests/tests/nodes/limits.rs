//! A key's limit is one limit, however many nodes it is used on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use onerouter_tests::node::Node;
use onerouter_tests::redis::TestRedis;
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

/// How often a node has judged without Redis.
async fn without_redis(house: &House, node: &Node) -> f64 {
    let metrics = house.caller(node, "").get("/metrics").await;
    let metrics = String::from_utf8(metrics.bytes).unwrap();
    let name = "onerouter_limits_without_redis_total ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_clients_on_two_nodes_are_given_one_limit() {
    let redis = TestRedis::start();
    let Some(house) = House::new(NODES, &[("REDIS_URL", redis.url())]).await else {
        return;
    };
    let nodes = house.start().await;
    for _ in 0..TRIES {
        let mut before = 0.0;
        for node in &nodes {
            before += without_redis(&house, node).await;
        }
        let (admitted, earned, refused) = crowd(&house, &nodes).await;
        let mut after = 0.0;
        for node in &nodes {
            after += without_redis(&house, node).await;
        }
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
