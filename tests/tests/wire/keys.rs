//! API keys that are revoked while something else is done with them.

use onerouter_tests::harness::Setup;
use onerouter_tests::scenarios_at_a_wire;
use onerouter_tests::write_path::Ground;
use serde_json::json;

scenarios_at_a_wire!(
    a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered,
    a_key_that_is_revoked_while_it_is_looked_up_is_refused_before_that_ends,
    a_key_that_is_revoked_while_it_is_rolled_gets_no_successor,
);

/// How a key is read once its tenant is known.
const READING: &str = "from api_keys where tenant_id = $1 and id = $2";
const MAKING: &str = "insert into api_keys";

fn unconnected() -> Setup {
    Setup {
        unconnected: true,
        ..Setup::default()
    }
}

async fn a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered(ground: Ground) {
    let host = ground.host_with(unconnected()).await;
    let operator = host.operator();
    let body = json!({"name": "shop", "environment": "test"});
    let made = operator.post("/api/api-keys", body).await;
    let acme = host.client(made.text("key"));
    // The row has been read, and says that the key is good.
    let snare = ground.wire().hold_before_commit_of(READING);
    let looking = {
        let acme = acme.clone();
        tokio::spawn(async move { acme.get("/v1/sms").await })
    };
    snare.caught().await;
    let path = format!("/api/api-keys/{}", made.text("id"));
    assert_eq!(operator.delete(&path).await.status, 200);
    snare.release();
    // It came before the end of the key; whatever comes afterwards did not.
    assert_eq!(looking.await.unwrap().status, 200);
    let refused = acme.get("/v1/sms").await;
    assert_eq!((refused.status, refused.code()), (401, "invalid_api_key"));
}

async fn a_key_that_is_revoked_while_it_is_looked_up_is_refused_before_that_ends(ground: Ground) {
    let host = ground.host_with(unconnected()).await;
    let operator = host.operator();
    let body = json!({"name": "shop", "environment": "test"});
    let made = operator.post("/api/api-keys", body).await;
    let acme = host.client(made.text("key"));
    let snare = ground.wire().hold_before_commit_of(READING);
    let looking = {
        let acme = acme.clone();
        tokio::spawn(async move { acme.get("/v1/sms").await })
    };
    snare.caught().await;
    let path = format!("/api/api-keys/{}", made.text("id"));
    assert_eq!(operator.delete(&path).await.status, 200);
    // It neither waits for the lookup of before nor believes it.
    let refused = acme.get("/v1/sms").await;
    assert_eq!((refused.status, refused.code()), (401, "invalid_api_key"));
    snare.release();
    looking.await.unwrap();
}

async fn a_key_that_is_revoked_while_it_is_rolled_gets_no_successor(ground: Ground) {
    let host = ground.host_with(unconnected()).await;
    let operator = host.operator();
    let body = json!({"name": "shop", "environment": "test"});
    let made = operator.post("/api/api-keys", body).await;
    let path = format!("/api/api-keys/{}", made.text("id"));
    // The old key was good when it was read, a moment ago.
    let snare = ground.wire().hold_at(MAKING, 0);
    let rolling = {
        let (operator, path) = (operator.clone(), format!("{path}/roll"));
        tokio::spawn(async move { operator.post(&path, json!({})).await })
    };
    snare.caught().await;
    assert_eq!(operator.delete(&path).await.status, 200);
    snare.release();
    let rolled = rolling.await.unwrap();
    assert_eq!(
        (rolled.status, rolled.code()),
        (409, "invalid_state"),
        "{rolled:?}"
    );
    let listed = operator.get("/api/api-keys").await;
    let keys = listed.json["data"].as_array().unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0]["revoked_at"].is_string());
    assert!(keys[0]["expires_at"].is_null());
}
