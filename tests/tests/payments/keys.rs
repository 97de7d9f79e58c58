//! One effect, whatever goes wrong between the caller and the provider.

use chrono::TimeDelta;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::rig::{PAYPAL, Shop, assert_unknown, path_of, provider_id, with_each_provider};

with_each_provider!(
    of_two_hundred_creates_with_one_key_one_reaches_the_provider,
    a_payment_whose_answer_was_lost_is_made_once,
    a_plan_whose_answer_was_lost_is_made_once,
    a_subscription_whose_answer_was_lost_is_made_once,
    a_link_whose_answer_was_lost_is_made_once,
    what_is_done_to_a_subscription_is_done_once,
    what_never_arrived_may_be_asked_for_again_without_a_second_effect,
    what_was_not_processed_releases_its_key,
);

scenarios!(
    a_product_whose_answer_was_lost_is_made_once,
    a_key_is_not_relied_on_beyond_its_window,
);

/// PayPal's plans need one.
async fn a_product_whose_answer_was_lost_is_made_once(ground: Ground) {
    let shop = Shop::on(ground, PAYPAL).await;
    shop.fault(
        json!({"fault": "reset_after"}),
        "POST",
        "/v1/catalogs/products",
    )
    .await;
    let once = shop.caller.with("Idempotency-Key", "plan");
    let lost = once.post("/v1/plans", plan(&shop)).await;
    assert_unknown(&lost);
    shop.background(TimeDelta::seconds(5)).await;
    let again = once.post("/v1/plans", plan(&shop)).await;
    assert_eq!(
        (again.status, again.text("status")),
        (201, "active"),
        "{again:?}"
    );
    // A second plan is of the same product.
    shop.create("/v1/plans", plan(&shop)).await;
    assert_eq!(shop.effects("product").await.len(), 1);
    assert_eq!(shop.effects("plan").await.len(), 2);
}

async fn a_key_is_not_relied_on_beyond_its_window(ground: Ground) {
    let shop = Shop::on(ground, PAYPAL).await;
    shop.create("/v1/plans", plan(&shop)).await;
    shop.fault(
        json!({"fault": "reset_before"}),
        "POST",
        "/v1/billing/plans",
    )
    .await;
    let lost = shop.caller.post("/v1/plans", plan(&shop)).await;
    assert_unknown(&lost);
    let asked = shop.requests("POST", "/v1/billing/plans").await.len();
    // PayPal forgets keys of plans after 72 hours.
    shop.background(TimeDelta::hours(72)).await;
    assert_eq!(
        shop.requests("POST", "/v1/billing/plans").await.len(),
        asked
    );
    let path = format!("/v1/plans/{}", lost.text("id"));
    assert_eq!(shop.stored(&path).await.text("status"), "unknown");
    assert_eq!(shop.effects("plan").await.len(), 1);
}

/// Faults after which the provider has done what the answer does not tell.
const LOST: [&str; 4] = [
    "reset_after",
    "truncated_body",
    "malformed_json",
    "wrong_content_type",
];

