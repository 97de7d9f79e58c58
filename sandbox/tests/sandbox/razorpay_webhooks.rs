//! Razorpay's webhooks: every event, its envelope, its signature, and how long it is tried.

use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_sandbox::{
    NewWebhook, WebhookChange,
    razorpay::{KEY_ID, REFUND_FAILS, REFUND_NOT_INSTANT},
};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    razorpay_rig::id_of,
    rig::Rig,
    webhook_rig::{Received, Receiver},
};

const SECRET: &str = "webhook secret, 17 ₹";
const DAY: i64 = 86_400;

async fn start() -> (Rig, Receiver) {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let new = NewWebhook {
        provider: "razorpay".to_owned(),
        account: Some(KEY_ID.to_owned()),
        url: receiver.url("/hook"),
        secret: Some(SECRET.to_owned()),
        ..NewWebhook::default()
    };
    rig.sandbox.add_webhook(&new).unwrap();
    (rig, receiver)
}

/// Lower-case hex of HMAC-SHA256 over the bytes of the body.
fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What came, checked as a merchant would: signature, id, envelope. Gives the events' names.
async fn told(rig: &Rig, receiver: &Receiver) -> (Vec<String>, Vec<Value>) {
    rig.settled().await;
    let received = receiver.take();
    for one in &received {
        assert_eq!(
            one.header("x-razorpay-signature"),
            signature(SECRET, &one.text)
        );
        assert_eq!(one.header("content-type"), "application/json");
        let event = one.json();
        assert_eq!(event["entity"], "event");
        assert!(event["account_id"].as_str().unwrap().starts_with("acc_"));
        assert!(event["created_at"].is_i64());
        for name in event["contains"].as_array().unwrap() {
            let entity = &event["payload"][name.as_str().unwrap()]["entity"];
            assert!(entity["id"].is_string(), "{event}");
        }
    }
    let bodies: Vec<Value> = received.iter().map(Received::json).collect();
    let names = bodies.iter();
    let names = names.map(|event| event["event"].as_str().unwrap().to_owned());
    (names.collect(), bodies)
}

async fn names(rig: &Rig, receiver: &Receiver) -> Vec<String> {
    told(rig, receiver).await.0
}

#[tokio::test]
async fn an_order_is_told_from_the_authorization_to_the_payment() {
    let (rig, receiver) = start().await;
    let order = rig.order(50_000).await;
    rig.play(&order, json!({ "action": "decline" })).await;
    assert_eq!(names(&rig, &receiver).await, ["payment.failed"]);
    let back = rig.approve(&order).await;
    let payment = back["fields"]["razorpay_payment_id"].as_str().unwrap();
    let (events, bodies) = told(&rig, &receiver).await;
    assert_eq!(events, ["payment.authorized"]);
    assert_eq!(bodies[0]["contains"], json!(["payment"]));
    let entity = &bodies[0]["payload"]["payment"]["entity"];
    assert_eq!(
        (&entity["id"], &entity["status"]),
        (&json!(payment), &json!("authorized"))
    );
    assert_eq!(bodies[0]["created_at"], 1_768_478_400);
    rig.post(
        &format!("/payments/{payment}/capture"),
        json!({ "amount": 50_000, "currency": "INR" }),
    )
    .await;
    let (events, bodies) = told(&rig, &receiver).await;
    assert_eq!(events, ["payment.captured", "order.paid"]);
    assert_eq!(bodies[1]["contains"], json!(["payment", "order"]));
    let paid = &bodies[1]["payload"];
    assert_eq!(paid["payment"]["entity"]["id"], payment);
    assert_eq!(paid["order"]["entity"]["id"], order);
    assert_eq!(paid["order"]["entity"]["status"], "paid");
}

#[tokio::test]
async fn a_refund_is_told_with_its_payment() {
    let (rig, receiver) = start().await;
    let payment = rig.captured(50_000).await;
    let path = format!("/payments/{payment}/refund");
    rig.settled().await;
    receiver.take();
    for (body, at_once, later) in [
        (
            json!({ "amount": 100 }),
            &["refund.created"][..],
            &["refund.processed"][..],
        ),
        (
            json!({ "amount": 100, "speed": "optimum" }),
            &["refund.created", "refund.processed"],
            &[],
        ),
        (
            json!({ "amount": 100, "speed": "optimum", "receipt": REFUND_NOT_INSTANT }),
            &["refund.created", "refund.speed_changed"],
            &["refund.processed"],
        ),
        (
            json!({ "amount": 100, "receipt": REFUND_FAILS }),
            &["refund.created"],
            &["refund.failed"],
        ),
    ] {
        rig.post(&path, body.clone()).await;
        let (events, bodies) = told(&rig, &receiver).await;
        assert_eq!(events, at_once, "{body}");
        assert_eq!(bodies[0]["contains"], json!(["refund", "payment"]));
        assert_eq!(bodies[0]["payload"]["payment"]["entity"]["id"], payment);
        rig.advance(6).await;
        assert_eq!(names(&rig, &receiver).await, later, "{body}");
    }
}

