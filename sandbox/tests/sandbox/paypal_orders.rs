//! Making, reading and changing orders.

use serde_json::{Value, json};

use crate::{
    paypal_rig::{
        Merchant, ORDERS, link, money, order, order_by_source, order_with, order_with_returns, text,
    },
    rig::with,
};

#[tokio::test]
async fn an_order_in_the_older_way_is_created_with_an_approve_link() {
    let merchant = Merchant::start().await;
    let minimal = merchant
        .rig
        .send(merchant.posting(ORDERS, &order_with_returns("25.00")))
        .await;
    assert_eq!(minimal.status, 201, "{minimal:?}");
    let fields: Vec<&String> = minimal.body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["id", "links", "status"]);
    assert_eq!(minimal.body["status"], "CREATED");
    let id = text(&minimal.body["id"]);
    assert_eq!(id.len(), 17);
    let base = merchant.rig.url("/paypal");
    assert_eq!(
        link(&minimal.body, "approve"),
        Some(format!("{base}/checkoutnow?token={id}").as_str())
    );
    assert_eq!(
        link(&minimal.body, "self"),
        Some(format!("https://api-m.sandbox.paypal.com{ORDERS}/{id}").as_str())
    );
    assert!(link(&minimal.body, "capture").is_some() && link(&minimal.body, "update").is_some());
    assert_eq!(link(&minimal.body, "payer-action"), None);
}

#[tokio::test]
async fn an_order_by_payment_source_asks_for_the_payer() {
    let merchant = Merchant::start().await;
    let answer = merchant
        .post_as("r1", ORDERS, &order_by_source("25.00"))
        .await;
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (200, &"PAYER_ACTION_REQUIRED".into())
    );
    assert_eq!(answer.body["payment_source"], json!({ "paypal": {} }));
    assert!(
        link(&answer.body, "payer-action")
            .unwrap()
            .contains("/paypal/checkoutnow?token=")
    );
    assert_eq!(link(&answer.body, "approve"), None);
}

#[tokio::test]
async fn an_order_by_payment_source_needs_a_request_id() {
    let merchant = Merchant::start().await;
    let answer = merchant.post(ORDERS, &order_by_source("25.00")).await;
    answer.assert_paypal_issue(400, "PAYPAL_REQUEST_ID_REQUIRED");
    assert_eq!(merchant.rig.effects().await, 0);
}

#[tokio::test]
async fn an_order_is_read_back_whole() {
    let merchant = Merchant::start().await;
    let body = json!({
        "intent": "AUTHORIZE",
        "purchase_units": [{
            "reference_id": "cart",
            "custom_id": "pay_1",
            "invoice_id": "INV-1",
            "description": "Two chairs",
            "soft_descriptor": "CHAIRS",
            "amount": {
                "currency_code": "USD",
                "value": "25.5",
                "breakdown": { "item_total": money("20.00", "USD"), "tax_total": money("2.00", "USD"), "shipping": money("4.00", "USD"), "discount": money("0.50", "USD") },
            },
            "items": [{ "name": "Chair", "quantity": "2", "unit_amount": money("10.00", "USD"), "tax": money("1.00", "USD"), "category": "PHYSICAL_GOODS" }],
            "shipping": { "name": { "full_name": "Ada" }, "address": { "address_line_1": "1 Main St", "admin_area_2": "San Jose", "admin_area_1": "CA", "postal_code": "95131", "country_code": "US" } },
        }],
    });
    let id = merchant.order(&body).await;
    let read = merchant.read(&format!("{ORDERS}/{id}")).await;
    assert_eq!(
        json!([
            read["id"],
            read["intent"],
            read["status"],
            read["create_time"]
        ]),
        json!([id, "AUTHORIZE", "CREATED", "2026-01-15T12:00:00Z"])
    );
    let unit = &read["purchase_units"][0];
    assert_eq!(unit["amount"]["value"], "25.50");
    assert_eq!(unit["amount"]["breakdown"]["discount"]["value"], "0.50");
    assert!(unit["payee"]["merchant_id"].is_string());
    for field in [
        "reference_id",
        "custom_id",
        "invoice_id",
        "items",
        "shipping",
    ] {
        assert_eq!(unit[field], body["purchase_units"][0][field], "{field}");
    }
    assert!(link(&read, "authorize").is_some());
    let entry = &merchant.entries("order").await[0];
    assert_eq!(
        json!([entry["id"], entry["amount"], entry["currency"]]),
        json!([id, "25.50", "USD"])
    );
}

