//! How PostgreSQL runs every statement, as the service's role and under row-level security: by which
//! index, and whether it sorts. A change of a statement, an index or a policy shows here.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use url::Url;
use uuid::Uuid;

use super::{Store, StoreConfig, joined_statements, roles, statements};

const SERVER: &str = "ONEROUTER_TEST_POSTGRES_URL";

/// Set, the file is written anew instead of compared.
const UPDATE: &str = "UPDATE_PLANS";

/// As the pool's connections are, and plans that do not depend on values. What is sorted, or read as a
/// bitmap, is so because no index gives it in order.
const SETTINGS: &str = "set enable_seqscan = off; set enable_hashjoin = off;
    set enable_mergejoin = off; set enable_bitmapscan = off; set enable_sort = off;
    set plan_cache_mode = force_generic_plan;
    set onerouter.tenant = '00000000-0000-7000-8000-000000000001'";

/// Rows of ten tenants, for the planner: on empty tables all indexes look alike.
const ROWS: &str = "
    create function pg_temp.id(kind text, n bigint) returns uuid language sql
        as $$ select md5(kind || n)::uuid $$;
    insert into tenants (id, name, created_at)
    select pg_temp.id('tenant', n), 'tenant', now() from generate_series(1, 9) n;
    create temporary table of_rows as
        select n, case when n % 10 = 0 then '00000000-0000-7000-8000-000000000001'::uuid
            else pg_temp.id('tenant', n % 10) end as tenant_id
        from generate_series(1, 5000) n;
    insert into api_keys (tenant_id, id, environment, name, hash, prefix, last4, scopes, created_at)
    select tenant_id, pg_temp.id('key', n), 'test', 'key', sha256(n::text::bytea), 'unf_test_',
        'abcd', '[]', now() from of_rows where n <= 500;
    insert into key_directory (hash, tenant_id, key_id)
    select hash, tenant_id, id from api_keys;
    insert into connections (tenant_id, id, environment, category, provider, label, public, settings,
        secrets, created_at, updated_at)
    select tenant_id, pg_temp.id('connection', n), 'test', 'sms', 'provider', n::text, '{}', '{}', '',
        now(), now() from of_rows where n <= 500;
    insert into connection_directory (connection_id, tenant_id) select id, tenant_id from connections;
    insert into objects (tenant_id, id, environment, kind, provider, connection_id, status,
        provider_ref, request, result, metadata, version, created_at, updated_at)
    select tenant_id, pg_temp.id('object', n), case when n % 3 = 0 then 'live' else 'test' end,
        case when n % 2 = 0 then 'sms' else 'email' end, 'provider',
        pg_temp.id('connection', n % 10), 'sent', case when n % 50 > 0 then n::text end, '{}', '{}',
        jsonb_build_object('order', n::text), 1, now() + n * interval '1 second', now()
    from of_rows;
    insert into object_contents (tenant_id, object_id, content)
    select tenant_id, id, 'content' from objects;
    insert into attempts (tenant_id, id, object_id, operation, provider_key, started_at, connection_id)
    select tenant_id, pg_temp.id('attempt', n), pg_temp.id('object', n), 'send', '', now(),
        pg_temp.id('connection', n % 10) from of_rows;
    insert into attempt_objects (tenant_id, attempt_id, object_id, position)
    select tenant_id, pg_temp.id('attempt', n / 4), pg_temp.id('object', n), n from of_rows;
    insert into idempotency_keys (tenant_id, environment, key, route, request_hash, object_id, state,
        status, body, created_at, expires_at)
    select tenant_id, 'test', n::text, 'POST /v1/sms', sha256(n::text::bytea),
        pg_temp.id('object', n), 'done', 201, '', now(), now() + n * interval '1 second'
    from of_rows;
    insert into events (tenant_id, id, environment, type, object_id, object_version, data, created_at)
    select tenant_id, pg_temp.id('event', n), 'test', 'sms.sent', pg_temp.id('object', n), 1, '{}',
        now() from of_rows;
    insert into call_logs (tenant_id, id, environment, method, route, status, duration_us, created_at)
    select tenant_id, pg_temp.id('call', n), 'test', 'POST', '/v1/sms', 201, 1, now() from of_rows;
    insert into audit_log (tenant_id, id, actor, action, target, created_at)
    select tenant_id, pg_temp.id('audit', n), 'test', 'api_key.created', n::text, now() from of_rows;
    insert into due_work (tenant_id, kind, object_id, at, tries)
    select tenant_id, 'watch', pg_temp.id('object', n), now() + n * interval '1 second', 0
    from of_rows;
    insert into provider_refs (tenant_id, connection_id, ref, object_id)
    select tenant_id, pg_temp.id('connection', n % 10), n::text, pg_temp.id('object', n) from of_rows;
    insert into refund_amounts (tenant_id, payment_id, refund_id, amount_minor, status)
    select tenant_id, pg_temp.id('object', n / 4), pg_temp.id('refund', n), 1, 'given' from of_rows;
    insert into received_webhooks (tenant_id, id, environment, connection_id, provider, request,
        verdict, received_at)
    select tenant_id, pg_temp.id('webhook', n), 'test', pg_temp.id('connection', n % 10), 'provider', '',
        'accepted', now() from of_rows;
    insert into webhook_keys (tenant_id, connection_id, key, webhook_id, created_at)
    select tenant_id, pg_temp.id('connection', n % 10), n::text, pg_temp.id('webhook', n),
        now() + n * interval '1 second' from of_rows;
    insert into checkout_directory (token_hash, tenant_id, object_id)
    select sha256(n::text::bytea), tenant_id, pg_temp.id('object', n) from of_rows;
    insert into webhook_endpoints (tenant_id, id, environment, url, secrets, is_ordered, created_at,
        updated_at, disabled_at, disabled_reason)
    select tenant_id, pg_temp.id('endpoint', n), 'test', 'https://example.com', '', false, now(), now(),
        case when n % 3 = 0 then now() end, case when n % 3 = 0 then 'gone' end
    from of_rows where n <= 500;
    insert into webhook_deliveries (tenant_id, id, endpoint_id, event_id, object_id, sequence, state,
        attempts, next_at, created_at, ended_at)
    select tenant_id, pg_temp.id('delivery', n), pg_temp.id('endpoint', n % 500),
        pg_temp.id('event', n), pg_temp.id('object', n), 1,
        case when n % 20 = 0 then 'pending' else 'succeeded' end, 1,
        case when n % 20 = 0 then now() end, now(), case when n % 20 > 0 then now() end
    from of_rows;
    insert into webhook_attempts (tenant_id, id, delivery_id, number, status, duration_us, created_at)
    select tenant_id, pg_temp.id('try', n), pg_temp.id('delivery', n), 1, 204, 1, now() from of_rows;
    insert into delivery_queue (delivery_id, endpoint_id, tenant_id, at)
    select id, endpoint_id, tenant_id, next_at from webhook_deliveries where state = 'pending';
    analyze";

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap();
}

