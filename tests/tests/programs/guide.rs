//! The guide for authors, followed to its end for every category: what it says to type is what is run.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segment, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_tests::harness::{Client, Harness, Setup, built};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::task::JoinSet;

use crate::program::Program;

const TOKEN: &str = "acme-token-1";
const HOST: &str = "api.example.com";

/// A fenced block of the guide: the first of a language behind a heading.
fn block(heading: &str, language: &str) -> String {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/guides/plugin-authors.md"
    );
    let guide = std::fs::read_to_string(path).unwrap();
    let (_, section) = guide.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let (_, block) = section.split_once(&format!("\n```{language}\n")).unwrap();
    block.split("\n```").next().unwrap().to_owned()
}

/// Types what the guide says, in a folder that is the same at each run: so cargo has only what has changed to
/// compile. The built plugin.
fn follow(category: &str, name: &str) -> PathBuf {
    let fixtures = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures");
    let place = fixtures.canonicalize().unwrap().with_file_name("authors");
    std::fs::create_dir_all(&place).unwrap();
    let project = place.join(name);
    if project.exists() {
        std::fs::remove_dir_all(&project).unwrap();
    }
    let steps = [
        block("1. A project", "sh"),
        "cargo fmt --check".to_owned(),
        block("7. Build, check, inspect", "sh"),
        "onerouter plugin check --json >target/check.json".to_owned(),
    ]
    .join("\n")
    .replace(
        "--category sms acme-texts",
        &format!("--category {category} {name}"),
    )
    .replace("acme-texts", name);
    let program = Program::binary();
    let program = program.canonicalize().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", &steps])
        .current_dir(&place)
        .env_clear()
        .env(
            "PATH",
            format!("{}:{path}", program.parent().unwrap().display()),
        )
        .env("CARGO_TARGET_DIR", place.join("target"))
        .stdin(Stdio::null());
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Some(value) = std::env::var_os(name) {
            shell.env(name, value);
        }
    }
    let output = shell.output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    let data = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{data}\n{talk}");
    let tests = data
        .lines()
        .find(|line| line.starts_with("test result: ok."));
    let tests = tests.unwrap_or_else(|| panic!("{data}\n{talk}"));
    assert!(!tests.contains(" 0 passed"), "{tests}");
    assert!(data.contains(&format!("({name})")), "{data}");
    let check = std::fs::read_to_string(project.join("target/check.json")).unwrap();
    let check: Value = serde_json::from_str(&check).unwrap();
    assert_eq!(check["fit"], true, "{check}");
    // What a template leaves to say is what the author has to fill in.
    for finding in check["findings"].as_array().unwrap() {
        let code = finding["code"].as_str().unwrap();
        let is_expected = ["publisher", "reserved_host", "source"].contains(&code);
        assert!(is_expected, "{finding}");
    }
    project.join(format!("target/{name}.wasm"))
}

/// A gateway with the plugin, connected as the guide says.
async fn gateway(plugin: &Path, provider: String, service: &str) -> (Harness, Client) {
    let host = Harness::with(Setup {
        components: vec![plugin.to_owned()],
        upstreams: vec![(HOST.to_owned(), provider)],
        unconnected: true,
        ..Setup::default()
    })
    .await;
    let name = plugin.file_stem().unwrap().to_str().unwrap();
    let connect = format!("/api/services/{service}/{name}/connect");
    let settings = match service {
        "sms" => json!({"from_number": "+4915112345678"}),
        "email" => json!({"from_email": "Shop <shop@example.com>"}),
        _ => json!({}),
    };
    let body = |token: &str| {
        json!({
            "environment": "test",
            "credentials": {"token": token, "webhook_secret": "hook-secret-1"},
            "settings": settings,
        })
    };
    let operator = host.operator();
    let wrong = operator.post(&connect, body("another-token")).await;
    assert_eq!(wrong.code(), "provider_auth_failed", "{wrong:?}");
    let connected = operator.post(&connect, body(TOKEN)).await;
    assert_eq!(connected.status, 201, "{connected:?}");
    let client = host.key("test").await;
    (host, client)
}

/// The provider that the guide plays, ended with the test.
struct Acme(Child);

