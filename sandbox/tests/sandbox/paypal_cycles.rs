//! Billing: what is charged when, and what happens when it is not paid.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    paypal_rig::{Merchant, SUBSCRIPTIONS, cycle, link, text, token},
    rig::{Answer, with},
};

const DAY: i64 = 86_400;

/// Amount and time of every payment in the ledger.
async fn payments(merchant: &Merchant) -> Vec<(String, String)> {
    let entries = merchant.entries("payment").await;
    let each = entries.iter();
    each.map(|entry| {
        (
            text(&entry["amount"]),
            text(&entry["at"]).chars().take(10).collect(),
        )
    })
    .collect()
}

fn paid(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let each = expected.iter();
    each.map(|(amount, day)| ((*amount).to_owned(), (*day).to_owned()))
        .collect()
}

async fn transactions(merchant: &Merchant, id: &str, query: &str) -> Answer {
    merchant
        .get(&format!("{SUBSCRIPTIONS}/{id}/transactions?{query}"))
        .await
}

const ALWAYS: &str = "start_time=2020-01-01T00:00:00Z&end_time=2030-01-01T00:00:00Z";

#[tokio::test]
async fn moving_the_clock_over_due_dates_charges_by_itself() {
    let merchant = Merchant::start().await;
    let id = merchant.running(json!({})).await;
    merchant.rig.advance(31 * DAY - 1).await;
    assert_eq!(merchant.entries("payment").await.len(), 1);
    merchant.rig.advance(1).await;
    assert_eq!(merchant.entries("payment").await.len(), 2);
    let merchant = merchant.later(60 * DAY).await;
    assert_eq!(
        payments(&merchant).await,
        paid(&[
            ("10.00", "2026-01-15"),
            ("10.00", "2026-02-15"),
            ("10.00", "2026-03-15"),
            ("10.00", "2026-04-15")
        ])
    );
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        read["billing_info"]["next_billing_time"],
        "2026-05-15T12:00:00Z"
    );
    assert_eq!(
        read["billing_info"]["cycle_executions"][0]["cycles_completed"],
        4
    );
}

#[tokio::test]
async fn trials_come_first_and_after_the_last_cycle_it_has_expired() {
    let merchant = Merchant::start().await;
    let weekly = json!({ "frequency": { "interval_unit": "WEEK" } });
    let free = with(
        cycle(1, "TRIAL", "0", 2),
        with(weekly.clone(), json!({ "pricing_scheme": null })),
    );
    let cycles = json!([
        free,
        cycle(2, "TRIAL", "3.00", 1),
        cycle(3, "REGULAR", "10.00", 2)
    ]);
    let id = merchant.running(json!({ "billing_cycles": cycles })).await;
    let info = merchant.subscribed(&id).await["billing_info"].clone();
    assert_eq!(
        json!([
            info["next_billing_time"],
            info["final_payment_time"],
            info["last_payment"]
        ]),
        json!(["2026-01-22T12:00:00Z", "2026-03-28T12:00:00Z", null])
    );
    let merchant = merchant.later(30 * DAY).await;
    assert_eq!(payments(&merchant).await, paid(&[("3.00", "2026-01-29")]));
    let merchant = merchant.later(90 * DAY).await;
    let expected = [
        ("3.00", "2026-01-29"),
        ("10.00", "2026-02-28"),
        ("10.00", "2026-03-28"),
    ];
    assert_eq!(payments(&merchant).await, paid(&expected));
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        json!([
            read["status"],
            read["billing_info"]["next_billing_time"],
            read["status_update_time"]
        ]),
        json!(["EXPIRED", null, "2026-03-28T12:00:00Z"])
    );
    merchant
        .change(&id, "cancel", "Late")
        .await
        .assert_paypal_issue(422, "SUBSCRIPTION_STATUS_INVALID");
}

