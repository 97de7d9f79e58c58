//! Nodes that are killed while they deliver lose nothing. `cargo xtask soak --only deliveries` does the
//! same with more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use onerouter_tests::node::Node;
use onerouter_tests::outbox::{count, faults};
use onerouter_tests::receiver::Receiver;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::house::{Caller, House, start};

/// Deliveries, unless a soak asks for more.
const DELIVERIES: u64 = 200;
const ENDPOINTS: u64 = 5;
const CLIENTS: u64 = 4;
/// Longer than what a killed node had taken stays its own: a call, and what is done about lost ones.
const PATIENCE: Duration = Duration::from_secs(240);

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// A number that follows from another; the same for the same.
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Sends messages until there are so many. Each is repeated under its key until it is answered.
async fn send(callers: Arc<Vec<Caller>>, next: Arc<AtomicU64>, until: u64) {
    loop {
        let message = next.fetch_add(1, Ordering::Relaxed);
        if message >= until {
            return;
        }
        let body = json!({"to": format!("+1415555{message:04}"), "body": "Hi"});
        let mut place = usize::try_from(message).unwrap();
        loop {
            let caller = &callers[place % callers.len()];
            let request = caller.http.post(format!("{}/v1/sms", caller.base));
            let request = request.bearer_auth(&caller.token).json(&body);
            let request = request.header("Idempotency-Key", format!("message-{message}"));
            match request.send().await.map(|answer| answer.status()) {
                Ok(StatusCode::CREATED) => break,
                // It was cut off; whether it was sent is found out in time, and told then.
                Ok(StatusCode::CONFLICT | StatusCode::GATEWAY_TIMEOUT) => break,
                Ok(_) | Err(_) => place += 1,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn send_all(callers: &Arc<Vec<Caller>>, next: &Arc<AtomicU64>, until: u64) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(send(Arc::clone(callers), Arc::clone(next), until));
    }
    clients
}

/// Waits until everything that is committed was told.
async fn drained(house: &House) {
    let until = Instant::now() + PATIENCE;
    let database = house.database.owner_url();
    while count(database, "delivery_queue").await > 0 {
        assert!(Instant::now() < until, "not all are told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until no call seems to run, and every message that has left is known. One that a killed node had
/// not sent yet stays unknown: that its provider does not list it proves nothing.
async fn settled(house: &House, caller: &Caller, kills: u64) {
    let until = Instant::now() + PATIENCE;
    let database = house.database.owner_url();
    loop {
        let running = count(database, "objects where claimed_until is not null").await;
        let unknown = caller.get("/v1/sms?status=unknown&limit=100").await;
        let unknown = unknown.json["data"].as_array().unwrap();
        let under_way = kills * CLIENTS;
        assert!(
            unknown.len() as u64 <= under_way,
            "{} are unknown, {under_way} were under way",
            unknown.len()
        );
        let mut lost = Vec::new();
        for message in unknown {
            let number = message["to"].as_str().unwrap();
            if house.reached(number).await > 0 {
                lost.push(number);
            }
        }
        if running == 0 && lost.is_empty() {
            return;
        }
        let late = Instant::now() >= until;
        assert!(!late, "{running} calls seem to run, {lost:?} are lost");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn duplicates(receiver: &Receiver) -> usize {
    let all = receiver.deliveries();
    let distinct: BTreeSet<_> = all.iter().collect();
    all.len() - distinct.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_killed_while_they_deliver_lose_nothing() {
    let deliveries = number("ONEROUTER_SOAK_DELIVERIES", DELIVERIES);
    let seed = number("ONEROUTER_SOAK_SEED", 1);
    let any = [("ONEROUTER_WEBHOOK_TARGETS", "any".to_owned())];
    let Some(house) = House::new(2, &any).await else {
        return;
    };
    let mut nodes = house.start().await;
    house.connect(&nodes[0]).await;
    let (_, key) = house.key(&nodes[0], 100_000, 100_000).await;
    let callers: Vec<_> = nodes.iter().map(|node| house.caller(node, &key)).collect();
    let callers = Arc::new(callers);
    let receiver = Receiver::start().await;
    for number in 0..ENDPOINTS {
        let url = receiver.url(&format!("/{number}"));
        let body = json!({"url": url, "ordered": number == 0});
        let made = callers[0].post("/v1/webhook-endpoints", &body).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let messages = deliveries.div_ceil(ENDPOINTS);
    let next = Arc::new(AtomicU64::new(0));

    // Without faults first.
    send_all(&callers, &next, messages / 2)
        .await
        .join_all()
        .await;
    drained(&house).await;
    let (told, twice) = (receiver.count(), duplicates(&receiver));
    println!("deliveries: {told} without faults, {twice} of them twice");
    assert!(twice * 100 < told.max(1), "{twice} of {told}");
    next.store(messages / 2, Ordering::Relaxed);

    // And with both nodes killed, one after the other, at moments that the seed tells.
    let mut clients = send_all(&callers, &next, messages).await;
    let kills = (deliveries / 1_000).clamp(2, 20);
    for kill in 0..kills {
        let random = mixed(seed.wrapping_mul(31).wrapping_add(kill));
        let from = receiver.count();
        let share = usize::try_from(messages / 2 * ENDPOINTS / kills).unwrap();
        let after = usize::try_from(random).unwrap_or_default() % share.max(1);
        let until = Instant::now() + PATIENCE;
        while receiver.count() < from + after && !clients.is_empty() && Instant::now() < until {
            while clients.try_join_next().is_some() {}
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let place = usize::try_from(random >> 32).unwrap() % nodes.len();
        // SIGKILL.
        drop(nodes.swap_remove(place));
        let gone = house
            .setups
            .iter()
            .find(|setup| {
                let base = format!("http://127.0.0.1:{}", setup.port);
                nodes.iter().all(|node: &Node| node.base != base)
            })
            .unwrap();
        nodes.push(start(gone).await);
    }
    clients.join_all().await;
    // Messages that were cut off are settled, and then told. The callers' nodes are those that run now:
    // they listen where those before them did.
    settled(&house, &callers[0], kills).await;
    drained(&house).await;

    let database = house.database.owner_url();
    assert_eq!(faults(database, &receiver).await, [""; 0]);
    let made = count(database, "webhook_deliveries").await;
    let taken = count(database, "webhook_deliveries where state = 'succeeded'").await;
    assert_eq!(made, taken, "all have succeeded");
    assert!(made >= i64::try_from(messages * ENDPOINTS).unwrap());
    // Each event has reached each endpoint.
    let mut reached: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for number in 0..ENDPOINTS {
        for one in receiver.received(&format!("/{number}")) {
            let paths = reached.entry(one.id().to_owned()).or_default();
            paths.insert(one.path.clone());
            assert_ne!(one.json()["data"], Value::Null);
        }
    }
    let events = count(database, "events").await;
    assert_eq!(i64::try_from(reached.len()).unwrap(), events);
    for (event, paths) in reached {
        assert_eq!(paths.len() as u64, ENDPOINTS, "{event}");
    }
    println!(
        "deliveries: {made} of {events} events, {kills} kills, {} arrived twice; seed {seed}",
        duplicates(&receiver)
    );

    // What checks this would notice a lost one.
    let lost = "(delete from webhook_deliveries where id = (
        select min(id::text)::uuid from webhook_deliveries) returning id)";
    let lost = format!("with lost as {lost} select count(*) from lost");
    let mut connection = connect(database).await;
    let gone: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(lost))
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(gone, 1);
    assert_eq!(
        faults(database, &receiver).await,
        ["1 events are not to be told"]
    );
}

async fn connect(database: &str) -> sqlx::PgConnection {
    use sqlx::Connection as _;
    sqlx::PgConnection::connect(database).await.unwrap()
}
