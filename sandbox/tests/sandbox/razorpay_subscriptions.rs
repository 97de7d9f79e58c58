//! Subscriptions: creating them, and the buyer's mandate.

use onerouter_sandbox::razorpay::KEY_ID;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::{hidden, id_of, ids, signature},
    rig::{Rig, with},
};

const NOW: i64 = 1_768_478_400;
const DAY: i64 = 86_400;

async fn draft(rig: &Rig) -> Value {
    json!({ "plan_id": rig.plan(50_000).await, "total_count": 12 })
}

async fn status(rig: &Rig, id: &str) -> Value {
    rig.read(&format!("/subscriptions/{id}")).await["status"].clone()
}

#[tokio::test]
async fn a_subscription_waits_for_its_buyer() {
    let rig = Rig::start().await;
    let body = with(
        draft(&rig).await,
        json!({ "quantity": 2, "notes": { "a": "b" }, "customer_notify": 0 }),
    );
    let made = rig.post("/subscriptions", body.clone()).await;
    let id = id_of(&made);
    assert!(id.starts_with("sub_") && id.len() == 18, "{id}");
    assert_eq!(
        made,
        json!({
            "id": id, "entity": "subscription", "plan_id": body["plan_id"], "customer_id": null,
            "status": "created", "current_start": null, "current_end": null, "ended_at": null,
            "quantity": 2, "notes": { "a": "b" }, "charge_at": null, "start_at": null,
            "end_at": null, "auth_attempts": 0, "total_count": 12, "paid_count": 0,
            "customer_notify": false, "created_at": NOW, "expire_by": null,
            "short_url": rig.url(&format!("/razorpay/i/{id}")), "has_scheduled_changes": false,
            "change_scheduled_at": null, "source": "api", "offer_id": null,
            "payment_method": null, "remaining_count": 12,
        })
    );
    assert_eq!(rig.read(&format!("/subscriptions/{id}")).await, made);
    let other = rig.subscription(draft(&rig).await).await;
    assert_eq!(ids(&rig.read("/subscriptions").await), [other, id.clone()]);
    let path = format!(
        "/subscriptions?plan_id={}",
        body["plan_id"].as_str().unwrap()
    );
    assert_eq!(ids(&rig.read(&path).await), [id.as_str()]);
    let ledger = rig.get(&format!("ledger?kind=subscription&id={id}")).await;
    let entry = &ledger["data"][0];
    assert_eq!(
        json!([entry["object"], entry["amount"], entry["currency"]]),
        json!([body["plan_id"], "100000", "INR"])
    );
}

#[tokio::test]
async fn a_wrong_subscription_is_refused() {
    let rig = Rig::start().await;
    let body = draft(&rig).await;
    let addon = |item| json!({ "addons": [{ "item": item }] });
    for (change, why) in [
        (json!({ "plan_id": null }), "The plan id field is required."),
        (
            json!({ "plan_id": "plan_00000000000000" }),
            "The id provided does not exist",
        ),
        (json!({ "plan_id": "x" }), "x is not a valid id"),
        (
            json!({ "total_count": null }),
            "The total count field is required.",
        ),
        (
            json!({ "total_count": 0 }),
            "The total count must be at least 1.",
        ),
        (
            json!({ "total_count": 1_201 }),
            "Exceeds the maximum duration of a subscription, which is 100 years",
        ),
        (json!({ "quantity": 0 }), "The quantity must be at least 1."),
        (
            json!({ "start_at": NOW }),
            "start_at cannot be lesser than the current time",
        ),
        (
            json!({ "expire_by": NOW }),
            "expire_by cannot be lesser than the current time",
        ),
        (json!({ "offer_id": "offer_1" }), "Offer Not Found"),
        (
            json!({ "customer_id": "cust_1" }),
            "customer_id is/are not required and should not be sent",
        ),
        (
            addon(json!({ "currency": "INR" })),
            "The amount field is required.",
        ),
        (
            addon(json!({ "amount": 100, "currency": "USD" })),
            "The addon currency must be the currency of the plan",
        ),
        (json!({ "addons": {} }), "The addons must be an array."),
        (json!({ "addons": [{}] }), "The item field is required."),
    ] {
        let body = with(body.clone(), change);
        rig.refused(Method::POST, "/subscriptions", body, why).await;
    }
    assert_eq!(rig.count("kind=subscription").await, 0);
}

#[tokio::test]
async fn a_mandate_for_now_charges_at_once() {
    let rig = Rig::start().await;
    let body = with(
        draft(&rig).await,
        json!({
            "addons": [{ "item": { "name": "Set-up", "amount": 10_000, "currency": "INR" } }],
            "notify_info": { "notify_email": "ada@example.com" },
        }),
    );
    let id = rig.subscription(body).await;
    let back = rig.approve(&id).await;
    let now = &back["object"];
    // From 15 January to 15 February; the last of twelve charges is on 15 December.
    assert_eq!(
        json!([
            now["status"],
            now["current_start"],
            now["current_end"],
            now["charge_at"],
            now["start_at"],
            now["end_at"],
            now["paid_count"],
            now["remaining_count"],
            now["payment_method"]
        ]),
        json!([
            "active",
            NOW,
            NOW + 31 * DAY,
            NOW + 31 * DAY,
            NOW,
            NOW + 334 * DAY,
            1,
            11,
            "card"
        ])
    );
    assert!(now["customer_id"].as_str().unwrap().starts_with("cust_"));
    let payment = back["fields"]["razorpay_payment_id"].as_str().unwrap();
    let payment = rig.read(&format!("/payments/{payment}")).await;
    assert_eq!(
        json!([payment["status"], payment["amount"], payment["email"]]),
        json!(["captured", 60_000, "ada@example.com"])
    );
    assert!(payment["invoice_id"].as_str().unwrap().starts_with("inv_"));
    assert_eq!(rig.count(&format!("kind=payment&object={id}")).await, 1);
}

