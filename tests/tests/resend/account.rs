//! Connecting a Resend account.

use std::time::Duration;

use onerouter_sandbox::resend::{FROM_EMAIL, FULL_ACCESS_KEY, SENDING_ACCESS_KEY};
use onerouter_tests::harness::{Harness, Setup};
use onerouter_tests::table::Table;
use serde_json::{Value, json};

use crate::{connect, email};

/// Well-formed, and nobody's.
pub(crate) const WRONG_KEY: &str = "re_nobody_has_this_key_0000000001";

async fn unconnected() -> Harness {
    Harness::with(Setup {
        unconnected: true,
        ..Setup::default()
    })
    .await
}

async fn connections(host: &Harness) -> usize {
    let services = host.operator().get("/api/services").await;
    services.json["data"].as_array().unwrap().len()
}

pub(crate) fn settings() -> Value {
    json!({"from_email": FROM_EMAIL})
}

#[tokio::test]
async fn a_good_key_is_connected_without_a_warning() {
    let host = unconnected().await;
    let connected = connect(&host, FULL_ACCESS_KEY, settings()).await;
    assert_eq!(connected.status, 201, "{connected:?}");
    assert_eq!(connected.json["account"], Value::Null);
    assert_eq!(connected.json["warnings"], json!([]));
    let checks = host.provider_requests("provider=resend").await;
    assert_eq!(checks.len(), 1);
    assert_eq!(
        (&checks[0]["method"], &checks[0]["path"]),
        (&json!("GET"), &json!("/emails"))
    );
    assert_eq!(checks[0]["query"], "limit=1");
}

#[tokio::test]
async fn an_account_that_fails_its_check_is_not_stored() {
    let host = unconnected().await;
    let mut table = Table::default();
    for (fault, status, code, provider_code, http_status) in [
        (
            Value::Null,
            422,
            "provider_auth_failed",
            "invalid_api_key",
            403,
        ),
        (
            json!({"code": "missing_api_key"}),
            422,
            "provider_auth_failed",
            "missing_api_key",
            401,
        ),
        (
            json!({"code": "security_error"}),
            422,
            "provider_rejected",
            "security_error",
            451,
        ),
        (
            json!({"code": "not_found"}),
            422,
            "provider_rejected",
            "not_found",
            404,
        ),
        (
            json!({"code": "rate_limit_exceeded"}),
            429,
            "provider_rate_limited",
            "rate_limit_exceeded",
            429,
        ),
        (
            json!({"code": "application_error"}),
            502,
            "provider_error",
            "application_error",
            500,
        ),
        (
            json!({"code": "application_error", "status": 503}),
            503,
            "provider_unavailable",
            "application_error",
            503,
        ),
    ] {
        let mut row = table.row(&fault);
        let mut key = WRONG_KEY;
        if !fault.is_null() {
            let mut fault = fault;
            fault["fault"] = json!("error_before");
            host.fault(fault).await;
            key = FULL_ACCESS_KEY;
        }
        let refused = connect(&host, key, settings()).await;
        row.equal("status", &refused.status, &status);
        row.equal("code", &refused.json["code"], code);
        let provider = json!({"name": "resend", "code": provider_code, "http_status": http_status});
        row.has("provider", &refused.json["provider"], &provider);
        row.equal("connections", &connections(&host).await, &0);
    }
    table.end(7);
    let acme = host.key("test").await;
    let sent = acme.post("/v1/email", email("ada@example.com")).await;
    assert_eq!(sent.code(), "no_connection");
}

#[tokio::test]
async fn a_refused_key_does_not_replace_a_good_one() {
    let host = Harness::start().await;
    let refused = connect(&host, WRONG_KEY, settings()).await;
    assert_eq!(refused.code(), "provider_auth_failed");
    let acme = host.key("test").await;
    let sent = acme.post("/v1/email", email("ada@example.com")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
}

#[tokio::test]
async fn a_key_that_may_only_send_is_connected_with_a_warning_and_sends() {
    let host = unconnected().await;
    let connected = connect(&host, SENDING_ACCESS_KEY, settings()).await;
    assert_eq!(connected.status, 201, "{connected:?}");
    let warnings = connected.json["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{connected:?}");
    assert!(
        warnings[0]
            .as_str()
            .unwrap()
            .contains("may send but not read")
    );
    assert_eq!(connections(&host).await, 1);

    let acme = host.key("test").await;
    let sent = acme.post("/v1/email", email("ada@example.com")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let path = format!("/v1/email/{}", sent.text("id"));
    host.pass(Duration::from_secs(10));
    let read = acme.get(&path).await;
    assert_eq!((read.status, read.text("status")), (200, "queued"));
    let cancel = acme.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!((cancel.status, cancel.code()), (422, "provider_rejected"));
    assert_eq!(cancel.json["provider"]["code"], "restricted_api_key");
}
