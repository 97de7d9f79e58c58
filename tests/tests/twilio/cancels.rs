//! Cancelling, where Twilio refuses it or its answer is lost.

use std::time::Duration;

use onerouter_tests::harness::Harness;
use onerouter_tests::table::Table;
use serde_json::{Value, json};

type CancelRow = (u16, Option<u32>, u16, &'static str, bool);

/// What the refusal of a change becomes: status, code; status and code of ours, retryable.
#[rustfmt::skip]
const CANCELS: [CancelRow; 16] = [
    (409, Some(30409), 409, "invalid_state", false),
    (400, Some(30409), 409, "invalid_state", false),
    (409, Some(20009), 409, "invalid_state", false),
    (400, Some(20001), 409, "invalid_state", false),
    (400, None, 409, "invalid_state", false),
    (409, Some(99999), 409, "invalid_state", false),
    (422, None, 409, "invalid_state", false),
    (404, Some(20404), 422, "provider_rejected", false),
    (403, Some(20008), 422, "provider_rejected", false),
    (403, Some(10001), 422, "provider_rejected", false),
    (401, Some(20003), 422, "provider_auth_failed", false),
    (429, Some(20429), 429, "provider_rate_limited", true),
    (503, Some(21730), 503, "provider_unavailable", true),
    (500, Some(20500), 504, "outcome_unknown", true),
    (503, None, 504, "outcome_unknown", true),
    (408, None, 504, "outcome_unknown", true),
];

#[tokio::test]
async fn every_refusal_of_a_cancel_has_its_meaning() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (index, (theirs, number, status, code, retryable)) in CANCELS.into_iter().enumerate() {
        let mut row = table.row(format!("{theirs} {number:?}"));
        let to = format!("+1415559{index:04}");
        let sent = acme
            .post("/v1/sms", json!({"to": to, "body": "Hello"}))
            .await;
        let path = format!("/v1/sms/{}", sent.text("id"));
        // A status without a code brings the usual one where the sandbox has one.
        let number = match (theirs, number) {
            (503, None) => Some(20503),
            (_, number) => number,
        };
        let mut fault = json!({"fault": "error_before", "status": theirs, "to": to});
        if let Some(number) = number {
            fault["code"] = json!(number);
        }
        host.fault(fault).await;
        let cancel = acme.with("Idempotency-Key", &format!("cancel-{index}"));
        let refused = cancel.post(&format!("{path}/cancel"), json!({})).await;
        row.equal("status", &refused.status, &status);
        row.equal("code", &refused.json["code"], code);
        row.equal("retryable", &refused.json["retryable"], &retryable);
        row.equal("id", &refused.json["id"], &sent.json["id"]);
        if status != 504 {
            let provider = json!({
                "name": "twilio", "code": number.map(|number| number.to_string()), "http_status": theirs,
            });
            row.has("provider", &refused.json["provider"], &provider);
        }
        let stored = acme.get(&format!("{path}?refresh=false")).await;
        let expected = if status == 504 { "unknown" } else { "queued" };
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
    table.end(16);
}

#[tokio::test]
async fn a_cancel_whose_answer_was_lost_is_settled_by_reading() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
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
        // Twilio keeps this one in its queue.
        let body = json!({"to": "+15005700001", "body": "Hello"});
        let sent = create.post("/v1/sms", body.clone()).await;
        let path = format!("/v1/sms/{}", sent.text("id"));
        let cancel = acme.with("Idempotency-Key", &format!("cancel {fault}"));
        host.fault(fault).await;
        let lost = cancel.post(&format!("{path}/cancel"), json!({})).await;
        row.equal("code", &lost.json["code"], "outcome_unknown");
        host.pass(Duration::from_secs(10));
        host.sweep().await;
        let settled = acme.get(&format!("{path}?refresh=false")).await;
        let expected = if arrives { "canceled" } else { "queued" };
        row.equal("settled", &settled.json["status"], expected);
        let again = cancel.post(&format!("{path}/cancel"), json!({})).await;
        row.equal("repeated status", &again.status, &200);
        row.equal("it is", &again.json["status"], "canceled");
        let replayed = again.header("idempotent-replayed").is_some();
        row.equal("replayed", &replayed, &arrives);
        let theirs = sent.text("provider_message_id");
        let filter = format!("method=POST&path_contains={theirs}");
        let requests = host.provider_requests(&filter).await;
        row.equal("cancels", &requests.len(), &cancels);
        // The answer to the create is the one that was given, whatever came later.
        let created = create.post("/v1/sms", body).await;
        row.holds("the create's answer stays", created.bytes == sent.bytes);
    }
    table.end(5);
    assert_eq!(host.effects("+15005700001").await, 5);
}
