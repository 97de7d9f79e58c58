//! What a registry takes back after it was installed.

use onerouter::config::PluginTrust;
use onerouter_tests::acme::{self, TOKEN};
use serde_json::{Value, json};

use crate::market::Market;
use crate::rig::Rig;

async fn rig_at(market: &Market) -> Rig {
    let trust = PluginTrust {
        publisher_keys: vec![(None, market.key.public().id())],
        ..PluginTrust::default()
    };
    Rig::of(market.key.clone(), trust, Some(market.url.clone())).await
}

async fn install(rig: &Rig, version: &str, activate: bool) {
    let source = format!("acme-texts@{version}");
    let installed = rig
        .ask(json!({"source": source, "activate": activate}))
        .await;
    assert_eq!(installed.status, 201, "{installed:?}");
    assert_eq!(
        (&installed.json["warnings"], &installed.json["advisories"]),
        (&json!([]), &json!([])),
        "{installed:?}"
    );
}

/// What is said of a version: kinds of warnings, and summaries of advisories.
async fn told(rig: &Rig, version: &str) -> (Vec<String>, Vec<String>) {
    let plugin = rig.plugin().await;
    let versions = plugin["installations"].as_array().unwrap();
    let found = versions.iter().find(|one| one["version"] == version);
    let texts = |list: &Value, field: &str| {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one[field].as_str().unwrap().to_owned())
            .collect()
    };
    let found = found.unwrap();
    (
        texts(&found["warnings"], "kind"),
        texts(&found["advisories"], "summary"),
    )
}

fn of(kinds: &[&str], summaries: &[&str]) -> (Vec<String>, Vec<String>) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    (owned(kinds), owned(summaries))
}

#[tokio::test]
async fn what_a_registry_says_later_is_shown_and_stops_nothing_that_serves() {
    let market = Market::open().await;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        market.publish(version).await;
    }
    let rig = rig_at(&market).await;
    install(&rig, "1.0.0", true).await;
    install(&rig, "1.1.0", true).await;
    install(&rig, "1.2.0", false).await;
    acme::connect(&rig.operator, TOKEN, "default").await;
    let client = rig.host.key("test").await;
    let plugins = &rig.host.gateway.parts().plugins;
    let activate = async |body: Value| {
        let path = "/api/plugins/acme-texts/activate";
        rig.operator.post(path, body).await
    };

    market.advise("<1.2.0", "Numbers appear in logs.").await;
    market.yank("1.2.0", "sends twice").await;
    plugins.look_at_registry().await;
    let slow = &["Numbers appear in logs."];
    assert_eq!(told(&rig, "1.0.0").await, of(&[], slow));
    assert_eq!(told(&rig, "1.1.0").await, of(&[], slow));
    assert_eq!(told(&rig, "1.2.0").await, of(&["yanked"], &[]));
    // It is chosen by nobody, and had by who names it.
    let chosen = activate(json!({})).await;
    assert_eq!(
        (chosen.status, chosen.code()),
        (409, "invalid_state"),
        "{chosen:?}"
    );
    let named = activate(json!({"version": "1.2.0", "canary": {"percent": 10}})).await;
    assert_eq!(named.status, 200, "{named:?}");
    market.unyank("1.2.0").await;
    plugins.look_at_registry().await;
    assert_eq!(told(&rig, "1.2.0").await, of(&[], &[]));

    market.revoke_key("it was stolen").await;
    plugins.look_at_registry().await;
    for version in ["1.0.0", "1.1.0"] {
        assert_eq!(told(&rig, version).await, of(&["key_revoked"], slow));
    }
    // The registry goes away, and what it said last stays true.
    drop(market);
    plugins.look_at_registry().await;
    assert_eq!(told(&rig, "1.1.0").await, of(&["key_revoked"], slow));
    let sent = client.post("/v1/sms", acme::message("goes on")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let refused = activate(json!({"version": "1.2.0"})).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "invalid_state"),
        "{refused:?}"
    );
    assert!(refused.text("detail").contains("it was stolen"));
    // The way back is open, whatever was said: the canary, then the version.
    for active in ["1.1.0", "1.0.0"] {
        let path = "/api/plugins/acme-texts/rollback";
        let back = rig.operator.post(path, json!({})).await;
        assert_eq!(back.status, 200, "{back:?}");
        let states = rig.states().await;
        let state = states.iter().find(|(_, state)| state == "active");
        assert_eq!(state.unwrap().0, active, "{states:?}");
    }
    let forward = activate(json!({"version": "1.1.0"})).await;
    assert_eq!(forward.status, 409, "{forward:?}");
}

#[tokio::test]
async fn what_one_signs_under_anothers_name_is_not_what_the_registry_speaks_of() {
    let market = Market::open().await;
    market.publish("1.0.0").await;
    market.yank("1.0.0", "sends twice").await;
    market.advise("*", "Numbers appear in logs.").await;
    let rig = Rig::of(
        onerouter_registry::KeyPair::generate(),
        PluginTrust::default(),
        Some(market.url.clone()),
    )
    .await;
    // A house's own build of the same version.
    let own = acme::changed("1.0.0", |manifest| manifest["name"] = json!("House"));
    let path = rig.signed("own", &own);
    let key = rig.publisher.public().id().to_string();
    let installed = rig.ask(json!({"source": path, "trust_key": key})).await;
    assert_eq!(installed.status, 201, "{installed:?}");
    rig.host.gateway.parts().plugins.look_at_registry().await;
    assert_eq!(told(&rig, "1.0.0").await, of(&[], &[]));
}
