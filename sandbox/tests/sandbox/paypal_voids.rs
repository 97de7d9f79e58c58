//! Letting go of held money.

use serde_json::json;

use crate::paypal_rig::{AUTHORIZATIONS, Merchant, ORDERS, money, order, order_with, text};

#[tokio::test]
async fn voiding_answers_without_a_body_unless_one_is_preferred() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("100.00", "USD")).await;
    let id = text(&held["id"]);
    let path = format!("{AUTHORIZATIONS}/{id}/void");
    let answer = merchant.rig.send(merchant.posting(&path, &json!({}))).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(merchant.status_of(&held).await, "VOIDED");
    let order = text(&held["supplementary_data"]["related_ids"]["order_id"]);
    assert_eq!(
        merchant.status(&format!("{ORDERS}/{order}")).await,
        "VOIDED"
    );
    let again = merchant
        .post(&format!("{ORDERS}/{order}/authorize"), &json!({}))
        .await;
    again.assert_paypal_issue(422, "ORDER_COMPLETED_OR_VOIDED");
    for (what, issue) in [
        ("void", "PREVIOUSLY_VOIDED"),
        ("capture", "AUTHORIZATION_VOIDED"),
        ("reauthorize", "AUTHORIZATION_VOIDED"),
    ] {
        merchant
            .act_on(&held, what, json!({}))
            .await
            .assert_paypal_issue(422, issue);
    }
    let other = merchant.held(&order_with("5.00", json!({}))).await;
    let whole = merchant.act_on(&other, "void", json!({})).await;
    assert_eq!(
        (whole.status, &whole.body["status"]),
        (200, &"VOIDED".into())
    );
    let entries = merchant.entries("void").await;
    assert_eq!(
        (entries.len(), &entries[0]["id"], &entries[0]["object"]),
        (2, &id.into(), &order.into())
    );
}

#[tokio::test]
async fn what_is_captured_cannot_be_voided_but_a_rest_can() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("100.00", "USD")).await;
    merchant.act_on(&held, "capture", json!({})).await;
    merchant
        .act_on(&held, "void", json!({}))
        .await
        .assert_paypal_issue(422, "PREVIOUSLY_CAPTURED");
    let partly = merchant.held(&order("100.00", "USD")).await;
    merchant
        .act_on(
            &partly,
            "capture",
            json!({ "amount": money("1.00", "USD") }),
        )
        .await;
    assert_eq!(
        merchant.act_on(&partly, "void", json!({})).await.status,
        200
    );
    let order = text(&partly["supplementary_data"]["related_ids"]["order_id"]);
    assert_eq!(
        merchant.status(&format!("{ORDERS}/{order}")).await,
        "COMPLETED"
    );
}

#[tokio::test]
async fn voiding_takes_the_renewal_along() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("100.00", "USD")).await;
    let merchant = merchant.later(3 * 86_400).await;
    let renewed = merchant.act_on(&held, "reauthorize", json!({})).await.body;
    assert_eq!(merchant.act_on(&held, "void", json!({})).await.status, 200);
    assert_eq!(merchant.status_of(&renewed).await, "VOIDED");
}
