//! A pooler in transaction mode between nodes and PostgreSQL.

use std::process::Output;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use onerouter_tests::database::TestDatabase;
use onerouter_tests::node::NodeSetup;
use onerouter_tests::pgbouncer::{Pooling, TestPgbouncer};
use onerouter_tests::write_path::eventually;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::task::JoinSet;

use crate::house::{Caller, House, connect};

const NODES: usize = 2;
const TENANTS: usize = 4;
const CLIENTS_OF_EACH: usize = 8;
/// Of the server, for all of them.
const SESSIONS: u32 = 3;
/// Messages that are to be sent in each state.
const ENOUGH: usize = 150;

/// As Debian's package has it.
const TRANSACTIONS: Pooling = Pooling {
    mode: "transaction",
    sessions: SESSIONS,
    round_robin: false,
    dropped: "",
};

/// What the clients see.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    number: AtomicU64,
    sent: AtomicUsize,
    repeated: AtomicUsize,
}

impl Load {
    /// Until so many more have been sent.
    async fn goes_on(&self) {
        let before = self.sent.load(Ordering::Relaxed);
        eventually("messages are sent", async || {
            self.sent.load(Ordering::Relaxed) >= before + ENOUGH
        })
        .await;
    }
}

/// A number of its own for each message, by which a lost one is found.
fn to(number: u64) -> String {
    format!("+1415555{number:04}")
}

/// One of a tenant's clients: sends one message after another, at both nodes at the same time and under
/// one key, until both say the same; then reads what the tenant has sent.
async fn client(load: Arc<Load>, name: String, callers: Vec<Caller>) {
    while !load.is_over.load(Ordering::Relaxed) {
        let number = load.number.fetch_add(1, Ordering::Relaxed);
        let key = format!("message-{number}");
        let body = json!({"to": to(number), "body": format!("{name} {number}")});
        let [here, there] = [
            sent(&load, &callers[0], &key, &body),
            sent(&load, &callers[1], &key, &body),
        ];
        let (here, there) = tokio::join!(here, there);
        assert_eq!(here, there);
        load.sent.fetch_add(1, Ordering::Relaxed);
        let list = callers[0].get("/v1/sms?limit=100").await;
        if list.status == 200 {
            let data = list.json["data"].as_array().unwrap();
            for message in data {
                let body = message["body"].as_str().unwrap();
                assert!(body.starts_with(&name), "{name} sees {body:?}");
            }
        }
    }
}

/// The id of a message that is asked for until it is there.
async fn sent(load: &Load, caller: &Caller, key: &str, body: &Value) -> String {
    loop {
        let answer = caller.post_once("/v1/sms", key, body).await;
        if answer.status == 201 {
            return answer.text("id").to_owned();
        }
        // It runs at the other node, its outcome is not known yet, or the database is away.
        assert!([409, 503, 504].contains(&answer.status), "{answer:?}");
        load.repeated.fetch_add(1, Ordering::Relaxed);
    }
}

/// Somebody else behind the same pooler who names no tenant: whatever the sessions were lent for before,
/// nothing is left of it.
async fn stranger(load: Arc<Load>, url: String, looks: Arc<AtomicI64>) {
    let options = PgConnectOptions::from_str(&url).unwrap();
    let options = options.extra_float_digits(None);
    let mut connection = options.connect().await.unwrap();
    while !load.is_over.load(Ordering::Relaxed) {
        let rows = sqlx::raw_sql(
            "select (select count(*) from objects) + (select count(*) from connections)
                 + (select count(*) from api_keys) + (select count(*) from idempotency_keys)
                 + length(coalesce(current_setting('onerouter.tenant', true), ''))
                 + length(coalesce(current_setting('onerouter.operator', true), ''))",
        );
        let row = rows.fetch_one(&mut connection).await.unwrap();
        assert_eq!(sqlx::Row::get::<i64, _>(&row, 0), 0);
        looks.fetch_add(1, Ordering::Relaxed);
    }
    connection.close().await.unwrap();
}

