//! Errors on demand: by faults, and by PayPal's own header for negative testing.

use serde_json::{Value, json};

use crate::{
    paypal_rig::{Merchant, ORDERS, PRODUCTS, order, paypal_name},
    rig::Answer,
};

async fn mocked(merchant: &Merchant, header: &str) -> Answer {
    let request = merchant
        .posting(ORDERS, &order("1.00", "USD"))
        .header("PayPal-Mock-Response", header);
    merchant.rig.send(request).await
}

#[tokio::test]
async fn every_status_has_its_documented_body() {
    let merchant = Merchant::start().await;
    for (status, name) in [
        (400, "INVALID_REQUEST"),
        (401, "AUTHENTICATION_FAILURE"),
        (403, "NOT_AUTHORIZED"),
        (404, "RESOURCE_NOT_FOUND"),
        (409, "RESOURCE_CONFLICT"),
        (415, "UNSUPPORTED_MEDIA_TYPE"),
        (422, "UNPROCESSABLE_ENTITY"),
        (429, "RATE_LIMIT_REACHED"),
        (500, "INTERNAL_SERVER_ERROR"),
        (503, "SERVICE_UNAVAILABLE"),
    ] {
        merchant
            .rig
            .fault(json!({ "fault": "error_before", "status": status, "provider": "paypal" }))
            .await;
        merchant
            .get(PRODUCTS)
            .await
            .assert_paypal_name(status, name);
        merchant
            .rig
            .fault(json!({ "fault": "error_before", "code": name, "provider": "paypal" }))
            .await;
        merchant
            .get(PRODUCTS)
            .await
            .assert_paypal_name(status, name);
    }
}

#[tokio::test]
async fn a_fault_can_name_an_issue() {
    let merchant = Merchant::start().await;
    for (code, status) in [
        ("INSTRUMENT_DECLINED", 422),
        ("PERMISSION_DENIED", 403),
        ("INVALID_ACCOUNT_STATUS", 401),
        ("PREVIOUS_REQUEST_IN_PROGRESS", 409),
        ("REFUND_TIME_LIMIT_EXCEEDED", 422),
    ] {
        merchant
            .rig
            .fault(json!({ "fault": "error_before", "code": code }))
            .await;
        let answer = merchant.post(ORDERS, &order("1.00", "USD")).await;
        answer.assert_paypal_issue(status, code);
    }
    merchant
        .rig
        .fault(json!({ "fault": "error_before", "code": "BRAND_NEW_ISSUE", "status": 403 }))
        .await;
    let answer = merchant.post(ORDERS, &order("1.00", "USD")).await;
    answer.assert_paypal_issue(403, "BRAND_NEW_ISSUE");
    for code in ["invalid_token", "invalid_client"] {
        merchant
            .rig
            .fault(json!({ "fault": "error_before", "code": code }))
            .await;
        let answer = merchant.get(PRODUCTS).await;
        assert_eq!((answer.status, &answer.body["error"]), (401, &code.into()));
    }
    assert_eq!(merchant.rig.effects().await, 0);
}

#[tokio::test]
async fn an_error_after_the_effect_leaves_the_effect() {
    let merchant = Merchant::start().await;
    merchant
        .rig
        .fault(json!({ "fault": "error_after", "status": 500, "path_contains": "/orders" }))
        .await;
    let answer = merchant.post_as("r1", ORDERS, &order("1.00", "USD")).await;
    answer.assert_paypal_name(500, "INTERNAL_SERVER_ERROR");
    let again = merchant.post_as("r1", ORDERS, &order("1.00", "USD")).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(merchant.entries("order").await.len(), 1);
}

#[tokio::test]
async fn the_mock_header_forces_an_error_without_effect() {
    let merchant = Merchant::start().await;
    for (header, status, issue) in [
        (
            r#"{"mock_application_codes":"INSTRUMENT_DECLINED"}"#,
            422,
            "INSTRUMENT_DECLINED",
        ),
        (
            r#"{"mock_application_codes":["TRANSACTION_REFUSED"]}"#,
            422,
            "TRANSACTION_REFUSED",
        ),
        (
            r#"{"mock_application_codes":"PERMISSION_DENIED"}"#,
            403,
            "PERMISSION_DENIED",
        ),
        (
            r#"{"mock_application_codes":"DUPLICATE_INVOICE_ID"}"#,
            422,
            "DUPLICATE_INVOICE_ID",
        ),
        ("INSTRUMENT_DECLINED", 400, "INVALID_PARAMETER_SYNTAX"),
        (
            r#"{"mock_application_codes":7}"#,
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
    ] {
        mocked(&merchant, header)
            .await
            .assert_paypal_issue(status, issue);
    }
    let whole = mocked(
        &merchant,
        r#"{"mock_application_codes":"INTERNAL_SERVER_ERROR"}"#,
    )
    .await;
    whole.assert_paypal_name(500, "INTERNAL_SERVER_ERROR");
    assert_eq!(merchant.rig.effects().await, 0);
}

#[tokio::test]
async fn every_listed_issue_has_a_status_that_has_a_name() {
    let merchant = Merchant::start().await;
    let index = merchant
        .rig
        .send(merchant.rig.http.get(merchant.rig.url("/")))
        .await;
    let issues = index.body["providers"]["paypal"]["issues"]
        .as_array()
        .unwrap()
        .clone();
    assert!(issues.len() > 100, "{}", issues.len());
    for issue in issues.iter().filter_map(Value::as_str) {
        let header = json!({ "mock_application_codes": issue }).to_string();
        let answer = mocked(&merchant, &header).await;
        answer.assert_paypal_issue(answer.status, issue);
        assert_eq!(answer.body["name"], paypal_name(answer.status));
    }
}
