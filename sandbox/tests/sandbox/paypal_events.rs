//! What PayPal tells of orders, payments and subscriptions.

use serde_json::{Value, json};

use crate::{
    paypal_rig::{Merchant, PLANS, SUBSCRIPTIONS, cycle, text},
    paypal_webhooks::{order, start, webhook},
    rig::with,
    webhook_rig::{Received, Receiver},
};

/// What came: the events' types, and the events.
async fn told(merchant: &Merchant, receiver: &Receiver) -> (Vec<String>, Vec<Value>) {
    merchant.rig.settled().await;
    let events: Vec<Value> = receiver.take().iter().map(Received::json).collect();
    let types = events.iter().map(|event| text(&event["event_type"]));
    (types.collect(), events)
}

async fn types(merchant: &Merchant, receiver: &Receiver) -> Vec<String> {
    told(merchant, receiver).await.0
}

#[tokio::test]
async fn an_order_is_told_from_the_approval_to_the_refund() {
    let (merchant, receiver, _) = start().await;
    let id = merchant.approved(&order()).await;
    let (events, bodies) = told(&merchant, &receiver).await;
    assert_eq!(events, ["CHECKOUT.ORDER.APPROVED"]);
    let event = &bodies[0];
    assert!(text(&event["id"]).starts_with("WH-"));
    assert_eq!(event["event_version"], "1.0");
    assert_eq!(event["resource_type"], "checkout-order");
    assert_eq!(event["resource_version"], "2.0");
    assert_eq!(event["create_time"], "2026-01-15T12:00:00.000Z");
    assert_eq!(
        (&event["resource"]["id"], &event["resource"]["status"]),
        (&json!(id), &json!("APPROVED"))
    );
    let paid = merchant.capture_order(&id).await.body;
    let capture = &paid["purchase_units"][0]["payments"]["captures"][0];
    let (events, bodies) = told(&merchant, &receiver).await;
    assert_eq!(
        events,
        ["PAYMENT.CAPTURE.COMPLETED", "CHECKOUT.ORDER.COMPLETED"]
    );
    let resource = &bodies[0]["resource"];
    assert_eq!(
        (&resource["id"], &resource["status"]),
        (&capture["id"], &json!("COMPLETED"))
    );
    assert_eq!(
        resource["supplementary_data"]["related_ids"]["order_id"],
        id
    );
    let refund = merchant.refund(capture, json!({})).await.body;
    let (events, bodies) = told(&merchant, &receiver).await;
    assert_eq!(events, ["PAYMENT.CAPTURE.REFUNDED"]);
    assert_eq!(bodies[0]["resource_type"], "refund");
    assert_eq!(bodies[0]["resource"]["id"], refund["id"]);
    let links = bodies[0]["resource"]["links"].as_array().unwrap();
    let up = links.iter().find(|link| link["rel"] == "up").unwrap();
    assert!(text(&up["href"]).ends_with(&text(&capture["id"])));
}

