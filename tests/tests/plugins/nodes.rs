//! Several gateways on one database: all follow, whoever is asked.

use onerouter_registry::KeyPair;
use onerouter_tests::acme::{self, Acme, TOKEN};
use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{ADMIN_TOKEN, Client};
use onerouter_tests::node::{Node, NodeSetup};
use onerouter_tests::write_path::eventually;
use serde_json::{Value, json};

const NODES: usize = 3;

#[tokio::test]
async fn every_node_follows_and_says_so() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
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
        ],
    };
    let mut nodes: Vec<Node> = (0..NODES)
        .map(|number| Node::start(&setup(number)))
        .collect();
    let operators: Vec<Client> = nodes
        .iter()
        .map(|node| Client::at(&node.base, ADMIN_TOKEN, &http))
        .collect();
    let install = async |number: usize, version: &str| {
        let path = folder.path().join(format!("{version}.wasm"));
        let path = acme::write_signed(&path, &acme::component(version), &key);
        let installed = acme::install_agreeing(&operators[number], json!({"source": path})).await;
        assert_eq!(installed.text("version"), version, "{installed:?}");
        // No node needs the file again.
        std::fs::remove_file(&path).unwrap();
    };
    let plugin = async |number: usize| -> Value {
        operators[number].get("/api/plugins/acme-texts").await.json
    };
    let all_follow = async |count: usize| {
        eventually("all nodes follow", async || {
            let plugin = plugin(0).await;
            let nodes = plugin["nodes"].as_array().unwrap().clone();
            let active = plugin["installations"].as_array().unwrap().iter();
            let mut active = active.filter(|one| one["id"] == plugin["active"]);
            let Some(sha256) = active.next().map(|one| one["sha256"].clone()) else {
                return false;
            };
            let current = nodes.iter().filter(|node| {
                let versions = node["versions"].as_array().unwrap();
                node["current"] == true
                    && versions
                        .iter()
                        .any(|one| one["sha256"] == sha256 && one["state"] == "active")
            });
            current.count() == count && nodes.len() == count
        })
        .await;
    };
    install(0, "1.0.0").await;
    all_follow(NODES).await;
    acme::connect(&operators[0], TOKEN, "default").await;
    let key_body = json!({"name": "test", "environment": "test"});
    let made = operators[0].post("/api/api-keys", key_body).await;
    let clients: Vec<Client> = nodes
        .iter()
        .map(|node| Client::at(&node.base, made.text("key"), &http))
        .collect();
    let served = async |round: &str, version: &str| {
        for (number, client) in clients.iter().enumerate() {
            let text = format!("{round} {number}");
            let sent = client.post("/v1/sms", acme::message(&text)).await;
            assert_eq!(sent.status, 201, "{sent:?}");
            assert_eq!(acme.versions_of(&text), [version], "{round}");
        }
    };
    served("first", "1.0.0").await;
    install(1, "1.1.0").await;
    all_follow(NODES).await;
    served("second", "1.1.0").await;
    let back = operators[2]
        .post("/api/plugins/acme-texts/rollback", json!({}))
        .await;
    assert_eq!(back.status, 200, "{back:?}");
    all_follow(NODES).await;
    served("third", "1.0.0").await;

    // One that starts anew has everything from the database; one that has ended is not waited for.
    let ended = tokio::task::spawn_blocking({
        let last = nodes.pop().unwrap();
        move || last.stop()
    });
    assert!(ended.await.unwrap().success());
    all_follow(NODES - 1).await;
    let fresh = Node::start(&setup(NODES));
    all_follow(NODES).await;
    let client = Client::at(&fresh.base, made.text("key"), &http);
    let sent = client.post("/v1/sms", acme::message("fresh")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(acme.versions_of("fresh"), ["1.0.0"]);
    let output = setup(0)
        .command(&["plugin", "list", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        list["data"][0]["nodes"].as_array().unwrap().len(),
        NODES,
        "{list}"
    );
}
