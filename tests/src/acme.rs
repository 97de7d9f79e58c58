//! Acme Texts: a provider that exists nowhere, versions of its plugin, and whoever signs them.
//!
//! The code of every version is the same; each attaches its credential in a header of its own name, by
//! which the provider sees which version a request came from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segment, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{TimeDelta, Utc};
use onerouter_registry::client::sidecar_of;
use onerouter_registry::{Digest, KeyPair, Statement};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::component::with_manifest;
use crate::harness::{Client, Reply, built};

/// The provider's host.
pub const HOST: &str = "api.acme-texts.example";
/// A token that the provider turns away, for the next connection to be tried.
pub const BUSY_TOKEN: &str = "acme-token-busy";
/// One that it takes.
pub const TOKEN: &str = "acme-token-1";

/// A request that the provider has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which version of the plugin it came from.
    pub version: String,
    /// Whose it was.
    pub token: String,
    /// The text of the message.
    pub text: String,
}

/// Whether answers are held back, and how often they were let go.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    is_held: bool,
    releases: u64,
}

#[derive(Debug)]
struct Provider {
    seen: Mutex<Vec<Seen>>,
    /// Requests that have come.
    arrived: watch::Sender<usize>,
    /// Requests that have come and are not answered.
    in_flight: watch::Sender<usize>,
    held: watch::Sender<Held>,
}

/// The provider.
#[derive(Debug)]
pub struct Acme {
    /// Where it listens.
    pub base: String,
    provider: Arc<Provider>,
    _serving: JoinSet<()>,
}

impl Acme {
    /// Starts it.
    pub async fn start() -> Self {
        let provider = Arc::new(Provider {
            seen: Mutex::default(),
            arrived: watch::Sender::new(0),
            in_flight: watch::Sender::new(0),
            held: watch::Sender::new(Held::default()),
        });
        let router = Router::new()
            .route("/v1/messages", post(send))
            .route("/v1/messages/{id}", get(read))
            .with_state(Arc::clone(&provider));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async { axum::serve(listener, router).await.unwrap() });
        Self {
            base,
            provider,
            _serving: serving,
        }
    }

    /// Every message that it was sent, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.provider.seen.lock().unwrap().clone()
    }

    /// The same, and forgets them.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.provider.seen.lock().unwrap())
    }

    /// Which versions sent messages with this text.
    pub fn versions_of(&self, text: &str) -> Vec<String> {
        let seen = self.seen().into_iter().filter(|seen| seen.text == text);
        seen.map(|seen| seen.version).collect()
    }

    /// Holds answers back, or lets all go that are held, though others may be held right after.
    pub fn hold(&self, is_held: bool) {
        self.provider.held.send_modify(|held| {
            held.is_held = is_held;
            held.releases += u64::from(!is_held);
        });
    }

    /// Waits until so many requests are under way.
    pub async fn until_in_flight(&self, count: usize) {
        let mut in_flight = self.provider.in_flight.subscribe();
        in_flight.wait_for(|now| *now >= count).await.unwrap();
    }

    /// Waits until so many requests have come, since the start.
    pub async fn until_arrived(&self, count: usize) {
        let mut arrived = self.provider.arrived.subscribe();
        arrived.wait_for(|arrived| *arrived >= count).await.unwrap();
    }
}