async fn of_two_hundred_creates_with_one_key_one_reaches_the_provider(shop: Shop) {
    let once = shop.caller.with("Idempotency-Key", "one");
    let mut creates = JoinSet::new();
    for number in 0..200 {
        let (once, body) = (once.clone(), shop.payment());
        let path = if number % 2 == 0 {
            "/v1/payments"
        } else {
            "/v1/payments/orders"
        };
        creates.spawn(async move { once.post(path, body).await });
    }
    let mut bodies = Vec::new();
    while let Some(reply) = creates.join_next().await {
        let reply = reply.unwrap();
        match reply.status {
            201 => bodies.push(reply.bytes),
            409 => assert_eq!(reply.code(), "idempotency_in_progress"),
            other => panic!("{other}: {reply:?}"),
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    assert_eq!(shop.effects(shop.provider.order).await.len(), 1);
    let list = shop.caller.get("/v1/payments").await;
    assert_eq!(list.json["data"].as_array().unwrap().len(), 1);
}

/// Loses the answer to a create, each time in another way; in the end there is one of them.
async fn lose(shop: &Shop, path: &str, at_provider: &str, kind: &str, body: Value) {
    for fault in LOST {
        let before = shop.effects(kind).await.len();
        let once = shop.caller.with("Idempotency-Key", fault);
        shop.fault(json!({"fault": fault}), "POST", at_provider)
            .await;
        let lost = once.post(path, body.clone()).await;
        assert_unknown(&lost);
        assert_eq!(shop.effects(kind).await.len(), before + 1, "{fault}");
        let object = format!("{path}/{}", lost.text("id"));
        assert_eq!(shop.stored(&object).await.text("status"), "unknown");
        shop.background(TimeDelta::seconds(5)).await;
        let again = once.post(path, body.clone()).await;
        assert_eq!(again.status, 201, "{fault}: {again:?}");
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.text("id"), lost.text("id"));
        assert_eq!(shop.effects(kind).await.len(), before + 1, "{fault}");
    }
}

async fn a_payment_whose_answer_was_lost_is_made_once(shop: Shop) {
    let at = if shop.provider.name == "paypal" {
        "/v2/checkout/orders"
    } else {
        "/v1/orders"
    };
    lose(
        &shop,
        "/v1/payments",
        at,
        shop.provider.order,
        shop.payment(),
    )
    .await;
    // And it can be paid.
    let list = shop.caller.get("/v1/payments?limit=1").await;
    let payment = &list.json["data"][0];
    let id = payment["id"].as_str().unwrap();
    shop.approve(payment["provider_order_id"].as_str().unwrap())
        .await;
    let paid = shop.read(&format!("/v1/payments/{id}")).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert!(!paid.text("checkout_url").is_empty());
}

fn plan(shop: &Shop) -> Value {
    json!({"name": "Pro", "amount": 20, "currency": shop.provider.currency, "interval": "month",
        "provider": shop.provider.name})
}

async fn a_plan_whose_answer_was_lost_is_made_once(shop: Shop) {
    let at = if shop.provider.name == "paypal" {
        "/v1/billing/plans"
    } else {
        "/v1/plans"
    };
    lose(&shop, "/v1/plans", at, "plan", plan(&shop)).await;
}

async fn a_subscription_whose_answer_was_lost_is_made_once(shop: Shop) {
    let plan = shop.create("/v1/plans", plan(&shop)).await;
    let body = json!({"plan_id": plan.text("id"), "total_count": 12});
    lose(
        &shop,
        "/v1/subscriptions",
        "subscriptions",
        "subscription",
        body,
    )
    .await;
}

async fn a_link_whose_answer_was_lost_is_made_once(shop: Shop) {
    let at = if shop.provider.name == "paypal" {
        "/v2/checkout/orders"
    } else {
        "/v1/payment_links"
    };
    let body = json!({"amount": 10, "currency": shop.provider.currency, "description": "Chairs",
        "provider": shop.provider.name});
    lose(&shop, "/v1/payment-links", at, shop.provider.link, body).await;
}

async fn what_is_done_to_a_subscription_is_done_once(shop: Shop) {
    let plan = shop.create("/v1/plans", plan(&shop)).await;
    let body = json!({"plan_id": plan.text("id"), "total_count": 12});
    let subscription = shop.create("/v1/subscriptions", body).await;
    shop.approve(&provider_id(&subscription)).await;
    let path = path_of(&subscription);
    if shop.read(&path).await.text("status") != "active" {
        shop.bill(&subscription, "succeed").await;
        assert_eq!(shop.read(&path).await.text("status"), "active");
    }
    let names = match shop.provider.name {
        "paypal" => ["suspend", "activate", "cancel"],
        _ => ["pause", "resume", "cancel"],
    };
    let ends = [
        ("pause", "paused"),
        ("resume", "active"),
        ("cancel", "canceled"),
    ];
    for ((action, status), theirs) in ends.into_iter().zip(names) {
        let once = shop.caller.with("Idempotency-Key", action);
        let at_provider = format!("/{theirs}");
        shop.fault(json!({"fault": "reset_after"}), "POST", &at_provider)
            .await;
        let lost = once.post(&format!("{path}/{action}"), json!({})).await;
        assert_unknown(&lost);
        shop.background(TimeDelta::seconds(5)).await;
        let again = once.post(&format!("{path}/{action}"), json!({})).await;
        assert_eq!(
            (again.status, again.text("status")),
            (200, status),
            "{again:?}"
        );
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(
            shop.requests("POST", &at_provider).await.len(),
            1,
            "{action}"
        );
    }
}

async fn what_never_arrived_may_be_asked_for_again_without_a_second_effect(shop: Shop) {
    let once = shop.caller.with("Idempotency-Key", "never");
    let orders = if shop.provider.name == "paypal" {
        "/v2/checkout/orders"
    } else {
        "/v1/orders"
    };
    shop.fault(json!({"fault": "reset_before"}), "POST", orders)
        .await;
    let lost = once.post("/v1/payments", shop.payment()).await;
    assert_unknown(&lost);
    assert!(shop.effects(shop.provider.order).await.is_empty());
    let path = format!("/v1/payments/{}", lost.text("id"));
    for wait in [5, 60, 600, 3_600] {
        shop.background(TimeDelta::seconds(wait)).await;
    }
    let settled = shop.stored(&path).await;
    let again = once.post("/v1/payments", shop.payment()).await;
    assert_eq!(again.status, 201, "{again:?}");
    if shop.provider.name == "paypal" {
        // Made under its key.
        assert_eq!(settled.text("status"), "requires_action");
        assert_eq!(again.text("id"), lost.text("id"));
    } else {
        // Not found for so long that it is not there: the key is free for a fresh one.
        assert_eq!(settled.text("status"), "failed");
        assert_eq!(settled.json["failure"]["retryable"], true);
        assert_ne!(again.text("id"), lost.text("id"));
    }
    assert_eq!(shop.effects(shop.provider.order).await.len(), 1);
}

async fn what_was_not_processed_releases_its_key(shop: Shop) {
    let once = shop.caller.with("Idempotency-Key", "busy");
    let orders = if shop.provider.name == "paypal" {
        "/v2/checkout/orders"
    } else {
        "/v1/orders"
    };
    shop.fault(
        json!({"fault": "error_before", "status": 429}),
        "POST",
        orders,
    )
    .await;
    let busy = once.post("/v1/payments", shop.payment()).await;
    assert_eq!(
        (busy.status, busy.code()),
        (429, "provider_rate_limited"),
        "{busy:?}"
    );
    let failed = shop
        .stored(&format!("/v1/payments/{}", busy.text("id")))
        .await;
    assert_eq!(failed.text("status"), "failed");
    assert_eq!(failed.json["failure"]["retryable"], true);
    let fresh = once.post("/v1/payments", shop.payment()).await;
    assert_eq!(fresh.status, 201, "{fresh:?}");
    assert_ne!(fresh.text("id"), busy.text("id"));
    assert_eq!(shop.effects(shop.provider.order).await.len(), 1);
    shop.approve(fresh.text("provider_order_id")).await;
    assert_eq!(
        shop.read(&path_of(&fresh)).await.text("status"),
        "succeeded"
    );
}
