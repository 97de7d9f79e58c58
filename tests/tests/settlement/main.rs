//! What becomes of messages whose answer was lost: repeated under the same key, found again, or
//! left unknown; never sent twice. And how often a provider is asked.

mod repeats;
mod twins;

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, Provider, advance, attempts, eventually, ledger, text};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

scenarios!(
    a_text_message_is_cut_at_each_point_and_bound_to_what_was_sent,
    an_email_is_cut_at_each_point_and_repeated_under_its_key,
    a_reader_settles_an_unknown_object,
    looks_get_rarer_and_end_after_a_week,
    work_that_is_leased_is_not_done_twice,
    a_client_that_hangs_up_is_not_forgotten,
    of_fifty_readers_at_once_one_asks,
    a_refresh_that_fails_or_takes_long_leaves_the_stored_object,
    what_is_final_is_not_asked_about,
    a_scheduled_message_is_asked_about_after_its_time,
);

fn sms(to: &str) -> Value {
    json!({"to": to, "body": "Hi"})
}

fn email(to: &str) -> Value {
    json!({"to": to, "subject": "Hello", "text_body": "Hi"})
}

async fn stored(acme: &Client, path: &str) -> Reply {
    let object = acme.get(&format!("{path}?refresh=false")).await;
    assert_eq!(object.status, 200, "{object:?}");
    object
}

#[track_caller]
fn assert_unknown(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.code()),
        (504, "outcome_unknown"),
        "{reply:?}"
    );
}

/// Requests that a provider of the sandbox received.
async fn asked(host: &Harness, query: &str) -> Vec<Value> {
    let path = format!("/_sandbox/requests?limit=1000&{query}");
    let requests = host.control(Method::GET, &path, None).await;
    requests["data"].as_array().unwrap().clone()
}

async fn a_text_message_is_cut_at_each_point_and_bound_to_what_was_sent(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let cases = [
        (json!({"fault": "reset_before"}), 0),
        (json!({"fault": "error_before", "status": 500}), 0),
        (json!({"fault": "reset_after"}), 1),
        (json!({"fault": "error_after", "status": 500}), 1),
        (json!({"fault": "truncated_body"}), 1),
        (json!({"fault": "malformed_json"}), 1),
        (json!({"fault": "wrong_content_type"}), 1),
        (json!({"fault": "huge_body", "bytes": 64 << 20}), 1),
    ];
    for (number, (fault, effects)) in cases.into_iter().enumerate() {
        let to = format!("+1415555010{number}");
        let mut rule = fault.clone();
        rule["provider"] = json!("twilio");
        rule["method"] = json!("POST");
        host.fault(rule).await;
        let once = acme.with("Idempotency-Key", &to);
        let lost = once.post("/v1/sms", sms(&to)).await;
        assert_unknown(&lost);
        assert_eq!(host.effects(&to).await, effects, "{fault}");
        let path = format!("/v1/sms/{}", lost.text("id"));
        assert_eq!(stored(&acme, &path).await.text("status"), "unknown");

        advance(&host, TimeDelta::seconds(3));
        host.sweep().await;
        let object = stored(&acme, &path).await;
        let again = once.post("/v1/sms", sms(&to)).await;
        if effects == 1 {
            assert_ne!(object.text("status"), "unknown", "{fault}");
            assert_eq!(again.status, 201, "{fault}: {again:?}");
            assert_eq!(again.text("id"), lost.text("id"));
        } else {
            // It may still be on its way: nobody sends it again.
            assert_eq!(object.text("status"), "unknown", "{fault}");
            assert_unknown(&again);
        }
        assert_eq!(host.effects(&to).await, effects, "{fault}");
        assert_eq!(attempts(&host, lost.text("id")).await.len(), 1);
    }
    // Late is not lost.
    host.fault(json!({"fault": "latency_after", "delay_ms": 200, "provider": "twilio"}))
        .await;
    let late = acme.post("/v1/sms", sms("+14155550109")).await;
    assert_eq!(late.status, 201, "{late:?}");
}

