//! Idempotency keys.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Answer, Rig, letter, with};

async fn mail_with_key(rig: &Rig, key: &str, body: &Value) -> Answer {
    rig.send(
        rig.resend(Method::POST, "/emails")
            .header("Idempotency-Key", key)
            .json(body),
    )
    .await
}

#[tokio::test]
async fn the_same_request_is_answered_again_and_sent_once() {
    let rig = Rig::start().await;
    let first = mail_with_key(&rig, "k1", &letter("ada@example.com")).await;
    rig.advance(86_399).await;
    let second = mail_with_key(&rig, "k1", &letter("ada@example.com")).await;
    assert_eq!((second.status, &second.body), (200, &first.body));
    assert_eq!(rig.effects().await, 1);
    let ledger = rig.get("ledger?idempotency_key=k1").await;
    assert_eq!(
        (&ledger["count"], &ledger["data"][0]["id"]),
        (&1.into(), &first.body["id"])
    );
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let rig = Rig::start().await;
    let first = mail_with_key(&rig, "k1", &letter("ada@example.com")).await;
    rig.advance(86_400).await;
    let second = mail_with_key(&rig, "k1", &letter("ada@example.com")).await;
    assert_ne!(first.body["id"], second.body["id"]);
    assert_eq!(rig.effects().await, 2);
}

#[tokio::test]
async fn another_payload_or_endpoint_under_the_same_key_is_refused() {
    let rig = Rig::start().await;
    mail_with_key(&rig, "k1", &letter("ada@example.com")).await;
    let other = mail_with_key(&rig, "k1", &letter("bob@example.com")).await;
    other.assert_resend_error(409, "invalid_idempotent_request");
    let batch = rig
        .resend(Method::POST, "/emails/batch")
        .header("Idempotency-Key", "k1");
    let batch = rig
        .send(batch.json(&json!([letter("ada@example.com")])))
        .await;
    batch.assert_resend_error(409, "invalid_idempotent_request");
    assert_eq!(rig.effects().await, 1);
}

#[tokio::test]
async fn a_twin_of_a_running_request_is_refused() {
    let rig = Rig::start().await;
    rig.fault(json!({ "fault": "latency_after", "delay_ms": 1500 }))
        .await;
    let body = letter("ada@example.com");
    let (slow, twin) = tokio::join!(mail_with_key(&rig, "k1", &body), async {
        rig.received(1).await;
        // The effect is there already; the answer is not.
        mail_with_key(&rig, "k1", &body).await
    });
    assert_eq!(slow.status, 200);
    twin.assert_resend_error(409, "concurrent_idempotent_requests");
    assert_eq!(mail_with_key(&rig, "k1", &body).await.body, slow.body);
    assert_eq!(rig.effects().await, 1);
}

#[tokio::test]
async fn a_twin_meets_the_first_request_before_its_effect() {
    let rig = Rig::start().await;
    rig.fault(json!({ "fault": "latency_before", "delay_ms": 1500 }))
        .await;
    let body = letter("ada@example.com");
    let (slow, twin) = tokio::join!(mail_with_key(&rig, "k1", &body), async {
        rig.received(1).await;
        mail_with_key(&rig, "k1", &body).await
    });
    twin.assert_resend_error(409, "concurrent_idempotent_requests");
    assert_eq!(slow.status, 200);
    assert_eq!(rig.effects().await, 1);
}

#[tokio::test]
async fn a_refused_request_frees_its_key() {
    let rig = Rig::start().await;
    let wrong = with(letter("ada@example.com"), json!({ "subject": null }));
    mail_with_key(&rig, "k1", &wrong)
        .await
        .assert_resend_error(422, "missing_required_field");
    assert_eq!(
        mail_with_key(&rig, "k1", &letter("ada@example.com"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_lost_answer_is_found_again_by_its_key() {
    let rig = Rig::start().await;
    rig.fault(json!({ "fault": "reset_after" })).await;
    let request = rig
        .resend(Method::POST, "/emails")
        .header("Idempotency-Key", "k1");
    assert!(
        request
            .json(&letter("ada@example.com"))
            .send()
            .await
            .is_err()
    );
    let again = mail_with_key(&rig, "k1", &letter("ada@example.com")).await;
    let ledger = rig.get("ledger").await;
    assert_eq!(
        (&ledger["total"], &ledger["data"][0]["id"]),
        (&1.into(), &again.body["id"])
    );
}

#[tokio::test]
async fn a_key_has_1_to_256_characters() {
    let rig = Rig::start().await;
    for (length, status) in [(0, 400), (1, 200), (256, 200), (257, 400)] {
        let answer = mail_with_key(&rig, &"k".repeat(length), &letter("ada@example.com")).await;
        assert_eq!(answer.status, status, "{length}");
        if status == 400 {
            answer.assert_resend_error(400, "invalid_idempotency_key");
        }
    }
}

#[tokio::test]
async fn a_batch_has_a_key_as_a_whole() {
    let rig = Rig::start().await;
    let emails = json!([letter("a@example.org"), letter("b@example.org")]);
    let send = || {
        rig.send(
            rig.resend(Method::POST, "/emails/batch")
                .header("Idempotency-Key", "k1")
                .json(&emails),
        )
    };
    let (first, second) = (send().await, send().await);
    assert_eq!((first.status, &first.body), (200, &second.body));
    assert_eq!(rig.effects().await, 2);
}
