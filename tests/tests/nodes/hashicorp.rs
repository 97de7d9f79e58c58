//! Data keys wrapped by HashiCorp Vault: they move there and back while messages flow, and its
//! absence stops only what is not in memory.

use std::process::Stdio;

use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::Reply;
use onerouter_tests::node::NodeSetup;
use onerouter_tests::transit::{Behaviour, TOKEN, TransitEngine};
use onerouter_tests::write_path::eventually;
use serde_json::json;

use crate::house::{Caller, House, start};
use crate::rotation::{Traffic, a_new_node_serves, examine, fresh, keys, rotate, send, tenants};

const TENANTS: usize = 4;

type Settings = Vec<(&'static str, String)>;

/// With a key that wraps, or one that only unwraps.
fn transit(engine: &TransitEngine, key: &'static str) -> Settings {
    vec![
        ("VAULT_ADDR", engine.address.clone()),
        ("VAULT_TOKEN", TOKEN.to_owned()),
        (key, "onerouter".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_keys_move_there_and_back_on_sqlite() {
    data_keys_move_there_and_back(TestDatabase::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_keys_move_there_and_back_on_postgres() {
    if let Some(database) = TestDatabase::postgres().await {
        data_keys_move_there_and_back(database).await;
    }
}

async fn data_keys_move_there_and_back(database: TestDatabase) {
    let engine = TransitEngine::start(&["onerouter"]).await;
    let mut house = House::on(database, 1, &keys(1, None)).await;
    let node = start(&house.setups[0]).await;
    let tenants = tenants(&house, &node, TENANTS).await;
    drop(node);
    let all: usize = examine(&house.setups[0]).await.counts.iter().sum();
    assert!(all >= TENANTS);

    // There: the key from before only unwraps now.
    let both = [keys(1, None), transit(&engine, "ONEROUTER_VAULT_KEY")].concat();
    house.setups[0].settings = both;
    let nodes = house.start().await;
    let traffic = Traffic::start(&house, &nodes, &tenants);
    traffic.goes_on().await;
    killed_halfway(&house.setups[0], &engine).await;
    let halfway = examine(&house.setups[0]).await;
    assert_eq!(halfway.counts.len(), 2, "{halfway:?}");
    assert_eq!(halfway.counts.iter().sum::<usize>(), all, "{halfway:?}");
    if house.database.url().starts_with("postgres") {
        let second = fresh(&house, "halfway", house.setups[0].settings.clone());
        a_new_node_serves(&house, &second, &tenants).await;
    }
    traffic.goes_on().await;
    let rotated = rotate(&house.setups[0]).await;
    let left = usize::try_from(rotated["rewrapped"].as_u64().unwrap()).unwrap();
    assert!(0 < left && left < all, "{left} of {all}");
    assert_eq!(rotate(&house.setups[0]).await["rewrapped"], 0);

    // The transit key gets another version.
    engine.rotate("onerouter");
    let outdated = examine(&house.setups[0]).await;
    assert_eq!(outdated.found[0].0, "warning", "{outdated:?}");
    assert_eq!(rotate(&house.setups[0]).await["rewrapped"], all);
    engine.forbid_versions_before("onerouter", 2);
    traffic.goes_on().await;
    traffic.end().await;
    drop(nodes);
    let only_there = transit(&engine, "ONEROUTER_VAULT_KEY");
    let only_there = fresh(&house, "there", only_there);
    let found = examine(&only_there).await;
    assert_eq!(found.counts, [all]);
    assert!(found.found[0].1.contains("hashicorp-vault:onerouter:v2"));
    a_new_node_serves(&house, &only_there, &tenants).await;

    // And back, under another master key.
    let back = transit(&engine, "ONEROUTER_VAULT_KEY_PREVIOUS");
    house.setups[0].settings = [keys(2, None), back].concat();
    let nodes = house.start().await;
    let traffic = Traffic::start(&house, &nodes, &tenants);
    traffic.goes_on().await;
    assert_eq!(rotate(&house.setups[0]).await["rewrapped"], all);
    traffic.goes_on().await;
    traffic.end().await;
    drop(nodes);
    engine.behave(Behaviour::Status(503));
    let asked = engine.requests();
    let only_here = fresh(&house, "here", keys(2, None));
    a_new_node_serves(&house, &only_here, &tenants).await;
    assert_eq!(examine(&only_here).await.counts, [all]);
    assert_eq!(engine.requests(), asked);
}

/// The command waits for an answer that does not come, and is killed there.
async fn killed_halfway(setup: &NodeSetup, engine: &TransitEngine) {
    engine.behave(Behaviour::SilentAfter(2));
    let mut command = setup.command(&["vault", "rotate"]);
    let mut rotation = command.stdout(Stdio::null()).spawn().unwrap();
    eventually("the rotation waits", async || engine.held() > 0).await;
    rotation.kill().unwrap();
    rotation.wait().unwrap();
    engine.behave(Behaviour::Sound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_memory_serves_while_hashicorp_vault_is_away() {
    let engine = TransitEngine::start(&["onerouter"]).await;
    let database = TestDatabase::sqlite().await;
    let mut house = House::on(database, 1, &[]).await;
    house.setups[0].settings = transit(&engine, "ONEROUTER_VAULT_KEY");
    let node = start(&house.setups[0]).await;
    let tenants = tenants(&house, &node, 2).await;
    let [known, unknown] = [0, 1].map(|n| house.caller(&node, &tenants[n].token));
    send(&known).await;

    for away in [
        Behaviour::Status(503),
        Behaviour::Status(403),
        Behaviour::Silent,
    ] {
        engine.behave(away);
        send(&known).await;
        let refused = to_somebody(&unknown).await;
        assert_eq!(
            (refused.status, refused.code()),
            (503, "overloaded"),
            "{away:?}: {refused:?}"
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.json["retryable"], true);
        assert!(
            !refused.json.to_string().contains("HashiCorp"),
            "{refused:?}"
        );
    }
    assert_eq!(house.reached("+14155550124").await, 0);
    let ready = known.get("/api/health/ready").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    engine.behave(Behaviour::Status(503));
    let found = examine(&house.setups[0]).await.found;
    assert!(
        found[0].0 == "failed" && found[0].1.contains("HashiCorp Vault answered 503"),
        "{found:?}"
    );

    engine.behave(Behaviour::Sound);
    let sent = to_somebody(&unknown).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(house.reached("+14155550124").await, 1);
}

async fn to_somebody(caller: &Caller) -> Reply {
    let body = json!({"to": "+14155550124", "body": "Hi"});
    caller.post_once("/v1/sms", "the-same-key", &body).await
}
