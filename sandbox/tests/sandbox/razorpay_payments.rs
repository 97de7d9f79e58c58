//! Payments: how they come about, captures, late authorizations, and what nobody captures.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::{id_of, ids},
    rig::Rig,
};

const DAY: i64 = 86_400;

fn inr(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "INR" })
}

#[tokio::test]
async fn an_approved_order_is_authorized_then_captured() {
    let rig = Rig::start().await;
    let order = rig.order(50_000).await;
    let back = rig.approve(&order).await;
    assert_eq!(
        json!([back["object"]["status"], back["object"]["attempts"]]),
        json!(["attempted", 1])
    );
    let id = back["fields"]["razorpay_payment_id"].as_str().unwrap();
    let path = format!("/payments/{id}");
    let payment = rig.read(&path).await;
    assert_eq!(
        json!([
            payment["status"],
            payment["captured"],
            payment["fee"],
            payment["order_id"]
        ]),
        json!(["authorized", false, null, order])
    );
    let captured = rig.post(&format!("{path}/capture"), inr(50_000)).await;
    assert_eq!(
        json!([
            captured["status"],
            captured["captured"],
            captured["fee"],
            captured["tax"],
            captured["amount_refunded"],
            captured["refund_status"],
            captured["method"],
            captured["error_code"],
            captured["notes"]
        ]),
        json!(["captured", true, 1_180, 180, 0, null, "card", null, []])
    );
    assert_eq!(rig.read(&path).await, captured);
    let order = rig.read(&format!("/orders/{order}")).await;
    assert_eq!(
        json!([order["status"], order["amount_paid"], order["amount_due"]]),
        json!(["paid", 50_000, 0])
    );
    assert_eq!(rig.kinds().await, ["order", "payment", "capture"]);
}

#[tokio::test]
async fn a_capture_takes_exactly_what_was_authorized() {
    let rig = Rig::start().await;
    let id = rig.authorized(50_000).await;
    let path = format!("/payments/{id}/capture");
    for (body, why) in [
        (json!({}), "The amount field is required."),
        (
            json!({ "amount": 50_000 }),
            "The currency field is required.",
        ),
        (
            json!({ "amount": 500.5, "currency": "INR" }),
            "The amount must be an integer.",
        ),
        (
            json!({ "amount": 50_000, "currency": "INR", "notes": {} }),
            "notes is/are not required and should not be sent",
        ),
        (
            inr(49_999),
            "Capture amount must be equal to the amount authorized",
        ),
        (
            inr(50_001),
            "Capture amount must be equal to the amount authorized",
        ),
        (
            json!({ "amount": 50_000, "currency": "USD" }),
            "The currency must be the one that was authorized",
        ),
    ] {
        rig.refused(Method::POST, &path, body, why).await;
    }
    assert_eq!(rig.count("kind=capture").await, 0);
    rig.post(&path, inr(50_000)).await;
    let again = "This payment has already been captured";
    rig.refused(Method::POST, &path, inr(50_000), again).await;
    assert_eq!(rig.count(&format!("kind=capture&object={id}")).await, 1);
}

#[tokio::test]
async fn a_declined_payment_has_failed_and_says_why() {
    let rig = Rig::start().await;
    let order = rig.order(50_000).await;
    let back = rig.play(&order, json!({ "action": "decline" })).await.body;
    let metadata = back["fields"]["error[metadata]"].as_str().unwrap();
    let metadata: Value = serde_json::from_str(metadata).unwrap();
    assert_eq!(metadata["order_id"], order);
    let id = metadata["payment_id"].as_str().unwrap();
    let payment = rig.read(&format!("/payments/{id}")).await;
    assert_eq!(
        json!([
            payment["status"],
            payment["error_code"],
            payment["error_reason"],
            payment["error_source"],
            payment["error_step"],
            payment["acquirer_data"]["auth_code"]
        ]),
        json!([
            "failed",
            "BAD_REQUEST_ERROR",
            "payment_failed",
            "bank",
            "payment_authorization",
            null
        ])
    );
    assert!(payment["error_description"].is_string());
    let path = format!("/payments/{id}/capture");
    let why = "Only payments which have been authorized and not yet captured can be captured";
    rig.refused(Method::POST, &path, inr(50_000), why).await;
    // The order can still be paid.
    rig.approve(&order).await;
    let attempts = rig.read(&format!("/orders/{order}/payments")).await;
    let statuses: Vec<&Value> = attempts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|payment| &payment["status"])
        .collect();
    assert_eq!(statuses, ["failed", "authorized"]);
    assert_eq!(rig.read(&format!("/orders/{order}")).await["attempts"], 2);
    // A failed attempt has no effect.
    assert_eq!(rig.kinds().await, ["order", "payment"]);
}