#[tokio::test]
async fn the_control_api_bills_the_next_cycle_at_once() {
    let merchant = Merchant::start().await;
    let id = merchant.running(json!({})).await;
    let merchant = merchant.later(DAY).await;
    let read = merchant.cycle(&id, "succeed").await;
    assert_eq!(
        json!([read["status"], read["billing_info"]["next_billing_time"]]),
        json!(["ACTIVE", "2026-02-16T12:00:00Z"])
    );
    assert_eq!(
        payments(&merchant).await,
        paid(&[("10.00", "2026-01-15"), ("10.00", "2026-01-16")])
    );
    assert_eq!(merchant.change(&id, "suspend", "Stop").await.status, 204);
    let refused = async |id: &str, body: Value| {
        let path = format!("subscriptions/{id}/cycle");
        merchant.rig.control(Method::POST, &path, body).await.status
    };
    assert_eq!(refused(&id, json!({ "charge": "succeed" })).await, 400);
    assert_eq!(refused(&id, json!({ "charge": "maybe" })).await, 400);
    assert_eq!(refused("I-OTHER", json!({ "charge": "fail" })).await, 404);
}

#[tokio::test]
async fn cycles_that_fall_into_a_suspension_are_not_made_up_for() {
    let merchant = Merchant::start().await;
    let id = merchant.running(json!({})).await;
    merchant.change(&id, "suspend", "Holiday").await;
    let merchant = merchant.later(70 * DAY).await;
    assert_eq!(merchant.change(&id, "activate", "Back").await.status, 204);
    let read = merchant.subscribed(&id).await;
    assert_eq!(
        read["billing_info"]["next_billing_time"],
        "2026-04-15T12:00:00Z"
    );
    assert_eq!(payments(&merchant).await, paid(&[("10.00", "2026-01-15")]));
}

#[tokio::test]
async fn transactions_are_listed_by_time() {
    let merchant = Merchant::start().await;
    let id = merchant
        .running(json!({ "taxes": { "percentage": "25" } }))
        .await;
    merchant.rig.advance(3600).await;
    merchant.cycle(&id, "fail").await;
    let all = transactions(&merchant, &id, ALWAYS).await;
    assert_eq!(
        json!([all.body["total_items"], all.body["total_pages"]]),
        json!([2, 1])
    );
    let first = &all.body["transactions"][0];
    let breakdown = &first["amount_with_breakdown"];
    assert_eq!(
        json!([
            first["status"],
            breakdown["gross_amount"]["value"],
            breakdown["tax_amount"]["value"],
            breakdown["fee_amount"]["value"],
            breakdown["net_amount"]["value"],
            first["time"]
        ]),
        json!([
            "COMPLETED",
            "10.00",
            "2.00",
            "0.84",
            "9.16",
            "2026-01-15T12:00:00Z"
        ])
    );
    assert!(first["payer_email"].is_string() && first["payer_name"]["surname"].is_string());
    assert_eq!(first["id"], merchant.entries("payment").await[0]["id"]);
    assert_eq!(all.body["transactions"][1]["status"], "DECLINED");
    assert!(link(&all.body, "self").is_some());
    let early = transactions(
        &merchant,
        &id,
        "start_time=2026-01-15T12:00:00Z&end_time=2026-01-15T12:59:59Z",
    )
    .await;
    assert_eq!(early.body["total_items"], 1);
    for (query, issue) in [
        (
            "start_time=2026-01-15T12:00:00Z",
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            "end_time=2026-01-15T12:00:00Z",
            "MISSING_REQUIRED_PARAMETER",
        ),
        (
            "start_time=today&end_time=2026-01-15T12:00:00Z",
            "INVALID_PARAMETER_SYNTAX",
        ),
        (
            "start_time=2027-01-01T00:00:00Z&end_time=2026-01-01T00:00:00Z",
            "INVALID_PARAMETER_VALUE",
        ),
    ] {
        transactions(&merchant, &id, query)
            .await
            .assert_paypal_issue(400, issue);
    }
    transactions(&merchant, "X", ALWAYS)
        .await
        .assert_paypal_issue(404, "INVALID_RESOURCE_ID");
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let mut merchant = Merchant::start().await;
    let id = merchant.running(json!({})).await;
    let reset = merchant
        .rig
        .control(Method::POST, "reset", Value::Null)
        .await;
    assert_eq!(reset.status, 204);
    assert_eq!(
        merchant.get(&format!("{SUBSCRIPTIONS}/{id}")).await.status,
        401
    );
    merchant.token = token(&merchant.rig).await;
    assert_eq!(
        merchant.get(&format!("{SUBSCRIPTIONS}/{id}")).await.status,
        404
    );
    merchant.rig.advance(400 * DAY).await;
    assert_eq!(merchant.rig.effects().await, 0);
}