#[tokio::test]
async fn a_payment_link_is_told_in_parts_and_to_its_end() {
    let (rig, receiver) = start().await;
    let body = json!({ "amount": 1_000, "currency": "INR", "accept_partial": true });
    let link = rig.link(body.clone()).await;
    rig.play(&link, json!({ "action": "approve", "amount": 400 }))
        .await;
    let (events, bodies) = told(&rig, &receiver).await;
    assert_eq!(
        events,
        [
            "payment.authorized",
            "payment.captured",
            "payment_link.partially_paid"
        ]
    );
    let payload = &bodies[2]["payload"];
    assert_eq!(
        bodies[2]["contains"],
        json!(["payment_link", "order", "payment"])
    );
    assert_eq!(payload["payment_link"]["entity"]["id"], link);
    // Of the three places where the order's id stands, this one lacks the prefix.
    let order = payload["payment"]["entity"]["order_id"].as_str().unwrap();
    let bare = payload["order"]["entity"]["id"].as_str().unwrap();
    assert_eq!(order, format!("order_{bare}"));
    rig.approve(&link).await;
    assert_eq!(
        names(&rig, &receiver).await,
        [
            "payment.authorized",
            "payment.captured",
            "order.paid",
            "payment_link.paid"
        ]
    );
    let cancelled = rig.link(body.clone()).await;
    rig.post(&format!("/payment_links/{cancelled}/cancel"), Value::Null)
        .await;
    let (events, bodies) = told(&rig, &receiver).await;
    assert_eq!(events, ["payment_link.cancelled"]);
    assert_eq!(bodies[0]["contains"], json!(["payment_link"]));
    rig.link(body).await;
    rig.advance(200 * DAY).await;
    assert_eq!(names(&rig, &receiver).await, ["payment_link.expired"]);
}

#[tokio::test]
async fn a_subscription_is_told_through_its_life() {
    let (rig, receiver) = start().await;
    let plan = rig.plan(50_000).await;
    let body = json!({ "plan_id": plan, "total_count": 3 });
    let id = rig.subscription(body.clone()).await;
    rig.approve(&id).await;
    let (events, bodies) = told(&rig, &receiver).await;
    assert_eq!(
        events,
        [
            "subscription.authenticated",
            "payment.authorized",
            "payment.captured",
            "order.paid",
            "subscription.activated",
            "subscription.charged",
        ]
    );
    assert_eq!(bodies[0]["contains"], json!(["subscription"]));
    assert_eq!(
        bodies[0]["payload"]["subscription"]["entity"]["status"],
        "authenticated"
    );
    assert_eq!(bodies[5]["contains"], json!(["subscription", "payment"]));
    // As the documentation has it, in this event alone.
    assert_eq!(bodies[5]["payload"]["payment"]["entity"]["captured"], "1");
    assert_eq!(bodies[2]["payload"]["payment"]["entity"]["captured"], true);

    let of_subscription = async |rig: &Rig| -> Vec<String> {
        let names = names(rig, &receiver).await.into_iter();
        names
            .filter(|name| name.starts_with("subscription"))
            .collect()
    };
    let act = |act: &str| format!("/subscriptions/{id}/{act}");
    rig.post(&act("pause"), json!({ "pause_at": "now" })).await;
    assert_eq!(of_subscription(&rig).await, ["subscription.paused"]);
    rig.post(&act("resume"), json!({ "resume_at": "now" }))
        .await;
    assert_eq!(of_subscription(&rig).await, ["subscription.resumed"]);
    rig.cycle(&id, "fail").await;
    assert_eq!(of_subscription(&rig).await, ["subscription.pending"]);
    rig.advance(3 * DAY).await;
    assert_eq!(
        of_subscription(&rig).await,
        [
            "subscription.pending",
            "subscription.pending",
            "subscription.halted"
        ]
    );
    rig.cycle(&id, "succeed").await;
    assert_eq!(
        of_subscription(&rig).await,
        ["subscription.activated", "subscription.charged"]
    );
    rig.cycle(&id, "succeed").await;
    assert_eq!(
        of_subscription(&rig).await,
        ["subscription.charged", "subscription.completed"]
    );

    let other = rig.subscription(body).await;
    rig.approve(&other).await;
    of_subscription(&rig).await;
    let change = json!({ "quantity": 2, "schedule_change_at": "cycle_end" });
    let answer = rig
        .ask(Method::PATCH, &format!("/subscriptions/{other}"), change)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(of_subscription(&rig).await.is_empty());
    rig.cycle(&other, "succeed").await;
    assert_eq!(
        of_subscription(&rig).await,
        ["subscription.updated", "subscription.charged"]
    );
    rig.post(&format!("/subscriptions/{other}/cancel"), json!({}))
        .await;
    assert_eq!(of_subscription(&rig).await, ["subscription.cancelled"]);
}

