//! Reserved first, taken later, or given up.

use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{PAYPAL, RAZORPAY, Shop, assert_unknown, digits, path_of, with_each_provider};

with_each_provider!(
    what_is_captured_by_hand_waits_for_it,
    a_part_is_captured_where_the_provider_can,
    what_the_buyer_has_not_paid_is_not_captured,
    what_was_reserved_is_given_up_where_the_provider_can,
    what_cannot_be_canceled_is_refused_and_nothing_is_sent,
    a_capture_is_replayed_under_its_key,
    a_capture_whose_answer_was_lost_is_made_once,
);

scenarios!(
    a_reservation_whose_answer_was_lost_is_made_once,
    what_is_captured_by_hand_waits_for_it_whatever_the_account_is_set_to,
);

/// Where reserving is a step of the seller's.
async fn a_reservation_whose_answer_was_lost_is_made_once(ground: Ground) {
    let shop = Shop::on(ground, PAYPAL).await;
    for fault in ["reset_after", "truncated_body"] {
        let before = shop.effects("authorization").await.len();
        let created = shop.approved(manual(&shop)).await;
        let path = path_of(&created);
        shop.fault(json!({"fault": fault}), "POST", "/authorize")
            .await;
        let lost = shop.read(&path).await;
        assert_eq!(lost.text("status"), "unknown", "{lost:?}");
        shop.background(chrono::TimeDelta::seconds(5)).await;
        let settled = shop.stored(&path).await;
        assert_eq!(settled.text("status"), "authorized", "{settled:?}");
        assert_eq!(
            shop.effects("authorization").await.len(),
            before + 1,
            "{fault}"
        );
    }
}

/// Accounts capture by themselves unless they are told otherwise.
async fn what_is_captured_by_hand_waits_for_it_whatever_the_account_is_set_to(ground: Ground) {
    let shop = Shop::on(ground, RAZORPAY).await;
    let by_itself = json!({"razorpay_auto_capture": true});
    shop.host
        .control(Method::PUT, "/_sandbox/config", Some(by_itself))
        .await;
    let path = authorized(&shop).await;
    let taken = shop.act(&format!("{path}/capture"), json!({})).await;
    assert_eq!(taken.text("status"), "succeeded", "{taken:?}");
    // What is to be captured is found captured.
    shop.paid().await;
    assert_eq!(shop.requests("POST", "/capture").await.len(), 1);
}

fn manual(shop: &Shop) -> Value {
    let mut body = shop.payment();
    body["capture"] = json!("manual");
    body
}

async fn authorized(shop: &Shop) -> String {
    let created = shop.approved(manual(shop)).await;
    let path = path_of(&created);
    let read = shop.read(&path).await;
    assert_eq!(read.text("status"), "authorized", "{read:?}");
    assert_eq!(digits(&read, "amount_captured"), "0.00");
    path
}

async fn what_is_captured_by_hand_waits_for_it(shop: Shop) {
    let path = authorized(&shop).await;
    shop.background(chrono::TimeDelta::minutes(2)).await;
    assert_eq!(shop.stored(&path).await.text("status"), "authorized");
    assert!(shop.effects(shop.provider.capture).await.is_empty());
    let taken = shop.act(&format!("{path}/capture"), json!({})).await;
    assert_eq!(taken.text("status"), "succeeded", "{taken:?}");
    assert_eq!(digits(&taken, "amount_captured"), "50.00");
    let twice = shop
        .caller
        .post(&format!("{path}/capture"), json!({}))
        .await;
    assert_eq!((twice.status, twice.code()), (409, "invalid_state"));
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
}

async fn a_part_is_captured_where_the_provider_can(shop: Shop) {
    let path = authorized(&shop).await;
    let capture = format!("{path}/capture");
    for (amount, code) in [
        (json!(50.01), "out_of_range"),
        (json!(0), "out_of_range"),
        (json!(-1), "invalid"),
        (json!(1.234), "invalid"),
        (json!("5e1"), "invalid"),
    ] {
        let refused = shop.caller.post(&capture, json!({"amount": amount})).await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "validation_failed"),
            "{amount}"
        );
        assert_eq!(refused.pointers(), ["/amount"]);
        assert_eq!(refused.json["errors"][0]["code"], code, "{refused:?}");
    }
    let part = shop.caller.post(&capture, json!({"amount": 20})).await;
    if shop.provider.name == "razorpay" {
        assert_eq!(
            (part.status, part.code()),
            (422, "validation_failed"),
            "{part:?}"
        );
        assert_eq!(part.pointers(), ["/amount"]);
        assert!(shop.requests("POST", "/capture").await.is_empty());
        return;
    }
    assert_eq!(
        (part.status, part.text("status")),
        (200, "succeeded"),
        "{part:?}"
    );
    assert_eq!(digits(&part, "amount_captured"), "20.00");
    assert_eq!(digits(&part, "amount"), "50.00");
    let rest = shop.caller.post(&capture, json!({"amount": 30})).await;
    assert_eq!((rest.status, rest.code()), (409, "invalid_state"));
}

