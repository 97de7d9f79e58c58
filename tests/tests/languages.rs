//! Adapters in other languages than Rust: the examples, built by their own commands, pass the conformance kit
//! and serve messages like any other adapter, and their languages give a hostile author nothing more.

use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use onerouter_conformance::{Cassettes, Options, test};
use onerouter_egress::{Egress, EgressConfig};
use onerouter_engine::{Compiler, CompilerProcess, Engine, EngineConfig, LoadError, MacKey};
use onerouter_tests::harness::{Client, Harness, Reply, Setup, built, shared_code_cache};
use onerouter_tests::languages::{Edit, Example};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const TOKEN: &str = "acme-token-1";
const SENDER: &str = "+4930123456";

/// Acme's whole API. A text asks for the answer to it.
#[derive(Debug, Clone, Default)]
struct Acme {
    messages: Arc<Mutex<Vec<Value>>>,
}

impl Acme {
    /// Serves until the tasks are dropped.
    async fn start() -> (String, Self, JoinSet<()>) {
        let acme = Self::default();
        let router = Router::new()
            .route("/v1/messages", post(send))
            .route("/v1/messages/{id}", get(read))
            .with_state(acme.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async { axum::serve(listener, router).await.unwrap() });
        (base, acme, tasks)
    }

    fn messages(&self) -> Vec<Value> {
        self.messages.lock().unwrap().clone()
    }
}

fn is_refused(headers: &HeaderMap) -> bool {
    headers["authorization"] != format!("Bearer {TOKEN}")
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, Json(json!({ "error": code }))).into_response()
}

async fn send(State(acme): State<Acme>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if is_refused(&headers) {
        return error(StatusCode::UNAUTHORIZED, "bad_token");
    }
    let text = body["text"].as_str().unwrap().to_owned();
    let number = {
        let mut messages = acme.messages.lock().unwrap();
        messages.push(body);
        messages.len()
    };
    match text.as_str() {
        "refuse" => error(StatusCode::UNPROCESSABLE_ENTITY, "bad_text"),
        "forbid" => error(StatusCode::FORBIDDEN, "closed"),
        "busy" => {
            let mut busy = error(StatusCode::TOO_MANY_REQUESTS, "busy");
            busy.headers_mut()
                .insert("retry-after", "7".parse().unwrap());
            busy
        }
        "break" => error(StatusCode::INTERNAL_SERVER_ERROR, "oops"),
        "mumble" => (StatusCode::OK, "not JSON at all").into_response(),
        // Its connection ends with it.
        "hang-up" => panic!("no answer to this message"),
        "odd" => Json(json!({"id": "m-1", "state": "flying"})).into_response(),
        _ => Json(json!({"id": format!("m-{number}"), "state": "waiting"})).into_response(),
    }
}

async fn read(headers: HeaderMap, Path(id): Path<String>) -> Response {
    if is_refused(&headers) {
        return error(StatusCode::UNAUTHORIZED, "bad_token");
    }
    if id == "none" {
        return error(StatusCode::NOT_FOUND, "unknown");
    }
    Json(json!({"id": id, "state": "arrived"})).into_response()
}

/// A gateway with one of the examples, connected.
struct Rig {
    host: Harness,
    acme: Acme,
    client: Client,
    example: Example,
    _serving: JoinSet<()>,
}

