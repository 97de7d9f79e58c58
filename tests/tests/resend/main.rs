//! The Resend adapter: the real component in the real gateway, against the sandbox over HTTP.

mod account;
mod batch;
mod cancels;
mod errors;
mod events;
mod lost;
mod odd;
mod sending;

use onerouter_tests::harness::{Harness, Reply};
use serde_json::{Value, json};

/// Connects the default tenant to Resend, in place of what was connected before.
async fn connect(host: &Harness, api_key: &str, settings: Value) -> Reply {
    let body =
        json!({"environment": "test", "credentials": {"api_key": api_key}, "settings": settings});
    host.operator()
        .post("/api/services/email/resend/connect", body)
        .await
}

/// The smallest e-mail.
fn email(to: &str) -> Value {
    json!({"to": to, "subject": "Hello", "text_body": "Hi"})
}

/// What was sent to `POST /emails` or `POST /emails/batch`, in order of arrival.
async fn creates(host: &Harness) -> Vec<Value> {
    let requests = host.provider_requests("provider=resend&method=POST").await;
    let is_create = |request: &Value| !request["path"].as_str().unwrap().ends_with("/cancel");
    requests.into_iter().filter(is_create).collect()
}

/// The JSON of a recorded request.
fn body(request: &Value) -> Value {
    serde_json::from_str(request["body"].as_str().unwrap()).unwrap()
}
