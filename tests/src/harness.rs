//! A gateway in this process, with the provider sandbox, real compiled plugins and a database of its
//! own.
//!
//! ```no_run
//! # async fn example() {
//! use onerouter_tests::harness::Harness;
//! let host = Harness::start().await;
//! let acme = host.key("test").await;
//! let sms = acme.post("/v1/sms", serde_json::json!({"to": "+14155550123", "body": "Hi"})).await;
//! assert_eq!(sms.status, 201);
//! # }
//! ```

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use onerouter::clock::Clock;
use onerouter::config::{Config, PluginTrust, UnsignedPlugins, WebhookTargets};
use onerouter::gateway::{Doubles, Gateway};
use onerouter_conformance::CodeCache;
use onerouter_egress::Resolve;
use onerouter_engine::MacKey;
use onerouter_sandbox::{ManualClock, Sandbox, SandboxConfig};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The operator's token of every harness.
pub const ADMIN_TOKEN: &str = "test-admin-token-0123456789";

/// What a harness is made of.
#[derive(Debug, Default)]
pub struct Setup {
    /// A PostgreSQL or SQLite URL; SQLite in the harness's folder when left out.
    pub database_url: Option<String>,
    /// Whose plugins run: then there are no bundled ones, which nobody has signed, and nothing is connected.
    pub plugin_trust: Option<PluginTrust>,
    /// Plugins to load besides the bundled ones: names of fixtures.
    pub fixtures: Vec<&'static str>,
    /// Packed components to load besides, wherever they are.
    pub components: Vec<PathBuf>,
    /// Further overrides: host and base URL.
    pub upstreams: Vec<(String, String)>,
    /// A marketplace registry that plugins may come from.
    pub registry_url: Option<String>,
    /// Start without connecting the sandbox's providers.
    pub unconnected: bool,
    /// A data folder to go on with, as after a crash.
    pub data_dir: Option<PathBuf>,
    /// Where buyers reach the gateway, if not where it listens.
    pub public_url: Option<String>,
    /// Proxies whose word counts for where a request comes from.
    pub trusted_proxies: Vec<&'static str>,
    /// Webhook endpoints may be public ones only, as an operator has it who says nothing; else any.
    pub public_webhook_targets: bool,
    /// How many webhooks of its provider a connection may get at once.
    pub webhook_burst: Option<std::num::NonZeroU32>,
    /// Knows the addresses of webhook endpoints.
    pub webhook_resolver: Option<Arc<dyn Resolve>>,
}

/// A gateway with everything around it. Nothing happens in the background: call
/// [`Harness::sweep`].
#[derive(Debug)]
pub struct Harness {
    pub gateway: Gateway,
    pub sandbox: Sandbox,
    /// The gateway's clock; ids and the network keep real time.
    pub clock: Clock,
    /// The sandbox's clock.
    pub sandbox_clock: Arc<ManualClock>,
    pub http: reqwest::Client,
    pub folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    /// `null` where the body is not JSON.
    pub json: Value,
}

impl Reply {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A text field of the body.
    #[track_caller]
    pub fn text(&self, field: &str) -> &str {
        self.json[field]
            .as_str()
            .unwrap_or_else(|| panic!("no text {field} in {self:?}"))
    }

    /// The code of a problem document.
    #[track_caller]
    pub fn code(&self) -> &str {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        self.text("code")
    }

    /// The pointers of a problem document's mistakes.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect()
    }
}

/// Somebody who calls the gateway with a token.
#[derive(Debug, Clone)]
pub struct Client {
    pub base: String,
    pub token: String,
    http: reqwest::Client,
    headers: HeaderMap,
}

impl Client {
    /// Somebody with this token, at this address.
    pub fn at(base: &str, token: &str, http: &reqwest::Client) -> Self {
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            http: http.clone(),
            headers: HeaderMap::new(),
        }
    }

    /// The same client with one more header.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        );
        client
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body.to_string().into_bytes()))
            .await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, Some(body.to_string().into_bytes()))
            .await
    }

    /// The id of an operator's connection to a provider.
    pub async fn connection(&self, provider: &str) -> String {
        let listed = self.get("/api/services").await;
        let connections = listed.json["data"].as_array().unwrap();
        let found = connections.iter().find(|one| one["provider"] == provider);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Any method and any bytes, as JSON.
    pub async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Reply {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .headers(self.headers.clone());
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        reply(request.send().await.unwrap()).await
    }
}

/// Reads an answer to its end.
pub async fn reply(response: reqwest::Response) -> Reply {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap().to_vec();
    let json = serde_json::from_slice(&bytes).unwrap_or_default();
    Reply {
        status,
        headers,
        bytes,
        json,
    }
}

