//! What goes on without a caller: lost objects are followed once they are found, refusals are tried
//! again with patience, and what ends by itself is seen to end.

use chrono::TimeDelta;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance, eventually};
use reqwest::Method;
use serde_json::json;

use crate::rig::{PAYPAL, RAZORPAY, Shop, assert_unknown, path_of, with_each_provider};

with_each_provider!(
    a_payment_that_was_lost_is_followed_once_it_is_found,
    a_refused_capture_stays_visible_and_is_tried_again_later,
    what_nobody_takes_in_time_is_seen_to_expire,
    a_buyers_page_is_watched_from_when_it_is_opened,
    a_cancel_that_is_refused_does_not_keep_the_money_from_being_taken,
);

scenarios!(
    a_declined_instrument_is_not_charged_at_every_look,
    a_capture_that_is_pending_and_then_declined_is_told,
    an_order_that_is_gone_has_expired,
    an_order_that_is_not_found_at_once_is_not_given_up,
    a_provider_that_hangs_does_not_hold_up_another,
    many_open_payments_hold_up_nobody,
);

/// More than there are hands, so that work is looked for while other work is being done; on SQLite all
/// of it waits for one connection that writes.
async fn many_open_payments_hold_up_nobody(ground: Ground) {
    let shop = Shop::on(ground, PAYPAL).await;
    let all = (0..80).map(|_| shop.create("/v1/payments", shop.payment()));
    for created in futures_util::future::join_all(all).await {
        assert_eq!(created.status, 201, "{created:?}");
    }
    advance(&shop.host, TimeDelta::minutes(2));
    let (looked_at, sent) = tokio::join!(
        shop.host.sweep(),
        shop.create("/v1/payments", shop.payment())
    );
    assert!(looked_at >= 80, "{looked_at}");
    assert_eq!(sent.status, 201, "{sent:?}");
}

async fn a_payment_that_was_lost_is_followed_once_it_is_found(shop: Shop) {
    let orders = match shop.provider.name {
        "paypal" => "/v2/checkout/orders",
        _ => "/v1/orders",
    };
    shop.fault(json!({"fault": "reset_after"}), "POST", orders)
        .await;
    let lost = shop.caller.post("/v1/payments", shop.payment()).await;
    assert_unknown(&lost);
    let path = format!("/v1/payments/{}", lost.text("id"));
    shop.background(TimeDelta::seconds(5)).await;
    let found = shop.stored(&path).await;
    assert_eq!(found.text("status"), "requires_action", "{found:?}");
    shop.approve(found.text("provider_order_id")).await;
    // Nobody reads it.
    shop.background(TimeDelta::seconds(15)).await;
    let paid = shop.stored(&path).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
}

async fn a_refused_capture_stays_visible_and_is_tried_again_later(shop: Shop) {
    let created = shop.approved(shop.payment()).await;
    let path = path_of(&created);
    let (status, code) = match shop.provider.name {
        "paypal" => (422, "TRANSACTION_REFUSED"),
        _ => (400, "BAD_REQUEST_ERROR"),
    };
    let refusal = json!({"fault": "error_before", "status": status, "code": code, "times": 7});
    shop.fault(refusal, "POST", "/capture").await;
    for _ in 0..10 {
        let refused = shop.read(&path).await;
        assert!(refused.json["failure"]["code"].is_string(), "{refused:?}");
    }
    let asked = shop.requests("POST", "/capture").await.len();
    assert!(asked <= 4, "{asked}");
    // More refusals than a moment brings, over hours.
    for _ in 0..20 {
        shop.background(TimeDelta::hours(1)).await;
        if shop.stored(&path).await.text("status") == "succeeded" {
            break;
        }
        // The buyer's word does not last as long at every provider.
        if shop.provider.name == "paypal" {
            return;
        }
    }
    let paid = shop.stored(&path).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert!(paid.json["failure"].is_null(), "{paid:?}");
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
}

async fn a_cancel_that_is_refused_does_not_keep_the_money_from_being_taken(shop: Shop) {
    let created = shop.create("/v1/payments", shop.payment()).await;
    let (order, path) = (created.text("provider_order_id"), path_of(&created));
    shop.buyer(order, json!({"action": "decline"})).await;
    shop.read(&path).await;
    let canceled = shop.caller.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(
        (canceled.status, canceled.code()),
        (422, "unsupported_by_provider"),
        "{canceled:?}"
    );
    // The buyer tries again, and nobody comes back.
    shop.approve(order).await;
    shop.background(TimeDelta::seconds(15)).await;
    let paid = shop.stored(&path).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert!(paid.json["failure"].is_null(), "{paid:?}");
}

/// The buyer agreed with means that turn out to be worth nothing, and later chooses others.
async fn a_declined_instrument_is_not_charged_at_every_look(ground: Ground) {
    let shop = Shop::on(ground, PAYPAL).await;
    let created = shop.create("/v1/payments", shop.payment()).await;
    let (order, path) = (created.text("provider_order_id"), path_of(&created));
    shop.buyer(order, json!({"action": "approve", "capture": "declined"}))
        .await;
    for _ in 0..10 {
        let declined = shop.read(&path).await;
        assert_eq!(declined.text("status"), "requires_action", "{declined:?}");
        let failure = &declined.json["failure"];
        assert_eq!(failure["code"], "instrument_declined", "{declined:?}");
        assert!(declined.text("checkout_url").starts_with("http"));
    }
    shop.background(TimeDelta::hours(1)).await;
    assert_eq!(shop.requests("POST", "/capture").await.len(), 1);
    // Only the buyer can say that there are others.
    let sent_back = shop.approve(order).await;
    let back = sent_back["url"].as_str().unwrap();
    assert_eq!(reqwest::get(back).await.unwrap().status(), 200);
    let paid = shop.stored(&path).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert!(paid.json["failure"].is_null(), "{paid:?}");
    assert_eq!(shop.effects("capture").await.len(), 1);
}

