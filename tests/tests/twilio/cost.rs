//! Segments and prices.

use std::time::Duration;

use onerouter_sandbox::twilio::MESSAGING_SERVICE_SID;
use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::table::{Row, Table};
use serde_json::json;

use crate::connected;

async fn send(acme: &Client, to: &str, body: &str) -> Reply {
    acme.post("/v1/sms", json!({"to": to, "body": body})).await
}

/// A member of the body as its very text: numbers keep their digits.
fn digits(reply: &Reply, member: &str) -> String {
    let text = String::from_utf8(reply.bytes.clone()).unwrap();
    let (_, rest) = text.split_once(&format!("\"{member}\":")).unwrap();
    rest.split([',', '}']).next().unwrap().to_owned()
}

fn texts() -> [(&'static str, String, u32); 17] {
    [
        ("one character", "a".to_owned(), 1),
        ("160 of GSM-7", "a".repeat(160), 1),
        ("161 of GSM-7", "a".repeat(161), 2),
        ("306 of GSM-7", "a".repeat(306), 2),
        ("307 of GSM-7", "a".repeat(307), 3),
        ("1,600 of GSM-7", "a".repeat(1_600), 11),
        ("160 with accents", "é".repeat(160), 1),
        ("80 of the extension", "€".repeat(80), 1),
        ("81 of the extension", "€".repeat(81), 2),
        ("159 and a line break", "a".repeat(159) + "\n", 1),
        ("a foreign letter among 70", "a".repeat(69) + "ж", 1),
        ("a foreign letter among 71", "a".repeat(70) + "ж", 2),
        ("134 of UCS-2", "ж".repeat(134), 2),
        ("135 of UCS-2", "ж".repeat(135), 3),
        ("35 emoji", "😀".repeat(35), 1),
        ("36 emoji", "😀".repeat(36), 2),
        ("a grave accent among 71", "a".repeat(70) + "`", 2),
    ]
}

fn check(row: &mut Row<'_>, sent: &Reply, segments: u32) {
    row.equal("status", &sent.status, &201);
    row.equal("segments", &sent.json["segments"], &json!(segments));
    // 0.0083 USD each, exactly.
    let ten_thousandths = segments * 83;
    let cost = format!(
        "{}.{:04}",
        ten_thousandths / 10_000,
        ten_thousandths % 10_000
    );
    row.equal("cost", &digits(sent, "cost"), &cost);
    row.equal("source", &sent.json["cost_source"], "estimate");
}

#[tokio::test]
async fn segments_are_twilios_where_a_number_sends() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (name, text, segments) in texts() {
        let sent = send(&acme, "+14155550123", &text).await;
        let mut row = table.row(name);
        check(&mut row, &sent, segments);
        let theirs = json!(segments.to_string());
        row.equal(
            "theirs",
            &sent.json["provider_data"]["num_segments"],
            &theirs,
        );
    }
    table.end(17);
}

/// A service says "0" until it has picked a sender: then the adapter counts.
#[tokio::test]
async fn segments_are_counted_where_a_service_sends_and_agree_with_twilio_later() {
    let (host, acme) = connected(json!({"messaging_service_sid": MESSAGING_SERVICE_SID})).await;
    let mut table = Table::default();
    for (name, text, segments) in texts() {
        let sent = send(&acme, "+14155550123", &text).await;
        let mut row = table.row(name);
        check(&mut row, &sent, segments);
        row.equal("theirs", &sent.json["provider_data"]["num_segments"], "0");
        host.pass(Duration::from_secs(10));
        let read = acme.get(&format!("/v1/sms/{}", sent.text("id"))).await;
        row.equal("later", &read.json["segments"], &json!(segments));
        let theirs = json!(segments.to_string());
        row.equal(
            "theirs later",
            &read.json["provider_data"]["num_segments"],
            &theirs,
        );
    }
    table.end(17);
}

#[tokio::test]
async fn media_count_as_one_segment_while_a_service_has_not_counted() {
    let (_host, acme) = connected(json!({"messaging_service_sid": MESSAGING_SERVICE_SID})).await;
    let body = json!({"to": "+14155550123", "body": "a".repeat(400), "media_urls": ["https://example.com/a.jpg"]});
    let sent = acme.post("/v1/sms", body).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(sent.json["segments"], 1);
}

/// Recipient, estimate of one segment.
const PRICES: [(&str, Option<&str>); 5] = [
    ("+14155550123", Some("0.0083")),
    ("+17875550123", Some("0.042")),
    ("+19395550123", Some("0.042")),
    ("+18685550123", Some("0.2992")),
    // No price for this country.
    ("+4915112345678", None),
];

#[tokio::test]
async fn an_estimate_is_replaced_by_what_twilio_charges() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (to, estimate) in PRICES {
        let mut row = table.row(to);
        let sent = send(&acme, to, &"a".repeat(161)).await;
        row.equal("segments", &sent.json["segments"], &json!(2));
        let doubled = match estimate {
            Some("0.0083") => Some("0.0166"),
            Some("0.042") => Some("0.084"),
            Some("0.2992") => Some("0.5984"),
            _ => None,
        };
        row.equal(
            "estimate",
            &digits(&sent, "cost"),
            doubled.unwrap_or("null"),
        );
        let currency = doubled.map(|_| "USD");
        row.has(
            "estimate",
            &sent.json,
            &json!({"cost_currency": currency, "currency": currency, "cost_source": doubled.map(|_| "estimate")}),
        );
        host.pass(Duration::from_secs(10));
        let read = acme.get(&format!("/v1/sms/{}", sent.text("id"))).await;
        // Theirs is a text, negative, with five decimals.
        row.equal("theirs", &read.json["provider_data"]["price"], "-0.01500");
        row.equal("cost", &digits(&read, "cost"), "0.01500");
        let charged = json!({"cost_currency": "USD", "currency": "USD", "cost_source": "provider"});
        row.has("charged", &read.json, &charged);
    }
    table.end(5);
}

#[tokio::test]
async fn a_message_that_was_never_sent_keeps_its_estimate() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sent = send(&acme, "+15005630007", "Hello").await;
    host.pass(Duration::from_secs(10));
    let read = acme.get(&format!("/v1/sms/{}", sent.text("id"))).await;
    assert_eq!(read.text("status"), "failed");
    assert_eq!(digits(&read, "cost"), "0.0083");
    assert_eq!(read.text("cost_source"), "estimate");
}
