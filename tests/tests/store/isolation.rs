//! What PostgreSQL itself keeps apart, whatever a query says.

use onerouter::store::{DEFAULT_TENANT, Store, StoreConfig};
use onerouter_tests::database::{SERVICE_ROLE, TestDatabase};
use onerouter_tests::write_path::Ground;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Tables without a policy, and why.
const WITHOUT_POLICY: [(&str, &str); 17] = [
    ("_sqlx_migrations", "which migrations were applied"),
    (
        "checkout_directory",
        "whose a buyer's page is: the hash of its token, tenant, object",
    ),
    ("connection_directory", "whose a connection is"),
    (
        "delivery_queue",
        "what is to be told to which endpoint and when, by whichever node: delivery, endpoint, tenant",
    ),
    (
        "due_work",
        "what is to be done and when, by whichever node: tenant, kind, object",
    ),
    (
        "gateway_nodes",
        "how far each node has followed: nothing of tenants",
    ),
    ("generation", "how many changes there have been"),
    (
        "key_directory",
        "whose an API key is: its hash, tenant, key",
    ),
    ("plugin_components", "plugins' bytes: for all tenants"),
    (
        "plugin_distrusted_keys",
        "whose keys may sign nothing: for all tenants",
    ),
    (
        "plugin_generation",
        "how many changes of plugins there have been",
    ),
    (
        "plugin_keys",
        "whose keys may sign plugins: for all tenants",
    ),
    (
        "plugin_tombstones",
        "plugins that are not to come back: for all tenants",
    ),
    (
        "plugin_versions",
        "which plugins are installed: for all tenants",
    ),
    (
        "plugins",
        "which versions serve, and which tenants try a new one: the operator's",
    ),
    (
        "recording_directory",
        "whose calls of a version are recorded: digest, tenant, time",
    ),
    (
        "tenant_changes",
        "whose something has changed: number, tenant",
    ),
];

/// Tables that a gateway at work has written, so that seeing nothing in them means something.
const WRITTEN: [&str; 14] = [
    "api_keys",
    "attempts",
    "audit_log",
    "call_logs",
    "connections",
    "data_keys",
    "events",
    "idempotency_keys",
    "object_contents",
    "object_metadata",
    "objects",
    "tenants",
    "webhook_deliveries",
    "webhook_endpoints",
];

async fn names(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap()
}

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Without the partitions: they are reached through their tables.
const PROTECTED: &str = "select relname::text from pg_class
    where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and not relispartition
        and relrowsecurity and relforcerowsecurity
        and exists (select from pg_policy where polrelid = pg_class.oid)
    order by relname";

#[tokio::test]
async fn every_table_has_a_policy_or_a_reason() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let mut owner = PgConnection::connect(database.owner_url()).await.unwrap();
    let protected = names(&mut owner, PROTECTED).await;
    let all = "select relname::text from pg_class
        where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace
            and not relispartition
        order by relname";
    let mut open = names(&mut owner, all).await;
    open.retain(|table| !protected.contains(table));
    assert_eq!(open, WITHOUT_POLICY.map(|(table, _)| table));
    // What runs with its owner's rights looks into nobody's temporary tables first.
    let misled = "select proname::text from pg_proc
        where prosecdef and pronamespace = 'public'::regnamespace
            and not exists (select from unnest(proconfig) as setting
                where setting like 'search_path=%pg_temp')";
    assert_eq!(names(&mut owner, misled).await, [""; 0]);
    // Nobody but their owner has rights on partitions, and who had would see nothing.
    let partitions = "select relname::text from pg_class where relispartition and relkind = 'r'";
    assert!(names(&mut owner, partitions).await.len() >= 8);
    let loose = format!(
        "{partitions} and not (relrowsecurity and relforcerowsecurity
             and not has_table_privilege('{SERVICE_ROLE}', oid, 'select, insert, update, delete'))"
    );
    assert_eq!(names(&mut owner, &loose).await, [""; 0]);
}

const ENDPOINTS: &str = "/v1/webhook-endpoints";

/// A gateway's database after messages of two tenants.
async fn two_tenants() -> Option<(Ground, onerouter_tests::harness::Harness)> {
    let ground = Ground::postgres().await?;
    let host = ground.host().await;
    let other = host.tenant("other").await;
    host.connect_sandbox_of(&other).await;
    for operator in [host.operator(), other] {
        let client = host
            .key_of(&operator, "test")
            .await
            .with("Idempotency-Key", "order-7");
        let message = json!({
            "to": "buyer@example.com", "subject": "Hi", "text_body": "Hi", "metadata": {"order": "7"},
        });
        let sent = client.post("/v1/email", message).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let client = host.key_of(&operator, "test").await;
        let endpoint = json!({"url": "https://example.com/hooks"});
        let endpoint = client.post(ENDPOINTS, endpoint).await;
        let test = format!("{ENDPOINTS}/{}/test", endpoint.text("id"));
        assert_eq!(client.post(&test, json!({})).await.status, 200);
    }
    Some((ground, host))
}

