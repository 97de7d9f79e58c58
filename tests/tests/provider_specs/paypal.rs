//! Against the descriptions of four of PayPal's APIs.

use std::path::PathBuf;
use std::time::Duration;

use onerouter_tests::harness::{Client, Harness, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use crate::exchange;
use crate::file;
use crate::spec::Spec;

/// Where an API's paths begin, and its description.
const FILES: [(&str, &str); 4] = [
    ("/v2/checkout/orders", "paypal_orders_v2.json"),
    ("/v2/payments", "paypal_payments_v2.json"),
    ("/v1/catalogs", "paypal_products_v1.json"),
    ("/v1/billing", "paypal_subscriptions_v1.json"),
];

fn read() -> Option<Vec<(&'static str, Spec)>> {
    let files: Option<Vec<PathBuf>> = FILES.iter().map(|(_, name)| file(name)).collect();
    let specs = files?
        .iter()
        .map(|path| Spec::read(path))
        .collect::<Vec<_>>();
    Some(FILES.iter().map(|(start, _)| *start).zip(specs).collect())
}

struct Merchant {
    host: Harness,
    acme: Client,
}

impl Merchant {
    async fn make(&self, path: &str, more: Value) -> Reply {
        let mut body = json!({"amount": "50.00", "currency": "USD", "provider": "paypal"});
        if path == "/v1/subscriptions" || path == "/v1/refunds" {
            body = json!({});
        }
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let made = self.acme.post(path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        made
    }

    async fn act(&self, path: &str, body: Value) {
        let done = self.acme.post(path, body).await;
        assert_eq!(done.status, 200, "{done:?}");
    }

    async fn approve(&self, provider_id: &str) {
        let path = format!("/_sandbox/checkouts/{provider_id}");
        let visit = Some(json!({"action": "approve"}));
        self.host.control(Method::POST, &path, visit).await;
        self.host.pass(Duration::from_secs(3));
    }

    async fn read(&self, path: &str, status: &str) {
        self.host.pass(Duration::from_secs(3));
        let read = self.acme.get(path).await;
        assert_eq!(read.text("status"), status, "{read:?}");
    }

    /// A payment that the buyer has agreed to.
    async fn paid(&self, more: Value, status: &str) -> String {
        let payment = self.make("/v1/payments", more).await;
        self.approve(payment.text("provider_order_id")).await;
        let path = format!("/v1/payments/{}", payment.text("id"));
        self.read(&path, status).await;
        path
    }
}

#[tokio::test]
async fn the_paypal_adapter_sends_what_paypal_describes() {
    let Some(mut specs) = read() else {
        return;
    };
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let shop = Merchant { host, acme };
    let full = json!({
        "description": "Blue chairs ж 😀", "method": "card", "receipt": "r-17",
        "customer": {"name": "Ada Byron", "email": "ada@example.com", "phone": "+14155550123"},
        "return_url": "https://shop.example/thanks", "cancel_url": "https://shop.example/cart",
        "metadata": {"order": "17"},
    });
    let paid = shop.paid(full, "succeeded").await;
    let id = paid.rsplit('/').next().unwrap();
    let refund = json!({"payment_id": id, "amount": "20.00", "reason": "Broken"});
    shop.make("/v1/refunds", refund).await;
    shop.make("/v1/refunds", json!({"payment_id": id})).await;
    let manual = json!({"capture": "manual"});
    let reserved = shop.paid(manual.clone(), "authorized").await;
    shop.act(&format!("{reserved}/capture"), json!({"amount": 20}))
        .await;
    let given_up = shop.paid(manual, "authorized").await;
    shop.act(&format!("{given_up}/cancel"), json!({})).await;
    let link = shop
        .make("/v1/payment-links", json!({"description": "Chairs"}))
        .await;
    shop.approve(link.json["provider_data"]["order"]["id"].as_str().unwrap())
        .await;
    shop.read(&format!("/v1/payment-links/{}", link.text("id")), "paid")
        .await;

    let plan = json!({"name": "Pro", "interval": "month", "description": "All of it"});
    let plan = shop.make("/v1/plans", plan).await;
    let other = shop
        .make("/v1/plans", json!({"name": "Max", "interval": "week"}))
        .await;
    let subscription = json!({
        "plan_id": plan.text("id"), "total_count": 12, "quantity": 2,
        "customer": {"name": "Ada Byron", "email": "ada@example.com"},
        "return_url": "https://shop.example/thanks", "cancel_url": "https://shop.example/cart",
    });
    let subscription = shop.make("/v1/subscriptions", subscription).await;
    shop.approve(subscription.json["provider_data"]["id"].as_str().unwrap())
        .await;
    let path = format!("/v1/subscriptions/{}", subscription.text("id"));
    shop.read(&path, "active").await;
    shop.act(&format!("{path}/pause"), json!({})).await;
    shop.act(&format!("{path}/resume"), json!({})).await;
    let change = json!({"new_plan_id": other.text("id")});
    shop.act(&format!("{path}/change_plan"), change).await;
    shop.act(&format!("{path}/cancel"), json!({})).await;
    let late = json!({"plan_id": plan.text("id"), "trial_days": 14});
    shop.make("/v1/subscriptions", late).await;

    for request in exchange::received(&shop.host, "paypal").await {
        // The token's address is in none of them.
        if request.path == "/v1/oauth2/token" {
            continue;
        }
        let spec = specs
            .iter_mut()
            .find(|(start, _)| request.path.starts_with(start));
        let (_, spec) = spec.unwrap_or_else(|| panic!("{request:?}"));
        spec.check_request(&request);
    }
    for ((_, spec), requests) in specs.into_iter().zip([12, 5, 2, 10]) {
        spec.end(requests, 0);
    }
}
