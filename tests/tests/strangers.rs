//! The gateway knows no provider by name: what it can do comes from the plugins folder.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segment, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use onerouter::config::{Config, UnsignedPlugins};
use onerouter::gateway::{Doubles, Gateway};
use onerouter_tests::component::{with_manifest, without_manifest};
use onerouter_tests::harness::{Harness, Setup, built};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// One of them is a word that the API needs: it counts where it stands for the provider.
const NAMES: [&str; 6] = [
    "twilio",
    "razorpay",
    "paypal",
    "resend.com",
    "\"resend\"",
    "/resend/",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if name == "Cargo.toml" || name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_providers_name_stands_in_the_hosts_sources() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../host"),
        &mut files,
    );
    assert!(files.len() > 100);
    let mut named = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
        for (number, line) in text.lines().enumerate() {
            if NAMES.iter().any(|name| line.contains(name)) {
                named.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(named.is_empty(), "{}", named.join("\n"));
}

type Messages = Arc<Mutex<Vec<Value>>>;

/// Acme's whole API: `waiting` when it is sent, `arrived` when it is asked for.
async fn acme_api() -> (String, Messages, JoinSet<()>) {
    let messages = Messages::default();
    let router = Router::new()
        .route("/v1/messages", post(send))
        .route("/v1/messages/{id}", get(read))
        .with_state(Arc::clone(&messages));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async { axum::serve(listener, router).await.unwrap() });
    (base, messages, tasks)
}

async fn send(
    State(messages): State<Messages>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Json<Value> {
    assert_eq!(headers["authorization"], "Bearer acme-token-1");
    let mut messages = messages.lock().unwrap();
    messages.push(body);
    Json(json!({"id": format!("m-{}", messages.len()), "state": "waiting"}))
}

async fn read(Segment(id): Segment<String>) -> Json<Value> {
    Json(json!({"id": id, "state": "arrived"}))
}

#[tokio::test]
async fn a_plugin_that_nobody_knew_serves_a_message_to_the_end() {
    let (base, messages, _serving) = acme_api().await;
    let host = Harness::with(Setup {
        fixtures: vec!["acme-texts"],
        upstreams: vec![("api.acme-texts.example".to_owned(), base)],
        unconnected: true,
        ..Setup::default()
    })
    .await;
    let operator = host.operator();
    let services = operator.get("/api/services").await;
    let available = services.json["available"].as_array().unwrap();
    assert!(
        available.iter().any(|one| one["provider"] == "acme-texts"),
        "{services:?}"
    );
    let body = json!({"environment": "test", "credentials": {"token": "acme-token-1"}, "settings": {"sender": "+4930123456"}});
    let connected = operator
        .post("/api/services/sms/acme-texts/connect", body)
        .await;
    assert_eq!(connected.status, 201, "{connected:?}");

    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hello"}))
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(
        (sent.text("provider"), sent.text("status")),
        ("acme-texts", "queued")
    );
    assert_eq!(
        (&sent.json["cost"], &sent.json["cost_currency"]),
        (&json!(0.01), &json!("EUR"))
    );
    {
        let messages = messages.lock().unwrap();
        assert_eq!(messages.len(), 1);
        let expected = json!({"to": "+14155550123", "text": "Hello", "from": "+4930123456"});
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&messages[0][field], value, "{field}");
        }
    }
    let read = acme.get(&format!("/v1/sms/{}", sent.text("id"))).await;
    assert_eq!(read.text("status"), "delivered", "{read:?}");
}

#[tokio::test]
async fn a_component_that_lies_or_is_none_is_refused_while_the_others_serve() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    let fixtures = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures");
    let honest = std::fs::read(fixtures.join("acme-texts.wasm")).unwrap();
    std::fs::write(plugins.join("honest.wasm"), &honest).unwrap();
    std::fs::write(plugins.join("garbage.wasm"), b"not a component").unwrap();
    std::fs::write(plugins.join("empty.wasm"), b"").unwrap();
    std::fs::write(plugins.join("cut.wasm"), &honest[..honest.len() / 2]).unwrap();
    std::fs::write(plugins.join("bare.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    std::fs::write(plugins.join("readme.txt"), b"no plugin at all").unwrap();
    // It says that it imports nothing, or that it is somebody else; or nothing at all.
    let manifest = onerouter_manifest::unpack(&honest).unwrap().manifest;
    let manifest = serde_json::to_value(&manifest).unwrap();
    let mut secretive = manifest.clone();
    secretive["imports"] = json!([]);
    let mut shouting = manifest;
    shouting["id"] = json!("ACME_TEXTS");
    for (name, manifest) in [
        ("secretive.wasm", secretive),
        ("shouting.wasm", shouting),
        ("silent.wasm", Value::Null),
    ] {
        let bytes = with_manifest(&honest, manifest.to_string().as_bytes());
        std::fs::write(plugins.join(name), bytes).unwrap();
    }
    std::fs::write(plugins.join("naked.wasm"), without_manifest(&honest)).unwrap();

    let mut config = Config::in_folder(&folder.path().join("data"));
    config.plugin_trust.unsigned = UnsignedPlugins::Allow;
    config.plugins_dir = plugins;
    let gateway = Gateway::start(&config, Doubles::default()).await.unwrap();
    let parts = gateway.parts();
    let names: Vec<_> = parts
        .adapters
        .list()
        .iter()
        .map(|adapter| adapter.manifest().id.to_string())
        .collect();
    assert_eq!(names, ["acme-texts"]);
    let mut refused: Vec<_> = parts
        .plugins
        .refused()
        .into_iter()
        .map(|(path, reason)| {
            assert!(reason.len() > 10, "{reason}");
            path.file_name().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            "bare.wasm",
            "cut.wasm",
            "empty.wasm",
            "garbage.wasm",
            "naked.wasm",
            "secretive.wasm",
            "shouting.wasm",
            "silent.wasm"
        ]
    );
    gateway.shutdown().await;
}
