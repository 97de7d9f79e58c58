//! What an order says of the capture of its payments.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::{id_of, ids},
    rig::{Rig, with},
};

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

fn order(payment: Value) -> Value {
    with(
        json!({ "amount": 50_000, "currency": "INR" }),
        json!({ "payment": payment }),
    )
}

fn manual() -> Value {
    json!({ "capture": "manual", "capture_options": { "refund_speed": "normal" } })
}

fn automatic(options: Value) -> Value {
    let least = json!({ "automatic_expiry_period": 12, "refund_speed": "normal" });
    json!({ "capture": "automatic", "capture_options": with(least, options) })
}

/// An approved order; gives the payment's id.
async fn approved(rig: &Rig, payment: Value) -> String {
    let order = id_of(&rig.post("/orders", order(payment)).await);
    let back = rig.approve(&order).await;
    let id = back["fields"]["razorpay_payment_id"].as_str();
    id.unwrap().to_owned()
}

async fn status(rig: &Rig, payment: &str) -> Value {
    rig.read(&format!("/payments/{payment}")).await["status"].clone()
}

#[tokio::test]
async fn an_order_goes_before_the_account() {
    let rig = Rig::start().await;
    let captured = approved(&rig, automatic(json!({}))).await;
    assert_eq!(status(&rig, &captured).await, "captured");
    rig.configure(json!({ "razorpay_auto_capture": true }))
        .await;
    for payment in [manual(), json!({ "capture": "manual" })] {
        let reserved = approved(&rig, payment).await;
        assert_eq!(status(&rig, &reserved).await, "authorized");
        let body = json!({ "amount": 50_000, "currency": "INR" });
        rig.post(&format!("/payments/{reserved}/capture"), body)
            .await;
    }
    assert_eq!(rig.count("kind=capture").await, 3);
}

#[tokio::test]
async fn a_late_authorization_is_captured_alone_within_the_orders_time() {
    let rig = Rig::start().await;
    for (after, expected) in [(12 * MINUTE, "captured"), (13 * MINUTE, "authorized")] {
        let order = id_of(&rig.post("/orders", order(automatic(json!({})))).await);
        rig.play(&order, json!({ "action": "decline" })).await;
        let late = ids(&rig.read(&format!("/orders/{order}/payments")).await).remove(0);
        rig.advance(after).await;
        assert_eq!(rig.approve(&late).await["object"]["status"], expected);
    }
    rig.configure(json!({ "razorpay_auto_capture": true }))
        .await;
    let order = id_of(&rig.post("/orders", order(manual())).await);
    rig.play(&order, json!({ "action": "decline" })).await;
    let late = ids(&rig.read(&format!("/orders/{order}/payments")).await).remove(0);
    assert_eq!(rig.approve(&late).await["object"]["status"], "authorized");
}

#[tokio::test]
async fn what_is_reserved_waits_as_long_as_the_order_says() {
    let rig = Rig::start().await;
    let hour = json!({ "refund_speed": "normal", "manual_expiry_period": 60 });
    let short = json!({ "capture": "manual", "capture_options": hour });
    for (payment, wait) in [(short, 60 * MINUTE), (manual(), 5 * DAY)] {
        let id = approved(&rig, payment).await;
        rig.advance(wait - 1).await;
        assert_eq!(status(&rig, &id).await, "authorized");
        rig.advance(1).await;
        assert_eq!(status(&rig, &id).await, "refunded");
    }
}

#[tokio::test]
async fn no_answer_shows_the_terms() {
    let rig = Rig::start().await;
    let created = rig.post("/orders", order(manual())).await;
    assert!(created.get("payment").is_none(), "{created}");
    let read = rig.read(&format!("/orders/{}", id_of(&created))).await;
    assert_eq!(read, created);
}

#[tokio::test]
async fn wrong_terms_are_refused() {
    let rig = Rig::start().await;
    let with_options =
        |capture: &str, options: Value| json!({ "capture": capture, "capture_options": options });
    for (payment, why) in [
        (json!("manual"), "The payment must be an array."),
        (json!({}), "The capture field is required."),
        (
            json!({ "capture": "later" }),
            "The selected capture is invalid.",
        ),
        (
            json!({ "capture": "manual", "speed": 1 }),
            "speed is/are not required and should not be sent",
        ),
        (
            json!({ "capture": "automatic" }),
            "The automatic expiry period field is required.",
        ),
        (
            with_options("automatic", json!({ "refund_speed": "normal" })),
            "The automatic expiry period field is required.",
        ),
        (
            with_options("manual", json!({})),
            "The refund speed field is required.",
        ),
        (
            with_options("manual", json!({ "refund_speed": "instant" })),
            "The selected refund speed is invalid.",
        ),
        (
            with_options("manual", json!({ "refund_speed": "normal", "x": 1 })),
            "x is/are not required and should not be sent",
        ),
        (
            automatic(json!({ "automatic_expiry_period": 11 })),
            "The automatic expiry period must be at least 12.",
        ),
        (
            automatic(json!({ "automatic_expiry_period": 7_201 })),
            "The automatic expiry period may not be greater than 7200.",
        ),
        (
            automatic(json!({ "automatic_expiry_period": 60, "manual_expiry_period": 59 })),
            "The manual expiry period must be at least 60.",
        ),
        (
            automatic(json!({ "manual_expiry_period": 7_201 })),
            "The manual expiry period may not be greater than 7200.",
        ),
        (
            automatic(json!({ "manual_expiry_period": "60" })),
            "The manual expiry period must be an integer.",
        ),
    ] {
        rig.refused(Method::POST, "/orders", order(payment), why)
            .await;
    }
    assert_eq!(rig.effects().await, 0);
    let widest = json!({ "automatic_expiry_period": 7_200, "manual_expiry_period": 7_200 });
    rig.post("/orders", order(automatic(widest))).await;
}
