//! Resend's webhooks: the API, every event, signatures, retries.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_sandbox::resend::{FROM_EMAIL, SENDING_ACCESS_KEY};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    rig::{Answer, Rig, letter, with},
    webhook_rig::{Received, Receiver},
};

async fn ask(rig: &Rig, method: Method, path: &str, body: Value) -> Answer {
    let request = rig.resend(method, path);
    rig.send(if body.is_null() {
        request
    } else {
        request.json(&body)
    })
    .await
}

/// Makes a webhook for these events; gives its id and secret.
async fn webhook(rig: &Rig, receiver: &Receiver, events: &[&str]) -> (String, String) {
    let body = json!({ "endpoint": receiver.url("/hook"), "events": events });
    let made = ask(rig, Method::POST, "/webhooks", body).await;
    assert_eq!(
        (made.status, &made.body["object"]),
        (201, &json!("webhook"))
    );
    let text = |name: &str| made.body[name].as_str().unwrap().to_owned();
    (text("id"), text("signing_secret"))
}

/// As Svix describes it: the key is what follows `whsec_`, decoded.
fn assert_signed(received: &Received, secret: &str) {
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let (id, at) = (
        received.header("svix-id"),
        received.header("svix-timestamp"),
    );
    mac.update(format!("{id}.{at}.{}", received.text).as_bytes());
    let expected = STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(received.header("svix-signature"), format!("v1,{expected}"));
    let age = chrono::Utc::now().timestamp() - at.parse::<i64>().unwrap();
    assert!((0..300).contains(&age), "{age}");
}

fn types(received: &[Received]) -> Vec<String> {
    let each = received.iter();
    each.map(|one| one.json()["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn webhooks_are_managed_by_the_api() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let (id, secret) = webhook(&rig, &receiver, &["email.sent", "email.bounced"]).await;
    let path = format!("/webhooks/{id}");
    let shown = ask(&rig, Method::GET, &path, Value::Null).await;
    let expected = json!({
        "object": "webhook",
        "id": id,
        "endpoint": receiver.url("/hook"),
        "events": ["email.sent", "email.bounced"],
        "status": "enabled",
        "created_at": "2026-01-15 12:00:00.000000+00",
        "signing_secret": secret,
    });
    assert_eq!((shown.status, shown.body), (200, expected));
    let change = json!({ "events": ["email.opened"], "status": "disabled" });
    let changed = ask(&rig, Method::PATCH, &path, change).await;
    assert_eq!(changed.body, json!({ "object": "webhook", "id": id }));
    let (newest, _) = webhook(&rig, &receiver, &["email.sent"]).await;
    let list = ask(&rig, Method::GET, "/webhooks?limit=1", Value::Null).await;
    assert_eq!(list.body["object"], "list");
    assert_eq!(list.body["has_more"], true);
    assert_eq!(list.body["data"][0]["id"], newest);
    let after = format!("/webhooks?after={newest}");
    let list = ask(&rig, Method::GET, &after, Value::Null).await;
    assert_eq!(list.body["has_more"], false);
    let listed = &list.body["data"][0];
    assert_eq!(
        (&listed["id"], &listed["status"]),
        (&json!(id), &json!("disabled"))
    );
    assert_eq!(listed["events"], json!(["email.opened"]));
    assert!(listed["signing_secret"].is_null());
    let removed = ask(&rig, Method::DELETE, &path, Value::Null).await;
    let expected = json!({ "object": "webhook", "id": id, "deleted": true });
    assert_eq!((removed.status, removed.body), (200, expected));
    let gone = ask(&rig, Method::GET, &path, Value::Null).await;
    gone.assert_resend_error(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_with_a_webhook_is_said() {
    let rig = Rig::start().await;
    let good = json!({ "endpoint": "http://127.0.0.1:1/", "events": ["email.sent"] });
    for (changes, name) in [
        (json!({ "endpoint": null }), "missing_required_field"),
        (json!({ "events": null }), "missing_required_field"),
        (json!({ "events": [] }), "validation_error"),
        (json!({ "events": ["email.read"] }), "validation_error"),
        (
            json!({ "endpoint": "https://example.com/" }),
            "validation_error",
        ),
        (json!({ "endpoint": 1 }), "validation_error"),
    ] {
        let refused = ask(&rig, Method::POST, "/webhooks", with(good.clone(), changes)).await;
        refused.assert_resend_error(422, name);
    }
    ask(&rig, Method::GET, "/webhooks/1", Value::Null)
        .await
        .assert_resend_error(422, "invalid_parameter");
    ask(&rig, Method::PUT, "/webhooks", good.clone())
        .await
        .assert_resend_error(405, "method_not_allowed");
    let request = rig.http.post(rig.url("/resend/webhooks")).json(&good);
    rig.send(request.bearer_auth(SENDING_ACCESS_KEY))
        .await
        .assert_resend_error(401, "restricted_api_key");
}

#[tokio::test]
async fn an_event_has_the_documented_body_and_signature() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let (_, secret) = webhook(&rig, &receiver, &["email.delivered"]).await;
    let body = with(
        letter("Ada <ada@example.org>"),
        json!({
            "tags": [{ "name": "kind", "value": "welcome" }],
            "headers": { "X-Thing": "1" },
        }),
    );
    let id = rig.mail(&body).await.body["id"].clone();
    rig.advance_and_settle(6).await;
    let received = receiver.one();
    assert_signed(&received, &secret);
    assert_eq!(received.header("content-type"), "application/json");
    let expected = json!({
        "type": "email.delivered",
        "created_at": "2026-01-15T12:00:06.000Z",
        "data": {
            "created_at": "2026-01-15T12:00:00.000000+00:00",
            "email_id": id,
            "from": FROM_EMAIL,
            "to": ["Ada <ada@example.org>"],
            "subject": "Hi",
            "tags": { "kind": "welcome" },
            "headers": [{ "name": "X-Thing", "value": "1" }],
        },
    });
    assert_eq!(received.json(), expected);
}

#[tokio::test]
async fn every_course_of_an_email_is_told() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("resend", receiver.url("/hook"));
    for (to, expected, details) in [
        (
            "ada@example.org",
            &["email.sent", "email.delivered"][..],
            "",
        ),
        (
            "bounced@resend.dev",
            &["email.sent", "email.bounced"],
            "bounce",
        ),
        (
            "complained@resend.dev",
            &["email.sent", "email.delivered", "email.complained"],
            "",
        ),
        ("suppressed@resend.dev", &["email.suppressed"], "suppressed"),
        ("failed@sandbox.test", &["email.failed"], "failed"),
        (
            "delivery_delayed@sandbox.test",
            &["email.sent", "email.delivery_delayed"],
            "",
        ),
        (
            "clicked@sandbox.test",
            &[
                "email.sent",
                "email.delivered",
                "email.opened",
                "email.clicked",
            ],
            "click",
        ),
        ("canceled@sandbox.test", &[], ""),
    ] {
        rig.mail_to(to).await;
        rig.advance_and_settle(6).await;
        let received = receiver.take();
        assert_eq!(types(&received), expected, "{to}");
        if !details.is_empty() {
            let data = &received.last().unwrap().json()["data"][details];
            assert!(data.is_object(), "{to}: {data}");
        }
    }
}

#[tokio::test]
async fn opened_and_clicked_come_by_the_control_api() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("resend", receiver.url("/hook"));
    let id = rig.mail_to("ada@example.org").await;
    rig.advance_and_settle(6).await;
    receiver.take();
    for event in ["opened", "clicked", "complained"] {
        let path = format!("messages/{id}/status");
        rig.control(Method::POST, &path, json!({ "last_event": event }))
            .await;
        rig.settled().await;
        assert_eq!(types(&receiver.take()), [format!("email.{event}")]);
    }
}

#[tokio::test]
async fn a_scheduled_email_is_told_when_it_is_taken_in_and_moved_with_its_time() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("resend", receiver.url("/hook"));
    let body = with(
        letter("ada@example.org"),
        json!({ "scheduled_at": "in 1 hour" }),
    );
    let sent = rig.mail(&body).await;
    let id = sent.body["id"].as_str().unwrap();
    rig.settled().await;
    assert_eq!(types(&receiver.take()), ["email.scheduled"]);
    let later = json!({ "scheduled_at": "in 2 hours" });
    let moved = ask(&rig, Method::PATCH, &format!("/emails/{id}"), later).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    rig.advance_and_settle(3_700).await;
    assert!(receiver.take().is_empty());
    rig.advance_and_settle(3_600).await;
    assert_eq!(types(&receiver.take()), ["email.sent", "email.delivered"]);
}

