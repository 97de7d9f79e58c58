//! A registry, and a publisher who works with it.

use onerouter_tests::harness::{built, reply};
use serde_json::{Value, json};

use crate::program::{Program, Running};

/// A registry that listens on a port of its own.
pub fn serve(program: &Program) -> (Running, Value) {
    let serve = ["registry", "serve", "--bind", "127.0.0.1:0", "--json"];
    let running = program.start(&serve, false);
    let ready = serde_json::from_str(&running.first_line).unwrap();
    (running, ready)
}

/// The folder of a publisher, with a plugin that is not signed yet.
pub fn publisher(registry: &str) -> Program {
    let fixtures = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures");
    let plugin = std::fs::read(fixtures.join("acme-texts.wasm")).unwrap();
    let publisher = Program::new()
        .set("ONEROUTER_REGISTRY_URL", registry)
        .set("ONEROUTER_REGISTRY_CREDENTIALS", "credentials.json");
    publisher.write("acme.wasm", plugin);
    publisher
}

#[tokio::test]
async fn a_publisher_signs_and_publishes_and_everybody_sees_it() {
    let operator = Program::new();
    let (running, ready) = serve(&operator);
    let url = ready["url"].as_str().unwrap();
    let account = ["registry", "account", "create", "acme", "--json"];
    let account = operator.run(&account).well().json();
    assert_eq!(account["name"], "acme");
    let token = ["registry", "token", "create", "acme", "--label", "laptop"];
    let token = operator.run(&token).well();

    let publisher = publisher(url);
    publisher.write("token", &token.data);
    let early = publisher.run(&["plugin", "publish", "acme.wasm"]).badly();
    assert!(early.talk.contains("is not signed"), "{early:?}");
    let login = ["registry", "login", url, "--token-file", "token", "--json"];
    let login = publisher.run(&login).well().json();
    assert_eq!(
        (&login["account"], &login["key"]),
        (&json!("acme"), &ready["key"])
    );
    let key = publisher
        .run(&["plugin", "keygen", "acme.key", "--json"])
        .well()
        .json();
    let public = key["key"].as_str().unwrap();
    let sign = ["plugin", "sign", "acme.wasm", "--key", "acme.key"];
    publisher.run(&sign).well();
    // Nobody has said yet that this key may.
    let unknown = publisher.run(&["plugin", "publish", "acme.wasm"]).badly();
    assert!(unknown.talk.contains("registry key add"), "{unknown:?}");
    let add = ["registry", "key", "add", "acme-texts", public];
    publisher.run(&add).well();
    publisher.run(&["plugin", "publish", "acme.wasm"]).well();
    publisher.run(&["plugin", "publish", "acme.wasm"]).badly();

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = format!("{url}/registry/v1/plugins/acme-texts");
    let show = async || reply(http.get(&page).send().await.unwrap()).await;
    let shown = show().await;
    assert_eq!(shown.status, 200, "{shown:?}");
    assert_eq!(shown.json["name"], "acme-texts", "{shown:?}");
    let yank = ["plugin", "yank", "acme-texts", "1.0.0", "--reason", "twice"];
    publisher.run(&yank).well();
    assert!(show().await.json.to_string().contains("twice"));
    publisher
        .run(&["plugin", "yank", "acme-texts", "1.0.0", "--undo"])
        .well();

    let (status, data, talk) = running.stop();
    assert_eq!((status.code(), data.as_str()), (Some(0), ""), "{talk}");
    assert!(!talk.contains(token.data.trim()), "{talk}");

    // What it knows outlives it, and it is the same registry.
    let (again, same) = serve(&operator);
    assert_eq!(same["key"], ready["key"]);
    again.stop();
}

