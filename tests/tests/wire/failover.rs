//! The database is lost while a message is handed over to another connection: nothing is sent by
//! anybody whose turn is not written down, and nobody is told more than is known.

use chrono::TimeDelta;
use onerouter_sandbox::{resend, twilio};
use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::scenarios_at_a_wire;
use onerouter_tests::write_path::{Ground, Provider, advance, attempts};
use serde_json::{Value, json};

scenarios_at_a_wire!(
    a_hand_over_is_written_although_the_database_was_lost_once,
    a_hand_over_that_was_written_without_a_word_goes_on,
    a_hand_over_that_cannot_be_written_ends_at_the_first_connection,
    a_hand_over_of_which_nothing_is_known_is_unknown,
    a_set_that_parts_in_a_failover_sends_nobody_twice,
    what_was_not_sent_and_not_settled_is_not_repeated,
);

/// Runs in the transaction that hands a message over, and in no other one.
const HANDING_OVER: &str = "set provider =";
/// Looks whether a hand-over was written after all.
const LOOKING: &str = "for update";
/// Runs in the transaction that settles.
const SETTLING: &str = "insert into call_logs";
/// How often the gateway tries to write.
const TRIES: usize = 3;
const ENDING: &str = "update attempts set outcome";

fn message() -> Value {
    json!({"to": "+14155550123", "body": "trap-before", "from_number": twilio::FROM_NUMBER})
}

async fn all_in_order(operator: &Client) {
    let path = "/api/services/sms/routing?environment=test";
    let saboteur = operator.connection("saboteur").await;
    let twilio = operator.connection("twilio").await;
    let policy = json!({"order": [{"connection_id": saboteur}, {"connection_id": twilio}]});
    let body = Some(policy.to_string().into_bytes());
    let put = operator.send(reqwest::Method::PUT, path, body).await;
    assert_eq!(put.status, 200, "{put:?}");
}

async fn a_hand_over_is_written_although_the_database_was_lost_once(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    all_in_order(&host.operator()).await;
    let snare = ground.wire().cut_at(HANDING_OVER);
    let sent = acme.post("/v1/sms", message()).await;
    assert!(snare.has_caught());
    assert_eq!(
        (sent.status, sent.text("provider")),
        (201, "twilio"),
        "{sent:?}"
    );
    assert_eq!(attempts(&host, sent.text("id")).await.len(), 2);
    assert_eq!(host.effects("+14155550123").await, 1);
    assert_eq!(ground.open_ends().await, 0);
}

async fn a_hand_over_that_was_written_without_a_word_goes_on(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    all_in_order(&host.operator()).await;
    let snare = ground.wire().lose_commit_of(HANDING_OVER);
    let once = acme.with("Idempotency-Key", "once");
    let sent = once.post("/v1/sms", message()).await;
    assert!(snare.has_caught());
    assert_eq!(
        (sent.status, sent.text("provider")),
        (201, "twilio"),
        "{sent:?}"
    );
    assert_eq!(attempts(&host, sent.text("id")).await.len(), 2);
    let again = once.post("/v1/sms", message()).await;
    assert_eq!(again.bytes, sent.bytes);
    assert_eq!(host.effects("+14155550123").await, 1);
    assert_eq!(ground.open_ends().await, 0);
}

