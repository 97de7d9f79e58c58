//! Creating messages, and what becomes of them.

use onerouter_sandbox::twilio::{FROM_NUMBER, MESSAGING_SERVICE_SID, SECOND_FROM_NUMBER};
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test]
async fn a_new_message_is_queued_and_has_the_documented_fields() {
    let rig = Rig::start().await;
    let answer = rig
        .text(&[
            ("To", "+14155550123"),
            ("From", FROM_NUMBER),
            ("Body", "Hello"),
        ])
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("twilio-concurrent-requests"), "1");
    let sid = answer.body["sid"].as_str().unwrap();
    assert!(sid.starts_with("SM") && sid.len() == 34, "{sid}");
    let base = format!(
        "/2010-04-01/Accounts/{}/Messages/{sid}",
        onerouter_sandbox::twilio::ACCOUNT_SID
    );
    let expected = json!({
        "account_sid": onerouter_sandbox::twilio::ACCOUNT_SID,
        "api_version": "2010-04-01",
        "body": "Hello",
        "date_created": "Thu, 15 Jan 2026 12:00:00 +0000",
        "date_sent": null,
        "date_updated": "Thu, 15 Jan 2026 12:00:00 +0000",
        "direction": "outbound-api",
        "error_code": null,
        "error_message": null,
        "from": FROM_NUMBER,
        "messaging_service_sid": null,
        "num_media": "0",
        "num_segments": "1",
        "price": null,
        "price_unit": null,
        "sid": sid,
        "status": "queued",
        "subresource_uris": { "media": format!("{base}/Media.json") },
        "to": "+14155550123",
        "uri": format!("{base}.json"),
    });
    assert_eq!(answer.body, expected);
}

#[tokio::test]
async fn a_message_passes_its_statuses_over_the_delivery_time() {
    let rig = Rig::start().await;
    let sid = rig.text_to("+14155550123").await;
    for (after, status, price, sent) in [
        (0, "queued", Value::Null, Value::Null),
        (2, "sending", Value::Null, Value::Null),
        (
            2,
            "sent",
            "-0.00750".into(),
            "Thu, 15 Jan 2026 12:00:04 +0000".into(),
        ),
        (
            2,
            "delivered",
            "-0.00750".into(),
            "Thu, 15 Jan 2026 12:00:04 +0000".into(),
        ),
        (
            3600,
            "delivered",
            "-0.00750".into(),
            "Thu, 15 Jan 2026 12:00:04 +0000".into(),
        ),
    ] {
        rig.advance(after).await;
        let message = rig.message(&sid).await;
        assert_eq!(message["status"], status);
        assert_eq!(
            (&message["price"], &message["date_sent"]),
            (&price, &sent),
            "{status}"
        );
    }
}

#[tokio::test]
async fn the_first_answer_is_queued_however_short_the_delivery_is() {
    let rig = Rig::start().await;
    rig.configure(json!({ "delivery_ms": 0 })).await;
    let answer = rig
        .text(&[
            ("To", "+14155550123"),
            ("From", FROM_NUMBER),
            ("Body", "Hi"),
        ])
        .await;
    assert_eq!(answer.body["status"], "queued");
    assert_eq!(
        rig.message(answer.body["sid"].as_str().unwrap()).await["status"],
        "delivered"
    );
}

#[tokio::test]
async fn a_messaging_service_picks_its_sender_later() {
    let rig = Rig::start().await;
    let form = [
        ("To", "+14155550123"),
        ("MessagingServiceSid", MESSAGING_SERVICE_SID),
        ("Body", "Hi"),
    ];
    let first = rig.text(&form).await.body;
    assert_eq!(first["status"], "accepted");
    assert_eq!(
        (&first["num_segments"], &first["from"]),
        (&"0".into(), &Value::Null)
    );
    assert_eq!(first["messaging_service_sid"], MESSAGING_SERVICE_SID);
    let sid = first["sid"].as_str().unwrap();
    rig.advance(2).await;
    let queued = rig.message(sid).await;
    assert_eq!(queued["status"], "queued");
    assert_eq!(
        (&queued["num_segments"], &queued["from"]),
        (&"1".into(), &FROM_NUMBER.into())
    );
    rig.advance(4).await;
    assert_eq!(rig.message(sid).await["status"], "delivered");
}