#[tokio::test]
async fn a_mandate_for_later_takes_a_token_and_gives_it_back() {
    let rig = Rig::start().await;
    let body = with(draft(&rig).await, json!({ "start_at": NOW + 10 * DAY }));
    let id = rig.subscription(body).await;
    let back = rig.approve(&id).await;
    assert_eq!(
        json!([
            back["object"]["status"],
            back["object"]["charge_at"],
            back["object"]["paid_count"]
        ]),
        json!(["authenticated", NOW + 10 * DAY, 0])
    );
    let payment = back["fields"]["razorpay_payment_id"].as_str().unwrap();
    let payment = rig.read(&format!("/payments/{payment}")).await;
    assert_eq!(
        json!([payment["amount"], payment["status"], payment["captured"]]),
        json!([100, "refunded", false])
    );
    assert_eq!(
        rig.kinds().await,
        ["plan", "subscription", "payment", "refund"]
    );
    rig.advance(10 * DAY).await;
    let now = rig.read(&format!("/subscriptions/{id}")).await;
    assert_eq!(
        json!([now["status"], now["current_start"], now["paid_count"]]),
        json!(["active", NOW + 10 * DAY, 1])
    );
}

#[tokio::test]
async fn an_upfront_amount_is_kept_and_not_charged_twice() {
    let rig = Rig::start().await;
    let body = with(
        draft(&rig).await,
        json!({
            "start_at": NOW + DAY,
            "addons": [{ "item": { "name": "Set-up", "amount": 10_000, "currency": "INR" } }],
        }),
    );
    let id = rig.subscription(body).await;
    rig.approve(&id).await;
    rig.advance(DAY).await;
    let ledger = rig.get(&format!("ledger?kind=payment&object={id}")).await;
    let amounts: Vec<&Value> = ledger["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["amount"])
        .collect();
    assert_eq!(amounts, ["10000", "50000"]);
    assert_eq!(rig.count("kind=refund").await, 0);
}

#[tokio::test]
async fn the_buyer_can_refuse_or_come_too_late() {
    let rig = Rig::start().await;
    let body = with(draft(&rig).await, json!({ "start_at": NOW + DAY }));
    let id = rig.subscription(body).await;
    let visit = json!({ "action": "decline", "method": "wallet" });
    let back = rig.play(&id, visit).await.body;
    assert_eq!(
        json!([
            back["object"]["status"],
            back["object"]["payment_method"],
            back["fields"]["error[code]"]
        ]),
        json!(["created", null, "BAD_REQUEST_ERROR"])
    );
    let attempt = &rig.read("/payments").await["items"][0];
    assert_eq!(
        json!([attempt["status"], attempt["method"]]),
        json!(["failed", "wallet"])
    );
    rig.advance(DAY).await;
    let now = rig.read(&format!("/subscriptions/{id}")).await;
    assert_eq!(
        json!([now["status"], now["ended_at"], now["charge_at"]]),
        json!(["expired", NOW + DAY, null])
    );
    assert_eq!(
        rig.play(&id, json!({ "action": "approve" })).await.status,
        400
    );
    let body = with(draft(&rig).await, json!({ "expire_by": NOW + 2 * DAY }));
    let other = rig.subscription(body).await;
    rig.advance(DAY).await;
    assert_eq!(status(&rig, &other).await, "expired");
    let path = format!("/subscriptions/{other}/cancel");
    let cancel = rig.ask(Method::POST, &path, Value::Null).await;
    assert_eq!(
        (cancel.status, &cancel.body),
        (
            400,
            &json!({ "error": {
                "code": "BAD_REQUEST_ERROR",
                "description": "Subscription is not cancellable in expired status.",
                "field": "status",
            } })
        )
    );
}

#[tokio::test]
async fn the_checkout_of_a_subscription_signs_the_other_way_round() {
    let rig = Rig::start().await;
    let id = rig.subscription(draft(&rig).await).await;
    let form = [
        ("key_id", KEY_ID),
        ("subscription_id", &id),
        ("name", "Shop"),
        ("callback_url", "https://shop.example/subscribed"),
        ("prefill[email]", "ada@example.com"),
    ];
    let url = rig.url("/razorpay/v1/checkout/embedded");
    let page = rig.send(rig.http.post(url).form(&form)).await;
    assert!(page.text.contains("500.00 INR"), "{}", page.text);
    let back = rig.press(&page.text, "approve", &[]).await;
    assert!(
        back.text
            .contains("action=\"https://shop.example/subscribed\"")
    );
    assert_eq!(hidden(&back.text, "razorpay_subscription_id"), id);
    let payment = hidden(&back.text, "razorpay_payment_id");
    assert_eq!(
        hidden(&back.text, "razorpay_signature"),
        signature(&format!("{payment}|{id}"))
    );
    let payment = rig.read(&format!("/payments/{payment}")).await;
    assert_eq!(payment["email"], "ada@example.com");
    assert_eq!(status(&rig, &id).await, "active");
    // The short URL shows a page too, and leads nowhere.
    let other = rig.subscription(draft(&rig).await).await;
    let page = rig
        .send(rig.http.get(rig.url(&format!("/razorpay/i/{other}"))))
        .await;
    let thanks = rig.press(&page.text, "approve", &[("method", "upi")]).await;
    assert!(thanks.text.contains("Thank you"));
    assert_eq!(status(&rig, &other).await, "active");
}