impl Harness {
    /// A gateway on SQLite with the bundled plugins connected to the sandbox.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// A gateway as a test wants it.
    pub async fn with(setup: Setup) -> Self {
        let sandbox_clock = Arc::new(ManualClock::new(chrono::Utc::now()));
        let sandbox = Sandbox::start(SandboxConfig {
            clock: Arc::clone(&sandbox_clock) as _,
            ..SandboxConfig::default()
        })
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let plugins = match setup.plugin_trust {
            Some(_) => folder.path().join("plugins"),
            None => plugins_folder(&folder, &setup.fixtures),
        };
        for component in &setup.components {
            std::fs::copy(component, plugins.join(component.file_name().unwrap())).unwrap();
        }
        let data_dir = setup.data_dir.unwrap_or_else(|| folder.path().join("data"));
        share_compiled_code(&data_dir);
        let mut config = Config::in_folder(&data_dir);
        config.admin_token = Some(ADMIN_TOKEN.to_owned().into());
        config.plugins_dir = plugins;
        let is_bare = setup.plugin_trust.is_some();
        config.plugin_trust = setup.plugin_trust.unwrap_or_else(|| PluginTrust {
            unsigned: UnsignedPlugins::Allow,
            ..PluginTrust::default()
        });
        config.public_url = setup.public_url;
        config.registry_url = setup.registry_url.map(|url| url.parse().unwrap());
        if let Some(root) = sandbox.webhook_root_certificate() {
            let path = folder.path().join("webhook-roots.pem");
            std::fs::write(&path, root).unwrap();
            config.webhook_roots = Some(path);
        }
        if !setup.public_webhook_targets {
            config.webhook_targets = WebhookTargets::Any;
        }
        let trusted = setup.trusted_proxies.iter();
        config.trusted_proxies = trusted.map(|text| text.parse().unwrap()).collect();
        if let Some(url) = setup.database_url {
            config.database_url = url;
        }
        for (host, base) in sandbox.upstreams().into_iter().chain(setup.upstreams) {
            config.upstreams.set(&host, &base).unwrap();
        }
        let clock = Clock::default();
        let doubles = Doubles {
            clock: clock.clone(),
            without_background: true,
            webhook_burst: setup.webhook_burst,
            webhook_resolver: setup.webhook_resolver,
            ..Doubles::default()
        };
        let gateway = Gateway::start(&config, doubles).await.unwrap();
        let refused = gateway.parts().plugins.refused();
        assert!(refused.is_empty(), "{refused:?}");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let host = Self {
            gateway,
            sandbox,
            clock,
            sandbox_clock,
            http,
            folder,
        };
        if !setup.unconnected && !is_bare {
            host.connect_sandbox().await;
        }
        host
    }

    /// The operator.
    pub fn operator(&self) -> Client {
        self.client(ADMIN_TOKEN)
    }

    /// Somebody with this token.
    pub fn client(&self, token: &str) -> Client {
        Client {
            base: self.gateway.url(),
            token: token.to_owned(),
            http: self.http.clone(),
            headers: HeaderMap::new(),
        }
    }

    /// A client with a new key of the default tenant, above every rate that a test could reach.
    pub async fn key(&self, environment: &str) -> Client {
        self.key_of(&self.operator(), environment).await
    }

    /// A client with a new key of the operator's tenant.
    pub async fn key_of(&self, operator: &Client, environment: &str) -> Client {
        let rate = json!({"per_second": 100_000, "burst": 100_000});
        let body = json!({"name": "test", "environment": environment, "rate_limit": rate});
        let key = operator.post("/api/api-keys", body).await;
        assert_eq!(key.status, 201, "{key:?}");
        self.client(key.text("key"))
    }

    /// A new tenant, as its operator.
    pub async fn tenant(&self, name: &str) -> Client {
        let tenant = self
            .operator()
            .post("/api/tenants", json!({"name": name}))
            .await;
        assert_eq!(tenant.status, 201, "{tenant:?}");
        self.operator().with("OneRouter-Tenant", tenant.text("id"))
    }

    /// Connects the default tenant to everything in the sandbox.
    pub async fn connect_sandbox(&self) {
        self.connect_sandbox_of(&self.operator()).await;
    }

    /// Connects an operator's tenant to everything in the sandbox.
    pub async fn connect_sandbox_of(&self, operator: &Client) {
        for connection in self.sandbox.connections() {
            let path = format!(
                "/api/services/{}/{}/connect",
                connection.service, connection.provider
            );
            let body = json!({
                "environment": connection.environment,
                "credentials": connection.credentials,
                "settings": connection.settings,
            });
            let connected = operator.post(&path, body).await;
            assert_eq!(connected.status, 201, "{connected:?}");
        }
    }

