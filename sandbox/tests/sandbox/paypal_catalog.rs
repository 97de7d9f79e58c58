//! Products and plans.

use serde_json::{Value, json};

use crate::{
    paypal_rig::{Merchant, PLANS, PRODUCTS, cycle, link, money, plan, text},
    rig::with,
};

fn ids(list: &Value, name: &str) -> Vec<String> {
    let items = list[name].as_array().unwrap();
    items.iter().map(|item| text(&item["id"])).collect()
}

/// The path and query below the real host, as a client that goes through an upstream follows it.
fn path_of(link: &str) -> &str {
    link.strip_prefix("https://api-m.sandbox.paypal.com")
        .unwrap()
}

#[tokio::test]
async fn a_product_is_made_and_read_back() {
    let merchant = Merchant::start().await;
    let body = json!({
        "name": "Chairs", "type": "PHYSICAL", "description": "To sit on", "category": "FURNITURE",
        "image_url": "https://shop.example/c.png", "home_url": "https://shop.example/",
    });
    let minimal = merchant.rig.send(merchant.posting(PRODUCTS, &body)).await;
    assert_eq!(minimal.status, 201, "{minimal:?}");
    let fields: Vec<&String> = minimal.body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["id", "links"]);
    let id = text(&minimal.body["id"]);
    assert!(id.starts_with("PROD-"), "{id}");
    let read = merchant.read(&format!("{PRODUCTS}/{id}")).await;
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(read[name], *value, "{name}");
    }
    assert_eq!(read["create_time"], "2026-01-15T12:00:00Z");
    let own = merchant
        .make(PRODUCTS, &with(body.clone(), json!({ "id": "SKU-001" })))
        .await;
    assert_eq!(own["id"], "SKU-001");
    let twice = merchant
        .post(PRODUCTS, &with(body, json!({ "id": "SKU-001" })))
        .await;
    twice.assert_paypal_issue(422, "DUPLICATE_RESOURCE_IDENTIFIER");
    merchant
        .get(&format!("{PRODUCTS}/X"))
        .await
        .assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    assert_eq!(merchant.entries("product").await.len(), 2);
}

#[tokio::test]
async fn a_product_that_does_not_fit_is_refused() {
    let merchant = Merchant::start().await;
    let good = json!({ "name": "Chairs", "type": "SERVICE" });
    for (changes, issue) in [
        (json!({ "name": null }), "MISSING_REQUIRED_PARAMETER"),
        (json!({ "name": "" }), "INVALID_STRING_MIN_LENGTH"),
        (
            json!({ "name": "x".repeat(128) }),
            "INVALID_STRING_MAX_LENGTH",
        ),
        (json!({ "type": null }), "MISSING_REQUIRED_PARAMETER"),
        (json!({ "type": "FOOD" }), "INVALID_PARAMETER_VALUE"),
        (json!({ "category": "chairs" }), "INVALID_PARAMETER_VALUE"),
        (json!({ "home_url": "shop" }), "INVALID_PARAMETER_SYNTAX"),
        (json!({ "id": "PROD-MINE" }), "INVALID_PARAMETER_SYNTAX"),
        (json!({ "id": "short" }), "INVALID_STRING_MIN_LENGTH"),
    ] {
        let answer = merchant
            .post(PRODUCTS, &with(good.clone(), changes.clone()))
            .await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{changes} {}",
            answer.text
        );
        answer.assert_paypal_issue(400, issue);
    }
}

#[tokio::test]
async fn lists_are_walked_by_their_links() {
    let merchant = Merchant::start().await;
    let mut newest_first = Vec::new();
    for _ in 0..5 {
        newest_first.insert(0, merchant.product().await);
    }
    let page = merchant
        .read(&format!("{PRODUCTS}?page_size=2&total_required=true"))
        .await;
    assert_eq!(ids(&page, "products"), newest_first[..2]);
    assert_eq!(
        json!([page["total_items"], page["total_pages"]]),
        json!([5, 3])
    );
    assert_eq!(link(&page, "prev"), None);
    let page = merchant.read(path_of(link(&page, "next").unwrap())).await;
    assert_eq!(ids(&page, "products"), newest_first[2..4]);
    let page = merchant.read(path_of(link(&page, "next").unwrap())).await;
    assert_eq!(ids(&page, "products"), newest_first[4..]);
    assert_eq!(link(&page, "next"), None);
    let page = merchant.read(path_of(link(&page, "prev").unwrap())).await;
    assert_eq!(ids(&page, "products"), newest_first[2..4]);
    let whole = merchant.read(PRODUCTS).await;
    assert_eq!(
        (ids(&whole, "products"), &whole["total_items"]),
        (newest_first, &Value::Null)
    );
    for query in [
        "page_size=0",
        "page_size=21",
        "page=0",
        "page=x",
        "total_required=1",
    ] {
        let answer = merchant.get(&format!("{PRODUCTS}?{query}")).await;
        answer.assert_paypal_issue(400, "INVALID_PARAMETER_VALUE");
        assert_eq!(answer.body["details"][0]["location"], "query");
    }
}