async fn a_capture_that_is_pending_and_then_declined_is_told(ground: Ground) {
    let shop = Shop::on(ground, PAYPAL).await;
    let mut body = shop.payment();
    body["capture"] = json!("manual");
    let created = shop.approved(body).await;
    let path = path_of(&created);
    assert_eq!(shop.read(&path).await.text("status"), "authorized");
    let pending = json!({"paypal_capture": "pending"});
    shop.host
        .control(Method::PUT, "/_sandbox/config", Some(pending))
        .await;
    let capture = format!("{path}/capture");
    let taken = shop.act(&capture, json!({})).await;
    assert_eq!(taken.text("status"), "processing", "{taken:?}");
    let twice = shop.caller.post(&capture, json!({})).await;
    assert_eq!((twice.status, twice.code()), (409, "invalid_state"));
    let id = taken.text("provider_payment_id");
    let status = format!("/_sandbox/messages/{id}/status");
    let declined = json!({"status": "DECLINED"});
    shop.host
        .control(Method::POST, &status, Some(declined))
        .await;
    let failed = shop.read(&path).await;
    assert_eq!(failed.text("status"), "failed", "{failed:?}");
    assert!(failed.json["failure"]["code"].is_string(), "{failed:?}");
}

async fn an_order_that_is_gone_has_expired(ground: Ground) {
    let shop = Shop::on(ground, PAYPAL).await;
    let payment = shop.create("/v1/payments", shop.payment()).await;
    let link =
        json!({"amount": 10, "currency": "USD", "description": "Chairs", "provider": "paypal"});
    let link = shop.create("/v1/payment-links", link).await;
    shop.background(TimeDelta::hours(7)).await;
    for object in [&payment, &link] {
        let gone = shop.stored(&path_of(object)).await;
        assert_eq!(gone.text("status"), "expired", "{gone:?}");
    }
}

async fn an_order_that_is_not_found_at_once_is_not_given_up(ground: Ground) {
    let shop = Shop::on(ground, PAYPAL).await;
    let created = shop.create("/v1/payments", shop.payment()).await;
    let absent = json!({"fault": "error_before", "status": 404, "code": "RESOURCE_NOT_FOUND"});
    shop.fault(absent, "GET", "/v2/checkout/orders").await;
    let path = path_of(&created);
    assert_eq!(shop.read(&path).await.text("status"), "requires_action");
    shop.approve(created.text("provider_order_id")).await;
    assert_eq!(shop.read(&path).await.text("status"), "succeeded");
}

/// What was reserved and is not taken goes back to the buyer, days later.
async fn what_nobody_takes_in_time_is_seen_to_expire(shop: Shop) {
    let mut body = shop.payment();
    body["capture"] = json!("manual");
    let created = shop.approved(body).await;
    let path = path_of(&created);
    assert_eq!(shop.read(&path).await.text("status"), "authorized");
    for _ in 0..31 {
        shop.background(TimeDelta::days(1)).await;
    }
    let over = shop.stored(&path).await;
    assert_eq!(over.text("status"), "expired", "{over:?}");
}

/// A link to pay may lie in a mailbox for a week.
async fn a_buyers_page_is_watched_from_when_it_is_opened(shop: Shop) {
    if shop.provider == PAYPAL {
        // The buyer goes to the provider's page, and an order does not last a week there.
        return;
    }
    let created = shop.create("/v1/payments", shop.payment()).await;
    for _ in 0..7 {
        shop.background(TimeDelta::days(1)).await;
    }
    let page = reqwest::get(created.text("checkout_url")).await.unwrap();
    assert_eq!(page.status(), 200);
    advance(&shop.host, TimeDelta::minutes(2));
    shop.approve(created.text("provider_order_id")).await;
    shop.background(TimeDelta::seconds(15)).await;
    let paid = shop.stored(&path_of(&created)).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
}

async fn a_provider_that_hangs_does_not_hold_up_another(ground: Ground) {
    let shop = Shop::on(ground, PAYPAL).await;
    for _ in 0..30 {
        shop.create("/v1/payments", shop.payment()).await;
    }
    let other = json!({"amount": 50, "currency": "INR", "provider": RAZORPAY.name});
    let other = shop.create("/v1/payments", other).await;
    shop.approve(other.text("provider_order_id")).await;
    let hang = json!({"fault": "latency_before", "delay_ms": 25_000, "times": 0});
    shop.fault(hang, "GET", "/v2/checkout/orders").await;
    advance(&shop.host, TimeDelta::seconds(15));
    let sweeper = shop.host.gateway.parts().sweeper.clone();
    let sweeping = tokio::spawn(async move { sweeper.sweep().await });
    eventually("the other provider's payment is seen to", || async {
        shop.stored(&path_of(&other)).await.text("status") == "succeeded"
    })
    .await;
    assert!(!sweeping.is_finished());
    sweeping.abort();
}
