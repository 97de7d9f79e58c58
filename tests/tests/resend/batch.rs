//! Batches: what travels together, and what becomes of each e-mail.

use std::time::Duration;

use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::table::Table;
use serde_json::{Value, json};

use crate::{body, creates, email};

async fn send(acme: &Client, emails: &[Value]) -> Reply {
    let reply = acme
        .post("/v1/email/batch", json!({"emails": emails}))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json["object"], "batch");
    assert_eq!(reply.json["data"].as_array().unwrap().len(), emails.len());
    reply
}

fn with(mut email: Value, field: &str, value: Value) -> Value {
    email[field] = value;
    email
}

/// A good one, one that Resend refuses, one with a file, one with a time, one that we refuse, a good
/// one.
fn mixed() -> Vec<Value> {
    let send_at = chrono::Utc::now() + Duration::from_secs(3_600);
    vec![
        email("a@example.org"),
        email("validation_error@refused.test"),
        with(
            email("c@example.org"),
            "attachments",
            json!([{"filename": "a.txt", "content": "SGVsbG8="}]),
        ),
        with(email("d@example.org"), "send_at", json!(send_at)),
        with(email("e@example.org"), "subject", json!("")),
        email("f@example.org"),
    ]
}

#[tokio::test]
async fn each_email_of_a_batch_has_its_own_outcome_in_its_place() {
    let host = Harness::start().await;
    let acme = host.key("test").await.with("Idempotency-Key", "batch");
    let emails = mixed();
    let sent = send(&acme, &emails).await;
    let data = sent.json["data"].as_array().unwrap();
    let mut table = Table::default();
    for (position, status, to) in [
        (0, "queued", "a@example.org"),
        (2, "queued", "c@example.org"),
        (3, "scheduled", "d@example.org"),
        (5, "queued", "f@example.org"),
    ] {
        let mut row = table.row(position);
        let expected = json!({"object": "email", "status": status, "to": [to], "failure": null});
        row.has("email", &data[position], &expected);
        row.equal("effects", &host.effects(to).await, &1);
    }
    let mut row = table.row("refused by Resend");
    row.has(
        "problem",
        &data[1],
        &json!({"status": 422, "code": "provider_rejected", "retryable": false}),
    );
    let provider = json!({"name": "resend", "code": null, "http_status": null});
    row.has("provider", &data[1]["provider"], &provider);
    row.holds("words", data[1]["provider"]["message"].is_string());
    let stored = acme
        .get(&format!("/v1/email/{}", data[1]["id"].as_str().unwrap()))
        .await;
    row.equal("object's status", &stored.json["status"], "failed");
    row.equal(
        "object's failure",
        &stored.json["failure"]["code"],
        "invalid_content",
    );
    row.equal(
        "effects",
        &host.effects("validation_error@refused.test").await,
        &0,
    );
    let mut row = table.row("refused here");
    row.has(
        "problem",
        &data[4],
        &json!({"status": 422, "code": "validation_failed"}),
    );
    row.equal(
        "pointer",
        &data[4]["errors"][0]["pointer"],
        "/emails/4/subject",
    );
    row.equal("effects", &host.effects("e@example.org").await, &0);
    table.end(6);

    // What may travel together goes in one call; files and times would be lost on the way.
    let mut creates = creates(&host).await;
    creates.sort_by_key(|create| create["path"].as_str().map(str::to_owned));
    let paths: Vec<_> = creates.iter().map(|create| &create["path"]).collect();
    assert_eq!(paths, ["/emails", "/emails", "/emails/batch"]);
    let set = &creates[2];
    let recipients: Vec<Value> = body(set)
        .as_array()
        .unwrap()
        .iter()
        .map(|email| email["to"][0].clone())
        .collect();
    assert_eq!(
        recipients,
        [
            "a@example.org",
            "validation_error@refused.test",
            "f@example.org"
        ]
    );
    assert_eq!(set["headers"]["x-batch-validation"], "permissive");
    let key = set["headers"]["idempotency-key"].as_str().unwrap();
    assert!(
        key.starts_with("att_") && key.ends_with("-send_batch-1"),
        "{key}"
    );
    let mut single: Vec<_> = creates[..2]
        .iter()
        .map(|create| create["headers"]["idempotency-key"].clone())
        .collect();
    let mut own = [2, 3].map(|at| json!(format!("{}-send-1", data[at]["id"].as_str().unwrap())));
    single.sort_by_key(ToString::to_string);
    own.sort_by_key(ToString::to_string);
    assert_eq!(single, own);

    // The same again: each settled position is replayed, and nothing goes out.
    let again = send(&acme, &emails).await;
    for position in [0, 1, 2, 3, 5] {
        assert_eq!(
            again.json["data"][position], data[position],
            "position {position}"
        );
    }
    assert_eq!(again.json["data"][4]["code"], "validation_failed");
    assert_eq!(
        host.provider_requests("provider=resend&method=POST")
            .await
            .len(),
        3
    );
}

#[tokio::test]
async fn one_email_that_may_travel_goes_alone() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sent = send(&acme, &[email("a@example.org")]).await;
    assert_eq!(sent.json["data"][0]["status"], "queued");
    let creates = creates(&host).await;
    assert_eq!(creates.len(), 1);
    assert_eq!(creates[0]["path"], "/emails");
}

