//! Razorpay among the others: routing, connection, ledger, faults, reset, the index, signatures.

use std::time::Duration;

use onerouter_sandbox::{
    Sandbox, SandboxConfig,
    razorpay::{KEY_ID, KEY_SECRET},
};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::rig::Rig;

const DAY: i64 = 86_400;

#[tokio::test]
async fn the_provider_is_found_by_its_host_and_its_connection_works() {
    let rig = Rig::start().await;
    let connection = rig.sandbox.connection("razorpay").unwrap();
    assert_eq!(
        (connection.service, connection.environment),
        ("payments", "test")
    );
    let (id, secret) = (
        &connection.credentials["key_id"],
        &connection.credentials["key_secret"],
    );
    let request = rig
        .http
        .get(rig.url("/v1/orders"))
        .header(header::HOST, "api.razorpay.com")
        .basic_auth(id, Some(secret));
    assert_eq!(rig.send(request).await.status, 200);
    assert_eq!((id.as_str(), secret.as_str()), (KEY_ID, KEY_SECRET));
    let offered = rig.sandbox.connections();
    assert!(
        offered
            .iter()
            .any(|connection| connection.provider == "razorpay")
    );
    assert_eq!(rig.sandbox.connection("nobody"), None);
}

#[tokio::test]
async fn the_ledger_tells_amounts_and_what_was_acted_on() {
    let rig = Rig::start().await;
    let payment = rig.captured(50_000).await;
    let path = format!("/payments/{payment}/refund");
    let request = rig
        .razorpay(Method::POST, &path)
        .header("X-Refund-Idempotency", "refund-key_1");
    let refund = rig.send(request.json(&json!({ "amount": 100 }))).await.body;
    rig.text_to("+14155550123").await;
    let ledger = rig
        .get(&format!("ledger?object={payment}&kind=refund"))
        .await;
    let entry = &ledger["data"][0];
    assert_eq!(
        json!([
            entry["kind"],
            entry["provider"],
            entry["id"],
            entry["object"],
            entry["amount"],
            entry["currency"],
            entry["idempotency_key"],
            entry["body"]
        ]),
        json!([
            "refund",
            "razorpay",
            refund["id"],
            payment,
            "100",
            "INR",
            "refund-key_1",
            "{\"amount\":100}"
        ])
    );
    assert_eq!(rig.count(&format!("object={payment}")).await, 2);
    let sms = rig.get("ledger?kind=sms").await;
    assert_eq!(
        json!([
            sms["data"][0]["object"],
            sms["data"][0]["amount"],
            sms["data"][0]["currency"]
        ]),
        json!([null, null, null])
    );
}

#[tokio::test]
async fn every_call_meets_faults_with_documented_bodies() {
    let rig = Rig::start().await;
    for (fault, status, code) in [
        ("error_before; status=500", 500, "SERVER_ERROR"),
        ("error_before; status=503", 503, "SERVER_ERROR"),
        ("error_before; status=502", 502, "GATEWAY_ERROR"),
        ("error_before; status=504", 504, "GATEWAY_ERROR"),
        ("error_before; status=400", 400, "BAD_REQUEST_ERROR"),
        ("error_before; status=401", 401, "BAD_REQUEST_ERROR"),
        ("error_before; status=429", 429, "BAD_REQUEST_ERROR"),
        ("error_before; code=GATEWAY_ERROR", 502, "GATEWAY_ERROR"),
        ("error_before; code=SERVER_ERROR", 500, "SERVER_ERROR"),
        (
            "error_before; code=BAD_REQUEST_ERROR",
            400,
            "BAD_REQUEST_ERROR",
        ),
        (
            "error_before; status=504; code=SERVER_ERROR",
            504,
            "SERVER_ERROR",
        ),
    ] {
        let request = rig
            .razorpay(Method::POST, "/orders")
            .header("X-Sandbox-Fault", fault)
            .json(&json!({ "amount": 100, "currency": "INR" }));
        let answer = rig.send(request).await;
        assert_eq!(
            (answer.status, &answer.body["error"]["code"]),
            (status, &code.into()),
            "{fault}"
        );
        assert!(!answer.description().is_empty());
    }
    assert_eq!(rig.effects().await, 0);
    let request = rig
        .razorpay(Method::POST, "/orders")
        .header("X-Sandbox-Fault", "error_after; status=504")
        .json(&json!({ "amount": 100, "currency": "INR", "receipt": "lost" }));
    assert_eq!(rig.send(request).await.status, 504);
    // A lost order is found by its receipt.
    assert_eq!(rig.read("/orders?receipt=lost").await["count"], 1);
}

