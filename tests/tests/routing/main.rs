//! Routing: which connection serves a message, what happens when it cannot, and how tenants say
//! what they want.

mod failover;
mod health;
mod policies;
mod rules;

use onerouter_sandbox::twilio;
use onerouter_tests::harness::{Client, Reply};
use serde_json::{Value, json};

const SMS: &str = "/api/services/sms/routing?environment=test";
const SIMULATE: &str = "/api/services/sms/routing/simulate?environment=test";

/// A message that either provider can send.
fn message(words: &str) -> Value {
    json!({"to": "+14155550123", "body": words, "from_number": twilio::FROM_NUMBER})
}

/// The id of the connection to a provider, and under a label where there are several.
async fn connection(operator: &Client, provider: &str, label: &str) -> String {
    let listed = operator.get("/api/services").await;
    let data = listed.json["data"].as_array().unwrap().clone();
    let found = data
        .iter()
        .find(|one| one["provider"] == provider && one["label"] == label);
    found.unwrap()["id"].as_str().unwrap().to_owned()
}

async fn put(operator: &Client, path: &str, policy: Value) -> Reply {
    let body = Some(policy.to_string().into_bytes());
    operator.send(reqwest::Method::PUT, path, body).await
}

/// A policy that tries the saboteur, then Twilio.
async fn saboteur_first(operator: &Client) -> [String; 2] {
    let order = [
        connection(operator, "saboteur", "default").await,
        connection(operator, "twilio", "default").await,
    ];
    let policy = json!({"order": [{"connection_id": order[0]}, {"connection_id": order[1]}]});
    let put = put(operator, SMS, policy).await;
    assert_eq!(put.status, 200, "{put:?}");
    order
}
