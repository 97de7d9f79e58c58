//! `PayPal-Request-Id`: the latest state of the first call, for as long as each API keeps it.

use serde_json::json;

use crate::paypal_rig::{
    AUTHORIZATIONS, CAPTURES, Merchant, ORDERS, PLANS, PRODUCTS, SUBSCRIPTIONS, money, order,
    order_by_source, plan, subscription, text,
};

const HOUR: i64 = 3_600;

#[tokio::test]
async fn the_same_id_shows_the_first_order_as_it_is_now() {
    let merchant = Merchant::start().await;
    let first = merchant.post_as("r1", ORDERS, &order("5.00", "USD")).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = merchant.post_as("r1", ORDERS, &order("5.00", "USD")).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    merchant.approve(first.body["id"].as_str().unwrap()).await;
    let now = merchant.post_as("r1", ORDERS, &order("5.00", "USD")).await;
    assert_eq!(
        (now.status, &now.body["id"], &now.body["status"]),
        (200, &first.body["id"], &"APPROVED".into())
    );
    let entries = merchant.entries("order").await;
    assert_eq!(
        (entries.len(), &entries[0]["idempotency_key"]),
        (1, &"r1".into())
    );
}

#[tokio::test]
async fn the_body_of_a_repeat_does_not_count() {
    let merchant = Merchant::start().await;
    let first = merchant.post_as("r1", ORDERS, &order("5.00", "USD")).await;
    let other = merchant.post_as("r1", ORDERS, &order("6.00", "USD")).await;
    assert_eq!((other.status, &other.body), (200, &first.body));
    assert_eq!(merchant.entries("order").await.len(), 1);
}

#[tokio::test]
async fn orders_keep_an_id_for_six_hours() {
    let merchant = Merchant::start().await;
    let paid = merchant.approved(&order("5.00", "USD")).await;
    let path = format!("{ORDERS}/{paid}/capture");
    assert_eq!(merchant.post_as("r1", &path, &json!({})).await.status, 201);
    let merchant = merchant.later(6 * HOUR - 1).await;
    let again = merchant.post_as("r1", &path, &json!({})).await;
    assert_eq!(
        (again.status, &again.body["status"]),
        (200, &"COMPLETED".into())
    );
    let merchant = merchant.later(1).await;
    let forgotten = merchant.post_as("r1", &path, &json!({})).await;
    forgotten.assert_paypal_issue(422, "ORDER_ALREADY_CAPTURED");
    assert_eq!(merchant.entries("capture").await.len(), 1);
}

#[tokio::test]
async fn payments_keep_an_id_for_45_days() {
    let merchant = Merchant::start().await;
    let capture = merchant.paid(&order("5.00", "USD")).await;
    let path = format!("{CAPTURES}/{}/refund", text(&capture["id"]));
    let part = json!({ "amount": money("1.00", "USD") });
    let first = merchant.post_as("r1", &path, &part).await;
    assert_eq!(first.status, 201, "{first:?}");
    let merchant = merchant.later(45 * 24 * HOUR - 1).await;
    let again = merchant.post_as("r1", &path, &part).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let merchant = merchant.later(1).await;
    let forgotten = merchant.post_as("r1", &path, &part).await;
    assert_eq!(forgotten.status, 201, "{forgotten:?}");
    assert_ne!(forgotten.body["id"], first.body["id"]);
    assert_eq!(merchant.entries("refund").await.len(), 2);
}