#[tokio::test]
async fn each_method_has_its_own_details() {
    let rig = Rig::start().await;
    for (method, field, reference) in [
        ("card", "card_id", "auth_code"),
        ("upi", "vpa", "rrn"),
        ("netbanking", "bank", "bank_transaction_id"),
        ("wallet", "wallet", "transaction_id"),
    ] {
        let order = rig.order(50_000).await;
        let back = rig
            .play(&order, json!({ "action": "approve", "method": method }))
            .await;
        let id = back.body["fields"]["razorpay_payment_id"].as_str().unwrap();
        let payment = rig.read(&format!("/payments/{id}")).await;
        assert_eq!(payment["method"], method);
        assert!(payment["acquirer_data"][reference].is_string(), "{payment}");
        for other in ["card_id", "vpa", "bank", "wallet"] {
            assert_eq!(payment[other].is_string(), other == field, "{payment}");
        }
        let expanded = rig.read(&format!("/payments/{id}?expand[]=card")).await;
        assert_eq!(expanded["card"].is_object(), method == "card");
        assert!(payment.get("card").is_none());
    }
    let order = rig.order(100).await;
    let cash = rig
        .play(&order, json!({ "action": "approve", "method": "cash" }))
        .await;
    assert_eq!(cash.status, 400);
    assert_eq!(ids(&rig.read("/payments?count=2").await).len(), 2);
}

#[tokio::test]
async fn a_failed_payment_can_be_authorized_late() {
    let rig = Rig::start().await;
    let order = rig.order(50_000).await;
    rig.play(&order, json!({ "action": "decline" })).await;
    let id = ids(&rig.read(&format!("/orders/{order}/payments")).await).remove(0);
    rig.advance(DAY).await;
    let back = rig.approve(&id).await;
    assert_eq!(
        json!([
            back["object"]["status"],
            back["object"]["error_code"],
            back["url"]
        ]),
        json!(["authorized", null, null])
    );
    assert_eq!(
        rig.play(&id, json!({ "action": "approve" })).await.status,
        400
    );
    rig.post(&format!("/payments/{id}/capture"), inr(50_000))
        .await;
    assert_eq!(
        rig.read(&format!("/orders/{order}")).await["status"],
        "paid"
    );
    assert_eq!(rig.count(&format!("kind=payment&id={id}")).await, 1);
}

#[tokio::test]
async fn a_paid_order_takes_no_second_payment() {
    let rig = Rig::start().await;
    let order = rig.order(50_000).await;
    let mut payments = Vec::new();
    for _ in 0..2 {
        let back = rig.approve(&order).await;
        let id = back["fields"]["razorpay_payment_id"].as_str().unwrap();
        payments.push(id.to_owned());
    }
    let capture = |id: &str| format!("/payments/{id}/capture");
    rig.post(&capture(&payments[0]), inr(50_000)).await;
    let why = "Your payment has been declined as the order is already paid. Please initiate the payment with a new order.";
    rig.refused(Method::POST, &capture(&payments[1]), inr(50_000), why)
        .await;
    let third = rig.play(&order, json!({ "action": "approve" })).await;
    assert_eq!((third.status, &third.body["error"]), (400, &why.into()));
    // The second one goes back by itself; the order stays paid.
    rig.advance(3 * DAY).await;
    let second = rig.read(&format!("/payments/{}", payments[1])).await;
    assert_eq!(second["status"], "refunded");
    assert_eq!(
        rig.read(&format!("/orders/{order}")).await["status"],
        "paid"
    );
}

