//! What happens to a subscription that is not paid.

use serde_json::{Value, json};

use crate::{
    paypal_rig::{Merchant, SUBSCRIPTIONS, cycle, money},
    rig::with,
};

#[tokio::test]
async fn a_failed_payment_is_outstanding_and_billed_with_the_next() {
    let merchant = Merchant::start().await;
    let id = merchant.running(json!({})).await;
    let read = merchant.cycle(&id, "fail").await;
    let info = &read["billing_info"];
    assert_eq!(
        json!([
            read["status"],
            info["outstanding_balance"]["value"],
            info["failed_payments_count"]
        ]),
        json!(["ACTIVE", "10.00", 1])
    );
    assert_eq!(
        json!([
            info["last_failed_payment"]["amount"]["value"],
            info["last_failed_payment"]["reason_code"]
        ]),
        json!(["10.00", "PAYMENT_DENIED"])
    );
    let plain = merchant.read(&format!("{SUBSCRIPTIONS}/{id}")).await;
    assert_eq!(plain["billing_info"]["last_failed_payment"], Value::Null);
    let info = merchant.cycle(&id, "succeed").await["billing_info"].clone();
    assert_eq!(
        json!([
            info["outstanding_balance"]["value"],
            info["failed_payments_count"],
            info["last_payment"]["amount"]["value"]
        ]),
        json!(["0.00", 0, "20.00"])
    );
}

#[tokio::test]
async fn an_outstanding_balance_waits_where_the_plan_does_not_bill_it() {
    let merchant = Merchant::start().await;
    let id = merchant
        .running(json!({ "payment_preferences": { "auto_bill_outstanding": false } }))
        .await;
    merchant.cycle(&id, "fail").await;
    let info = merchant.cycle(&id, "succeed").await["billing_info"].clone();
    assert_eq!(
        json!([
            info["outstanding_balance"]["value"],
            info["last_payment"]["amount"]["value"]
        ]),
        json!(["10.00", "10.00"])
    );
}

#[tokio::test]
async fn too_many_failed_payments_suspend_until_the_balance_is_paid() {
    let merchant = Merchant::start().await;
    let id = merchant
        .running(json!({ "payment_preferences": { "payment_failure_threshold": 2 } }))
        .await;
    assert_eq!(merchant.cycle(&id, "fail").await["status"], "ACTIVE");
    assert_eq!(
        merchant.cycle(&id, "succeed").await["billing_info"]["failed_payments_count"],
        0
    );
    merchant.cycle(&id, "fail").await;
    let read = merchant.cycle(&id, "fail").await;
    assert_eq!(
        json!([
            read["status"],
            read["billing_info"]["outstanding_balance"]["value"]
        ]),
        json!(["SUSPENDED", "20.00"])
    );
    // Suspended by PayPal, not by the merchant.
    assert_eq!(merchant.entries("subscription_suspend").await.len(), 0);
    let refused = merchant.change(&id, "activate", "Again").await;
    refused.assert_paypal_issue(422, "SUBSCRIPTION_CANNOT_BE_ACTIVATED");
    let capture = json!({ "note": "Pay up", "capture_type": "OUTSTANDING_BALANCE", "amount": money("20.00", "USD") });
    let taken = merchant
        .post(&format!("{SUBSCRIPTIONS}/{id}/capture"), &capture)
        .await;
    assert_eq!(
        (taken.status, &taken.body["status"]),
        (200, &"COMPLETED".into()),
        "{taken:?}"
    );
    assert_eq!(
        taken.body["amount_with_breakdown"]["gross_amount"]["value"],
        "20.00"
    );
    assert_eq!(merchant.change(&id, "activate", "Again").await.status, 204);
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        json!([
            read["status"],
            read["billing_info"]["outstanding_balance"]["value"]
        ]),
        json!(["ACTIVE", "0.00"])
    );
}

#[tokio::test]
async fn an_outstanding_balance_is_collected_at_most_once() {
    let merchant = Merchant::start().await;
    let id = merchant.running(json!({})).await;
    merchant.cycle(&id, "fail").await;
    let path = format!("{SUBSCRIPTIONS}/{id}/capture");
    let body = |value: &str, currency: &str| json!({ "note": "x", "capture_type": "OUTSTANDING_BALANCE", "amount": money(value, currency) });
    for (body, status, issue) in [
        (
            body("10.01", "USD"),
            422,
            "AMOUNT_GREATER_THAN_OUTSTANDING_BALANCE",
        ),
        (body("5.00", "EUR"), 422, "CURRENCY_MISMATCH"),
        (body("0.00", "USD"), 400, "INVALID_PARAMETER_VALUE"),
        (
            with(body("5.00", "USD"), json!({ "note": null })),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            with(body("5.00", "USD"), json!({ "capture_type": "ALL" })),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            with(body("5.00", "USD"), json!({ "amount": null })),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
    ] {
        merchant
            .post(&path, &body)
            .await
            .assert_paypal_issue(status, issue);
    }
    let first = merchant.post_as("r1", &path, &body("10.00", "USD")).await;
    let again = merchant.post_as("r1", &path, &body("10.00", "USD")).await;
    assert_eq!((first.status, &again.body), (200, &first.body));
    let more = merchant.post(&path, &body("10.00", "USD")).await;
    more.assert_paypal_issue(422, "AMOUNT_GREATER_THAN_OUTSTANDING_BALANCE");
    // The first cycle's, and the one collected.
    assert_eq!(merchant.entries("payment").await.len(), 2);
}

#[tokio::test]
async fn due_payments_fail_by_setting_by_amount_and_by_a_word() {
    let merchant = Merchant::start().await;
    let by_amount = merchant
        .running(json!({ "billing_cycles": [cycle(1, "REGULAR", "7711.00", 0)] }))
        .await;
    let plan = merchant.plan(json!({})).await;
    let by_word = merchant
        .subscription(&plan, json!({ "custom_id": "sandbox-charge-FAIL.1" }))
        .await;
    merchant.approve(&by_word).await;
    let failures = async |merchant: &Merchant, id: &str| {
        merchant.subscribed(id).await["billing_info"]["failed_payments_count"].clone()
    };
    assert_eq!(failures(&merchant, &by_amount).await, 1);
    assert_eq!(failures(&merchant, &by_word).await, 1);
    let by_setting = merchant.running(json!({})).await;
    merchant
        .rig
        .configure(json!({ "paypal_charge": "fail" }))
        .await;
    let merchant = merchant.later(31 * 86_400).await;
    assert_eq!(failures(&merchant, &by_setting).await, 1);
    assert_eq!(failures(&merchant, &by_word).await, 2);
}

#[tokio::test]
async fn a_failed_set_up_fee_ends_the_subscription_or_is_outstanding() {
    let merchant = Merchant::start().await;
    for (action, status, outstanding) in [
        ("CANCEL", "CANCELLED", "0.00"),
        ("CONTINUE", "ACTIVE", "15.00"),
    ] {
        let preferences =
            json!({ "setup_fee": money("5.00", "USD"), "setup_fee_failure_action": action });
        let plan = merchant
            .plan(json!({ "payment_preferences": preferences }))
            .await;
        let id = merchant.subscription(&plan, json!({})).await;
        let back = merchant
            .play(&id, json!({ "action": "approve", "charge": "fail" }))
            .await;
        assert_eq!(back["object"]["status"], status);
        let read = merchant.subscribed(&id).await;
        assert_eq!(
            read["billing_info"]["outstanding_balance"]["value"],
            outstanding
        );
    }
    assert_eq!(merchant.entries("payment").await.len(), 0);
}
