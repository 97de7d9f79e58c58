//! The master key is changed while clients go on; the command that does it is killed halfway.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use onerouter::vault::master_key::MasterKey;
use onerouter_tests::database::TestDatabase;
use onerouter_tests::node::{Node, NodeSetup};
use onerouter_tests::write_path::eventually;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

use crate::house::{Caller, House, connect, start};

const TENANTS: usize = 6;
/// The tenant at whose key the command is killed.
const KILLED_AT: usize = 3;
/// Messages of each client between two steps.
const ENOUGH: usize = 10;

/// Settings of master keys.
pub fn keys(current: u8, previous: Option<u8>) -> Vec<(&'static str, String)> {
    let text = |byte: u8| format!("{byte:02x}").repeat(32);
    let mut keys = vec![("ENCRYPTION_KEY", text(current))];
    keys.extend(previous.map(|byte| ("ENCRYPTION_KEY_PREVIOUS", text(byte))));
    keys
}

/// What the doctor finds of the stored data keys.
#[derive(Debug)]
pub struct DataKeys {
    /// The verdicts and details, one for each key that wraps some.
    pub found: Vec<(String, String)>,
    /// How many there are under each.
    pub counts: Vec<usize>,
}

/// Asks the command line how the data keys are.
pub async fn examine(setup: &NodeSetup) -> DataKeys {
    let mut command = setup.command(&["doctor", "--json"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let found: Vec<_> = findings
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == "data keys")
        .inspect(|finding| assert_eq!(finding["fix"].is_null(), finding["verdict"] == "ok"))
        .map(|finding| (text(finding, "verdict"), text(finding, "detail")))
        .collect();
    let counts = found.iter().filter_map(|(_, detail)| {
        let (count, _) = detail.split_once(" wrapped by ")?;
        count.parse().ok()
    });
    DataKeys {
        counts: counts.collect(),
        found,
    }
}

pub async fn rotate(setup: &NodeSetup) -> Value {
    let mut command = setup.command(&["vault", "rotate", "--json"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

pub async fn send(caller: &Caller) {
    let body = json!({"to": "+14155550123", "body": "Hi"});
    let answer = caller.post("/v1/sms", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// A node that has just been started, and knows no data key yet, serves every tenant.
pub async fn a_new_node_serves(house: &House, setup: &NodeSetup, tenants: &[Tenant]) {
    let node = start(setup).await;
    for tenant in tenants {
        send(&house.caller(&node, &tenant.token)).await;
    }
}

/// Somebody with connections and a key.
pub struct Tenant {
    pub id: String,
    pub token: String,
}

pub async fn tenants(house: &House, node: &Node, count: usize) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for n in 0..count {
        let operator = house.operator(node);
        let made = operator
            .post("/api/tenants", &json!({"name": format!("T{n}")}))
            .await;
        let id = made.text("id").to_owned();
        let operator = operator.of(&id);
        connect(&house.sandbox, &operator).await;
        let rate = json!({"per_second": 100_000, "burst": 100_000});
        let body = json!({"name": "key", "environment": "test", "rate_limit": rate});
        let made = operator.post("/api/api-keys", &body).await;
        let token = made.text("key").to_owned();
        tenants.push(Tenant { id, token });
    }
    tenants
}

/// Clients that send one message after another. Each has to be accepted.
pub struct Traffic {
    is_over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Traffic {
    /// Of every tenant, to every node.
    pub fn start(house: &House, nodes: &[Node], tenants: &[Tenant]) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for tenant in tenants {
            for node in nodes {
                let caller = house.caller(node, &tenant.token);
                let (is_over, sent) = (Arc::clone(&is_over), Arc::clone(&sent));
                clients.spawn(async move {
                    while !is_over.load(Ordering::Relaxed) {
                        send(&caller).await;
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
        Self {
            is_over,
            sent,
            clients,
        }
    }

    /// Waits until more has been sent.
    pub async fn goes_on(&self) {
        let before = self.sent.load(Ordering::Relaxed);
        eventually("messages are sent", async || {
            self.sent.load(Ordering::Relaxed) >= before + ENOUGH * self.clients.len()
        })
        .await;
    }

    /// Ends it: how much was sent, all of it well.
    pub async fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        self.sent.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_killed_halfway_costs_no_request_and_goes_on() {
    let Some(mut house) = House::new(2, &keys(1, None)).await else {
        return;
    };
    let database = PgConnection::connect(house.database.owner_url())
        .await
        .unwrap();
    // Tenants with connections, under the old key.
    let node = start(&house.setups[0]).await;
    let tenants = tenants(&house, &node, TENANTS).await;
    drop(node);
    let only_old = fresh(&house, "old", keys(1, None));
    let all: usize = examine(&only_old).await.counts.iter().sum();
    assert!(all >= TENANTS);

    // Every node gets the new key first, with the old one beside it.
    for setup in &mut house.setups {
        setup.settings = keys(2, Some(1));
    }
    let nodes = house.start().await;
    let traffic = Traffic::start(&house, &nodes, &tenants);
    traffic.goes_on().await;

    // The command stops at a row that somebody else holds, and is killed there.
    let mut holder = PgConnection::connect(house.database.owner_url())
        .await
        .unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("select from data_keys where tenant_id = $1::text::uuid for update")
        .bind(uuid_of(&tenants[KILLED_AT].id))
        .execute(&mut *held)
        .await
        .unwrap();
    let mut command = house.setups[0].command(&["vault", "rotate"]);
    let mut rotation = command.stdout(Stdio::null()).spawn().unwrap();
    let database = tokio::sync::Mutex::new(database);
    eventually("the rotation waits", async || {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'
                     and query like '%update data_keys%')",
        )
        .fetch_one(&mut *database.lock().await)
        .await
        .unwrap();
        waits
    })
    .await;
    rotation.kill().unwrap();
    rotation.wait().unwrap();
    held.rollback().await.unwrap();
    let both = fresh(&house, "halfway", keys(2, Some(1)));
    let halfway = examine(&both).await;
    assert_eq!(halfway.counts.len(), 2, "{halfway:?}");
    assert_eq!(halfway.counts.iter().sum::<usize>(), all, "{halfway:?}");
    a_new_node_serves(&house, &both, &tenants).await;
    traffic.goes_on().await;

    // It goes on where it was.
    let rotated = rotate(&house.setups[0]).await;
    let left = usize::try_from(rotated["rewrapped"].as_u64().unwrap()).unwrap();
    assert!(0 < left && left < all, "{left} of {all}");
    assert_eq!(rotate(&house.setups[0]).await["rewrapped"], 0);
    let only_new = fresh(&house, "after", keys(2, None));
    assert_eq!(examine(&only_new).await.counts, [all]);
    a_new_node_serves(&house, &only_new, &tenants).await;
    traffic.goes_on().await;
    let sent = traffic.end().await;
    println!("{sent} messages; {left} of {all} keys were left by the one that was killed");
    the_old_key_alone_opens_nothing(&house, &only_old, &tenants).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_on_sqlite_costs_no_request() {
    let database = TestDatabase::sqlite().await;
    let mut house = House::on(database, 1, &keys(1, None)).await;
    let node = start(&house.setups[0]).await;
    let tenants = tenants(&house, &node, TENANTS).await;
    drop(node);
    let only_old = fresh(&house, "old", keys(1, None));
    let all: usize = examine(&only_old).await.counts.iter().sum();
    assert!(all >= TENANTS);

    house.setups[0].settings = keys(2, Some(1));
    let nodes = house.start().await;
    let traffic = Traffic::start(&house, &nodes, &tenants);
    traffic.goes_on().await;
    assert_eq!(rotate(&house.setups[0]).await["rewrapped"], all);
    traffic.goes_on().await;
    traffic.end().await;
    drop(nodes);
    let only_new = fresh(&house, "after", keys(2, None));
    assert_eq!(examine(&only_new).await.counts, [all]);
    a_new_node_serves(&house, &only_new, &tenants).await;
    the_old_key_alone_opens_nothing(&house, &only_old, &tenants).await;
}

/// And it is said which one is missing.
async fn the_old_key_alone_opens_nothing(house: &House, setup: &NodeSetup, tenants: &[Tenant]) {
    let node = start(setup).await;
    for tenant in tenants {
        let body = json!({"to": "+14155550123", "body": "Hi"});
        let caller = house.caller(&node, &tenant.token);
        let answer = caller.post("/v1/sms", &body).await;
        assert_eq!(answer.code(), "internal_error", "{answer:?}");
    }
    let found = examine(setup).await.found;
    let [(verdict, detail)] = found.as_slice() else {
        panic!("{found:?}");
    };
    let new = MasterKey::parse(&"02".repeat(32).into()).unwrap();
    assert_eq!(verdict, "failed");
    assert!(
        detail.contains(new.id()) && detail.contains("ENCRYPTION_KEY_PREVIOUS"),
        "{detail}"
    );
}

/// The UUID in a tenant's id.
fn uuid_of(id: &str) -> String {
    let id: onerouter_domain::id::TenantId = id.parse().unwrap();
    id.uuid().to_string()
}

/// A node that shares the database and nothing else.
pub fn fresh(house: &House, name: &str, settings: Vec<(&'static str, String)>) -> NodeSetup {
    let of = &house.setups[0];
    NodeSetup {
        data_dir: of.data_dir.with_file_name(name),
        port: 0,
        settings,
        ..of.clone()
    }
}