async fn an_email_is_cut_at_each_point_and_repeated_under_its_key(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let cases = [
        json!({"fault": "reset_before"}),
        json!({"fault": "error_before", "status": 500}),
        json!({"fault": "reset_after"}),
        json!({"fault": "error_after", "status": 500}),
        json!({"fault": "truncated_body"}),
        json!({"fault": "malformed_json"}),
        json!({"fault": "wrong_content_type"}),
        json!({"fault": "huge_body", "bytes": 64 << 20}),
    ];
    for (number, fault) in cases.into_iter().enumerate() {
        let to = format!("ada{number}@example.com");
        let mut rule = fault.clone();
        rule["provider"] = json!("resend");
        rule["method"] = json!("POST");
        host.fault(rule).await;
        let once = acme.with("Idempotency-Key", &to);
        let lost = once.post("/v1/email", email(&to)).await;
        assert_unknown(&lost);
        advance(&host, TimeDelta::seconds(3));
        host.sweep().await;
        let path = format!("/v1/email/{}", lost.text("id"));
        assert_ne!(
            stored(&acme, &path).await.text("status"),
            "unknown",
            "{fault}"
        );
        let again = once.post("/v1/email", email(&to)).await;
        assert_eq!(
            (again.status, again.text("id")),
            (201, lost.text("id")),
            "{fault}"
        );
        assert_eq!(host.effects(&to).await, 1, "{fault}");
        let attempts = attempts(&host, lost.text("id")).await;
        let outcomes: Vec<_> = attempts
            .iter()
            .map(|attempt| attempt.outcome.as_deref().unwrap())
            .collect();
        assert_eq!(outcomes, ["unknown", "accepted"], "{fault}");
        assert_eq!(attempts[0].provider_key, attempts[1].provider_key);
        assert_eq!(ledger(&attempts[1])[0]["status"], 200);
        assert_eq!(host.sweep().await, 0);
    }
}

async fn a_reader_settles_an_unknown_object(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    for (provider, path, body, to) in [
        ("twilio", "/v1/sms", sms("+14155550123"), "+14155550123"),
        (
            "resend",
            "/v1/email",
            email("ada@example.com"),
            "ada@example.com",
        ),
    ] {
        host.fault(json!({"fault": "reset_after", "provider": provider, "method": "POST"}))
            .await;
        let once = acme.with("Idempotency-Key", provider);
        let lost = once.post(path, body.clone()).await;
        assert_unknown(&lost);
        let object = format!("{path}/{}", lost.text("id"));
        assert_eq!(stored(&acme, &object).await.text("status"), "unknown");
        let read = acme.get(&object).await;
        assert_ne!(read.text("status"), "unknown", "{read:?}");
        let again = once.post(path, body).await;
        assert_eq!((again.status, again.text("id")), (201, lost.text("id")));
        assert_eq!(host.effects(to).await, 1);
    }
    advance(&host, TimeDelta::seconds(3));
    assert_eq!(host.sweep().await, 0);
}

async fn looks_get_rarer_and_end_after_a_week(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    host.fault(json!({"fault": "reset_before", "provider": "twilio", "method": "POST"}))
        .await;
    let lost = acme.post("/v1/sms", sms("+14155550123")).await;
    assert_unknown(&lost);
    let looks = async || {
        asked(
            &host,
            "provider=twilio&method=GET&path_contains=Messages.json",
        )
        .await
        .len()
    };
    assert_eq!(host.sweep().await, 0);
    let mut waited = Vec::new();
    for look in 1..=5 {
        let mut seconds = 0;
        while looks().await < look {
            advance(&host, TimeDelta::seconds(1));
            seconds += 1;
            host.sweep().await;
        }
        waited.push(seconds);
    }
    for (before, after) in waited.iter().zip(&waited[1..]) {
        assert!(after >= before, "{waited:?}");
    }
    assert!(waited[4] >= 4 * waited[0], "{waited:?}");

    advance(&host, TimeDelta::days(7));
    assert_eq!(host.sweep().await, 1);
    advance(&host, TimeDelta::days(1));
    assert_eq!(host.sweep().await, 0);
    let path = format!("/v1/sms/{}", lost.text("id"));
    let before = looks().await;
    assert_eq!(acme.get(&path).await.text("status"), "unknown");
    assert_eq!(looks().await, before + 1);
    assert_eq!(host.effects("+14155550123").await, 0);
}

async fn work_that_is_leased_is_not_done_twice(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    provider.answer_next(500, "{}");
    let lost = acme.post("/v1/sms", text("Hi")).await;
    assert_unknown(&lost);
    host.clock.advance(TimeDelta::seconds(3));
    provider.hold_reads();
    let sweeper = host.gateway.parts().sweeper.clone();
    let looking = tokio::spawn(async move { sweeper.sweep().await.unwrap() });
    eventually("it is looked for", || async { provider.finds() > 0 }).await;
    assert_eq!(host.sweep().await, 0);
    // A worker that is gone is replaced when its lease has ended.
    host.clock.advance(TimeDelta::seconds(121));
    let sweeper = host.gateway.parts().sweeper.clone();
    let replacement = tokio::spawn(async move { sweeper.sweep().await.unwrap() });
    eventually("it is looked for again", || async { provider.finds() > 1 }).await;
    provider.release_reads();
    assert_eq!(looking.await.unwrap(), 1);
    assert_eq!(replacement.await.unwrap(), 1);
    let path = format!("/v1/sms/{}", lost.text("id"));
    assert_eq!(stored(&acme, &path).await.text("status"), "sent");
    let events = ground.events(lost.text("id")).await;
    let types: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(types, ["sms.unknown", "sms.sent"]);
    assert_eq!(host.sweep().await, 0);
}

