//! What is changed at one node holds at the others within a second.

use onerouter_tests::harness::Reply;
use onerouter_tests::redis::TestRedis;
use reqwest::Method;
use serde_json::json;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis() {
    what_changes_at_one_node_holds_at_another(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis() {
    let redis = TestRedis::start();
    what_changes_at_one_node_holds_at_another(&[("REDIS_URL", redis.url())]).await;
}
