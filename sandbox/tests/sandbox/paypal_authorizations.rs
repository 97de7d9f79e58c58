//! Held money: capturing it, renewing it, letting it go.

use reqwest::Method;
use serde_json::json;

use crate::paypal_rig::{AUTHORIZATIONS, Merchant, ORDERS, link, money, order, order_with, text};

const DAY: i64 = 86_400;

#[tokio::test]
async fn without_an_amount_all_of_it_is_captured() {
    let merchant = Merchant::start().await;
    let body = order_with(
        "80.00",
        json!({ "custom_id": "pay_1", "invoice_id": "INV-1" }),
    );
    let held = merchant.held(&body).await;
    let answer = merchant.act_on(&held, "capture", json!({})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let capture = &answer.body;
    assert_eq!(
        json!([
            capture["status"],
            capture["amount"]["value"],
            capture["custom_id"],
            capture["invoice_id"],
            capture["final_capture"]
        ]),
        json!(["COMPLETED", "80.00", "pay_1", "INV-1", false])
    );
    let related = &capture["supplementary_data"]["related_ids"];
    assert_eq!(related["authorization_id"], held["id"]);
    assert!(
        link(capture, "up")
            .unwrap()
            .ends_with(held["id"].as_str().unwrap())
    );
    assert_eq!(merchant.status_of(&held).await, "CAPTURED");
    let order = text(&related["order_id"]);
    let order = merchant.read(&format!("{ORDERS}/{order}")).await;
    assert_eq!(
        order["purchase_units"][0]["payments"]["captures"][0]["id"],
        capture["id"]
    );
    merchant
        .act_on(&held, "capture", json!({}))
        .await
        .assert_paypal_issue(422, "AUTHORIZATION_ALREADY_CAPTURED");
    assert_eq!(merchant.entries("capture").await[0]["object"], held["id"]);
}

#[tokio::test]
async fn it_is_captured_in_parts_until_all_or_the_final_one() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("80.00", "USD")).await;
    let part = json!({ "amount": money("30.00", "USD") });
    assert_eq!(
        merchant.act_on(&held, "capture", part.clone()).await.status,
        201
    );
    assert_eq!(merchant.status_of(&held).await, "PARTIALLY_CAPTURED");
    let rest = merchant.act_on(&held, "capture", json!({})).await;
    assert_eq!(rest.body["amount"]["value"], "50.00");
    assert_eq!(merchant.status_of(&held).await, "CAPTURED");
    let other = merchant.held(&order("80.00", "USD")).await;
    let last = json!({ "amount": money("30.00", "USD"), "final_capture": true });
    let answer = merchant.act_on(&other, "capture", last).await;
    assert_eq!(answer.body["final_capture"], true);
    assert_eq!(merchant.status_of(&other).await, "CAPTURED");
    merchant
        .act_on(&other, "capture", part)
        .await
        .assert_paypal_issue(422, "AUTHORIZATION_ALREADY_CAPTURED");
}

#[tokio::test]
async fn a_little_more_than_was_held_can_be_captured() {
    let merchant = Merchant::start().await;
    for (held, most, more, currency) in [
        ("100.00", "115.00", "115.01", "USD"),
        ("1000.00", "1075.00", "1075.01", "USD"),
        ("1000.00", "1150.00", "1150.01", "EUR"),
    ] {
        let held = merchant.held(&order(held, currency)).await;
        let amount = |value| json!({ "amount": money(value, currency) });
        merchant
            .act_on(&held, "capture", amount(more))
            .await
            .assert_paypal_issue(422, "MAX_CAPTURE_AMOUNT_EXCEEDED");
        assert_eq!(
            merchant.act_on(&held, "capture", amount(most)).await.status,
            201
        );
    }
}

