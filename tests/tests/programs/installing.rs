//! From a publisher's folder, over a registry, to a gateway; and without one.

use onerouter_registry::KeyPair;
use onerouter_tests::acme::{self, Acme, TOKEN};
use onerouter_tests::harness::{ADMIN_TOKEN, Client};
use onerouter_tests::write_path::eventually;
use serde_json::{Value, json};

use crate::program::{Program, Running};

/// A registry with two versions of a plugin, and what an operator must know of it.
struct Market {
    operator: Program,
    running: Running,
    url: String,
    key: KeyPair,
    publisher: Program,
}

impl Market {
    fn open() -> Self {
        let operator = Program::new();
        let (running, ready) = Self::serve(&operator);
        let url = ready["url"].as_str().unwrap().to_owned();
        operator
            .run(&["registry", "account", "create", "acme"])
            .well();
        let token = ["registry", "token", "create", "acme", "--label", "laptop"];
        let token = operator.run(&token).well().data;
        let publisher = Program::new()
            .set("ONEROUTER_REGISTRY_URL", url.as_str())
            .set("ONEROUTER_REGISTRY_CREDENTIALS", "credentials.json");
        publisher.write("token", token);
        publisher
            .run(&["registry", "login", &url, "--token-file", "token"])
            .well();
        publisher.run(&["plugin", "keygen", "acme.key"]).well();
        let key = KeyPair::read(&publisher.path("acme.key")).unwrap();
        let public = key.public().to_string();
        publisher
            .run(&["registry", "key", "add", "acme-texts", &public])
            .well();
        let market = Self {
            operator,
            running,
            url,
            key,
            publisher,
        };
        for version in ["1.0.0", "1.1.0"] {
            market.publish(version);
        }
        market
    }

    fn serve(operator: &Program) -> (Running, Value) {
        let serve = ["registry", "serve", "--bind", "127.0.0.1:0", "--json"];
        let running = operator.start(&serve, false);
        let ready = serde_json::from_str(&running.first_line).unwrap();
        (running, ready)
    }

    fn publish(&self, version: &str) {
        let path = self.publisher.path("acme.wasm");
        acme::write_signed(&path, &acme::component(version), &self.key);
        self.publisher
            .run(&["plugin", "publish", "acme.wasm"])
            .well();
    }

    /// Somebody who runs a gateway, and trusts the publisher.
    fn gateway(&self) -> Program {
        Program::new()
            .set("ONEROUTER_REGISTRY_URL", self.url.as_str())
            .set(
                "ONEROUTER_PUBLISHER_KEYS",
                self.key.public().id().to_string(),
            )
            .set("ONEROUTER_ADMIN_TOKEN", ADMIN_TOKEN)
            .set("RUST_LOG", "error")
            .set("ONEROUTER_BIND", "127.0.0.1:0")
    }
}

fn active(plugin: &Value) -> &str {
    let versions = plugin["installations"].as_array().unwrap().iter();
    let mut active = versions.filter(|one| one["id"] == plugin["active"]);
    active.next().unwrap()["version"].as_str().unwrap()
}

