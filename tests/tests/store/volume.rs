//! How much PostgreSQL reads for a request while one tenant has many rows.

use std::env;

use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::write_path::{Ground, eventually};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

/// Objects of the tenant; a longer run sets more.
const ROWS: &str = "ONEROUTER_SOAK_ROWS";
const ROWS_OF_TEST: u64 = 20_000;
/// One every ten seconds, back from now.
const SECONDS_APART: u64 = 10;
/// Requests of each kind.
const TIMES: u64 = 20;
/// Rows of a table that is not read as a whole.
const MANY: i64 = 1_000;

/// Many times what one message has left. Bodies that only their own requests read are left out: ten million
/// of them fill a disk, and no index.
const MULTIPLY: &str = "
    create temporary table copies as
    select n, at, (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid as id
    from (select n, now() - n * interval 'SECONDS seconds' as at
        from generate_series(1, ROWS) as n) as times;
    create temporary table one as select * from objects;
    insert into objects (tenant_id, id, environment, kind, provider, connection_id, status,
        provider_ref, request, result, metadata, version, created_at, updated_at)
    select tenant_id, copies.id, environment, kind, provider, connection_id, status,
        'SM' || md5(n::text), request, result, jsonb_build_object('order', n::text), version, at, at
    from one, copies;
    insert into attempts (tenant_id, id, object_id, operation, provider_key, outcome, detail,
        started_at, ended_at, connection_id)
    select tenant_id, copies.id, copies.id, operation, provider_key, outcome, detail, at, at,
        connection_id
    from (select * from attempts limit 1) as one, copies;
    insert into events (tenant_id, id, environment, type, object_id, object_version, data, created_at)
    select tenant_id, copies.id, environment, type, copies.id, object_version, '{}', at
    from (select * from events limit 1) as one, copies;
    insert into call_logs (tenant_id, id, environment, method, route, status, duration_us, created_at)
    select tenant_id, copies.id, environment, method, route, status, duration_us, at
    from (select * from call_logs limit 1) as one, copies;
    insert into idempotency_keys (tenant_id, environment, key, route, request_hash, object_id, state,
        status, body, created_at, expires_at)
    select tenant_id, environment, 'copy-' || n, route, request_hash, copies.id, state, status, '{}',
        now(), expires_at
    from (select * from idempotency_keys limit 1) as one, copies;
    analyze";

/// Counts since the last reset: whole reads of tables with many rows, and blocks of all.
const READ: &str = "
    select
        (select coalesce(sum(seq_scan), 0)::bigint from pg_stat_user_tables
            where n_live_tup > MANY),
        (select coalesce(sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read, 0)
            + coalesce(idx_blks_hit, 0)), 0)::bigint from pg_statio_user_tables)";

struct Reads {
    owner: PgConnection,
}

impl Reads {
    async fn run(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.owner)
            .await
            .unwrap();
    }

    /// Ends every other connection: only then all of what they have counted is told.
    async fn settle(&mut self) {
        let others = "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        let owner = tokio::sync::Mutex::new(&mut self.owner);
        eventually("nobody else is connected", async || {
            let mut owner = owner.lock().await;
            let there: i64 = sqlx::query_scalar(others)
                .fetch_one(&mut **owner)
                .await
                .unwrap();
            there == 0
        })
        .await;
    }

    /// Blocks that each of some requests has read.
    async fn of(&mut self, what: &str, work: impl AsyncFn(u64)) -> i64 {
        // What only the first one costs: connections, statements, what is remembered.
        self.settle().await;
        work(0).await;
        self.run("select pg_stat_reset()").await;
        for n in 1..=TIMES {
            work(n).await;
        }
        self.settle().await;
        let read = READ.replace("MANY", &MANY.to_string());
        let (whole, blocks): (i64, i64) = sqlx::query_as(AssertSqlSafe(read))
            .fetch_one(&mut self.owner)
            .await
            .unwrap();
        assert_eq!(whole, 0, "{what}: a table was read as a whole");
        let each = blocks / i64::try_from(TIMES).unwrap();
        println!("{what}: {each} blocks");
        each
    }
}

fn message(n: u64) -> serde_json::Value {
    json!({"to": "+14155550123", "body": "Hi", "metadata": {"order": format!("new-{n}")}})
}

async fn get(client: &Client, path: String) -> serde_json::Value {
    let answer = client.get(&path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json
}

#[tokio::test]
async fn requests_read_as_little_as_if_there_were_few_rows() {
    let rows = env::var(ROWS).map_or(ROWS_OF_TEST, |text| text.parse().unwrap());
    let Some(ground) = Ground::postgres().await else {
        return;
    };
    let host: Harness = ground.host().await;
    let rate = json!({"per_second": 100_000, "burst": 100_000});
    let body = json!({"name": "many", "environment": "test", "rate_limit": rate});
    let made = host.operator().post("/api/api-keys", body).await;
    let acme = host.client(made.text("key"));
    let first = acme.with("Idempotency-Key", "first");
    let sent = first.post("/v1/sms", message(0)).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let mut reads = Reads {
        owner: PgConnection::connect(ground.owner_url()).await.unwrap(),
    };
    let multiply = MULTIPLY
        .replace("ROWS", &rows.to_string())
        .replace("SECONDS", &SECONDS_APART.to_string());
    reads.run(&multiply).await;
    let ids: Vec<Uuid> = sqlx::query_scalar("select id from copies order by md5(n::text) limit 50")
        .fetch_all(&mut reads.owner)
        .await
        .unwrap();
    let middle = chrono::Utc::now()
        - chrono::TimeDelta::seconds(i64::try_from(rows * SECONDS_APART / 2).unwrap());
    let middle = middle.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let lately = chrono::Utc::now() - chrono::TimeDelta::minutes(1);
    let lately = lately.format("%Y-%m-%dT%H:%M:%SZ").to_string();

    // What each may read: some blocks of each index and table that it touches.
    let write = reads.of("a write", async |n| {
        let once = acme.with("Idempotency-Key", &format!("new-{n}"));
        let sent = once.post("/v1/sms", message(n)).await;
        assert_eq!(sent.status, 201, "{sent:?}");
    });
    assert!(write.await < 150);
    let repeated = reads.of("a repeated write", async |n| {
        let once = acme.with("Idempotency-Key", &format!("new-{n}"));
        let sent = once.post("/v1/sms", message(n)).await;
        assert_eq!(sent.status, 201, "{sent:?}");
    });
    assert!(repeated.await < 30);
    let read = reads.of("a read", async |n| {
        let id = onerouter_domain::id::SmsId::from_uuid(ids[usize::try_from(n).unwrap()]);
        get(&acme, format!("/v1/sms/{id}?refresh=false")).await;
    });
    assert!(read.await < 20);
    for (what, query, found) in [
        ("the newest 100", "limit=100".to_owned(), 100),
        (
            "100 of the middle",
            format!("limit=100&created_before={middle}"),
            100,
        ),
        (
            "the few of a minute",
            format!("limit=100&created_after={lately}"),
            5,
        ),
        ("one by its metadata", "metadata[order]=17".to_owned(), 1),
        ("none by its metadata", "metadata[order]=none".to_owned(), 0),
    ] {
        let list = reads.of(what, async |_| {
            let list = get(&acme, format!("/v1/sms?{query}")).await;
            assert!(list["data"].as_array().unwrap().len() >= found, "{what}");
        });
        assert!(list.await < 250, "{what}");
    }
    let sweep = reads.of("a look for due work", async |_| {
        host.sweep().await;
    });
    assert!(sweep.await < 20);
    host.stop().await;
}
