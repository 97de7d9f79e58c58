//! The Twilio adapter: the real component in the real gateway, against the sandbox over HTTP.

mod account;
mod cancels;
mod cost;
mod errors;
mod lost;
mod odd;
mod sending;
mod statuses;

use onerouter_tests::harness::{Client, Harness, Reply};
use serde_json::{Value, json};

/// Connects the default tenant to Twilio, in place of what was connected before.
async fn connect(host: &Harness, credentials: Value, settings: Value) -> Reply {
    let body = json!({"environment": "test", "credentials": credentials, "settings": settings});
    host.operator()
        .post("/api/services/sms/twilio/connect", body)
        .await
}

/// A gateway that is connected with these settings, and a client of it.
async fn connected(settings: Value) -> (Harness, Client) {
    let host = Harness::start().await;
    let again = connect(&host, account::ordinary(), settings).await;
    assert!([200, 201].contains(&again.status), "{again:?}");
    let acme = host.key("test").await;
    (host, acme)
}

/// The only request that creates a message for this recipient.
async fn create_of(host: &Harness, to: &str) -> Value {
    let requests = host.provider_requests("provider=twilio&method=POST").await;
    let mut creates = requests
        .into_iter()
        .filter(|request| form(request).contains(&("To".to_owned(), to.to_owned())));
    let create = creates.next().unwrap();
    assert_eq!(creates.next(), None, "more than one create for {to}");
    create
}

/// The fields of a recorded form.
fn form(request: &Value) -> Vec<(String, String)> {
    let body = request["body"].as_str().unwrap();
    url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect()
}