#[tokio::test]
async fn a_refused_event_is_tried_eight_times_at_the_documented_intervals() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let (_, secret) = webhook(&rig, &receiver, &["email.sent"]).await;
    // Whatever is not 2xx is a refusal, a redirect too.
    receiver.answer(&[500, 404, 301, 400, 503, 500, 500, 500]);
    rig.mail_to("ada@example.org").await;
    rig.advance(3).await;
    rig.retry_to_the_end().await;
    assert_eq!(
        rig.seconds_of_attempts(),
        [0, 5, 305, 2_105, 9_305, 27_305, 63_305, 99_305]
    );
    let received = receiver.take();
    assert_eq!(received.len(), 8);
    for one in &received {
        assert_eq!(one.header("svix-id"), received[0].header("svix-id"));
        assert_signed(one, &secret);
    }
    assert!(rig.sandbox.webhooks()[0].enabled);
}

#[tokio::test]
async fn an_endpoint_that_fails_for_five_days_is_switched_off() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let (id, _) = webhook(&rig, &receiver, &["email.sent"]).await;
    receiver.answer(&[500; 60]);
    for _ in 0..5 {
        rig.mail_to("sent@sandbox.test").await;
        rig.advance(6).await;
        rig.retry_to_the_end().await;
    }
    let shown = ask(&rig, Method::GET, &format!("/webhooks/{id}"), Value::Null).await;
    assert_eq!(shown.body["status"], "disabled");
    let on = json!({ "status": "enabled" });
    ask(&rig, Method::PATCH, &format!("/webhooks/{id}"), on).await;
    assert!(rig.sandbox.webhooks()[0].enabled);
}

#[tokio::test]
async fn a_fault_signs_wrongly() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("resend", receiver.url("/hook"));
    rig.fault(json!({ "fault": "webhook_wrong_signature", "event": "email.sent" }))
        .await;
    let secret = rig.sandbox.webhooks()[0].secret.clone().unwrap();
    rig.mail_to("ada@example.org").await;
    rig.advance_and_settle(6).await;
    let received = receiver.take();
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let is_right = |one: &Received| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let (id, at) = (one.header("svix-id"), one.header("svix-timestamp"));
        mac.update(format!("{id}.{at}.{}", one.text).as_bytes());
        let expected = STANDARD.encode(mac.finalize().into_bytes());
        one.header("svix-signature") == format!("v1,{expected}")
    };
    assert!(!is_right(&received[0]) && is_right(&received[1]));
}
