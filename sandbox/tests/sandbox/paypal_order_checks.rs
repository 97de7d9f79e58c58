//! What an order must and must not say.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    paypal_rig::{Merchant, ORDERS, money, order, order_by_source, order_with},
    rig::with,
};

#[tokio::test]
async fn every_approach_to_the_amount_is_checked() {
    let merchant = Merchant::start().await;
    for (value, currency, status, issue) in [
        ("", "USD", 400, "INVALID_STRING_LENGTH"),
        ("1,00", "USD", 400, "INVALID_PARAMETER_SYNTAX"),
        ("1.", "USD", 400, "INVALID_PARAMETER_SYNTAX"),
        ("1.005", "USD", 422, "DECIMAL_PRECISION"),
        ("100.00", "JPY", 422, "DECIMAL_PRECISION"),
        ("100.0", "HUF", 422, "DECIMAL_PRECISION"),
        ("100.00", "TWD", 422, "DECIMAL_PRECISION"),
        ("0", "USD", 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("-1.00", "USD", 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("1000000000000000.00", "USD", 422, "MAX_VALUE_EXCEEDED"),
        ("1.00", "INR", 422, "INVALID_CURRENCY_CODE"),
        ("1.00", "KWD", 422, "INVALID_CURRENCY_CODE"),
        ("1.00", "usd", 422, "INVALID_CURRENCY_CODE"),
        ("1.00", "US", 400, "INVALID_STRING_LENGTH"),
    ] {
        let answer = merchant.post(ORDERS, &order(value, currency)).await;
        answer.assert_paypal_issue(status, issue);
        let field = answer.body["details"][0]["field"].as_str().unwrap();
        assert!(field.starts_with("/purchase_units/0/amount/"), "{field}");
    }
    let long = order(&"1".repeat(33), "USD");
    merchant
        .post(ORDERS, &long)
        .await
        .assert_paypal_issue(400, "INVALID_STRING_LENGTH");
    assert_eq!(merchant.rig.effects().await, 0);
    for (value, currency) in [
        ("100", "JPY"),
        ("100", "HUF"),
        ("100", "TWD"),
        (".5", "USD"),
        ("7.1", "EUR"),
    ] {
        merchant.order(&order(value, currency)).await;
    }
}

#[tokio::test]
async fn an_order_that_says_too_little_or_too_much_is_refused() {
    let merchant = Merchant::start().await;
    let many = |count| json!(vec![json!({ "amount": money("1.00", "USD") }); count]);
    let good = order("1.00", "USD");
    for (changes, status, issue) in [
        (json!({ "intent": null }), 400, "MISSING_REQUIRED_PARAMETER"),
        (json!({ "intent": "SALE" }), 400, "INVALID_PARAMETER_VALUE"),
        (json!({ "intent": 1 }), 400, "INVALID_PARAMETER_SYNTAX"),
        (
            json!({ "purchase_units": null }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "purchase_units": {} }),
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            json!({ "purchase_units": [] }),
            400,
            "INVALID_ARRAY_MIN_ITEMS",
        ),
        (
            json!({ "purchase_units": many(11) }),
            400,
            "INVALID_ARRAY_MAX_ITEMS",
        ),
        (
            json!({ "purchase_units": [{}] }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "purchase_units": [{ "amount": { "value": "1" } }] }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "application_context": { "return_url": "shop" } }),
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            json!({ "application_context": { "user_action": "BUY" } }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "application_context": { "landing_page": "GUEST_CHECKOUT" } }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "application_context": { "brand_name": "" } }),
            400,
            "INVALID_STRING_LENGTH",
        ),
    ] {
        let answer = merchant
            .post(ORDERS, &with(good.clone(), changes.clone()))
            .await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{changes} {}",
            answer.text
        );
        answer.assert_paypal_issue(status, issue);
    }
    let broken = merchant
        .request(Method::POST, ORDERS)
        .header("content-type", "application/json")
        .body("{\"intent\":");
    let answer = merchant.rig.send(broken).await;
    answer.assert_paypal_issue(400, "MALFORMED_REQUEST_JSON");
}