#[tokio::test]
async fn what_is_pending_is_told_and_so_is_its_end() {
    let (merchant, receiver, _) = start().await;
    for (amount, end, first, last) in [
        (
            "7701.00",
            "COMPLETED",
            "PAYMENT.CAPTURE.PENDING",
            "PAYMENT.CAPTURE.COMPLETED",
        ),
        (
            "7702.00",
            "DECLINED",
            "PAYMENT.CAPTURE.PENDING",
            "PAYMENT.CAPTURE.DENIED",
        ),
    ] {
        let unit = json!([{ "amount": { "currency_code": "USD", "value": amount } }]);
        let paid = merchant
            .paid(&with(order(), json!({ "purchase_units": unit })))
            .await;
        let (events, bodies) = told(&merchant, &receiver).await;
        assert_eq!(
            events,
            ["CHECKOUT.ORDER.APPROVED", first, "CHECKOUT.ORDER.COMPLETED"]
        );
        let id = text(&bodies[1]["resource"]["id"]);
        assert!(bodies[1]["resource"]["status_details"]["reason"].is_string());
        merchant.force(&id, json!({ "status": end })).await;
        assert_eq!(types(&merchant, &receiver).await, [last], "{paid}");
    }
    let unit = json!([{ "amount": { "currency_code": "USD", "value": "7703.00" } }]);
    merchant
        .paid(&with(order(), json!({ "purchase_units": unit })))
        .await;
    let events = types(&merchant, &receiver).await;
    assert!(
        events.contains(&"PAYMENT.CAPTURE.DECLINED".to_owned()),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_reservation_is_told() {
    let (merchant, receiver, _) = start().await;
    let authorization = merchant.held(&order()).await;
    assert_eq!(
        types(&merchant, &receiver).await,
        [
            "CHECKOUT.ORDER.APPROVED",
            "PAYMENT.AUTHORIZATION.CREATED",
            "CHECKOUT.ORDER.COMPLETED"
        ]
    );
    merchant.act_on(&authorization, "capture", json!({})).await;
    assert_eq!(
        types(&merchant, &receiver).await,
        ["PAYMENT.CAPTURE.COMPLETED"]
    );
    let other = merchant.held(&order()).await;
    told(&merchant, &receiver).await;
    merchant.act_on(&other, "void", json!({})).await;
    let (events, bodies) = told(&merchant, &receiver).await;
    assert_eq!(events, ["PAYMENT.AUTHORIZATION.VOIDED"]);
    assert_eq!(bodies[0]["resource"]["status"], "VOIDED");
}

#[tokio::test]
async fn a_subscription_is_told_through_its_life_and_its_charges_as_sales() {
    let (merchant, receiver, _) = start().await;
    let plan = merchant.plan(json!({})).await;
    assert_eq!(
        types(&merchant, &receiver).await,
        ["CATALOG.PRODUCT.CREATED", "BILLING.PLAN.CREATED"]
    );
    let id = merchant
        .subscription(&plan, json!({ "custom_id": "my 17" }))
        .await;
    assert_eq!(
        types(&merchant, &receiver).await,
        ["BILLING.SUBSCRIPTION.CREATED"]
    );
    merchant.approve(&id).await;
    let (events, bodies) = told(&merchant, &receiver).await;
    assert_eq!(events[0], "BILLING.SUBSCRIPTION.ACTIVATED");
    assert_eq!(bodies[0]["resource"]["status"], "ACTIVE");
    let sale = bodies
        .iter()
        .find(|event| event["event_type"] == "PAYMENT.SALE.COMPLETED")
        .unwrap();
    assert_eq!(sale["resource_type"], "sale");
    assert!(sale["resource_version"].is_null());
    let resource = &sale["resource"];
    assert_eq!(resource["state"], "completed");
    assert_eq!(resource["billing_agreement_id"], id);
    assert_eq!(resource["custom"], "my 17");
    assert!(resource["amount"]["total"].is_string());
    assert_eq!(resource["amount"]["currency"], "USD");
    for (act, event) in [
        ("suspend", "BILLING.SUBSCRIPTION.SUSPENDED"),
        ("activate", "BILLING.SUBSCRIPTION.ACTIVATED"),
    ] {
        merchant.change(&id, act, "because").await;
        assert_eq!(types(&merchant, &receiver).await, [event]);
    }
    merchant.cycle(&id, "succeed").await;
    assert_eq!(
        types(&merchant, &receiver).await,
        ["PAYMENT.SALE.COMPLETED"]
    );
    merchant.cycle(&id, "fail").await;
    let (events, bodies) = told(&merchant, &receiver).await;
    assert_eq!(events, ["BILLING.SUBSCRIPTION.PAYMENT.FAILED"]);
    assert_eq!(bodies[0]["resource"]["id"], id);
    assert!(bodies[0]["resource"]["billing_info"]["last_failed_payment"].is_object());
    merchant.change(&id, "cancel", "enough").await;
    assert_eq!(
        types(&merchant, &receiver).await,
        ["BILLING.SUBSCRIPTION.CANCELLED"]
    );
    let status = merchant.status(&format!("{SUBSCRIPTIONS}/{id}")).await;
    assert_eq!(status, "CANCELLED");
}

#[tokio::test]
async fn a_charge_that_the_clock_brings_is_told() {
    let (merchant, receiver, _) = start().await;
    merchant.running(json!({})).await;
    told(&merchant, &receiver).await;
    merchant.rig.advance_and_settle(32 * 86_400).await;
    let (events, bodies) = told(&merchant, &receiver).await;
    assert_eq!(events[0], "PAYMENT.SALE.COMPLETED", "{events:?}");
    assert!(text(&bodies[0]["create_time"]).starts_with("2026-02-15T12:00:00"));
}

#[tokio::test]
async fn a_webhook_hears_only_what_it_asked_for() {
    let (merchant, receiver) = (Merchant::start().await, Receiver::start().await);
    webhook(&merchant, &receiver, &["PAYMENT.CAPTURE.COMPLETED"]).await;
    merchant.paid(&order()).await;
    assert_eq!(
        types(&merchant, &receiver).await,
        ["PAYMENT.CAPTURE.COMPLETED"]
    );
}

#[tokio::test]
async fn refunds_that_are_pending_or_fail_are_told() {
    let (merchant, receiver, _) = start().await;
    let unit = json!([{ "amount": { "currency_code": "USD", "value": "20000.00" } }]);
    let id = merchant
        .approved(&with(order(), json!({ "purchase_units": unit })))
        .await;
    let paid = merchant.capture_order(&id).await.body;
    let capture = &paid["purchase_units"][0]["payments"]["captures"][0];
    told(&merchant, &receiver).await;
    let part = |value: &str| json!({ "amount": { "currency_code": "USD", "value": value } });
    let pending = merchant.refund(capture, part("7707.00")).await.body;
    assert_eq!(
        types(&merchant, &receiver).await,
        ["PAYMENT.REFUND.PENDING"]
    );
    let done = json!({ "status": "COMPLETED" });
    merchant.force(&text(&pending["id"]), done).await;
    assert_eq!(
        types(&merchant, &receiver).await,
        ["PAYMENT.CAPTURE.REFUNDED"]
    );
    merchant.refund(capture, part("7708.00")).await;
    assert_eq!(types(&merchant, &receiver).await, ["PAYMENT.REFUND.FAILED"]);
}

#[tokio::test]
async fn plans_revisions_and_the_end_of_a_subscription_are_told() {
    let (merchant, receiver, _) = start().await;
    let product = merchant.product().await;
    let twice = json!({
        "product_id": product,
        "billing_cycles": [cycle(1, "REGULAR", "10.00", 2)],
    });
    let plan = merchant.plan(twice).await;
    let other = merchant.plan(json!({ "product_id": product })).await;
    told(&merchant, &receiver).await;
    for (act, event) in [
        ("deactivate", "BILLING.PLAN.DEACTIVATED"),
        ("activate", "BILLING.PLAN.ACTIVATED"),
    ] {
        merchant
            .act(&format!("{PLANS}/{plan}/{act}"), &json!({}))
            .await;
        assert_eq!(types(&merchant, &receiver).await, [event]);
    }
    let ending = merchant.subscription(&plan, json!({})).await;
    merchant.approve(&ending).await;
    told(&merchant, &receiver).await;
    merchant.cycle(&ending, "succeed").await;
    assert_eq!(
        types(&merchant, &receiver).await,
        ["PAYMENT.SALE.COMPLETED", "BILLING.SUBSCRIPTION.EXPIRED"]
    );
    let revised = merchant.subscription(&plan, json!({})).await;
    merchant.approve(&revised).await;
    let path = format!("{SUBSCRIPTIONS}/{revised}/revise");
    merchant.post(&path, &json!({ "plan_id": other })).await;
    told(&merchant, &receiver).await;
    merchant.approve(&revised).await;
    let (events, bodies) = told(&merchant, &receiver).await;
    assert_eq!(events, ["BILLING.SUBSCRIPTION.UPDATED"]);
    assert_eq!(bodies[0]["resource"]["plan_id"], other);
}