    /// Settles what is due now.
    pub async fn sweep(&self) -> usize {
        self.gateway.parts().sweeper.sweep().await.unwrap()
    }

    /// Delivers what is due now to webhook endpoints: how much that was.
    pub async fn deliver(&self) -> usize {
        let deliveries = &self.gateway.parts().deliveries;
        deliveries.deliver_due().await.unwrap()
    }

    /// Writes the calls that wait to be recorded.
    pub async fn record(&self) {
        self.gateway.parts().recordings.write_waiting().await;
    }

    /// A call of the sandbox's control API.
    pub async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.sandbox.url()));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = reply(request.send().await.unwrap()).await;
        assert!(reply.status < 300, "{reply:?}");
        reply.json
    }

    /// Arms a fault in the sandbox.
    pub async fn fault(&self, fault: Value) {
        self.control(Method::POST, "/_sandbox/faults", Some(fault))
            .await;
    }

    /// How many effects the sandbox counted for a recipient.
    pub async fn effects(&self, to: &str) -> u64 {
        let to: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
        let ledger = self
            .control(Method::GET, &format!("/_sandbox/ledger?to={to}"), None)
            .await;
        ledger["count"].as_u64().unwrap()
    }

    /// What the sandbox's providers received, in order of arrival; the filter is a query string
    /// such as `provider=twilio&method=POST`.
    pub async fn provider_requests(&self, filter: &str) -> Vec<Value> {
        let path = format!("/_sandbox/requests?{filter}");
        let log = self.control(Method::GET, &path, None).await;
        log["data"].as_array().unwrap().clone()
    }

    /// Gives a message at its provider another status, for good.
    pub async fn force_status(&self, provider_id: &str, change: Value) {
        let path = format!("/_sandbox/messages/{provider_id}/status");
        self.control(Method::POST, &path, Some(change)).await;
    }

    /// Moves both clocks on.
    pub fn pass(&self, time: Duration) {
        self.sandbox_clock.advance(time);
        self.clock.advance(TimeDelta::from_std(time).unwrap());
    }

    /// Stops gateway and sandbox; gives back the folder.
    pub async fn stop(self) -> TempDir {
        self.gateway.shutdown().await;
        self.sandbox.shutdown().await;
        self.folder
    }
}

/// Compiling takes longer than most tests: they share one folder of compiled code and its key.
fn share_compiled_code(data_dir: &Path) {
    if data_dir.join("compiled").exists() {
        return;
    }
    let (code, key) = shared_code();
    private_folder(data_dir);
    std::fs::copy(key, data_dir.join("compiled-code.key")).unwrap();
    std::os::unix::fs::symlink(code, data_dir.join("compiled")).unwrap();
}

/// The folder of compiled code that tests share, and the file of its key.
fn shared_code() -> (PathBuf, PathBuf) {
    let shared = built("ONEROUTER_TEST_COMPILED_DIR", "test-compiled");
    let (code, key) = (shared.join("code"), shared.join("compiled-code.key"));
    private_folder(&code);
    onerouter::keyfile::read_or_generate(&key).unwrap();
    (code.canonicalize().unwrap(), key)
}

fn private_folder(path: &Path) {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).unwrap();
}

/// The same for the conformance kit, which then compiles nothing that a gateway of the tests has compiled.
pub fn shared_code_cache() -> CodeCache {
    let (dir, key) = shared_code();
    let key = onerouter::keyfile::read_or_generate(&key).unwrap();
    CodeCache {
        dir,
        mac_key: MacKey::new(onerouter::keyfile::to_bytes(&key)),
    }
}

/// A folder with the bundled plugins and some fixtures.
fn plugins_folder(folder: &TempDir, fixtures: &[&str]) -> PathBuf {
    let target = folder.path().join("plugins");
    std::fs::create_dir(&target).unwrap();
    let bundled = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins");
    for entry in std::fs::read_dir(&bundled).unwrap_or_else(|_| {
        panic!(
            "no plugins in {}; run cargo xtask plugins",
            bundled.display()
        )
    }) {
        let path = entry.unwrap().path();
        std::fs::copy(&path, target.join(path.file_name().unwrap())).unwrap();
    }
    for fixture in fixtures {
        let file = format!("{fixture}.wasm");
        let from = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures").join(&file);
        std::fs::copy(&from, target.join(&file))
            .unwrap_or_else(|_| panic!("no {}; run cargo xtask plugins", from.display()));
    }
    target
}

/// Where `cargo xtask` has put built components.
pub fn built(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(
        || {
            PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("../target")
                .join(name)
        },
        PathBuf::from,
    )
}