async fn what_the_buyer_has_not_paid_is_not_captured(shop: Shop) {
    let created = shop.create("/v1/payments", manual(&shop)).await;
    let capture = format!("{}/capture", path_of(&created));
    let early = shop.caller.post(&capture, json!({})).await;
    assert_eq!(
        (early.status, early.code()),
        (409, "invalid_state"),
        "{early:?}"
    );
    assert!(shop.requests("POST", "/capture").await.is_empty());
}

async fn what_was_reserved_is_given_up_where_the_provider_can(shop: Shop) {
    let path = authorized(&shop).await;
    let canceled = shop.caller.post(&format!("{path}/cancel"), json!({})).await;
    if shop.provider.name == "razorpay" {
        assert_eq!(
            (canceled.status, canceled.code()),
            (422, "unsupported_by_provider"),
            "{canceled:?}"
        );
        return;
    }
    assert_eq!(
        (canceled.status, canceled.text("status")),
        (200, "canceled"),
        "{canceled:?}"
    );
    assert_eq!(shop.effects("void").await.len(), 1);
    let late = shop
        .caller
        .post(&format!("{path}/capture"), json!({}))
        .await;
    assert_eq!((late.status, late.code()), (409, "invalid_state"));
}

async fn what_cannot_be_canceled_is_refused_and_nothing_is_sent(shop: Shop) {
    let created = shop.create("/v1/payments", shop.payment()).await;
    let path = path_of(&created);
    let before = shop.requests("POST", "/").await.len();
    let refused = shop.caller.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "unsupported_by_provider"),
        "{refused:?}"
    );
    assert_eq!(shop.requests("POST", "/").await.len(), before);
    assert_eq!(shop.stored(&path).await.text("status"), "requires_action");
    // It can still be paid.
    shop.approve(created.text("provider_order_id")).await;
    assert_eq!(shop.read(&path).await.text("status"), "succeeded");
    let late = shop.caller.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!((late.status, late.code()), (409, "invalid_state"));
}

async fn a_capture_is_replayed_under_its_key(shop: Shop) {
    let path = authorized(&shop).await;
    let once = shop.caller.with("Idempotency-Key", "take");
    let first = once.post(&format!("{path}/capture"), json!({})).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = once.post(&format!("{path}/capture"), json!({})).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.bytes, first.bytes);
    let other = once
        .post(&format!("{path}/capture"), json!({"amount": 50}))
        .await;
    assert_eq!(
        (other.status, other.code()),
        (422, "idempotency_key_reused")
    );
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
}

async fn a_capture_whose_answer_was_lost_is_made_once(shop: Shop) {
    for fault in ["reset_after", "malformed_json"] {
        let path = authorized(&shop).await;
        let before = shop.effects(shop.provider.capture).await.len();
        let once = shop
            .caller
            .with("Idempotency-Key", &path[path.len() - 20..]);
        shop.fault(json!({"fault": fault}), "POST", "/capture")
            .await;
        let lost = once.post(&format!("{path}/capture"), json!({})).await;
        if lost.status == 504 {
            assert_unknown(&lost);
        } else {
            // The adapter may have read the state by itself.
            assert_eq!(lost.text("status"), "succeeded", "{lost:?}");
        }
        shop.background(chrono::TimeDelta::seconds(5)).await;
        let settled = once.post(&format!("{path}/capture"), json!({})).await;
        assert_eq!(
            (settled.status, settled.text("status")),
            (200, "succeeded"),
            "{fault}: {settled:?}"
        );
        assert_eq!(digits(&settled, "amount_captured"), "50.00");
        assert_eq!(
            shop.effects(shop.provider.capture).await.len(),
            before + 1,
            "{fault}"
        );
    }
}