#[tokio::test]
async fn the_sum_of_captures_counts_but_not_declined_ones() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("100.00", "USD")).await;
    let amount = |value| json!({ "amount": money(value, "USD") });
    merchant
        .rig
        .configure(json!({ "paypal_capture": "declined" }))
        .await;
    let declined = merchant.act_on(&held, "capture", amount("90.00")).await;
    assert_eq!(declined.body["status"], "DECLINED");
    assert_eq!(merchant.status_of(&held).await, "CREATED");
    merchant
        .rig
        .configure(json!({ "paypal_capture": "completed" }))
        .await;
    assert_eq!(
        merchant
            .act_on(&held, "capture", amount("90.00"))
            .await
            .status,
        201
    );
    merchant
        .act_on(&held, "capture", amount("25.01"))
        .await
        .assert_paypal_issue(422, "MAX_CAPTURE_AMOUNT_EXCEEDED");
    assert_eq!(
        merchant
            .act_on(&held, "capture", amount("25.00"))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn what_is_captured_must_fit() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("100", "JPY")).await;
    let amount = |value, currency| json!({ "amount": money(value, currency) });
    for (body, status, issue) in [
        (amount("1.00", "USD"), 422, "AUTH_CAPTURE_CURRENCY_MISMATCH"),
        (amount("0", "JPY"), 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        (amount("1.5", "JPY"), 422, "DECIMALS_NOT_SUPPORTED"),
        (amount("1.505", "USD"), 422, "DECIMAL_PRECISION"),
        (amount("1", "XXX"), 422, "INVALID_CURRENCY_CODE"),
        (amount("x", "JPY"), 400, "INVALID_PARAMETER_SYNTAX"),
        (
            json!({ "amount": { "value": "1" } }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "final_capture": "yes" }),
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            json!({ "note_to_payer": "x".repeat(256) }),
            400,
            "INVALID_STRING_LENGTH",
        ),
        (
            json!({ "soft_descriptor": "x".repeat(23) }),
            400,
            "INVALID_STRING_LENGTH",
        ),
        (
            json!({ "invoice_id": "x".repeat(128) }),
            400,
            "INVALID_STRING_LENGTH",
        ),
    ] {
        let answer = merchant.act_on(&held, "capture", body.clone()).await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{body} {}",
            answer.text
        );
        answer.assert_paypal_issue(status, issue);
    }
    assert_eq!(merchant.entries("capture").await.len(), 0);
}

#[tokio::test]
async fn an_invoice_number_of_another_order_is_refused() {
    let merchant = Merchant::start().await;
    merchant
        .paid(&order_with("1.00", json!({ "invoice_id": "INV-1" })))
        .await;
    let held = merchant.held(&order("100.00", "USD")).await;
    let with_invoice = |invoice| json!({ "amount": money("10.00", "USD"), "invoice_id": invoice });
    merchant
        .act_on(&held, "capture", with_invoice("INV-1"))
        .await
        .assert_paypal_issue(422, "DUPLICATE_INVOICE_ID");
    let capture = merchant
        .act_on(&held, "capture", with_invoice("INV-2"))
        .await;
    assert_eq!(capture.body["invoice_id"], "INV-2");
    let other = merchant.held(&order("100.00", "USD")).await;
    merchant
        .act_on(&other, "capture", with_invoice("INV-2"))
        .await
        .assert_paypal_issue(422, "DUPLICATE_INVOICE_ID");
}

#[tokio::test]
async fn ten_captures_are_the_most() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("100.00", "USD")).await;
    let part = json!({ "amount": money("1.00", "USD") });
    for _ in 0..10 {
        assert_eq!(
            merchant.act_on(&held, "capture", part.clone()).await.status,
            201
        );
    }
    merchant
        .act_on(&held, "capture", part)
        .await
        .assert_paypal_issue(422, "MAX_CAPTURE_COUNT_EXCEEDED");
}

#[tokio::test]
async fn it_ends_after_29_days() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("100.00", "USD")).await;
    let part = json!({ "amount": money("1.00", "USD") });
    let merchant = merchant.later(29 * DAY - 1).await;
    assert_eq!(
        merchant.act_on(&held, "capture", part.clone()).await.status,
        201
    );
    merchant.rig.advance(1).await;
    merchant
        .act_on(&held, "capture", part)
        .await
        .assert_paypal_issue(422, "AUTHORIZATION_EXPIRED");
    merchant
        .act_on(&held, "reauthorize", json!({}))
        .await
        .assert_paypal_issue(422, "AUTHORIZATION_EXPIRED");
}

