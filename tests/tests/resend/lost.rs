//! Answers that never came, or that nobody can read: Resend honours our key, so the same request is
//! repeated under it.

use std::time::Duration;

use onerouter_tests::harness::Harness;
use onerouter_tests::table::Table;
use serde_json::json;

use crate::{creates, email};

#[tokio::test]
async fn a_lost_email_is_repeated_under_the_same_key_and_sent_once() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (index, fault, effects) in [
        (0, json!({"fault": "reset_after"}), 1),
        (1, json!({"fault": "truncated_body"}), 1),
        (2, json!({"fault": "malformed_json"}), 1),
        (3, json!({"fault": "wrong_content_type"}), 1),
        (4, json!({"fault": "huge_body"}), 1),
        (5, json!({"fault": "error_after", "status": 500}), 1),
        (
            6,
            json!({"fault": "error_after", "code": "concurrent_idempotent_requests"}),
            1,
        ),
        (7, json!({"fault": "reset_before"}), 0),
        (8, json!({"fault": "error_before", "status": 503}), 0),
    ] {
        let mut row = table.row(&fault);
        let to = format!("lost{index}@example.com");
        let acme = acme.with("Idempotency-Key", &format!("lost-{index}"));
        host.fault(fault).await;
        let lost = acme.post("/v1/email", email(&to)).await;
        row.equal("status", &lost.status, &504);
        row.equal("code", &lost.json["code"], "outcome_unknown");
        row.equal("effects before", &host.effects(&to).await, &effects);
        host.pass(Duration::from_secs(3));
        host.sweep().await;
        let again = acme.post("/v1/email", email(&to)).await;
        row.equal("repeated status", &again.status, &201);
        row.equal(
            "replayed",
            &again.header("idempotent-replayed"),
            &Some("true"),
        );
        row.equal("the same object", &again.json["id"], &lost.json["id"]);
        row.equal("object's status", &again.json["status"], "queued");
        row.equal("effects", &host.effects(&to).await, &1);
        let creates = creates(&host).await;
        let ours: Vec<_> = creates
            .iter()
            .filter(|create| create["body"].as_str().unwrap().contains(&to))
            .collect();
        row.equal("calls", &ours.len(), &2);
        row.equal("same body", &ours[1]["body"], &ours[0]["body"]);
        for create in ours {
            let key = format!("{}-send-1", lost.text("id"));
            row.equal("key", &create["headers"]["idempotency-key"], &json!(key));
        }
    }
    table.end(9);
}

/// Resend forgets keys after a day: from then on a repeat would be a second e-mail.
#[tokio::test]
async fn a_lost_email_is_not_repeated_once_resend_may_have_forgotten_the_key() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    host.fault(json!({"fault": "reset_after"})).await;
    let lost = acme.post("/v1/email", email("ada@example.com")).await;
    assert_eq!(lost.code(), "outcome_unknown");
    host.pass(Duration::from_secs(24 * 3_600 - 300));
    host.sweep().await;
    let path = format!("/v1/email/{}", lost.text("id"));
    assert_eq!(acme.get(&path).await.text("status"), "unknown");
    assert_eq!(creates(&host).await.len(), 1);
    assert_eq!(host.effects("ada@example.com").await, 1);
}
