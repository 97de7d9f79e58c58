//! What the gateway makes of adapters that break down or lie, and of providers that answer oddly:
//! each outcome, its object, its attempt and its events.

use onerouter_tests::harness::{Client, Reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, Provider, attempts, eventually, ledger, text};
use serde_json::json;
use tokio::task::JoinSet;

scenarios!(
    what_breaks_before_anything_left_is_not_sent,
    what_breaks_after_a_message_left_is_unknown,
    an_adapter_that_stays_in_the_host_too_long_is_judged_by_what_left,
    undeclared_requests_never_leave,
    neighbours_are_served_while_adapters_misbehave,
    what_the_provider_answers_decides,
    an_id_that_another_message_has_makes_the_outcome_unknown,
    each_change_of_status_is_one_event,
);

async fn send(acme: &Client, words: &str) -> Reply {
    acme.post("/v1/sms", text(words)).await
}

/// The stored object: status, failure code.
async fn stored(acme: &Client, id: &str) -> (String, Option<String>) {
    let object = acme.get(&format!("/v1/sms/{id}?refresh=false")).await;
    let failure = object.json["failure"]["code"].as_str().map(str::to_owned);
    (object.text("status").to_owned(), failure)
}

async fn what_breaks_before_anything_left_is_not_sent(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let tricks = [
        ("trap-before", 0),
        ("panic-before", 0),
        ("loop", 0),
        ("alloc", 0),
        ("recursion", 0),
        ("read-then-trap", 1),
        ("search-then-trap", 1),
    ];
    for (trick, requests) in tricks {
        let reply = send(&acme, trick).await;
        assert_eq!(
            (reply.status, reply.code()),
            (502, "plugin_fault"),
            "{trick}: {reply:?}"
        );
        assert_eq!(reply.json["retryable"], true, "{trick}");
        let id = reply.text("id");
        let failed = ("failed".to_owned(), Some("plugin_fault".to_owned()));
        assert_eq!(stored(&acme, id).await, failed, "{trick}");
        let attempts = attempts(&host, id).await;
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].outcome.as_deref(), Some("not_sent"), "{trick}");
        let requested = ledger(&attempts[0]);
        assert_eq!(requested.len(), requests, "{trick}");
        for request in requested {
            assert_eq!(request["state_changing"], false, "{trick}");
        }
        assert_eq!(ground.events(id).await, [("sms.failed".to_owned(), 2)]);
    }
    assert_eq!(provider.posted().len(), 0);
    assert_eq!(provider.pings(), 1);
    assert_eq!(host.sweep().await, 0);
}

async fn what_breaks_after_a_message_left_is_unknown(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    for trick in ["trap-after", "malformed", "empty-id", "claim-not-sent"] {
        let reply = send(&acme, trick).await;
        assert_eq!(
            (reply.status, reply.code()),
            (504, "outcome_unknown"),
            "{trick}: {reply:?}"
        );
        let id = reply.text("id");
        assert_eq!(stored(&acme, id).await, ("unknown".to_owned(), None));
        assert_eq!(ground.events(id).await, [("sms.unknown".to_owned(), 2)]);
        let attempts = attempts(&host, id).await;
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].outcome.as_deref(), Some("unknown"), "{trick}");
        let requested = ledger(&attempts[0]);
        assert_eq!(requested.len(), 1);
        assert_eq!(requested[0]["method"], "POST");
        assert_eq!(requested[0]["host"], "api.saboteur.example");
        assert_eq!(requested[0]["state_changing"], true);
        assert_eq!(requested[0]["left"], true);
        assert_eq!(requested[0]["status"], 200);
        assert_eq!(provider.effects(trick), 1);
    }
}

async fn an_adapter_that_stays_in_the_host_too_long_is_judged_by_what_left(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    provider.hold();
    provider.hold_reads();
    let (posted, pinged) = tokio::join!(send(&acme, "Hi"), send(&acme, "slow"));
    assert_eq!(
        (posted.status, posted.code()),
        (504, "outcome_unknown"),
        "{posted:?}"
    );
    let attempt = attempts(&host, posted.text("id")).await.remove(0);
    assert_eq!(ledger(&attempt)[0]["left"], true);
    assert!(ledger(&attempt)[0]["status"].is_null());
    // Whichever clock is first: that of the request or that of the call.
    let ended = [(502, "plugin_fault"), (503, "provider_unavailable")];
    assert!(
        ended.contains(&(pinged.status, pinged.code())),
        "{pinged:?}"
    );
    assert_eq!((provider.effects("Hi"), provider.effects("slow")), (1, 0));
    provider.release();
    provider.release_reads();

    // A reader settles it: the message is found and bound.
    let path = format!("/v1/sms/{}", posted.text("id"));
    let read = acme.get(&path).await;
    assert_eq!(read.text("status"), "sent", "{read:?}");
    assert_eq!(provider.effects("Hi"), 1);
}