#[tokio::test]
async fn references_of_a_unit_have_their_lengths() {
    let merchant = Merchant::start().await;
    for (field, most) in [
        ("reference_id", 256),
        ("custom_id", 127),
        ("invoice_id", 127),
        ("description", 127),
        ("soft_descriptor", 22),
    ] {
        for (length, status) in [(0, 400), (1, 201), (most, 201), (most + 1, 400)] {
            let body = order_with("1.00", json!({ field: "x".repeat(length) }));
            let answer = merchant.post(ORDERS, &body).await;
            assert_eq!(answer.status, status, "{field} {length}: {}", answer.text);
            if status == 400 {
                answer.assert_paypal_issue(400, "INVALID_STRING_LENGTH");
            }
        }
    }
}

#[tokio::test]
async fn a_breakdown_must_add_up() {
    let merchant = Merchant::start().await;
    let chair = |price: &str, tax: Option<&str>| {
        let item = json!({ "name": "Chair", "quantity": "2", "unit_amount": money(price, "USD") });
        match tax {
            Some(tax) => with(item, json!({ "tax": money(tax, "USD") })),
            None => item,
        }
    };
    let amount = |breakdown: Value| with(money("20.00", "USD"), json!({ "breakdown": breakdown }));
    let total = |value: &str| json!({ "item_total": money(value, "USD") });
    for (unit, issue) in [
        (
            json!({ "amount": amount(total("19.00")) }),
            "AMOUNT_MISMATCH",
        ),
        (
            json!({ "amount": amount(with(total("20.00"), json!({ "shipping": money("-1.00", "USD") }))) }),
            "CANNOT_BE_NEGATIVE",
        ),
        (
            json!({ "amount": amount(json!({ "item_total": money("20.00", "EUR") })) }),
            "MULTI_CURRENCY_ORDER",
        ),
        (
            json!({ "items": [chair("10.00", None)] }),
            "ITEM_TOTAL_REQUIRED",
        ),
        (
            json!({ "amount": amount(total("20.00")), "items": [chair("9.00", None)] }),
            "ITEM_TOTAL_MISMATCH",
        ),
        (
            json!({ "amount": amount(total("20.00")), "items": [chair("10.00", Some("1.00"))] }),
            "TAX_TOTAL_REQUIRED",
        ),
        (
            json!({ "amount": amount(json!({ "item_total": money("18.00", "USD"), "tax_total": money("2.00", "USD") })), "items": [chair("9.00", Some("2.00"))] }),
            "TAX_TOTAL_MISMATCH",
        ),
    ] {
        let answer = merchant
            .post(ORDERS, &order_with("20.00", unit.clone()))
            .await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{unit} {}",
            answer.text
        );
        answer.assert_paypal_issue(422, issue);
    }
    let good = json!({ "amount": amount(json!({ "item_total": money("18.00", "USD"), "tax_total": money("2.00", "USD") })), "items": [chair("9.00", Some("1.00"))] });
    merchant.order(&order_with("20.00", good)).await;
}

#[tokio::test]
async fn items_have_names_quantities_and_one_kind() {
    let merchant = Merchant::start().await;
    let amount = with(
        money("10.00", "USD"),
        json!({ "breakdown": { "item_total": money("10.00", "USD") } }),
    );
    let item = json!({ "name": "Chair", "quantity": "1", "unit_amount": money("10.00", "USD") });
    let free = with(
        item.clone(),
        json!({ "unit_amount": money("0.00", "USD"), "category": "DONATION" }),
    );
    for (items, status, issue) in [
        (
            json!([with(item.clone(), json!({ "name": null }))]),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!([with(item.clone(), json!({ "quantity": "0" }))]),
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            json!([with(item.clone(), json!({ "quantity": "1.5" }))]),
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            json!([with(item.clone(), json!({ "quantity": 1 }))]),
            400,
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            json!([with(item.clone(), json!({ "category": "FOOD" }))]),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!([with(item.clone(), json!({ "unit_amount": null }))]),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (json!([item, free]), 422, "MULTIPLE_ITEM_CATEGORIES"),
    ] {
        let unit = json!({ "amount": amount, "items": items });
        let answer = merchant.post(ORDERS, &order_with("10.00", unit)).await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{items} {}",
            answer.text
        );
        answer.assert_paypal_issue(status, issue);
    }
}

