//! Cancelling, where Resend refuses it or its answer is lost.

use std::time::Duration;

use onerouter_tests::harness::Harness;
use onerouter_tests::table::Table;
use serde_json::{Value, json};

use crate::email;

/// What the refusal of a change becomes: status, name; status and code of ours, retryable.
#[rustfmt::skip]
const CANCELS: [(u16, &str, u16, &str, bool); 17] = [
    (422, "validation_error", 409, "invalid_state", false),
    (400, "validation_error", 409, "invalid_state", false),
    (422, "invalid_parameter", 409, "invalid_state", false),
    (422, "something_new", 409, "invalid_state", false),
    (409, "something_new", 409, "invalid_state", false),
    (405, "method_not_allowed", 409, "invalid_state", false),
    (404, "not_found", 422, "provider_rejected", false),
    (403, "validation_error", 422, "provider_rejected", false),
    (401, "restricted_api_key", 422, "provider_rejected", false),
    (451, "security_error", 422, "provider_rejected", false),
    (403, "invalid_api_key", 422, "provider_auth_failed", false),
    (401, "missing_api_key", 422, "provider_auth_failed", false),
    (429, "rate_limit_exceeded", 429, "provider_rate_limited", true),
    (429, "something_new", 429, "provider_rate_limited", true),
    (500, "application_error", 504, "outcome_unknown", true),
    (503, "something_new", 504, "outcome_unknown", true),
    (408, "something_new", 504, "outcome_unknown", true),
];

#[tokio::test]
async fn every_refusal_of_a_cancel_has_its_meaning() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let send_at = chrono::Utc::now() + Duration::from_secs(3_600);
    let mut table = Table::default();
    for (index, (theirs, name, status, code, retryable)) in CANCELS.into_iter().enumerate() {
        let mut row = table.row(format!("{theirs} {name}"));
        let mut body = email("ada@example.com");
        body["send_at"] = json!(send_at);
        let sent = acme.post("/v1/email", body).await;
        let path = format!("/v1/email/{}", sent.text("id"));
        host.fault(json!({"fault": "error_before", "status": theirs, "code": name, "path_contains": "/cancel"}))
            .await;
        let cancel = acme.with("Idempotency-Key", &format!("cancel-{index}"));
        let refused = cancel.post(&format!("{path}/cancel"), json!({})).await;
        row.equal("status", &refused.status, &status);
        row.equal("code", &refused.json["code"], code);
        row.equal("retryable", &refused.json["retryable"], &retryable);
        row.equal("id", &refused.json["id"], &sent.json["id"]);
        if status != 504 {
            let provider = json!({"name": "resend", "code": name, "http_status": theirs});
            row.has("provider", &refused.json["provider"], &provider);
        }
        let stored = acme.get(&format!("{path}?refresh=false")).await;
        let expected = if status == 504 {
            "unknown"
        } else {
            "scheduled"
        };
        row.equal("object's status", &stored.json["status"], expected);
        row.equal("object's failure", &stored.json["failure"], &Value::Null);

        // The fault has gone: a free key cancels now, a kept one tells the same again.
        let again = cancel.post(&format!("{path}/cancel"), json!({})).await;
        let kept = code == "provider_rejected";
        let replayed = again.header("idempotent-replayed") == Some("true");
        row.equal("replayed", &replayed, &kept);
        match (status, kept) {
            (504, _) => row.equal("repeated status", &again.status, &504),
            (_, true) => row.holds("byte for byte", again.bytes == refused.bytes),
            (_, false) => row.equal("repeated, it is", &again.json["status"], "canceled"),
        }
    }
    table.end(17);
}

#[tokio::test]
async fn a_cancel_whose_answer_was_lost_is_settled_by_reading() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let send_at = chrono::Utc::now() + Duration::from_secs(3_600);
    let mut table = Table::default();
    // In the end the second cancel of one that never arrived is the first to arrive.
    for (fault, arrives, cancels) in [
        (json!({"fault": "reset_after"}), true, 1),
        (json!({"fault": "malformed_json"}), true, 1),
        (json!({"fault": "error_after", "status": 500}), true, 1),
        (json!({"fault": "reset_before"}), false, 2),
        (json!({"fault": "error_before", "status": 500}), false, 2),
    ] {
        let mut row = table.row(&fault);
        let create = acme.with("Idempotency-Key", &format!("create {fault}"));
        let mut body = email("ada@example.com");
        body["send_at"] = json!(send_at);
        let sent = create.post("/v1/email", body.clone()).await;
        let path = format!("/v1/email/{}", sent.text("id"));
        let cancel = acme.with("Idempotency-Key", &format!("cancel {fault}"));
        host.fault(fault).await;
        let lost = cancel.post(&format!("{path}/cancel"), json!({})).await;
        row.equal("code", &lost.json["code"], "outcome_unknown");
        host.pass(Duration::from_secs(10));
        host.sweep().await;
        let settled = acme.get(&format!("{path}?refresh=false")).await;
        let expected = if arrives { "canceled" } else { "scheduled" };
        row.equal("settled", &settled.json["status"], expected);
        let again = cancel.post(&format!("{path}/cancel"), json!({})).await;
        row.equal("repeated status", &again.status, &200);
        row.equal("it is", &again.json["status"], "canceled");
        let replayed = again.header("idempotent-replayed").is_some();
        row.equal("replayed", &replayed, &arrives);
        let theirs = sent.text("provider_message_id");
        let filter = format!("path_contains={theirs}/cancel");
        let requests = host.provider_requests(&filter).await;
        row.equal("cancels", &requests.len(), &cancels);
        // The answer to the create is the one that was given, whatever came later.
        let created = create.post("/v1/email", body).await;
        row.holds("the create's answer stays", created.bytes == sent.bytes);
    }
    table.end(5);
    assert_eq!(host.effects("ada@example.com").await, 5);
}
