//! The gateways that are compared, each a process of its own in front of the same provider.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{ADMIN_TOKEN, built};
use onerouter_tests::redis::TestRedis;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::conditions::tool;
use crate::load::Target;
use crate::process::{Process, free_address, listening};
use crate::provider::{ACCOUNT, HOST, PAYMENTS_HOST, PAYMENTS_KEY, Provider, SENDER, TOKEN};
use crate::roles;

pub(crate) const BODY: &str = r#"{"to":"+14155550123","body":"Your code is 123456."}"#;
pub(crate) const PAYMENT: &str =
    r#"{"amount":500.00,"currency":"INR","receipt":"r-17","return_url":"https://shop.example/"}"#;

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// An API key, where the gateway knows such a thing.
    pub(crate) key: String,
    _folder: TempDir,
    database: Option<TestDatabase>,
}

impl Peer {
    /// Its PostgreSQL database, for whoever sees all rows.
    pub(crate) fn owner_url(&self) -> &str {
        self.database.as_ref().unwrap().owner_url()
    }

    /// `POST /v1/sms`
    pub(crate) fn write(&self) -> Target {
        self.write_with(&self.key)
    }

    /// The same with another key.
    pub(crate) fn write_with(&self, key: &str) -> Target {
        Target::post(self.address, "/v1/sms", key, BODY)
    }
}

/// Where a gateway keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
    /// By its socket instead of the loopback interface, as on one machine it can be.
    PostgresSocket,
}

/// What maps requests to the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServedBy {
    Component,
    NativeCode,
}

impl Database {
    async fn create(self) -> Option<TestDatabase> {
        match self {
            Self::Sqlite => None,
            Self::Postgres | Self::PostgresSocket => TestDatabase::postgres().await,
        }
    }

    async fn url(self, database: Option<&TestDatabase>) -> Option<String> {
        let database = database?;
        if self != Self::PostgresSocket {
            return Some(database.url().to_owned());
        }
        let mut owner = PgConnection::connect(database.owner_url()).await.unwrap();
        let folder: String = sqlx::query_scalar("show unix_socket_directories")
            .fetch_one(&mut owner)
            .await
            .unwrap();
        let mut url: url::Url = database.url().parse().unwrap();
        url.query_pairs_mut().append_pair("host", &folder);
        Some(url.into())
    }
}

fn folder() -> TempDir {
    // Not under /tmp, which may be in memory: commits are to reach a disk.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The program's command, with its data in `data_dir`.
pub(crate) fn program(
    address: SocketAddr,
    data_dir: &Path,
    plugins_dir: &Path,
    database_url: Option<&str>,
    provider: &Provider,
) -> Command {
    let mut command = Command::new(built("ONEROUTER_TEST_BIN", "release/onerouter"));
    let base = provider.base();
    command
        .arg("serve")
        .env("ONEROUTER_BIND", address.to_string())
        .env("ONEROUTER_DATA_DIR", data_dir)
        .env("ONEROUTER_PLUGINS_DIR", plugins_dir)
        .env("ONEROUTER_UNSIGNED_PLUGINS", "allow")
        .env("ONEROUTER_ADMIN_TOKEN", ADMIN_TOKEN)
        .env(
            "ONEROUTER_UPSTREAMS",
            format!("{HOST}={base},{PAYMENTS_HOST}={base}"),
        )
        .env("ONEROUTER_WEBHOOK_TARGETS", "any")
        .env("RUST_LOG", "error")
        .stderr(Stdio::null());
    if let Some(url) = database_url {
        command.env("DATABASE_URL", url);
    }
    command
}

pub(crate) fn plugins() -> PathBuf {
    built("ONEROUTER_TEST_PLUGINS_DIR", "plugins")
}

/// The program as it is shipped, with everything on; with a Redis where one is given.
pub(crate) async fn shipped(
    provider: &Provider,
    database: Database,
    redis: Option<&TestRedis>,
) -> Peer {
    shipped_with(provider, database, redis, &plugins()).await
}

/// The same with the adapters of a folder.
pub(crate) async fn shipped_with(
    provider: &Provider,
    database: Database,
    redis: Option<&TestRedis>,
    plugins_dir: &Path,
) -> Peer {
    let (folder, kept) = (folder(), database.create().await);
    let address = free_address();
    let url = database.url(kept.as_ref()).await;
    let data_dir = folder.path().join("data");
    let mut command = program(address, &data_dir, plugins_dir, url.as_deref(), provider);
    command.envs(redis.map(|redis| ("REDIS_URL", redis.url())));
    let process = Process::start(&mut command);
    listening(address).await;
    connect(address, "twilio").await;
    connect_payments(address).await;
    Peer {
        process,
        address,
        key: key(address).await,
        _folder: folder,
        database: kept,
    }
}

/// The gateway inside of this program, which can be asked for its stages.
pub(crate) async fn measured(
    provider: &Provider,
    database: Database,
    redis: Option<&TestRedis>,
    served_by: ServedBy,
) -> Peer {
    let (folder, kept) = (folder(), database.create().await);
    let database_url = database.url(kept.as_ref()).await;
    let (base, redis_url) = (provider.base(), redis.map(TestRedis::url));
    let settings = roles::gateway::Settings {
        data_dir: &folder.path().join("data"),
        plugins_dir: &plugins(),
        database_url: database_url.as_deref(),
        redis_url: redis_url.as_deref(),
        upstream: (HOST, &base),
        served_by,
    };
    let mut process = Process::start_talking(&mut settings.command());
    let address = process.ask(None).parse().unwrap();
    connect(address, "twilio").await;
    Peer {
        process,
        address,
        key: key(address).await,
        _folder: folder,
        database: kept,
    }
}

/// Native code that maps and passes on.
pub(crate) async fn pass_through(provider: &Provider) -> Peer {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["role", "pass-through", &provider.base()]);
    let mut process = Process::start_talking(&mut command);
    let address = process.ask(None).parse().unwrap();
    listening(address).await;
    Peer {
        process,
        address,
        key: "none".to_owned(),
        _folder: folder(),
        database: None,
    }
}

