//! Links by which buyers pay.

use serde_json::{Value, json};

use crate::rig::{Shop, digits, path_of, provider_id, with_each_provider};

with_each_provider!(
    a_link_is_paid,
    a_link_is_canceled_where_the_provider_can,
    what_the_published_client_sends_is_taken,
);

fn link(shop: &Shop) -> Value {
    json!({"amount": "25.00", "currency": shop.provider.currency, "description": "Chairs",
        "provider": shop.provider.name, "customer": {"email": "ada@example.com"}})
}

async fn a_link_is_paid(shop: Shop) {
    let made = shop.create("/v1/payment-links", link(&shop)).await;
    let path = path_of(&made);
    assert!(made.text("id").starts_with("plink_"));
    assert_eq!(made.text("status"), "created");
    assert!(made.text("short_url").starts_with("http"));
    assert_eq!(digits(&made, "amount_paid"), "0.00");
    shop.approve(&provider_id(&made)).await;
    let paid = shop.read(&path).await;
    assert_eq!(paid.text("status"), "paid", "{paid:?}");
    assert_eq!(digits(&paid, "amount_paid"), "25.00");
    assert_eq!(shop.effects(shop.provider.capture).await.len(), 1);
    let late = shop.caller.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!((late.status, late.code()), (409, "invalid_state"));
}

async fn a_link_is_canceled_where_the_provider_can(shop: Shop) {
    let made = shop.create("/v1/payment-links", link(&shop)).await;
    let path = path_of(&made);
    let canceled = shop.caller.post(&format!("{path}/cancel"), json!({})).await;
    if shop.provider.name == "paypal" {
        assert_eq!(
            (canceled.status, canceled.code()),
            (422, "unsupported_by_provider"),
            "{canceled:?}"
        );
        assert_eq!(shop.stored(&path).await.text("status"), "created");
        return;
    }
    assert_eq!(
        (canceled.status, canceled.text("status")),
        (200, "canceled"),
        "{canceled:?}"
    );
}

async fn what_the_published_client_sends_is_taken(shop: Shop) {
    let mut body = link(&shop);
    body["customer"] = Value::Null;
    body["customer_email"] = json!("ada@example.com");
    body["callback_url"] = json!("https://shop.example/thanks");
    body["environment"] = json!("test");
    body["notes"] = json!({"order": "7"});
    let made = shop.create("/v1/payment-links", body.clone()).await;
    assert_eq!(made.json["metadata"], json!({"order": "7"}));
    assert_eq!(made.json["customer"]["email"], "ada@example.com");
    body["environment"] = json!("live");
    let other = shop.caller.post("/v1/payment-links", body).await;
    assert_eq!(
        (other.status, other.code()),
        (403, "environment_mismatch"),
        "{other:?}"
    );
}
