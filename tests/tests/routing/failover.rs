//! What one connection has provably not sent goes over the next one; anything else never does.

use chrono::TimeDelta;
use onerouter_sandbox::resend;
use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, Provider, advance, attempts};
use serde_json::{Value, json};

use crate::{connection, message, put, saboteur_first};

const EMAIL: &str = "/api/services/email/routing?environment=test";

scenarios!(
    what_the_first_has_not_sent_goes_over_the_second,
    what_is_unknown_or_declined_never_goes_over_another,
    what_is_lost_on_the_second_is_settled_there,
    what_nobody_has_sent_failed_and_may_be_sent_again,
    a_sender_from_a_setting_is_that_of_the_connection_that_sends,
    a_set_goes_over_the_next_connection_as_a_set,
    members_of_a_set_part_where_their_ways_part,
);

async fn what_the_first_has_not_sent_goes_over_the_second(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let order = saboteur_first(&host.operator()).await;
    for trick in ["trap-before", "loop", "undeclared-host"] {
        let once = acme.with("Idempotency-Key", trick);
        let sent = once.post("/v1/sms", message(trick)).await;
        assert_eq!(sent.status, 201, "{trick}: {sent:?}");
        assert_eq!(sent.text("provider"), "twilio");
        let id = sent.text("id");
        let attempts = attempts(&host, id).await;
        let over: Vec<_> = attempts
            .iter()
            .map(|one| {
                (
                    one.connection_id.unwrap().to_string(),
                    one.outcome.clone().unwrap(),
                )
            })
            .collect();
        let [first, second] = &order;
        assert_eq!(
            over,
            [
                (first.clone(), "not_sent".to_owned()),
                (second.clone(), "accepted".to_owned())
            ],
            "{trick}"
        );
        assert_eq!(ground.events(id).await, [("sms.queued".to_owned(), 3)]);
        let replayed = once.post("/v1/sms", message(trick)).await;
        assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
        assert_eq!(replayed.bytes, sent.bytes);
        let read = acme.get(&format!("/v1/sms/{id}")).await;
        assert_eq!((read.status, read.text("provider")), (200, "twilio"));
    }
    assert_eq!(provider.posted().len(), 0);
    assert_eq!(host.effects("+14155550123").await, 3);
    assert_eq!(ground.open_ends().await, 0);
}

