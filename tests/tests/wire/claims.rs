//! A claim whose commit got lost: it may be there or not.

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Reply};
use onerouter_tests::scenarios_at_a_wire;
use onerouter_tests::write_path::{Ground, Provider, attempts, text};
use serde_json::{Value, json};

scenarios_at_a_wire!(
    a_claim_that_was_committed_without_a_word_is_told_with_its_id_and_settled,
    a_message_whose_claim_was_committed_without_a_word_is_not_made_up,
    a_claim_that_was_not_committed_leaves_nothing,
    each_email_of_a_batch_that_was_committed_without_a_word_is_told_and_settled,
);

/// Runs in every transaction that claims a message, and in no other one.
const CLAIMING: &str = "insert into objects";
/// Until a claim that nobody works on has ended.
const CLAIM: TimeDelta = TimeDelta::seconds(46);

fn email(to: &str) -> Value {
    json!({"to": to, "subject": "Hello", "text_body": "Hi"})
}

#[track_caller]
fn assert_unknown(reply: &Reply) {
    let found = (reply.status, reply.code());
    assert_eq!(found, (504, "outcome_unknown"), "{reply:?}");
}

async fn read(acme: &Client, path: &str, id: &str) -> Reply {
    acme.get(&format!("{path}/{id}?refresh=false")).await
}

async fn a_claim_that_was_committed_without_a_word_is_told_with_its_id_and_settled(ground: Ground) {
    let host = ground.host().await;
    let once = host.key("test").await.with("Idempotency-Key", "once");
    let to = "ada@example.com";
    let snare = ground.wire().lose_commit_of(CLAIMING);
    let lost = once.post("/v1/email", email(to)).await;
    assert!(snare.has_caught());
    assert_unknown(&lost);
    let id = lost.text("id");
    assert_eq!(read(&once, "/v1/email", id).await.text("status"), "queued");
    assert_eq!(host.effects(to).await, 0);
    // It may still run elsewhere, for all that anybody knows.
    let running = once.post("/v1/email", email(to)).await;
    assert_eq!(running.code(), "idempotency_in_progress");

    host.clock.advance(CLAIM);
    assert_eq!(host.sweep().await, 1);
    let settled = once.post("/v1/email", email(to)).await;
    assert_eq!(
        (settled.status, settled.text("id")),
        (201, id),
        "{settled:?}"
    );
    assert_eq!(host.effects(to).await, 1);
    assert_eq!(ground.count("objects").await, 1);
}

async fn a_message_whose_claim_was_committed_without_a_word_is_not_made_up(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let once = acme.with("Idempotency-Key", "once");
    let snare = ground.wire().lose_commit_of(CLAIMING);
    let lost = once.post("/v1/sms", text("Hi")).await;
    assert!(snare.has_caught());
    assert_unknown(&lost);
    host.clock.advance(CLAIM);
    assert_eq!(host.sweep().await, 1);
    let again = once.post("/v1/sms", text("Hi")).await;
    assert_unknown(&again);
    assert_eq!(again.text("id"), lost.text("id"));
    assert_eq!(provider.posted().len(), 0);
}

async fn a_claim_that_was_not_committed_leaves_nothing(ground: Ground) {
    let host = ground.host().await;
    let once = host.key("test").await.with("Idempotency-Key", "once");
    let to = "ada@example.com";
    let snare = ground.wire().cut_before_commit_of(CLAIMING);
    let lost = once.post("/v1/email", email(to)).await;
    assert!(snare.has_caught());
    // Nobody can tell it from one that was committed.
    assert_unknown(&lost);
    let gone = read(&once, "/v1/email", lost.text("id")).await;
    assert_eq!((gone.status, gone.code()), (404, "not_found"));
    let again = once.post("/v1/email", email(to)).await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_ne!(again.text("id"), lost.text("id"));
    assert_eq!(host.effects(to).await, 1);
    host.clock.advance(CLAIM);
    assert_eq!(host.sweep().await, 0);
}

async fn each_email_of_a_batch_that_was_committed_without_a_word_is_told_and_settled(
    ground: Ground,
) {
    let host = ground.host().await;
    let once = host.key("test").await.with("Idempotency-Key", "once");
    let recipients = ["a@example.com", "b@example.com", "alone@example.com"];
    let mut emails = recipients.map(email).to_vec();
    emails[2]["attachments"] = json!([{"filename": "a.txt", "content": "SGk="}]);
    emails.push(email("no address"));
    let body = json!({ "emails": emails });
    let snare = ground.wire().lose_commit_of(CLAIMING);
    let lost = once.post("/v1/email/batch", body.clone()).await;
    assert!(snare.has_caught());
    assert_eq!(lost.status, 200, "{lost:?}");
    let data = &lost.json["data"];
    for position in 0..3 {
        assert_eq!(data[position]["code"], "outcome_unknown", "{data}");
        let id = data[position]["id"].as_str().unwrap();
        let object = read(&once, "/v1/email", id).await;
        assert_eq!(object.json["to"], json!([recipients[position]]));
        assert_eq!(object.text("status"), "queued");
        assert_eq!(attempts(&host, id).await.len(), 1);
        assert_eq!(host.effects(recipients[position]).await, 0);
    }
    assert_eq!(data[3]["code"], "validation_failed");

    host.clock.advance(CLAIM);
    assert_eq!(host.sweep().await, 3);
    let settled = once.post("/v1/email/batch", body).await;
    for position in 0..3 {
        let email = &settled.json["data"][position];
        assert_eq!(email["object"], "email", "{email}");
        assert_eq!(email["id"], data[position]["id"]);
        assert_eq!(host.effects(recipients[position]).await, 1);
    }
    assert_eq!(ground.open_ends().await, 0);
}
