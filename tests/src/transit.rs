//! HashiCorp Vault's transit engine, as far as a gateway asks it. It really encrypts, under versions
//! of keys and with associated data, and it can be made to misbehave.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

/// Of every engine, until it is changed.
pub const TOKEN: &str = "hvs.test-token-0123456789";

/// What it does with the requests that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers them.
    Sound,
    /// Refuses them all, with this status.
    Status(u16),
    /// Sends them elsewhere: to itself.
    Redirects,
    /// Never answers.
    Silent,
    /// Encrypts so often, then never answers again.
    SilentAfter(usize),
    /// Gives an answer that does not end.
    Endless,
    /// Gives this answer.
    Says(&'static str),
    /// As servers before 1.13: takes no notice of associated data.
    IgnoresPlaces,
}

/// One engine, mounted at `transit`. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct TransitEngine {
    /// `http://127.0.0.1:…`
    pub address: String,
    engine: Arc<Engine>,
}

#[derive(Debug)]
struct Engine {
    keys: Mutex<HashMap<String, Key>>,
    behaviour: Mutex<Behaviour>,
    token: Mutex<String>,
    requests: AtomicUsize,
    /// Requests that will never be answered.
    held: AtomicUsize,
    nonces: AtomicUsize,
}

#[derive(Debug, Default)]
struct Key {
    versions: Vec<[u8; 32]>,
    min_decryption_version: usize,
}

impl TransitEngine {
    /// With one version of each of these keys.
    pub async fn start(keys: &[&str]) -> Self {
        let engine = Arc::new(Engine {
            keys: Mutex::default(),
            behaviour: Mutex::new(Behaviour::Sound),
            token: Mutex::new(TOKEN.to_owned()),
            requests: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            nonces: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/v1/transit/encrypt/{key}", post(encrypt))
            .route("/v1/transit/decrypt/{key}", post(decrypt))
            .route("/v1/transit/keys/{key}", get(describe))
            .with_state(Arc::clone(&engine));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let engine = Self { address, engine };
        for key in keys {
            engine.rotate(key);
        }
        engine
    }

    /// Gives a key its next version.
    pub fn rotate(&self, key: &str) {
        let mut keys = self.engine.keys.lock().unwrap();
        let bytes = [Uuid::now_v7().into_bytes(), Uuid::now_v7().into_bytes()];
        let versions = &mut keys.entry(key.to_owned()).or_default().versions;
        versions.push(bytes.concat().try_into().unwrap());
    }

    /// Versions before this one decrypt no more.
    pub fn forbid_versions_before(&self, key: &str, version: usize) {
        let mut keys = self.engine.keys.lock().unwrap();
        keys.get_mut(key).unwrap().min_decryption_version = version;
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.engine.behaviour.lock().unwrap() = behaviour;
    }

    /// Knows another token from now on, and the one before no more.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut self.engine.token.lock().unwrap());
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.engine.requests.load(Ordering::Relaxed)
    }

    /// How many requests will never be answered.
    pub fn held(&self) -> usize {
        self.engine.held.load(Ordering::Relaxed)
    }
}

impl Engine {
    /// What everybody is answered before anything else is looked at.
    async fn admit(&self, headers: &HeaderMap, encrypts: bool) -> Result<(), Response> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let behaviour = {
            let mut behaviour = self.behaviour.lock().unwrap();
            let now = *behaviour;
            if let Behaviour::SilentAfter(left) = now
                && encrypts
                && left > 0
            {
                *behaviour = Behaviour::SilentAfter(left - 1);
            }
            now
        };
        match behaviour {
            Behaviour::Sound | Behaviour::IgnoresPlaces => {}
            Behaviour::SilentAfter(left) if left > 0 || !encrypts => {}
            Behaviour::Silent | Behaviour::SilentAfter(_) => {
                self.held.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
            Behaviour::Status(status) => return Err(refused(status, "as it was told")),
            Behaviour::Redirects => {
                let location = [("location", "/v1/transit/keys/elsewhere")];
                return Err((StatusCode::TEMPORARY_REDIRECT, location).into_response());
            }
            Behaviour::Endless => {
                let spaces = Ok::<_, Infallible>(Bytes::from_static(&[b' '; 16 * 1024]));
                let body = Body::from_stream(futures_util::stream::repeat(spaces));
                return Err(Response::new(body));
            }
            Behaviour::Says(text) => return Err(text.into_response()),
        }
        let token = headers.get("x-vault-token").map(|token| token.as_bytes());
        if token != Some(self.token.lock().unwrap().as_bytes()) {
            return Err(refused(403, "permission denied"));
        }
        Ok(())
    }

