//! From an approved order to money: capturing, authorizing, and what prevents it.

use serde_json::{Value, json};

use crate::{
    paypal_rig::{
        AUTHORIZATIONS, CAPTURES, Merchant, ORDERS, link, order, order_by_source, order_with, text,
    },
    rig::with,
};

#[tokio::test]
async fn an_approved_order_is_captured_once() {
    let merchant = Merchant::start().await;
    let body = order_with(
        "100.00",
        json!({ "custom_id": "pay_1", "invoice_id": "INV-1" }),
    );
    let id = merchant.approved(&body).await;
    let answer = merchant.capture_order(&id).await;
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (201, &"COMPLETED".into())
    );
    let capture = &answer.body["purchase_units"][0]["payments"]["captures"][0];
    let capture_id = text(&capture["id"]);
    assert_eq!(
        merchant.read(&format!("{CAPTURES}/{capture_id}")).await,
        *capture
    );
    assert_eq!(
        json!([
            capture["status"],
            capture["amount"]["value"],
            capture["custom_id"],
            capture["invoice_id"],
            capture["final_capture"]
        ]),
        json!(["COMPLETED", "100.00", "pay_1", "INV-1", true])
    );
    let breakdown = &capture["seller_receivable_breakdown"];
    assert_eq!(
        json!([
            breakdown["gross_amount"]["value"],
            breakdown["paypal_fee"]["value"],
            breakdown["net_amount"]["value"]
        ]),
        json!(["100.00", "3.98", "96.02"])
    );
    assert_eq!(capture["supplementary_data"]["related_ids"]["order_id"], id);
    assert!(
        link(capture, "refund")
            .unwrap()
            .ends_with(&format!("{capture_id}/refund"))
    );
    assert!(link(capture, "up").unwrap().ends_with(&id));
    merchant
        .capture_order(&id)
        .await
        .assert_paypal_issue(422, "ORDER_ALREADY_CAPTURED");
    let entries = merchant.entries("capture").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(
        json!([
            entries[0]["id"],
            entries[0]["object"],
            entries[0]["amount"],
            entries[0]["currency"]
        ]),
        json!([capture_id, id, "100.00", "USD"])
    );
}

#[tokio::test]
async fn a_minimal_answer_has_no_capture_in_it() {
    let merchant = Merchant::start().await;
    let id = merchant.approved(&order("1.00", "USD")).await;
    let request = merchant.posting(&format!("{ORDERS}/{id}/capture"), &json!({}));
    let answer = merchant.rig.send(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["purchase_units"], Value::Null);
    assert_eq!(
        (&answer.body["id"], &answer.body["status"]),
        (&id.into(), &"COMPLETED".into())
    );
}

#[tokio::test]
async fn what_is_not_approved_cannot_be_captured() {
    let merchant = Merchant::start().await;
    let created = merchant.order(&order("1.00", "USD")).await;
    merchant
        .capture_order(&created)
        .await
        .assert_paypal_issue(422, "ORDER_NOT_APPROVED");
    let source = merchant
        .post_as("r1", ORDERS, &order_by_source("1.00"))
        .await;
    let source = text(&source.body["id"]);
    merchant
        .capture_order(&source)
        .await
        .assert_paypal_issue(422, "ORDER_NOT_APPROVED");
    let hold = with(order("1.00", "USD"), json!({ "intent": "AUTHORIZE" }));
    let hold = merchant.order(&hold).await;
    let answer = merchant
        .post(&format!("{ORDERS}/{hold}/authorize"), &json!({}))
        .await;
    answer.assert_paypal_issue(422, "ORDER_NOT_APPROVED");
    assert_eq!(merchant.entries("capture").await.len(), 0);
}

#[tokio::test]
async fn the_action_must_fit_the_intent() {
    let merchant = Merchant::start().await;
    let capture = merchant.approved(&order("1.00", "USD")).await;
    let answer = merchant
        .post(&format!("{ORDERS}/{capture}/authorize"), &json!({}))
        .await;
    answer.assert_paypal_issue(422, "ACTION_DOES_NOT_MATCH_INTENT");
    let hold = with(order("1.00", "USD"), json!({ "intent": "AUTHORIZE" }));
    let hold = merchant.approved(&hold).await;
    merchant
        .capture_order(&hold)
        .await
        .assert_paypal_issue(422, "ACTION_DOES_NOT_MATCH_INTENT");
}

#[tokio::test]
async fn an_approved_order_is_authorized_once() {
    let merchant = Merchant::start().await;
    let body = with(order("50.00", "EUR"), json!({ "intent": "AUTHORIZE" }));
    let id = merchant.approved(&body).await;
    let path = format!("{ORDERS}/{id}/authorize");
    let order = merchant.make(&path, &json!({})).await;
    assert_eq!(order["status"], "COMPLETED");
    let authorization = &order["purchase_units"][0]["payments"]["authorizations"][0];
    let held = text(&authorization["id"]);
    assert_eq!(
        merchant.read(&format!("{AUTHORIZATIONS}/{held}")).await,
        *authorization
    );
    assert_eq!(
        json!([
            authorization["status"],
            authorization["amount"]["value"],
            authorization["expiration_time"]
        ]),
        json!(["CREATED", "50.00", "2026-02-13T12:00:00Z"])
    );
    merchant
        .post(&path, &json!({}))
        .await
        .assert_paypal_issue(422, "ORDER_ALREADY_AUTHORIZED");
    let entries = merchant.entries("authorization").await;
    assert_eq!((entries.len(), &entries[0]["object"]), (1, &id.into()));
}

