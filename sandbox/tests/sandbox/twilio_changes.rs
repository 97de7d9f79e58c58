//! Cancelling, redacting, deleting, and statuses set by the control API.

use onerouter_sandbox::twilio::{FROM_NUMBER, MESSAGING_SERVICE_SID};
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Answer, Rig};

async fn update(rig: &Rig, sid: &str, form: &[(&str, &str)]) -> Answer {
    rig.send(rig.twilio(Method::POST, &rig.message_url(sid)).form(form))
        .await
}

#[tokio::test]
async fn a_message_can_be_cancelled_until_it_is_on_its_way() {
    let rig = Rig::start().await;
    let service = [
        ("To", "+14155550123"),
        ("MessagingServiceSid", MESSAGING_SERVICE_SID),
        ("Body", "Hi"),
    ];
    let scheduled = [
        service.as_slice(),
        &[
            ("ScheduleType", "fixed"),
            ("SendAt", "2026-01-15T13:00:00Z"),
        ],
    ]
    .concat();
    let queued = [
        ("To", "+14155550123"),
        ("From", FROM_NUMBER),
        ("Body", "Hi"),
    ];
    for form in [queued.as_slice(), &service, &scheduled] {
        let created = rig.text(form).await;
        let sid = created.body["sid"].as_str().unwrap().to_owned();
        let canceled = update(&rig, &sid, &[("Status", "canceled")]).await;
        assert_eq!(
            (canceled.status, &canceled.body["status"]),
            (200, &"canceled".into()),
            "{}",
            canceled.text
        );
        rig.advance(86_400 * 2).await;
        let message = rig.message(&sid).await;
        assert_eq!(
            (&message["status"], &message["price"]),
            (&"canceled".into(), &Value::Null)
        );
        update(&rig, &sid, &[("Status", "canceled")])
            .await
            .assert_twilio_error(409, 30409);
        rig.control(Method::POST, "reset", Value::Null).await;
    }
    for after in [2, 4, 6] {
        let sid = rig.text_to("+14155550123").await;
        rig.advance(after).await;
        update(&rig, &sid, &[("Status", "canceled")])
            .await
            .assert_twilio_error(409, 30409);
    }
}

#[tokio::test]
async fn a_body_can_only_be_emptied() {
    let rig = Rig::start().await;
    let sid = rig.text_to("+14155550123").await;
    rig.advance(6).await;
    update(&rig, &sid, &[("Body", "other")])
        .await
        .assert_twilio_error(400, 20422);
    update(&rig, &sid, &[])
        .await
        .assert_twilio_error(400, 20422);
    update(&rig, &sid, &[("Status", "sent")])
        .await
        .assert_twilio_error(400, 20422);
    let redacted = update(&rig, &sid, &[("Body", "")]).await;
    assert_eq!((redacted.status, &redacted.body["body"]), (200, &"".into()));
    assert_eq!(rig.message(&sid).await["status"], "delivered");
}

#[tokio::test]
async fn a_finished_message_can_be_deleted() {
    let rig = Rig::start().await;
    let sid = rig.text_to("+14155550123").await;
    let delete = || rig.send(rig.twilio(Method::DELETE, &rig.message_url(&sid)));
    delete().await.assert_twilio_error(409, 20009);
    rig.advance(6).await;
    let deleted = delete().await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    delete().await.assert_twilio_error(404, 20404);
}

#[tokio::test]
async fn any_status_can_be_forced_and_stays() {
    let rig = Rig::start().await;
    for status in [
        "accepted",
        "scheduled",
        "queued",
        "sending",
        "sent",
        "delivered",
        "undelivered",
        "failed",
        "canceled",
        "receiving",
        "received",
        "read",
        "partially_delivered",
    ] {
        let sid = rig.text_to("+14155550123").await;
        let path = format!("messages/{sid}/status");
        let forced = rig
            .control(Method::POST, &path, json!({ "status": status }))
            .await;
        assert_eq!(forced.status, 200, "{}", forced.text);
        rig.advance(60).await;
        assert_eq!(rig.message(&sid).await["status"], status);
    }
    let sid = rig.text_to("+14155550123").await;
    let change = json!({ "status": "undelivered", "error_code": 30003 });
    rig.control(Method::POST, &format!("messages/{sid}/status"), change)
        .await;
    let message = rig.message(&sid).await;
    assert_eq!(
        (&message["error_code"], &message["price"]),
        (&30003.into(), &"-0.00750".into())
    );
    assert_eq!(message["error_message"], "Unreachable destination handset");
}

#[tokio::test]
async fn a_forced_status_must_exist_and_so_must_the_message() {
    let rig = Rig::start().await;
    let sid = rig.text_to("+14155550123").await;
    for (path, change, status) in [
        (
            format!("messages/{sid}/status"),
            json!({ "status": "cancelled" }),
            400,
        ),
        (
            format!("messages/{sid}/status"),
            json!({ "status": "sent", "code": 1 }),
            400,
        ),
        (
            "messages/SM1/status".to_owned(),
            json!({ "status": "sent" }),
            404,
        ),
    ] {
        assert_eq!(
            rig.control(Method::POST, &path, change).await.status,
            status,
            "{path}"
        );
    }
}
