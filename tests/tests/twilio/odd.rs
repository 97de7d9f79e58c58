//! Answers that Twilio could give and the sandbox does not.

use std::time::Duration;

use chrono::Utc;
use onerouter_tests::edge::Edge;
use onerouter_tests::harness::{Client, Harness, Reply, Setup};
use onerouter_tests::table::Table;
use serde_json::{Value, json};

const TO: &str = "+14155550123";

async fn before(edge: &Edge) -> (Harness, Client) {
    let host = Harness::with(Setup {
        upstreams: vec![edge.upstream("api.twilio.com")],
        ..Setup::default()
    })
    .await;
    let acme = host.key("test").await;
    (host, acme)
}

async fn send(acme: &Client) -> Reply {
    acme.post("/v1/sms", json!({"to": TO, "body": "Hello"}))
        .await
}

fn message(change: Value) -> Value {
    let mut message = json!({
        "sid": "SM00000000000000000000000000000001", "status": "queued", "to": TO,
        "from": "+12025550142", "body": "Hello", "num_segments": "1", "num_media": "0",
        "price": null, "price_unit": "USD", "error_code": null, "error_message": null,
    });
    for (name, value) in change.as_object().unwrap() {
        message[name] = value.clone();
    }
    message
}

#[tokio::test]
async fn a_waiting_time_that_twilio_asks_for_is_passed_on() {
    let edge = Edge::start().await;
    let (_host, acme) = before(&edge).await;
    let mut table = Table::default();
    let date = Utc::now() + Duration::from_secs(3_600);
    for (theirs, ours) in [
        ("7".to_owned(), 7..=7),
        ("0".to_owned(), 1..=1),
        ("999999".to_owned(), 86_400..=86_400),
        ("soon".to_owned(), 1..=1),
        (
            date.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            3_500..=3_600,
        ),
    ] {
        let mut row = table.row(&theirs);
        let body = json!({"code": 20429, "message": "Too many", "status": 429}).to_string();
        edge.says_text(429, vec![("retry-after", theirs)], &body);
        let limited = send(&acme).await;
        row.equal("code", &limited.json["code"], "provider_rate_limited");
        let found = limited.header("retry-after").unwrap_or_default().parse();
        row.holds(
            "Retry-After",
            found.is_ok_and(|found: u64| ours.contains(&found)),
        );
        row.equal("tries", &edge.given(), &1);
    }
    table.end(5);
}

/// Whatever the answer is: where it is not understood, the message may exist.
#[tokio::test]
async fn an_answer_to_a_create_without_a_message_in_it_is_unknown() {
    let edge = Edge::start().await;
    let (host, acme) = before(&edge).await;
    let mut table = Table::default();
    for (status, body) in [
        (200, "".to_owned()),
        (201, "{}".to_owned()),
        (201, "[]".to_owned()),
        (201, "null".to_owned()),
        (201, "<html>".to_owned()),
        (201, message(json!({"sid": ""})).to_string()),
        (201, message(json!({"sid": null})).to_string()),
        (202, json!({"status": "queued"}).to_string()),
        (204, "".to_owned()),
        (301, "".to_owned()),
        (307, "".to_owned()),
        (599, "".to_owned()),
    ] {
        let mut row = table.row(format!("{status} {body}"));
        let elsewhere = vec![("location", "https://api.twilio.com/elsewhere".to_owned())];
        edge.says_text(status, elsewhere, &body);
        // So many lost answers at once would have the provider left alone.
        host.pass(Duration::from_secs(31));
        let lost = send(&acme).await;
        row.equal("status", &lost.status, &504);
        row.equal("code", &lost.json["code"], "outcome_unknown");
        row.equal("tries", &edge.given(), &1);
    }
    table.end(12);
}

#[tokio::test]
async fn an_answer_to_a_create_with_an_id_in_it_is_a_message_whatever_else_is_odd() {
    let edge = Edge::start().await;
    let (_host, acme) = before(&edge).await;
    let mut table = Table::default();
    for (index, (change, expected)) in [
        (
            json!({"status": "teleported"}),
            json!({"status": "queued", "segments": 1}),
        ),
        (json!({"status": null}), json!({"status": "queued"})),
        (json!({"num_segments": "many"}), json!({"segments": 1})),
        (json!({"num_segments": 2}), json!({"segments": 2})),
        (
            json!({"price": "free"}),
            json!({"cost": 0.0083, "cost_source": "estimate"}),
        ),
        (
            json!({"price": "-0.00000001"}),
            json!({"cost": 0.0083, "cost_source": "estimate"}),
        ),
        (
            json!({"price": -0.02, "price_unit": "eur"}),
            json!({"cost": 0.02, "cost_currency": "EUR", "cost_source": "provider"}),
        ),
        (
            json!({"price": "0.01000000"}),
            json!({"cost": 0.01, "cost_source": "provider"}),
        ),
        (
            json!({"status": "failed", "error_code": "30007", "error_message": "Filtered"}),
            json!({"status": "failed"}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut row = table.row(&change);
        let mut answer = message(change);
        answer["sid"] = json!(format!("SM{index:032x}"));
        edge.says(201, &answer);
        let sent = send(&acme).await;
        row.equal("status", &sent.status, &201);
        row.has("sms", &sent.json, &expected);
    }
    table.end(9);
}

#[tokio::test]
async fn a_code_may_be_text_or_missing() {
    let edge = Edge::start().await;
    let (_host, acme) = before(&edge).await;
    let mut table = Table::default();
    for (body, failure, code) in [
        (
            json!({"code": "21610", "message": "Stop"}),
            "recipient_opted_out",
            json!("21610"),
        ),
        (json!({"message": "Stop"}), "provider_error", Value::Null),
        (
            json!({"code": null, "message": null}),
            "provider_error",
            Value::Null,
        ),
        (json!([21610]), "provider_error", Value::Null),
    ] {
        let mut row = table.row(&body);
        edge.says(400, &body);
        let refused = send(&acme).await;
        row.equal("code", &refused.json["code"], "provider_rejected");
        row.equal("theirs", &refused.json["provider"]["code"], &code);
        let path = format!("/v1/sms/{}?refresh=false", refused.text("id"));
        let stored = acme.get(&path).await;
        row.equal("failure", &stored.json["failure"]["code"], failure);
    }
    table.end(4);
}
