//! Razorpay: buyers' tries, captures, refunds, and a subscription's life.

use chrono::TimeDelta;
use onerouter_sandbox::razorpay::{KEY_ID, KEY_SECRET, REFUND_FAILS};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance};
use reqwest::Method;
use serde_json::{Value, json};

use super::always_ends_alike;
use super::scene::{Scene, done};
use super::story::{Case, Story};

scenarios!(
    a_payment_ends_alike,
    refunds_end_alike,
    a_subscription_ends_alike,
);

/// The first looks come no later.
const LOOKED_AFTER: TimeDelta = TimeDelta::seconds(15);
/// Longer than the provider takes to refund.
const REFUNDED_AFTER: TimeDelta = TimeDelta::seconds(10);

async fn a_payment_ends_alike(ground: Ground) {
    always_ends_alike(ground, Payment).await;
}

async fn refunds_end_alike(ground: Ground) {
    always_ends_alike(ground, Refunds).await;
}

async fn a_subscription_ends_alike(ground: Ground) {
    always_ends_alike(ground, Subscription).await;
}

/// What the merchant does in the dashboard.
async fn dashboard(scene: &Scene, path: &str, body: Value) {
    let request = scene.elsewhere(Method::POST, &format!("/v1/{path}"));
    let request = request.basic_auth(KEY_ID, Some(KEY_SECRET));
    done(request.json(&body)).await;
}

async fn begin_payment(case: &mut Case<'_>) {
    let body = json!({"amount": 500, "currency": "INR", "provider": "razorpay"});
    let payment = case.scene.create("/v1/payments", body).await;
    case.follow(&payment, &["requires_action", "authorized", "succeeded"]);
}

async fn buyer(case: &Case<'_>, action: &str) {
    let payment = case.object(0).await;
    let order = payment["provider_order_id"].as_str().unwrap();
    case.scene.buyer(order, json!({ "action": action })).await;
}

/// A buyer is declined, pays, and gets a part back from the dashboard.
struct Payment;

impl Story for Payment {
    const PROVIDER: &'static str = "razorpay";
    const STEPS: usize = 4;
    const ASKED_AT: &'static str = "/orders/";
    const EFFECTS: &'static [(&'static str, u64)] = &[("capture", 1), ("refund", 1)];

    async fn begin(&self, case: &mut Case<'_>) {
        begin_payment(case).await;
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        match number {
            0 => buyer(case, "decline").await,
            1 => buyer(case, "approve").await,
            2 => {
                let paid = case.reached(0, "succeeded").await;
                let id = paid["provider_payment_id"].as_str().unwrap();
                let part = json!({ "amount": 20_000 });
                dashboard(case.scene, &format!("payments/{id}/refund"), part).await;
            }
            _ => advance(&case.scene.host, REFUNDED_AFTER),
        }
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        let payment = &objects[0];
        assert_eq!(payment["amount_captured"], json!(500.0));
        assert_eq!(payment["amount_refunded"], json!(200.0));
        assert_eq!(payment["failure"], Value::Null);
    }
}

/// Two parts go back, and between them one that the bank does not take.
struct Refunds;

impl Refunds {
    async fn make(case: &mut Case<'_>, body: Value, course: &'static [&'static str]) {
        let mut body = body;
        body["payment_id"] = case.object(0).await["id"].clone();
        let refund = case.scene.create("/v1/refunds", body).await;
        case.follow(&refund, course);
    }
}

impl Story for Refunds {
    const PROVIDER: &'static str = "razorpay";
    const STEPS: usize = 6;
    const ASKED_AT: &'static str = "/v1/";
    const EFFECTS: &'static [(&'static str, u64)] = &[("capture", 1), ("refund", 3)];

    async fn begin(&self, case: &mut Case<'_>) {
        begin_payment(case).await;
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        match number {
            0 => buyer(case, "approve").await,
            1 => {
                case.reached(0, "succeeded").await;
                let part = json!({ "amount": 200 });
                Self::make(case, part, &["pending", "succeeded"]).await;
            }
            2 => {
                let part = json!({"amount": 100, "metadata": {"case": REFUND_FAILS}});
                Self::make(case, part, &["pending", "failed"]).await;
            }
            4 => {
                case.reached(2, "failed").await;
                // Once the background has looked, there is as much left as if nobody had tried.
                advance(&case.scene.host, LOOKED_AFTER);
                case.scene.host.sweep().await;
                let part = json!({ "amount": 300 });
                Self::make(case, part, &["pending", "succeeded"]).await;
            }
            _ => advance(&case.scene.host, REFUNDED_AFTER),
        }
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        assert_eq!(objects[0]["amount_captured"], json!(500.0));
        assert_eq!(objects[0]["amount_refunded"], json!(500.0));
        assert_eq!(objects[2]["failure"]["code"], "refund_not_allowed");
    }
}

/// Agreed to, paused and resumed in the dashboard, charged in vain and again, ended.
struct Subscription;

impl Story for Subscription {
    const PROVIDER: &'static str = "razorpay";
    const STEPS: usize = 6;
    const ASKED_AT: &'static str = "/subscriptions/";

    async fn begin(&self, case: &mut Case<'_>) {
        let plan = json!({"name": "Pro", "amount": 200, "currency": "INR", "interval": "month",
            "provider": "razorpay"});
        let plan = case.scene.create("/v1/plans", plan).await;
        let body = json!({"plan_id": plan.text("id"), "total_count": 12});
        let subscription = case.scene.create("/v1/subscriptions", body).await;
        let course = &[
            "created", "active", "paused", "active", "past_due", "active", "canceled",
        ];
        case.follow(&subscription, course);
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        let scene = case.scene;
        let subscription = case.object(0).await;
        let id = subscription["provider_subscription_id"].as_str().unwrap();
        let act = |action| format!("subscriptions/{id}/{action}");
        match number {
            0 => scene.buyer(id, json!({"action": "approve"})).await,
            1 => dashboard(scene, &act("pause"), json!({"pause_at": "now"})).await,
            2 => dashboard(scene, &act("resume"), json!({"resume_at": "now"})).await,
            3 => scene.cycle(id, "fail").await,
            4 => scene.cycle(id, "succeed").await,
            _ => dashboard(scene, &act("cancel"), json!({})).await,
        }
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        assert_eq!(objects[0]["paid_count"], json!(2));
        assert_eq!(objects[0]["failure"], Value::Null);
    }
}