/// A tenant with connections and a key: its clients' key.
async fn tenant(house: &House, operator: &Caller, name: &str) -> String {
    let made = operator.post("/api/tenants", &json!({"name": name})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let theirs = operator.of(made.text("id"));
    connect(&house.sandbox, &theirs).await;
    let rate = json!({"per_second": 100_000, "burst": 100_000});
    let body = json!({"name": "load", "environment": "test", "rate_limit": rate});
    let made = theirs.post("/api/api-keys", &body).await;
    made.text("key").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_share_few_sessions_and_tenants_stay_apart() {
    let Some(mut house) = House::new(NODES, &[]).await else {
        return;
    };
    let address = house.database.url().to_owned();
    let pooler = TestPgbouncer::start(&address, TRANSACTIONS);
    let port = pooler.port();
    let url = pooler.said_url(&address);
    for setup in &mut house.setups {
        setup.database_url.clone_from(&url);
    }
    let nodes = house.start().await;
    let operator = house.operator(&nodes[0]);
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for number in 0..TENANTS {
        let name = format!("tenant-{number}");
        let key = tenant(&house, &operator, &name).await;
        for _ in 0..CLIENTS_OF_EACH {
            let callers = nodes.iter().map(|node| house.caller(node, &key)).collect();
            clients.spawn(client(Arc::clone(&load), name.clone(), callers));
        }
    }
    let looks = Arc::new(AtomicI64::new(0));
    let mut strangers = JoinSet::new();
    let theirs = (Arc::clone(&load), pooler.url(&address), Arc::clone(&looks));
    strangers.spawn(stranger(theirs.0, theirs.1, theirs.2));
    load.goes_on().await;

    // Answers that get lost are settled in the background.
    let fault = json!({"provider": "twilio", "method": "POST", "fault": "reset_after", "times": 5});
    let faults = format!("{}/_sandbox/faults", house.sandbox.url());
    let answer = house.http.post(faults).json(&fault).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    load.goes_on().await;

    // More wait than are served.
    let mut owner = PgConnection::connect(house.database.owner_url())
        .await
        .unwrap();
    let lent: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and usename = 'onerouter_service'",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert!(lent <= i64::from(SESSIONS), "{lent}");
    owner.close().await.unwrap();

    load.is_over.store(true, Ordering::Relaxed);
    clients.join_all().await;
    strangers.join_all().await;
    assert!(looks.load(Ordering::Relaxed) > 0);
    let sent = load.sent.load(Ordering::Relaxed);
    for number in 0..load.number.load(Ordering::Relaxed) {
        assert_eq!(house.reached(&to(number)).await, 1, "{number}");
    }
    let repeated = load.repeated.load(Ordering::Relaxed);
    println!("{sent} messages, {repeated} repetitions, {looks:?} looks");

    // The pooler is started again: the nodes need no restart.
    drop(pooler);
    let key = tenant_after(&house, &operator, port, &address).await;
    assert!(key.starts_with("unf_test_"), "{key}");
}

/// Starts the pooler again, and makes a key.
async fn tenant_after(house: &House, operator: &Caller, port: u16, address: &str) -> String {
    let away = operator.get("/api/health/ready").await;
    assert_eq!(away.status, 503, "{away:?}");
    let _pooler = TestPgbouncer::start_on(port, address, TRANSACTIONS);
    eventually("it is back", async || {
        operator.get("/api/health/ready").await.status == 200
    })
    .await;
    tenant(house, operator, "later").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lent_session_waits_no_longer_than_our_own() {
    let Some(mut house) = House::new(1, &[]).await else {
        return;
    };
    let address = house.database.url().to_owned();
    let pooler = TestPgbouncer::start(&address, TRANSACTIONS);
    house.setups[0].database_url = pooler.said_url(&address);
    let nodes = house.start().await;
    let (_id, key) = house.key(&nodes[0], 1_000, 1_000).await;
    let caller = house.caller(&nodes[0], &key);
    let mut owner = PgConnection::connect(house.database.owner_url())
        .await
        .unwrap();
    let mut transaction = owner.begin().await.unwrap();
    sqlx::query("lock table objects")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let asked = tokio::spawn(async move { caller.get("/v1/sms").await });
    let mut looker = PgConnection::connect(house.database.owner_url())
        .await
        .unwrap();
    let mut waits = async || -> bool {
        // A node that has just started also cleans up, which looks at objects too.
        let waiting = "select exists (select from pg_locks join pg_stat_activity using (pid)
             where not granted and query not like 'delete from attempts%'
             and database = (select oid from pg_database where datname = current_database()))";
        let waits = sqlx::query_scalar(waiting).fetch_one(&mut looker);
        waits.await.unwrap()
    };
    while !waits().await {
        assert!(!asked.is_finished(), "it did not wait for the lock");
    }
    // The lock is held all the time.
    let refused = asked.await.unwrap();
    assert_eq!((refused.status, refused.code()), (503, "overloaded"));
    assert!(!waits().await);
    transaction.rollback().await.unwrap();
}

fn setup(house: &House, url: &str, owner: Option<&str>) -> NodeSetup {
    let mut setup = house.setups[0].clone();
    url.clone_into(&mut setup.database_url);
    let owner = owner.map(|owner| ("ONEROUTER_MIGRATE_DATABASE_URL", owner.to_owned()));
    setup.settings.extend(owner);
    setup
}

async fn run(setup: NodeSetup, args: &'static [&'static str]) -> Output {
    tokio::task::spawn_blocking(move || setup.command(args).output().unwrap())
        .await
        .unwrap()
}

/// What the doctor says of the pooler.
async fn doctor(setup: NodeSetup) -> Option<Value> {
    let output = run(setup, &["doctor", "--json"]).await;
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut findings = findings.as_array().unwrap().iter();
    findings.find(|one| one["check"] == "pooler").cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_nobody_told_of_is_found() {
    let Some(house) = House::new(1, &[]).await else {
        return;
    };
    let address = house.database.url().to_owned();
    assert_eq!(doctor(setup(&house, &address, None)).await, None);
    let dropped = "extra_float_digits,options";
    for (pooling, fault) in [
        (TRANSACTIONS, "transaction mode"),
        (
            Pooling {
                dropped,
                ..TRANSACTIONS
            },
            "transaction mode",
        ),
        (
            Pooling {
                dropped,
                round_robin: true,
                ..TRANSACTIONS
            },
            "transaction mode",
        ),
        (
            Pooling {
                dropped,
                sessions: 1,
                ..TRANSACTIONS
            },
            "transaction mode",
        ),
        (
            Pooling {
                mode: "session",
                sessions: 10,
                dropped,
                ..TRANSACTIONS
            },
            "drops the settings",
        ),
        (
            Pooling {
                mode: "session",
                sessions: 10,
                ..TRANSACTIONS
            },
            "refuses the settings",
        ),
    ] {
        let pooler = TestPgbouncer::start(&address, pooling);
        let unsaid = setup(&house, &pooler.url(&address), None);
        let found = doctor(unsaid.clone()).await;
        let found = found.unwrap_or_else(|| panic!("{pooling:?} is not found"));
        assert_eq!(found["verdict"], "failed", "{pooling:?}: {found}");
        let detail = found["detail"].as_str().unwrap();
        assert!(detail.contains(fault), "{pooling:?}: {found}");
        let forbids = detail.contains("forbids prepared statements");
        assert_eq!(forbids, pooling.mode == "transaction", "{found}");
        let fix = found["fix"].as_str().unwrap();
        assert!(fix.contains("statement-cache-capacity=0"), "{found}");
        let refused = run(unsaid, &["serve"]).await;
        assert!(!refused.status.success());
        let talk = String::from_utf8(refused.stderr).unwrap();
        assert!(talk.contains("statement-cache-capacity=0"), "{talk}");

        let said = setup(&house, &pooler.said_url(&address), None);
        let found = doctor(said).await.unwrap();
        assert_eq!(found["verdict"], "ok", "{pooling:?}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_go_past_a_pooler() {
    let Some(mut house) = House::new(1, &[]).await else {
        return;
    };
    house.database = TestDatabase::postgres_empty().await.unwrap();
    let (address, owner) = (house.database.url(), house.database.owner_url());
    let dropped = "extra_float_digits,options";
    let pooler = TestPgbouncer::start(
        address,
        Pooling {
            dropped,
            ..TRANSACTIONS
        },
    );
    let (url, said_url) = (pooler.url(address), pooler.said_url(address));
    let (owner_url, said_owner_url) = (pooler.url(owner), pooler.said_url(owner));
    for refused in [
        setup(&house, &said_url, None),
        setup(&house, &said_url, Some(&said_owner_url)),
        setup(&house, &said_url, Some(&owner_url)),
        setup(&house, &url, Some(&owner_url)),
    ] {
        let refused = run(refused, &["migrate"]).await;
        assert!(!refused.status.success());
        let talk = String::from_utf8(refused.stderr).unwrap();
        assert!(talk.contains("ONEROUTER_MIGRATE_DATABASE_URL"), "{talk}");
        assert!(talk.contains("pooler"), "{talk}");
    }
    let right = setup(&house, &said_url, Some(owner));
    let migrated = run(right.clone(), &["migrate"]).await;
    assert!(migrated.status.success(), "{migrated:?}");
    house.setups = vec![right];
    let nodes = house.start().await;
    let ready = house.operator(&nodes[0]).get("/api/health/ready").await;
    assert_eq!(ready.status, 200, "{ready:?}");
}
