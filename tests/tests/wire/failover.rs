//! The database is lost while a message is handed over to another connection: nothing is sent by
//! anybody whose turn is not written down, and nobody is told more than is known.

use onerouter_sandbox::twilio;
use onerouter_tests::harness::Client;
use onerouter_tests::scenarios_at_a_wire;
use onerouter_tests::write_path::{Ground, Provider, attempts};
use serde_json::{Value, json};

scenarios_at_a_wire!(
    a_hand_over_that_was_not_written_ends_at_the_first_connection,
    a_hand_over_that_was_written_without_a_word_is_unknown,
);

/// Runs in the transaction that hands a message over, and in no other one.
const HANDING_OVER: &str = "set provider =";
/// Runs in that one, then in the one that settles.
const ENDING: &str = "update attempts set outcome";

fn message() -> Value {
    json!({"to": "+14155550123", "body": "trap-before", "from_number": twilio::FROM_NUMBER})
}

async fn all_in_order(operator: &Client) {
    let path = "/api/services/sms/routing?environment=test";
    let listed = operator.get("/api/services").await;
    let id = |provider: &str| {
        let data = listed.json["data"].as_array().unwrap();
        let found = data.iter().find(|one| one["provider"] == provider);
        found.unwrap()["id"].clone()
    };
    let policy =
        json!({"order": [{"connection_id": id("saboteur")}, {"connection_id": id("twilio")}]});
    let body = Some(policy.to_string().into_bytes());
    let put = operator.send(reqwest::Method::PUT, path, body).await;
    assert_eq!(put.status, 200, "{put:?}");
}

async fn a_hand_over_that_was_not_written_ends_at_the_first_connection(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    all_in_order(&host.operator()).await;
    let snare = ground.wire().cut_at(HANDING_OVER);
    let once = acme.with("Idempotency-Key", "once");
    let refused = once.post("/v1/sms", message()).await;
    assert!(snare.has_caught());
    assert_eq!(
        (refused.status, refused.code()),
        (502, "plugin_fault"),
        "{refused:?}"
    );
    assert_eq!(attempts(&host, refused.text("id")).await.len(), 1);
    assert_eq!(host.effects("+14155550123").await, 0);
    assert_eq!(ground.open_ends().await, 0);
    // Nothing was processed, so the key is free.
    let sent = once.post("/v1/sms", message()).await;
    assert_eq!(
        (sent.status, sent.text("provider")),
        (201, "twilio"),
        "{sent:?}"
    );
    assert_eq!(host.effects("+14155550123").await, 1);
}

async fn a_hand_over_that_was_written_without_a_word_is_unknown(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    all_in_order(&host.operator()).await;
    // Also when the settlement has to be tried twice.
    for settling_is_cut in [false, true] {
        let snare = ground.wire().lose_commit_of(HANDING_OVER);
        let cut = settling_is_cut.then(|| ground.wire().cut_later_at(ENDING, 1));
        let once = acme.with("Idempotency-Key", &settling_is_cut.to_string());
        let unknown = once.post("/v1/sms", message()).await;
        assert!(snare.has_caught());
        assert!(cut.is_none_or(|cut| cut.has_caught()));
        assert_eq!(
            (unknown.status, unknown.code()),
            (504, "outcome_unknown"),
            "{unknown:?}"
        );
        let running = once.post("/v1/sms", message()).await;
        assert_eq!(
            (running.status, running.code()),
            (409, "idempotency_in_progress")
        );
        let attempts = attempts(&host, unknown.text("id")).await;
        assert_eq!(attempts.len(), 2, "the second one is written down");
    }
    assert_eq!(host.effects("+14155550123").await, 0, "and was never made");
}