#[tokio::test]
async fn an_order_dies_three_hours_after_it_was_made() {
    let merchant = Merchant::start().await;
    let body = with(order("1.00", "USD"), json!({ "intent": "AUTHORIZE" }));
    let (capture, hold) = (
        merchant.order(&order("1.00", "USD")).await,
        merchant.order(&body).await,
    );
    merchant.rig.advance(3 * 3600 - 1).await;
    assert_eq!(
        merchant.status(&format!("{ORDERS}/{capture}")).await,
        "CREATED"
    );
    merchant.rig.advance(1).await;
    merchant
        .get(&format!("{ORDERS}/{capture}"))
        .await
        .assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    merchant
        .capture_order(&capture)
        .await
        .assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    let answer = merchant
        .patch(&format!("{ORDERS}/{capture}"), &json!([]))
        .await;
    answer.assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    let answer = merchant
        .post(&format!("{ORDERS}/{hold}/authorize"), &json!({}))
        .await;
    answer.assert_paypal_issue(422, "ORDER_EXPIRED");
}

#[tokio::test]
async fn an_approved_order_has_three_hours_more_and_a_paid_one_stays() {
    let merchant = Merchant::start().await;
    let (paid, late) = (
        merchant.order(&order("1.00", "USD")).await,
        merchant.order(&order("1.00", "USD")).await,
    );
    merchant.rig.advance(3 * 3600 - 1).await;
    merchant.approve(&paid).await;
    merchant.approve(&late).await;
    merchant.rig.advance(3 * 3600 - 1).await;
    assert_eq!(merchant.capture_order(&paid).await.status, 201);
    merchant.rig.advance(1).await;
    merchant
        .capture_order(&late)
        .await
        .assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    let merchant = merchant.later(86_400).await;
    assert_eq!(
        merchant.status(&format!("{ORDERS}/{paid}")).await,
        "COMPLETED"
    );
}

#[tokio::test]
async fn an_invoice_number_pays_once_in_the_account() {
    let merchant = Merchant::start().await;
    let invoiced = order_with("1.00", json!({ "invoice_id": "INV-1" }));
    // Nothing is paid yet: both can be made and approved.
    let (first, second) = (
        merchant.approved(&invoiced).await,
        merchant.approved(&invoiced).await,
    );
    assert_eq!(merchant.capture_order(&first).await.status, 201);
    merchant
        .capture_order(&second)
        .await
        .assert_paypal_issue(422, "DUPLICATE_INVOICE_ID");
    let third = merchant.post(ORDERS, &invoiced).await;
    third.assert_paypal_issue(422, "DUPLICATE_INVOICE_ID");
    assert_eq!(
        third.body["details"][0]["field"],
        "/purchase_units/0/invoice_id"
    );
    let other = merchant.order(&order("1.00", "USD")).await;
    let change = json!([{ "op": "add", "path": "/purchase_units/@reference_id=='default'/invoice_id", "value": "INV-1" }]);
    let answer = merchant.patch(&format!("{ORDERS}/{other}"), &change).await;
    answer.assert_paypal_issue(422, "DUPLICATE_INVOICE_ID");
    assert_eq!(merchant.entries("capture").await.len(), 1);
}

#[tokio::test]
async fn a_declined_instrument_leaves_the_order_for_another_try() {
    let merchant = Merchant::start().await;
    let id = merchant.order(&order("1.00", "USD")).await;
    merchant
        .play(&id, json!({ "action": "approve", "capture": "declined" }))
        .await;
    for _ in 0..2 {
        let refused = merchant.capture_order(&id).await;
        refused.assert_paypal_issue(422, "INSTRUMENT_DECLINED");
        let redirect = link(&refused.body, "redirect").unwrap();
        assert!(
            redirect.contains(&format!("/checkoutnow?token={id}")),
            "{redirect}"
        );
    }
    let order = merchant.read(&format!("{ORDERS}/{id}")).await;
    assert_eq!(order["status"], "APPROVED");
    assert!(link(&order, "approve").is_some());
    merchant.approve(&id).await;
    assert_eq!(merchant.capture_order(&id).await.status, 201);
    assert_eq!(merchant.entries("capture").await.len(), 1);
}

#[tokio::test]
async fn after_ten_declined_attempts_there_are_no_more() {
    let merchant = Merchant::start().await;
    let id = merchant.order(&order("7709.00", "USD")).await;
    merchant.approve(&id).await;
    for _ in 0..10 {
        merchant
            .capture_order(&id)
            .await
            .assert_paypal_issue(422, "INSTRUMENT_DECLINED");
    }
    let answer = merchant.capture_order(&id).await;
    answer.assert_paypal_issue(422, "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED");
}