#[tokio::test]
async fn it_is_renewed_once_after_the_honour_period() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("100.00", "USD")).await;
    merchant
        .act_on(&held, "reauthorize", json!({}))
        .await
        .assert_paypal_issue(422, "TRANSACTION_REFUSED");
    let merchant = merchant.later(3 * DAY).await;
    let amount = |value, currency| json!({ "amount": money(value, currency) });
    for (body, issue) in [
        (amount("115.01", "USD"), "AUTHORIZATION_AMOUNT_EXCEEDED"),
        (amount("10.00", "EUR"), "AUTH_CURRENCY_MISMATCH"),
        (amount("0.00", "USD"), "CANNOT_BE_ZERO_OR_NEGATIVE"),
    ] {
        merchant
            .act_on(&held, "reauthorize", body)
            .await
            .assert_paypal_issue(422, issue);
    }
    let renewed = merchant
        .act_on(&held, "reauthorize", amount("110.00", "USD"))
        .await;
    assert_eq!(renewed.status, 201, "{renewed:?}");
    let renewed = renewed.body;
    assert_ne!(renewed["id"], held["id"]);
    assert_eq!(
        json!([
            renewed["status"],
            renewed["amount"]["value"],
            renewed["expiration_time"]
        ]),
        json!(["CREATED", "110.00", held["expiration_time"]])
    );
    merchant
        .act_on(&held, "reauthorize", json!({}))
        .await
        .assert_paypal_issue(422, "TRANSACTION_REFUSED");
    let merchant = merchant.later(3 * DAY).await;
    merchant
        .act_on(&renewed, "reauthorize", json!({}))
        .await
        .assert_paypal_issue(422, "REAUTHORIZATION_NOT_SUPPORTED");
    merchant
        .act_on(&renewed, "void", json!({}))
        .await
        .assert_paypal_issue(422, "CANNOT_BE_VOIDED");
    let capture = merchant.act_on(&renewed, "capture", json!({})).await;
    assert_eq!(capture.body["amount"]["value"], "110.00");
    let kinds = merchant.entries("authorization").await;
    assert_eq!((kinds.len(), &kinds[1]["object"]), (2, &held["id"]));
}

#[tokio::test]
async fn an_authorization_and_its_renewal_share_what_can_be_captured() {
    let merchant = Merchant::start().await;
    let held = merchant.held(&order("100.00", "USD")).await;
    let merchant = merchant.later(3 * DAY).await;
    let renewed = merchant.act_on(&held, "reauthorize", json!({})).await.body;
    let amount = |value| json!({ "amount": money(value, "USD") });
    let first = merchant.act_on(&held, "capture", amount("60.00")).await;
    assert_eq!(first.status, 201, "{first:?}");
    merchant
        .act_on(&renewed, "capture", amount("55.01"))
        .await
        .assert_paypal_issue(422, "MAX_CAPTURE_AMOUNT_EXCEEDED");
    let rest = merchant.act_on(&renewed, "capture", json!({})).await;
    assert_eq!(rest.body["amount"]["value"], "40.00");
}

#[tokio::test]
async fn an_authorization_can_be_pending_or_denied() {
    let merchant = Merchant::start().await;
    for (value, now, issue) in [
        ("7705.00", "PENDING", "TRANSACTION_REFUSED"),
        ("7706.00", "DENIED", "AUTHORIZATION_DENIED"),
    ] {
        let held = merchant.held(&order(value, "USD")).await;
        assert_eq!(held["status"], now);
        merchant
            .act_on(&held, "capture", json!({}))
            .await
            .assert_paypal_issue(422, issue);
    }
    let held = merchant.held(&order("7705.00", "USD")).await;
    assert_eq!(held["status_details"]["reason"], "PENDING_REVIEW");
    let forced = merchant
        .force(held["id"].as_str().unwrap(), json!({ "status": "CREATED" }))
        .await;
    assert_eq!(forced.body["status"], "CREATED", "{forced:?}");
    assert_eq!(
        merchant.act_on(&held, "capture", json!({})).await.status,
        201
    );
}

#[tokio::test]
async fn unknown_authorizations_are_not_found() {
    let merchant = Merchant::start().await;
    let unknown = json!({ "id": "X" });
    for what in ["capture", "reauthorize", "void"] {
        merchant
            .act_on(&unknown, what, json!({}))
            .await
            .assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    }
    let path = format!("{AUTHORIZATIONS}/X");
    let answer = merchant
        .rig
        .send(merchant.request(Method::GET, &path))
        .await;
    answer.assert_paypal_issue(404, "INVALID_RESOURCE_ID");
}