#[tokio::test]
async fn shipping_is_checked() {
    let merchant = Merchant::start().await;
    let option = |selected: bool, amount: &str| json!({ "id": amount, "label": "Post", "selected": selected, "amount": money(amount, "USD") });
    for (shipping, status, issue) in [
        (json!({ "address": {} }), 400, "MISSING_REQUIRED_PARAMETER"),
        (
            json!({ "address": { "country_code": "us" } }),
            400,
            "INVALID_COUNTRY_CODE",
        ),
        (
            json!({ "address": { "country_code": "US", "postal_code": "1" } }),
            422,
            "CITY_REQUIRED",
        ),
        (
            json!({ "address": { "country_code": "US", "admin_area_2": "X" } }),
            422,
            "POSTAL_CODE_REQUIRED",
        ),
        (json!({ "type": "DRONE" }), 400, "INVALID_PARAMETER_VALUE"),
        (
            json!({ "type": "SHIPPING", "options": [option(true, "1.00")] }),
            422,
            "SHIPPING_OPTIONS_NOT_SUPPORTED",
        ),
        (
            json!({ "options": [option(false, "1.00")] }),
            422,
            "SHIPPING_OPTION_NOT_SELECTED",
        ),
        (
            json!({ "options": [option(true, "1.00"), option(true, "2.00")] }),
            422,
            "MULTIPLE_SHIPPING_OPTION_SELECTED",
        ),
        (
            json!({ "options": [option(true, "2.00")] }),
            422,
            "PREFERRED_SHIPPING_OPTION_AMOUNT_MISMATCH",
        ),
    ] {
        let amount = with(
            money("1.00", "USD"),
            json!({ "breakdown": { "shipping": money("1.00", "USD") } }),
        );
        let unit = json!({ "amount": amount, "shipping": shipping });
        let answer = merchant.post(ORDERS, &order_with("1.00", unit)).await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{shipping} {}",
            answer.text
        );
        answer.assert_paypal_issue(status, issue);
    }
}

#[tokio::test]
async fn only_the_buyer_s_account_can_pay_and_only_the_merchant_be_paid() {
    let merchant = Merchant::start().await;
    for (source, status, issue) in [
        (
            json!({ "card": { "number": "4111111111111111" } }),
            422,
            "NOT_ENABLED_FOR_CARD_PROCESSING",
        ),
        (
            json!({ "token": { "id": "x" } }),
            403,
            "NOT_ELIGIBLE_FOR_TOKEN_PROCESSING",
        ),
        (json!({ "ideal": {} }), 400, "NOT_SUPPORTED"),
        (json!({ "cash": {} }), 400, "INVALID_PARAMETER_VALUE"),
        (json!({}), 400, "MISSING_REQUIRED_PARAMETER"),
    ] {
        let body = with(order("1.00", "USD"), json!({ "payment_source": source }));
        let answer = merchant.post_as("r1", ORDERS, &body).await;
        answer.assert_paypal_issue(status, issue);
    }
    let both = with(
        order_by_source("1.00"),
        json!({ "application_context": {} }),
    );
    let answer = merchant.post_as("r1", ORDERS, &both).await;
    answer.assert_paypal_issue(422, "INCOMPATIBLE_PARAMETER_VALUE");
    let other = order_with(
        "1.00",
        json!({ "payee": { "email_address": "other@example.com" } }),
    );
    merchant
        .post(ORDERS, &other)
        .await
        .assert_paypal_issue(422, "PAYEE_ACCOUNT_INVALID");
    let fees = json!({ "platform_fees": [{ "amount": money("0.10", "USD") }] });
    let fees = order_with("1.00", json!({ "payment_instruction": fees }));
    merchant
        .post(ORDERS, &fees)
        .await
        .assert_paypal_issue(422, "PLATFORM_FEES_NOT_SUPPORTED");
}