async fn send(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let (version, token) = headers
        .iter()
        .find_map(|(name, value)| {
            let version = name.as_str().strip_prefix("x-acme-")?;
            Some((
                version.replace('-', "."),
                value.to_str().unwrap().to_owned(),
            ))
        })
        .unwrap_or_default();
    provider.seen.lock().unwrap().push(Seen {
        version,
        token: token.clone(),
        text: body["text"].as_str().unwrap_or_default().to_owned(),
    });
    // Never the same id twice, whatever was forgotten.
    let mut number = 0;
    provider.arrived.send_modify(|arrived| {
        *arrived += 1;
        number = *arrived;
    });
    provider.in_flight.send_modify(|in_flight| *in_flight += 1);
    let mut held = provider.held.subscribe();
    let before = held.borrow().releases;
    // The provider ends with the test.
    let _ended = held
        .wait_for(|held| !held.is_held || held.releases > before)
        .await;
    provider.in_flight.send_modify(|in_flight| *in_flight -= 1);
    if token == BUSY_TOKEN {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    Json(json!({"id": format!("m-{number}"), "state": "waiting"})).into_response()
}

async fn read(Segment(id): Segment<String>) -> Json<Value> {
    Json(json!({"id": id, "state": "arrived"}))
}

/// A version of the plugin.
pub fn component(version: &str) -> Vec<u8> {
    changed(version, |_| {})
}

/// A version whose manifest says something else besides.
pub fn changed(version: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    of_fixture("acme-texts", version, |manifest| {
        manifest["auth"]["token"] = json!({
            "scheme": "header", "name": format!("X-Acme-{}", version.replace('.', "-")), "value": "token",
        });
        change(manifest);
    })
}

/// A version of another fixture.
pub fn of_fixture(name: &str, version: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let file = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures").join(format!("{name}.wasm"));
    let component = std::fs::read(file).unwrap();
    let manifest = onerouter_manifest::unpack(&component).unwrap().manifest;
    let mut manifest = serde_json::to_value(manifest).unwrap();
    manifest["version"] = json!(version);
    change(&mut manifest);
    with_manifest(&component, manifest.to_string().as_bytes())
}

/// What a publisher says about a component.
pub fn statement(component: &[u8], key: &KeyPair) -> Statement {
    let manifest = onerouter_manifest::unpack(component).unwrap().manifest;
    let issued = Utc::now();
    Statement {
        name: manifest.id,
        version: manifest.version,
        component: Digest::of(component),
        publisher: key.public(),
        issued,
        expires: issued + TimeDelta::days(30),
    }
}

/// Writes a component, and what its publisher says beside it.
pub fn write_signed(path: &Path, component: &[u8], key: &KeyPair) -> PathBuf {
    std::fs::write(path, component).unwrap();
    let envelope = statement(component, key).sign(key).unwrap().to_json();
    let bytes: &[u8] = envelope.as_ref();
    std::fs::write(sidecar_of(path), bytes).unwrap();
    path.to_owned()
}

/// Installs a version, and once more with consent where it may do more than the one that serves: the last
/// answer.
pub async fn install_agreeing(operator: &Client, body: Value) -> Reply {
    let install = "/api/plugins/install";
    let first = operator.post(install, body.clone()).await;
    assert!([200, 201].contains(&first.status), "{first:?}");
    let digest = &first.json["permissions_digest"];
    if digest.is_null() {
        return first;
    }
    let mut agreed = body;
    agreed["approve_permissions"] = digest.clone();
    let second = operator.post(install, agreed).await;
    assert_eq!(
        (second.status, &second.json["permissions_digest"]),
        (200, &Value::Null),
        "{second:?}"
    );
    second
}

/// Lets an installed version serve everybody, with consent to all that it may do more.
pub async fn activate_agreeing(operator: &Client, version: &str) -> Reply {
    let plugin = operator.get("/api/plugins/acme-texts").await;
    let mut versions = plugin.json["installations"].as_array().unwrap().iter();
    let installed = versions.find(|one| one["version"] == version).unwrap();
    let body = json!({"version": version, "approve_permissions": installed["permissions_digest"]});
    let path = "/api/plugins/acme-texts/activate";
    operator.post(path, body).await
}

/// Connects a tenant to the provider.
pub async fn connect(operator: &Client, token: &str, label: &str) {
    let body = json!({
        "environment": "test", "credentials": {"token": token}, "label": label,
        "settings": {"sender": "+4930123456"},
    });
    let connected = operator
        .post("/api/services/sms/acme-texts/connect", body)
        .await;
    assert_eq!(connected.status, 201, "{connected:?}");
}

/// A message with this text.
pub fn message(text: &str) -> Value {
    json!({"to": "+14155550123", "body": text})
}

/// Ids of an operator's connections, by label.
pub async fn connections(operator: &Client) -> HashMap<String, String> {
    let listed = operator.get("/api/services").await;
    let data = listed.json["data"].as_array().unwrap().iter();
    data.map(|one| {
        let text = |name: &str| one[name].as_str().unwrap().to_owned();
        (text("label"), text("id"))
    })
    .collect()
}
