//! Money that goes back: never more than was captured, once for each request.

use chrono::TimeDelta;
use onerouter_tests::harness::Reply;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::rig::{RAZORPAY, Shop, assert_unknown, digits, path_of, with_each_provider};

with_each_provider!(
    a_part_is_refunded_and_then_the_rest,
    a_payment_may_be_named_as_the_provider_names_it,
    two_refunds_without_a_key_are_two_and_with_one_key_one,
    of_fifty_refunds_at_once_no_more_than_the_payment_goes_back,
    a_refund_whose_answer_was_lost_is_made_once,
    of_two_hundred_twins_of_a_refund_one_is_made,
    a_refund_that_the_provider_refuses_gives_its_part_back,
    what_cannot_be_refunded_is_refused,
);

scenarios!(
    a_refund_that_was_lost_beyond_its_key_is_found,
    a_refund_that_never_arrived_gives_its_part_back,
    a_refund_that_cannot_be_instant_is_a_normal_one,
);

/// Razorpay remembers a key for a day, as far as is known.
async fn a_refund_that_was_lost_beyond_its_key_is_found(ground: Ground) {
    let shop = Shop::on(ground, RAZORPAY).await;
    let paid = shop.paid().await;
    shop.fault(json!({"fault": "reset_after"}), "POST", "/refund")
        .await;
    let once = shop.caller.with("Idempotency-Key", "lost");
    let body = json!({"payment_id": paid.text("id"), "amount": "20.50"});
    let lost = once.post("/v1/refunds", body.clone()).await;
    assert_unknown(&lost);
    shop.background(TimeDelta::hours(30)).await;
    let found = once.post("/v1/refunds", body).await;
    assert_eq!((found.status, found.text("id")), (201, lost.text("id")));
    assert_eq!(shop.requests("POST", "/refund").await.len(), 1);
    assert_eq!(shop.effects("refund").await.len(), 1);
}

async fn a_refund_that_never_arrived_gives_its_part_back(ground: Ground) {
    let shop = Shop::on(ground, RAZORPAY).await;
    let paid = shop.paid().await;
    shop.fault(json!({"fault": "reset_before"}), "POST", "/refund")
        .await;
    let once = shop.caller.with("Idempotency-Key", "never");
    let body = json!({"payment_id": paid.text("id")});
    let lost = once.post("/v1/refunds", body.clone()).await;
    assert_unknown(&lost);
    shop.background(TimeDelta::hours(30)).await;
    let failed = shop
        .stored(&format!("/v1/refunds/{}", lost.text("id")))
        .await;
    assert_eq!(failed.text("status"), "failed", "{failed:?}");
    assert_eq!(failed.json["failure"]["retryable"], true);
    let again = once.post("/v1/refunds", body).await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_ne!(again.text("id"), lost.text("id"));
    assert_eq!(digits(&again, "amount"), "50.00");
    assert_eq!(shop.effects("refund").await.len(), 1);
}