async fn a_hand_over_that_cannot_be_written_ends_at_the_first_connection(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    all_in_order(&host.operator()).await;
    let snares = [(); TRIES].map(|()| ground.wire().cut_at(HANDING_OVER));
    let once = acme.with("Idempotency-Key", "once");
    let refused = once.post("/v1/sms", message()).await;
    assert!(snares.iter().all(|snare| snare.has_caught()));
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

async fn a_hand_over_of_which_nothing_is_known_is_unknown(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    all_in_order(&host.operator()).await;
    // Also when the settlement has to be tried twice.
    for (settling_is_cut, key) in [(false, "a"), (true, "b")] {
        let snare = ground.wire().lose_commit_of(HANDING_OVER);
        let looks = [(); TRIES - 1].map(|()| ground.wire().cut_at(LOOKING));
        // It runs in the hand-over, then in the settlement.
        let cut = settling_is_cut.then(|| ground.wire().cut_later_at(ENDING, 1));
        let once = acme.with("Idempotency-Key", key);
        let unknown = once.post("/v1/sms", message()).await;
        assert!(snare.has_caught() && looks.iter().all(|look| look.has_caught()));
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

/// Two connections to Resend, the first one first; what is marked goes over the first one only.
async fn a_set_that_will_part(host: &Harness) -> Value {
    let operator = host.operator();
    let second = json!({
        "environment": "test", "label": "second",
        "credentials": {"api_key": resend::FULL_ACCESS_KEY},
        "settings": {"from_email": "Second <second@example.com>"},
    });
    let connect = "/api/services/email/resend/connect";
    let second = operator.post(connect, second).await;
    assert_eq!(second.status, 201, "{second:?}");
    let listed = operator.get("/api/services").await;
    let data = listed.json["data"].as_array().unwrap();
    let first = data
        .iter()
        .find(|one| one["service"] == "email" && one["label"] == "default");
    let first = json!({"connection_id": first.unwrap()["id"]});
    let policy = json!({
        "order": [first, {"connection_id": second.json["id"]}],
        "rules": [{"name": "first", "when": {"metadata": {"only": "first"}}, "order": [first]}],
    });
    let body = Some(policy.to_string().into_bytes());
    let path = "/api/services/email/routing?environment=test";
    let put = operator.send(reqwest::Method::PUT, path, body).await;
    assert_eq!(put.status, 200, "{put:?}");
    host.fault(json!({"fault": "error_before", "provider": "resend", "method": "POST", "status": 429, "code": "rate_limit_exceeded"}))
        .await;
    let email = |to: &str| json!({"to": to, "subject": "Hello", "text_body": "Hi"});
    let mut marked = email("bob@example.com");
    marked["metadata"] = json!({"only": "first"});
    json!({"emails": [email("ada@example.com"), marked, email("eve@example.com")]})
}

async fn effects(host: &Harness) -> [u64; 3] {
    [
        host.effects("ada@example.com").await,
        host.effects("bob@example.com").await,
        host.effects("eve@example.com").await,
    ]
}

fn outcomes(reply: &Reply) -> Vec<String> {
    let data = reply.json["data"].as_array().unwrap().iter();
    data.map(|one| {
        one["code"]
            .as_str()
            .or(one["status"].as_str())
            .unwrap()
            .to_owned()
    })
    .collect()
}

async fn a_set_that_parts_in_a_failover_sends_nobody_twice(ground: Ground) {
    let host = ground.host().await;
    let body = a_set_that_will_part(&host).await;
    let once = host.key("test").await.with("Idempotency-Key", "once");
    let snare = ground.wire().lose_commit_of(HANDING_OVER);
    let looks = [(); TRIES - 1].map(|()| ground.wire().cut_at(LOOKING));
    let sent = once.post("/v1/email/batch", body.clone()).await;
    assert!(snare.has_caught() && looks.iter().all(|look| look.has_caught()));
    let unknown = "outcome_unknown";
    assert_eq!(
        outcomes(&sent),
        [unknown, "provider_rate_limited", unknown],
        "{sent:?}"
    );
    assert_eq!(effects(&host).await, [0, 0, 0]);
    // The claims of those that were handed over die, and are settled at their new connection: it
    // gets the request, once.
    for _ in 0..4 {
        advance(&host, TimeDelta::seconds(50));
        host.sweep().await;
    }
    assert_eq!(effects(&host).await, [1, 0, 1]);
    assert_eq!(ground.open_ends().await, 0);
    let again = once.post("/v1/email/batch", body).await;
    assert_eq!(
        outcomes(&again)[1],
        "queued",
        "the one that was not sent is sent now: {again:?}"
    );
    assert_eq!(effects(&host).await, [1, 1, 1]);
}

async fn what_was_not_sent_and_not_settled_is_not_repeated(ground: Ground) {
    let host = ground.host().await;
    let body = a_set_that_will_part(&host).await;
    let once = host.key("test").await.with("Idempotency-Key", "once");
    // The one that ends at the first connection is settled first, and cannot be.
    let snares = [(); TRIES].map(|()| ground.wire().cut_at(SETTLING));
    let sent = once.post("/v1/email/batch", body.clone()).await;
    assert!(snares.iter().all(|snare| snare.has_caught()));
    assert_eq!(
        outcomes(&sent),
        ["queued", "outcome_unknown", "queued"],
        "{sent:?}"
    );
    let id = sent.json["data"][1]["id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        advance(&host, TimeDelta::seconds(50));
        host.sweep().await;
    }
    assert_eq!(effects(&host).await, [1, 0, 1]);
    let acme = host.key("test").await;
    let failed = acme.get(&format!("/v1/email/{id}?refresh=false")).await;
    assert_eq!(failed.text("status"), "failed", "{failed:?}");
    assert_eq!(failed.json["failure"]["retryable"], true);
    let again = once.post("/v1/email/batch", body).await;
    assert_eq!(outcomes(&again)[1], "queued", "{again:?}");
    assert_eq!(effects(&host).await, [1, 1, 1]);
}
