//! PayPal: captures that take their time, refunds, and a subscription's life.

use onerouter_sandbox::paypal::{CLIENT_ID, CLIENT_SECRET};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use reqwest::Method;
use serde_json::{Value, json};

use super::always_ends_alike;
use super::scene::{Scene, done};
use super::story::{Case, Story};

scenarios!(
    a_payment_ends_alike,
    a_payment_that_is_denied_ends_alike,
    refunds_end_alike,
    a_subscription_ends_alike,
);

async fn a_payment_ends_alike(ground: Ground) {
    always_ends_alike(ground, Payment).await;
}

async fn a_payment_that_is_denied_ends_alike(ground: Ground) {
    always_ends_alike(ground, Denied).await;
}

async fn refunds_end_alike(ground: Ground) {
    always_ends_alike(ground, Refunds).await;
}

async fn a_subscription_ends_alike(ground: Ground) {
    always_ends_alike(ground, Subscription).await;
}

/// What the merchant does on PayPal's pages.
async fn at_paypal(scene: &Scene, path: &str, body: Value) {
    let token = scene.elsewhere(Method::POST, "/v1/oauth2/token");
    let token = token.basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    let token = done(token.form(&[("grant_type", "client_credentials")])).await;
    let request = scene.elsewhere(Method::POST, path);
    let request = request.bearer_auth(token["access_token"].as_str().unwrap());
    done(request.json(&body)).await;
}

async fn begin_payment(case: &mut Case<'_>, amount: &str, course: &'static [&'static str]) {
    let body = json!({"amount": amount, "currency": "USD", "provider": "paypal"});
    let payment = case.scene.create("/v1/payments", body).await;
    case.follow(&payment, course);
}

async fn approve(case: &Case<'_>) {
    let payment = case.object(0).await;
    let order = payment["provider_order_id"].as_str().unwrap();
    case.scene.buyer(order, json!({"action": "approve"})).await;
}

/// What becomes of the money on its way.
async fn decide(case: &Case<'_>, object: &Value, field: &str, status: &str) {
    let change = json!({ "status": status });
    let id = object[field].as_str().unwrap();
    case.scene.host.force_status(id, change).await;
}

/// A capture that is looked at first, comes, and goes back in part from PayPal's pages.
struct Payment;

impl Story for Payment {
    const PROVIDER: &'static str = "paypal";
    const STEPS: usize = 3;
    const ASKED_AT: &'static str = "/checkout/orders/";
    const EFFECTS: &'static [(&'static str, u64)] = &[("capture", 1), ("refund", 1)];

    async fn begin(&self, case: &mut Case<'_>) {
        // Pending, by its amount.
        let course = &["requires_action", "processing", "succeeded"];
        begin_payment(case, "7702.50", course).await;
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        match number {
            0 => approve(case).await,
            1 => {
                let payment = case.reached(0, "processing").await;
                decide(case, &payment, "provider_payment_id", "COMPLETED").await;
            }
            _ => {
                let payment = case.reached(0, "succeeded").await;
                let capture = payment["provider_payment_id"].as_str().unwrap();
                let path = format!("/v2/payments/captures/{capture}/refund");
                let part = json!({"amount": {"value": "20.00", "currency_code": "USD"}});
                at_paypal(case.scene, &path, part).await;
            }
        }
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        assert_eq!(objects[0]["amount_captured"], json!(7702.5));
        assert_eq!(objects[0]["amount_refunded"], json!(20.0));
    }
}

/// A capture that is looked at first, and does not come.
struct Denied;

impl Story for Denied {
    const PROVIDER: &'static str = "paypal";
    const STEPS: usize = 2;
    const ASKED_AT: &'static str = "/checkout/orders/";
    const EFFECTS: &'static [(&'static str, u64)] = &[("capture", 1)];

    async fn begin(&self, case: &mut Case<'_>) {
        let course = &["requires_action", "processing", "failed"];
        begin_payment(case, "7702.50", course).await;
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        match number {
            0 => approve(case).await,
            _ => {
                let payment = case.reached(0, "processing").await;
                decide(case, &payment, "provider_payment_id", "DECLINED").await;
            }
        }
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        assert_eq!(objects[0]["amount_captured"], json!(0.0));
        assert_ne!(objects[0]["failure"], Value::Null);
    }
}

/// Three parts go back: one takes its time, one does not go, one goes at once.
struct Refunds;

impl Refunds {
    async fn make(case: &mut Case<'_>, amount: u32, course: &'static [&'static str]) {
        let ends = match course {
            ["succeeded"] => "completed",
            _ => "pending",
        };
        let ends = json!({ "paypal_refund": ends });
        let config = "/_sandbox/config";
        case.scene
            .host
            .control(Method::PUT, config, Some(ends))
            .await;
        let payment = case.object(0).await;
        let body = json!({"payment_id": payment["id"], "amount": amount});
        let refund = case.scene.create("/v1/refunds", body).await;
        case.follow(&refund, course);
    }
}

impl Story for Refunds {
    const PROVIDER: &'static str = "paypal";
    const STEPS: usize = 6;
    const ASKED_AT: &'static str = "/v2/";
    const EFFECTS: &'static [(&'static str, u64)] = &[("capture", 1), ("refund", 3)];

    async fn begin(&self, case: &mut Case<'_>) {
        begin_payment(case, "50.00", &["requires_action", "succeeded"]).await;
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        match number {
            0 => approve(case).await,
            1 => {
                case.reached(0, "succeeded").await;
                Self::make(case, 20, &["pending", "succeeded"]).await;
            }
            2 => Self::make(case, 10, &["pending", "failed"]).await,
            3 => {
                let first = case.object(1).await;
                decide(case, &first, "provider_refund_id", "COMPLETED").await;
            }
            4 => {
                let second = case.object(2).await;
                decide(case, &second, "provider_refund_id", "FAILED").await;
            }
            _ => {
                case.reached(2, "failed").await;
                // There is as much left as if nobody had tried.
                Self::make(case, 30, &["succeeded"]).await;
            }
        }
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        assert_eq!(objects[0]["amount_captured"], json!(50.0));
        assert_eq!(objects[0]["amount_refunded"], json!(50.0));
        assert_ne!(objects[2]["failure"], Value::Null);
    }
}

/// Agreed to, paused and resumed on PayPal's pages, charged in vain and again, ended.
struct Subscription;

impl Story for Subscription {
    const PROVIDER: &'static str = "paypal";
    const STEPS: usize = 6;
    const ASKED_AT: &'static str = "/subscriptions/";

    async fn begin(&self, case: &mut Case<'_>) {
        let plan = json!({"name": "Pro", "amount": 20, "currency": "USD", "interval": "month",
            "provider": "paypal"});
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
        let act = |action| format!("/v1/billing/subscriptions/{id}/{action}");
        let why = json!({"reason": "The buyer has asked for it."});
        match number {
            0 => scene.buyer(id, json!({"action": "approve"})).await,
            1 => at_paypal(scene, &act("suspend"), why).await,
            2 => at_paypal(scene, &act("activate"), why).await,
            3 => scene.cycle(id, "fail").await,
            4 => scene.cycle(id, "succeed").await,
            _ => at_paypal(scene, &act("cancel"), why).await,
        }
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        // Cycles are counted, also the one whose charge failed.
        assert_eq!(objects[0]["paid_count"], json!(3));
        assert_eq!(objects[0]["failure"], Value::Null);
        // PayPal does not say any more when the next charge would have been.
        assert_ne!(objects[0]["current_period_end"], Value::Null);
    }
}