#[tokio::test]
async fn products_plans_and_subscriptions_keep_an_id_for_72_hours() {
    let merchant = Merchant::start().await;
    let (product, own) = (
        json!({ "name": "Chairs", "type": "SERVICE" }),
        merchant.product().await,
    );
    let (plan_body, plan) = (plan(&own), merchant.plan(json!({})).await);
    let subscription = subscription(&plan);
    let calls = [
        (PRODUCTS, product),
        (PLANS, plan_body),
        (SUBSCRIPTIONS, subscription),
    ];
    let mut first = Vec::new();
    for (path, body) in &calls {
        let made = merchant.post_as("r1", path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        first.push(made.body);
    }
    let merchant = merchant.later(72 * HOUR - 1).await;
    for ((path, body), first) in calls.iter().zip(&first) {
        let again = merchant.post_as("r1", path, body).await;
        assert_eq!((again.status, &again.body), (200, first), "{path}");
    }
    let merchant = merchant.later(1).await;
    for ((path, body), first) in calls.iter().zip(&first) {
        let forgotten = merchant.post_as("r1", path, body).await;
        assert_eq!(forgotten.status, 201, "{path}: {forgotten:?}");
        assert_ne!(forgotten.body["id"], first["id"], "{path}");
    }
}

#[tokio::test]
async fn authorizations_are_captured_renewed_and_voided_once_per_id() {
    let merchant = Merchant::start().await;
    let (captured, voided) = (
        merchant.held(&order("5.00", "USD")).await,
        merchant.held(&order("5.00", "USD")).await,
    );
    let renewed = merchant.held(&order("5.00", "USD")).await;
    let merchant = merchant.later(72 * HOUR).await;
    for (authorization, act, first_status) in [
        (&captured, "capture", 201),
        (&renewed, "reauthorize", 201),
        (&voided, "void", 200),
    ] {
        let path = format!("{AUTHORIZATIONS}/{}/{act}", text(&authorization["id"]));
        let body = match act {
            "capture" => json!({ "amount": money("1.00", "USD") }),
            _ => json!({}),
        };
        let first = merchant.post_as("r1", &path, &body).await;
        assert_eq!(first.status, first_status, "{first:?}");
        let again = merchant.post_as("r1", &path, &body).await;
        assert_eq!((again.status, &again.body), (200, &first.body), "{act}");
    }
    let path = format!("{AUTHORIZATIONS}/{}/void", text(&voided["id"]));
    let minimal = merchant
        .posting(&path, &json!({}))
        .header("PayPal-Request-Id", "r1");
    assert_eq!(merchant.rig.send(minimal).await.status, 204);
    assert_eq!(merchant.entries("void").await.len(), 1);
}

#[tokio::test]
async fn without_an_id_each_call_acts() {
    let merchant = Merchant::start().await;
    let capture = merchant.paid(&order("5.00", "USD")).await;
    for _ in 0..2 {
        let part = json!({ "amount": money("1.00", "USD") });
        assert_eq!(merchant.refund(&capture, part).await.status, 201);
    }
    assert_eq!(merchant.entries("refund").await.len(), 2);
}

#[tokio::test]
async fn an_id_belongs_to_one_endpoint_here() {
    let merchant = Merchant::start().await;
    let made = merchant.post_as("r1", ORDERS, &order("5.00", "USD")).await;
    let id = text(&made.body["id"]);
    merchant.approve(&id).await;
    let paid = merchant
        .post_as("r1", &format!("{ORDERS}/{id}/capture"), &json!({}))
        .await;
    assert_eq!(paid.status, 201, "{paid:?}");
}

#[tokio::test]
async fn a_refused_call_frees_its_id() {
    let merchant = Merchant::start().await;
    let id = merchant.order(&order("5.00", "USD")).await;
    let path = format!("{ORDERS}/{id}/capture");
    let early = merchant.post_as("r1", &path, &json!({})).await;
    early.assert_paypal_issue(422, "ORDER_NOT_APPROVED");
    merchant.approve(&id).await;
    assert_eq!(merchant.post_as("r1", &path, &json!({})).await.status, 201);
}

#[tokio::test]
async fn an_id_has_1_to_108_characters() {
    let merchant = Merchant::start().await;
    for (length, status) in [(0, 400), (1, 200), (108, 200), (109, 400)] {
        let id = "r".repeat(length);
        let answer = merchant
            .post_as(&id, ORDERS, &order_by_source("5.00"))
            .await;
        assert_eq!(answer.status, status, "{length}: {}", answer.text);
        if status == 400 {
            answer.assert_paypal_issue(400, "INVALID_STRING_LENGTH");
        }
    }
}

#[tokio::test]
async fn a_twin_of_a_running_call_is_refused() {
    let merchant = Merchant::start().await;
    let id = merchant.approved(&order("5.00", "USD")).await;
    let path = format!("{ORDERS}/{id}/capture");
    let before = merchant.rig.get("requests").await["total"]
        .as_u64()
        .unwrap();
    merchant
        .rig
        .fault(json!({ "fault": "latency_before", "delay_ms": 1500, "provider": "paypal", "path_contains": "/capture" }))
        .await;
    let body = json!({});
    let (slow, twin) = tokio::join!(merchant.post_as("r1", &path, &body), async {
        merchant.rig.received(before + 1).await;
        merchant.post_as("r1", &path, &body).await
    });
    assert_eq!(slow.status, 201, "{slow:?}");
    twin.assert_paypal_issue(409, "PREVIOUS_REQUEST_IN_PROGRESS");
    assert_eq!(merchant.post_as("r1", &path, &body).await.body, slow.body);
    assert_eq!(merchant.entries("capture").await.len(), 1);
}

#[tokio::test]
async fn two_refunds_of_one_capture_do_not_run_at_once() {
    let merchant = Merchant::start().await;
    let capture = merchant.paid(&order("5.00", "USD")).await;
    let before = merchant.rig.get("requests").await["total"]
        .as_u64()
        .unwrap();
    merchant
        .rig
        .fault(json!({ "fault": "latency_after", "delay_ms": 1500, "path_contains": "/refund" }))
        .await;
    let part = || json!({ "amount": money("1.00", "USD") });
    let (slow, twin) = tokio::join!(merchant.refund(&capture, part()), async {
        merchant.rig.received(before + 1).await;
        merchant.refund(&capture, part()).await
    });
    assert_eq!(slow.status, 201, "{slow:?}");
    twin.assert_paypal_issue(409, "PREVIOUS_REQUEST_IN_PROGRESS");
    assert_eq!(merchant.refund(&capture, part()).await.status, 201);
}

#[tokio::test]
async fn a_lost_answer_is_found_again_by_its_id() {
    let merchant = Merchant::start().await;
    let id = merchant.approved(&order("5.00", "USD")).await;
    let path = format!("{ORDERS}/{id}/capture");
    merchant
        .rig
        .fault(json!({ "fault": "reset_after", "path_contains": "/capture" }))
        .await;
    let lost = merchant
        .posting(&path, &json!({}))
        .header("PayPal-Request-Id", "r1");
    assert!(lost.send().await.is_err());
    let found = merchant.post_as("r1", &path, &json!({})).await;
    assert_eq!(
        (found.status, &found.body["status"]),
        (200, &"COMPLETED".into())
    );
    assert_eq!(merchant.entries("capture").await.len(), 1);
}
