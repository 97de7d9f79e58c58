//! The master key is changed while clients go on; the command that does it is killed halfway.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use onerouter_tests::node::NodeSetup;
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

fn keys(current: u8, previous: Option<u8>) -> Vec<(&'static str, String)> {
    let text = |byte: u8| format!("{byte:02x}").repeat(32);
    let mut keys = vec![("ENCRYPTION_KEY", text(current))];
    keys.extend(previous.map(|byte| ("ENCRYPTION_KEY_PREVIOUS", text(byte))));
    keys
}

/// How many data keys are wrapped by each master key: the numbers, the greatest last.
async fn wrapped(database: &mut PgConnection) -> Vec<i64> {
    sqlx::query_scalar("select count(*) from data_keys group by master_key_id order by 1")
        .fetch_all(database)
        .await
        .unwrap()
}

async fn rotate(setup: &NodeSetup) -> Value {
    let mut command = setup.command(&["vault", "rotate", "--json"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn send(caller: &Caller) {
    let body = json!({"to": "+14155550123", "body": "Hi"});
    let answer = caller.post("/v1/sms", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// A node that has just been started, and knows no data key yet, serves every tenant.
async fn a_new_node_serves(house: &House, setup: &NodeSetup, tokens: &[String]) {
    let node = start(setup).await;
    for token in tokens {
        send(&house.caller(&node, token)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_killed_halfway_costs_no_request_and_goes_on() {
    let Some(mut house) = House::new(2, &keys(1, None)).await else {
        return;
    };
    let mut database = PgConnection::connect(house.database.owner_url())
        .await
        .unwrap();

    // Tenants with connections, under the old key.
    let node = start(&house.setups[0]).await;
    let mut tokens = Vec::new();
    let mut tenants = Vec::new();
    for n in 0..TENANTS {
        let operator = house.operator(&node);
        let made = operator
            .post("/api/tenants", &json!({"name": format!("T{n}")}))
            .await;
        let tenant = made.text("id").to_owned();
        let operator = operator.of(&tenant);
        connect(&house.sandbox, &operator).await;
        let rate = json!({"per_second": 100_000, "burst": 100_000});
        let body = json!({"name": "key", "environment": "test", "rate_limit": rate});
        let made = operator.post("/api/api-keys", &body).await;
        tokens.push(made.text("key").to_owned());
        tenants.push(tenant);
    }
    drop(node);
    let all: i64 = wrapped(&mut database).await.iter().sum();
    assert!(all >= i64::try_from(TENANTS).unwrap());

    // Every node gets the new key first, with the old one beside it.
    let only_old = fresh(&house, "old", keys(1, None));
    for setup in &mut house.setups {
        setup.settings = keys(2, Some(1));
    }
    let nodes = house.start().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for token in &tokens {
        for node in &nodes {
            let caller = house.caller(node, token);
            let (is_over, sent) = (Arc::clone(&is_over), Arc::clone(&sent));
            clients.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    send(&caller).await;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    let goes_on = async || {
        let before = sent.load(Ordering::Relaxed);
        eventually("messages are sent", async || {
            sent.load(Ordering::Relaxed) >= before + ENOUGH * 2 * TENANTS
        })
        .await;
    };
    goes_on().await;

    // The command stops at a row that somebody else holds, and is killed there.
    let mut holder = PgConnection::connect(house.database.owner_url())
        .await
        .unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("select from data_keys where tenant_id = $1::text::uuid for update")
        .bind(uuid_of(&tenants[KILLED_AT]))
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
    let mut database = database.into_inner();
    let halfway = wrapped(&mut database).await;
    assert_eq!(halfway.len(), 2, "{halfway:?}");
    a_new_node_serves(&house, &fresh(&house, "halfway", keys(2, Some(1))), &tokens).await;
    goes_on().await;

    // It goes on where it was.
    let rotated = rotate(&house.setups[0]).await;
    let left = rotated["rewrapped"].as_i64().unwrap();
    assert!(0 < left && left < all, "{left} of {all}");
    assert_eq!(wrapped(&mut database).await, [all]);
    assert_eq!(rotate(&house.setups[0]).await["rewrapped"], 0);
    a_new_node_serves(&house, &fresh(&house, "after", keys(2, None)), &tokens).await;
    goes_on().await;
    is_over.store(true, Ordering::Relaxed);
    clients.join_all().await;
    println!(
        "{} messages; {left} of {all} keys were left by the one that was killed",
        sent.load(Ordering::Relaxed)
    );

    // The old key alone opens nothing any more.
    let node = start(&only_old).await;
    let answer = house.caller(&node, &tokens[0]);
    let body = json!({"to": "+14155550123", "body": "Hi"});
    let answer = answer.post("/v1/sms", &body).await;
    assert!(answer.status >= 400, "{answer:?}");
}

/// The UUID in a tenant's id.
fn uuid_of(id: &str) -> String {
    let id: onerouter_domain::id::TenantId = id.parse().unwrap();
    id.uuid().to_string()
}

/// A node that shares the database and nothing else.
fn fresh(house: &House, name: &str, settings: Vec<(&'static str, String)>) -> NodeSetup {
    let of = &house.setups[0];
    NodeSetup {
        data_dir: of.data_dir.with_file_name(name),
        port: 0,
        settings,
        ..of.clone()
    }
}
