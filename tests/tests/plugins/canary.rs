//! A new version beside the one that serves: for whom, and when it is taken back.

use onerouter::config::UnsignedPlugins;
use onerouter_tests::acme::{self, TOKEN};
use onerouter_tests::harness::Client;
use onerouter_tests::write_path::{connect_saboteur, text};
use serde_json::json;

use crate::rig::Rig;

const TENANTS: usize = 40;

#[tokio::test]
async fn a_canary_serves_its_share_of_tenants_and_those_who_are_named() {
    let rig = Rig::start().await;
    rig.install("1.0.0").await;
    let mut clients: Vec<(String, Client)> = Vec::new();
    for number in 0..TENANTS {
        let tenant = rig.host.tenant(&format!("tenant {number}")).await;
        acme::connect(&tenant, TOKEN, "default").await;
        let client = rig.host.key_of(&tenant, "test").await;
        let listed = rig.operator.get("/api/tenants?limit=1").await;
        let id = listed.json["data"][0]["id"].as_str().unwrap().to_owned();
        clients.push((id, client));
    }
    let served = async |round: &str| {
        let mut new = Vec::new();
        for (number, (_, client)) in clients.iter().enumerate() {
            let version = rig.version_for(client, &format!("{round} {number}")).await;
            if version == "1.1.0" {
                new.push(number);
            }
        }
        new
    };
    let none = json!({"source": rig.signed("new", &acme::component("1.1.0")),
        "canary": {"percent": 0, "tenants": [clients[7].0]}});
    let installed = acme::install_agreeing(&rig.operator, none).await;
    assert_eq!(installed.text("state"), "canary", "{installed:?}");
    assert_eq!(served("named").await, [7]);

    let share = async |percent: u8| {
        let share = json!({"version": "1.1.0", "canary": {"percent": percent}});
        let set = rig
            .operator
            .post("/api/plugins/acme-texts/activate", share)
            .await;
        assert_eq!(set.status, 200, "{set:?}");
        assert_eq!(set.json["canary"]["percent"], percent);
    };
    share(50).await;
    let half = served("half").await;
    assert!((10..=30).contains(&half.len()), "{half:?}");
    assert_eq!(served("again").await, half, "the same tenants");
    share(75).await;
    let more = served("more").await;
    assert!(
        half.iter().all(|one| more.contains(one)),
        "{half:?} {more:?}"
    );
    assert!(more.len() > half.len());

    // The canary is what is new: it goes first.
    let back = rig
        .operator
        .post("/api/plugins/acme-texts/rollback", json!({}))
        .await;
    assert_eq!(
        (back.status, &back.json["canary"]),
        (200, &json!(null)),
        "{back:?}"
    );
    assert_eq!(served("back").await, Vec::<usize>::new());
    share(10).await;
    let all = rig
        .operator
        .post("/api/plugins/acme-texts/activate", json!({}))
        .await;
    assert_eq!(
        (all.status, &all.json["canary"]),
        (200, &json!(null)),
        "{all:?}"
    );
    assert_eq!(served("all").await.len(), TENANTS);
}

#[tokio::test]
async fn a_canary_needs_something_to_be_compared_with() {
    let rig = Rig::start().await;
    let path = rig.signed("first", &acme::component("1.0.0"));
    let refused = rig
        .ask(json!({"source": path, "canary": {"percent": 10}}))
        .await;
    assert_eq!(
        (refused.status, refused.pointers()),
        (422, vec!["/canary"]),
        "{refused:?}"
    );
    let nothing = rig.operator.get("/api/plugins/acme-texts").await;
    assert_eq!(nothing.status, 404, "{nothing:?}");
}

/// A version of the saboteur whose text says what it does.
async fn saboteur(rig: &Rig, version: &str, more: serde_json::Value) -> serde_json::Value {
    let path = rig.folder.path().join(format!("saboteur-{version}.wasm"));
    std::fs::write(&path, acme::of_fixture("saboteur", version, |_| {})).unwrap();
    let mut body = json!({"source": path});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let installed = rig.ask(body).await;
    assert_eq!(installed.status, 201, "{installed:?}");
    installed.json
}

#[tokio::test]
async fn a_version_that_breaks_down_is_taken_back_and_quarantined() {
    let rig = Rig::with(UnsignedPlugins::Allow).await;
    saboteur(&rig, "1.0.0", json!({})).await;
    connect_saboteur(&rig.operator).await;
    let client = rig.host.key("test").await;
    let tenant = rig.host.tenant("tries").await;
    connect_saboteur(&tenant).await;
    let trying = rig.host.key_of(&tenant, "test").await;
    let listed = rig.operator.get("/api/tenants?limit=1").await;
    let id = &listed.json["data"][0]["id"];
    let plugins = &rig.host.gateway.parts().plugins;

    // Breakdowns of the version that serves are not the canary's fault.
    for _ in 0..4 {
        client.post("/v1/sms", text("trap-before")).await;
    }
    let share = json!({"canary": {"percent": 0, "tenants": [id]}});
    let canary = saboteur(&rig, "1.1.0", share).await;
    plugins.watch().await;
    assert_eq!(
        rig.operator.get("/api/plugins/saboteur").await.json["canary"]["installation"],
        canary["id"]
    );
    for _ in 0..3 {
        let broken = trying.post("/v1/sms", text("trap-before")).await;
        assert_eq!(
            (broken.status, broken.code()),
            (502, "plugin_fault"),
            "{broken:?}"
        );
    }
    plugins.watch().await;
    let plugin = rig.operator.get("/api/plugins/saboteur").await;
    assert_eq!(plugin.json["canary"], json!(null), "{plugin:?}");
    assert!(
        plugin.text("reason").contains("broke down in 3 of 3 calls"),
        "{plugin:?}"
    );
    let version = &plugin.json["installations"][0];
    assert_eq!(
        (&version["id"], &version["state"]),
        (&canary["id"], &json!("quarantined"))
    );

    let activate = format!("/api/plugins/{}/activate", canary["id"].as_str().unwrap());
    let refused = rig.operator.post(&activate, json!({})).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "invalid_state"),
        "{refused:?}"
    );
    // Whoever installs it again has seen what there was to see.
    let path = rig.folder.path().join("saboteur-1.1.0.wasm");
    let again = rig.ask(json!({"source": path})).await;
    assert_eq!(
        (again.status, again.text("state")),
        (200, "active"),
        "{again:?}"
    );

    // Serving everybody, it is still watched.
    for _ in 0..3 {
        client.post("/v1/sms", text("panic-before")).await;
    }
    plugins.watch().await;
    let plugin = rig.operator.get("/api/plugins/saboteur").await;
    let active = plugin.json["installations"].as_array().unwrap();
    let active = active.iter().find(|one| one["state"] == "active").unwrap();
    assert_eq!(active["version"], "1.0.0", "{plugin:?}");
    let audit = rig
        .operator
        .get("/api/audit?action=plugin.rolled_back")
        .await;
    assert_eq!(audit.json["data"][0]["actor"], "gateway", "{audit:?}");
    // It is the one that served before: a rollback of a rollback is no swing, whoever made the first.
    for _ in 0..3 {
        client.post("/v1/sms", text("trap-before")).await;
    }
    plugins.watch().await;
    let plugin = rig.operator.get("/api/plugins/saboteur").await;
    assert_eq!(plugin.json["active"], active["id"], "{plugin:?}");
}
