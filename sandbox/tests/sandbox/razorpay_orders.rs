//! Orders: amounts, notes, lists, refusals.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::{id_of, ids},
    rig::{Rig, with},
};

fn draft() -> Value {
    json!({ "amount": 50_000, "currency": "INR" })
}

#[tokio::test]
async fn an_order_is_created_and_read() {
    let rig = Rig::start().await;
    let body = with(
        draft(),
        json!({ "receipt": "r-1", "notes": { "payment": "pay_1" } }),
    );
    let order = rig.post("/orders", body).await;
    let id = id_of(&order);
    assert!(id.starts_with("order_") && id.len() == 20, "{id}");
    assert_eq!(
        order,
        json!({
            "id": id, "entity": "order", "amount": 50_000, "amount_paid": 0, "amount_due": 50_000,
            "currency": "INR", "receipt": "r-1", "offer_id": null, "status": "created",
            "attempts": 0, "notes": { "payment": "pay_1" }, "created_at": 1_768_478_400,
        })
    );
    assert_eq!(rig.read(&format!("/orders/{id}")).await, order);
    // A trailing slash changes nothing.
    assert_eq!(rig.read(&format!("/orders/{id}/")).await, order);
}

#[tokio::test]
async fn empty_notes_are_a_list() {
    let rig = Rig::start().await;
    for notes in [json!(null), json!({}), json!([])] {
        let order = rig
            .post(
                "/orders",
                json!({ "amount": 100, "currency": "INR", "notes": notes }),
            )
            .await;
        assert_eq!(order["notes"], json!([]));
    }
}

#[tokio::test]
async fn only_notes_can_be_changed() {
    let rig = Rig::start().await;
    let path = format!("/orders/{}", rig.order(50_000).await);
    let changed = rig
        .ask(Method::PATCH, &path, json!({ "notes": { "a": "b" } }))
        .await;
    assert_eq!(
        (changed.status, &changed.body["notes"]),
        (200, &json!({ "a": "b" }))
    );
    assert_eq!(rig.read(&path).await["notes"], json!({ "a": "b" }));
    for (body, why) in [
        (json!({}), "The notes field is required."),
        (
            json!({ "amount": 100, "receipt": "r" }),
            "amount, receipt is/are not required and should not be sent",
        ),
    ] {
        rig.refused(Method::PATCH, &path, body, why).await;
    }
}