#[tokio::test]
async fn a_unit_without_a_reference_is_the_default_one() {
    let merchant = Merchant::start().await;
    let id = merchant.order(&order("5", "JPY")).await;
    let read = merchant.read(&format!("{ORDERS}/{id}")).await;
    let unit = &read["purchase_units"][0];
    assert_eq!(
        json!([unit["reference_id"], unit["amount"]["value"]]),
        json!(["default", "5"])
    );
}

#[tokio::test]
async fn several_units_need_references_one_currency_and_capture() {
    let merchant = Merchant::start().await;
    let unit = |reference: &str, currency: &str| json!({ "reference_id": reference, "amount": money("1.00", currency) });
    let donation = with(
        unit("b", "USD"),
        json!({
            "amount": { "currency_code": "USD", "value": "1.00", "breakdown": { "item_total": money("1.00", "USD") } },
            "items": [{ "name": "Gift", "quantity": "1", "unit_amount": money("1.00", "USD"), "category": "DONATION" }],
        }),
    );
    for (intent, units, issue) in [
        (
            "CAPTURE",
            json!([unit("a", "USD"), { "amount": money("1.00", "USD") }]),
            "REFERENCE_ID_REQUIRED",
        ),
        (
            "CAPTURE",
            json!([unit("a", "USD"), unit("a", "USD")]),
            "DUPLICATE_REFERENCE_ID",
        ),
        (
            "CAPTURE",
            json!([unit("a", "USD"), unit("b", "EUR")]),
            "MULTI_CURRENCY_ORDER",
        ),
        (
            "CAPTURE",
            json!([unit("a", "USD"), donation]),
            "DONATION_ITEMS_NOT_SUPPORTED",
        ),
        (
            "AUTHORIZE",
            json!([unit("a", "USD"), unit("b", "USD")]),
            "UNSUPPORTED_INTENT",
        ),
    ] {
        let body = json!({ "intent": intent, "purchase_units": units });
        merchant
            .post(ORDERS, &body)
            .await
            .assert_paypal_issue(422, issue);
    }
    let body =
        json!({ "intent": "CAPTURE", "purchase_units": [unit("a", "USD"), unit("b", "USD")] });
    let id = merchant.approved(&body).await;
    let order = merchant.capture_order(&id).await;
    let captures: Vec<&Value> = order.body["purchase_units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| &unit["payments"]["captures"][0]["id"])
        .collect();
    assert!(
        captures.len() == 2 && captures[0] != captures[1],
        "{}",
        order.text
    );
    assert_eq!(merchant.entries("capture").await.len(), 2);
}

#[tokio::test]
async fn an_order_is_patched_until_it_is_complete() {
    let merchant = Merchant::start().await;
    let id = merchant
        .order(&order_with("10.00", json!({ "custom_id": "a" })))
        .await;
    let path = format!("{ORDERS}/{id}");
    let unit = |field: &str| format!("/purchase_units/@reference_id=='default'/{field}");
    let changes = json!([
        { "op": "replace", "path": unit("amount"), "value": money("12.00", "USD") },
        { "op": "add", "path": unit("invoice_id"), "value": "INV-2" },
        { "op": "remove", "path": unit("custom_id") },
        { "op": "add", "path": unit("shipping/name"), "value": { "full_name": "Ada" } },
        { "op": "replace", "path": "/intent", "value": "AUTHORIZE" },
    ]);
    let answer = merchant.patch(&path, &changes).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let order = merchant.read(&path).await;
    let unit_now = &order["purchase_units"][0];
    assert_eq!(
        json!([
            order["intent"],
            unit_now["amount"]["value"],
            unit_now["invoice_id"],
            unit_now["custom_id"],
            unit_now["shipping"]["name"]["full_name"]
        ]),
        json!(["AUTHORIZE", "12.00", "INV-2", null, "Ada"])
    );
    merchant.approve(&id).await;
    let dearer =
        json!([{ "op": "replace", "path": unit("amount"), "value": money("13.00", "USD") }]);
    merchant
        .patch(&path, &dearer)
        .await
        .assert_paypal_issue(422, "AMOUNT_CHANGE_NOT_ALLOWED");
    let noted = json!([{ "op": "add", "path": unit("description"), "value": "Late" }]);
    assert_eq!(merchant.patch(&path, &noted).await.status, 204);
    merchant
        .make(&format!("{path}/authorize"), &json!({}))
        .await;
    merchant
        .patch(&path, &noted)
        .await
        .assert_paypal_issue(422, "ORDER_ALREADY_COMPLETED");
}

#[tokio::test]
async fn a_patch_that_does_not_fit_changes_nothing() {
    let merchant = Merchant::start().await;
    let id = merchant
        .order(&order_with("10.00", json!({ "custom_id": "a" })))
        .await;
    let path = format!("{ORDERS}/{id}");
    let unit = |field: &str| format!("/purchase_units/@reference_id=='default'/{field}");
    for (change, status, issue) in [
        (
            json!({ "op": "replace", "path": unit("payee"), "value": {} }),
            422,
            "NOT_PATCHABLE",
        ),
        (
            json!({ "op": "replace", "path": "/status", "value": "APPROVED" }),
            422,
            "NOT_PATCHABLE",
        ),
        (
            json!({ "op": "replace", "path": "intent", "value": "CAPTURE" }),
            422,
            "INVALID_JSON_POINTER_FORMAT",
        ),
        (
            json!({ "op": "replace", "path": "/purchase_units/0/amount", "value": {} }),
            422,
            "INVALID_JSON_POINTER_FORMAT",
        ),
        (
            json!({ "op": "replace", "path": "/purchase_units/@reference_id=='x'/amount", "value": {} }),
            422,
            "REFERENCE_ID_NOT_FOUND",
        ),
        (
            json!({ "op": "add", "path": unit("amount"), "value": {} }),
            400,
            "INVALID_PATCH_OPERATION",
        ),
        (
            json!({ "op": "replace", "path": unit("invoice_id"), "value": "x" }),
            400,
            "INVALID_PATCH_OPERATION",
        ),
        (
            json!({ "op": "add", "path": unit("custom_id"), "value": "x" }),
            400,
            "INVALID_PATCH_OPERATION",
        ),
        (
            json!({ "op": "replace", "value": "x" }),
            422,
            "PATCH_PATH_REQUIRED",
        ),
        (
            json!({ "op": "replace", "path": unit("custom_id") }),
            422,
            "PATCH_VALUE_REQUIRED",
        ),
        (
            json!({ "op": "increase", "path": unit("custom_id") }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "op": "replace", "path": unit("amount"), "value": money("0.00", "USD") }),
            422,
            "CANNOT_BE_ZERO_OR_NEGATIVE",
        ),
        (
            json!({ "op": "replace", "path": "/intent", "value": "SALE" }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
    ] {
        let good = json!({ "op": "replace", "path": unit("custom_id"), "value": "changed" });
        let answer = merchant.patch(&path, &json!([good, change])).await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{change} {}",
            answer.text
        );
        answer.assert_paypal_issue(status, issue);
    }
    let order = merchant.read(&path).await;
    assert_eq!(order["purchase_units"][0]["custom_id"], "a");
    merchant
        .patch(&path, &json!({}))
        .await
        .assert_paypal_issue(400, "INVALID_PARAMETER_SYNTAX");
}

#[tokio::test]
async fn unknown_orders_are_not_found() {
    let merchant = Merchant::start().await;
    for path in [
        format!("{ORDERS}/X"),
        format!("{ORDERS}/X/capture"),
        format!("{ORDERS}/X/authorize"),
    ] {
        let answer = match path.ends_with('X') {
            true => merchant.get(&path).await,
            false => merchant.post(&path, &json!({})).await,
        };
        answer.assert_paypal_issue(404, "INVALID_RESOURCE_ID");
        assert_eq!(answer.body["details"][0]["location"], "path");
    }
}

#[tokio::test]
async fn the_links_follow_the_status() {
    let merchant = Merchant::start().await;
    let id = merchant.order(&order_with_returns("5.00")).await;
    merchant.approve(&id).await;
    let approved = merchant.read(&format!("{ORDERS}/{id}")).await;
    assert_eq!(
        (
            link(&approved, "approve"),
            link(&approved, "capture").is_some()
        ),
        (None, true)
    );
    assert_eq!(
        approved["payer"]["payer_id"],
        approved["payment_source"]["paypal"]["account_id"]
    );
    let complete = merchant.capture_order(&id).await.body;
    assert_eq!(
        (
            link(&complete, "capture"),
            link(&complete, "self").is_some()
        ),
        (None, true)
    );
    assert_eq!(complete["update_time"], "2026-01-15T12:00:00Z");
}
