//! The provider has answered, and the database is gone for a moment when that is to be written
//! down: the answer is not lost for it.

use onerouter_tests::scenarios_at_a_wire;
use onerouter_tests::write_path::{Ground, Provider, attempts, text};
use serde_json::json;

scenarios_at_a_wire!(
    an_answer_is_written_down_although_the_database_was_lost_once,
    an_answer_that_was_written_down_without_a_word_is_told,
    a_set_that_was_written_down_without_a_word_is_told,
    a_database_that_stays_away_makes_the_outcome_unknown,
);

/// Runs in the transaction that settles a write, and in no other one.
const SETTLING: &str = "insert into call_logs";

async fn an_answer_is_written_down_although_the_database_was_lost_once(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let once = acme.with("Idempotency-Key", "once");
    let snare = ground.wire().cut_at(SETTLING);
    let sent = once.post("/v1/sms", text("Hi")).await;
    assert!(snare.has_caught());
    assert_eq!(sent.status, 201, "{sent:?}");
    let again = once.post("/v1/sms", text("Hi")).await;
    assert_eq!(again.bytes, sent.bytes);
    let attempts = attempts(&host, sent.text("id")).await;
    assert_eq!(attempts[0].outcome.as_deref(), Some("accepted"));
    assert_eq!(provider.effects("Hi"), 1);
    assert_eq!(ground.open_ends().await, 0);
}

async fn an_answer_that_was_written_down_without_a_word_is_told(ground: Ground) {
    let provider = Provider::start().await;
    let (_host, acme) = ground.host_and(&provider).await;
    for (key, status, answer) in [("accepted", 201, None), ("declined", 422, Some("{}"))] {
        let once = acme.with("Idempotency-Key", key);
        if let Some(answer) = answer {
            provider.answer_next(400, answer);
        }
        let snare = ground.wire().lose_commit_of(SETTLING);
        let told = once.post("/v1/sms", text(key)).await;
        assert!(snare.has_caught());
        assert_eq!(told.status, status, "{told:?}");
        let again = once.post("/v1/sms", text(key)).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.json["version"], told.json["version"]);
        assert_eq!(again.json["updated_at"], told.json["updated_at"]);
        let events = ground.events(told.text("id")).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(provider.effects(key), 1);
    }
}

async fn a_set_that_was_written_down_without_a_word_is_told(ground: Ground) {
    let host = ground.host().await;
    let once = host.key("test").await.with("Idempotency-Key", "once");
    let email = |to: &str| json!({"to": to, "subject": "Hello", "text_body": "Hi"});
    let emails = ["a@example.com", "validation_error@refused.test"].map(email);
    let body = json!({ "emails": emails });
    let snare = ground.wire().lose_commit_of(SETTLING);
    let told = once.post("/v1/email/batch", body.clone()).await;
    assert!(snare.has_caught());
    assert_eq!(told.json["data"][0]["status"], "queued", "{told:?}");
    assert_eq!(told.json["data"][1]["code"], "provider_rejected");
    let again = once.post("/v1/email/batch", body).await;
    assert_eq!(again.json["data"][0], told.json["data"][0]);
    assert_eq!(again.json["data"][1]["id"], told.json["data"][1]["id"]);
    assert_eq!(ground.open_ends().await, 0);
}

async fn a_database_that_stays_away_makes_the_outcome_unknown(ground: Ground) {
    let provider = Provider::start().await;
    let (_host, acme) = ground.host_and(&provider).await;
    let snares = [(); 20].map(|()| ground.wire().cut_at(SETTLING));
    let unknown = acme.post("/v1/sms", text("Hi")).await;
    let found = (unknown.status, unknown.code());
    assert_eq!(found, (504, "outcome_unknown"), "{unknown:?}");
    let tries = snares.iter().filter(|snare| snare.has_caught()).count();
    assert!((2..20).contains(&tries), "{tries}");
    assert_eq!(provider.effects("Hi"), 1);
}