impl Acme {
    fn start() -> (Self, String) {
        let fixed = "HTTPServer((\"127.0.0.1\", 4010), Acme).serve_forever()";
        let free = "server = HTTPServer((\"127.0.0.1\", 0), Acme)\nprint(server.server_port, flush=True)\nserver.serve_forever()";
        let source = block("8. Try it", "python");
        assert!(source.contains(fixed));
        let mut acme = Command::new("python3")
            .args(["-c", &source.replace(fixed, free)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut data = BufReader::new(acme.stdout.take().unwrap());
        data.read_line(&mut port).unwrap();
        (Self(acme), format!("http://127.0.0.1:{}", port.trim()))
    }
}

impl Drop for Acme {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test]
async fn whoever_follows_the_guide_has_a_plugin_that_serves() {
    let plugin = follow("sms", "acme-texts");
    let (_acme, base) = Acme::start();
    let (host, client) = gateway(&plugin, base, "sms").await;
    texts(&host, &client).await;

    let plugin = follow("email", "acme-post");
    let (base, _serving) = provider().await;
    let (_host, client) = gateway(&plugin, base, "email").await;
    emails(&client).await;

    let plugin = follow("payments", "acme-pay");
    let (base, _serving) = provider().await;
    let (_host, client) = gateway(&plugin, base, "payments").await;
    payments(&client).await;
}

async fn texts(host: &Harness, client: &Client) {
    let text = |to: &str| json!({"to": to, "body": "Grüße"});
    let sent = client.post("/v1/sms", text("+4915187654321")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(
        (sent.text("provider"), sent.text("status")),
        ("acme-texts", "queued")
    );
    assert_eq!(sent.json["cost_source"], "estimate");
    let path = format!("/v1/sms/{}", sent.text("id"));
    assert_eq!(client.get(&path).await.text("status"), "sent");

    let refused = client.post("/v1/sms", text("+4915187654000")).await;
    assert_eq!(refused.code(), "provider_rejected", "{refused:?}");
    assert_eq!(refused.json["provider"]["code"], "invalid_recipient");
    let mut later = text("+4915187654321");
    later["send_at"] = json!("2100-01-01T00:00:00Z");
    let unsupported = client.post("/v1/sms", later).await;
    assert_eq!(unsupported.pointers(), ["/send_at"], "{unsupported:?}");

    // The provider tells that it has arrived, and nobody else can.
    let connection = host.operator().connection("acme-texts").await;
    let hook = format!("/webhooks/acme-texts/{connection}");
    let event = json!({"id": "evt_1", "type": "message.delivered", "message": {"id": "msg_1", "status": "delivered"}});
    let event = event.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"hook-secret-1").unwrap();
    mac.update(event.as_bytes());
    let signature: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let told = |signature: &str| {
        let provider = host.client("none").with("x-example-signature", signature);
        let body = event.clone().into_bytes();
        let hook = hook.clone();
        async move {
            provider
                .send(reqwest::Method::POST, &hook, Some(body))
                .await
        }
    };
    assert_eq!(told(&signature.replace('a', "b")).await.status, 401);
    assert_eq!(client.get(&path).await.text("status"), "sent");
    assert_eq!(told(&signature).await.status, 200);
    let read = client.get(&format!("{path}?refresh=false")).await;
    assert_eq!(read.text("status"), "delivered", "{read:?}");
}

async fn emails(client: &Client) {
    let email = json!({
        "to": "Ada <ada@example.com>", "subject": "Grüße", "text_body": "Hello", "html_body": "<p>Hello</p>",
        "attachments": [{"filename": "a.txt", "content": "aGk=", "content_type": "text/plain"}],
        "tags": {"kind": "welcome"},
    });
    let sent = client.post("/v1/email", email).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(sent.text("status"), "queued");
    let read = client.get(&format!("/v1/email/{}", sent.text("id"))).await;
    assert_eq!(read.text("status"), "delivered", "{read:?}");
}

async fn payments(client: &Client) {
    for (amount, currency, shown) in [
        ("500.00", "INR", "500.00"),
        ("500", "JPY", "500"),
        ("5.25", "KWD", "5.250"),
    ] {
        let payment = json!({"amount": amount, "currency": currency, "description": "Tea"});
        let created = client.post("/v1/payments", payment).await;
        assert_eq!(created.status, 201, "{created:?}");
        assert_eq!(created.text("status"), "requires_action");
        assert_eq!(
            created.text("checkout_url"),
            "https://pay.example.com/ord_1"
        );
        let text = String::from_utf8(created.bytes.clone()).unwrap();
        assert!(text.contains(&format!("\"amount\":{shown},")), "{text}");
        let path = format!("/v1/payments/{}", created.text("id"));
        let paid = client.get(&path).await;
        assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
        assert_eq!(paid.text("provider_payment_id"), "pmt_1");

        let refund = json!({"payment_id": created.text("id"), "amount": amount});
        let refunded = client.post("/v1/refunds", refund).await;
        assert_eq!(refunded.status, 201, "{refunded:?}");
        assert_eq!(refunded.text("status"), "succeeded");
    }
    let other = json!({"amount": "5.00", "currency": "CHF"});
    let other = client.post("/v1/payments", other).await;
    assert_eq!(other.code(), "unsupported_by_provider", "{other:?}");
}

/// What the provider of the two other templates was last asked for.
type Last = Arc<Mutex<Value>>;

/// Their API: one e-mail that arrives, one order that is paid when it is looked at.
async fn provider() -> (String, JoinSet<()>) {
    let router = Router::new()
        .route("/v1/account", get(account))
        .route("/v1/emails", post(send))
        .route("/v1/emails/{id}", get(delivered))
        .route("/v1/orders", post(order))
        .route("/v1/orders/{id}", get(paid))
        .route("/v1/orders/{id}/refunds", post(refund))
        .with_state(Last::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async { axum::serve(listener, router).await.unwrap() });
    (base, tasks)
}

async fn account(headers: HeaderMap) -> (StatusCode, Json<Value>) {
    if headers["authorization"] == format!("Bearer {TOKEN}") {
        (StatusCode::OK, Json(json!({"id": "acc_1"})))
    } else {
        let error = json!({"error": {"code": "bad_token", "message": "bad token"}});
        (StatusCode::UNAUTHORIZED, Json(error))
    }
}

async fn send(headers: HeaderMap, Json(body): Json<Value>) -> Json<Value> {
    assert!(!headers["idempotency-key"].is_empty());
    assert_eq!(
        body,
        json!({
            "from": "Shop <shop@example.com>", "to": ["Ada <ada@example.com>"], "subject": "Grüße",
            "html": "<p>Hello</p>", "text": "Hello",
            "attachments": [{"filename": "a.txt", "content": "aGk=", "content_type": "text/plain"}],
            "tags": {"kind": "welcome"},
        })
    );
    Json(json!({"id": "eml_1", "status": "queued"}))
}

async fn delivered(Segment(id): Segment<String>) -> Json<Value> {
    Json(json!({"id": id, "status": "delivered"}))
}

async fn order(
    State(last): State<Last>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Json<Value> {
    assert!(!headers["idempotency-key"].is_empty());
    assert_eq!(body["capture"], "automatic");
    *last.lock().unwrap() = body.clone();
    // One order with a new id for each, as there may be no second one under an id.
    let order = json!({
        "id": format!("ord_{}", body["reference"].as_str().unwrap()), "status": "open",
        "amount": body["amount"], "currency": body["currency"], "captured": "0",
        "checkout_url": "https://pay.example.com/ord_1",
    });
    Json(order)
}

async fn paid(State(last): State<Last>, Segment(id): Segment<String>) -> Json<Value> {
    let order = last.lock().unwrap();
    Json(json!({
        "id": id, "payment_id": "pmt_1", "status": "paid", "method": "card",
        "amount": order["amount"], "currency": order["currency"], "captured": order["amount"],
    }))
}

async fn refund(Segment(_id): Segment<String>, Json(body): Json<Value>) -> Json<Value> {
    let reference = body["reference"].as_str().unwrap();
    Json(json!({
        "id": format!("ref_{reference}"), "status": "done",
        "amount": body["amount"], "currency": body["currency"],
    }))
}
