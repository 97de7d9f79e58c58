//! Several gateways, processes of their own, and what they share.

use std::time::{Duration, Instant};

use onerouter_sandbox::{Sandbox, SandboxConfig};
use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{ADMIN_TOKEN, Reply, reply};
use onerouter_tests::node::{Node, NodeSetup, free_port};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Whoever asks this long after a change is answered by it.
const HOLDS_AFTER: Duration = Duration::from_secs(1);

/// The nodes' settings, and what they share.
pub struct House {
    pub setups: Vec<NodeSetup>,
    pub sandbox: Sandbox,
    pub http: reqwest::Client,
    pub database: TestDatabase,
    _folder: TempDir,
}

/// Where somebody calls, and as whom.
#[derive(Debug, Clone)]
pub struct Caller {
    pub base: String,
    pub token: String,
    /// For which tenant, where an operator asks.
    tenant: Option<String>,
    pub http: reqwest::Client,
}

impl Caller {
    pub fn new(base: &str, token: &str, http: &reqwest::Client) -> Self {
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            tenant: None,
            http: http.clone(),
        }
    }

    /// The same operator, for a tenant.
    pub fn of(&self, tenant: &str) -> Self {
        Self {
            tenant: Some(tenant.to_owned()),
            ..self.clone()
        }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(tenant) = &self.tenant {
            request = request.header("OneRouter-Tenant", tenant);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        reply(request.send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, Some(body)).await
    }

    /// With an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Reply {
        let request = self.http.post(format!("{}{path}", self.base));
        let request = request.bearer_auth(&self.token).json(body);
        let request = request.header("Idempotency-Key", key);
        reply(request.send().await.unwrap()).await
    }
}

impl House {
    /// Room for so many nodes, with these further settings. None without a PostgreSQL.
    pub async fn new(nodes: usize, settings: &[(&'static str, String)]) -> Option<Self> {
        let database = TestDatabase::postgres().await?;
        Some(Self::on(database, nodes, settings).await)
    }

    /// The same on any database; SQLite has room for one node.
    pub async fn on(
        database: TestDatabase,
        nodes: usize,
        settings: &[(&'static str, String)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
        let setup = |n: usize| NodeSetup {
            database_url: database.url().to_owned(),
            data_dir: folder.path().join(n.to_string()),
            upstreams: sandbox.upstreams(),
            port: free_port(),
            // One master key for all; the last one that is set counts.
            settings: [("ENCRYPTION_KEY", "0a".repeat(32))]
                .into_iter()
                .chain(settings.iter().cloned())
                .collect(),
        };
        Self {
            setups: (0..nodes).map(setup).collect(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            sandbox,
            database,
            _folder: folder,
        }
    }

    /// All nodes, running.
    pub async fn start(&self) -> Vec<Node> {
        let mut nodes = Vec::new();
        for setup in &self.setups {
            nodes.push(start(setup).await);
        }
        nodes
    }

    /// Somebody with this token, at this node.
    pub fn caller(&self, node: &Node, token: &str) -> Caller {
        Caller::new(&node.base, token, &self.http)
    }

    pub fn operator(&self, node: &Node) -> Caller {
        self.caller(node, ADMIN_TOKEN)
    }

    /// The sandbox's connections, over one node.
    pub async fn connect(&self, node: &Node) {
        connect(&self.sandbox, &self.operator(node)).await;
    }

    /// An API key: its id and itself.
    pub async fn key(&self, node: &Node, per_second: u32, burst: u32) -> (String, String) {
        let rate = json!({"per_second": per_second, "burst": burst});
        let body = json!({"name": "load", "environment": "test", "rate_limit": rate});
        let made = self.operator(node).post("/api/api-keys", &body).await;
        (made.text("id").to_owned(), made.text("key").to_owned())
    }

    /// Has the provider of text messages take its time.
    pub async fn slow_provider(&self, delay_ms: u64) {
        let fault = json!({
            "provider": "twilio", "method": "POST", "fault": "latency_before",
            "delay_ms": delay_ms, "times": 1_000_000,
        });
        let url = format!("{}/_sandbox/faults", self.sandbox.url());
        let answer = self.http.post(url).json(&fault).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// How many messages have reached a number.
    pub async fn reached(&self, number: &str) -> u64 {
        let url = format!("{}/_sandbox/ledger", self.sandbox.url());
        let request = self.http.get(url).query(&[("to", number)]);
        let ledger = reply(request.send().await.unwrap()).await;
        ledger.json["count"].as_u64().unwrap()
    }
}

pub async fn start(setup: &NodeSetup) -> Node {
    let setup = setup.clone();
    tokio::task::spawn_blocking(move || Node::start(&setup))
        .await
        .unwrap()
}

/// Connects the operator's tenant to a sandbox's providers.
pub async fn connect(sandbox: &Sandbox, operator: &Caller) {
    for connection in sandbox.connections() {
        let path = format!(
            "/api/services/{}/{}/connect",
            connection.service, connection.provider
        );
        let body = json!({
            "environment": connection.environment,
            "credentials": connection.credentials,
            "settings": connection.settings,
        });
        let answer = operator.post(&path, &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

/// Asks again and again, until the answer is another than before: at the latest for what is asked a
/// second after the change. Tells how long it took.
pub async fn until_it_holds(
    caller: &Caller,
    ask: impl AsyncFn(&Caller) -> Reply,
    is_as_before: impl Fn(&Reply) -> bool,
) -> (Duration, Reply) {
    let changed_at = Instant::now();
    loop {
        let asked_at = Instant::now();
        let answer = ask(caller).await;
        if !is_as_before(&answer) {
            return (changed_at.elapsed(), answer);
        }
        let after = asked_at.duration_since(changed_at);
        assert!(after < HOLDS_AFTER, "as before after {after:?}: {answer:?}");
    }
}