#[tokio::test]
async fn a_plan_is_made_and_read_back() {
    let merchant = Merchant::start().await;
    let product = merchant.product().await;
    let body = json!({
        "product_id": product,
        "name": "Monthly",
        "description": "Chairs by the month",
        "billing_cycles": [cycle(2, "REGULAR", "10.0", 12), with(cycle(1, "TRIAL", "1", 1), json!({ "frequency": { "interval_unit": "WEEK", "interval_count": 2 } }))],
        "payment_preferences": { "setup_fee": money("5.00", "USD"), "setup_fee_failure_action": "CONTINUE", "payment_failure_threshold": 3, "auto_bill_outstanding": false },
        "taxes": { "percentage": "19.5", "inclusive": false },
        "quantity_supported": true,
    });
    let minimal = merchant.rig.send(merchant.posting(PLANS, &body)).await;
    let fields: Vec<&String> = minimal.body.as_object().unwrap().keys().collect();
    assert_eq!(
        (minimal.status, fields),
        (
            201,
            vec![&"id".to_owned(), &"links".to_owned(), &"status".to_owned()]
        )
    );
    let id = text(&minimal.body["id"]);
    assert!(id.starts_with("P-"), "{id}");
    let read = merchant.read(&format!("{PLANS}/{id}")).await;
    assert_eq!(
        json!([
            read["status"],
            read["product_id"],
            read["name"],
            read["description"],
            read["quantity_supported"]
        ]),
        json!(["ACTIVE", product, "Monthly", "Chairs by the month", true])
    );
    for name in ["payment_preferences", "taxes"] {
        assert_eq!(read[name], body[name], "{name}");
    }
    let [trial, regular] = [&read["billing_cycles"][0], &read["billing_cycles"][1]];
    assert_eq!(
        json!([
            trial["tenure_type"],
            trial["frequency"]["interval_count"],
            trial["pricing_scheme"]["fixed_price"]["value"]
        ]),
        json!(["TRIAL", 2, "1.00"])
    );
    assert_eq!(
        json!([
            regular["tenure_type"],
            regular["frequency"]["interval_count"],
            regular["pricing_scheme"]["fixed_price"]["value"],
            regular["total_cycles"]
        ]),
        json!(["REGULAR", 1, "10.00", 12])
    );
    assert_eq!(merchant.entries("plan").await[0]["object"], product);
}

