//! The end of a tenant.

use std::sync::Arc;

use onerouter::service::caller::Operator;
use onerouter::service::changes::Changes;
use onerouter::service::tenants::Tenants;
use onerouter::store::DEFAULT_TENANT;
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::TenantId;
use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use uuid::Uuid;

scenarios!(
    nothing_of_a_deleted_tenant_is_left,
    only_the_tenant_that_is_meant_is_deleted,
);

const TABLES: [&str; 22] = [
    "api_keys",
    "attempts",
    "attempt_objects",
    "call_logs",
    "connection_directory",
    "connections",
    "data_keys",
    "delivery_queue",
    "due_work",
    "events",
    "idempotency_keys",
    "key_directory",
    "object_contents",
    "object_metadata",
    "objects",
    "provider_refs",
    "recorded_calls",
    "recording_directory",
    "recording_settings",
    "routing_policies",
    "webhook_deliveries",
    "webhook_endpoints",
];

/// Rows of a tenant in a table.
async fn rows(ground: &Ground, table: &str, tenant: Uuid) -> i64 {
    let sql = AssertSqlSafe(format!("select count(*) from {table} where tenant_id = $1"));
    if ground.url().starts_with("sqlite") {
        let mut database = SqliteConnection::connect(ground.url()).await.unwrap();
        sqlx::query_scalar(sql)
            .bind(tenant)
            .fetch_one(&mut database)
            .await
            .unwrap()
    } else {
        let mut database = PgConnection::connect(ground.owner_url()).await.unwrap();
        sqlx::query_scalar(sql)
            .bind(tenant)
            .fetch_one(&mut database)
            .await
            .unwrap()
    }
}

/// Messages and a payment of somebody.
async fn work(client: &Client) -> String {
    let client = client.with("Idempotency-Key", "order-7");
    let metadata = json!({"order": "7"});
    let email = json!({
        "to": "buyer@example.com", "subject": "Hi", "text_body": "Hi", "metadata": metadata,
    });
    let sent = client.post("/v1/email", email.clone()).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let client = client.with("Idempotency-Key", "order-8");
    let payment = json!({"amount": 5, "currency": "USD", "provider": "paypal"});
    let payment = client.post("/v1/payments", payment).await;
    assert_eq!(payment.status, 201, "{payment:?}");
    let batch = client.with("Idempotency-Key", "order-9");
    let batch = batch.post("/v1/email/batch", json!({"emails": [email.clone(), email]}));
    assert_eq!(batch.await.status, 200);
    let hooks = json!({"url": "https://example.com/hooks"});
    let keyed = client.with("Idempotency-Key", "hooks");
    let hooks = keyed.post("/v1/webhook-endpoints", hooks).await;
    let test = format!("/v1/webhook-endpoints/{}/test", hooks.text("id"));
    let keyed = client.with("Idempotency-Key", "test");
    let test = keyed.post(&test, json!({})).await;
    assert_eq!(test.status, 200, "{test:?}");
    format!("/v1/email/{}", sent.text("id"))
}

fn tenants(host: &Harness) -> Tenants {
    let store = host.gateway.parts().store.clone();
    // As another process has it: it tells nobody but the database.
    let changes = Arc::new(Changes::new(store.clone()));
    Tenants::new(store, host.clock.clone(), changes)
}

async fn nothing_of_a_deleted_tenant_is_left(ground: Ground) {
    let host = ground.host().await;
    let acme = host.tenant("Acme").await;
    host.connect_sandbox_of(&acme).await;
    let (theirs, ours) = (host.key_of(&acme, "test").await, host.key("test").await);
    work(&theirs).await;
    let kept = work(&ours).await;
    host.record().await;
    let listed = host.operator().get("/api/tenants").await;
    let id: TenantId = listed.json["data"][0]["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    for table in [
        "objects",
        "data_keys",
        "attempt_objects",
        "object_metadata",
        "due_work",
        "delivery_queue",
        "recorded_calls",
        "recording_directory",
        "recording_settings",
        "webhook_deliveries",
        "webhook_endpoints",
    ] {
        assert!(rows(&ground, table, id.uuid()).await > 0, "{table}");
    }
    let before = rows(&ground, "objects", DEFAULT_TENANT.uuid()).await;

    // One more call waits to be recorded when its tenant goes.
    let late = json!({"to": "late@example.com", "subject": "Hi", "text_body": "Hi"});
    let keyed = theirs.with("Idempotency-Key", "late");
    assert_eq!(keyed.post("/v1/email", late).await.status, 201);
    let operator = Operator::on_command_line(id);
    let deleted = tenants(&host).delete(&operator, "Acme").await.unwrap();
    assert!(deleted > 0);
    host.record().await;
    host.clock.advance(chrono::TimeDelta::hours(1));
    host.sweep().await;
    for table in TABLES {
        assert_eq!(rows(&ground, table, id.uuid()).await, 0, "{table}");
    }
    // Nobody acts for it any more: a gateway that was told nothing notices within a second.
    let stopped = async {
        while theirs.get("/v1/email").await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, stopped).await.unwrap();
    let refused = theirs.get("/v1/email").await;
    assert_eq!((refused.status, refused.code()), (401, "invalid_api_key"));
    assert_eq!(acme.get("/api/services").await.status, 404);
    let listed = host.operator().get("/api/tenants").await;
    assert!(!listed.json.to_string().contains("Acme"), "{listed:?}");
    // Its own log stays, and the operators' tells of it.
    assert!(rows(&ground, "audit_log", id.uuid()).await > 2);
    let log = host
        .operator()
        .get("/api/audit?action=tenant.deleted")
        .await;
    assert_eq!(log.json["data"][0]["target"], id.to_string());
    assert_eq!(log.json["data"][0]["before"]["name"], "Acme");
    // Others have what they had.
    assert_eq!(ours.get(&kept).await.status, 200);
    assert_eq!(
        rows(&ground, "objects", DEFAULT_TENANT.uuid()).await,
        before
    );
    // Again, for what a kill may have left.
    assert_eq!(tenants(&host).delete(&operator, "Acme").await.unwrap(), 0);
    host.stop().await;
}

async fn only_the_tenant_that_is_meant_is_deleted(ground: Ground) {
    let host = ground.host().await;
    let acme = host.tenant("Acme").await;
    let listed = host.operator().get("/api/tenants").await;
    let id: TenantId = listed.json["data"][0]["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let unknown = TenantId::from_uuid(Uuid::now_v7());
    for (tenant, name, expected) in [
        (id, "acme", ErrorCode::Conflict),
        (unknown, "Acme", ErrorCode::NotFound),
        (DEFAULT_TENANT, "default", ErrorCode::InvalidState),
    ] {
        let operator = Operator::on_command_line(tenant);
        let refused = tenants(&host).delete(&operator, name).await.unwrap_err();
        assert_eq!(refused.code, expected);
    }
    assert_eq!(acme.get("/api/services").await.status, 200);
    host.stop().await;
}
