//! A new version, tried with the calls of the one that serves: what it would do otherwise, before it does it.

use std::time::Duration;

use onerouter_tests::acme::{self, TOKEN};
use onerouter_tests::component::with_manifest;
use onerouter_tests::harness::{Client, Harness, Reply, built};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};

use crate::rig::Rig;

scenarios!(
    recordings_are_bounded_and_expire,
    live_calls_are_recorded_only_where_the_tenant_wants_it,
);

/// A gateway on which 1.0.0 serves, and a client of a tenant that is connected.
async fn serving() -> (Rig, Client) {
    let rig = Rig::start().await;
    rig.install("1.0.0").await;
    acme::connect(&rig.operator, TOKEN, "default").await;
    let client = rig.host.key("test").await;
    (rig, client)
}

async fn send(client: &Client, text: &str) {
    let sent = client.post("/v1/sms", acme::message(text)).await;
    assert_eq!(sent.status, 201, "{sent:?}");
}

/// Installs a version that does not serve.
async fn stage(rig: &Rig, component: &[u8]) {
    let source = rig.signed("staged", component);
    let staged = rig.ask(json!({"source": source, "activate": false})).await;
    assert_eq!(staged.status, 201, "{staged:?}");
}

async fn shadow(operator: &Client, plugin: &str, body: Value) -> Reply {
    let path = format!("/api/plugins/{plugin}/shadow");
    operator.post(&path, body).await
}