#[tokio::test]
async fn a_plan_that_does_not_fit_is_refused() {
    let merchant = Merchant::start().await;
    let good = plan(&merchant.product().await);
    let regular = || cycle(1, "REGULAR", "10.00", 0);
    let at = |sequence| with(regular(), json!({ "sequence": sequence }));
    let trial = |sequence| cycle(sequence, "TRIAL", "1.00", 1);
    let free = |sequence| with(trial(sequence), json!({ "pricing_scheme": null }));
    for (changes, status, issue) in [
        (
            json!({ "product_id": null }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "product_id": "PROD-OTHER" }),
            404,
            "INVALID_RESOURCE_ID",
        ),
        (json!({ "name": null }), 400, "MISSING_REQUIRED_PARAMETER"),
        (json!({ "status": "OPEN" }), 400, "INVALID_PARAMETER_VALUE"),
        (
            json!({ "billing_cycles": null }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "billing_cycles": [] }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "payment_preferences": null }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "payment_preferences": { "payment_failure_threshold": 1000 } }),
            400,
            "INVALID_INTEGER_MAX_VALUE",
        ),
        (
            json!({ "billing_cycles": [with(regular(), json!({ "sequence": 0 }))] }),
            400,
            "INVALID_INTEGER_MIN_VALUE",
        ),
        (
            json!({ "billing_cycles": [with(regular(), json!({ "tenure_type": null }))] }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "billing_cycles": [with(regular(), json!({ "frequency": { "interval_unit": "HOUR" } }))] }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "billing_cycles": [with(regular(), json!({ "frequency": { "interval_unit": "YEAR", "interval_count": 2 } }))] }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "billing_cycles": [with(regular(), json!({ "pricing_scheme": null }))] }),
            400,
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            json!({ "billing_cycles": [with(regular(), json!({ "pricing_scheme": { "fixed_price": money("1.005", "USD") } }))] }),
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({ "billing_cycles": [with(regular(), json!({ "pricing_scheme": { "fixed_price": money("1", "INR") } }))] }),
            422,
            "CURRENCY_NOT_SUPPORTED_FOR_RECEIVER",
        ),
        (
            json!({ "billing_cycles": [trial(1)] }),
            422,
            "MISSING_REGULAR_BILLING_CYCLE",
        ),
        (
            json!({ "billing_cycles": [regular(), at(2)] }),
            422,
            "MULTIPLE_REGULAR_BILLING_CYCLES_NOT_SUPPORTED",
        ),
        (
            json!({ "billing_cycles": [trial(1), trial(2), trial(3), at(4)] }),
            422,
            "MORE_THAN_TWO_TRIAL_BILLING_CYCLE_NOT_SUPPORTED",
        ),
        (
            json!({ "billing_cycles": [free(1), free(2), at(3)] }),
            422,
            "MULTIPLE_FREE_TRIAL_BILLING_CYCLES_NOT_SUPPORTED",
        ),
        (
            json!({ "billing_cycles": [with(trial(1), json!({ "total_cycles": 0 })), at(2)] }),
            422,
            "INVALID_TRIAL_BILLING_TOTAL_CYCLES",
        ),
        (
            json!({ "billing_cycles": [at(2)] }),
            422,
            "INVALID_BILLING_CYCLE_SEQUENCE",
        ),
        (
            json!({ "billing_cycles": [regular(), trial(2)] }),
            422,
            "INVALID_BILLING_CYCLE_SEQUENCE",
        ),
        (
            json!({ "payment_preferences": { "setup_fee": money("1.00", "EUR") } }),
            422,
            "CURRENCY_MISMATCH",
        ),
    ] {
        let answer = merchant
            .post(PLANS, &with(good.clone(), changes.clone()))
            .await;
        assert_eq!(
            answer.body["details"][0]["issue"], issue,
            "{changes} {}",
            answer.text
        );
        answer.assert_paypal_issue(status, issue);
    }
    assert_eq!(merchant.entries("plan").await.len(), 0);
}

#[tokio::test]
async fn a_plan_is_switched_on_and_off() {
    let merchant = Merchant::start().await;
    let id = merchant.plan(json!({ "status": "CREATED" })).await;
    let path = format!("{PLANS}/{id}");
    let off = format!("{path}/deactivate");
    let on = format!("{path}/activate");
    merchant
        .post(&off, &json!({}))
        .await
        .assert_paypal_issue(422, "PLAN_STATUS_INVALID");
    merchant.act(&on, &json!({})).await;
    assert_eq!(merchant.status(&path).await, "ACTIVE");
    merchant
        .post(&on, &json!({}))
        .await
        .assert_paypal_issue(422, "PLAN_STATUS_INVALID");
    merchant.act(&off, &json!({})).await;
    assert_eq!(merchant.status(&path).await, "INACTIVE");
    merchant.act(&on, &json!({})).await;
    let unknown = merchant
        .post(&format!("{PLANS}/X/activate"), &json!({}))
        .await;
    unknown.assert_paypal_issue(404, "INVALID_RESOURCE_ID");
    let untyped = merchant
        .rig
        .send(merchant.request(reqwest::Method::POST, &off))
        .await;
    untyped.assert_paypal_name(415, "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn plans_are_listed_by_product_and_by_id() {
    let merchant = Merchant::start().await;
    let (first, second) = (
        merchant.plan(json!({})).await,
        merchant.plan(json!({})).await,
    );
    let all = merchant.read(PLANS).await;
    assert_eq!(ids(&all, "plans"), [second.clone(), first.clone()]);
    assert_eq!(all["plans"][0]["billing_cycles"], Value::Null);
    let product = text(&all["plans"][1]["product_id"]);
    let of_product = merchant
        .read(&format!("{PLANS}?product_id={product}&page_size=1"))
        .await;
    assert_eq!(ids(&of_product, "plans"), [first]);
    assert!(
        link(&of_product, "self")
            .unwrap()
            .contains(&format!("product_id={product}"))
    );
    let by_id = merchant
        .read(&format!("{PLANS}?plan_ids={second},P-OTHER"))
        .await;
    assert_eq!(ids(&by_id, "plans"), [second]);
    let many = ["P-X"; 11].join(",");
    merchant
        .get(&format!("{PLANS}?plan_ids={many}"))
        .await
        .assert_paypal_issue(400, "INVALID_PARAMETER_VALUE");
}
