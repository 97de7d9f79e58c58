//! Answers that never came, or that nobody can read: Twilio honours no key, so the message is looked
//! for.

use std::time::Duration;

use onerouter_sandbox::twilio::{ACCOUNT_SID, AUTH_TOKEN, FROM_NUMBER, MESSAGING_SERVICE_SID};
use onerouter_tests::harness::Harness;
use onerouter_tests::table::Table;
use serde_json::{Value, json};

use crate::connected;

/// Fault, whether Twilio took the message.
fn losses() -> [(Value, u64); 8] {
    [
        (json!({"fault": "reset_after"}), 1),
        (json!({"fault": "truncated_body"}), 1),
        (json!({"fault": "malformed_json"}), 1),
        (json!({"fault": "wrong_content_type"}), 1),
        (json!({"fault": "huge_body"}), 1),
        (json!({"fault": "error_after", "status": 500}), 1),
        (json!({"fault": "reset_before"}), 0),
        (json!({"fault": "error_before", "status": 500}), 0),
    ]
}

#[tokio::test]
async fn a_lost_message_is_found_again_and_never_sent_twice() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (index, (fault, effects)) in losses().into_iter().enumerate() {
        let mut row = table.row(&fault);
        let to = format!("+1415555{index:04}");
        let mut fault = fault;
        fault["to"] = json!(to);
        fault["method"] = json!("POST");
        host.fault(fault).await;
        let acme = acme.with("Idempotency-Key", &format!("lost-{index}"));
        let body = json!({"to": to, "body": "Hello"});
        let lost = acme.post("/v1/sms", body.clone()).await;
        row.equal("status", &lost.status, &504);
        row.equal("code", &lost.json["code"], "outcome_unknown");
        row.equal("effects", &host.effects(&to).await, &effects);

        host.pass(Duration::from_secs(3));
        host.sweep().await;
        let again = acme.post("/v1/sms", body).await;
        let stored = acme
            .get(&format!("/v1/sms/{}?refresh=false", lost.text("id")))
            .await;
        row.equal("effects in the end", &host.effects(&to).await, &effects);
        row.equal("the same object", &again.json["id"], &lost.json["id"]);
        if effects == 0 {
            // Nobody can prove that it will not turn up.
            row.equal("repeated status", &again.status, &504);
            row.equal("object's status", &stored.json["status"], "unknown");
        } else {
            row.equal("repeated status", &again.status, &201);
            row.equal(
                "replayed",
                &again.header("idempotent-replayed"),
                &Some("true"),
            );
            row.has(
                "found",
                &stored.json,
                &json!({"status": "sending", "failure": null, "from_number": FROM_NUMBER}),
            );
        }
    }
    table.end(8);
}

#[tokio::test]
async fn a_lost_scheduled_message_of_a_service_is_found_with_its_media() {
    let (host, acme) = connected(json!({"messaging_service_sid": MESSAGING_SERVICE_SID})).await;
    let to = "+14155550123";
    host.fault(json!({"fault": "reset_after", "to": to})).await;
    let send_at = chrono::Utc::now() + Duration::from_secs(3_600);
    let body = json!({"to": to, "body": "Hello", "media_urls": ["https://example.com/a.jpg"], "send_at": send_at});
    let lost = acme.post("/v1/sms", body).await;
    assert_eq!(lost.code(), "outcome_unknown");
    host.pass(Duration::from_secs(3));
    host.sweep().await;
    let found = acme.get(&format!("/v1/sms/{}", lost.text("id"))).await;
    assert_eq!(found.text("status"), "scheduled");
    assert_eq!(host.effects(to).await, 1);
}

/// Sends a message past the gateway.
async fn send_directly(host: &Harness, to: &str, body: &str) {
    let url = format!(
        "{}/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
        host.sandbox.url()
    );
    let form = [("To", to), ("From", FROM_NUMBER), ("Body", body)];
    let sent = host
        .http
        .post(url)
        .basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 201);
}

#[tokio::test]
async fn a_lost_message_is_found_behind_pages_of_newer_ones() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let to = "+14155550123";
    host.fault(json!({"fault": "reset_after", "to": to})).await;
    let lost = acme
        .post("/v1/sms", json!({"to": to, "body": "Hello"}))
        .await;
    assert_eq!(lost.code(), "outcome_unknown");
    for number in 0..450 {
        send_directly(&host, to, &format!("Another one: {number}")).await;
    }
    host.pass(Duration::from_secs(3));
    host.sweep().await;
    let found = acme
        .get(&format!("/v1/sms/{}?refresh=false", lost.text("id")))
        .await;
    assert_eq!(found.text("status"), "sending");
    let lists = host
        .provider_requests("provider=twilio&method=GET&path_contains=Messages.json")
        .await;
    // One of them is the check at connecting.
    assert_eq!(lists.len(), 1 + 3);
}

#[tokio::test]
async fn of_two_messages_that_could_be_the_lost_one_neither_is_taken() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let to = "+14155550123";
    host.fault(json!({"fault": "reset_after", "to": to})).await;
    let lost = acme
        .post("/v1/sms", json!({"to": to, "body": "Hello"}))
        .await;
    assert_eq!(lost.code(), "outcome_unknown");
    // The same text to the same person, from somewhere else.
    send_directly(&host, to, "Hello").await;
    host.pass(Duration::from_secs(3));
    host.sweep().await;
    let found = acme
        .get(&format!("/v1/sms/{}?refresh=false", lost.text("id")))
        .await;
    assert_eq!(found.text("status"), "unknown");
    assert_eq!(host.effects(to).await, 2);
}

#[tokio::test]
async fn what_is_not_quite_the_lost_message_is_not_taken_for_it() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let to = "+14155550123";
    host.fault(json!({"fault": "reset_before", "to": to})).await;
    let lost = acme
        .post("/v1/sms", json!({"to": to, "body": "Hello"}))
        .await;
    assert_eq!(lost.code(), "outcome_unknown");
    send_directly(&host, to, "Hello!").await;
    send_directly(&host, "+14155550124", "Hello").await;
    // The right text, but long after.
    host.pass(Duration::from_secs(300));
    send_directly(&host, to, "Hello").await;
    host.sweep().await;
    let found = acme
        .get(&format!("/v1/sms/{}?refresh=false", lost.text("id")))
        .await;
    assert_eq!(found.text("status"), "unknown");
}