impl Rig {
    async fn new(example: Example, edits: &[Edit<'_>]) -> Self {
        let plugin = example.plugin(edits);
        let (base, acme, serving) = Acme::start().await;
        let host = Harness::with(Setup {
            components: vec![plugin],
            upstreams: vec![("api.acme-texts.example".to_owned(), base)],
            unconnected: true,
            ..Setup::default()
        })
        .await;
        let connected = connect(&host, example, TOKEN).await;
        assert_eq!(connected.status, 201, "{connected:?}");
        let client = host.key("test").await;
        Self {
            host,
            acme,
            client,
            example,
            _serving: serving,
        }
    }

    async fn send(&self, text: &str) -> Reply {
        let body = json!({"to": "+14155550123", "body": text, "provider": self.example.id()});
        self.client.post("/v1/sms", body).await
    }

    /// A message is sent as if nothing had been.
    async fn serves(&self) {
        let sent = self.send("Hello").await;
        assert_eq!(sent.status, 201, "{sent:?}");
    }
}

async fn connect(host: &Harness, example: Example, token: &str) -> Reply {
    let path = format!("/api/services/sms/{}/connect", example.id());
    let body = json!({"environment": "test", "credentials": {"token": token}, "settings": {"sender": SENDER}});
    host.operator().post(&path, body).await
}

/// Everything that the kit tries with adapters in Rust, with nothing left out: by the engine of a gateway, in
/// a wide place, within the limits of the manifest.
async fn passes_the_kit(example: Example) {
    let plugin = std::fs::read(example.plugin(&[])).unwrap();
    let options = Options {
        code_cache: Some(shared_code_cache()),
        ..Options::new(Cassettes::read(&example.cassettes()).unwrap())
    };
    let report = test(plugin.into(), &options, &|_| {}).await.unwrap();
    assert!(report.passes_strictly(), "{}", report.to_text());
    // Half of a limit is a warning too.
    assert_eq!(report.totals.warned, 0, "{}", report.to_text());
    for operation in ["account.check", "sms.send", "sms.get"] {
        let mut cases = report.cases.iter();
        let tried =
            cases.any(|case| (case.operation, case.scenario.as_str()) == (operation, "cut_off"));
        assert!(tried, "{operation}: {}", report.to_text());
    }
}

/// From the connection to the delivered message, and every error between.
async fn serves_to_the_end(example: Example) {
    let rig = Rig::new(example, &[]).await;

    // Its check of the account is asked when a connection is made.
    let refused = connect(&rig.host, example, "wrong-token-1").await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "provider_auth_failed"),
        "{refused:?}"
    );

    let text = "Grüße aus Köln, Łódź und 東京";
    let sent = rig.send(text).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(
        (sent.text("provider"), sent.text("status")),
        (example.id(), "queued")
    );
    assert_eq!(sent.json["segments"], 1);
    assert_eq!(
        (&sent.json["cost"], &sent.json["cost_currency"]),
        (&json!(0.01), &json!("EUR"))
    );
    let asked = rig.acme.messages().pop().unwrap();
    assert_eq!(
        (&asked["to"], &asked["text"], &asked["from"]),
        (&json!("+14155550123"), &json!(text), &json!(SENDER))
    );
    let path = format!("/v1/sms/{}", sent.text("id"));
    let read = rig.client.get(&path).await;
    assert_eq!(read.text("status"), "delivered", "{read:?}");
    let long = rig.send(&"ä".repeat(161)).await;
    assert_eq!(long.json["segments"], 2, "{long:?}");

    let picture = json!({"to": "+14155550123", "body": "Look", "media_urls": ["https://example.com/a.png"],
        "provider": example.id()});
    let picture = rig.client.post("/v1/sms", picture).await;
    assert_eq!(picture.status, 422, "{picture:?}");
    assert_eq!(picture.pointers(), ["/media_urls"]);

    for (text, status, code, theirs) in [
        ("refuse", 422, "provider_rejected", Some("bad_text")),
        ("forbid", 422, "provider_rejected", Some("closed")),
        ("busy", 429, "provider_rate_limited", Some("busy")),
        ("break", 504, "outcome_unknown", None),
        ("mumble", 504, "outcome_unknown", None),
        ("odd", 504, "outcome_unknown", None),
        ("hang-up", 504, "outcome_unknown", None),
    ] {
        let reply = rig.send(text).await;
        assert_eq!(
            (reply.status, reply.code()),
            (status, code),
            "{text}: {reply:?}"
        );
        if let Some(theirs) = theirs {
            assert_eq!(reply.json["provider"]["code"], theirs, "{text}: {reply:?}");
        }
        if text == "busy" {
            assert_eq!(reply.header("retry-after"), Some("7"), "{reply:?}");
        }
    }
    rig.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_in_python_passes_the_kit_and_serves_a_message_to_the_end() {
    // One after the other: what the kit has compiled, the gateway need not.
    passes_the_kit(Example::Python).await;
    serves_to_the_end(Example::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_in_javascript_passes_the_kit_and_serves_a_message_to_the_end() {
    passes_the_kit(Example::JavaScript).await;
    serves_to_the_end(Example::JavaScript).await;
}

/// What does not end well before anything is sent, text by text; a message in between is served.
async fn breaks_alone(example: Example, edits: &[Edit<'_>], tricks: &[&str]) {
    let rig = Rig::new(example, edits).await;
    for trick in tricks {
        let reply = rig.send(trick).await;
        assert_eq!(
            (reply.status, reply.code()),
            (502, "plugin_fault"),
            "{trick}: {reply:?}"
        );
        rig.serves().await;
    }
    // What was asked for in one call is not there in the next.
    let counted = rig.send("count").await;
    let again = rig.send("count").await;
    assert_eq!((counted.status, again.status), (201, 201), "{again:?}");
    let texts: Vec<_> = rig
        .acme
        .messages()
        .iter()
        .filter_map(|message| message["text"].as_str().map(str::to_owned))
        .filter(|text| text.starts_with("count"))
        .collect();
    assert_eq!(texts, ["count 1", "count 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_adapter_in_javascript_breaks_alone() {
    let edits = [(
        "src/app.js",
        "  send: reported((request) => {\n",
        "  send: reported((request) => {
    if (request.body === 'loop') { while (true) { globalThis.turns = 1; } }
    if (request.body === 'allocate') { const all = []; while (true) { all.push(new Uint8Array(1 << 20).fill(1)); } }
    if (request.body === 'pattern') { /^(a+)+$/.test('a'.repeat(64) + 'b'); }
    if (request.body === 'count') { globalThis.count = (globalThis.count ?? 0) + 1; request.body = `count ${globalThis.count}`; }
",
    )];
    breaks_alone(
        Example::JavaScript,
        &edits,
        &["loop", "allocate", "pattern"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_adapter_in_python_breaks_alone() {
    let edits = [(
        "src/app.py",
        "    def send(self, request: SendRequest) -> Message:\n",
        "    def send(self, request: SendRequest) -> Message:
        if request.body == 'loop':
            while True:
                pass
        if request.body == 'allocate':
            everything = []
            while True:
                everything.append(bytearray(1 << 20))
        if request.body == 'file':
            open('/etc/passwd').read()
        if request.body == 'socket':
            import socket
            socket.create_connection(('127.0.0.1', 80))
        if request.body == 'count':
            Sms.count = getattr(Sms, 'count', 0) + 1
            request.body = f'count {Sms.count}'
",
    )];
    breaks_alone(
        Example::Python,
        &edits,
        &["loop", "allocate", "file", "socket"],
    )
    .await;
}

/// The engine of a gateway whose compiler may use so much.
fn compiling_within(cpu_s: u64, memory_bytes: u64) -> Engine {
    let config = EngineConfig {
        compiler: Compiler::Apart(CompilerProcess {
            program: built("ONEROUTER_TEST_BIN", "debug/onerouter"),
            cpu_s,
            memory_bytes,
        }),
        ..EngineConfig::new(MacKey::new([7; 32]))
    };
    let egress = Egress::new(EgressConfig::default()).unwrap();
    Engine::new(config, Arc::new(egress)).unwrap()
}

/// An interpreter takes ten seconds to compile. Whose time or memory is up is killed by the kernel, and
/// the gateway goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiling_ends_with_its_time_or_its_memory() {
    let large = std::fs::read(Example::JavaScript.plugin(&[])).unwrap();
    let hurried = compiling_within(1, 4 << 30);
    let error = hurried.load(large.clone().into()).await.unwrap_err();
    assert!(matches!(error, LoadError::TooDemanding(_)), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("1 s of CPU time, 4096 MiB of memory"),
        "{said}"
    );

    let cramped = compiling_within(120, 160 << 20);
    let error = cramped.load(large.into()).await.unwrap_err();
    assert!(
        matches!(error, LoadError::TooDemanding(_) | LoadError::Compile(_)),
        "{error}"
    );

    let small = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures").join("acme-texts.wasm");
    let small = std::fs::read(small).unwrap();
    let adapter = hurried.load(small.into()).await.unwrap();
    assert!(!adapter.is_wide());
}
