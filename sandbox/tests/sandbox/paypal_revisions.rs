//! Revising a subscription: another plan, another quantity.

use serde_json::json;

use crate::{
    paypal_rig::{Merchant, PLANS, RETURN_URL, SUBSCRIPTIONS, cycle, link, money, text},
    rig::with,
};

#[tokio::test]
async fn a_revision_takes_effect_when_the_buyer_agrees() {
    let merchant = Merchant::start().await;
    let product = merchant.product().await;
    let basic = merchant.plan(json!({ "product_id": product })).await;
    let dear = json!({ "product_id": product, "name": "Better", "billing_cycles": [cycle(1, "TRIAL", "1.00", 1), cycle(2, "REGULAR", "20.00", 0)] });
    let better = merchant.plan(dear).await;
    let id = merchant.subscription(&basic, json!({})).await;
    merchant.approve(&id).await;
    let path = format!("{SUBSCRIPTIONS}/{id}/revise");
    let first = merchant.post(&path, &json!({ "plan_id": better })).await;
    assert_eq!(first.status, 200, "{first:?}");
    let second = merchant.post(&path, &json!({ "plan_id": better })).await;
    assert_eq!(
        json!([second.body["plan_id"], second.body["plan_overridden"]]),
        json!([better, false])
    );
    // The newer one supersedes the older.
    assert_eq!(
        merchant
            .open(link(&first.body, "approve").unwrap())
            .await
            .status,
        404
    );
    let page = link(&second.body, "approve").unwrap();
    assert!(merchant.open(page).await.text.contains("Better"));
    assert_eq!(merchant.subscribed(&id).await["plan_id"], basic);
    assert_eq!(
        merchant.press(page, &[("action", "decline")]).await.status,
        200
    );
    assert_eq!(merchant.subscribed(&id).await["plan_id"], basic);
    let back = merchant.press(page, &[("action", "approve")]).await;
    assert!(
        back.status == 303 && back.header("location").starts_with(RETURN_URL),
        "{back:?}"
    );
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        json!([read["plan_id"], read["billing_info"]["next_billing_time"]]),
        json!([better, "2026-02-15T12:00:00Z"])
    );
    assert_eq!(merchant.entries("payment").await.len(), 1);
    merchant.cycle(&id, "succeed").await;
    // Its trial is for new subscribers.
    assert_eq!(merchant.entries("payment").await[1]["amount"], "20.00");
    assert_eq!(merchant.entries("subscription_revise").await.len(), 2);
}

#[tokio::test]
async fn a_quantity_is_revised_too() {
    let merchant = Merchant::start().await;
    let plan = merchant.plan(json!({ "quantity_supported": true })).await;
    let id = merchant
        .subscription(&plan, json!({ "quantity": "2" }))
        .await;
    merchant.approve(&id).await;
    let path = format!("{SUBSCRIPTIONS}/{id}/revise");
    let answer = merchant.post(&path, &json!({ "quantity": "5" })).await;
    assert_eq!(
        json!([answer.body["quantity"], answer.body["plan_id"]]),
        json!(["5", plan])
    );
    merchant.approve(&id).await;
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        json!([
            read["quantity"],
            read["billing_info"]["cycle_executions"][0]["cycles_completed"]
        ]),
        json!(["5", 1])
    );
    merchant.cycle(&id, "succeed").await;
    assert_eq!(merchant.entries("payment").await[1]["amount"], "50.00");
}

#[tokio::test]
async fn a_revision_that_does_not_fit_is_refused() {
    let merchant = Merchant::start().await;
    let id = merchant.running(json!({})).await;
    let product = text(&merchant.subscribed(&id).await["plan"]["product_id"]);
    let stranger = merchant.plan(json!({})).await;
    let off = merchant.plan(json!({ "product_id": product })).await;
    merchant
        .act(&format!("{PLANS}/{off}/deactivate"), &json!({}))
        .await;
    let euro = with(
        cycle(1, "REGULAR", "1.00", 0),
        json!({ "pricing_scheme": { "fixed_price": money("1.00", "EUR") } }),
    );
    let euro = merchant
        .plan(json!({ "product_id": product, "billing_cycles": [euro] }))
        .await;
    for (body, status, issue) in [
        (json!({ "plan_id": "P-OTHER" }), 404, "INVALID_RESOURCE_ID"),
        (
            json!({ "plan_id": stranger }),
            422,
            "PLAN_PRODUCT_NOT_COMPATIBLE",
        ),
        (json!({ "plan_id": off }), 422, "PLAN_STATUS_INVALID"),
        (json!({ "plan_id": euro }), 422, "CURRENCY_MISMATCH"),
        (
            json!({ "shipping_amount": money("1.00", "EUR") }),
            422,
            "CURRENCY_MISMATCH",
        ),
        (
            json!({ "plan": { "billing_cycles": [{ "sequence": 9 }] } }),
            422,
            "INVALID_BILLING_CYCLE_SEQUENCE",
        ),
        (
            json!({ "application_context": {} }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
    ] {
        let answer = merchant
            .post(&format!("{SUBSCRIPTIONS}/{id}/revise"), &body)
            .await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{body} {}",
            answer.text
        );
        answer.assert_paypal_issue(status, issue);
    }
    assert_eq!(merchant.entries("subscription_revise").await.len(), 0);
}
