//! Several e-mails in one request: each has its own outcome, those that travel together are one
//! attempt, and are only ever repeated as the same set.

use std::time::Instant;

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance, attempts};
use reqwest::Method;
use serde_json::{Value, json};

scenarios!(
    each_email_has_its_own_outcome_in_its_position,
    emails_that_travel_together_are_one_attempt,
    attachments_and_schedules_travel_alone,
    a_hundred_are_sent_and_none_or_more_are_refused,
    a_repeated_batch_replays_what_is_settled_and_sends_the_rest,
    a_changed_email_is_refused_in_its_position,
    an_unknown_set_is_told_in_its_positions_and_repeated_as_the_same_set,
    a_set_is_not_repeated_by_each_of_its_members,
    a_set_that_was_not_processed_is_sent_again,
    own_keys_hold_inside_of_a_batch_and_outside,
    the_longest_key_serves_a_batch,
);

fn email(to: &str) -> Value {
    json!({"to": to, "subject": "Hello", "text_body": "Hi"})
}

async fn send(client: &Client, emails: &[Value]) -> Reply {
    client
        .post("/v1/email/batch", json!({ "emails": emails }))
        .await
}

#[track_caller]
fn positions(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.text("object"), "batch");
    reply.json["data"].as_array().unwrap().clone()
}

/// The code of a problem, or the status of an e-mail.
fn outcome(position: &Value) -> &str {
    let code = position["code"].as_str();
    code.or_else(|| position["status"].as_str()).unwrap()
}

fn outcomes(positions: &[Value]) -> Vec<&str> {
    positions.iter().map(outcome).collect()
}

fn id(position: &Value) -> &str {
    position["id"].as_str().unwrap()
}

/// What Resend received, oldest first.
async fn posts(host: &Harness) -> Vec<Value> {
    let path = "/_sandbox/requests?provider=resend&method=POST&limit=1000";
    let requests = host.control(Method::GET, path, None).await;
    requests["data"].as_array().unwrap().clone()
}

async fn each_email_has_its_own_outcome_in_its_position(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let emails = [
        email("ada@example.com"),
        email("no address"),
        email("validation_error@refused.test"),
        email("bob@example.com"),
        json!({"to": "eve@example.com", "subject": "Hello", "text_body": "Hi", "colour": "red"}),
    ];
    let data = positions(&send(&acme, &emails).await);
    assert_eq!(
        outcomes(&data),
        [
            "queued",
            "validation_failed",
            "provider_rejected",
            "queued",
            "validation_failed"
        ],
        "{data:?}"
    );
    assert_eq!(data[0]["to"], json!(["ada@example.com"]));
    assert_eq!(data[3]["to"], json!(["bob@example.com"]));
    assert_eq!(data[1]["errors"][0]["pointer"], "/emails/1/to");
    assert_eq!(data[4]["errors"][0]["pointer"], "/emails/4/colour");
    let refused = acme
        .get(&format!("/v1/email/{}?refresh=false", id(&data[2])))
        .await;
    assert_eq!(refused.text("status"), "failed");
    for (to, effects) in [
        ("ada@example.com", 1),
        ("bob@example.com", 1),
        ("eve@example.com", 0),
        ("validation_error@refused.test", 0),
    ] {
        assert_eq!(host.effects(to).await, effects, "{to}");
    }
    assert_eq!(ground.open_ends().await, 0);
}

async fn emails_that_travel_together_are_one_attempt(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let emails: Vec<_> = (0..5)
        .map(|number| email(&format!("a{number}@example.com")))
        .collect();
    let data = positions(&send(&acme, &emails).await);
    assert_eq!(posts(&host).await.len(), 1);
    let mut shared = Vec::new();
    for (number, position) in data.iter().enumerate() {
        assert_eq!(position["to"], json!([format!("a{number}@example.com")]));
        let mut attempts = attempts(&host, id(position)).await;
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].outcome.as_deref(), Some("accepted"));
        shared.push(attempts.remove(0));
        let events = ground.events(id(position)).await;
        assert_eq!(events, [("email.queued".to_owned(), 2)]);
    }
    assert!(shared.iter().all(|attempt| *attempt == shared[0]));
}

async fn attachments_and_schedules_travel_alone(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let mut attached = email("attached@example.com");
    attached["attachments"] = json!([{"filename": "a.txt", "content": "SGk="}]);
    let mut scheduled = email("scheduled@example.com");
    scheduled["send_at"] = json!(host.clock.now() + TimeDelta::hours(1));
    let emails = [
        email("a@example.com"),
        attached,
        email("b@example.com"),
        scheduled,
    ];
    let data = positions(&send(&acme, &emails).await);
    assert_eq!(outcomes(&data), ["queued", "queued", "queued", "scheduled"]);
    let posts = posts(&host).await;
    let paths: Vec<_> = posts
        .iter()
        .map(|post| post["path"].as_str().unwrap().ends_with("/batch"))
        .collect();
    assert_eq!(paths.iter().filter(|is_batch| **is_batch).count(), 1);
    assert_eq!(paths.len(), 3);
    for to in ["a", "attached", "b", "scheduled"] {
        assert_eq!(host.effects(&format!("{to}@example.com")).await, 1);
    }
}

