//! Billing cycles: by the clock and by the control API, charges that fail, and the end.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::Rig;

const NOW: i64 = 1_768_478_400;
const DAY: i64 = 86_400;

async fn active(rig: &Rig, total_count: i64) -> String {
    let body = json!({ "plan_id": rig.plan(50_000).await, "total_count": total_count });
    let id = rig.subscription(body).await;
    rig.approve(&id).await;
    id
}

async fn state(rig: &Rig, id: &str) -> Value {
    let now = rig.read(&format!("/subscriptions/{id}")).await;
    json!([
        now["status"],
        now["paid_count"],
        now["auth_attempts"],
        now["charge_at"]
    ])
}

async fn charges(rig: &Rig, id: &str) -> u64 {
    rig.count(&format!("kind=capture&object={id}")).await
        + rig.count(&format!("kind=payment&object={id}")).await
}

#[tokio::test]
async fn the_clock_charges_each_cycle_in_its_time() {
    let rig = Rig::start().await;
    let id = active(&rig, 12).await;
    assert_eq!(
        state(&rig, &id).await,
        json!(["active", 1, 0, NOW + 31 * DAY])
    );
    rig.advance(31 * DAY).await;
    assert_eq!(
        state(&rig, &id).await,
        json!(["active", 2, 0, NOW + 59 * DAY])
    );
    // Over three at once, each in its own time; the ledger alone shows it too.
    rig.advance(95 * DAY).await;
    let ledger = rig.get(&format!("ledger?kind=payment&object={id}")).await;
    let times: Vec<&str> = ledger["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["at"].as_str().unwrap().split('T').next().unwrap())
        .collect();
    assert_eq!(
        times,
        [
            "2026-01-15",
            "2026-02-15",
            "2026-03-15",
            "2026-04-15",
            "2026-05-15"
        ]
    );
    assert_eq!(
        state(&rig, &id).await,
        json!(["active", 5, 0, NOW + 151 * DAY])
    );
}

#[tokio::test]
async fn the_last_charge_completes() {
    let rig = Rig::start().await;
    let id = active(&rig, 2).await;
    rig.advance(31 * DAY).await;
    let done = rig.read(&format!("/subscriptions/{id}")).await;
    assert_eq!(
        json!([
            done["status"],
            done["paid_count"],
            done["remaining_count"],
            done["charge_at"],
            done["ended_at"],
            done["end_at"]
        ]),
        json!(["completed", 2, 0, null, NOW + 31 * DAY, NOW + 31 * DAY])
    );
    rig.advance(400 * DAY).await;
    assert_eq!(rig.count(&format!("kind=payment&object={id}")).await, 2);
    assert_eq!(rig.cycle(&id, "succeed").await.status, 400);
}

#[tokio::test]
async fn a_single_charge_is_a_whole_subscription() {
    let rig = Rig::start().await;
    let id = active(&rig, 1).await;
    assert_eq!(state(&rig, &id).await, json!(["completed", 1, 0, null]));
}

#[tokio::test]
async fn a_cycle_can_be_made_due_at_once() {
    let rig = Rig::start().await;
    let id = active(&rig, 12).await;
    rig.advance(5 * DAY).await;
    let billed = rig.cycle(&id, "succeed").await;
    assert_eq!(billed.status, 200);
    assert_eq!(
        json!([
            billed.body["paid_count"],
            billed.body["current_start"],
            billed.body["current_end"]
        ]),
        json!([2, NOW + 5 * DAY, NOW + 36 * DAY])
    );
    // The old date means nothing any more.
    rig.advance(26 * DAY).await;
    assert_eq!(
        state(&rig, &id).await,
        json!(["active", 2, 0, NOW + 36 * DAY])
    );
    assert_eq!(charges(&rig, &id).await, 2);
    for (id, charge, status) in [
        ("sub_00000000000000", "succeed", 404),
        (&id, "perhaps", 400),
    ] {
        let answer = rig.cycle(id, charge).await;
        assert_eq!(
            (answer.status, answer.body["error"].is_string()),
            (status, true)
        );
    }
}

#[tokio::test]
async fn the_first_charge_can_be_made_due_too() {
    let rig = Rig::start().await;
    let body = json!({
        "plan_id": rig.plan(50_000).await, "total_count": 12, "start_at": NOW + 10 * DAY,
    });
    let id = rig.subscription(body).await;
    assert_eq!(rig.cycle(&id, "succeed").await.status, 400);
    rig.approve(&id).await;
    let billed = rig.cycle(&id, "succeed").await.body;
    assert_eq!(
        json!([
            billed["status"],
            billed["paid_count"],
            billed["current_start"]
        ]),
        json!(["active", 1, NOW])
    );
}

#[tokio::test]
async fn a_charge_that_fails_is_tried_on_three_more_days() {
    let rig = Rig::start().await;
    let id = active(&rig, 12).await;
    let failed = rig.cycle(&id, "fail").await.body;
    assert_eq!(
        json!([
            failed["status"],
            failed["paid_count"],
            failed["auth_attempts"]
        ]),
        json!(["pending", 1, 1])
    );
    for attempts in [2, 3] {
        rig.advance(DAY).await;
        let now = rig.read(&format!("/subscriptions/{id}")).await;
        assert_eq!(
            json!([now["status"], now["auth_attempts"]]),
            json!(["pending", attempts])
        );
    }
    rig.advance(DAY).await;
    assert_eq!(state(&rig, &id).await, json!(["halted", 1, 4, null]));
    // Cycles go on, charges do not: from 15 January to 15 February, and on.
    rig.advance(60 * DAY).await;
    let now = rig.read(&format!("/subscriptions/{id}")).await;
    assert_eq!(
        json!([now["status"], now["paid_count"], now["remaining_count"]]),
        json!(["halted", 1, 8])
    );
    let failures = rig.read("/payments?count=100").await;
    let failed = failures["items"].as_array().unwrap().iter();
    assert_eq!(
        failed
            .filter(|payment| payment["status"] == "failed")
            .count(),
        4
    );
}

#[tokio::test]
async fn a_retry_that_succeeds_brings_it_back_with_the_same_dates() {
    let rig = Rig::start().await;
    let id = active(&rig, 12).await;
    rig.advance(31 * DAY - 1).await;
    rig.cycle(&id, "fail").await;
    let end = rig.read(&format!("/subscriptions/{id}")).await["current_end"].clone();
    rig.advance(DAY / 2).await;
    let back = rig.cycle(&id, "succeed").await.body;
    assert_eq!(
        json!([
            back["status"],
            back["paid_count"],
            back["auth_attempts"],
            back["charge_at"],
            back["current_end"]
        ]),
        json!(["active", 2, 0, end, end])
    );
    rig.advance(28 * DAY).await;
    assert_eq!(state(&rig, &id).await[1], 3);
}

#[tokio::test]
async fn the_buyer_brings_it_back_with_another_card() {
    let rig = Rig::start().await;
    for days in [1, 5] {
        let id = active(&rig, 12).await;
        rig.cycle(&id, "fail").await;
        rig.advance(days * DAY).await;
        let before = state(&rig, &id).await[0].clone();
        assert_eq!(before, if days == 1 { "pending" } else { "halted" });
        let back = rig.approve(&id).await;
        assert_eq!(
            json!([back["object"]["status"], back["object"]["paid_count"]]),
            json!(["active", 2])
        );
        let payment = back["fields"]["razorpay_payment_id"].as_str().unwrap();
        let payment = rig.read(&format!("/payments/{payment}")).await;
        assert_eq!(payment["status"], "captured");
        rig.advance(31 * DAY).await;
        assert_eq!(state(&rig, &id).await[1], 3);
    }
}

#[tokio::test]
async fn a_halted_subscription_can_end() {
    let rig = Rig::start().await;
    let id = active(&rig, 2).await;
    rig.cycle(&id, "fail").await;
    rig.advance(3 * DAY).await;
    assert_eq!(state(&rig, &id).await[0], "halted");
    rig.advance(28 * DAY).await;
    assert_eq!(state(&rig, &id).await, json!(["completed", 1, 4, null]));
    let cancel = format!("/subscriptions/{id}/cancel");
    let why = "Subscription is not cancellable in completed status.";
    rig.refused(Method::POST, &cancel, Value::Null, why).await;
}

#[tokio::test]
async fn a_subscription_with_an_open_charge_can_not_be_changed() {
    let rig = Rig::start().await;
    let id = active(&rig, 12).await;
    rig.cycle(&id, "fail").await;
    let path = format!("/subscriptions/{id}");
    let why = "Can't update Subscription when Subscription is not in Authenticated or Active state";
    for _ in ["pending", "halted"] {
        rig.refused(Method::PATCH, &path, json!({ "quantity": 2 }), why)
            .await;
        rig.advance(3 * DAY).await;
    }
    assert_eq!(rig.count("kind=subscription_change").await, 0);
}
