//! Everything that must not be installed, each with its reason, and with what serves untouched.

use std::path::Path;

use chrono::{TimeDelta, Utc};
use onerouter_registry::client::sidecar_of;
use onerouter_registry::{KeyPair, Statement};
use onerouter_tests::acme::{self, TOKEN};
use serde_json::json;

use crate::rig::Rig;

fn write_statement(path: &Path, statement: &Statement, key: &KeyPair) {
    let envelope = statement.sign(key).unwrap().to_json();
    let bytes: &[u8] = envelope.as_ref();
    std::fs::write(sidecar_of(path), bytes).unwrap();
}

#[tokio::test]
async fn a_package_that_is_not_what_its_publisher_signed_is_refused() {
    let rig = Rig::start().await;
    rig.install("1.0.0").await;
    acme::connect(&rig.operator, TOKEN, "default").await;
    let client = rig.host.key("test").await;
    let component = acme::component("1.1.0");
    let path = rig.folder.path().join("bad.wasm");
    let key = &rig.publisher;
    let honest = acme::statement(&component, key);
    let write = |component: &[u8], statement: Option<&Statement>| {
        std::fs::write(&path, component).unwrap();
        let _none = std::fs::remove_file(sidecar_of(&path));
        if let Some(statement) = statement {
            write_statement(&path, statement, key);
        }
    };
    let mut flipped = component.clone();
    // In the code, where nothing else would notice.
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut cases: Vec<(&str, &str)> = Vec::new();
    let mut found = Vec::new();
    let mut expect = async |name: &'static str, code: &'static str| {
        let refused = rig.ask(json!({"source": path})).await;
        let told = refused.json["errors"][0]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert_eq!(refused.status, 422, "{name}: {refused:?}");
        assert!(refused.text("detail").len() > 20, "{name}: {refused:?}");
        cases.push((name, code));
        found.push((name, told));
    };
    write(&component, None);
    expect("unsigned", "unsigned").await;
    write(&component[..component.len() - 1], Some(&honest));
    expect("truncated", "not_fetched").await;
    write(&acme::component("1.2.0"), Some(&honest));
    expect("swapped", "other_component").await;
    write(
        &acme::changed("1.1.0", |it| it["name"] = json!("Evil")),
        Some(&honest),
    );
    expect("its manifest altered", "other_component").await;
    write(
        &component,
        Some(&Statement {
            version: "1.2.0".parse().unwrap(),
            ..honest.clone()
        }),
    );
    expect("re-tagged", "other_version").await;
    let name = "acme-post".to_owned().try_into().unwrap();
    write(
        &component,
        Some(&Statement {
            name,
            ..honest.clone()
        }),
    );
    expect("another's name", "other_name").await;
    let issued = Utc::now() - TimeDelta::days(30);
    let expires = Utc::now() - TimeDelta::days(1);
    write(
        &component,
        Some(&Statement {
            issued,
            expires,
            ..honest.clone()
        }),
    );
    expect("expired", "expired").await;
    let issued = Utc::now() + TimeDelta::days(1);
    write(
        &component,
        Some(&Statement {
            issued,
            ..honest.clone()
        }),
    );
    expect("not yet", "not_yet_valid").await;
    write(&component, None);
    std::fs::write(sidecar_of(&path), "{}").unwrap();
    expect("no statement", "malformed_signature").await;
    let stranger = KeyPair::generate();
    write_statement(&path, &acme::statement(&component, &stranger), &stranger);
    expect("a stranger's", "key_not_trusted").await;
    // Signed by one who says they are another.
    let envelope = honest.sign(key).unwrap().to_json();
    let bytes: &[u8] = envelope.as_ref();
    let mut forged: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    let forged_by = Statement {
        ..acme::statement(&component, &stranger)
    }
    .sign(&stranger)
    .unwrap()
    .to_json();
    let by: serde_json::Value = serde_json::from_slice(forged_by.as_ref()).unwrap();
    for (name, value) in by.as_object().unwrap() {
        if name != "payload" && name != "statement" {
            forged[name] = value.clone();
        }
    }
    std::fs::write(sidecar_of(&path), forged.to_string()).unwrap();
    let refused = rig.ask(json!({"source": path})).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    write(&flipped, Some(&honest));
    let refused = rig.ask(json!({"source": path})).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    std::fs::File::create(&path)
        .unwrap()
        .set_len((32 << 20) + 1)
        .unwrap();
    expect("oversized", "not_fetched").await;
    write(b"\x7fELF precompiled", Some(&honest));
    expect("no component", "not_fetched").await;
    std::fs::remove_file(&path).unwrap();
    expect("absent", "not_fetched").await;
    assert_eq!(
        found,
        cases
            .iter()
            .map(|(a, b)| (*a, (*b).to_owned()))
            .collect::<Vec<_>>()
    );

    let states = rig.states().await;
    assert_eq!(states, [("1.0.0".to_owned(), "active".to_owned())]);
    assert_eq!(rig.version_for(&client, "still").await, "1.0.0");
}

#[tokio::test]
async fn a_request_that_names_nothing_is_told_what_is_wrong() {
    let rig = Rig::start().await;
    let cases = [
        (json!({}), "/source"),
        (json!({"source": ""}), "/source"),
        (json!({"source": "not a name!"}), "/source"),
        (json!({"source": "acme-texts@oops"}), "/source"),
        (json!({"source": "acme-texts"}), "/source"),
        (json!({"source": "oci://"}), "/source"),
        (json!({"source": "a", "trust_key": "me"}), "/trust_key"),
        // Nobody agrees to what they have not read.
        (
            json!({"source": "a", "approve_permissions": true}),
            "/approve_permissions",
        ),
        (
            json!({"source": "a", "approve_permissions": "all"}),
            "/approve_permissions",
        ),
        (
            json!({"source": "a", "canary": {"percent": 101}}),
            "/canary/percent",
        ),
        (
            json!({"source": "a", "canary": {"tenants": ["x"]}}),
            "/canary/tenants/0",
        ),
        (json!({"source": "a", "activate": "yes"}), "/activate"),
        (json!({"source": "a", "force": true}), "/force"),
    ];
    for (body, pointer) in cases {
        let refused = rig.ask(body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {refused:?}");
        assert!(refused.pointers().contains(&pointer), "{body}: {refused:?}");
    }
    let client = rig.host.key("test").await;
    let refused = client.get("/api/plugins").await;
    assert_eq!(refused.status, 401, "{refused:?}");
    let nothing = rig.operator.get("/api/marketplace").await;
    assert_eq!((nothing.status, nothing.code()), (404, "not_found"));
}
