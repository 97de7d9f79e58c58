//! Subscriptions: making them, and what their status allows.

use serde_json::{Value, json};

use crate::{
    paypal_rig::{Merchant, RETURN_URL, SUBSCRIPTIONS, link, money, subscription, text},
    rig::with,
};

#[tokio::test]
async fn a_subscription_waits_for_the_buyer() {
    let merchant = Merchant::start().await;
    let plan = merchant.plan(json!({})).await;
    let request = merchant.posting(SUBSCRIPTIONS, &subscription(&plan));
    let minimal = merchant.rig.send(request).await;
    assert_eq!(
        (minimal.status, &minimal.body["status"]),
        (201, &"APPROVAL_PENDING".into())
    );
    let fields: Vec<&String> = minimal.body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["id", "links", "status"]);
    let id = text(&minimal.body["id"]);
    assert!(id.starts_with("I-"), "{id}");
    let approve = link(&minimal.body, "approve").unwrap();
    let page = merchant
        .rig
        .url("/paypal/webapps/billing/subscriptions?ba_token=BA-");
    assert!(approve.starts_with(&page), "{approve}");
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        json!([
            read["plan_id"],
            read["quantity"],
            read["billing_info"],
            read["plan_overridden"]
        ]),
        json!([plan, "1", null, false])
    );
    let entry = &merchant.entries("subscription").await[0];
    assert_eq!(json!([entry["id"], entry["object"]]), json!([id, plan]));
    assert_eq!(merchant.entries("payment").await.len(), 0);
}

#[tokio::test]
async fn an_approved_subscription_is_active_and_paid_for() {
    let merchant = Merchant::start().await;
    let plan = merchant.plan(json!({})).await;
    let subscriber = json!({ "email_address": "ada@example.com", "name": { "given_name": "Ada", "surname": "L" } });
    let changes = json!({ "custom_id": "sub_1", "subscriber": subscriber });
    let id = merchant.subscription(&plan, changes).await;
    merchant.approve(&id).await;
    let read = merchant.subscribed(&id).await;
    let info = &read["billing_info"];
    assert_eq!(
        json!([
            read["status"],
            read["custom_id"],
            read["subscriber"]["email_address"],
            read["subscriber"]["payer_id"].is_string()
        ]),
        json!(["ACTIVE", "sub_1", "ada@example.com", true])
    );
    assert_eq!(
        json!([
            info["last_payment"]["amount"]["value"],
            info["outstanding_balance"]["value"],
            info["next_billing_time"],
            info["failed_payments_count"]
        ]),
        json!(["10.00", "0.00", "2026-02-15T12:00:00Z", 0])
    );
    assert_eq!(
        info["cycle_executions"],
        json!([{ "tenure_type": "REGULAR", "sequence": 1, "cycles_completed": 1, "cycles_remaining": 0, "current_pricing_scheme_version": 1, "total_cycles": 0 }])
    );
    assert_eq!(
        read["plan"]["billing_cycles"][0]["pricing_scheme"]["fixed_price"]["value"],
        "10.00"
    );
    assert_eq!(
        merchant.read(&format!("{SUBSCRIPTIONS}/{id}")).await["plan"],
        Value::Null
    );
    let payment = &merchant.entries("payment").await[0];
    assert_eq!(
        json!([
            payment["object"],
            payment["amount"],
            payment["currency"],
            payment["at"]
        ]),
        json!([id, "10.00", "USD", "2026-01-15T12:00:00+00:00"])
    );
}

