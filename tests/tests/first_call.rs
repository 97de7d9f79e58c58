//! What a newcomer does first.

use chrono::TimeDelta;
use onerouter_tests::harness::Harness;
use serde_json::json;

/// Moves both clocks on and reads the object until it has this status.
async fn reaches(
    host: &Harness,
    acme: &onerouter_tests::harness::Client,
    path: &str,
    status: &str,
) {
    for _ in 0..10 {
        host.sandbox_clock
            .advance(std::time::Duration::from_secs(2));
        host.clock.advance(TimeDelta::seconds(2));
        let read = acme.get(path).await;
        assert_eq!(read.status, 200, "{read:?}");
        if read.text("status") == status {
            return;
        }
    }
    panic!("{path} never became {status}");
}

#[tokio::test]
async fn a_text_message_is_sent_and_delivered() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hello"}))
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(sent.text("status"), "queued");
    reaches(
        &host,
        &acme,
        &format!("/v1/sms/{}", sent.text("id")),
        "delivered",
    )
    .await;
    assert_eq!(host.effects("+14155550123").await, 1);
}

#[tokio::test]
async fn an_email_is_sent_and_delivered() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let body = json!({"to": "ada@example.com", "subject": "Hello", "text_body": "Hi"});
    let sent = acme.post("/v1/email", body).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    reaches(
        &host,
        &acme,
        &format!("/v1/email/{}", sent.text("id")),
        "delivered",
    )
    .await;
}
