//! Answers that Resend could give and the sandbox does not.

use std::time::Duration;

use onerouter_tests::edge::Edge;
use onerouter_tests::harness::{Client, Harness, Setup};
use onerouter_tests::table::Table;
use serde_json::{Value, json};

use crate::email;

const ID: &str = "4ef9a417-02e9-4d39-ad75-9611e0fcc33c";

async fn before(edge: &Edge) -> (Harness, Client) {
    let host = Harness::with(Setup {
        upstreams: vec![edge.upstream("api.resend.com")],
        ..Setup::default()
    })
    .await;
    let acme = host.key("test").await;
    (host, acme)
}

#[tokio::test]
async fn the_edge_that_blocks_a_request_is_not_a_wrong_key() {
    let edge = Edge::start().await;
    let (_host, acme) = before(&edge).await;
    edge.says_text(403, Vec::new(), "error code: 1010");
    let refused = acme.post("/v1/email", email("ada@example.com")).await;
    assert_eq!((refused.status, refused.code()), (422, "provider_rejected"));
    assert_eq!(refused.json["provider"]["http_status"], 403);
    assert_eq!(refused.json["provider"]["code"], Value::Null);
    let path = format!("/v1/email/{}?refresh=false", refused.text("id"));
    assert_eq!(
        acme.get(&path).await.json["failure"]["code"],
        "security_blocked"
    );
}

#[tokio::test]
async fn a_waiting_time_that_resend_asks_for_is_passed_on() {
    let edge = Edge::start().await;
    let (_host, acme) = before(&edge).await;
    let mut table = Table::default();
    for (name, theirs, ours) in [
        ("rate_limit_exceeded", Some("7"), "7"),
        ("daily_quota_exceeded", Some("3600"), "3600"),
        ("monthly_quota_exceeded", Some("999999"), "86400"),
        ("rate_limit_exceeded", None, "1"),
    ] {
        let mut row = table.row(format!("{name} {theirs:?}"));
        let headers = theirs.map(|theirs| ("retry-after", theirs.to_owned()));
        let body = json!({"statusCode": 429, "name": name, "message": "Wait"}).to_string();
        edge.says_text(429, headers.into_iter().collect(), &body);
        let limited = acme.post("/v1/email", email("ada@example.com")).await;
        row.equal("code", &limited.json["code"], "provider_rate_limited");
        row.equal("Retry-After", &limited.header("retry-after"), &Some(ours));
        row.equal("tries", &edge.given(), &1);
    }
    table.end(4);
}

/// Whatever the answer is: where it is not understood, the e-mail may exist.
#[tokio::test]
async fn an_answer_to_a_send_without_an_id_in_it_is_unknown() {
    let edge = Edge::start().await;
    let (_host, acme) = before(&edge).await;
    let mut table = Table::default();
    for (status, body) in [
        (200, ""),
        (200, "{}"),
        (200, r#"{"id":""}"#),
        (200, r#"{"id":null}"#),
        (200, r#"[{"id":"1"}]"#),
        (200, "<html>"),
        (202, "null"),
        (204, ""),
        (302, ""),
        (308, ""),
    ] {
        let mut row = table.row(format!("{status} {body}"));
        let elsewhere = vec![("location", "https://api.resend.com/elsewhere".to_owned())];
        edge.says_text(status, elsewhere, body);
        let lost = acme.post("/v1/email", email("ada@example.com")).await;
        row.equal("status", &lost.status, &504);
        row.equal("code", &lost.json["code"], "outcome_unknown");
        row.equal("tries", &edge.given(), &1);
    }
    table.end(10);
}

#[tokio::test]
async fn a_batch_answer_that_does_not_account_for_each_email_is_unknown_for_all() {
    let edge = Edge::start().await;
    let (_host, acme) = before(&edge).await;
    let emails = json!({"emails": [email("a@example.com"), email("b@example.com")]});
    let mut table = Table::default();
    for body in [
        json!({}),
        json!({"data": []}),
        json!({"data": [{"id": "1"}]}),
        json!({"data": [{"id": "1"}, {"id": "2"}, {"id": "3"}]}),
        json!({"data": [{"id": "1"}, {}]}),
        json!({"data": [{"id": "1"}, null]}),
        json!({"data": [{"id": "1"}], "errors": "odd"}),
        json!({"data": [{"id": "1"}], "errors": [{"index": 7, "message": "whose?"}]}),
        json!({"data": [], "errors": [{"index": 0, "message": "a"}, {"index": 0, "message": "a"}]}),
    ] {
        let mut row = table.row(&body);
        edge.says(200, &body);
        let lost = acme.post("/v1/email/batch", emails.clone()).await;
        for problem in lost.json["data"].as_array().unwrap() {
            row.equal("code", &problem["code"], "outcome_unknown");
        }
        row.equal("tries", &edge.given(), &1);
    }
    table.end(9);
}

#[tokio::test]
async fn refused_ones_of_a_batch_leave_gaps_in_the_ids() {
    let edge = Edge::start().await;
    let (_host, acme) = before(&edge).await;
    edge.says(
        200,
        &json!({
            "data": [{"id": "1"}, {"id": "2"}],
            "errors": [{"index": 2, "message": "no c"}, {"index": 0, "message": "no a"}],
        }),
    );
    let emails = ["a", "b", "c", "d"].map(|name| email(&format!("{name}@example.com")));
    let sent = acme
        .post("/v1/email/batch", json!({"emails": emails}))
        .await;
    let found: Vec<_> = sent.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| match entry["provider_message_id"].as_str() {
            Some(id) => format!("{} {id}", entry["to"][0].as_str().unwrap()),
            None => entry["provider"]["message"].as_str().unwrap().to_owned(),
        })
        .collect();
    assert_eq!(
        found,
        ["no a", "b@example.com 1", "no c", "d@example.com 2"]
    );
}

#[tokio::test]
async fn a_read_without_an_event_is_queued_and_with_an_unknown_one_no_answer() {
    let edge = Edge::start().await;
    let (host, acme) = before(&edge).await;
    edge.says(200, &json!({"id": ID}));
    let sent = acme.post("/v1/email", email("ada@example.com")).await;
    let path = format!("/v1/email/{}", sent.text("id"));
    let mut table = Table::default();
    for (last_event, expected) in [
        (json!(null), "queued"),
        (json!("sent"), "sent"),
        (json!("teleported"), "sent"),
        (json!("queued"), "sent"),
        (json!("delivered"), "delivered"),
    ] {
        let mut row = table.row(&last_event);
        host.pass(Duration::from_secs(3));
        edge.says(
            200,
            &json!({"id": ID, "object": "email", "last_event": last_event}),
        );
        row.equal("status", &acme.get(&path).await.json["status"], expected);
        row.equal("reads", &edge.given(), &1);
    }
    table.end(5);
}