/// The steps that read rows or put them in order.
async fn plan(connection: &mut PgConnection, text: &str, parameters: usize) -> Vec<String> {
    run(&mut *connection, format!("prepare statement as {text}")).await;
    let nulls = vec!["null"; parameters].join(", ");
    let values = if parameters == 0 {
        String::new()
    } else {
        format!("({nulls})")
    };
    let explain = format!("explain (costs off) execute statement{values}");
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain))
        .persistent(false)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    run(connection, "deallocate statement".to_owned()).await;
    let steps = lines
        .iter()
        .map(|line| line.trim().trim_start_matches("->").trim());
    let is_named =
        |step: &&str| (step.contains(" Scan") && step.contains(" on ")) || step.ends_with("Sort");
    // Values that were bound, and what another step has already read.
    let is_bound = |step: &&str| {
        let others = ["Function Scan", "CTE Scan", "Subquery Scan"];
        others.iter().any(|other| step.contains(other))
    };
    let steps = steps.filter(is_named).filter(|step| !is_bound(step));
    let mut steps: Vec<String> = steps.map(without_months).collect();
    steps.dedup();
    steps
}

/// Partitions are named after their months, which pass, and numbered in the plan; all are alike.
fn without_months(step: &str) -> String {
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let general = |word: &str| {
        let logs = [
            "events",
            "call_logs",
            "webhook_deliveries",
            "webhook_attempts",
            "received_webhooks",
        ];
        let of = |log: &'static str| {
            let rest = word.strip_prefix(log)?.strip_prefix('_')?;
            Some((log, rest))
        };
        let Some((log, rest)) = logs.into_iter().find_map(of) else {
            return word.replace("_default", "_MONTH");
        };
        let parts: Vec<&str> = rest.split('_').collect();
        let is_of_month = |part: &&str| is_number(part) || ["until", "default"].contains(part);
        let months = parts.iter().take_while(|part| is_of_month(part)).count();
        match parts.get(months..) {
            _ if months == 0 => word.to_owned(),
            Some(index) if !index.is_empty() => format!("{log}_MONTH_{}", index.join("_")),
            _ => format!("{log}_MONTH"),
        }
    };
    // A partition is followed by the name that it has in the plan.
    let words: Vec<String> = step.split(' ').map(general).collect();
    let mut words = words.as_slice();
    if let [.., table, alias] = words
        && table.ends_with("_MONTH")
        && alias.ends_with("_MONTH")
    {
        words = words.split_last().map_or(words, |(_, rest)| rest);
    }
    words.join(" ")
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own server is no configuration"
)]
async fn every_statement_of_postgres_has_the_plan_that_was_looked_at() {
    let Ok(server) = env::var(SERVER) else { return };
    let name = format!("onerouter_plans_{}", Uuid::now_v7().simple());
    let mut owner = PgConnection::connect(&server).await.unwrap();
    run(&mut owner, format!("create database {name}")).await;
    run(&mut owner, format!("create role {name}")).await;
    let mut url: Url = server.parse().unwrap();
    url.set_path(&name);
    let store = Store::connect(&StoreConfig::new(url.as_str()))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    run(&mut connection, ROWS.to_owned()).await;
    roles::grant(&mut connection, &name).await.unwrap();
    run(&mut connection, format!("set role {name}; {SETTINGS}")).await;
    let mut plans = String::new();
    let single = statements().map(|(name, one)| (name, one.postgres, one.parameters()));
    let joined = joined_statements().map(|(name, one)| (name, one.postgres, one.parameters()));
    for (name, text, parameters) in single.chain(joined) {
        let name = name.trim_start_matches("onerouter::store::");
        for step in plan(&mut connection, text, parameters).await {
            writeln!(plans, "{name}: {step}").unwrap();
        }
    }
    connection.close().await.unwrap();
    run(&mut owner, format!("drop database {name} with (force)")).await;
    run(&mut owner, format!("drop role {name}")).await;

    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/plans.txt");
    if env::var_os(UPDATE).is_some() {
        fs::write(&kept, &plans).unwrap();
    }
    let expected = fs::read_to_string(&kept).unwrap_or_default();
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), plans.lines().collect());
    assert_eq!(
        found, expected,
        "plans have changed; look at them, and run this test with {UPDATE}=1"
    );
}
