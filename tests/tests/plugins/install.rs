//! One version after another, over the API.

use onerouter::config::PluginTrust;
use onerouter_registry::KeyPair;
use onerouter_tests::acme::{self, TOKEN};
use onerouter_tests::harness::{Harness, Setup};
use serde_json::{Value, json};

use crate::rig::Rig;

fn states(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[tokio::test]
async fn versions_come_serve_and_are_taken_back() {
    let rig = Rig::start().await;
    let list = rig.operator.get("/api/plugins").await;
    assert_eq!(list.json["data"], json!([]), "{list:?}");

    let first = rig.install("1.0.0").await;
    assert_eq!(first["state"], "active", "{first}");
    assert_eq!(first["trusted_by"], "operator");
    assert_eq!(
        first["publisher_key"],
        json!(rig.publisher.public().id().to_string())
    );
    acme::connect(&rig.operator, TOKEN, "default").await;
    let client = rig.host.key("test").await;
    assert_eq!(rig.version_for(&client, "one").await, "1.0.0");

    rig.install("1.1.0").await;
    assert_eq!(
        rig.states().await,
        states(&[("1.1.0", "active"), ("1.0.0", "retired")])
    );
    assert_eq!(rig.version_for(&client, "two").await, "1.1.0");

    // The registry is not there, and the file is gone too.
    std::fs::remove_dir_all(rig.folder.path()).unwrap();
    let back = rig
        .operator
        .post("/api/plugins/acme-texts/rollback", json!({}))
        .await;
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(back.json["active"], first["id"]);
    assert_eq!(rig.version_for(&client, "three").await, "1.0.0");
    // Whoever asks twice does not swing forward again.
    let twice = rig
        .operator
        .post("/api/plugins/acme-texts/rollback", json!({}))
        .await;
    assert_eq!(
        (twice.status, twice.code()),
        (409, "invalid_state"),
        "{twice:?}"
    );
    // Nobody was wrong: it may serve again.
    let again = rig
        .operator
        .post(
            "/api/plugins/acme-texts/activate",
            json!({"version": "1.1.0"}),
        )
        .await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(rig.version_for(&client, "four").await, "1.1.0");

    let node = &again.json["nodes"][0];
    assert_eq!(node["current"], true, "{node}");
    let loaded = node["versions"].as_array().unwrap();
    let loaded: Vec<_> = loaded
        .iter()
        .map(|one| one["state"].as_str().unwrap())
        .collect();
    assert_eq!(loaded, ["active", "previous"]);

    let actions = rig.operator.get("/api/audit?limit=100").await;
    let actions: Vec<_> = actions.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["action"].as_str().unwrap().to_owned())
        .filter(|action| action.starts_with("plugin."))
        .collect();
    assert_eq!(
        actions,
        [
            "plugin.activated",
            "plugin.rolled_back",
            "plugin.activated",
            "plugin.installed",
            "plugin.activated",
            "plugin.installed"
        ]
    );
}