    fn ignores_places(&self) -> bool {
        *self.behaviour.lock().unwrap() == Behaviour::IgnoresPlaces
    }
}

async fn encrypt(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refusal) = engine.admit(&headers, true).await {
        return refusal;
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let keys = engine.keys.lock().unwrap();
    let Some(key) = keys.get(&name) else {
        return refused(400, "encryption key not found");
    };
    let version = key.versions.len();
    let mut nonce = [0; 12];
    let count = engine.nonces.fetch_add(1, Ordering::Relaxed);
    nonce[..8].copy_from_slice(&count.to_be_bytes());
    let aad = place(&engine, &body);
    let msg = field(&body, "plaintext");
    let payload = Payload {
        msg: &msg,
        aad: &aad,
    };
    let cipher = Aes256Gcm::new(&key.versions[version - 1].into());
    let sealed = cipher.encrypt(&Nonce::from(nonce), payload).unwrap();
    let text = STANDARD.encode([nonce.as_slice(), &sealed].concat());
    answer(json!({"ciphertext": format!("vault:v{version}:{text}"), "key_version": version}))
}

async fn decrypt(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refusal) = engine.admit(&headers, false).await {
        return refusal;
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let keys = engine.keys.lock().unwrap();
    let Some(key) = keys.get(&name) else {
        return refused(400, "encryption key not found");
    };
    let aad = place(&engine, &body);
    match open(key, body["ciphertext"].as_str().unwrap(), &aad) {
        Some(plaintext) => answer(json!({"plaintext": STANDARD.encode(plaintext)})),
        None => refused(400, "cipher: message authentication failed"),
    }
}

async fn describe(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = engine.admit(&headers, false).await {
        return refusal;
    }
    let keys = engine.keys.lock().unwrap();
    let Some(key) = keys.get(&name) else {
        return refused(404, "");
    };
    answer(json!({
        "name": name, "type": "aes256-gcm96", "latest_version": key.versions.len(),
        "min_decryption_version": key.min_decryption_version,
    }))
}

fn open(key: &Key, text: &str, aad: &[u8]) -> Option<Vec<u8>> {
    let (version, sealed) = text.strip_prefix("vault:v")?.split_once(':')?;
    let version: usize = version.parse().ok()?;
    if version < key.min_decryption_version {
        return None;
    }
    let bytes = key.versions.get(version.checked_sub(1)?)?;
    let sealed = STANDARD.decode(sealed).ok()?;
    let (nonce, msg) = sealed.split_first_chunk::<12>()?;
    let cipher = Aes256Gcm::new(bytes.into());
    cipher
        .decrypt(&Nonce::from(*nonce), Payload { msg, aad })
        .ok()
}

fn place(engine: &Engine, body: &Value) -> Vec<u8> {
    if engine.ignores_places() {
        return Vec::new();
    }
    field(body, "associated_data")
}

fn field(body: &Value, name: &str) -> Vec<u8> {
    STANDARD.decode(body[name].as_str().unwrap()).unwrap()
}

fn answer(data: Value) -> Response {
    let whole = json!({
        "request_id": Uuid::now_v7(), "lease_id": "", "renewable": false, "lease_duration": 0,
        "data": data, "wrap_info": null, "warnings": null, "auth": null,
    });
    axum::Json(whole).into_response()
}

fn refused(status: u16, error: &str) -> Response {
    let errors = if error.is_empty() {
        json!({"errors": []})
    } else {
        json!({"errors": [error]})
    };
    (StatusCode::from_u16(status).unwrap(), axum::Json(errors)).into_response()
}