#[tokio::test]
async fn plugins_come_from_a_registry_while_the_gateway_runs() {
    let market = Market::open();
    let acme = Acme::start().await;
    let operator = market.gateway().set(
        "ONEROUTER_UPSTREAMS",
        format!("{}={}", acme::HOST, acme.base),
    );
    let running = operator.start(&["serve"], true);
    let base = running
        .first_line
        .rsplit(' ')
        .next()
        .unwrap()
        .trim()
        .to_owned();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let api = Client::at(&base, ADMIN_TOKEN, &http);

    let found = api.get("/api/marketplace?q=acme").await;
    assert_eq!(found.status, 200, "{found:?}");
    let offer = &found.json["data"][0];
    assert_eq!(offer["plugin"]["name"], "acme-texts", "{found:?}");
    assert_eq!(offer["installed_version"], json!(null));

    let install = ["plugin", "install", "acme-texts@~1.0", "--json"];
    let installed = operator.run(&install).well().json();
    assert_eq!(active(&installed), "1.0.0", "{installed}");
    assert_eq!(
        installed["nodes"].as_array().unwrap().len(),
        1,
        "{installed}"
    );
    assert_eq!(installed["nodes"][0]["current"], true, "{installed}");
    acme::connect(&api, TOKEN, "default").await;
    let made = json!({"name": "test", "environment": "test"});
    let key = api.post("/api/api-keys", made).await;
    let client = Client::at(&base, key.text("key"), &http);
    let served = async |text: &str| {
        let sent = client.post("/v1/sms", acme::message(text)).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        acme.versions_of(text).concat()
    };
    assert_eq!(served("one").await, "1.0.0");

    // The newer one sends its credential in another way: nobody is at a terminal to agree.
    let waits = operator.run(&["plugin", "install", "acme-texts"]).badly();
    assert!(
        waits.talk.contains("in another way than before"),
        "{waits:?}"
    );
    assert!(waits.talk.contains("--approve"), "{waits:?}");
    assert_eq!(served("two").await, "1.0.0");
    // What the gateway records, it records behind the request.
    eventually("the calls are recorded", async || {
        let kept = api.get("/api/recordings?environment=test").await;
        kept.json["kept"] == 2
    })
    .await;
    let shadow = ["plugin", "shadow", "acme-texts@1.1.0", "--json"];
    let check = operator.run(&shadow).well().json();
    assert_eq!(check["recorded"], 2, "{check}");
    assert_eq!(check["same"], 2, "{check}");
    let list = operator.run(&["plugin", "list", "--json"]).well().json();
    let digest = &list["data"][0]["installations"][0]["permissions_digest"];
    let digest = digest.as_str().unwrap();
    assert!(waits.talk.contains(digest), "{waits:?}");
    // What was read is what is agreed to.
    let other = format!("sha256:{}", "0".repeat(64));
    let approve = |digest: &str| {
        let activate = [
            "plugin",
            "activate",
            "acme-texts@1.1.0",
            "--shadow",
            "--approve",
        ];
        operator.run(&[&activate[..], &[digest, "--json"]].concat())
    };
    let refused = approve(&other).badly();
    assert!(refused.talk.contains(digest), "{refused:?}");
    let activated = approve(digest).well();
    assert!(activated.talk.contains("2 the same"), "{activated:?}");
    let activated = activated.json();
    assert_eq!(active(&activated), "1.1.0", "{activated}");
    assert_eq!(served("three").await, "1.1.0");
    let page = api.get("/api/marketplace/acme-texts").await;
    assert_eq!(page.json["installed_version"], "1.1.0", "{page:?}");

    // A bundle for machines that reach nobody.
    let bundle = [
        "plugin",
        "bundle",
        "--output",
        "usb",
        "acme-texts@^1",
        "--json",
    ];
    let bundled = operator.run(&bundle).well().json();
    assert_eq!(bundled["plugins"][0]["version"], "1.1.0", "{bundled}");

    // What is taken back is chosen by nobody any more.
    market.publish("1.2.0");
    let yank = ["plugin", "yank", "acme-texts", "1.2.0", "--reason", "twice"];
    market.publisher.run(&yank).well();
    let install = ["plugin", "install", "acme-texts@^1", "--json"];
    let same = operator.run(&install).well().json();
    assert_eq!(active(&same), "1.1.0", "{same}");

    // The registry goes away.
    let offline = market.gateway();
    market.running.stop();
    let gone = operator
        .run(&["plugin", "install", "acme-texts@1.0.0"])
        .badly();
    assert!(gone.talk.contains("Nothing was installed"), "{gone:?}");
    let away = api.get("/api/marketplace").await;
    assert_eq!((away.status, away.code()), (503, "overloaded"), "{away:?}");
    operator.run(&["plugin", "rollback", "acme-texts"]).well();
    assert_eq!(served("four").await, "1.0.0");
    let list = operator.run(&["plugin", "list"]).well();
    assert!(
        list.data.contains("1.1.0") && list.data.contains("retired"),
        "{list:?}"
    );
    running.stop();
    let running = operator.start(&["serve"], true);
    running.stop();

    let usb = operator.path("usb").display().to_string();
    let install = [
        "plugin",
        "install",
        "acme-texts",
        "--bundle",
        &usb,
        "--json",
    ];
    let refused = offline
        .run(&["plugin", "install", "other", "--bundle", &usb])
        .badly();
    assert!(refused.talk.contains("other"), "{refused:?}");
    let installed = offline.run(&install).well().json();
    assert_eq!(active(&installed), "1.1.0", "{installed}");
    let remove = ["plugin", "remove", "acme-texts", "--json"];
    let removed = offline.run(&remove).well().json();
    assert_eq!(removed["deleted"], true);
}