#[tokio::test]
async fn a_subscription_that_does_not_fit_is_refused() {
    let merchant = Merchant::start().await;
    let plan = merchant.plan(json!({})).await;
    let inactive = merchant.plan(json!({ "status": "INACTIVE" })).await;
    let overriding = |cycle: Value| json!({ "plan": { "billing_cycles": [cycle] } });
    for (changes, status, issue) in [
        (
            json!({ "plan_id": null }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (json!({ "plan_id": "P-OTHER" }), 404, "INVALID_RESOURCE_ID"),
        (json!({ "plan_id": inactive }), 422, "PLAN_STATUS_INVALID"),
        (
            json!({ "start_time": "2026-01-15T12:00:00Z" }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "start_time": "2026-02-31T12:00:00Z" }),
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            json!({ "start_time": "tomorrow" }),
            400,
            "INVALID_STRING_MIN_LENGTH",
        ),
        (
            json!({ "quantity": "2" }),
            422,
            "SUBSCRIPTION_CANNOT_HAVE_QUANTITY",
        ),
        (json!({ "quantity": 2 }), 400, "INVALID_PARAMETER_SYNTAX"),
        (json!({ "quantity": "-2" }), 400, "INVALID_PARAMETER_SYNTAX"),
        (json!({ "quantity": "0" }), 400, "INVALID_PARAMETER_VALUE"),
        (
            json!({ "custom_id": "x".repeat(128) }),
            400,
            "INVALID_STRING_MAX_LENGTH",
        ),
        (
            json!({ "custom_id": "snö" }),
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            json!({ "application_context": {} }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "application_context": { "return_url": RETURN_URL } }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "application_context": { "return_url": "shop.example", "cancel_url": RETURN_URL } }),
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            json!({ "application_context": { "return_url": RETURN_URL, "cancel_url": RETURN_URL, "user_action": "PAY_NOW" } }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "shipping_amount": money("1.00", "EUR") }),
            422,
            "CURRENCY_MISMATCH",
        ),
        (
            json!({ "subscriber": { "payment_source": { "card": {} } } }),
            422,
            "CARD_SUBSCRIPTIONS_NOT_ENABLED",
        ),
        (
            overriding(json!({ "sequence": 2 })),
            422,
            "INVALID_BILLING_CYCLE_SEQUENCE",
        ),
        (
            overriding(
                json!({ "sequence": 1, "pricing_scheme": { "fixed_price": money("1.00", "EUR") } }),
            ),
            422,
            "CURRENCY_MISMATCH",
        ),
    ] {
        let body = with(subscription(&plan), changes.clone());
        let answer = merchant.post(SUBSCRIPTIONS, &body).await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{changes} {}",
            answer.text
        );
        answer.assert_paypal_issue(status, issue);
    }
    let empty = merchant
        .request(reqwest::Method::POST, SUBSCRIPTIONS)
        .header("content-type", "application/json");
    merchant
        .rig
        .send(empty)
        .await
        .assert_paypal_issue(400, "MISSING_REQUEST_BODY");
    merchant
        .get(&format!("{SUBSCRIPTIONS}/X"))
        .await
        .assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    assert_eq!(merchant.entries("subscription").await.len(), 0);
}

#[tokio::test]
async fn a_subscription_can_differ_from_its_plan() {
    let merchant = Merchant::start().await;
    let plan = merchant.plan(json!({ "quantity_supported": true, "taxes": { "percentage": "10", "inclusive": false } })).await;
    let changes = json!({
        "quantity": "3",
        "shipping_amount": money("2.00", "USD"),
        "plan": { "billing_cycles": [{ "sequence": 1, "total_cycles": 4, "pricing_scheme": { "fixed_price": money("7.00", "USD") } }], "payment_preferences": { "setup_fee": money("1.00", "USD") } },
    });
    let id = merchant.subscription(&plan, changes).await;
    merchant.approve(&id).await;
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        json!([
            read["plan_overridden"],
            read["quantity"],
            read["shipping_amount"]["value"],
            read["plan"]["billing_cycles"][0]["total_cycles"]
        ]),
        json!([true, "3", "2.00", 4])
    );
    // The set-up fee; then 3 × 7.00, 10 % taxes on it, shipping.
    let amounts: Vec<Value> = merchant
        .entries("payment")
        .await
        .iter()
        .map(|entry| entry["amount"].clone())
        .collect();
    assert_eq!(amounts, ["1.00", "25.10"]);
}

#[tokio::test]
async fn a_later_start_is_charged_then() {
    let merchant = Merchant::start().await;
    let plan = merchant.plan(json!({})).await;
    let id = merchant
        .subscription(&plan, json!({ "start_time": "2026-01-16T00:00:00Z" }))
        .await;
    merchant.approve(&id).await;
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        json!([
            read["status"],
            read["billing_info"]["next_billing_time"],
            read["billing_info"]["last_payment"]
        ]),
        json!(["ACTIVE", "2026-01-16T00:00:00Z", null])
    );
    merchant.rig.advance(12 * 3600 - 1).await;
    assert_eq!(merchant.entries("payment").await.len(), 0);
    merchant.rig.advance(1).await;
    assert_eq!(merchant.entries("payment").await.len(), 1);
}