#[tokio::test]
async fn a_hundred_emails_go_in_one_call_in_their_order() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let emails: Vec<_> = (0..100)
        .map(|number| email(&format!("{number}@example.org")))
        .collect();
    let sent = send(&acme, &emails).await;
    let creates = creates(&host).await;
    assert_eq!(creates.len(), 1);
    let ids: Vec<_> = sent.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|email| email["provider_message_id"].clone())
        .collect();
    let mut table = Table::default();
    for (number, id) in ids.iter().enumerate() {
        let mut row = table.row(number);
        let to = format!("{number}%40example.org");
        let ledger = host
            .control(
                reqwest::Method::GET,
                &format!("/_sandbox/ledger?to={to}"),
                None,
            )
            .await;
        row.equal("effects", &ledger["count"], &1);
        row.equal("id", &ledger["data"][0]["id"], id);
    }
    table.end(100);
}

/// Name, HTTP status and code of each position, whether the key is free again.
#[rustfmt::skip]
const WHOLE: [(&str, u64, &str, bool); 7] = [
    ("rate_limit_exceeded", 429, "provider_rate_limited", true),
    ("daily_quota_exceeded", 429, "provider_rate_limited", true),
    ("invalid_api_key", 422, "provider_auth_failed", true),
    ("validation_error", 422, "provider_rejected", false),
    ("security_error", 422, "provider_rejected", false),
    ("concurrent_idempotent_requests", 504, "outcome_unknown", false),
    ("application_error", 504, "outcome_unknown", false),
];

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_is_refused_in_each_place() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (name, status, code, is_free) in WHOLE {
        let mut row = table.row(name);
        let acme = acme.with("Idempotency-Key", name);
        let emails = [
            email(&format!("a@{name}.example")),
            email(&format!("b@{name}.example")),
        ];
        host.fault(json!({"fault": "error_before", "code": name}))
            .await;
        let refused = send(&acme, &emails).await;
        for problem in refused.json["data"].as_array().unwrap() {
            row.has("problem", problem, &json!({"status": status, "code": code}));
            row.holds("it has an object", problem["id"].is_string());
            if status != 504 {
                row.equal("provider's code", &problem["provider"]["code"], name);
            }
        }
        let again = send(&acme, &emails).await;
        for (position, entry) in again.json["data"].as_array().unwrap().iter().enumerate() {
            let first = &refused.json["data"][position];
            if is_free {
                row.equal("again", &entry["status"], "queued");
            } else {
                row.equal("again", &entry["code"], code);
                row.equal("the same object", &entry["id"], &first["id"]);
            }
        }
        let effects = host.effects(&format!("a@{name}.example")).await;
        row.equal("effects", &effects, &u64::from(is_free));
    }
    table.end(7);
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_repeated_as_the_same_set_under_the_same_key() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (index, fault, effects_before) in [
        (0, json!({"fault": "reset_after"}), 1),
        (1, json!({"fault": "truncated_body"}), 1),
        (2, json!({"fault": "malformed_json"}), 1),
        (3, json!({"fault": "wrong_content_type"}), 1),
        (4, json!({"fault": "huge_body"}), 1),
        (5, json!({"fault": "error_after", "status": 500}), 1),
        (6, json!({"fault": "reset_before"}), 0),
        (7, json!({"fault": "error_before", "status": 500}), 0),
    ] {
        let mut row = table.row(&fault);
        let acme = acme.with("Idempotency-Key", &format!("batch-{index}"));
        let to = |name: &str| format!("{name}{index}@example.org");
        let emails = [
            email(&to("a")),
            email("validation_error@refused.test"),
            email(&to("b")),
        ];
        host.fault(fault).await;
        let lost = send(&acme, &emails).await;
        for problem in lost.json["data"].as_array().unwrap() {
            row.equal("code", &problem["code"], "outcome_unknown");
        }
        row.equal(
            "effects before",
            &host.effects(&to("a")).await,
            &effects_before,
        );
        host.pass(Duration::from_secs(3));
        host.sweep().await;
        let settled = send(&acme, &emails).await;
        for (position, name) in [(0, "a"), (2, "b")] {
            let entry = &settled.json["data"][position];
            row.equal(
                "the same object",
                &entry["id"],
                &lost.json["data"][position]["id"],
            );
            row.equal("status", &entry["status"], "queued");
            row.equal("effects", &host.effects(&to(name)).await, &1);
        }
        let sets = host.provider_requests("path_contains=/batch").await;
        let ours: Vec<_> = sets
            .iter()
            .filter(|set| set["body"].as_str().unwrap().contains(&to("a")))
            .collect();
        row.equal("calls", &ours.len(), &2);
        row.equal("same body", &ours[1]["body"], &ours[0]["body"]);
        let key = |set: &Value| set["headers"]["idempotency-key"].clone();
        row.equal("same key", &key(ours[1]), &key(ours[0]));
    }
    table.end(8);
}

/// The repeat was taken, and says of this one that it is refused: that is the first one's end too.
#[tokio::test]
async fn an_email_that_the_repeated_batch_refuses_is_settled_as_failed() {
    let host = Harness::start().await;
    let acme = host.key("test").await.with("Idempotency-Key", "batch");
    let emails = [
        email("a@example.org"),
        email("validation_error@refused.test"),
    ];
    host.fault(json!({"fault": "reset_after"})).await;
    let lost = send(&acme, &emails).await;
    let id = lost.json["data"][1]["id"].as_str().unwrap();
    host.pass(Duration::from_secs(3));
    host.sweep().await;
    let settled = acme.get(&format!("/v1/email/{id}?refresh=false")).await;
    assert_eq!(settled.text("status"), "failed");
    assert_eq!(settled.json["failure"]["code"], "invalid_content");
    let again = send(&acme, &emails).await;
    assert_eq!(again.json["data"][1]["id"], id);
    assert_eq!(again.json["data"][1]["status"], "failed");
    assert_eq!(host.effects("a@example.org").await, 1);
}
