//! What is too old goes, and nothing else.

use std::sync::OnceLock;

use chrono::{DateTime, Datelike as _, Months, TimeDelta, Utc};
use futures_util::future::join_all;
use onerouter::store::{AttemptEnd, DEFAULT_TENANT, Log, NewAttempt, NewCallLog, NewEvent, Store};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{AttemptId, EventId, RequestId};
use onerouter_domain::time;
use onerouter_tests::database::TestDatabase;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

scenarios!(logs_and_attempts_that_are_too_old_go_and_others_stay);

const LOGS: [Log; 4] = [
    Log::Events,
    Log::CallLogs,
    Log::Deliveries,
    Log::DeliveryAttempts,
];

/// An id of that time.
fn id(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128((u128::from(time::to_millis(at)) << 80) | (7 << 76) | (2 << 62) | rand())
}

fn rand() -> u128 {
    Uuid::now_v7().as_u128() & 0xffff_ffff
}

async fn log(store: &Store, at: DateTime<Utc>) {
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    tx.insert_event(&NewEvent {
        id: EventId::from_uuid(id(at)),
        environment: Environment::Test,
        event_type: "sms.sent".to_owned(),
        object_id: id(at),
        object_version: 1,
        data: "{}".to_owned(),
        created_at: at,
    })
    .await
    .unwrap();
    tx.insert_call_log(&NewCallLog {
        id: RequestId::from_uuid(id(at)),
        environment: Environment::Test,
        api_key_id: None,
        method: "POST".to_owned(),
        route: "/v1/sms".to_owned(),
        status: 201,
        duration_us: 1,
        object_id: None,
        provider: None,
        code: None,
        created_at: at,
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

/// As a gateway of before did it, which knows of no deliveries.
async fn log_as_before(service: &mut PgConnection, at: DateTime<Utc>) {
    let inserted = format!(
        "begin;
         set local onerouter.tenant = '{tenant}';
         insert into events (tenant_id, id, environment, type, object_id, object_version, data,
             created_at)
         values ('{tenant}', '{id}', 'test', 'sms.sent', '{id}', 1, '{{}}', '{at}');
         insert into call_logs (tenant_id, id, environment, method, route, status, duration_us,
             created_at)
         values ('{tenant}', '{id}', 'test', 'POST', '/v1/sms', 201, 1, '{at}');
         commit",
        tenant = DEFAULT_TENANT.uuid(),
        id = id(at),
        at = at.to_rfc3339(),
    );
    sqlx::raw_sql(AssertSqlSafe(inserted))
        .execute(service)
        .await
        .unwrap();
}

async fn count(connection: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {sql}")))
        .fetch_one(connection)
        .await
        .unwrap()
}

async fn partitions(connection: &mut PgConnection, log: &str) -> Vec<String> {
    let names = format!(
        "select relname::text from pg_inherits join pg_class on pg_class.oid = inhrelid
         where inhparent = '{log}'::regclass order by relname"
    );
    sqlx::query_scalar(AssertSqlSafe(names))
        .fetch_all(connection)
        .await
        .unwrap()
}

/// In the middle of a month that is so many away.
fn month(away: u32) -> DateTime<Utc> {
    static NOW: OnceLock<DateTime<Utc>> = OnceLock::new();
    let middle = NOW.get_or_init(Utc::now).with_day(15).unwrap();
    middle.checked_add_months(Months::new(away)).unwrap()
}

#[tokio::test]
async fn a_month_goes_as_a_whole() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let store = database.store().await;
    let mut owner = PgConnection::connect(database.owner_url()).await.unwrap();

    // Ten nodes make room for a year at once, and once more.
    for _ in 0..2 {
        let made = join_all((0..10).map(|_| store.make_partitions(month(12)))).await;
        for made in made {
            made.unwrap();
        }
    }
    assert_eq!(store.make_partitions(month(12)).await.unwrap(), 0);
    let name = |away: u32| format!("events_{}", month(away).format("%Y_%m"));
    let there = partitions(&mut owner, "events").await;
    for away in 2..=12 {
        assert!(there.contains(&name(away)), "{away} of {there:?}");
    }

    // Each row lies in its month, and one of no month in the rest.
    for away in [0, 2, 3, 4, 1_200] {
        log(&store, month(away)).await;
    }
    for (table, rows) in [
        (name(2), 1),
        (name(3), 1),
        (name(4), 1),
        ("events_default".to_owned(), 1),
        ("events".to_owned(), 5),
    ] {
        assert_eq!(count(&mut owner, &table).await, rows, "{table}");
    }

    // Whatever is asked for, what is younger than a week stays.
    for log in LOGS {
        assert_eq!(store.drop_partitions(log, month(20)).await.unwrap(), 0);
    }
    assert_eq!(count(&mut owner, "events").await, 5);

    // As if it were four months later: what ended by then goes, at most.
    let later = "create or replace function now() returns timestamptz language sql
         as $$ select pg_catalog.now() + interval '4 months' $$;
         alter function drop_partitions(text, timestamptz) set search_path = public, pg_catalog";
    sqlx::raw_sql(later).execute(&mut owner).await.unwrap();
    let first = month(3).with_day(1).unwrap() + TimeDelta::days(3);
    // What was there before, then a month, one at a time.
    for expected in [1, 1, 0] {
        let dropped = store.drop_partitions(Log::Events, first).await.unwrap();
        assert_eq!(dropped, expected);
    }
    let left = partitions(&mut owner, "events").await;
    assert!(
        !left.contains(&name(2)) && left.contains(&name(3)),
        "{left:?}"
    );
    assert_eq!(count(&mut owner, "events").await, 3);
    assert_eq!(count(&mut owner, "call_logs").await, 5);

    // A row that came before its month was made moves there.
    log(&store, month(13)).await;
    assert_eq!(count(&mut owner, "events_default").await, 2);
    // By today's clock, which has not dropped them, three months of events are missing too.
    assert_eq!(store.make_partitions(month(13)).await.unwrap(), 8);
    assert_eq!(count(&mut owner, &name(13)).await, 1);
    assert_eq!(count(&mut owner, "events_default").await, 1);
    store.close().await;
}

#[tokio::test]
async fn what_was_there_before_there_were_partitions_stays() {
    let Some(database) = TestDatabase::postgres_empty().await else {
        return;
    };
    let mut owner = PgConnection::connect(database.owner_url()).await.unwrap();
    let migrations = sqlx::migrate!("../migrations/postgres");
    migrations.run_to(9, &mut owner).await.unwrap();
    let tables = "grant select, insert, update, delete on events, call_logs, tenants
        to onerouter_service";
    sqlx::raw_sql(tables).execute(&mut owner).await.unwrap();
    let mut service = PgConnection::connect(database.url()).await.unwrap();
    for away in 0..2 {
        log_as_before(&mut service, month(away)).await;
    }
    migrations.run(&mut owner).await.unwrap();
    // Served on without a break, before anybody has granted anything anew.
    log_as_before(&mut service, month(2)).await;
    database.migrate().await;
    let store = database.store().await;
    log(&store, month(3)).await;
    for (table, rows) in [("events", 4), ("call_logs", 4), ("events_default", 0)] {
        assert_eq!(count(&mut owner, table).await, rows, "{table}");
    }
    let of_before = partitions(&mut owner, "events").await;
    let of_before = of_before.iter().find(|name| name.contains("_until_"));
    // It ends two months after the last row of before.
    assert_eq!(count(&mut owner, of_before.unwrap()).await, 3);
    store.close().await;
}

#[tokio::test]
async fn the_service_drops_nothing_by_itself() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let mut service = PgConnection::connect(database.url()).await.unwrap();
    let names = partitions(&mut service, "events").await;
    for statement in [
        format!("drop table {}", names[0]),
        format!("select count(*) from {}", names[0]),
        "alter table events detach partition events_default".to_owned(),
        "select drop_partitions('objects', now())".to_owned(),
    ] {
        let done = sqlx::raw_sql(AssertSqlSafe(statement.clone()))
            .execute(&mut service)
            .await;
        assert!(done.is_err(), "{statement}");
    }
}

async fn logs_and_attempts_that_are_too_old_go_and_others_stay(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hi"}))
        .await;
    assert_eq!(sent.status, 201);
    let hooks = json!({"url": "https://example.com/hooks"});
    let hooks = acme.post("/v1/webhook-endpoints", hooks).await;
    let hooks = format!("/v1/webhook-endpoints/{}", hooks.text("id"));
    assert_eq!(
        acme.post(&format!("{hooks}/test"), json!({})).await.status,
        200
    );
    let batch = json!({"emails": [
        {"to": "a@example.com", "subject": "Hi", "text_body": "Hi"},
        {"to": "b@example.com", "subject": "Hi", "text_body": "Hi"},
    ]});
    assert_eq!(acme.post("/v1/email/batch", batch).await.status, 200);
    let sweeper = &host.gateway.parts().sweeper;
    let store = &host.gateway.parts().store;
    let object: onerouter_domain::id::SmsId = sent.text("id").parse().unwrap();
    let attempts = async || {
        let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
        tx.list_attempts(object.uuid()).await.unwrap().len()
    };

    sweeper.clean_up().await;
    assert_eq!(attempts().await, 1);
    // Nobody has looked at them for longer than they are kept.
    host.clock.advance(TimeDelta::days(399));
    sweeper.clean_up().await;
    assert_eq!(attempts().await, 1);
    host.clock.advance(TimeDelta::days(2));
    // By what was tried first it is found what became of an object that nobody knows of.
    ground.change("update objects set status = 'unknown'").await;
    sweeper.clean_up().await;
    assert_eq!(attempts().await, 1);
    ground.change("update objects set status = 'sent'").await;
    // Those of an object go together: keys toward its provider are numbered by them.
    let young = Uuid::now_v7().as_u128() + (u128::from(401_u64 * 86_400_000) << 80);
    let id = Uuid::from_u128(young);
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let old = tx.list_attempts(object.uuid()).await.unwrap().remove(0);
    tx.insert_attempt(&NewAttempt {
        id: AttemptId::from_uuid(id),
        object_id: object.uuid(),
        operation: old.operation,
        provider_key: String::new(),
        started_at: host.clock.now(),
        batch_id: None,
        connection_id: old.connection_id.unwrap(),
        routing: None,
    })
    .await
    .unwrap();
    tx.finish_attempt(&AttemptEnd {
        id: AttemptId::from_uuid(id),
        outcome: "accepted".to_owned(),
        detail: None,
        ended_at: host.clock.now(),
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
    sweeper.clean_up().await;
    assert_eq!(attempts().await, 2);
    host.clock.advance(TimeDelta::days(401));
    sweeper.clean_up().await;
    assert_eq!(attempts().await, 0);
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let now = host.clock.now();
    assert_eq!(tx.delete_old_attempts(now).await.unwrap(), 0);
    if !store.has_partitions() {
        for log in LOGS {
            assert_eq!(tx.delete_old_log(log, now).await.unwrap(), 0, "{log:?}");
        }
    }
    drop(tx);
    if !store.has_partitions() {
        let told = acme.get(&format!("{hooks}/deliveries")).await;
        assert_eq!(told.json["data"], json!([]));
    }
    // The message itself stays, and so does what is sent now.
    let path = format!("/v1/sms/{}", sent.text("id"));
    assert_eq!(acme.get(&path).await.status, 200);
    host.stop().await;
}
