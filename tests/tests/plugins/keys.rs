//! Publishers' keys: which are trusted, and trusting one no more.

use onerouter::config::PluginTrust;
use onerouter_registry::KeyPair;
use onerouter_tests::acme::{self, TOKEN};
use serde_json::{Value, json};

use crate::rig::Rig;

/// What is known of a key.
async fn key(rig: &Rig, id: &str) -> Value {
    let listed = rig.operator.get("/api/plugins/keys").await;
    assert_eq!(listed.status, 200, "{listed:?}");
    let keys = listed.json["data"].as_array().unwrap();
    let found = keys.iter().find(|key| key["id"] == id);
    found.unwrap_or_else(|| panic!("{listed:?}")).clone()
}

#[tokio::test]
async fn a_key_that_is_distrusted_signs_nothing_new_and_what_serves_goes_on() {
    let rig = Rig::start().await;
    let first = rig.install("1.0.0").await;
    let second = rig.install("1.1.0").await;
    acme::connect(&rig.operator, TOKEN, "default").await;
    let client = rig.host.key("test").await;
    let id = rig.publisher.public().id().to_string();
    let known = key(&rig, &id).await;
    assert_eq!(
        (&known["object"], &known["state"]),
        (&json!("plugin_key"), &json!("trusted")),
        "{known}"
    );
    let trust = json!([{"plugin": null, "trusted_by": "setting", "trusted_at": null}]);
    assert_eq!(known["trusted_for"], trust);
    assert_eq!(
        known["installations"],
        json!([first["id"], second["id"]]),
        "{known}"
    );

    let path = format!("/api/plugins/keys/{id}");
    let distrusted = rig.operator.delete(&path).await;
    assert_eq!(
        (distrusted.status, distrusted.text("state")),
        (200, "distrusted"),
        "{distrusted:?}"
    );
    assert_eq!(distrusted.json["trusted_for"], json!([]));
    assert_eq!(distrusted.json["installations"], known["installations"]);
    // Twice is once.
    let twice = rig.operator.delete(&path).await;
    assert_eq!(
        twice.json["distrusted_at"],
        distrusted.json["distrusted_at"]
    );
    let audit = rig
        .operator
        .get("/api/audit?action=plugin.key_distrusted")
        .await;
    let entries = audit.json["data"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{audit:?}");
    assert_eq!(entries[0]["target"], json!(id), "{audit:?}");

    // It goes on, and shows why one should look.
    assert_eq!(rig.version_for(&client, "goes on").await, "1.1.0");
    let plugin = rig.plugin().await;
    for version in plugin["installations"].as_array().unwrap() {
        assert_eq!(
            version["warnings"][0]["kind"], "key_distrusted",
            "{version}"
        );
    }
    let back = rig
        .operator
        .post("/api/plugins/acme-texts/rollback", json!({}))
        .await;
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(rig.version_for(&client, "back").await, "1.0.0");

    let anew = acme::activate_agreeing(&rig.operator, "1.1.0").await;
    assert_eq!(
        (anew.status, anew.code()),
        (409, "invalid_state"),
        "{anew:?}"
    );
    assert!(anew.text("detail").contains(&id), "{anew:?}");
    let next = rig.signed("next", &acme::component("1.2.0"));
    let mut body = json!({"source": next});
    let refused = rig.ask(body.clone()).await;
    assert_eq!(
        (refused.status, &refused.json["errors"][0]["code"]),
        (422, &json!("key_distrusted")),
        "{refused:?}"
    );

    // Until somebody names it again.
    body["trust_key"] = json!(id);
    let trusted = rig.ask(body).await;
    assert_eq!(trusted.status, 201, "{trusted:?}");
    assert_eq!(trusted.json["warnings"], json!([]));
    let known = key(&rig, &id).await;
    assert_eq!(
        (&known["state"], &known["distrusted_at"]),
        (&json!("trusted"), &json!(null)),
        "{known}"
    );
}

#[tokio::test]
async fn a_key_that_was_distrusted_is_not_trusted_again_for_being_the_first() {
    let trust = PluginTrust {
        on_first_use: true,
        ..PluginTrust::default()
    };
    let rig = Rig::of(KeyPair::generate(), trust, None).await;
    let install = json!({"source": rig.signed("first", &acme::component("1.0.0"))});
    let installed = rig.ask(install.clone()).await;
    assert_eq!(installed.text("trusted_by"), "first_use", "{installed:?}");
    let id = rig.publisher.public().id().to_string();
    let known = key(&rig, &id).await;
    assert_eq!(known["trusted_for"][0]["plugin"], "acme-texts", "{known}");
    assert_eq!(known["trusted_for"][0]["trusted_by"], "first_use");

    let distrusted = rig
        .operator
        .delete(&format!("/api/plugins/keys/{id}"))
        .await;
    assert_eq!(distrusted.status, 200, "{distrusted:?}");
    let gone = rig.operator.delete("/api/plugins/acme-texts").await;
    assert_eq!(gone.status, 200, "{gone:?}");
    let refused = rig.ask(install).await;
    assert_eq!(
        (refused.status, &refused.json["errors"][0]["code"]),
        (422, &json!("key_distrusted")),
        "{refused:?}"
    );
    // Nobody else is meant.
    let path = rig.folder.path().join("other.wasm");
    let other = acme::write_signed(&path, &acme::component("1.0.1"), &KeyPair::generate());
    let other = rig.ask(json!({"source": other})).await;
    assert_eq!(other.text("trusted_by"), "first_use", "{other:?}");
}

#[tokio::test]
async fn a_key_that_nobody_knows_cannot_be_distrusted() {
    let rig = Rig::start().await;
    let stranger = KeyPair::generate().public().id();
    for key in [stranger.to_string(), "me".to_owned()] {
        let unknown = rig
            .operator
            .delete(&format!("/api/plugins/keys/{key}"))
            .await;
        assert_eq!(
            (unknown.status, unknown.code()),
            (404, "not_found"),
            "{unknown:?}"
        );
    }
}