async fn a_hundred_are_sent_and_none_or_more_are_refused(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let emails: Vec<_> = (0..101)
        .map(|number| email(&format!("a{number}@example.com")))
        .collect();
    for refused in [&emails[..0], &emails[..]] {
        let reply = send(&acme, refused).await;
        assert_eq!((reply.status, reply.code()), (422, "validation_failed"));
        assert_eq!(reply.pointers(), ["/emails"]);
    }
    assert_eq!(ground.count("objects").await, 0);
    let data = positions(&send(&acme, &emails[..100]).await);
    assert_eq!(data.len(), 100);
    for (number, position) in data.iter().enumerate() {
        assert_eq!(outcome(position), "queued");
        assert_eq!(position["to"], json!([format!("a{number}@example.com")]));
    }
    assert_eq!(posts(&host).await.len(), 1);
    assert_eq!(host.effects("a99@example.com").await, 1);
}

async fn a_repeated_batch_replays_what_is_settled_and_sends_the_rest(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await.with("Idempotency-Key", "news");
    let mut alone = email("alone@example.com");
    alone["attachments"] = json!([{"filename": "a.txt", "content": "SGk="}]);
    let emails = [
        email("a@example.com"),
        alone,
        email("validation_error@refused.test"),
        email("b@example.com"),
    ];
    // The single one is told to wait; the set goes out.
    host.fault(json!({"fault": "error_before", "provider": "resend", "to": "alone@example.com", "status": 429, "code": "rate_limit_exceeded"}))
        .await;
    let first = positions(&send(&acme, &emails).await);
    assert_eq!(
        outcomes(&first),
        [
            "queued",
            "provider_rate_limited",
            "provider_rejected",
            "queued"
        ]
    );
    let again = positions(&send(&acme, &emails).await);
    assert_eq!(
        outcomes(&again),
        ["queued", "queued", "provider_rejected", "queued"]
    );
    for position in [0, 2, 3] {
        assert_eq!(again[position], first[position]);
    }
    assert_ne!(id(&again[1]), id(&first[1]));
    assert_eq!(positions(&send(&acme, &emails).await), again);
    for to in ["a", "alone", "b"] {
        assert_eq!(host.effects(&format!("{to}@example.com")).await, 1);
    }
}

async fn a_changed_email_is_refused_in_its_position(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await.with("Idempotency-Key", "news");
    let emails = [email("a@example.com"), email("b@example.com")];
    let first = positions(&send(&acme, &emails).await);
    let changed = [
        emails[0].clone(),
        email("c@example.com"),
        email("d@example.com"),
    ];
    let again = positions(&send(&acme, &changed).await);
    assert_eq!(again[0], first[0]);
    assert_eq!(
        outcomes(&again),
        ["queued", "idempotency_key_reused", "queued"]
    );
    for (to, effects) in [("a", 1), ("b", 1), ("c", 0), ("d", 1)] {
        assert_eq!(host.effects(&format!("{to}@example.com")).await, effects);
    }
    // The key of a batch is not that of an e-mail.
    let single = acme.post("/v1/email", emails[0].clone()).await;
    assert_eq!(single.status, 201, "{single:?}");
}

async fn an_unknown_set_is_told_in_its_positions_and_repeated_as_the_same_set(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await.with("Idempotency-Key", "news");
    let emails = [
        email("a@example.com"),
        email("b@example.com"),
        email("no address"),
    ];
    for fault in ["reset_after", "reset_before"] {
        let acme = acme.with("Idempotency-Key", fault);
        host.fault(json!({"fault": fault, "provider": "resend", "method": "POST"}))
            .await;
        let before = posts(&host).await.len();
        let lost = positions(&send(&acme, &emails).await);
        let expected = ["outcome_unknown", "outcome_unknown", "validation_failed"];
        assert_eq!(outcomes(&lost), expected, "{fault}");
        assert_eq!(lost[0]["status"], 504);
        // One more does not wake the others.
        let more = [&emails[..], &[email(&format!("{fault}@example.com"))]].concat();
        let again = positions(&send(&acme, &more).await);
        assert_eq!(outcomes(&again[..3]), expected, "{fault}");
        assert_eq!(outcome(&again[3]), "queued");
        assert_eq!(id(&again[0]), id(&lost[0]));

        advance(&host, TimeDelta::seconds(3));
        host.sweep().await;
        let settled = positions(&send(&acme, &emails).await);
        assert_eq!(outcomes(&settled)[2], "validation_failed");
        for position in 0..2 {
            assert_eq!(id(&settled[position]), id(&lost[position]));
            assert_eq!(settled[position]["object"], "email", "{fault}");
            let single = acme
                .get(&format!("/v1/email/{}", id(&settled[position])))
                .await;
            assert_ne!(single.text("status"), "unknown");
        }
        let posts = posts(&host).await;
        let sets: Vec<_> = posts[before..]
            .iter()
            .filter(|post| post["path"].as_str().unwrap().ends_with("/batch"))
            .collect();
        assert_eq!(sets.len(), 2, "{fault}");
        assert_eq!(sets[0]["body"], sets[1]["body"]);
        assert_eq!(
            sets[0]["headers"]["idempotency-key"],
            sets[1]["headers"]["idempotency-key"]
        );
        assert_eq!(host.sweep().await, 0);
    }
    // Two batches, each e-mail once in each.
    for to in ["a@example.com", "b@example.com"] {
        assert_eq!(host.effects(to).await, 2);
    }
    assert_eq!(ground.open_ends().await, 0);
}

