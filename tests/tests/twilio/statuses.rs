//! What Twilio's statuses and delivery codes become.

use std::time::Duration;

use onerouter_sandbox::twilio::MESSAGING_SERVICE_SID;
use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::table::Table;
use serde_json::{Value, json};

use crate::connected;

/// Longer than a delivery takes, and than a refresh is put off.
const LONG: Duration = Duration::from_secs(10);

async fn send(acme: &Client, to: &str) -> Value {
    let sent = acme
        .post("/v1/sms", json!({"to": to, "body": "Hello"}))
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
    sent.json
}

async fn read(acme: &Client, sent: &Value) -> Value {
    let path = format!("/v1/sms/{}", sent["id"].as_str().unwrap());
    acme.get(&path).await.json
}

async fn reads(host: &Harness) -> usize {
    host.provider_requests("provider=twilio&method=GET&path_contains=/Messages/")
        .await
        .len()
}

/// Theirs, ours, whether the gateway stops asking.
const STATUSES: [(&str, &str, bool); 13] = [
    ("accepted", "queued", false),
    ("scheduled", "scheduled", false),
    ("queued", "queued", false),
    ("sending", "sending", false),
    ("sent", "sent", false),
    ("delivered", "delivered", true),
    ("undelivered", "undelivered", true),
    ("failed", "failed", true),
    ("canceled", "canceled", true),
    ("receiving", "received", true),
    ("received", "received", true),
    ("read", "delivered", true),
    ("partially_delivered", "delivered", true),
];

#[tokio::test]
async fn every_status_becomes_one_of_ours() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (theirs, ours, is_final) in STATUSES {
        let mut row = table.row(theirs);
        let sent = send(&acme, "+15005700001").await;
        let provider_id = sent["provider_message_id"].as_str().unwrap();
        host.force_status(provider_id, json!({"status": theirs}))
            .await;
        host.pass(LONG);
        let found = read(&acme, &sent).await;
        row.equal("status", &found["status"], ours);
        row.equal("provider's word", &found["provider_data"]["status"], theirs);
        let fails = ["undelivered", "failed"].contains(&ours);
        row.equal("has a failure", &found["failure"].is_object(), &fails);
        if fails {
            let failure =
                json!({"code": "unknown_failure", "retryable": false, "provider_code": null});
            row.has("failure", &found["failure"], &failure);
        }
        let before = reads(&host).await;
        host.pass(LONG);
        read(&acme, &sent).await;
        let asks_again = reads(&host).await > before;
        row.equal("asks again", &asks_again, &!is_final);
    }
    table.end(13);
}

/// Code, unified code, retryable.
#[rustfmt::skip]
const DELIVERIES: [(u32, &str, bool); 13] = [
    (30001, "queue_overflow", true),
    (30002, "account_suspended", false),
    (30003, "recipient_unreachable", true),
    (30004, "recipient_unreachable", false),
    (30005, "invalid_recipient", false),
    (30006, "recipient_unreachable", false),
    (30007, "content_filtered", false),
    (30008, "unknown_failure", true),
    (30009, "unknown_failure", true),
    (30010, "price_limit", false),
    (30024, "sender_not_allowed", false),
    (30032, "sender_not_allowed", false),
    (30034, "sender_not_allowed", false),
];

async fn check_deliveries(rows: &[(u32, &str, bool)]) {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut sent = Vec::new();
    for (code, unified, retryable) in rows {
        for (digit, status) in [(5, "undelivered"), (6, "failed")] {
            let message = send(&acme, &format!("+15005{digit}{code}")).await;
            sent.push((code, unified, retryable, status, message));
        }
    }
    host.pass(LONG);
    let mut table = Table::default();
    for (code, unified, retryable, status, message) in sent {
        let mut row = table.row(format!("{code} {status}"));
        row.has(
            "accepted",
            &message,
            &json!({"status": "queued", "failure": null}),
        );
        let found = read(&acme, &message).await;
        row.equal("status", &found["status"], status);
        let failure = json!({
            "code": unified,
            "retryable": retryable,
            "provider_code": code.to_string(),
            "provider_message": found["provider_data"]["error_message"],
        });
        row.has("failure", &found["failure"], &failure);
        for text in ["message", "provider_message"] {
            let text = &found["failure"][text];
            row.holds("words", text.as_str().is_some_and(|text| !text.is_empty()));
        }
        let to = message["to"].as_str().unwrap();
        row.equal("effects", &host.effects(to).await, &1);
    }
    table.end(rows.len() * 2);
}

#[tokio::test]
async fn every_delivery_code_has_its_meaning() {
    assert_eq!(DELIVERIES.len(), 13);
    check_deliveries(&DELIVERIES).await;
}

#[tokio::test]
async fn an_unknown_delivery_code_is_kept_under_a_general_name() {
    let unknown = [30999, 63016, 63999].map(|code| (code, "unknown_failure", false));
    check_deliveries(&unknown).await;
}

#[tokio::test]
async fn a_message_is_seen_at_every_step_of_its_way() {
    let (host, acme) = connected(json!({"messaging_service_sid": MESSAGING_SERVICE_SID})).await;
    let sent = send(&acme, "+14155550123").await;
    assert_eq!(sent["status"], "queued");
    assert_eq!(sent["provider_data"]["status"], "accepted");
    // The service has not picked a sender, nor counted the parts: they are counted here.
    assert_eq!(sent["from_number"], MESSAGING_SERVICE_SID);
    assert_eq!(
        (&sent["segments"], &sent["provider_data"]["num_segments"]),
        (&json!(1), &json!("0"))
    );
    let mut seen = Vec::new();
    // The delivery takes 5 s; a refresh is put off by 2.
    for _ in 0..10 {
        host.sandbox_clock.advance(Duration::from_millis(625));
        host.clock.advance(chrono::TimeDelta::seconds(3));
        let found = read(&acme, &sent).await;
        seen.push(found["status"].as_str().unwrap().to_owned());
        seen.dedup();
    }
    assert_eq!(seen, ["queued", "sending", "sent", "delivered"]);
    let found = read(&acme, &sent).await;
    assert_eq!(found["from_number"], "+12025550142");
    let versions = (
        sent["version"].as_u64().unwrap(),
        found["version"].as_u64().unwrap(),
    );
    assert!(versions.1 >= versions.0 + 3, "{versions:?}");
}
