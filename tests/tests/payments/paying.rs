//! From the creation to the money: each provider in its own way, the same for the caller.

use onerouter_tests::harness::Reply;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::rig::{Shop, digits, path_of, provider_id, with_each_provider};

with_each_provider!(
    a_payment_is_paid,
    both_names_of_the_paths_are_one,
    a_hundred_readers_at_once_make_one_capture,
    a_hundred_readers_of_a_link_make_one_capture,
    a_hundred_readers_make_one_reservation,
    the_background_finds_what_was_agreed_to,
    a_buyer_who_declines_may_try_again,
    a_capture_that_the_provider_refuses_is_the_payments_failure,
    lists_show_what_was_made,
);

async fn a_payment_is_paid(shop: Shop) {
    let body = json!({
        "amount": "50.00", "currency": shop.provider.currency, "provider": shop.provider.name,
        "receipt": "r-17", "description": "Blue chairs",
        "customer": {"name": "Ada Byron", "email": "ada@example.com", "phone": "+919876543210"},
        "metadata": {"order": "17"},
    });
    let created = shop.create("/v1/payments", body).await;
    assert!(created.text("id").starts_with("pay_"));
    assert_eq!(created.text("transaction_id"), created.text("id"));
    assert_eq!(created.text("status"), "requires_action");
    assert_eq!(created.text("service"), shop.provider.name);
    assert_eq!(digits(&created, "amount"), "50.00");
    assert_eq!(created.json["amount_minor"], 5_000);
    assert_eq!(digits(&created, "amount_captured"), "0.00");
    assert_eq!(created.text("receipt"), "r-17");
    assert_eq!(created.json["metadata"], json!({"order": "17"}));
    assert!(created.text("checkout_url").starts_with("http"));
    assert!(created.json["checkout"]["widget"].is_object());
    assert_eq!(created.json["provider_payment_id"], Value::Null);
    let path = path_of(&created);

    // Nothing has happened yet; looking does no harm.
    assert_eq!(shop.read(&path).await.text("status"), "requires_action");
    shop.approve(created.text("provider_order_id")).await;
    let paid = shop.read(&path).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert_eq!(digits(&paid, "amount_captured"), "50.00");
    assert!(!paid.text("provider_payment_id").is_empty());
    assert!(!paid.text("payment_method").is_empty());
    let details = paid.json["method_details"].as_object().unwrap();
    assert!(!details.is_empty(), "{paid:?}");
    assert_eq!(paid.text("cost_source"), "provider");
    assert_eq!(paid.text("cost_currency"), shop.provider.currency);
    assert!(paid.json["provider_data"].is_object());
    assert_eq!(paid.json["failure"], Value::Null);

    assert_eq!(shop.effects(shop.provider.order).await.len(), 1);
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
    // It is over: nobody asks the provider again.
    let before = shop.requests("GET", "/").await.len();
    assert_eq!(shop.read(&path).await.bytes, paid.bytes);
    assert_eq!(shop.requests("GET", "/").await.len(), before);
    let mut types: Vec<_> = shop.ground.events(paid.text("id")).await;
    types.dedup_by(|a, b| a.0 == b.0);
    let first = types.first().unwrap().0.clone();
    let last = types.last().unwrap().0.clone();
    assert_eq!(
        (first.as_str(), last.as_str()),
        ("payment.requires_action", "payment.succeeded")
    );
}

