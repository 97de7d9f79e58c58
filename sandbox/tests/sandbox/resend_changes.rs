//! Scheduling, rescheduling and cancelling, and events set by the control API.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Answer, Rig, letter, with};

async fn schedule(rig: &Rig, at: &str) -> String {
    let answer = rig
        .mail(&with(
            letter("ada@example.com"),
            json!({ "scheduled_at": at }),
        ))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["id"].as_str().unwrap().to_owned()
}

async fn reschedule(rig: &Rig, id: &str, body: Value) -> Answer {
    rig.send(
        rig.resend(Method::PATCH, &format!("/emails/{id}"))
            .json(&body),
    )
    .await
}

async fn cancel(rig: &Rig, id: &str) -> Answer {
    rig.send(rig.resend(Method::POST, &format!("/emails/{id}/cancel")))
        .await
}

#[tokio::test]
async fn a_scheduled_email_waits_for_its_time() {
    let rig = Rig::start().await;
    for at in ["2026-01-15T13:00:00Z", "in 1 hour"] {
        let id = schedule(&rig, at).await;
        assert_eq!(
            rig.email(&id).await["scheduled_at"],
            "2026-01-15 13:00:00.000000+00"
        );
        for (after, event) in [
            (3599, "scheduled"),
            (1, "queued"),
            (3, "sent"),
            (3, "delivered"),
        ] {
            rig.advance(after).await;
            assert_eq!(rig.last_event(&id).await, event);
        }
        rig.control(Method::POST, "reset", Value::Null).await;
    }
}

#[tokio::test]
async fn a_scheduled_email_can_be_moved() {
    let rig = Rig::start().await;
    let id = schedule(&rig, "in 1 hour").await;
    let moved = reschedule(&rig, &id, json!({ "scheduled_at": "2026-01-15T14:00:00Z" })).await;
    assert_eq!(
        (moved.status, &moved.body),
        (200, &json!({ "object": "email", "id": id }))
    );
    rig.advance(7199).await;
    assert_eq!(rig.last_event(&id).await, "scheduled");
    rig.advance(7).await;
    assert_eq!(rig.last_event(&id).await, "delivered");
}

#[tokio::test]
async fn a_scheduled_email_can_be_cancelled_for_good() {
    let rig = Rig::start().await;
    let id = schedule(&rig, "in 1 hour").await;
    let canceled = cancel(&rig, &id).await;
    assert_eq!(
        (canceled.status, &canceled.body),
        (200, &json!({ "object": "email", "id": id }))
    );
    rig.advance(86_400).await;
    assert_eq!(rig.last_event(&id).await, "canceled");
    cancel(&rig, &id)
        .await
        .assert_resend_error(422, "validation_error");
    let body = json!({ "scheduled_at": "in 1 hour" });
    reschedule(&rig, &id, body)
        .await
        .assert_resend_error(422, "validation_error");
}

#[tokio::test]
async fn what_is_on_its_way_can_not_be_changed() {
    let rig = Rig::start().await;
    let id = rig.mail_to("ada@example.com").await;
    for _ in 0..3 {
        cancel(&rig, &id)
            .await
            .assert_resend_error(422, "validation_error");
        let body = json!({ "scheduled_at": "in 1 hour" });
        reschedule(&rig, &id, body)
            .await
            .assert_resend_error(422, "validation_error");
        rig.advance(3).await;
    }
}

#[tokio::test]
async fn a_new_time_must_be_one() {
    let rig = Rig::start().await;
    let id = schedule(&rig, "in 1 hour").await;
    for (body, name) in [
        (json!({}), "missing_required_field"),
        (json!({ "scheduled_at": 5 }), "validation_error"),
        (
            json!({ "scheduled_at": "2026-01-01T00:00:00Z" }),
            "validation_error",
        ),
    ] {
        reschedule(&rig, &id, body)
            .await
            .assert_resend_error(422, name);
    }
}

#[tokio::test]
async fn any_event_can_be_forced_and_stays() {
    let rig = Rig::start().await;
    for event in [
        "queued",
        "scheduled",
        "canceled",
        "sent",
        "delivered",
        "delivery_delayed",
        "bounced",
        "complained",
        "opened",
        "clicked",
        "failed",
        "suppressed",
    ] {
        let id = rig.mail_to("ada@example.com").await;
        let path = format!("messages/{id}/status");
        let forced = rig
            .control(Method::POST, &path, json!({ "last_event": event }))
            .await;
        assert_eq!(
            (forced.status, &forced.body["last_event"]),
            (200, &event.into()),
            "{}",
            forced.text
        );
        rig.advance(60).await;
        assert_eq!(rig.last_event(&id).await, event);
    }
}
