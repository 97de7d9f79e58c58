//! The store and the vault on both databases: every test runs once on each.
//!
//! Without `ONEROUTER_TEST_POSTGRES_URL` the tests on PostgreSQL pass without doing anything;
//! `cargo xtask test` always sets it.

mod api_keys;
mod connections;
mod due_work;
mod groups;
mod hashicorp;
mod idempotency;
mod isolation;
mod objects;
mod retention;
mod schema;
mod vault;
mod volume;
mod writes;

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use onerouter::store::{NewObject, ObjectKind};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::ConnectionId;
use onerouter_domain::metadata::Metadata;
use uuid::Uuid;

/// Makes a test on each database of functions that take a store.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use onerouter_tests::database::TestDatabase;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let database = TestDatabase::sqlite().await;
                let store = database.store().await;
                super::$name(store.clone()).await;
                store.close().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(database) = TestDatabase::postgres().await else { return };
                let store = database.store().await;
                super::$name(store.clone()).await;
                store.close().await;
            }
        }
    )+};
}

use on_both_databases;

/// A fixed moment, with microseconds that are not milliseconds.
fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_800_000_000_123_456).unwrap()
}

fn seconds(count: i64) -> TimeDelta {
    TimeDelta::seconds(count)
}

/// An id that was made at that time, after the others.
fn id_of_moment() -> Uuid {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let millis = u128::try_from(moment().timestamp_millis()).unwrap();
    let number = u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
    Uuid::from_u128((millis << 80) | (7 << 76) | (2 << 62) | number)
}

fn object(connection_id: ConnectionId) -> NewObject {
    NewObject {
        id: id_of_moment(),
        environment: Environment::Test,
        kind: ObjectKind::Sms,
        provider: "acme".to_owned(),
        connection_id,
        status: "queued".to_owned(),
        request: r#"{"to":"+4915112345678","n":1.50}"#.to_owned(),
        content: None,
        result: "{}".to_owned(),
        metadata: Metadata::default(),
        claimed_until: None,
        created_at: moment(),
    }
}

fn connection_id() -> ConnectionId {
    ConnectionId::from_uuid(Uuid::now_v7())
}

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    Metadata::new(
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
    )
    .unwrap()
}