#[tokio::test]
async fn a_fault_can_wait_for_a_customer_or_for_a_page() {
    let rig = Rig::start().await;
    rig.fault(json!({ "fault": "error_before", "status": 500, "to": "ada@example.com" }))
        .await;
    let link = |email: &str| json!({ "amount": 100, "customer": { "email": email } });
    rig.link(link("bob@example.com")).await;
    let met = rig
        .ask(Method::POST, "/payment_links", link("ada@example.com"))
        .await;
    assert_eq!(met.status, 500);
    let id = rig.link(link("ada@example.com")).await;
    rig.fault(json!({ "fault": "error_before", "status": 500, "to": "ada@example.com" }))
        .await;
    let met = rig
        .ask(Method::GET, &format!("/payment_links/{id}"), Value::Null)
        .await;
    assert_eq!(met.status, 500);
    rig.fault(json!({ "fault": "error_before", "status": 503, "path_contains": "/i/" }))
        .await;
    let page = rig.http.get(rig.url(&format!("/razorpay/i/{id}")));
    assert_eq!(rig.send(page).await.status, 503);
}

#[tokio::test]
async fn a_reset_forgets_payments_and_their_keys() {
    let rig = Rig::start().await;
    let payment = rig.captured(50_000).await;
    let body = json!({ "amount": 100, "reference_id": "r" });
    rig.link(body.clone()).await;
    rig.configure(json!({ "razorpay_auto_capture": true, "razorpay_rate_limit": 5 }))
        .await;
    rig.control(Method::POST, "reset", Value::Null).await;
    let unknown = "The id provided does not exist";
    let path = format!("/payments/{payment}");
    rig.refused(Method::GET, &path, Value::Null, unknown).await;
    rig.link(body).await;
    let settings = rig.get("config").await;
    assert_eq!(
        json!([
            settings["razorpay_auto_capture"],
            settings["razorpay_rate_limit"]
        ]),
        json!([false, 100_000])
    );
}

#[tokio::test]
async fn what_is_due_happens_in_its_own_time_also_for_who_only_reads_the_ledger() {
    let rig = Rig::start().await;
    rig.authorized(50_000).await;
    rig.advance(30 * DAY).await;
    let ledger = rig.get("ledger?kind=refund").await;
    assert_eq!(ledger["data"][0]["at"], "2026-01-18T12:00:00+00:00");
}

#[tokio::test]
async fn old_objects_make_room() {
    let config = SandboxConfig {
        messages_kept: 2,
        delivery: Duration::from_secs(6),
        ..SandboxConfig::default()
    };
    let rig = Rig {
        sandbox: Sandbox::start(config).await.unwrap(),
        ..Rig::start().await
    };
    let mut links = Vec::new();
    for number in 0..30 {
        let body = json!({ "amount": 100, "reference_id": format!("r-{number}") });
        links.push(rig.link(body).await);
    }
    let unknown = "The id provided does not exist";
    let path = format!("/payment_links/{}", links[27]);
    rig.refused(Method::GET, &path, Value::Null, unknown).await;
    rig.advance(200 * DAY).await;
    let kept = rig.read(&format!("/payment_links/{}", links[28])).await;
    assert_eq!(kept["status"], "expired");
}

#[tokio::test]
async fn the_index_tells_of_razorpay() {
    let rig = Rig::start().await;
    let guide = rig.send(rig.http.get(rig.url("/"))).await.body;
    let razorpay = &guide["providers"]["razorpay"];
    assert_eq!(
        json!([
            razorpay["host"],
            razorpay["prefix"],
            razorpay["key"]["key_id"]
        ]),
        json!(["api.razorpay.com", "/razorpay", KEY_ID])
    );
}