async fn undeclared_requests_never_leave(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    for trick in [
        "undeclared-host",
        "undeclared-path",
        "undeclared-method",
        "steal-header",
        "smuggle-header",
        "many-requests",
    ] {
        let reply = send(&acme, trick).await;
        assert!(
            [502, 503].contains(&reply.status),
            "{trick}: {} {}",
            reply.status,
            reply.json
        );
        let id = reply.text("id");
        assert_eq!(stored(&acme, id).await.0, "failed", "{trick}");
        let attempts = attempts(&host, id).await;
        assert_eq!(attempts[0].outcome.as_deref(), Some("not_sent"), "{trick}");
    }
    assert_eq!(provider.posted().len(), 0);
}

async fn neighbours_are_served_while_adapters_misbehave(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let mut calls = JoinSet::new();
    for number in 0..10 {
        for trick in ["loop", "alloc", "recursion", "trap-before", "panic-before"] {
            let acme = acme.clone();
            calls.spawn(async move { (502, send(&acme, trick).await) });
        }
        let (texter, words) = (acme.clone(), format!("Number {number}"));
        calls.spawn(async move { (201, send(&texter, &words).await) });
        let email = json!({"to": "ada@example.com", "subject": "Hello", "text_body": "Hi"});
        let mailer = acme.clone();
        calls.spawn(async move { (201, mailer.post("/v1/email", email).await) });
    }
    for (expected, reply) in calls.join_all().await {
        assert_eq!(reply.status, expected, "{}", reply.json);
    }
    assert_eq!(provider.posted().len(), 10);
    assert_eq!(host.effects("ada@example.com").await, 10);
}

async fn what_the_provider_answers_decides(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let cases = [
        (
            200,
            r#"{"id":"a1","state":"sent"}"#,
            201,
            "",
            "sent",
            "accepted",
        ),
        (
            200,
            r#"{"id":"a2","state":"failed"}"#,
            201,
            "",
            "failed",
            "accepted",
        ),
        (400, "{}", 422, "provider_rejected", "failed", "declined"),
        (401, "{}", 422, "provider_auth_failed", "failed", "declined"),
        (
            429,
            "{}",
            429,
            "provider_rate_limited",
            "failed",
            "not_sent",
        ),
        (
            // Declared as "not processed", but the adapter says that it cannot tell.
            503,
            r#"{"code":"maintenance"}"#,
            504,
            "outcome_unknown",
            "unknown",
            "unknown",
        ),
        (503, "{}", 504, "outcome_unknown", "unknown", "unknown"),
        (500, "{}", 504, "outcome_unknown", "unknown", "unknown"),
        (200, "<html>", 504, "outcome_unknown", "unknown", "unknown"),
        (
            200,
            r#"{"state":"sent"}"#,
            504,
            "outcome_unknown",
            "unknown",
            "unknown",
        ),
    ];
    for (number, (status, body, answered, code, object, outcome)) in cases.into_iter().enumerate() {
        provider.answer_next(status, body);
        let words = format!("Case {number}");
        let reply = send(&acme, &words).await;
        assert_eq!(reply.status, answered, "{status} {body}: {}", reply.json);
        if answered >= 400 {
            assert_eq!(reply.code(), code, "{status} {body}");
        }
        let id = reply.text("id");
        assert_eq!(stored(&acme, id).await.0, object, "{status} {body}");
        let attempt = attempts(&host, id).await.remove(0);
        assert_eq!(attempt.outcome.as_deref(), Some(outcome), "{status} {body}");
        assert_eq!(ledger(&attempt)[0]["status"], status);
        assert_eq!(provider.effects(&words), 1);
    }
}

async fn an_id_that_another_message_has_makes_the_outcome_unknown(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    provider.answer_next(200, r#"{"id":"same","state":"sent"}"#);
    let first = send(&acme, "One").await;
    assert_eq!(first.status, 201, "{first:?}");
    provider.answer_next(200, r#"{"id":"same","state":"sent"}"#);
    let second = send(&acme.with("Idempotency-Key", "two"), "Two").await;
    assert_eq!(
        (second.status, second.code()),
        (504, "outcome_unknown"),
        "{second:?}"
    );
    let id = second.text("id");
    assert_eq!(stored(&acme, id).await, ("unknown".to_owned(), None));
    let again = send(&acme.with("Idempotency-Key", "two"), "Two").await;
    assert_eq!((again.status, again.text("id")), (504, id), "{again:?}");
    let attempt = attempts(&host, id).await.remove(0);
    assert_eq!(attempt.outcome.as_deref(), Some("accepted"));
    assert_eq!(stored(&acme, first.text("id")).await.0, "sent");
    assert_eq!(provider.posted().len(), 2);
}

async fn each_change_of_status_is_one_event(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let sent = send(&acme, "Hi").await;
    let id = sent.text("id").to_owned();
    let path = format!("/v1/sms/{id}");
    for state in ["queued", "sent", "sent", "queued", "delivered", "sent"] {
        provider.set_state(state);
        host.clock.advance(chrono::TimeDelta::seconds(3));
        acme.get(&path).await;
    }
    let events = ground.events(&id).await;
    let types: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(types, ["sms.queued", "sms.sent", "sms.delivered"]);
    let read = acme.get(&path).await;
    assert_eq!(read.text("status"), "delivered");
    assert_eq!(
        events.last().map(|(_, version)| *version),
        read.json["version"].as_i64()
    );
    // What is delivered is not asked about.
    assert_eq!(provider.reads(), 5);
    eventually("settled", || async { ground.open_ends().await == 0 }).await;
}
