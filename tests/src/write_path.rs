//! What the tests of the write path share: each scenario runs on both databases, and one provider
//! answers only when the test lets it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use chrono::TimeDelta;
use onerouter::store::AttemptRow;
use onerouter_domain::id::TenantId;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::database::TestDatabase;
use crate::harness::{Client, Harness, Setup};
use crate::wire::Wire;

/// Longer than anything here takes, shorter than patience.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a test on each database of functions that take a [`Ground`].
///
/// Without `ONEROUTER_TEST_POSTGRES_URL` the tests on PostgreSQL pass without doing anything;
/// `cargo xtask test` always sets it.
#[macro_export]
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use onerouter_tests::write_path::Ground;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name(Ground::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(ground) = Ground::postgres().await else { return };
                super::$name(ground).await;
            }
        }
    )+};
}

/// Makes a test on PostgreSQL, at the end of a [`Wire`], of functions that take a [`Ground`].
#[macro_export]
macro_rules! scenarios_at_a_wire {
    ($($name:ident),+ $(,)?) => {
        mod at_a_wire {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(ground) = onerouter_tests::write_path::Ground::wired().await else {
                    return;
                };
                super::$name(ground).await;
            }
        )+}
    };
}

/// A database for one scenario.
#[derive(Debug)]
pub struct Ground {
    database: TestDatabase,
    wire: Option<Wire>,
}

/// An event as it is stored.
pub type Event = (String, i64);

impl Ground {
    pub async fn sqlite() -> Self {
        Self {
            database: TestDatabase::sqlite().await,
            wire: None,
        }
    }

    pub async fn postgres() -> Option<Self> {
        Some(Self {
            database: TestDatabase::postgres().await?,
            wire: None,
        })
    }

    /// PostgreSQL, which gateways reach by a wire only.
    pub async fn wired() -> Option<Self> {
        let database = TestDatabase::postgres().await?;
        let wire = Wire::to(database.url()).await;
        Some(Self {
            database,
            wire: Some(wire),
        })
    }

    /// The wire to the database.
    pub fn wire(&self) -> &Wire {
        self.wire.as_ref().unwrap()
    }

    pub fn url(&self) -> &str {
        self.database.url()
    }

    /// The same, for whoever sees all rows.
    pub fn owner_url(&self) -> &str {
        self.database.owner_url()
    }

    /// A gateway on this database, connected to the sandbox.
    pub async fn host(&self) -> Harness {
        self.host_with(Setup::default()).await
    }

    /// A gateway on this database.
    pub async fn host_with(&self, setup: Setup) -> Harness {
        Harness::with(Setup {
            database_url: Some(self.wire.as_ref().map_or(self.url(), Wire::url).to_owned()),
            ..setup
        })
        .await
    }

    /// A gateway that can reach a [`Provider`] too, and its client.
    pub async fn host_and(&self, provider: &Provider) -> (Harness, Client) {
        let host = self
            .host_with(Setup {
                fixtures: vec!["saboteur"],
                upstreams: vec![provider.upstream()],
                ..Setup::default()
            })
            .await;
        connect_saboteur(&host.operator()).await;
        let acme = host.key("test").await;
        (host, acme)
    }

    /// Types and versions of the events about an object, in the order of the versions.
    pub async fn events(&self, id: &str) -> Vec<Event> {
        self.pairs(
            "select type, object_version from events where object_id = $1
             order by object_version, id",
            uuid(id),
        )
        .await
    }

    /// How many objects were made since the beginning.
    pub async fn count(&self, table: &str) -> i64 {
        let sql = format!("select 'count', count(*) from {table} where tenant_id <> $1");
        self.pairs(&sql, Uuid::nil()).await[0].1
    }

    /// Objects on which a call seems to run, and those of which nobody knows the end.
    pub async fn open_ends(&self) -> i64 {
        let sql = "select 'count', count(*) from objects where tenant_id <> $1
                   and (claimed_until is not null or status = 'unknown')";
        self.pairs(sql, Uuid::nil()).await[0].1
    }

    /// Changes rows behind the gateway's back.
    pub async fn change(&self, sql: &str) -> u64 {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
        if self.url().starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(self.url()).await.unwrap();
            let done = sql.execute(&mut connection).await.unwrap();
            done.rows_affected()
        } else {
            let mut connection = PgConnection::connect(self.database.owner_url())
                .await
                .unwrap();
            let done = sql.execute(&mut connection).await.unwrap();
            done.rows_affected()
        }
    }

    async fn pairs(&self, sql: &str, bound: Uuid) -> Vec<(String, i64)> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if self.url().starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(self.url()).await.unwrap();
            let query = sqlx::query_as(sql).bind(bound);
            query.fetch_all(&mut connection).await.unwrap()
        } else {
            let mut connection = PgConnection::connect(self.database.owner_url())
                .await
                .unwrap();
            let query = sqlx::query_as(sql).bind(bound);
            query.fetch_all(&mut connection).await.unwrap()
        }
    }
}

