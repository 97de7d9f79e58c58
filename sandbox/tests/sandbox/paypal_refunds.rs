//! Money back.

use serde_json::json;

use crate::paypal_rig::{
    CAPTURES, Merchant, ORDERS, REFUNDS, link, money, order, order_with, text, token,
};

#[tokio::test]
async fn without_an_amount_everything_goes_back() {
    let merchant = Merchant::start().await;
    let capture = merchant.paid(&order("20.00", "USD")).await;
    let body = json!({ "invoice_id": "R-1", "custom_id": "ref_1", "note_to_payer": "Sorry" });
    let answer = merchant.refund(&capture, body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let refund = answer.body;
    assert_eq!(
        json!([
            refund["status"],
            refund["amount"]["value"],
            refund["invoice_id"],
            refund["custom_id"],
            refund["note_to_payer"]
        ]),
        json!(["COMPLETED", "20.00", "R-1", "ref_1", "Sorry"])
    );
    // Unlike everything else, a refund's times have a zone.
    assert_eq!(refund["create_time"], "2026-01-15T04:00:00-08:00");
    assert_eq!(
        refund["seller_payable_breakdown"]["total_refunded_amount"]["value"],
        "20.00"
    );
    let (capture_id, refund_id) = (text(&capture["id"]), text(&refund["id"]));
    assert!(link(&refund, "up").unwrap().ends_with(&capture_id));
    assert_eq!(
        merchant.read(&format!("{REFUNDS}/{refund_id}")).await,
        refund
    );
    assert_eq!(
        merchant.status(&format!("{CAPTURES}/{capture_id}")).await,
        "REFUNDED"
    );
    merchant
        .refund(&capture, json!({}))
        .await
        .assert_paypal_issue(422, "CAPTURE_FULLY_REFUNDED");
    let order = text(&capture["supplementary_data"]["related_ids"]["order_id"]);
    let order = merchant.read(&format!("{ORDERS}/{order}")).await;
    assert_eq!(
        order["purchase_units"][0]["payments"]["refunds"][0]["id"],
        refund["id"]
    );
    let entries = merchant.entries("refund").await;
    assert_eq!(
        json!([entries.len(), entries[0]["object"], entries[0]["amount"]]),
        json!([1, capture_id, "20.00"])
    );
}

#[tokio::test]
async fn parts_go_back_until_nothing_is_left() {
    let merchant = Merchant::start().await;
    let capture = merchant.paid(&order("20.00", "USD")).await;
    let path = format!("{CAPTURES}/{}", text(&capture["id"]));
    let amount = |value| json!({ "amount": money(value, "USD") });
    assert_eq!(merchant.refund(&capture, amount("5.00")).await.status, 201);
    assert_eq!(merchant.status(&path).await, "PARTIALLY_REFUNDED");
    merchant
        .refund(&capture, amount("15.01"))
        .await
        .assert_paypal_issue(422, "REFUND_AMOUNT_EXCEEDED");
    let rest = merchant.refund(&capture, json!({})).await.body;
    assert_eq!(
        json!([
            rest["amount"]["value"],
            rest["seller_payable_breakdown"]["total_refunded_amount"]["value"]
        ]),
        json!(["15.00", "20.00"])
    );
    assert_eq!(merchant.status(&path).await, "REFUNDED");
}

#[tokio::test]
async fn a_refund_that_does_not_fit_is_refused() {
    let merchant = Merchant::start().await;
    let capture = merchant.paid(&order("2000", "JPY")).await;
    let amount = |value, currency| json!({ "amount": money(value, currency) });
    for (body, status, issue) in [
        (
            amount("1.00", "USD"),
            422,
            "REFUND_CAPTURE_CURRENCY_MISMATCH",
        ),
        (amount("0", "JPY"), 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        (amount("-5", "JPY"), 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        (amount("1.0", "JPY"), 422, "DECIMALS_NOT_SUPPORTED"),
        (amount("1.001", "USD"), 422, "DECIMAL_PRECISION"),
        (amount("1", "YEN"), 422, "INVALID_CURRENCY_CODE"),
        (json!({ "amount": "5" }), 400, "INVALID_PARAMETER_SYNTAX"),
        (json!({ "amount": {} }), 400, "MISSING_REQUIRED_PARAMETER"),
        (
            json!({ "note_to_payer": "x".repeat(256) }),
            400,
            "INVALID_STRING_LENGTH",
        ),
        (json!({ "invoice_id": "" }), 400, "INVALID_STRING_LENGTH"),
    ] {
        let answer = merchant.refund(&capture, body.clone()).await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{body} {}",
            answer.text
        );
        answer.assert_paypal_issue(status, issue);
    }
    let unknown = merchant.refund(&json!({ "id": "X" }), json!({})).await;
    unknown.assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    for path in [format!("{REFUNDS}/X"), format!("{CAPTURES}/X")] {
        merchant
            .get(&path)
            .await
            .assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    }
    assert_eq!(merchant.entries("refund").await.len(), 0);
}

#[tokio::test]
async fn only_money_that_came_can_go_back() {
    let merchant = Merchant::start().await;
    for (value, issue) in [
        ("7701.00", "PENDING_CAPTURE"),
        ("7703.00", "REFUND_NOT_ALLOWED"),
        ("7704.00", "REFUND_NOT_ALLOWED"),
    ] {
        let capture = merchant.paid(&order(value, "USD")).await;
        merchant
            .refund(&capture, json!({}))
            .await
            .assert_paypal_issue(422, issue);
    }
}

#[tokio::test]
async fn a_refund_ends_as_its_amount_its_references_or_the_setting_say() {
    let merchant = Merchant::start().await;
    let capture = merchant.paid(&order("90000.00", "USD")).await;
    for (body, status) in [
        (json!({ "amount": money("7707.00", "USD") }), "PENDING"),
        (json!({ "amount": money("7708.00", "USD") }), "FAILED"),
        (
            json!({ "amount": money("1.00", "USD"), "custom_id": "sandbox-refund-CANCELLED" }),
            "CANCELLED",
        ),
        (
            json!({ "amount": money("1.00", "USD"), "invoice_id": "sandbox-refund-PENDING.1" }),
            "PENDING",
        ),
    ] {
        let refund = merchant.refund(&capture, body).await;
        assert_eq!(
            (refund.status, &refund.body["status"]),
            (201, &status.into())
        );
        let reason = &refund.body["status_details"]["reason"];
        assert_eq!(reason.is_string(), status == "PENDING");
    }
    merchant
        .rig
        .configure(json!({ "paypal_refund": "failed" }))
        .await;
    let refund = merchant
        .refund(&capture, json!({ "amount": money("1.00", "USD") }))
        .await;
    assert_eq!(refund.body["status"], "FAILED");
    let refused = merchant
        .refund(&capture, json!({ "amount": money("7710.00", "USD") }))
        .await;
    refused.assert_paypal_issue(422, "REFUND_FAILED_INSUFFICIENT_FUNDS");
    for issue in [
        "TRANSACTION_DISPUTED",
        "PARTIAL_REFUND_NOT_ALLOWED",
        "REFUND_NOT_ALLOWED",
    ] {
        let body = json!({ "amount": money("1.00", "USD"), "custom_id": format!("sandbox-refuse-{issue}") });
        merchant
            .refund(&capture, body)
            .await
            .assert_paypal_issue(422, issue);
    }
}

#[tokio::test]
async fn a_refund_that_fails_later_gives_the_amount_back_to_the_capture() {
    let merchant = Merchant::start().await;
    let capture = merchant.paid(&order_with("7707.00", json!({}))).await;
    let path = format!("{CAPTURES}/{}", text(&capture["id"]));
    let refund = merchant.refund(&capture, json!({})).await.body;
    assert_eq!(
        (&refund["status"], merchant.status(&path).await),
        (&"PENDING".into(), "REFUNDED".to_owned())
    );
    let forced = merchant
        .force(
            refund["id"].as_str().unwrap(),
            json!({ "status": "FAILED" }),
        )
        .await;
    assert_eq!(forced.body["status"], "FAILED", "{forced:?}");
    assert_eq!(merchant.status(&path).await, "COMPLETED");
    let again = merchant
        .refund(&capture, json!({ "amount": money("1.00", "USD") }))
        .await;
    assert_eq!(again.status, 201, "{again:?}");
}

#[tokio::test]
async fn an_invoice_number_refunds_once() {
    let merchant = Merchant::start().await;
    let (first, second) = (
        merchant.paid(&order("5.00", "USD")).await,
        merchant.paid(&order("5.00", "USD")).await,
    );
    let body = json!({ "invoice_id": "R-1" });
    assert_eq!(merchant.refund(&first, body.clone()).await.status, 201);
    merchant
        .refund(&second, body)
        .await
        .assert_paypal_issue(422, "DUPLICATE_INVOICE_ID");
}

#[tokio::test]
async fn refunds_are_limited_in_number_and_time() {
    let mut merchant = Merchant::start().await;
    let capture = merchant.paid(&order("50.00", "USD")).await;
    let part = || json!({ "amount": money("1.00", "USD") });
    for _ in 0..10 {
        assert_eq!(merchant.refund(&capture, part()).await.status, 201);
    }
    merchant
        .refund(&capture, part())
        .await
        .assert_paypal_issue(422, "MAX_NUMBER_OF_REFUNDS_EXCEEDED");
    let other = merchant.paid(&order("50.00", "USD")).await;
    merchant.rig.advance(180 * 86_400).await;
    merchant.token = token(&merchant.rig).await;
    assert_eq!(merchant.refund(&other, part()).await.status, 201);
    merchant.rig.advance(1).await;
    merchant
        .refund(&other, part())
        .await
        .assert_paypal_issue(422, "REFUND_TIME_LIMIT_EXCEEDED");
}
