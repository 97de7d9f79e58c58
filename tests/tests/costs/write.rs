//! A whole `POST`, everything on: of a text message, and of a payment, which costs no more of the
//! database.

use onerouter::config::{Config, UnsignedPlugins};
use onerouter::gateway::{Doubles, Gateway};
use onerouter_sandbox::{Sandbox, SandboxConfig};
use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{ADMIN_TOKEN, built};
use onerouter_tests::wire::Wire;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::counting::Meter;
use crate::{statements, within};

/// On the gateway's own threads: not those of SQLite, whose statements run elsewhere.
const ALLOCATIONS_MAX_SQLITE: u64 = 510;
const ALLOCATIONS_MAX_POSTGRES: u64 = 520;

/// As the driver reports them. On SQLite it says nothing of a transaction's beginning and end.
const STATEMENTS_SQLITE: u64 = 9;
const STATEMENTS_POSTGRES: u64 = 6;

/// Two transactions of one statement each.
const ROUND_TRIPS_POSTGRES: u64 = 6;

const WRITES: usize = 31;

static METER: Meter = Meter::new();

/// What is written.
struct Written {
    service: &'static str,
    path: &'static str,
    body: Value,
}

/// One test for both databases: they share the counters.
#[test]
fn a_write_allocates_and_asks_the_database_no_more_than_it_did() {
    statements::watch();
    let message = Written {
        service: "sms",
        path: "/v1/sms",
        body: json!({"to": "+14155550123", "body": "Your code is 123456."}),
    };
    let payment = Written {
        service: "payments",
        path: "/v1/payments",
        body: json!({"amount": 500, "currency": "INR", "provider": "razorpay"}),
    };
    let Costs {
        allocations,
        statements,
        ..
    } = costs(&message, None);
    within(
        "allocations of a write on SQLite",
        allocations,
        ALLOCATIONS_MAX_SQLITE,
    );
    within(
        "statements of a write on SQLite",
        statements,
        STATEMENTS_SQLITE,
    );

    let elsewhere = Builder::new_current_thread().enable_all().build().unwrap();
    let Some(database) = elsewhere.block_on(TestDatabase::postgres()) else {
        return;
    };
    let Costs {
        allocations,
        statements,
        round_trips,
    } = costs(&message, Some(database.url()));
    within(
        "allocations of a write on PostgreSQL",
        allocations,
        ALLOCATIONS_MAX_POSTGRES,
    );
    within(
        "statements of a write on PostgreSQL",
        statements,
        STATEMENTS_POSTGRES,
    );
    within(
        "round trips of a write to PostgreSQL",
        round_trips,
        ROUND_TRIPS_POSTGRES,
    );
    let Some(another) = elsewhere.block_on(TestDatabase::postgres()) else {
        return;
    };
    let Costs {
        statements,
        round_trips,
        ..
    } = costs(&payment, Some(another.url()));
    within(
        "statements of a payment on PostgreSQL",
        statements,
        STATEMENTS_POSTGRES,
    );
    within(
        "round trips of a payment to PostgreSQL",
        round_trips,
        ROUND_TRIPS_POSTGRES,
    );
}

/// What one write took.
struct Costs {
    allocations: u64,
    statements: u64,
    round_trips: u64,
}

/// The medians of a write's allocations and round trips, and the least of its statements: a write
/// that finds the cached key too old reads it again.
fn costs(written: &Written, database_url: Option<&str>) -> Costs {
    // Provider and client have threads of their own, whose allocations do not count.
    let elsewhere = runtime(|| ());
    let gateways = runtime(|| METER.watch_this_thread());
    let sandbox = elsewhere
        .block_on(Sandbox::start(SandboxConfig::default()))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::in_folder(&folder.path().join("data"));
    config.admin_token = Some(ADMIN_TOKEN.to_owned().into());
    config.plugin_trust.unsigned = UnsignedPlugins::Allow;
    config.plugins_dir = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins");
    let wire = database_url.map(|url| elsewhere.block_on(Wire::to(url)));
    if let Some(wire) = &wire {
        wire.url().clone_into(&mut config.database_url);
    }
    let round_trips = || wire.as_ref().map_or(0, Wire::round_trips) as u64;
    for (host, base) in sandbox.upstreams() {
        config.upstreams.set(&host, &base).unwrap();
    }
    let doubles = Doubles {
        without_background: true,
        ..Doubles::default()
    };
    let gateway = gateways.block_on(Gateway::start(&config, doubles)).unwrap();
    let base = gateway.url();
    let counts = elsewhere.block_on(async {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let post = async |path: &str, token: &str, body: Value| -> Value {
            let request = http.post(format!("{base}{path}")).bearer_auth(token);
            let answer = request.json(&body).send().await.unwrap();
            assert!(answer.status().is_success(), "{path}: {answer:?}");
            answer.json().await.unwrap()
        };
        let connections = sandbox.connections().into_iter();
        for connection in connections.filter(|connection| connection.service == written.service) {
            let (service, provider) = (connection.service, connection.provider);
            let path = format!("/api/services/{service}/{provider}/connect");
            let body = json!({
                "environment": connection.environment,
                "credentials": connection.credentials, "settings": connection.settings,
            });
            post(&path, ADMIN_TOKEN, body).await;
        }
        let rate = json!({"per_second": 1_000, "burst": 1_000});
        let body = json!({"name": "test", "environment": "test", "rate_limit": rate});
        let key = post("/api/api-keys", ADMIN_TOKEN, body).await;
        let key = key["key"].as_str().unwrap().to_owned();
        let mut counts = Vec::new();
        for _ in 0..WRITES {
            let before = (METER.count(), statements::count(), round_trips());
            post(written.path, &key, written.body.clone()).await;
            let after = (METER.count(), statements::count(), round_trips());
            counts.push((after.0 - before.0, after.1 - before.1, after.2 - before.2));
        }
        counts
    });
    gateways.block_on(gateway.shutdown());
    elsewhere.block_on(sandbox.shutdown());
    let sorted = |pick: fn(&(u64, u64, u64)) -> u64| {
        let mut counts: Vec<_> = counts.iter().map(pick).collect();
        counts.sort_unstable();
        counts
    };
    Costs {
        allocations: sorted(|counts| counts.0)[WRITES / 2],
        statements: sorted(|counts| counts.1)[0],
        round_trips: sorted(|counts| counts.2)[WRITES / 2],
    }
}

fn runtime(begin: impl Fn() + Send + Sync + 'static) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .on_thread_start(begin);
    builder.build().unwrap()
}