#[tokio::test]
async fn raw_sql_without_a_tenant_sees_no_rows() {
    let Some((ground, host)) = two_tenants().await else {
        return;
    };
    let mut owner = PgConnection::connect(ground.owner_url()).await.unwrap();
    let mut service = PgConnection::connect(ground.url()).await.unwrap();
    for table in names(&mut owner, PROTECTED).await {
        assert_eq!(count(&mut service, &table).await, 0, "{table}");
    }
    for table in WRITTEN {
        assert!(count(&mut owner, table).await > 0, "{table}");
    }
    // Nor with a name that is empty, as after a transaction that had one.
    let emptied = "set onerouter.tenant = ''";
    sqlx::raw_sql(emptied).execute(&mut service).await.unwrap();
    assert_eq!(count(&mut service, "objects").await, 0);
    host.stop().await;
}

#[tokio::test]
async fn a_query_without_a_condition_reaches_one_tenant_only() {
    let Some((ground, host)) = two_tenants().await else {
        return;
    };
    let mut owner = PgConnection::connect(ground.owner_url()).await.unwrap();
    let mut service = PgConnection::connect(ground.url()).await.unwrap();
    let named = format!("set onerouter.tenant = '{}'", DEFAULT_TENANT.uuid());
    sqlx::raw_sql(AssertSqlSafe(named))
        .execute(&mut service)
        .await
        .unwrap();
    for table in WRITTEN {
        let (all, own) = (
            count(&mut owner, table).await,
            count(&mut service, table).await,
        );
        assert!(own > 0 && own < all, "{table}: {own} of {all}");
    }
    let changed = sqlx::query("update objects set metadata = '{}'")
        .execute(&mut service)
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 1);
    let deleted = sqlx::query("delete from events")
        .execute(&mut service)
        .await
        .unwrap();
    assert!(deleted.rows_affected() > 0);
    assert!(count(&mut owner, "events").await > 0);
    // What is written for another one is refused, new or moved.
    let moved = "update objects set tenant_id = '00000000-0000-7000-8000-000000000002'";
    let foreign = "insert into call_logs (tenant_id, id, environment, method, route, status,
            duration_us, created_at)
        values ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000003',
            'test', 'POST', '/v1/sms', 201, 1, '2026-01-01T00:00:00Z')";
    for sql in [moved, foreign] {
        let refused = sqlx::query(sql).execute(&mut service).await.unwrap_err();
        let refused = refused.into_database_error().unwrap();
        assert_eq!(refused.code().as_deref(), Some("42501"), "{sql}: {refused}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_connection_that_goes_back_to_the_pool_carries_no_tenant() {
    let Some((ground, host)) = two_tenants().await else {
        return;
    };
    let mut config = StoreConfig::new(ground.url());
    config.max_connections = 1;
    let store = Store::connect(&config).await.unwrap();
    let seen = async || store.check_role().await.unwrap().unwrap().open;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(!tx.list_api_keys(None, 10).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    assert_eq!(seen().await, [""; 0]);
    // One that is dropped, and one that only reads.
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(!tx.list_api_keys(None, 10).await.unwrap().is_empty());
    drop(tx);
    assert_eq!(seen().await, [""; 0]);
    let tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    tx.commit().await.unwrap();
    assert!(store.list_tenants().await.unwrap().len() > 1);
    assert_eq!(seen().await, [""; 0]);
    store.close().await;
    host.stop().await;
}

#[tokio::test]
async fn a_role_that_could_pass_over_policies_is_found_out() {
    let Some((ground, host)) = two_tenants().await else {
        return;
    };
    let check = async |url: &str| {
        let store = Store::connect(&StoreConfig::new(url)).await.unwrap();
        let check = store.check_role().await.unwrap().unwrap();
        store.close().await;
        check
    };
    assert_eq!(check(ground.url()).await.faults(), [""; 0]);
    let faults = check(ground.owner_url()).await.faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("superuser") && faults[1].contains("objects"));
    // Owning a table is enough to drop its policy.
    let mut owner = PgConnection::connect(ground.owner_url()).await.unwrap();
    let given = "alter table events owner to onerouter_service;
        alter table attempts no force row level security";
    sqlx::raw_sql(given).execute(&mut owner).await.unwrap();
    let check = check(ground.url()).await;
    assert_eq!(
        (check.owned, check.unprotected),
        (vec!["events".to_owned()], vec!["attempts".to_owned()])
    );
    host.stop().await;
}