#[tokio::test]
async fn a_wrong_order_is_refused_without_effect() {
    let rig = Rig::start().await;
    let long_note = json!({ "k": "x".repeat(257) });
    let many_notes: Value = (0..16)
        .map(|number| (format!("k{number}"), json!("v")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for (change, field, why) in [
        (
            json!({ "amount": null }),
            "amount",
            "The amount field is required.",
        ),
        (
            json!({ "amount": 500.5 }),
            "amount",
            "The amount must be an integer.",
        ),
        (
            json!({ "amount": "50000" }),
            "amount",
            "The amount must be an integer.",
        ),
        (
            json!({ "amount": 99 }),
            "amount",
            "The amount must be at least INR 1.00",
        ),
        (
            json!({ "amount": -100 }),
            "amount",
            "The amount must be at least INR 1.00",
        ),
        (
            json!({ "currency": "USD", "amount": 99 }),
            "amount",
            "The amount must be at least USD 1.00",
        ),
        (
            json!({ "currency": "JPY", "amount": 0 }),
            "amount",
            "The amount must be at least JPY 1",
        ),
        (
            json!({ "currency": "KWD", "amount": 999 }),
            "amount",
            "The amount must be at least KWD 1.000",
        ),
        (
            json!({ "currency": "KWD", "amount": 99_991 }),
            "amount",
            "The last digit of the amount must be 0 in KWD",
        ),
        (
            json!({ "currency": null }),
            "currency",
            "The currency field is required.",
        ),
        (
            json!({ "currency": "XYZ" }),
            "currency",
            "The currency provided is not supported",
        ),
        (
            json!({ "currency": "inr" }),
            "currency",
            "The currency provided is not supported",
        ),
        (
            json!({ "currency": "RUPEE" }),
            "currency",
            "The currency may not be greater than 3 characters.",
        ),
        (
            json!({ "receipt": "r".repeat(41) }),
            "receipt",
            "The receipt may not be greater than 40 characters.",
        ),
        (
            json!({ "receipt": 5 }),
            "receipt",
            "The receipt must be a string.",
        ),
        (
            json!({ "notes": "x" }),
            "notes",
            "The notes must be an array.",
        ),
        (
            json!({ "notes": ["x"] }),
            "notes",
            "The notes must be an array.",
        ),
        (
            json!({ "notes": { "k": {} } }),
            "notes",
            "The notes must have text values.",
        ),
        (
            json!({ "notes": long_note }),
            "notes",
            "Notes values may not be greater than 256 characters.",
        ),
        (
            json!({ "notes": many_notes }),
            "notes",
            "Notes may not have more than 15 key-value pairs.",
        ),
        (
            json!({ "partial_payment": "yes" }),
            "partial_payment",
            "The partial payment field must be true or false.",
        ),
        (
            json!({ "first_payment_min_amount": 100 }),
            "first_payment_min_amount",
            "The first payment min amount may be sent for partial payments only.",
        ),
        (
            json!({ "partial_payment": true, "first_payment_min_amount": 50_001 }),
            "first_payment_min_amount",
            "The first payment min amount may not be greater than the amount.",
        ),
    ] {
        let answer = rig
            .ask(Method::POST, "/orders", with(draft(), change))
            .await;
        assert_eq!(
            (answer.status, &answer.body),
            (
                400,
                &json!({ "error": {
                    "code": "BAD_REQUEST_ERROR",
                    "description": why,
                    "source": "business",
                    "step": "payment_initiation",
                    "reason": "input_validation_failed",
                    "metadata": {},
                    "field": field,
                } })
            )
        );
    }
    let unknown = "amt, x is/are not required and should not be sent";
    let body = with(draft(), json!({ "x": 1, "amt": 2 }));
    rig.refused(Method::POST, "/orders", body, unknown).await;
    assert_eq!(rig.effects().await, 0);
}

#[tokio::test]
async fn amounts_at_the_edges_pass() {
    let rig = Rig::start().await;
    for (amount, currency) in [(100, "INR"), (1, "JPY"), (99_990, "KWD"), (1_000, "BHD")] {
        let order = json!({ "amount": amount, "currency": currency, "receipt": "r".repeat(40) });
        assert_eq!(rig.post("/orders", order).await["amount"], amount);
    }
}

#[tokio::test]
async fn orders_are_listed_newest_first_in_pages() {
    let rig = Rig::start().await;
    let mut all = Vec::new();
    for number in 0..12 {
        let body = with(draft(), json!({ "receipt": format!("r-{number}") }));
        all.insert(0, id_of(&rig.post("/orders", body).await));
        rig.advance(60).await;
    }
    assert_eq!(ids(&rig.read("/orders").await), all[..10]);
    assert_eq!(ids(&rig.read("/orders?count=3&skip=10").await), all[10..]);
    assert_eq!(ids(&rig.read("/orders?receipt=r-3").await), all[8..9]);
    assert_eq!(ids(&rig.read("/orders?receipt=r-99").await), [""; 0]);
    // Every minute one, the first at 1768478400.
    let range = "/orders?from=1768478460&to=1768478520";
    assert_eq!(ids(&rig.read(range).await), all[9..11]);
    for (query, why) in [
        ("count=101", "The count may not be greater than 100."),
        ("count=x", "The count must be an integer."),
        ("skip=-1", "The skip must be at least 0."),
        ("from=5", "from must be between 946684800 and 4765046400"),
        ("authorized=2", "The authorized field must be 0 or 1."),
        (
            "status=paid",
            "status is/are not required and should not be sent",
        ),
    ] {
        let path = format!("/orders?{query}");
        rig.refused(Method::GET, &path, Value::Null, why).await;
    }
}

#[tokio::test]
async fn orders_are_found_by_whether_a_payment_was_authorized() {
    let rig = Rig::start().await;
    let (untouched, declined, authorized) = (
        rig.order(100).await,
        rig.order(200).await,
        rig.order(300).await,
    );
    rig.play(&declined, json!({ "action": "decline" })).await;
    rig.approve(&authorized).await;
    assert_eq!(ids(&rig.read("/orders?authorized=1").await), [authorized]);
    assert_eq!(
        ids(&rig.read("/orders?authorized=0").await),
        [declined.clone(), untouched]
    );
    let path = format!("/orders/{declined}?expand[]=payments.card");
    let order = rig.read(&path).await;
    assert_eq!(order["payments"]["items"][0]["card"]["network"], "Visa");
    let plain = rig.read(&format!("/orders/{declined}")).await;
    assert!(plain.get("payments").is_none());
}