async fn a_refund_that_cannot_be_instant_is_a_normal_one(ground: Ground) {
    let shop = Shop::on(ground, RAZORPAY).await;
    let paid = shop.paid().await;
    let body = json!({"payment_id": paid.text("id"), "amount": "20.50", "speed": "optimum",
        "metadata": {"case": "sandbox_refund_refused_instant"}});
    let made = refund(&shop, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    settled(&shop, &made).await;
    assert_eq!(shop.effects("refund").await.len(), 1);
    let sent = shop.requests("POST", "/refund").await;
    let speeds: Vec<_> = sent
        .iter()
        .map(|request| request["body"].as_str().unwrap().contains("\"normal\""))
        .collect();
    assert_eq!(speeds, [false, true]);
}

async fn refund(shop: &Shop, body: Value) -> Reply {
    shop.caller.post("/v1/refunds", body).await
}

/// The refund at its end, to which some providers take a moment.
async fn settled(shop: &Shop, refund: &Reply) -> Reply {
    advance(&shop.host, TimeDelta::seconds(5));
    let read = shop.read(&path_of(refund)).await;
    assert_eq!(read.text("status"), "succeeded", "{read:?}");
    read
}

async fn a_part_is_refunded_and_then_the_rest(shop: Shop) {
    let paid = shop.paid().await;
    let id = paid.text("id");
    let body =
        json!({"payment_id": id, "amount": "20.50", "reason": "Broken", "metadata": {"case": "9"}});
    let part = refund(&shop, body).await;
    assert_eq!(part.status, 201, "{part:?}");
    assert!(part.text("id").starts_with("re_"));
    assert_eq!(part.text("refund_id"), part.text("id"));
    assert_eq!(part.text("payment_id"), id);
    assert_eq!(digits(&part, "amount"), "20.50");
    assert_eq!(part.text("reason"), "Broken");
    assert_eq!(part.json["metadata"], json!({"case": "9"}));
    settled(&shop, &part).await;
    let payment = shop.stored(&path_of(&paid)).await;
    assert_eq!(payment.text("status"), "succeeded");
    assert_eq!(digits(&payment, "amount_refunded"), "20.50");

    let rest = shop
        .caller
        .post("/v1/payments/refund", json!({"payment_id": id}))
        .await;
    assert_eq!(rest.status, 201, "{rest:?}");
    assert_eq!(digits(&rest, "amount"), "29.50");
    settled(&shop, &rest).await;
    let payment = shop.stored(&path_of(&paid)).await;
    assert_eq!(digits(&payment, "amount_refunded"), "50.00");
    let more = refund(&shop, json!({"payment_id": id})).await;
    assert_eq!(
        (more.status, more.code()),
        (409, "invalid_state"),
        "{more:?}"
    );
    assert_eq!(shop.effects("refund").await.len(), 2);
    let list = shop.caller.get("/v1/refunds").await;
    let ids: Vec<_> = list.json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(ids, [rest.json["id"].clone(), part.json["id"].clone()]);
}

async fn a_payment_may_be_named_as_the_provider_names_it(shop: Shop) {
    let paid = shop.paid().await;
    for field in ["provider_order_id", "provider_payment_id"] {
        let body = json!({"payment_id": paid.text(field), "amount": 1});
        let refunded = refund(&shop, body).await;
        assert_eq!(refunded.status, 201, "{refunded:?}");
        assert_eq!(refunded.text("payment_id"), paid.text("id"));
    }
    // Of another tenant it is nobody's.
    let other = shop.host.tenant("other").await;
    shop.host.connect_sandbox_of(&other).await;
    let other = shop.host.key_of(&other, "test").await;
    for name in ["id", "provider_order_id", "provider_payment_id"] {
        let foreign = other
            .post("/v1/refunds", json!({"payment_id": paid.text(name)}))
            .await;
        assert_eq!(
            (foreign.status, foreign.code()),
            (404, "not_found"),
            "{foreign:?}"
        );
    }
    assert_eq!(shop.effects("refund").await.len(), 2);
}

async fn two_refunds_without_a_key_are_two_and_with_one_key_one(shop: Shop) {
    let paid = shop.paid().await;
    let body = json!({"payment_id": paid.text("id"), "amount": 10});
    let first = refund(&shop, body.clone()).await;
    let second = refund(&shop, body.clone()).await;
    assert_eq!((first.status, second.status), (201, 201), "{second:?}");
    assert_ne!(first.text("id"), second.text("id"));
    assert_eq!(shop.effects("refund").await.len(), 2);
    let once = shop.caller.with("Idempotency-Key", "give");
    let keyed = once.post("/v1/refunds", body.clone()).await;
    let again = once.post("/v1/payments/refund", body).await;
    assert_eq!((keyed.status, again.status), (201, 201), "{again:?}");
    assert_eq!(again.bytes, keyed.bytes);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(shop.effects("refund").await.len(), 3);
}

async fn of_fifty_refunds_at_once_no_more_than_the_payment_goes_back(shop: Shop) {
    let paid = shop.paid().await;
    let body = json!({"payment_id": paid.text("id"), "amount": "6.00"});
    let mut refunds = JoinSet::new();
    for _ in 0..50 {
        let (caller, body) = (shop.caller.clone(), body.clone());
        refunds.spawn(async move { caller.post("/v1/refunds", body).await });
    }
    let (mut made, mut in_doubt) = (0, 0);
    while let Some(reply) = refunds.join_next().await {
        let reply = reply.unwrap();
        match reply.status {
            201 => made += 1,
            // PayPal works on one refund of a payment at a time, and what it says to another one may be
            // about an earlier try of that one.
            504 if shop.provider.name == "paypal" => in_doubt += 1,
            422 => assert_eq!(
                (reply.code(), reply.pointers()),
                ("validation_failed", vec!["/amount"])
            ),
            other => panic!("{other}: {reply:?}"),
        }
    }
    // 8 times 6.00 are 48.00.
    assert_eq!(made + in_doubt, 8);
    for _ in 0..4 {
        shop.background(TimeDelta::seconds(30)).await;
    }
    assert_eq!(shop.effects("refund").await.len(), 8);
    let unknown = shop.caller.get("/v1/refunds?status=unknown").await;
    assert_eq!(unknown.json["data"], json!([]));
    let rest = refund(&shop, json!({"payment_id": paid.text("id")})).await;
    assert_eq!(
        (rest.status, digits(&rest, "amount")),
        (201, "2.00".to_owned()),
        "{rest:?}"
    );
}

async fn of_two_hundred_twins_of_a_refund_one_is_made(shop: Shop) {
    let paid = shop.paid().await;
    let once = shop.caller.with("Idempotency-Key", "one");
    let body = json!({"payment_id": paid.text("id"), "amount": "20.50"});
    let mut twins = JoinSet::new();
    for _ in 0..200 {
        let (once, body) = (once.clone(), body.clone());
        twins.spawn(async move { once.post("/v1/refunds", body).await });
    }
    let mut made = Vec::new();
    while let Some(reply) = twins.join_next().await {
        let reply = reply.unwrap();
        match reply.status {
            201 => made.push(reply.bytes),
            409 => assert_eq!(reply.code(), "idempotency_in_progress"),
            _ => panic!("{reply:?}"),
        }
    }
    made.dedup();
    assert_eq!(made.len(), 1);
    assert_eq!(shop.effects("refund").await.len(), 1);
}

async fn a_refund_whose_answer_was_lost_is_made_once(shop: Shop) {
    let paid = shop.paid().await;
    for fault in ["reset_after", "truncated_body", "malformed_json"] {
        let before = shop.effects("refund").await.len();
        let once = shop.caller.with("Idempotency-Key", fault);
        let body = json!({"payment_id": paid.text("id"), "amount": 5});
        shop.fault(json!({"fault": fault}), "POST", "/refund").await;
        let lost = once.post("/v1/refunds", body.clone()).await;
        assert_unknown(&lost);
        assert_eq!(shop.effects("refund").await.len(), before + 1);
        // While nobody knows, its part is held back.
        let too_much = refund(&shop, json!({"payment_id": paid.text("id"), "amount": 50})).await;
        assert_eq!(too_much.status, 422, "{too_much:?}");
        shop.background(chrono::TimeDelta::seconds(5)).await;
        let again = once.post("/v1/refunds", body).await;
        assert_eq!(again.status, 201, "{fault}: {again:?}");
        assert_eq!(again.text("id"), lost.text("id"));
        settled(&shop, &again).await;
        assert_eq!(shop.effects("refund").await.len(), before + 1, "{fault}");
    }
    let payment = shop.stored(&path_of(&paid)).await;
    assert_eq!(digits(&payment, "amount_refunded"), "15.00");
}

async fn a_refund_that_the_provider_refuses_gives_its_part_back(shop: Shop) {
    let paid = shop.paid().await;
    let refusal = match shop.provider.name {
        "paypal" => {
            json!({"fault": "error_before", "status": 422, "code": "REFUND_FAILED_INSUFFICIENT_FUNDS"})
        }
        _ => json!({"fault": "error_before", "status": 400, "code": "BAD_REQUEST_ERROR"}),
    };
    shop.fault(refusal, "POST", "/refund").await;
    let refused = refund(&shop, json!({"payment_id": paid.text("id")})).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "provider_rejected"),
        "{refused:?}"
    );
    assert_eq!(refused.json["provider"]["name"], shop.provider.name);
    let stored = shop
        .stored(&format!("/v1/refunds/{}", refused.text("id")))
        .await;
    assert_eq!(stored.text("status"), "failed");
    let whole = refund(&shop, json!({"payment_id": paid.text("id")})).await;
    assert_eq!(
        (whole.status, digits(&whole, "amount")),
        (201, "50.00".to_owned()),
        "{whole:?}"
    );
}