#[tokio::test]
async fn a_sender_of_the_services_pool_can_be_named() {
    let rig = Rig::start().await;
    let answer = rig
        .text(&[
            ("To", "+14155550123"),
            ("From", SECOND_FROM_NUMBER),
            ("MessagingServiceSid", MESSAGING_SERVICE_SID),
            ("Body", "Hi"),
        ])
        .await;
    assert_eq!(
        (&answer.body["status"], &answer.body["from"]),
        (&"accepted".into(), &SECOND_FROM_NUMBER.into())
    );
}

#[tokio::test]
async fn a_scheduled_message_waits_for_its_time() {
    let rig = Rig::start().await;
    let answer = rig
        .text(&[
            ("To", "+14155550123"),
            ("MessagingServiceSid", MESSAGING_SERVICE_SID),
            ("Body", "Hi"),
            ("ScheduleType", "fixed"),
            ("SendAt", "2026-01-15T13:00:00Z"),
        ])
        .await;
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (201, &"scheduled".into()),
        "{}",
        answer.text
    );
    let sid = answer.body["sid"].as_str().unwrap();
    for (after, status) in [
        (3599, "scheduled"),
        (1, "queued"),
        (2, "sending"),
        (2, "sent"),
        (2, "delivered"),
    ] {
        rig.advance(after).await;
        assert_eq!(rig.message(sid).await["status"], status);
    }
}

#[tokio::test]
async fn segments_and_price_grow_with_the_text() {
    let rig = Rig::start().await;
    for (body, segments, price) in [
        ("a".repeat(160), "1", "-0.00750"),
        ("a".repeat(161), "2", "-0.01500"),
        ("Ж".repeat(71), "2", "-0.01500"),
        ("a".repeat(1600), "11", "-0.08250"),
    ] {
        let answer = rig
            .text(&[
                ("To", "+14155550123"),
                ("From", FROM_NUMBER),
                ("Body", &body),
            ])
            .await;
        assert_eq!(answer.body["num_segments"], segments);
        rig.advance(6).await;
        assert_eq!(
            rig.message(answer.body["sid"].as_str().unwrap()).await["price"],
            price
        );
    }
}

#[tokio::test]
async fn media_are_counted_and_listed() {
    let rig = Rig::start().await;
    let answer = rig
        .text(&[
            ("To", "+14155550123"),
            ("From", FROM_NUMBER),
            ("MediaUrl", "https://example.com/a.png"),
            ("MediaUrl", "https://example.com/b.jpg?size=1"),
        ])
        .await;
    assert_eq!(
        (answer.status, &answer.body["num_media"]),
        (201, &"2".into()),
        "{}",
        answer.text
    );
    let sid = answer.body["sid"].as_str().unwrap();
    assert!(sid.starts_with("MM"), "{sid}");
    let url = rig.url(&format!(
        "/twilio{}",
        answer.body["subresource_uris"]["media"].as_str().unwrap()
    ));
    let media = rig.send(rig.twilio(Method::GET, &url)).await;
    assert_eq!(media.status, 200);
    let list = media.body["media_list"].as_array().unwrap();
    let types: Vec<&Value> = list.iter().map(|media| &media["content_type"]).collect();
    assert_eq!(types, ["image/png", "image/jpeg"]);
    assert!(list.iter().all(|media| media["parent_sid"] == sid));
}

#[tokio::test]
async fn every_delivery_code_has_its_numbers() {
    let rig = Rig::start().await;
    for code in [
        30001, 30002, 30003, 30004, 30005, 30006, 30007, 30008, 30009, 30010, 30024, 30032, 30034,
        63016,
    ] {
        for (kind, status) in [("5", "undelivered"), ("6", "failed")] {
            let sid = rig.text_to(&format!("+15005{kind}{code}")).await;
            assert_eq!(rig.message(&sid).await["error_code"], Value::Null);
            rig.advance(6).await;
            let message = rig.message(&sid).await;
            assert_eq!(
                (&message["status"], &message["error_code"]),
                (&status.into(), &code.into())
            );
            assert!(message["error_message"].is_string());
            // What never left is neither dated nor charged.
            assert_eq!(message["price"].is_null(), status == "failed");
            assert_eq!(message["date_sent"].is_null(), status == "failed");
        }
    }
}

#[tokio::test]
async fn some_messages_stop_on_the_way() {
    let rig = Rig::start().await;
    for (to, status) in [
        ("+15005700001", "queued"),
        ("+15005700002", "sending"),
        ("+15005700003", "sent"),
    ] {
        let sid = rig.text_to(to).await;
        rig.advance(86_400).await;
        assert_eq!(rig.message(&sid).await["status"], status);
    }
}
