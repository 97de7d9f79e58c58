//! What is changed at one node holds at the others within a second.

use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_sandbox::razorpay;
use onerouter_tests::harness::{Reply, reply};
use onerouter_tests::node::Node;
use onerouter_tests::redis::TestRedis;
use reqwest::Method;
use serde_json::json;
use sha2::Sha256;
use sqlx::{Connection as _, PgConnection};

use crate::house::{Caller, House, until_it_holds};

const NUMBER: &str = "+14155550123";

async fn send(caller: &Caller) -> Reply {
    let body = json!({"to": NUMBER, "body": "Hi"});
    caller.post("/v1/sms", &body).await
}

async fn list(caller: &Caller) -> Reply {
    caller.get("/v1/sms").await
}

async fn what_changes_at_one_node_holds_at_another(settings: &[(&'static str, String)]) {
    let Some(house) = House::new(2, settings).await else {
        return;
    };
    let nodes = house.start().await;
    house.connect(&nodes[0]).await;
    let operator = house.operator(&nodes[0]);
    let (id, key) = house.key(&nodes[0], 100_000, 100_000).await;
    let there = house.caller(&nodes[1], &key);
    assert_eq!(send(&there).await.status, 201);

    let path = "/api/services/sms/twilio?environment=test";
    let gone = operator.call(Method::DELETE, path, None).await;
    assert!([200, 204].contains(&gone.status), "{gone:?}");
    let (took, answer) = until_it_holds(&there, send, |answer| answer.status == 201).await;
    assert_eq!(answer.code(), "no_connection");
    println!("a connection that was taken away: {took:?}");

    assert_eq!(list(&there).await.status, 200);
    let path = format!("/api/api-keys/{id}");
    let revoked = operator.call(Method::DELETE, &path, None).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let (took, answer) = until_it_holds(&there, list, |answer| answer.status == 200).await;
    assert_eq!((answer.status, answer.code()), (401, "invalid_api_key"));
    println!("a key that was revoked: {took:?}");

    what_a_webhook_is_signed_with(&house, &nodes).await;

    // By hand, at the database.
    let (_id, key) = house.key(&nodes[0], 100_000, 100_000).await;
    let there = house.caller(&nodes[1], &key);
    assert_eq!(list(&there).await.status, 200);
    let mut database = PgConnection::connect(house.database.owner_url())
        .await
        .unwrap();
    // The owner is a superuser here, whom no policy keeps from rows.
    let ended = "update api_keys set expires_at = now() - interval '1 minute'";
    sqlx::query(ended).execute(&mut database).await.unwrap();
    let (took, answer) = until_it_holds(&there, list, |answer| answer.status == 200).await;
    assert_eq!((answer.status, answer.code()), (401, "invalid_api_key"));
    println!("a key that somebody has ended in the database: {took:?}");
}

/// A webhook that nobody is told of twice.
async fn hook(caller: &Caller, path: &str, secret: &str) -> Reply {
    let body = json!({"event": "payment.captured", "payload": {}}).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let tag = mac.finalize().into_bytes();
    let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let request = caller.http.post(format!("{}{path}", caller.base));
    let request = request
        .header("content-type", "application/json")
        .header("x-razorpay-signature", tag);
    reply(request.body(body).send().await.unwrap()).await
}

/// Connects Razorpay with a secret for webhooks: its webhook's path.
async fn connect_razorpay(operator: &Caller, secret: &str) -> String {
    let credentials = json!({
        "key_id": razorpay::KEY_ID, "key_secret": razorpay::KEY_SECRET, "webhook_secret": secret,
    });
    let body = json!({"environment": "test", "credentials": credentials, "settings": {}});
    let path = "/api/services/payments/razorpay/connect";
    let connected = operator.post(path, &body).await;
    assert!([200, 201].contains(&connected.status), "{connected:?}");
    format!("/webhooks/razorpay/{}", connected.text("id"))
}

async fn what_a_webhook_is_signed_with(house: &House, nodes: &[Node]) {
    let (old, new) = ("webhook-secret-1", "webhook-secret-2");
    let operator = house.operator(&nodes[0]);
    let [here, there] = [0, 1].map(|node: usize| house.caller(&nodes[node], ""));
    let path = connect_razorpay(&operator, old).await;
    let is_taken = |answer: &Reply| answer.status == 200;
    let ask = async |caller: &Caller| hook(caller, &path, old).await;
    let is_refused = |answer: &Reply| answer.status == 401;
    let (took, answer) = until_it_holds(&there, &ask, is_refused).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    println!("a secret for webhooks that was set: {took:?}");

    connect_razorpay(&operator, new).await;
    // Where it was changed, at once.
    assert_eq!(ask(&here).await.status, 401);
    let (took, answer) = until_it_holds(&there, &ask, is_taken).await;
    assert_eq!((answer.status, answer.code()), (401, "invalid_signature"));
    println!("a secret for webhooks that was changed: {took:?}");

    assert_eq!(hook(&there, &path, new).await.status, 200);
    let gone = "/api/services/payments/razorpay?environment=test";
    let gone = operator.call(Method::DELETE, gone, None).await;
    assert_eq!(gone.status, 200, "{gone:?}");
    let ask = async |caller: &Caller| hook(caller, &path, new).await;
    assert_eq!(ask(&here).await.status, 404);
    let (took, answer) = until_it_holds(&there, &ask, is_taken).await;
    assert_eq!((answer.status, answer.code()), (404, "not_found"));
    println!("a webhook that was taken away: {took:?}");

    // Another one is there from the beginning, on whichever node.
    let path = connect_razorpay(&operator, new).await;
    for caller in [&here, &there] {
        let answer = hook(caller, &path, new).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis() {
    what_changes_at_one_node_holds_at_another(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis() {
    let redis = TestRedis::start();
    what_changes_at_one_node_holds_at_another(&[("REDIS_URL", redis.url())]).await;
}