#[tokio::test]
async fn what_is_not_captured_within_three_days_goes_back() {
    let rig = Rig::start().await;
    let id = rig.authorized(50_000).await;
    let path = format!("/payments/{id}");
    rig.advance(3 * DAY - 1).await;
    assert_eq!(rig.read(&path).await["status"], "authorized");
    rig.advance(1).await;
    let payment = rig.read(&path).await;
    assert_eq!(
        json!([
            payment["status"],
            payment["captured"],
            payment["amount_refunded"],
            payment["refund_status"]
        ]),
        json!(["refunded", false, 50_000, "full"])
    );
    assert_eq!(rig.count(&format!("kind=refund&object={id}")).await, 1);
    let refunds = rig.read(&format!("{path}/refunds")).await;
    assert_eq!(refunds["items"][0]["amount"], 50_000);
    assert_eq!(
        rig.ask(Method::POST, &format!("{path}/capture"), inr(50_000))
            .await
            .status,
        400
    );
    // A late authorization after the window goes back at once.
    let order = rig.order(50_000).await;
    rig.play(&order, json!({ "action": "decline" })).await;
    let late = ids(&rig.read(&format!("/orders/{order}/payments")).await).remove(0);
    rig.advance(3 * DAY).await;
    assert_eq!(rig.approve(&late).await["object"]["status"], "refunded");
}

#[tokio::test]
async fn a_captured_payment_stays_when_the_window_closes() {
    let rig = Rig::start().await;
    let id = rig.captured(50_000).await;
    rig.advance(4 * DAY).await;
    assert_eq!(
        rig.read(&format!("/payments/{id}")).await["status"],
        "captured"
    );
    assert_eq!(rig.count("kind=refund").await, 0);
}

#[tokio::test]
async fn a_merchant_can_have_payments_captured_at_once() {
    let rig = Rig::start().await;
    rig.configure(json!({ "razorpay_auto_capture": true }))
        .await;
    let id = rig.authorized(50_000).await;
    assert_eq!(
        rig.read(&format!("/payments/{id}")).await["status"],
        "captured"
    );
    assert_eq!(rig.kinds().await, ["order", "payment", "capture"]);
    let order = rig.order(50_000).await;
    rig.play(&order, json!({ "action": "decline" })).await;
    let late = ids(&rig.read(&format!("/orders/{order}/payments")).await).remove(0);
    assert_eq!(rig.approve(&late).await["object"]["status"], "captured");
    assert_eq!(
        rig.read(&format!("/orders/{order}")).await["status"],
        "paid"
    );
}

#[tokio::test]
async fn an_order_can_be_paid_in_parts_where_that_is_allowed() {
    let rig = Rig::start().await;
    let body = json!({
        "amount": 50_000, "currency": "INR", "partial_payment": true,
        "first_payment_min_amount": 20_000,
    });
    let order = id_of(&rig.post("/orders", body).await);
    let pay = |amount: i64| rig_play(&rig, &order, amount);
    for amount in [19_999, 50_001] {
        assert_eq!(pay(amount).await.0, 400, "{amount}");
    }
    for (amount, paid, status) in [(20_000, 20_000, "attempted"), (30_000, 50_000, "paid")] {
        let (answered, payment) = pay(amount).await;
        assert_eq!(answered, 200);
        rig.post(&format!("/payments/{payment}/capture"), inr(amount))
            .await;
        let order = rig.read(&format!("/orders/{order}")).await;
        assert_eq!(
            json!([order["amount_paid"], order["status"]]),
            json!([paid, status])
        );
    }
    // Elsewhere it is not.
    let whole = rig.order(50_000).await;
    assert_eq!(rig_play(&rig, &whole, 20_000).await.0, 400);
}

async fn rig_play(rig: &Rig, order: &str, amount: i64) -> (u16, String) {
    let answer = rig
        .play(order, json!({ "action": "approve", "amount": amount }))
        .await;
    let id = answer.body["fields"]["razorpay_payment_id"].as_str();
    (answer.status, id.unwrap_or_default().to_owned())
}