#[tokio::test]
async fn what_may_do_more_waits_until_somebody_agrees() {
    let rig = Rig::start().await;
    rig.install("1.0.0").await;
    let wants_more = acme::of_fixture("acme-texts", "1.1.0", |manifest| {
        manifest["auth"]["token"] =
            json!({"scheme": "header", "name": "X-Acme-1-0-0", "value": "token"});
        manifest["outbound"][0]["methods"] = json!(["DELETE", "GET", "POST"]);
    });
    let path = rig.signed("more", &wants_more);
    let installed = rig.ask(json!({"source": path})).await;
    assert_eq!(installed.status, 201, "{installed:?}");
    assert_eq!(installed.text("state"), "staged");
    let added = json!([
        "sends DELETE to https://api.acme-texts.example:443/v1/messages with the credential token"
    ]);
    assert_eq!(installed.json["permissions_added"], added);
    assert_eq!(
        rig.states().await,
        states(&[("1.1.0", "staged"), ("1.0.0", "active")])
    );

    let activate = format!("/api/plugins/{}/activate", installed.text("id"));
    let refused = rig.operator.post(&activate, json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "conflict"));
    assert_eq!(refused.json["errors"][0]["detail"], added[0], "{refused:?}");
    let digest = &installed.json["permissions_digest"];
    assert!(
        refused.text("detail").contains(digest.as_str().unwrap()),
        "{refused:?}"
    );
    // What was read of another version is not what is agreed to here, though it asks for the same.
    let other = acme::of_fixture("acme-texts", "1.1.1", |manifest| {
        manifest["auth"]["token"] =
            json!({"scheme": "header", "name": "X-Acme-1-0-0", "value": "token"});
        manifest["outbound"][0]["methods"] = json!(["DELETE", "GET", "POST"]);
    });
    let path = rig.signed("other", &other);
    let body = json!({"source": path, "approve_permissions": digest});
    let other = rig.ask(body).await;
    assert_eq!(
        (other.status, other.text("state")),
        (201, "staged"),
        "{other:?}"
    );
    assert_eq!(other.json["permissions_added"], added);
    let wrong = json!({"approve_permissions": other.json["permissions_digest"]});
    let refused = rig.operator.post(&activate, wrong).await;
    assert_eq!((refused.status, refused.code()), (409, "conflict"));
    assert!(
        refused.text("detail").contains("something else"),
        "{refused:?}"
    );

    let agreed = json!({"approve_permissions": digest});
    let activated = rig.operator.post(&activate, agreed).await;
    assert_eq!(activated.status, 200, "{activated:?}");
    assert_eq!(activated.json["active"], installed.json["id"]);
    let versions = activated.json["installations"].as_array().unwrap();
    let version = versions.iter().find(|one| one["version"] == "1.1.0");
    let version = version.unwrap();
    assert_eq!(
        (
            &version["permissions_added"],
            &version["permissions_digest"]
        ),
        (&json!([]), &json!(null)),
        "{version}"
    );

    // It was agreed to, and need not be again.
    rig.operator
        .post("/api/plugins/acme-texts/rollback", json!({}))
        .await;
    let again = rig.operator.post(&activate, json!({})).await;
    assert_eq!(again.status, 200, "{again:?}");
}

/// A version that may also delete.
fn deleting(version: &str) -> Vec<u8> {
    acme::of_fixture("acme-texts", version, |manifest| {
        manifest["outbound"][0]["methods"] = json!(["DELETE", "GET", "POST"]);
    })
}

#[tokio::test]
async fn what_may_do_more_is_held_against_what_serves_when_it_is_activated() {
    let rig = Rig::start().await;
    let plain = |version: &str| acme::of_fixture("acme-texts", version, |_| {});
    // Installed before anything served, so that there was nothing to be more than.
    for (version, component) in [("1.0.0", plain("1.0.0")), ("1.1.0", deleting("1.1.0"))] {
        let path = rig.signed(version, &component);
        let staged = rig.ask(json!({"source": path, "activate": false})).await;
        assert_eq!(
            (staged.status, staged.text("state")),
            (201, "staged"),
            "{staged:?}"
        );
    }
    let activate = async |version: &str| {
        let path = "/api/plugins/acme-texts/activate";
        rig.operator
            .post(path, json!({"version": version}))
            .await
            .status
    };
    assert_eq!(activate("1.0.0").await, 200);
    let plugin = rig.plugin().await;
    assert_eq!(
        plugin["installations"][0]["permissions_added"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(activate("1.1.0").await, 409);
    let agreed = acme::activate_agreeing(&rig.operator, "1.1.0").await;
    assert_eq!(agreed.status, 200, "{agreed:?}");
    // What was given up, and is wanted back by an older version that was never asked about it.
    let path = rig.signed("1.2.0", &plain("1.2.0"));
    assert_eq!(
        rig.ask(json!({"source": path})).await.text("state"),
        "active"
    );
    let path = rig.signed("1.1.5", &deleting("1.1.5"));
    rig.ask(json!({"source": path, "activate": false})).await;
    assert_eq!(activate("1.1.5").await, 409);
}

#[tokio::test]
async fn a_version_never_changes_and_none_goes_back_unasked() {
    let rig = Rig::start().await;
    let first = rig.install("1.1.0").await;
    let path = rig.signed("same", &acme::component("1.1.0"));
    let same = rig.ask(json!({"source": path})).await;
    assert_eq!(
        (same.status, same.text("id")),
        (200, first["id"].as_str().unwrap())
    );

    let other = acme::changed("1.1.0", |manifest| manifest["name"] = json!("Other"));
    let path = rig.signed("other", &other);
    let refused = rig.ask(json!({"source": path})).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "conflict"),
        "{refused:?}"
    );
    assert!(refused.text("detail").contains("a version never changes"));

    let path = rig.signed("older", &acme::component("1.0.0"));
    let older = rig.ask(json!({"source": path})).await;
    assert_eq!((older.status, older.code()), (409, "conflict"), "{older:?}");
    let meant = json!({"source": path, "allow_downgrade": true});
    let meant = acme::install_agreeing(&rig.operator, meant).await;
    assert_eq!(meant.text("state"), "active", "{meant:?}");
}