async fn a_set_is_not_repeated_by_each_of_its_members(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let emails: Vec<_> = (0..20)
        .map(|number| email(&format!("a{number}@example.com")))
        .collect();
    host.fault(json!({"fault": "error_before", "status": 500, "provider": "resend", "method": "POST", "times": 3}))
        .await;
    let lost = positions(&send(&acme, &emails).await);
    assert!(
        lost.iter()
            .all(|position| outcome(position) == "outcome_unknown")
    );
    advance(&host, TimeDelta::seconds(3));
    let started = Instant::now();
    assert_eq!(host.sweep().await, 20);
    for position in &lost {
        // Nor by readers.
        acme.get(&format!("/v1/email/{}", id(position))).await;
    }
    // The first time, and once more every two seconds at most.
    let allowed = 2 + usize::try_from(started.elapsed().as_secs() / 2).unwrap();
    assert!(posts(&host).await.len() <= allowed);
    for _ in 0..4 {
        advance(&host, TimeDelta::seconds(10));
        host.sweep().await;
    }
    assert_eq!(posts(&host).await.len(), 4);
    assert_eq!(ground.open_ends().await, 0);
    assert_eq!(host.effects("a19@example.com").await, 1);
}

async fn a_set_that_was_not_processed_is_sent_again(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await.with("Idempotency-Key", "news");
    let emails = [email("a@example.com"), email("b@example.com")];
    host.fault(json!({"fault": "error_before", "provider": "resend", "status": 429, "code": "rate_limit_exceeded"}))
        .await;
    let first = positions(&send(&acme, &emails).await);
    assert_eq!(
        outcomes(&first),
        ["provider_rate_limited", "provider_rate_limited"]
    );
    let again = positions(&send(&acme, &emails).await);
    assert_eq!(outcomes(&again), ["queued", "queued"]);
    for (first, again) in first.iter().zip(&again) {
        assert_ne!(id(first), id(again));
        let failed = acme
            .get(&format!("/v1/email/{}?refresh=false", id(first)))
            .await;
        assert_eq!(failed.text("status"), "failed");
        assert_eq!(failed.json["failure"]["retryable"], true);
    }
    assert_eq!(host.effects("a@example.com").await, 1);
    assert_eq!(host.effects("b@example.com").await, 1);
}

async fn own_keys_hold_inside_of_a_batch_and_outside(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let keyed = |to: &str, key: &str| {
        let mut email = email(to);
        email["idempotency_key"] = json!(key);
        email
    };
    let emails = [
        keyed("a@example.com", "a"),
        keyed("a@example.com", "a"),
        keyed("b@example.com", "a"),
        keyed("b@example.com", "b"),
    ];
    let first = positions(&send(&acme, &emails).await);
    assert_eq!(
        outcomes(&first),
        [
            "queued",
            "idempotency_in_progress",
            "idempotency_key_reused",
            "queued"
        ]
    );
    let again = positions(&send(&acme, &emails).await);
    assert_eq!(
        outcomes(&again),
        ["queued", "queued", "idempotency_key_reused", "queued"]
    );
    assert_eq!(again[0], first[0]);
    assert_eq!(again[1], first[0]);
    let single = acme.post("/v1/email", keyed("a@example.com", "a")).await;
    assert_eq!(single.header("idempotent-replayed"), Some("true"));
    assert_eq!(single.json, first[0]);
    assert_eq!(host.effects("a@example.com").await, 1);
    assert_eq!(host.effects("b@example.com").await, 1);
}

async fn the_longest_key_serves_a_batch(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let emails = [email("a@example.com"), email("b@example.com")];
    for length in [252, 253, 254, 255] {
        let acme = acme.with("Idempotency-Key", &"k".repeat(length));
        let first = positions(&send(&acme, &emails).await);
        assert_eq!(outcomes(&first), ["queued", "queued"]);
        assert_eq!(positions(&send(&acme, &emails).await), first);
    }
    assert_eq!(host.effects("a@example.com").await, 4);
}