async fn both_names_of_the_paths_are_one(shop: Shop) {
    let once = shop.caller.with("Idempotency-Key", "once");
    let first = once.post("/v1/payments/orders", shop.payment()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = once.post("/v1/payments", shop.payment()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.bytes, first.bytes);
    let id = first.text("id");
    let read = shop.stored(&format!("/v1/payments/orders/{id}")).await;
    assert_eq!(read.text("id"), id);
    assert_eq!(shop.effects(shop.provider.order).await.len(), 1);
}

async fn a_hundred_readers_at_once_make_one_capture(shop: Shop) {
    let created = shop.approved(shop.payment()).await;
    let path = path_of(&created);
    read_at_once(&shop, &path).await;
    let paid = shop.read(&path).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
    assert_eq!(shop.requests("POST", "/capture").await.len(), 1);
}

/// A hundred times at once, and by the background as well.
async fn read_at_once(shop: &Shop, path: &str) {
    shop.host.clock.advance(chrono::TimeDelta::seconds(15));
    let mut readers = JoinSet::new();
    for _ in 0..100 {
        let (caller, path) = (shop.caller.clone(), path.to_owned());
        readers.spawn(async move { caller.get(&path).await.status });
    }
    shop.host.sweep().await;
    while let Some(status) = readers.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
}

async fn a_hundred_readers_of_a_link_make_one_capture(shop: Shop) {
    let body = json!({"amount": 25, "currency": shop.provider.currency, "description": "Chairs",
        "provider": shop.provider.name});
    let made = shop.create("/v1/payment-links", body).await;
    shop.approve(&provider_id(&made)).await;
    let path = path_of(&made);
    read_at_once(&shop, &path).await;
    let paid = shop.read(&path).await;
    assert_eq!(paid.text("status"), "paid", "{paid:?}");
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
    // Razorpay takes the money of a link by itself.
    let asked = shop.requests("POST", "/capture").await.len();
    assert_eq!(asked, usize::from(shop.provider.name == "paypal"));
}

async fn a_hundred_readers_make_one_reservation(shop: Shop) {
    let mut body = shop.payment();
    body["capture"] = json!("manual");
    let created = shop.approved(body).await;
    let path = path_of(&created);
    read_at_once(&shop, &path).await;
    let reserved = shop.read(&path).await;
    assert_eq!(reserved.text("status"), "authorized", "{reserved:?}");
    // Razorpay reserves it by itself.
    let asked = shop.requests("POST", "/authorize").await.len();
    assert_eq!(asked, usize::from(shop.provider.name == "paypal"));
    assert!(shop.requests("POST", "/capture").await.is_empty());
}

async fn the_background_finds_what_was_agreed_to(shop: Shop) {
    let created = shop.approved(shop.payment()).await;
    shop.background(chrono::TimeDelta::seconds(15)).await;
    let paid = shop.stored(&path_of(&created)).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
}

async fn a_buyer_who_declines_may_try_again(shop: Shop) {
    let created = shop.create("/v1/payments", shop.payment()).await;
    let order = created.text("provider_order_id");
    let path = path_of(&created);
    shop.buyer(order, json!({"action": "abandon"})).await;
    assert_eq!(shop.read(&path).await.text("status"), "requires_action");
    shop.buyer(order, json!({"action": "decline"})).await;
    let declined = shop.read(&path).await;
    assert_eq!(declined.text("status"), "requires_action", "{declined:?}");
    shop.approve(order).await;
    let paid = shop.read(&path).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert_eq!(paid.json["failure"], Value::Null);
}

async fn a_capture_that_the_provider_refuses_is_the_payments_failure(shop: Shop) {
    let created = shop.approved(shop.payment()).await;
    let path = path_of(&created);
    let refusal = match shop.provider.name {
        "paypal" => json!({"fault": "error_before", "status": 422, "code": "TRANSACTION_REFUSED"}),
        _ => json!({"fault": "error_before", "status": 400, "code": "BAD_REQUEST_ERROR"}),
    };
    shop.fault(refusal, "POST", "/capture").await;
    let refused = shop.read(&path).await;
    assert_eq!(refused.status, 200);
    assert_ne!(refused.text("status"), "succeeded");
    let failure = &refused.json["failure"];
    assert!(failure["code"].is_string(), "{refused:?}");
    assert!(failure["provider_code"].is_string(), "{refused:?}");
    assert!(shop.effects(shop.provider.capture).await.is_empty());
    // It was the provider's word on one try.
    let paid = shop.read(&path).await;
    assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
}

async fn lists_show_what_was_made(shop: Shop) {
    let mut made = Vec::new();
    for number in 0..3 {
        let mut body = shop.payment();
        body["metadata"] = json!({"number": number.to_string()});
        made.push(shop.create("/v1/payments", body).await);
    }
    let ids = |list: &Reply| -> Vec<String> {
        let data = list.json["data"].as_array().unwrap();
        data.iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let page = shop
        .caller
        .get("/v1/payments?limit=2&status=requires_action")
        .await;
    assert_eq!(ids(&page), [made[2].text("id"), made[1].text("id")]);
    assert_eq!(page.json["has_more"], true);
    let cursor = page.text("next_cursor");
    let rest = shop
        .caller
        .get(&format!(
            "/v1/payments?limit=2&status=requires_action&cursor={cursor}"
        ))
        .await;
    assert_eq!(ids(&rest), [made[0].text("id")]);
    let one = shop.caller.get("/v1/payments?metadata[number]=1").await;
    assert_eq!(ids(&one), [made[1].text("id")]);
    let provider = shop.provider.name;
    let theirs = shop
        .caller
        .get(&format!("/v1/payments?provider={provider}"))
        .await;
    assert_eq!(ids(&theirs).len(), 3);
    assert!(ids(&shop.caller.get("/v1/payments?status=succeeded").await).is_empty());
    // Another tenant sees none of it.
    let other = shop.host.tenant("other").await;
    let other = shop.host.key_of(&other, "test").await;
    assert!(ids(&other.get("/v1/payments").await).is_empty());
    let foreign = other.get(&path_of(&made[0])).await;
    assert_eq!((foreign.status, foreign.code()), (404, "not_found"));
}