async fn what_cannot_be_refunded_is_refused(shop: Shop) {
    let created = shop.create("/v1/payments", shop.payment()).await;
    let early = refund(&shop, json!({"payment_id": created.text("id")})).await;
    assert_eq!(
        (early.status, early.code()),
        (409, "invalid_state"),
        "{early:?}"
    );
    let absent = refund(
        &shop,
        json!({"payment_id": "pay_01m84hv130ewnt8csdf3adtj7c"}),
    )
    .await;
    assert_eq!((absent.status, absent.code()), (404, "not_found"));
    let paid = shop.paid().await;
    for amount in [
        json!(50.01),
        json!(0),
        json!(-1),
        json!("1.001"),
        json!("1e1"),
        json!(true),
        json!(""),
    ] {
        let refused = refund(
            &shop,
            json!({"payment_id": paid.text("id"), "amount": amount}),
        )
        .await;
        assert_eq!(
            (refused.status, refused.code()),
            (422, "validation_failed"),
            "{amount}: {refused:?}"
        );
        assert_eq!(refused.pointers(), ["/amount"], "{amount}");
    }
    let unknown = refund(
        &shop,
        json!({"payment_id": paid.text("id"), "speed": "warp", "why": 1}),
    )
    .await;
    assert_eq!(unknown.pointers(), ["/speed", "/why"]);
    assert!(shop.effects("refund").await.is_empty());
}
