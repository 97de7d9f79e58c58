//! Cancelling: a write like any other.

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, Provider, advance, attempts, text};
use serde_json::json;

scenarios!(
    a_cancel_is_replayed_under_its_key,
    a_cancel_whose_answer_was_lost_is_settled_by_reading,
    a_cancel_that_did_not_come_to_pass_may_be_asked_for_again,
    a_second_cancel_settles_the_first,
    a_cancel_that_is_not_sent_leaves_an_unknown_object_to_the_background,
    a_cancel_while_a_call_runs_is_a_conflict,
    what_has_ended_or_is_not_known_is_not_canceled,
);

async fn message(acme: &Client, words: &str) -> String {
    let sent = acme.post("/v1/sms", text(words)).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    sent.text("id").to_owned()
}

async fn cancel(client: &Client, id: &str) -> Reply {
    client
        .post(&format!("/v1/sms/{id}/cancel"), json!({}))
        .await
}

async fn status(acme: &Client, id: &str) -> String {
    let object = acme.get(&format!("/v1/sms/{id}?refresh=false")).await;
    object.text("status").to_owned()
}

async fn a_cancel_is_replayed_under_its_key(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let id = message(&acme, "Hi").await;
    let once = acme.with("Idempotency-Key", "stop");
    let first = cancel(&once, &id).await;
    assert_eq!(
        (first.status, first.text("status")),
        (200, "canceled"),
        "{first:?}"
    );
    let again = cancel(&once, &id).await;
    assert_eq!((again.status, &again.bytes), (200, &first.bytes));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(provider.cancels(), 1);
    // Another message, or another key.
    let other = message(&acme, "Ho").await;
    assert_eq!(cancel(&once, &other).await.code(), "idempotency_key_reused");
    let late = cancel(&acme, &id).await;
    assert_eq!((late.status, late.code()), (409, "invalid_state"));
    assert_eq!(provider.cancels(), 1);
    let operations: Vec<_> = attempts(&host, &id)
        .await
        .into_iter()
        .map(|attempt| (attempt.operation, attempt.outcome.unwrap()))
        .collect();
    let expected = [("send", "accepted"), ("cancel", "accepted")];
    assert_eq!(
        operations,
        expected.map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    let types: Vec<_> = ground
        .events(&id)
        .await
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(types, ["sms.queued", "sms.canceled"]);
}

async fn a_cancel_whose_answer_was_lost_is_settled_by_reading(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let send_at = host.clock.now() + TimeDelta::hours(2);
    let scheduled =
        json!({"to": "ada@example.com", "subject": "Hello", "text_body": "Hi", "send_at": send_at});
    let sent = acme.post("/v1/email", scheduled).await;
    assert_eq!(
        (sent.status, sent.text("status")),
        (201, "scheduled"),
        "{sent:?}"
    );
    let path = format!("/v1/email/{}", sent.text("id"));
    host.fault(json!({"fault": "reset_after", "provider": "resend", "path_contains": "cancel"}))
        .await;
    let once = acme.with("Idempotency-Key", "stop");
    let cancel = async || once.post(&format!("{path}/cancel"), json!({})).await;
    let lost = cancel().await;
    assert_eq!(
        (lost.status, lost.code()),
        (504, "outcome_unknown"),
        "{lost:?}"
    );
    assert_eq!(lost.text("id"), sent.text("id"));
    let stored = acme.get(&format!("{path}?refresh=false")).await;
    assert_eq!(stored.text("status"), "unknown");
    let again = cancel().await;
    assert_eq!((again.status, again.code()), (504, "outcome_unknown"));
    advance(&host, TimeDelta::seconds(3));
    assert_eq!(host.sweep().await, 1);
    let settled = cancel().await;
    assert_eq!((settled.status, settled.text("status")), (200, "canceled"));
    assert_eq!(settled.header("idempotent-replayed"), Some("true"));
    assert_eq!(host.sweep().await, 0);
}

async fn a_cancel_that_did_not_come_to_pass_may_be_asked_for_again(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let id = message(&acme, "Hi").await;
    let once = acme.with("Idempotency-Key", "stop");
    provider.answer_next(500, "{}");
    let lost = cancel(&once, &id).await;
    assert_eq!(
        (lost.status, lost.code()),
        (504, "outcome_unknown"),
        "{lost:?}"
    );
    provider.set_state("scheduled");
    host.clock.advance(TimeDelta::seconds(3));
    assert_eq!(host.sweep().await, 1);
    assert_eq!(status(&acme, &id).await, "scheduled");
    // To answer that it was canceled would be a lie; to answer 504 for ever, no help.
    let again = cancel(&once, &id).await;
    assert_eq!(
        (again.status, again.text("status")),
        (200, "canceled"),
        "{again:?}"
    );
    assert_eq!(again.header("idempotent-replayed"), None);
    assert_eq!(provider.cancels(), 2);
}

async fn a_second_cancel_settles_the_first(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let id = message(&acme, "Hi").await;
    let once = acme.with("Idempotency-Key", "stop");
    provider.answer_next(500, "{}");
    assert_eq!(cancel(&once, &id).await.status, 504);
    let second = cancel(&acme, &id).await;
    assert_eq!(
        (second.status, second.text("status")),
        (200, "canceled"),
        "{second:?}"
    );
    let first = cancel(&once, &id).await;
    assert_eq!(
        (first.status, first.text("status")),
        (200, "canceled"),
        "{first:?}"
    );
    assert_eq!(first.header("idempotent-replayed"), Some("true"));
    host.clock.advance(TimeDelta::seconds(60));
    assert_eq!(host.sweep().await, 0);
    assert_eq!(provider.cancels(), 2);
}

async fn a_cancel_that_is_not_sent_leaves_an_unknown_object_to_the_background(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let id = message(&acme, "Hi").await;
    let once = acme.with("Idempotency-Key", "stop");
    provider.answer_next(500, "{}");
    assert_eq!(cancel(&once, &id).await.status, 504);
    provider.answer_next(429, "{}");
    let limited = cancel(&acme, &id).await;
    assert_eq!(
        (limited.status, limited.code()),
        (429, "provider_rate_limited"),
        "{limited:?}"
    );
    assert_eq!(status(&acme, &id).await, "unknown");
    provider.set_state("canceled");
    host.clock.advance(TimeDelta::seconds(3));
    assert_eq!(host.sweep().await, 1);
    assert_eq!(status(&acme, &id).await, "canceled");
    assert_eq!(cancel(&once, &id).await.status, 200);
}

async fn a_cancel_while_a_call_runs_is_a_conflict(ground: Ground) {
    let provider = Provider::start().await;
    let (_host, acme) = ground.host_and(&provider).await;
    let id = message(&acme, "Hi").await;
    provider.hold();
    let running = {
        let (acme, id) = (acme.clone(), id.clone());
        tokio::spawn(async move { cancel(&acme, &id).await })
    };
    onerouter_tests::write_path::eventually("it runs", || async { provider.cancels() > 0 }).await;
    let second = cancel(&acme, &id).await;
    assert_eq!(
        (second.status, second.code()),
        (409, "conflict"),
        "{second:?}"
    );
    assert!(second.header("retry-after").is_some());
    assert_eq!(second.json["retryable"], true);
    // Readers do not get in between either.
    let read = acme.get(&format!("/v1/sms/{id}")).await;
    assert_eq!(read.text("status"), "queued");
    assert_eq!(provider.reads(), 0);

    // A message whose own sending still runs.
    let sending = {
        let acme = acme.clone();
        tokio::spawn(async move { acme.post("/v1/sms", text("Ho")).await })
    };
    provider.has("Ho").await;
    let newest = acme.get("/v1/sms?limit=1").await;
    let other = newest.json["data"][0]["id"].as_str().unwrap();
    assert_eq!(cancel(&acme, other).await.code(), "conflict");
    provider.release();
    assert_eq!(running.await.unwrap().status, 200);
    assert_eq!(sending.await.unwrap().status, 201);
    assert_eq!(provider.cancels(), 1);
}

async fn what_has_ended_or_is_not_known_is_not_canceled(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let id = message(&acme, "Hi").await;
    provider.set_state("delivered");
    host.clock.advance(TimeDelta::seconds(3));
    acme.get(&format!("/v1/sms/{id}")).await;
    let once = acme.with("Idempotency-Key", "stop");
    let late = cancel(&once, &id).await;
    assert_eq!((late.status, late.code()), (409, "invalid_state"));
    // The key was released with it.
    assert_eq!(cancel(&once, &id).await.code(), "invalid_state");

    provider.lose_next();
    let lost = acme.post("/v1/sms", text("Ho")).await;
    assert_eq!(lost.status, 504);
    let unknown = cancel(&acme, lost.text("id")).await;
    assert_eq!((unknown.status, unknown.code()), (409, "invalid_state"));
    assert_eq!(provider.cancels(), 0);
    let absent = cancel(&acme, "sms_01m84hv130ewnt8csdf3adtj7c").await;
    assert_eq!((absent.status, absent.code()), (404, "not_found"));
}