#[tokio::test]
async fn the_merchant_can_keep_the_start_for_himself() {
    let merchant = Merchant::start().await;
    let plan = merchant.plan(json!({})).await;
    let context = with(
        subscription(&plan)["application_context"].clone(),
        json!({ "user_action": "CONTINUE" }),
    );
    let id = merchant
        .subscription(&plan, json!({ "application_context": context }))
        .await;
    let early = merchant.change(&id, "activate", "Go").await;
    early.assert_paypal_issue(422, "SUBSCRIPTION_STATUS_INVALID");
    merchant.approve(&id).await;
    assert_eq!(merchant.subscribed(&id).await["status"], "APPROVED");
    merchant
        .change(&id, "cancel", "No")
        .await
        .assert_paypal_issue(422, "SUBSCRIPTION_STATUS_INVALID");
    assert_eq!(merchant.entries("payment").await.len(), 0);
    merchant
        .act(&format!("{SUBSCRIPTIONS}/{id}/activate"), &json!({}))
        .await;
    assert_eq!(merchant.subscribed(&id).await["status"], "ACTIVE");
    assert_eq!(merchant.entries("payment").await.len(), 1);
    assert_eq!(merchant.entries("subscription_activate").await.len(), 1);
}

#[tokio::test]
async fn it_is_suspended_activated_and_cancelled() {
    let merchant = Merchant::start().await;
    let id = merchant.running(json!({})).await;
    let status = async || text(&merchant.subscribed(&id).await["status"]);
    merchant
        .change(&id, "activate", "Go")
        .await
        .assert_paypal_issue(422, "SUBSCRIPTION_STATUS_INVALID");
    merchant
        .act(
            &format!("{SUBSCRIPTIONS}/{id}/suspend"),
            &json!({ "reason": "Holiday" }),
        )
        .await;
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        json!([read["status"], read["status_change_note"]]),
        json!(["SUSPENDED", "Holiday"])
    );
    merchant
        .change(&id, "suspend", "Again")
        .await
        .assert_paypal_issue(422, "SUBSCRIPTION_STATUS_INVALID");
    assert_eq!(merchant.change(&id, "activate", "Back").await.status, 204);
    assert_eq!(status().await, "ACTIVE");
    assert_eq!(merchant.change(&id, "suspend", "Again").await.status, 204);
    assert_eq!(merchant.change(&id, "cancel", "Enough").await.status, 204);
    assert_eq!(status().await, "CANCELLED");
    for act in ["suspend", "activate", "cancel"] {
        merchant
            .change(&id, act, "More")
            .await
            .assert_paypal_issue(422, "SUBSCRIPTION_STATUS_INVALID");
    }
    for (kind, count) in [
        ("subscription_suspend", 2),
        ("subscription_activate", 1),
        ("subscription_cancel", 1),
    ] {
        assert_eq!(merchant.entries(kind).await.len(), count, "{kind}");
    }
    merchant.rig.advance(90 * 86_400).await;
    assert_eq!(merchant.entries("payment").await.len(), 1);
}

#[tokio::test]
async fn a_pending_subscription_cannot_be_changed() {
    let merchant = Merchant::start().await;
    let plan = merchant.plan(json!({})).await;
    let id = merchant.subscription(&plan, json!({})).await;
    for act in ["suspend", "activate", "cancel"] {
        merchant
            .change(&id, act, "Now")
            .await
            .assert_paypal_issue(422, "SUBSCRIPTION_STATUS_INVALID");
    }
    let revised = merchant
        .post(
            &format!("{SUBSCRIPTIONS}/{id}/revise"),
            &json!({ "plan_id": plan }),
        )
        .await;
    revised.assert_paypal_issue(422, "SUBSCRIPTION_STATUS_INVALID");
    let capture = json!({ "note": "x", "capture_type": "OUTSTANDING_BALANCE", "amount": money("1.00", "USD") });
    let capture = merchant
        .post(&format!("{SUBSCRIPTIONS}/{id}/capture"), &capture)
        .await;
    capture.assert_paypal_issue(422, "SUBSCRIPTION_STATUS_INVALID");
}

#[tokio::test]
async fn suspending_and_cancelling_need_a_reason() {
    let merchant = Merchant::start().await;
    let id = merchant.running(json!({})).await;
    for act in ["suspend", "cancel"] {
        let path = format!("{SUBSCRIPTIONS}/{id}/{act}");
        merchant
            .post(&path, &json!({}))
            .await
            .assert_paypal_issue(400, "MISSING_REQUIRED_PARAMETER");
        merchant
            .change(&id, act, &"x".repeat(129))
            .await
            .assert_paypal_issue(400, "INVALID_STRING_MAX_LENGTH");
        merchant
            .change(&id, act, "")
            .await
            .assert_paypal_issue(400, "INVALID_STRING_MIN_LENGTH");
        merchant
            .change("X", act, "x")
            .await
            .assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    }
    assert_eq!(merchant.subscribed(&id).await["status"], "ACTIVE");
}