#[tokio::test]
async fn versions_and_plugins_are_removed_when_they_do_not_serve() {
    let rig = Rig::start().await;
    let first = rig.install("1.0.0").await;
    let second = rig.install("1.1.0").await;
    let path = |id: &Value| format!("/api/plugins/{}", id.as_str().unwrap());
    let serves = rig.operator.delete(&path(&second["id"])).await;
    assert_eq!((serves.status, serves.code()), (409, "invalid_state"));
    let removed = rig.operator.delete(&path(&first["id"])).await;
    assert_eq!(removed.status, 200, "{removed:?}");
    let nothing = rig
        .operator
        .post("/api/plugins/acme-texts/rollback", json!({}))
        .await;
    assert_eq!((nothing.status, nothing.code()), (409, "invalid_state"));
    acme::connect(&rig.operator, TOKEN, "default").await;
    let client = rig.host.key("test").await;
    let gone = rig.operator.delete("/api/plugins/acme-texts").await;
    assert_eq!(gone.status, 200, "{gone:?}");
    let sent = client.post("/v1/sms", acme::message("late")).await;
    assert_eq!(
        (sent.status, sent.code()),
        (422, "no_connection"),
        "{sent:?}"
    );
    for reply in [
        rig.operator.get("/api/plugins/acme-texts").await,
        rig.operator.delete("/api/plugins/acme-texts").await,
        rig.operator
            .post("/api/plugins/acme-texts/rollback", json!({}))
            .await,
        rig.operator
            .post("/api/plugins/No Name/activate", json!({}))
            .await,
    ] {
        assert_eq!(
            (reply.status, reply.code()),
            (404, "not_found"),
            "{reply:?}"
        );
    }
    // The connection is there again with the plugin.
    rig.install("1.2.0").await;
    assert_eq!(rig.version_for(&client, "again").await, "1.2.0");
}

#[tokio::test]
async fn a_restart_needs_neither_file_nor_network() {
    let rig = Rig::start().await;
    rig.install("1.0.0").await;
    rig.install("1.1.0").await;
    acme::connect(&rig.operator, TOKEN, "default").await;
    let Rig {
        host,
        acme,
        publisher,
        ..
    } = rig;
    let trust = PluginTrust {
        publisher_keys: vec![(None, publisher.public().id())],
        ..PluginTrust::default()
    };
    let folder = host.stop().await;
    let host = Harness::with(Setup {
        plugin_trust: Some(trust),
        data_dir: Some(folder.path().join("data")),
        upstreams: vec![(acme::HOST.to_owned(), acme.base.clone())],
        ..Setup::default()
    })
    .await;
    let client = host.key("test").await;
    let sent = client.post("/v1/sms", acme::message("after")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(acme.versions_of("after"), ["1.1.0"]);
    let back = host
        .operator()
        .post("/api/plugins/acme-texts/rollback", json!({}))
        .await;
    assert_eq!(back.status, 200, "{back:?}");
    let sent = client.post("/v1/sms", acme::message("back")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(acme.versions_of("back"), ["1.0.0"]);
}

#[tokio::test]
async fn a_key_that_an_operator_trusts_once_is_the_plugins_key_from_then_on() {
    let rig = Rig::start().await;
    let stranger = KeyPair::generate();
    let other = KeyPair::generate();
    let sign = |version: &str, key: &KeyPair| {
        let path = rig.folder.path().join(format!("{version}.wasm"));
        acme::write_signed(&path, &acme::component(version), key)
    };
    let path = sign("1.0.0", &stranger);
    let refused = rig.ask(json!({"source": path})).await;
    assert_eq!(
        refused.json["errors"][0]["code"], "key_not_trusted",
        "{refused:?}"
    );
    let key = stranger.public().id().to_string();
    assert!(refused.text("detail").contains(&key), "{refused:?}");
    let trusted = rig.ask(json!({"source": path, "trust_key": key})).await;
    assert_eq!(trusted.status, 201, "{trusted:?}");
    let path = sign("1.1.0", &stranger);
    let next = acme::install_agreeing(&rig.operator, json!({"source": path})).await;
    assert_eq!(next.text("state"), "active", "{next:?}");
    // Not even those whom the operator trusts for every name.
    for key in [&other, &rig.publisher] {
        let path = sign("1.2.0", key);
        let refused = rig.ask(json!({"source": path})).await;
        assert_eq!(
            refused.json["errors"][0]["code"], "key_not_trusted",
            "{refused:?}"
        );
    }
}