/// nginx, which passes on without looking; none where it is not installed.
pub(crate) async fn nginx(provider: &Provider) -> Option<Peer> {
    let program = tool("ONEROUTER_BENCH_NGINX")?;
    let folder = folder();
    let address = free_address();
    let filled = include_str!("../peers/nginx.conf")
        .replace("{FOLDER}", &folder.path().display().to_string())
        .replace("{PORT}", &address.port().to_string())
        .replace("{PROVIDER}", &provider.address.to_string());
    let configuration = folder.path().join("nginx.conf");
    std::fs::write(&configuration, filled).unwrap();
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(&configuration)
        .arg("-p")
        .arg(folder.path())
        .stderr(Stdio::null());
    let process = Process::start(&mut command);
    listening(address).await;
    Some(Peer {
        process,
        address,
        key: "none".to_owned(),
        _folder: folder,
        database: None,
    })
}

/// FastAPI on uvicorn with two workers; none where Python is not provided.
pub(crate) async fn fastapi(provider: &Provider, client: &str) -> Option<Peer> {
    let python = tool("ONEROUTER_BENCH_PYTHON")?;
    let address = free_address();
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let mut command = Command::new(python);
    command
        .args(["-B", "-m", "uvicorn", "fastapi_gateway:app", "--app-dir"])
        .arg(&peers)
        .args(["--port", &address.port().to_string()])
        .args(["--workers", "2", "--loop", "uvloop", "--http", "httptools"])
        .args(["--no-access-log", "--log-level", "error"])
        .env("PROVIDER", provider.base())
        .env("CLIENT", client);
    let process = Process::start(&mut command);
    listening(address).await;
    // The parent listens before its workers are up.
    let url = format!("http://{address}/api/health/ready");
    assert!(http().get(url).send().await.unwrap().status().is_success());
    Some(Peer {
        process,
        address,
        key: "none".to_owned(),
        _folder: folder(),
        database: None,
    })
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A call of the operator's.
pub(crate) async fn operate(address: SocketAddr, path: &str, body: &Value) -> Value {
    operate_tenant(address, None, (path, body)).await
}

/// A call of the operator's for a tenant; for the default one without.
async fn operate_tenant(
    address: SocketAddr,
    tenant: Option<&str>,
    (path, body): (&str, &Value),
) -> Value {
    let mut request = http()
        .post(format!("http://{address}{path}"))
        .bearer_auth(ADMIN_TOKEN)
        .json(body);
    if let Some(tenant) = tenant {
        request = request.header("OneRouter-Tenant", tenant);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Connects the provider, by one of the plugins that know it.
pub(crate) async fn connect(address: SocketAddr, plugin: &str) {
    connect_tenant(address, plugin, None).await;
}

/// The same for a tenant.
async fn connect_tenant(address: SocketAddr, plugin: &str, tenant: Option<&str>) -> Value {
    let path = format!("/api/services/sms/{plugin}/connect");
    let body = json!({
        "environment": "test",
        "credentials": {"account_sid": ACCOUNT, "auth_token": TOKEN},
        "settings": {"from_number": SENDER},
    });
    operate_tenant(address, tenant, (&path, &body)).await
}

async fn connect_payments(address: SocketAddr) {
    let (key_id, key_secret) = PAYMENTS_KEY;
    let body = json!({
        "environment": "test",
        "credentials": {"key_id": key_id, "key_secret": key_secret},
    });
    operate(address, "/api/services/payments/razorpay/connect", &body).await;
}

/// A tenant of its own.
#[derive(Debug)]
pub(crate) struct Tenant {
    id: String,
    pub(crate) key: String,
    /// Its connection to the provider.
    pub(crate) connection: String,
}

/// One more, connected as the first is.
pub(crate) async fn another_tenant(peer: &Peer) -> Tenant {
    let tenant = operate(peer.address, "/api/tenants", &json!({"name": "Another"})).await;
    let id = tenant["id"].as_str().unwrap();
    let connected = connect_tenant(peer.address, "twilio", Some(id)).await;
    Tenant {
        key: tenant_key(peer.address, Some(id)).await,
        connection: connected["id"].as_str().unwrap().to_owned(),
        id: id.to_owned(),
    }
}

/// Connects a tenant to another provider for text messages. Gives the connection's id.
pub(crate) async fn connect_also(
    peer: &Peer,
    tenant: &Tenant,
    provider: &str,
    credentials: &Value,
) -> String {
    let path = format!("/api/services/sms/{provider}/connect");
    let body = json!({"environment": "test", "credentials": credentials});
    let connected = operate_tenant(peer.address, Some(&tenant.id), (&path, &body)).await;
    connected["id"].as_str().unwrap().to_owned()
}

/// A key whose limits are checked and never reached.
pub(crate) async fn key(address: SocketAddr) -> String {
    tenant_key(address, None).await
}

/// The same of a tenant.
async fn tenant_key(address: SocketAddr, tenant: Option<&str>) -> String {
    let rate = json!({"per_second": 100_000, "burst": 100_000});
    let body = json!({"name": "bench", "environment": "test", "rate_limit": rate});
    let key = operate_tenant(address, tenant, ("/api/api-keys", &body)).await;
    key["key"].as_str().unwrap().to_owned()
}
