//! What Resend's last events become.

use std::time::Duration;

use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::table::{Row, Table};
use serde_json::{Value, json};

use crate::email;

/// Longer than a delivery takes, and than a refresh is put off.
const LONG: Duration = Duration::from_secs(10);

/// Theirs, ours, whether the gateway stops asking, and the failure's code.
const EVENTS: [(&str, &str, bool, Option<&str>); 12] = [
    ("queued", "queued", false, None),
    ("scheduled", "scheduled", false, None),
    ("canceled", "canceled", true, None),
    ("sent", "sent", false, None),
    ("delivered", "delivered", true, None),
    ("delivery_delayed", "delayed", false, None),
    ("bounced", "bounced", true, Some("bounced")),
    ("complained", "complained", true, Some("complained")),
    ("opened", "delivered", true, None),
    ("clicked", "delivered", true, None),
    ("failed", "failed", true, Some("unknown_failure")),
    ("suppressed", "failed", true, Some("suppressed")),
];

async fn send(acme: &Client, to: &str) -> Value {
    let sent = acme.post("/v1/email", email(to)).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(sent.text("status"), "queued");
    sent.json
}

async fn read(acme: &Client, sent: &Value) -> Value {
    let path = format!("/v1/email/{}", sent["id"].as_str().unwrap());
    acme.get(&path).await.json
}

fn check(row: &mut Row<'_>, found: &Value, theirs: &str, ours: &str, failure: Option<&str>) {
    row.equal("status", &found["status"], ours);
    row.equal(
        "provider's word",
        &found["provider_data"]["last_event"],
        theirs,
    );
    match failure {
        None => row.equal("failure", &found["failure"], &Value::Null),
        Some(code) => row.has(
            "failure",
            &found["failure"],
            &json!({"code": code, "retryable": false, "provider_code": theirs, "provider_message": null}),
        ),
    }
}

async fn reads(host: &Harness) -> usize {
    host.provider_requests("provider=resend&method=GET&path_contains=/emails/")
        .await
        .len()
}

#[tokio::test]
async fn every_last_event_becomes_a_status() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (theirs, ours, is_final, failure) in EVENTS {
        let mut row = table.row(theirs);
        let sent = send(&acme, "queued@sandbox.test").await;
        let provider_id = sent["provider_message_id"].as_str().unwrap();
        host.force_status(provider_id, json!({"last_event": theirs}))
            .await;
        host.pass(LONG);
        let found = read(&acme, &sent).await;
        check(&mut row, &found, theirs, ours, failure);
        let before = reads(&host).await;
        host.pass(LONG);
        read(&acme, &sent).await;
        let asks_again = reads(&host).await > before;
        row.equal("asks again", &asks_again, &!is_final);
    }
    table.end(12);
}

#[tokio::test]
async fn the_recipients_with_a_meaning_end_as_they_say() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    let magic = ["delivered", "bounced", "complained", "suppressed"];
    for (theirs, ours, _, failure) in EVENTS {
        // Nobody ends up scheduled.
        if theirs == "scheduled" {
            continue;
        }
        let mut recipients = vec![format!("{theirs}@sandbox.test")];
        if magic.contains(&theirs) {
            recipients.push(format!("{theirs}@resend.dev"));
            recipients.push(format!("{theirs}+label@resend.dev"));
        }
        let mut row = table.row(theirs);
        for to in recipients {
            let sent = send(&acme, &to).await;
            host.pass(LONG);
            let found = read(&acme, &sent).await;
            check(&mut row, &found, theirs, ours, failure);
            row.equal("effects", &host.effects(&to).await, &1);
        }
    }
    table.end(11);
}

/// "Last event" moves past "delivered"; our status does not move back.
#[tokio::test]
async fn an_email_that_was_opened_after_a_complaint_stays_complained() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sent = send(&acme, "ada@example.com").await;
    let provider_id = sent["provider_message_id"].as_str().unwrap();
    for event in ["complained", "opened"] {
        host.force_status(provider_id, json!({"last_event": event}))
            .await;
        host.pass(LONG);
        assert_eq!(read(&acme, &sent).await["status"], "complained");
    }
}