#[test]
fn a_registry_that_shows_another_key_is_refused() {
    let (operator, other) = (Program::new(), Program::new());
    let mut tokens = Vec::new();
    for program in [&operator, &other] {
        program
            .run(&["registry", "account", "create", "acme"])
            .well();
        let token = ["registry", "token", "create", "acme", "--label", "laptop"];
        tokens.push(program.run(&token).well().data);
    }
    let (running, ready) = serve(&operator);
    let url = ready["url"].as_str().unwrap();
    let publisher = publisher(url);
    let login = |token: &str, more: &[&str]| {
        publisher.write("token", token);
        let login = ["registry", "login", url, "--token-file", "token"];
        publisher.run(&[&login[..], more].concat())
    };
    login(&tokens[0], &[]).well();
    let wrong = login("orr_nonsense", &[]).badly();
    assert!(!wrong.talk.contains("orr_nonsense"), "{wrong:?}");
    running.stop();

    // Somebody else at the same address.
    let address = url.strip_prefix("http://").unwrap();
    let elsewhere = ["registry", "serve", "--bind", address, "--json"];
    let running = other.start(&elsewhere, false);
    // The token is not shown to them: they would say that they do not know it.
    let refused = login(&tokens[0], &[]).badly();
    assert!(refused.talk.contains("had the key"), "{refused:?}");
    login(&tokens[1], &["--new-key"]).well();
    running.stop();
}

#[test]
fn what_is_wrong_with_keys_and_settings_is_said() {
    let program = Program::new();
    let said = |args: &[&str], words: &str| {
        let refused = program.run(args).badly();
        assert!(refused.talk.contains(words), "{words}: {refused:?}");
    };
    program.run(&["plugin", "keygen", "acme.key"]).well();
    said(&["plugin", "keygen", "acme.key"], "acme.key");
    program.write("open.key", "nonsense");
    said(
        &["plugin", "sign", "absent.wasm", "--key", "acme.key"],
        "absent.wasm",
    );
    let fixtures = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures");
    let plugin = std::fs::read(fixtures.join("acme-texts.wasm")).unwrap();
    program.write("acme.wasm", plugin);
    // Others may read it.
    said(
        &["plugin", "sign", "acme.wasm", "--key", "open.key"],
        "chmod 600",
    );
    assert!(!program.path("acme.wasm.sig").exists());
    said(&["plugin", "publish", "acme.wasm"], "--registry");
    let account = ["registry", "account", "create", "acme"];
    let blobs = ["--blobs", "nonsense"];
    said(&[&account[..], &blobs].concat(), "URL");
    let database = ["--database-url-file", "absent"];
    said(&[&account[..], &database].concat(), "absent");
    program.run(&account).well();
    said(&account, "acme");
    said(
        &["registry", "token", "create", "nobody", "--label", "x"],
        "no account nobody",
    );
}

#[test]
fn a_plugin_that_breaks_the_contract_is_not_published() {
    let operator = Program::new();
    let (running, ready) = serve(&operator);
    let url = ready["url"].as_str().unwrap();
    operator
        .run(&["registry", "account", "create", "acme"])
        .well();
    let token = ["registry", "token", "create", "acme", "--label", "laptop"];
    let token = operator.run(&token).well();

    let publisher = publisher(url);
    let fixtures = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures");
    let saboteur = std::fs::read(fixtures.join("saboteur.wasm")).unwrap();
    publisher.write("bad.wasm", saboteur);
    publisher.write("token", &token.data);
    let login = ["registry", "login", url, "--token-file", "token"];
    publisher.run(&login).well();
    let key = ["plugin", "keygen", "acme.key", "--json"];
    let key = publisher.run(&key).well().json();
    let public = key["key"].as_str().unwrap();
    let sign = ["plugin", "sign", "bad.wasm", "--key", "acme.key"];
    publisher.run(&sign).well();
    let add = ["registry", "key", "add", "saboteur", public];
    publisher.run(&add).well();
    let refused = publisher.run(&["plugin", "publish", "bad.wasm"]).badly();
    assert!(refused.talk.contains("conformance"), "{refused:?}");
    assert!(
        refused.talk.contains("sms.find unauthorized"),
        "{refused:?}"
    );
    running.stop();
}