#[test]
fn a_publisher_whom_nobody_trusts_installs_nothing() {
    let market = Market::open();
    let stranger = Program::new().set("ONEROUTER_REGISTRY_URL", market.url.as_str());
    let refused = stranger.run(&["plugin", "install", "acme-texts"]).badly();
    assert!(refused.talk.contains("is not trusted here"), "{refused:?}");
    let id = market.key.public().id().to_string();
    let trust = [
        "plugin",
        "install",
        "acme-texts",
        "--trust-key",
        &id,
        "--json",
    ];
    let installed = stranger.run(&trust).well().json();
    assert_eq!(active(&installed), "1.1.0", "{installed}");
    // Whoever no longer trusts it says so, and nothing new comes from it.
    let keys = stranger.run(&["plugin", "key", "list"]).well();
    assert!(
        keys.data.contains(&id) && keys.data.contains("acme-texts (operator)"),
        "{keys:?}"
    );
    let distrust = ["plugin", "key", "distrust", &id, "--json"];
    let distrusted = stranger.run(&distrust).well().json();
    assert_eq!(distrusted["state"], "distrusted", "{distrusted}");
    assert_eq!(distrusted["installations"].as_array().unwrap().len(), 1);
    let list = stranger.run(&["plugin", "list"]).well();
    assert!(list.data.contains("distrusted"), "{list:?}");
    let refused = stranger
        .run(&["plugin", "install", "acme-texts@1.0.0", "--allow-downgrade"])
        .badly();
    assert!(refused.talk.contains("is distrusted here"), "{refused:?}");
    let first_use = Program::new()
        .set("ONEROUTER_REGISTRY_URL", market.url.as_str())
        .set("ONEROUTER_TRUST_ON_FIRST_USE", "allow");
    let install = ["plugin", "install", "acme-texts@1.0.0", "--json"];
    let installed = first_use.run(&install).well().json();
    assert_eq!(installed["installations"][0]["trusted_by"], "first_use");
    market.running.stop();
    drop(market.operator);
}

#[test]
fn a_registrys_operator_looks_after_what_strangers_publish() {
    let market = Market::open();
    let gateway = market.gateway();
    let moderate = |args: &[&str]| {
        market
            .operator
            .run(&[&["registry", "moderate"], args].concat())
    };
    let yank = ["yank", "acme-texts", "1.1.0", "--reason", "sends twice"];
    moderate(&yank).well();
    let advise = [
        "advise",
        "acme-texts",
        "--affected",
        "<1.1.0",
        "--summary",
        "is slow",
        "--json",
    ];
    let advised = moderate(&advise).well().json();
    assert_eq!(advised["plugin"], "acme-texts", "{advised}");
    let install = ["plugin", "install", "acme-texts", "--json"];
    let installed = gateway.run(&install).well();
    assert_eq!(active(&installed.json()), "1.0.0", "{installed:?}");
    assert!(installed.talk.contains("is slow"), "{installed:?}");
    moderate(&["yank", "acme-texts", "1.1.0", "--undo"]).well();
    let key = market.key.public().id().to_string();
    moderate(&["suspend", "acme"]).well();
    let path = market.publisher.path("acme.wasm");
    acme::write_signed(&path, &acme::component("1.2.0"), &market.key);
    market
        .publisher
        .run(&["plugin", "publish", "acme.wasm"])
        .badly();
    moderate(&["resume", "acme"]).well();
    market
        .publisher
        .run(&["plugin", "publish", "acme.wasm"])
        .well();
    moderate(&[
        "revoke-key",
        "acme-texts",
        &key,
        "--reason",
        "it was stolen",
    ])
    .well();
    // The newest index says so, whatever was trusted before.
    let other = market.gateway();
    let refused = other
        .run(&["plugin", "install", "acme-texts@1.2.0"])
        .badly();
    assert!(refused.talk.contains("it was stolen"), "{refused:?}");
    // Whoever runs it hears of that, and goes on.
    gateway
        .run(&["plugin", "install", "acme-texts@1.2.0"])
        .badly();
    let list = gateway.run(&["plugin", "list", "--json"]).well().json();
    let version = &list["data"][0]["installations"][0];
    assert_eq!(version["state"], "active", "{list}");
    assert_eq!(version["warnings"][0]["kind"], "key_revoked", "{list}");
    assert_eq!(version["advisories"][0]["summary"], "is slow", "{list}");
    moderate(&["suspend", "nobody"]).badly();
    market.running.stop();
}