/// Where a call went another way.
fn places(check: &Reply) -> Vec<&str> {
    let calls = check.json["calls"].as_array().unwrap().iter();
    let differences = calls.flat_map(|call| call["differences"].as_array().unwrap());
    differences.map(|one| one["at"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_version_that_does_the_same_differs_in_nothing() {
    let (rig, client) = serving().await;
    for text in ["one", "two", "drei ü €"] {
        send(&client, text).await;
    }
    rig.host.record().await;
    // Another credential's header: not the adapter's business, and not seen by it.
    stage(&rig, &acme::component("1.1.0")).await;
    let sent = rig.acme.take_seen();
    let check = shadow(&rig.operator, "acme-texts", json!({})).await;
    assert_eq!(check.status, 200, "{check:?}");
    let counts = ["recorded", "same", "skipped", "different"].map(|name| &check.json[name]);
    assert_eq!(counts, [3, 3, 0, 0], "{check:?}");
    assert_eq!(check.text("serving_version"), "1.0.0");
    assert_eq!(check.text("tried_version"), "1.1.0");
    assert_eq!(sent.len(), 3);
    assert_eq!(rig.acme.seen(), [], "nothing is sent");
    let states = rig.states().await;
    assert!(
        states.contains(&("1.1.0".to_owned(), "staged".to_owned())),
        "{states:?}"
    );
    let log = rig.operator.get("/api/audit?limit=5").await;
    let noted = &log.json["data"][0];
    assert_eq!(noted["action"], "plugin.shadow_checked", "{log:?}");
    assert_eq!(noted["after"]["recorded"], 3, "{log:?}");
}

#[tokio::test]
async fn what_a_version_does_otherwise_is_named() {
    let (rig, client) = serving().await;
    send(&client, "hello").await;
    rig.host.record().await;

    // It asks at another place.
    let anywhere = acme::changed("1.1.0", |manifest| {
        manifest["outbound"][0]["path_prefix"] = json!("/v1/");
    });
    let component = patched(&anywhere, "example/v1/messages", "example/v1/massages");
    stage(&rig, &component).await;
    let check = shadow(&rig.operator, "acme-texts", json!({"version": "1.1.0"})).await;
    assert_eq!(places(&check), ["/requests/0/url"], "{check:?}");
    let call = &check.json["calls"][0];
    assert_eq!(call["operation"], "sms.send");
    assert_eq!(call["environment"], "test");
    assert_eq!(
        call["differences"][0]["recorded"],
        format!("https://{}/v1/messages", acme::HOST)
    );
    assert_eq!(
        call["differences"][0]["now"],
        format!("https://{}/v1/massages", acme::HOST)
    );

    // It does not understand the answer.
    let component = patched(&acme::component("1.2.0"), "waiting", "wailing");
    stage(&rig, &component).await;
    let check = shadow(&rig.operator, "acme-texts", json!({"version": "1.2.0"})).await;
    assert_eq!(places(&check), ["/result/ok", "/result/error"], "{check:?}");

    // Its own manifest does not let it ask.
    let component = acme::changed("1.3.0", |manifest| {
        manifest["outbound"][0]["path_prefix"] = json!("/v2/");
    });
    stage(&rig, &component).await;
    let check = shadow(&rig.operator, "acme-texts", json!({"version": "1.3.0"})).await;
    assert_eq!(
        places(&check),
        ["/requests/0/refused", "/result/ok", "/result/error"],
        "{check:?}"
    );
    assert!(!check.json.to_string().contains(TOKEN), "{check:?}");
    // A breakdown is told of as such.
    let source = rig.folder.path().join("broken.wasm");
    let broken = acme::of_fixture("saboteur", "1.4.0", |manifest| {
        manifest["id"] = json!("acme-texts");
    });
    acme::write_signed(&source, &broken, &rig.publisher);
    let staged = rig.ask(json!({"source": source, "activate": false})).await;
    assert_eq!(staged.status, 201, "{staged:?}");
    let check = shadow(&rig.operator, "acme-texts", json!({"version": "1.4.0"})).await;
    assert_eq!(check.json["different"], 1, "{check:?}");
    assert_eq!(rig.acme.take_seen().len(), 1, "nothing is sent");
}

/// The same code with another constant.
fn patched(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = component.to_vec();
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[tokio::test]
async fn there_must_be_something_to_compare() {
    let (rig, client) = serving().await;
    send(&client, "hello").await;
    let none = shadow(&rig.operator, "acme-texts", json!({})).await;
    assert_eq!(
        (none.status, none.code()),
        (409, "invalid_state"),
        "{none:?}"
    );
    let same = shadow(&rig.operator, "acme-texts", json!({"version": "1.0.0"})).await;
    assert_eq!(
        (same.status, same.code()),
        (409, "invalid_state"),
        "{same:?}"
    );
    let gone = shadow(&rig.operator, "nobody", json!({})).await;
    assert_eq!(gone.status, 404, "{gone:?}");
    stage(&rig, &acme::component("1.1.0")).await;
    for (body, pointer) in [
        (json!({"calls": 0}), "/calls"),
        (json!({"calls": 101}), "/calls"),
        (json!({"version": "new"}), "/version"),
        (json!({"verion": "1.1.0"}), "/verion"),
    ] {
        let refused = shadow(&rig.operator, "acme-texts", body).await;
        assert_eq!(
            (refused.status, refused.pointers()),
            (422, vec![pointer]),
            "{refused:?}"
        );
    }
    // The call waits to be written: nothing is known, which is said, and is not "the same".
    let check = shadow(&rig.operator, "acme-texts", json!({"calls": 1})).await;
    assert_eq!(
        (&check.json["recorded"], &check.json["same"]),
        (&json!(0), &json!(0))
    );
}

/// Every bundled adapter, tried with its own calls: whatever they ask and answer is played back exactly,
/// with access tokens, keys toward providers, times and signatures.
#[tokio::test]
async fn bundled_adapters_do_the_same_as_themselves() {
    let host = Harness::start().await;
    let client = host.key("test").await;
    let keyed = |key: &str| client.with("Idempotency-Key", key);
    let made = async |key: &str, path: &str, body: Value| {
        let made = keyed(key).post(path, body).await;
        assert!([200, 201].contains(&made.status), "{key}: {made:?}");
        made
    };
    made(
        "a",
        "/v1/sms",
        json!({"to": "+447700900123", "body": "hello"}),
    )
    .await;
    let email = json!({"to": "buyer@example.com", "subject": "Hi", "text_body": "Hi"});
    made("b", "/v1/email", email.clone()).await;
    made(
        "c",
        "/v1/email/batch",
        json!({"emails": [email.clone(), email]}),
    )
    .await;
    for provider in ["paypal", "razorpay"] {
        let currency = if provider == "paypal" { "USD" } else { "INR" };
        let payment = json!({"amount": 500, "currency": currency, "provider": provider});
        let payment = made(provider, "/v1/payments", payment).await;
        let read = client
            .get(&format!("/v1/payments/{}", payment.text("id")))
            .await;
        assert_eq!(read.status, 200, "{read:?}");
    }
    host.record().await;
    let folder = tempfile::tempdir().unwrap();
    for provider in ["twilio", "resend", "paypal", "razorpay"] {
        let file = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins").join(format!("{provider}.wasm"));
        let component = std::fs::read(file).unwrap();
        let manifest = onerouter_manifest::unpack(&component).unwrap().manifest;
        let mut manifest = serde_json::to_value(manifest).unwrap();
        manifest["version"] = json!("99.0.0");
        let path = folder.path().join(format!("{provider}.wasm"));
        std::fs::write(
            &path,
            with_manifest(&component, manifest.to_string().as_bytes()),
        )
        .unwrap();
        let install = json!({"source": path, "activate": false});
        let staged = host.operator().post("/api/plugins/install", install).await;
        assert_eq!(staged.status, 201, "{staged:?}");
        let before = host
            .provider_requests(&format!("provider={provider}"))
            .await;
        let check = shadow(&host.operator(), provider, json!({"calls": 100})).await;
        assert_eq!(check.status, 200, "{check:?}");
        assert!(check.json["recorded"].as_u64() > Some(0), "{check:?}");
        assert_eq!(check.json["same"], check.json["recorded"], "{check:?}");
        let after = host
            .provider_requests(&format!("provider={provider}"))
            .await;
        assert_eq!(before.len(), after.len(), "nothing is sent");
    }
}

async fn kept(operator: &Client, environment: &str) -> (bool, u64) {
    let path = format!("/api/recordings?environment={environment}");
    let setting = operator.get(&path).await;
    assert_eq!(setting.status, 200, "{setting:?}");
    (
        setting.json["enabled"].as_bool().unwrap(),
        setting.json["kept"].as_u64().unwrap(),
    )
}

async fn choose(operator: &Client, environment: &str, enabled: bool) {
    let path = format!("/api/recordings?environment={environment}");
    let chosen = operator.put(&path, json!({"enabled": enabled})).await;
    assert_eq!(
        (chosen.status, &chosen.json["enabled"]),
        (200, &json!(enabled)),
        "{chosen:?}"
    );
}

async fn email(client: &Client, number: usize) {
    let client = client.with("Idempotency-Key", &format!("mail-{number}"));
    let email =
        json!({"to": "buyer@example.com", "subject": "Hi", "text_body": "a secret of theirs"});
    let sent = client.post("/v1/email", email).await;
    assert_eq!(sent.status, 201, "{sent:?}");
}

async fn recordings_are_bounded_and_expire(ground: Ground) {
    let host = ground.host().await;
    let acme = host.tenant("Acme").await;
    host.connect_sandbox_of(&acme).await;
    let (theirs, ours) = (host.key_of(&acme, "test").await, host.key("test").await);
    for number in 0..13 {
        email(&theirs, number).await;
    }
    email(&ours, 0).await;
    host.record().await;
    assert_eq!(
        kept(&acme, "test").await,
        (true, 10),
        "of one operation in a minute"
    );
    assert_eq!(kept(&host.operator(), "test").await, (true, 1));
    assert_eq!(ground.count("recorded_calls").await, 11);

    host.pass(Duration::from_secs(8 * 86_400));
    host.gateway.parts().sweeper.clean_up().await;
    for table in ["recorded_calls", "recording_directory"] {
        assert_eq!(ground.count(table).await, 0, "{table}");
    }
}

async fn live_calls_are_recorded_only_where_the_tenant_wants_it(ground: Ground) {
    let host = ground.host().await;
    let operator = host.operator();
    let connections = host.sandbox.connections();
    for connection in connections.iter().filter(|one| one.service == "email") {
        let path = format!(
            "/api/services/{}/{}/connect",
            connection.service, connection.provider
        );
        let body = json!({"environment": "live", "credentials": connection.credentials,
            "settings": connection.settings});
        let connected = operator.post(&path, body).await;
        assert_eq!(connected.status, 201, "{connected:?}");
    }
    let client = host.key("live").await;
    email(&client, 0).await;
    host.record().await;
    assert_eq!(kept(&operator, "live").await, (false, 0));
    choose(&operator, "live", true).await;
    email(&client, 1).await;
    host.record().await;
    assert_eq!(kept(&operator, "live").await, (true, 1));
    assert_eq!(kept(&operator, "test").await, (true, 0));
    choose(&operator, "test", false).await;
    assert_eq!(
        kept(&operator, "live").await,
        (true, 1),
        "an environment for itself"
    );
    // What was kept goes, and what waits is not kept.
    email(&client, 2).await;
    choose(&operator, "live", false).await;
    host.record().await;
    assert_eq!(kept(&operator, "live").await, (false, 0));
    assert_eq!(ground.count("recorded_calls").await, 0);
    let test = host.key("test").await;
    email(&test, 3).await;
    host.record().await;
    assert_eq!(kept(&operator, "test").await, (false, 0));
    // Before the key that was made last.
    let log = operator.get("/api/audit?limit=3").await;
    assert_eq!(
        log.json["data"][1]["action"], "recordings.chosen",
        "{log:?}"
    );
    let refused = operator.get("/api/recordings").await;
    assert_eq!(
        (refused.status, refused.pointers()),
        (422, vec!["?environment"]),
        "{refused:?}"
    );
    let refused = operator
        .put("/api/recordings?environment=test", json!({}))
        .await;
    assert_eq!(
        (refused.status, refused.pointers()),
        (422, vec!["/enabled"]),
        "{refused:?}"
    );
}
