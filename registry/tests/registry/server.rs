//! A registry on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::Request;
use axum::middleware::Next;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use onerouter_registry::server::{ClientAddress, Limits, NewToken, Registry, RegistryConfig};
use onerouter_registry::{Clock, Digest, KeyPair};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{at, statement};

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A clock that tests move.
#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_seconds(), Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        at(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) struct Server {
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) folder: Arc<TempDir>,
    config: RegistryConfig,
    _serving: JoinSet<()>,
}

/// An account that may publish.
pub(crate) struct Publisher<'a> {
    pub(crate) server: &'a Server,
    pub(crate) token: String,
    pub(crate) key: KeyPair,
}

impl Server {
    /// With SQLite.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_config| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut RegistryConfig)) -> Self {
        Self::start_on(None, change).await
    }

    /// One with SQLite, and one with PostgreSQL where `ONEROUTER_TEST_POSTGRES_URL` names a server.
    pub(crate) async fn start_on_each() -> Vec<Self> {
        let mut servers = Vec::new();
        for database in Self::databases().await {
            servers.push(Self::start_on(database, |_config| {}).await);
        }
        servers
    }

    /// SQLite's, and one of PostgreSQL where there is a server.
    pub(crate) async fn databases() -> Vec<Option<String>> {
        let postgres = new_postgres_database().await;
        [None].into_iter().chain(postgres.map(Some)).collect()
    }

    pub(crate) async fn start_on(
        database: Option<String>,
        change: impl FnOnce(&mut RegistryConfig),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::default());
        let path = folder.path().display();
        let mut config = RegistryConfig::new(
            database.unwrap_or_else(|| format!("sqlite://{path}/registry.db")),
            format!("file://{path}/blobs"),
            KeyPair::generate(),
        );
        config.clock = clock.clone();
        change(&mut config);
        Self::serve(config, clock, folder.into()).await
    }

    /// Another node over the same database and blobs.
    pub(crate) async fn another_node(&self) -> Self {
        Self::serve(self.config.clone(), self.clock.clone(), self.folder.clone()).await
    }

    async fn serve(config: RegistryConfig, clock: Arc<TestClock>, folder: Arc<TempDir>) -> Self {
        let registry = Registry::open(config.clone()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = registry
            .router()
            .layer(axum::middleware::from_fn(told_address))
            .into_make_service_with_connect_info::<SocketAddr>();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self {
            registry,
            clock,
            address,
            client: reqwest::Client::builder().build().unwrap(),
            folder,
            config,
            _serving: serving,
        }
    }

    pub(crate) fn database_url(&self) -> String {
        self.config.database_url.clone()
    }

    /// What the index is signed with.
    pub(crate) fn registry_key(&self) -> KeyPair {
        self.config.key.clone()
    }

    /// What a query of SQLite counts.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        use sqlx::Connection as _;
        let mut connection = sqlx::SqliteConnection::connect(&self.config.database_url)
            .await
            .unwrap();
        sqlx::query_scalar(query)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    pub(crate) fn limits(limits: Limits) -> impl FnOnce(&mut RegistryConfig) {
        |config| config.limits = limits
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn publisher(&self, name: &str) -> Publisher<'_> {
        let account = self.registry.create_account(name).await.unwrap();
        let new = NewToken::default();
        let (_, secret) = self.registry.create_token(account.id, new).await.unwrap();
        Publisher {
            server: self,
            token: secret.expose().to_owned(),
            key: KeyPair::generate(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn get_json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        json_of(response).await
    }
}

/// What a proxy in front would say.
async fn told_address(mut request: Request, next: Next) -> axum::response::Response {
    let told = request.headers().get("test-address");
    let told = told.map(|address| address.to_str().unwrap().parse().unwrap());
    if let Some(address) = told {
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

impl Publisher<'_> {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.server.request(method, path).bearer_auth(&self.token)
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        self.request(method, path).body(body).send().await.unwrap()
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Response {
        self.send(
            Method::POST,
            &format!("/registry/v1{path}"),
            body.to_string(),
        )
        .await
    }

    /// Uploads bytes at once.
    pub(crate) async fn put_blob(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let response = self.send(Method::POST, &path, bytes.to_vec()).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        digest
    }

    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        manifest: &Value,
    ) -> Response {
        let media_type = manifest["mediaType"].as_str().unwrap_or(IMAGE).to_owned();
        self.request(Method::PUT, &format!("/v2/{name}/manifests/{reference}"))
            .header("content-type", media_type)
            .body(manifest.to_string())
            .send()
            .await
            .unwrap()
    }

    /// Pushes an image of one layer, as any OCI client would.
    pub(crate) async fn push_image(&self, name: &str, tag: &str, layer: &[u8]) -> Response {
        let config = self.put_blob(name, b"{}").await;
        let digest = self.put_blob(name, layer).await;
        let manifest = image(config, 2, ("application/wasm", digest, layer.len()), None);
        self.put_manifest(name, tag, &manifest).await
    }

    /// Pushes a signed statement as a referrer.
    pub(crate) async fn push_statement(
        &self,
        name: &str,
        about: Digest,
        sidecar: &[u8],
    ) -> Response {
        let config = self.put_blob(name, b"{}").await;
        let digest = self.put_blob(name, sidecar).await;
        let layer = (onerouter_registry::STATEMENT_TYPE, digest, sidecar.len());
        let mut manifest = image(config, 2, layer, Some(about));
        manifest["artifactType"] = onerouter_registry::STATEMENT_TYPE.into();
        let bytes = manifest.to_string();
        self.put_manifest(name, &Digest::of(bytes.as_bytes()).to_string(), &manifest)
            .await
    }

    pub(crate) async fn add_key(&self, name: &str) -> Response {
        self.post_json(
            &format!("/plugins/{name}/keys"),
            &json!({"key": self.key.public()}),
        )
        .await
    }

    pub(crate) fn sign(&self, name: &str, version: &str, component: &[u8]) -> Vec<u8> {
        statement(&self.key, name, version, component)
            .sign(&self.key)
            .unwrap()
            .to_json()
    }

    /// Publishes a component in one request.
    pub(crate) async fn send_version(
        &self,
        name: &str,
        component: &[u8],
        sidecar: &[u8],
    ) -> Response {
        self.request(
            Method::POST,
            &format!("/registry/v1/plugins/{name}/versions"),
        )
        .header("content-type", "application/wasm")
        .header("onerouter-statement", STANDARD.encode(sidecar))
        .body(component.to_vec())
        .send()
        .await
        .unwrap()
    }

    pub(crate) async fn publish(&self, name: &str, version: &str) -> Vec<u8> {
        let component = crate::support::component(name, version);
        let sidecar = self.sign(name, version, &component);
        let response = self.send_version(name, &component, &sidecar).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        component
    }
}

pub(crate) fn image(
    config: Digest,
    config_bytes: usize,
    layer: (&str, Digest, usize),
    subject: Option<Digest>,
) -> Value {
    let (media_type, digest, size) = layer;
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": config_bytes},
        "layers": [{"mediaType": media_type, "digest": digest, "size": size}],
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({"mediaType": IMAGE, "digest": subject, "size": 1});
    }
    manifest
}

pub(crate) async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// The status of a refusal with its code, OCI's or ours.
pub(crate) async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = json_of(response).await;
    let code = body["errors"][0]["code"].as_str().or(body["code"].as_str());
    (status, code.unwrap().to_owned())
}

/// What a refusal says to people.
pub(crate) async fn reason(response: Response) -> String {
    let body = json_of(response).await;
    let text = body["errors"][0]["message"]
        .as_str()
        .or(body["detail"].as_str());
    text.unwrap().to_owned()
}

pub(crate) async fn new_postgres_database() -> Option<String> {
    use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
    let server = std::env::var_os("ONEROUTER_TEST_POSTGRES_URL")?
        .into_string()
        .unwrap();
    let name = format!("registry_{}", Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("create database {name}"));
    connection.execute(create).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    Some(format!("{base}/{name}"))
}