async fn what_is_unknown_or_declined_never_goes_over_another(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    saboteur_first(&host.operator()).await;
    let lost = acme.post("/v1/sms", message("trap-after")).await;
    assert_eq!((lost.status, lost.code()), (504, "outcome_unknown"));
    provider.answer_next(422, r#"{"error": "no"}"#);
    let declined = acme.post("/v1/sms", message("Hi")).await;
    assert_eq!(
        (declined.status, declined.code()),
        (422, "provider_rejected"),
        "{declined:?}"
    );
    for reply in [lost, declined] {
        assert_eq!(attempts(&host, reply.text("id")).await.len(), 1);
    }
    assert_eq!(host.effects("+14155550123").await, 0);
}

async fn what_is_lost_on_the_second_is_settled_there(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let [_, twilio] = saboteur_first(&host.operator()).await;
    host.fault(json!({"fault": "reset_after", "provider": "twilio", "method": "POST"}))
        .await;
    let lost = acme.post("/v1/sms", message("trap-before")).await;
    assert_eq!(
        (lost.status, lost.code()),
        (504, "outcome_unknown"),
        "{lost:?}"
    );
    let id = lost.text("id");
    let over = attempts(&host, id).await;
    assert_eq!(over.len(), 2);
    assert_eq!(over[1].connection_id.unwrap().to_string(), twilio);
    advance(&host, TimeDelta::seconds(3));
    assert_eq!(host.sweep().await, 1);
    let read = acme.get(&format!("/v1/sms/{id}?refresh=false")).await;
    assert_ne!(read.text("status"), "unknown", "{read:?}");
    assert_eq!(read.text("provider"), "twilio");
    assert_eq!(host.effects("+14155550123").await, 1);
    assert_eq!(provider.finds(), 0, "the first connection is not asked");
}

async fn what_nobody_has_sent_failed_and_may_be_sent_again(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    saboteur_first(&host.operator()).await;
    let limited = json!({"fault": "error_before", "provider": "twilio", "method": "POST", "status": 429, "code": 20429});
    host.fault(limited).await;
    let once = acme.with("Idempotency-Key", "again");
    let refused = once.post("/v1/sms", message("trap-before")).await;
    assert_eq!(
        (refused.status, refused.code()),
        (429, "provider_rate_limited"),
        "{refused:?}"
    );
    assert_eq!(refused.json["provider"]["name"], "twilio");
    let id = refused.text("id");
    assert_eq!(attempts(&host, id).await.len(), 2);
    let failed = acme.get(&format!("/v1/sms/{id}?refresh=false")).await;
    assert_eq!(failed.text("status"), "failed");
    let sent = once.post("/v1/sms", message("trap-before")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_ne!(sent.text("id"), id);
    assert_eq!(host.effects("+14155550123").await, 1);
}

/// Connects Resend a second time, with another sender, and tries the first one first.
async fn two_senders(host: &Harness) -> [String; 2] {
    let operator = host.operator();
    let connected = operator
        .post(
            "/api/services/email/resend/connect",
            json!({
                "environment": "test", "label": "second",
                "credentials": {"api_key": resend::FULL_ACCESS_KEY},
                "settings": {"from_email": "Second <second@example.com>"},
            }),
        )
        .await;
    assert_eq!(connected.status, 201, "{connected:?}");
    let order = [
        connection(&operator, "resend", "default").await,
        connection(&operator, "resend", "second").await,
    ];
    let policy = json!({"order": [{"connection_id": order[0]}, {"connection_id": order[1]}]});
    assert_eq!(put(&operator, EMAIL, policy).await.status, 200);
    order
}

async fn limit_once(host: &Harness) {
    host.fault(json!({"fault": "error_before", "provider": "resend", "method": "POST", "status": 429, "code": "rate_limit_exceeded"}))
        .await;
}

fn email(to: &str) -> Value {
    json!({"to": to, "subject": "Hello", "text_body": "Hi"})
}

/// The senders that the provider was given, oldest first: of one e-mail, or of a set.
async fn senders(host: &Harness) -> Vec<Vec<String>> {
    let posts = host
        .provider_requests("provider=resend&method=POST&limit=1000")
        .await;
    let from = |email: &Value| email["from"].as_str().unwrap().to_owned();
    posts
        .iter()
        .map(|post| {
            let body: Value = serde_json::from_str(post["body"].as_str().unwrap()).unwrap();
            match body.as_array() {
                Some(set) => set.iter().map(from).collect(),
                None => vec![from(&body)],
            }
        })
        .collect()
}

async fn a_sender_from_a_setting_is_that_of_the_connection_that_sends(ground: Ground) {
    let host = ground.host().await;
    two_senders(&host).await;
    let acme = host.key("test").await;
    limit_once(&host).await;
    let sent = acme.post("/v1/email", email("ada@example.com")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(sent.text("from_email"), "Second <second@example.com>");
    let expected = [[resend::FROM_EMAIL], ["Second <second@example.com>"]];
    assert_eq!(senders(&host).await, expected);

    // A sender of the message's own stays.
    limit_once(&host).await;
    let mut own = email("bob@example.com");
    own["from_email"] = json!("Own <own@example.com>");
    let sent = acme.post("/v1/email", own).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(
        senders(&host).await[2..],
        [["Own <own@example.com>"], ["Own <own@example.com>"]]
    );
}

async fn batch(client: &Client, emails: &[Value]) -> Vec<Value> {
    let sent = client
        .post("/v1/email/batch", json!({ "emails": emails }))
        .await;
    assert_eq!(sent.status, 200, "{sent:?}");
    sent.json["data"].as_array().unwrap().clone()
}

async fn a_set_goes_over_the_next_connection_as_a_set(ground: Ground) {
    let host = ground.host().await;
    let [_, second] = two_senders(&host).await;
    let acme = host.key("test").await;
    limit_once(&host).await;
    let emails = ["ada@example.com", "bob@example.com", "eve@example.com"].map(email);
    let sent = batch(&acme, &emails).await;
    for (sent, email) in sent.iter().zip(&emails) {
        assert_eq!(sent["status"], "queued", "{sent}");
        assert_eq!(sent["to"], json!([email["to"]]));
        assert_eq!(sent["from_email"], "Second <second@example.com>");
        let attempts = attempts(&host, sent["id"].as_str().unwrap()).await;
        let over: Vec<_> = attempts.iter().map(|one| one.operation.as_str()).collect();
        assert_eq!(over, ["send_batch", "send_batch"]);
        assert_eq!(attempts[0].outcome.as_deref(), Some("not_sent"));
        assert_eq!(attempts[1].connection_id.unwrap().to_string(), second);
    }
    let senders = senders(&host).await;
    assert_eq!(
        senders,
        [
            vec![resend::FROM_EMAIL; 3],
            vec!["Second <second@example.com>"; 3]
        ]
    );
    assert_eq!(ground.open_ends().await, 0);
}

async fn members_of_a_set_part_where_their_ways_part(ground: Ground) {
    let host = ground.host().await;
    let order = two_senders(&host).await;
    let acme = host.key("test").await;
    // What is marked goes over the first connection and no other.
    let policy = json!({
        "order": [{"connection_id": order[0]}, {"connection_id": order[1]}],
        "rules": [{
            "name": "first only", "when": {"metadata": {"only": "first"}},
            "order": [{"connection_id": order[0]}],
        }],
    });
    assert_eq!(put(&host.operator(), EMAIL, policy).await.status, 200);
    limit_once(&host).await;
    let mut marked = email("bob@example.com");
    marked["metadata"] = json!({"only": "first"});
    let emails = [email("ada@example.com"), marked, email("eve@example.com")];
    let sent = batch(&acme, &emails).await;
    let outcomes: Vec<_> = sent
        .iter()
        .map(|one| one["code"].as_str().or(one["status"].as_str()).unwrap())
        .collect();
    assert_eq!(outcomes, ["queued", "provider_rate_limited", "queued"]);
    for (to, count) in [("ada", 1), ("bob", 0), ("eve", 1)] {
        assert_eq!(
            host.effects(&format!("{to}@example.com")).await,
            count,
            "{to}"
        );
    }
    assert_eq!(ground.open_ends().await, 0);
}