async fn a_client_that_hangs_up_is_not_forgotten(ground: Ground) {
    let provider = Provider::start().await;
    let (_host, acme) = ground.host_and(&provider).await;
    provider.hold();
    let once = acme.with("Idempotency-Key", "hung up");
    let hanging = {
        let once = once.clone();
        tokio::spawn(async move { once.post("/v1/sms", text("Hi")).await })
    };
    provider.has("Hi").await;
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    provider.release();
    eventually("settled", || async { ground.open_ends().await == 0 }).await;
    let again = once.post("/v1/sms", text("Hi")).await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(provider.effects("Hi"), 1);
}

async fn of_fifty_readers_at_once_one_asks(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let sent = acme.post("/v1/sms", sms("+14155550123")).await;
    let path = format!("/v1/sms/{}", sent.text("id"));
    let reads = async || {
        asked(&host, "provider=twilio&method=GET&path_contains=/Messages/")
            .await
            .len()
    };
    for round in 1..=2 {
        let mut readers = JoinSet::new();
        for _ in 0..50 {
            let (acme, path) = (acme.clone(), path.clone());
            readers.spawn(async move { acme.get(&path).await });
        }
        for read in readers.join_all().await {
            assert_eq!(read.status, 200, "{read:?}");
        }
        assert_eq!(reads().await, round);
        // Not before two seconds have passed, and not for a reader who does not want it.
        acme.get(&path).await;
        assert_eq!(reads().await, round);
        advance(&host, TimeDelta::milliseconds(2_100));
        acme.get(&format!("{path}?refresh=false")).await;
        assert_eq!(reads().await, round);
    }
    acme.get(&path).await;
    assert_eq!(reads().await, 3);
}

async fn a_refresh_that_fails_or_takes_long_leaves_the_stored_object(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let sent = acme.post("/v1/sms", sms("+14155550123")).await;
    let path = format!("/v1/sms/{}", sent.text("id"));
    let before = stored(&acme, &path).await;
    for fault in [
        json!({"fault": "error_before", "status": 500}),
        json!({"fault": "error_before", "code": "20404"}),
        json!({"fault": "error_before", "code": "20003"}),
        json!({"fault": "error_before", "code": "20429"}),
        json!({"fault": "reset_before"}),
        json!({"fault": "malformed_json"}),
        json!({"fault": "truncated_body"}),
    ] {
        advance(&host, TimeDelta::seconds(3));
        let mut rule = fault.clone();
        rule["provider"] = json!("twilio");
        rule["method"] = json!("GET");
        host.fault(rule).await;
        let read = acme.get(&path).await;
        assert_eq!((read.status, &read.bytes), (200, &before.bytes), "{fault}");
    }
    advance(&host, TimeDelta::seconds(3));
    host.fault(json!({"fault": "latency_before", "delay_ms": 4_000, "provider": "twilio"}))
        .await;
    let started = Instant::now();
    let read = acme.get(&path).await;
    assert_eq!((read.status, &read.bytes), (200, &before.bytes));
    assert!(started.elapsed() < Duration::from_millis(3_500));
    // What the provider says then is kept all the same.
    eventually("the late answer is kept", || async {
        stored(&acme, &path).await.text("status") == "delivered"
    })
    .await;
}

async fn what_is_final_is_not_asked_about(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let delivered = acme.post("/v1/sms", sms("+14155550123")).await;
    let sent = acme.post("/v1/sms", sms("+15005700003")).await;
    let path = |sent: &Reply| format!("/v1/sms/{}", sent.text("id"));
    advance(&host, TimeDelta::seconds(10));
    assert_eq!(
        acme.get(&path(&delivered)).await.text("status"),
        "delivered"
    );
    assert_eq!(acme.get(&path(&sent)).await.text("status"), "sent");
    let reads = async || {
        asked(&host, "provider=twilio&method=GET&path_contains=/Messages/")
            .await
            .len()
    };
    assert_eq!(reads().await, 2);
    advance(&host, TimeDelta::hours(71));
    acme.get(&path(&delivered)).await;
    assert_eq!(reads().await, 2);
    acme.get(&path(&sent)).await;
    assert_eq!(reads().await, 3);
    advance(&host, TimeDelta::hours(1));
    let read = acme.get(&path(&sent)).await;
    assert_eq!((read.status, read.text("status")), (200, "sent"));
    assert_eq!(reads().await, 3);
}

async fn a_scheduled_message_is_asked_about_after_its_time(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let mut body = text("Later");
    body["send_at"] = json!(host.clock.now() + TimeDelta::days(10));
    let sent = acme.post("/v1/sms", body).await;
    let path = format!("/v1/sms/{}", sent.text("id"));
    host.clock
        .advance(TimeDelta::days(10) + TimeDelta::seconds(5));
    assert_eq!(acme.get(&path).await.text("status"), "sent");
    provider.set_state("delivered");
    host.clock.advance(TimeDelta::seconds(5));
    assert_eq!(acme.get(&path).await.text("status"), "delivered");
}