/// The UUID behind the id of an object that a caller made.
pub fn uuid(id: &str) -> Uuid {
    use onerouter_domain::id;
    let (prefix, _) = id.split_once('_').unwrap();
    match prefix {
        "sms" => id.parse().map(|id: id::SmsId| id.uuid()),
        "em" => id.parse().map(|id: id::EmailId| id.uuid()),
        "pay" => id.parse().map(|id: id::PaymentId| id.uuid()),
        "re" => id.parse().map(|id: id::RefundId| id.uuid()),
        "plan" => id.parse().map(|id: id::PlanId| id.uuid()),
        "sub" => id.parse().map(|id: id::SubscriptionId| id.uuid()),
        "plink" => id.parse().map(|id: id::PaymentLinkId| id.uuid()),
        other => panic!("nothing has ids that begin with {other}"),
    }
    .unwrap()
}

/// What was tried for an object of the default tenant, oldest first.
pub async fn attempts(host: &Harness, id: &str) -> Vec<AttemptRow> {
    let tenant: TenantId = onerouter::store::DEFAULT_TENANT;
    let store = &host.gateway.parts().store;
    let mut tx = store.begin_read(tenant).await.unwrap();
    tx.list_attempts(uuid(id)).await.unwrap()
}

/// The requests in an attempt's ledger.
pub fn ledger(attempt: &AttemptRow) -> Vec<Value> {
    let detail: Value = serde_json::from_str(attempt.detail.as_deref().unwrap()).unwrap();
    detail["requests"].as_array().unwrap().clone()
}

/// Moves the gateway's clock and the sandbox's.
pub fn advance(host: &Harness, by: TimeDelta) {
    host.clock.advance(by);
    host.sandbox_clock.advance(by.to_std().unwrap());
}

/// Waits until something holds, which it must before patience ends.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let until = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Connects the operator's tenant to the [`Provider`], for tests.
pub async fn connect_saboteur(operator: &Client) {
    let connected = operator
        .post(
            "/api/services/sms/saboteur/connect",
            json!({"environment": "test", "credentials": {"token": "saboteur-token-0001"}}),
        )
        .await;
    assert_eq!(connected.status, 201, "{connected:?}");
}

/// A text message to the [`Provider`]; its first word may be a trick of the saboteur.
pub fn text(body: &str) -> Value {
    json!({"to": "+14155550123", "body": body, "from_number": "+12025550142", "provider": "saboteur"})
}

/// The provider behind the saboteur: it does what it is asked, counts, and holds answers back.
#[derive(Debug, Clone)]
pub struct Provider {
    address: SocketAddr,
    inner: Arc<Inner>,
    _serving: Arc<Serving>,
}

#[derive(Debug)]
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Inner {
    /// What was posted, in order: the effects.
    posted: Mutex<Vec<Value>>,
    /// Answers in place of the usual one, each for one post or cancel.
    answers: Mutex<VecDeque<(u16, String)>>,
    state: Mutex<String>,
    reads: AtomicUsize,
    finds: AtomicUsize,
    lost: AtomicUsize,
    cancels: AtomicUsize,
    pings: AtomicUsize,
    posts_held: watch::Sender<bool>,
    cancels_held: watch::Sender<bool>,
    reads_held: watch::Sender<bool>,
}