#[tokio::test]
async fn an_event_is_tried_for_a_day_and_then_the_webhook_is_off() {
    let (rig, receiver) = start().await;
    receiver.answer(&[500; 30]);
    let order = rig.order(50_000).await;
    rig.play(&order, json!({ "action": "decline" })).await;
    rig.retry_to_the_end().await;
    let minutes: Vec<i64> = rig
        .seconds_of_attempts()
        .iter()
        .map(|seconds| seconds / 60)
        .collect();
    assert_eq!(minutes, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1440]);
    let received = receiver.take();
    let ids = received.iter().map(|one| one.header("x-razorpay-event-id"));
    assert_eq!(ids.clone().count(), 12);
    assert!(
        ids.clone()
            .all(|id| id == received[0].header("x-razorpay-event-id"))
    );
    let webhook = rig.sandbox.webhooks().remove(0);
    assert!(!webhook.enabled);
    rig.play(&order, json!({ "action": "decline" })).await;
    rig.settled().await;
    assert!(receiver.take().is_empty());
    // By hand, as in the dashboard.
    let on = WebhookChange {
        enabled: Some(true),
        ..WebhookChange::default()
    };
    rig.sandbox.change_webhook(&webhook.id, &on).unwrap();
    let fresh = Receiver::start().await;
    let moved = WebhookChange {
        url: Some(fresh.url("/hook")),
        ..WebhookChange::default()
    };
    rig.sandbox.change_webhook(&webhook.id, &moved).unwrap();
    rig.play(&order, json!({ "action": "decline" })).await;
    assert_eq!(names(&rig, &fresh).await, ["payment.failed"]);
}

#[tokio::test]
async fn one_event_that_is_refused_for_a_day_does_not_stop_the_others() {
    let (rig, receiver) = start().await;
    receiver.answer(&[500]);
    let order = rig.order(50_000).await;
    rig.play(&order, json!({ "action": "decline" })).await;
    rig.settled().await;
    rig.play(&order, json!({ "action": "decline" })).await;
    rig.settled().await;
    receiver.answer(&[500; 30]);
    rig.retry_to_the_end().await;
    assert!(rig.sandbox.webhooks()[0].enabled);
}

#[tokio::test]
async fn what_was_posted_before_a_change_of_the_secret_keeps_the_old_one() {
    let (rig, receiver) = start().await;
    receiver.answer(&[500]);
    let order = rig.order(50_000).await;
    rig.play(&order, json!({ "action": "decline" })).await;
    rig.settled().await;
    receiver.one();
    let webhook = rig.sandbox.webhooks().remove(0);
    let path = format!("webhooks/{}", webhook.id);
    let changed = rig
        .control(Method::PATCH, &path, json!({ "secret": "new" }))
        .await;
    assert_eq!(
        (changed.status, &changed.body["secret"]),
        (200, &json!("new"))
    );
    rig.advance_and_settle(60).await;
    let retried = receiver.one();
    assert_eq!(
        retried.header("x-razorpay-signature"),
        signature(SECRET, &retried.text)
    );
    rig.play(&order, json!({ "action": "decline" })).await;
    rig.settled().await;
    let fresh = receiver.one();
    assert_eq!(
        fresh.header("x-razorpay-signature"),
        signature("new", &fresh.text)
    );
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed_and_a_fault_signs_wrongly() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let body = json!({
        "provider": "razorpay",
        "url": receiver.url("/hook"),
        "secret": "",
        "events": ["payment.failed"],
    });
    let made = rig.control(Method::POST, "webhooks", body).await;
    assert_eq!((made.status, &made.body["secret"]), (201, &Value::Null));
    let order = rig.order(50_000).await;
    rig.play(&order, json!({ "action": "decline" })).await;
    rig.approve(&order).await;
    rig.settled().await;
    assert_eq!(receiver.one().header("x-razorpay-signature"), "");
    let change = json!({ "secret": "known" });
    let path = format!("webhooks/{}", id_of(&made.body));
    rig.control(Method::PATCH, &path, change).await;
    rig.fault(json!({ "fault": "webhook_wrong_signature", "provider": "razorpay" }))
        .await;
    for is_right in [false, true] {
        let order = rig.order(50_000).await;
        rig.play(&order, json!({ "action": "decline" })).await;
        rig.settled().await;
        let received = receiver.one();
        let expected = signature("known", &received.text);
        assert_eq!(received.header("x-razorpay-signature").len(), 64);
        assert_eq!(
            received.header("x-razorpay-signature") == expected,
            is_right
        );
    }
}
