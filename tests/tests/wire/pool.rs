//! Connections that died while they lay in the pool: whoever comes next does not notice.

use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::scenarios_at_a_wire;
use onerouter_tests::write_path::Ground;
use serde_json::json;
use tokio::task::JoinSet;

scenarios_at_a_wire!(
    what_comes_after_a_cut_wire_is_served,
    what_comes_after_the_server_closed_its_connections_is_served,
);

const POOLED: usize = 4;

/// Fills the pool: some transactions are open at the same time.
async fn warm(ground: &Ground, host: &Harness) {
    let store = &host.gateway.parts().store;
    let mut open = Vec::new();
    for _ in 0..POOLED {
        let tenant = onerouter::store::DEFAULT_TENANT;
        open.push(store.begin_read(tenant).await.unwrap());
    }
    for tx in open {
        tx.commit().await.unwrap();
    }
    assert!(ground.wire().open() >= POOLED);
}

/// A key that nobody has looked up yet.
async fn new_keys(host: &Harness) -> Vec<Client> {
    vec![host.key("test").await, host.key("test").await]
}

async fn each_first(ground: Ground, kill: impl AsyncFn(&Ground)) {
    let host = ground.host().await;
    let [reader, writer] = new_keys(&host).await.try_into().unwrap();
    let kill = async || {
        warm(&ground, &host).await;
        kill(&ground).await;
    };
    // Each begins with a statement of its own: a key, a tenant, due work, a ping.
    kill().await;
    assert_eq!(reader.get("/v1/sms").await.status, 200);
    kill().await;
    let body = json!({"to": "ada@example.com", "subject": "Hello", "text_body": "Hi"});
    let sent = writer.post("/v1/email", body).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    kill().await;
    let listed = host.operator().get("/api/api-keys").await;
    assert_eq!(listed.status, 200, "{listed:?}");
    kill().await;
    let parts = host.gateway.parts();
    assert_eq!(parts.sweeper.sweep().await.unwrap(), 0);
    kill().await;
    assert_eq!(parts.store.list_tenants().await.unwrap().len(), 1);
    kill().await;
    host.tenant("another").await;
    kill().await;
    let ready = host.client("nobody").get("/api/health/ready").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    let mut at_once = JoinSet::new();
    kill().await;
    for _ in 0..2 * POOLED {
        let reader = reader.clone();
        at_once.spawn(async move { reader.get("/v1/email").await.status });
    }
    for status in at_once.join_all().await {
        assert_eq!(status, 200);
    }
}

async fn what_comes_after_a_cut_wire_is_served(ground: Ground) {
    each_first(ground, async |ground| ground.wire().cut_all().await).await;
}

async fn what_comes_after_the_server_closed_its_connections_is_served(ground: Ground) {
    // As for a restart; it waits until they are gone.
    each_first(ground, async |ground| {
        ground
            .change(
                "do $$ begin
                     perform pg_terminate_backend(pid, 10000) from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid()
                         and application_name = 'onerouter';
                 end $$",
            )
            .await;
    })
    .await;
}