impl Provider {
    /// On a free port.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// On a certain port.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            posted: Mutex::default(),
            answers: Mutex::default(),
            state: Mutex::new("sent".to_owned()),
            reads: AtomicUsize::new(0),
            finds: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            cancels: AtomicUsize::new(0),
            pings: AtomicUsize::new(0),
            posts_held: watch::Sender::new(false),
            cancels_held: watch::Sender::new(false),
            reads_held: watch::Sender::new(false),
        });
        let router = axum::Router::new()
            .route("/v1/messages", post(create).get(find))
            .route("/v1/messages/{id}", get(read))
            .route("/v1/messages/{id}/cancel", post(cancel))
            .route("/v1/ping", get(ping))
            .route("/v1/search", post(|| async { Json(json!({})) }))
            .with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            inner,
            _serving: Arc::new(Serving(serving)),
        }
    }

    /// For [`Setup::upstreams`].
    pub fn upstream(&self) -> (String, String) {
        upstream(self.address)
    }

    /// Messages that it was given.
    pub fn posted(&self) -> Vec<Value> {
        self.inner.posted.lock().unwrap().clone()
    }

    /// How often it was given a message with this text.
    pub fn effects(&self, text: &str) -> usize {
        let posted = self.posted();
        posted.iter().filter(|post| post["text"] == text).count()
    }

    /// How often a message was read.
    pub fn reads(&self) -> usize {
        self.inner.reads.load(Ordering::SeqCst)
    }

    /// How often messages were looked for.
    pub fn finds(&self) -> usize {
        self.inner.finds.load(Ordering::SeqCst)
    }

    /// How often a message was cancelled.
    pub fn cancels(&self) -> usize {
        self.inner.cancels.load(Ordering::SeqCst)
    }

    /// How often it was pinged.
    pub fn pings(&self) -> usize {
        self.inner.pings.load(Ordering::SeqCst)
    }

    /// Loses the next message: no effect, and an answer that does not say so.
    pub fn lose_next(&self) {
        self.inner.lost.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes messages and cancels, but answers none until [`Provider::release`].
    pub fn hold(&self) {
        self.inner.posts_held.send_replace(true);
        self.hold_cancels();
    }

    /// Takes cancels, but answers none until [`Provider::release`].
    pub fn hold_cancels(&self) {
        self.inner.cancels_held.send_replace(true);
    }

    /// Takes reads, but answers none until [`Provider::release_reads`].
    pub fn hold_reads(&self) {
        self.inner.reads_held.send_replace(true);
    }

    /// Answers what was held back.
    pub fn release(&self) {
        self.inner.posts_held.send_replace(false);
        self.inner.cancels_held.send_replace(false);
    }

    /// Answers the reads that were held back.
    pub fn release_reads(&self) {
        self.inner.reads_held.send_replace(false);
    }

    /// Answers the next message or cancel in another way; it has its effect all the same.
    pub fn answer_next(&self, status: u16, body: &str) {
        let mut answers = self.inner.answers.lock().unwrap();
        answers.push_back((status, body.to_owned()));
    }

    /// What it says about every message that is read from now on.
    pub fn set_state(&self, state: &str) {
        state.clone_into(&mut self.inner.state.lock().unwrap());
    }

    /// Waits until it was given a message with this text.
    pub async fn has(&self, text: &str) {
        eventually(text, || async { self.effects(text) > 0 }).await;
    }
}

/// An override for the saboteur's provider.
pub fn upstream(address: SocketAddr) -> (String, String) {
    (
        "api.saboteur.example".to_owned(),
        format!("http://{address}"),
    )
}

type Answer = (StatusCode, String);

async fn released(held: &watch::Sender<bool>) {
    let mut held = held.subscribe();
    held.wait_for(|held| !held).await.unwrap();
}

impl Inner {
    fn next_answer(&self, usual: Value) -> Answer {
        match self.answers.lock().unwrap().pop_front() {
            Some((status, body)) => (StatusCode::from_u16(status).unwrap(), body),
            None => (StatusCode::OK, usual.to_string()),
        }
    }

    fn state(&self) -> String {
        self.state.lock().unwrap().clone()
    }
}

async fn create(State(inner): State<Arc<Inner>>, Json(message): Json<Value>) -> Answer {
    let lost = &inner.lost;
    let take = |count: usize| count.checked_sub(1);
    if lost
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
        .is_ok()
    {
        return (StatusCode::INTERNAL_SERVER_ERROR, "{}".to_owned());
    }
    let number = {
        let mut posted = inner.posted.lock().unwrap();
        posted.push(message);
        posted.len()
    };
    released(&inner.posts_held).await;
    inner.next_answer(json!({"id": format!("m{number}"), "state": "queued"}))
}

async fn read(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> Answer {
    inner.reads.fetch_add(1, Ordering::SeqCst);
    released(&inner.reads_held).await;
    let answer = json!({"id": id, "state": inner.state()});
    (StatusCode::OK, answer.to_string())
}

async fn cancel(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> Answer {
    inner.cancels.fetch_add(1, Ordering::SeqCst);
    released(&inner.cancels_held).await;
    inner.next_answer(json!({"id": id, "state": "canceled"}))
}

async fn find(
    State(inner): State<Arc<Inner>>,
    axum::extract::Query(wanted): axum::extract::Query<Vec<(String, String)>>,
) -> Json<Value> {
    inner.finds.fetch_add(1, Ordering::SeqCst);
    released(&inner.reads_held).await;
    let posted = inner.posted.lock().unwrap();
    let found: Vec<_> = posted
        .iter()
        .zip(1..)
        .filter(|(post, _)| wanted.iter().all(|(name, value)| post[name] == **value))
        .map(|(_, number): (_, usize)| json!({"id": format!("m{number}"), "state": "sent"}))
        .collect();
    Json(json!({ "messages": found }))
}

async fn ping(State(inner): State<Arc<Inner>>) -> Json<Value> {
    inner.pings.fetch_add(1, Ordering::SeqCst);
    released(&inner.reads_held).await;
    Json(json!({}))
}
