//! Changing subscriptions: cancelling, pausing, resuming, updating.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    razorpay_rig::{id_of, plan},
    rig::{Answer, Rig, with},
};

const NOW: i64 = 1_768_478_400;
const DAY: i64 = 86_400;

async fn draft(rig: &Rig) -> Value {
    json!({ "plan_id": rig.plan(50_000).await, "total_count": 12 })
}

/// Active since now.
async fn active(rig: &Rig) -> String {
    let id = rig.subscription(draft(rig).await).await;
    rig.approve(&id).await;
    id
}

/// The mandate is given, the first charge is due in ten days.
async fn authenticated(rig: &Rig) -> String {
    let body = with(draft(rig).await, json!({ "start_at": NOW + 10 * DAY }));
    let id = rig.subscription(body).await;
    rig.approve(&id).await;
    id
}

async fn act(rig: &Rig, id: &str, action: &str, body: Value) -> Answer {
    let path = format!("/subscriptions/{id}/{action}");
    rig.ask(Method::POST, &path, body).await
}

async fn update(rig: &Rig, id: &str, body: Value) -> Answer {
    rig.ask(Method::PATCH, &format!("/subscriptions/{id}"), body)
        .await
}

async fn status(rig: &Rig, id: &str) -> Value {
    rig.read(&format!("/subscriptions/{id}")).await["status"].clone()
}

#[tokio::test]
async fn a_cancelled_subscription_ends_now_or_with_its_cycle() {
    let rig = Rig::start().await;
    let now = active(&rig).await;
    let answer = act(&rig, &now, "cancel", Value::Null).await;
    assert_eq!(
        json!([
            answer.body["status"],
            answer.body["ended_at"],
            answer.body["charge_at"]
        ]),
        json!(["cancelled", NOW, null])
    );
    let end = active(&rig).await;
    let answer = act(&rig, &end, "cancel", json!({ "cancel_at_cycle_end": true })).await;
    assert_eq!(
        json!([
            answer.body["status"],
            answer.body["has_scheduled_changes"],
            answer.body["change_scheduled_at"]
        ]),
        json!(["active", true, NOW + 31 * DAY])
    );
    rig.advance(31 * DAY - 1).await;
    assert_eq!(status(&rig, &end).await, "active");
    rig.advance(1).await;
    let ended = rig.read(&format!("/subscriptions/{end}")).await;
    assert_eq!(
        json!([ended["status"], ended["ended_at"], ended["paid_count"]]),
        json!(["cancelled", NOW + 31 * DAY, 1])
    );
    for id in [&now, &end] {
        assert_eq!(
            rig.count(&format!("kind=subscription_cancel&id={id}"))
                .await,
            1
        );
        let why = "Subscription is not cancellable in cancelled status.";
        let again = act(&rig, id, "cancel", json!({ "cancel_at_cycle_end": 0 })).await;
        assert_eq!((again.status, again.description()), (400, why));
    }
    // No cycle, no end of it.
    let waiting = authenticated_after(&rig).await;
    let answer = act(
        &rig,
        &waiting,
        "cancel",
        json!({ "cancel_at_cycle_end": 1 }),
    )
    .await;
    let why = "Subscription cannot be cancelled at cycle end since no billing cycle is going on";
    assert_eq!((answer.status, answer.description()), (400, why));
    let unknown = act(&rig, &waiting, "cancel", json!({ "at": "now" })).await;
    assert_eq!(unknown.status, 400);
    assert_eq!(
        act(&rig, &waiting, "cancel", json!({})).await.body["status"],
        "cancelled"
    );
}

/// As `authenticated`, later in a test.
async fn authenticated_after(rig: &Rig) -> String {
    let body = with(draft(rig).await, json!({ "start_at": NOW + 100 * DAY }));
    let id = rig.subscription(body).await;
    rig.approve(&id).await;
    id
}

#[tokio::test]
async fn a_paused_subscription_is_not_charged_until_it_is_resumed() {
    let rig = Rig::start().await;
    let id = active(&rig).await;
    let paused = act(&rig, &id, "pause", json!({ "pause_at": "now" }))
        .await
        .body;
    assert_eq!(
        json!([
            paused["status"],
            paused["paused_at"],
            paused["pause_initiated_by"],
            paused["charge_at"]
        ]),
        json!(["paused", NOW, "self", null])
    );
    // Over the next charge, on 15 February, into the second cycle.
    rig.advance(40 * DAY).await;
    assert_eq!(
        rig.read(&format!("/subscriptions/{id}")).await["paid_count"],
        1
    );
    let again = act(&rig, &id, "pause", json!({})).await;
    let why = "Subscription can be paused in active state only";
    assert_eq!((again.status, again.description()), (400, why));
    let resumed = act(&rig, &id, "resume", json!({ "resume_at": "now" }))
        .await
        .body;
    assert_eq!(
        json!([
            resumed["status"],
            resumed["pause_initiated_by"],
            resumed["current_start"],
            resumed["charge_at"],
            resumed["paid_count"]
        ]),
        json!(["active", null, NOW + 31 * DAY, NOW + 59 * DAY, 1])
    );
    let again = act(&rig, &id, "resume", json!({})).await;
    let why = "Subscription can be resumed in paused state only";
    assert_eq!((again.status, again.description()), (400, why));
    rig.advance(19 * DAY).await;
    assert_eq!(
        rig.read(&format!("/subscriptions/{id}")).await["paid_count"],
        2
    );
    for (action, field) in [("pause", "pause_at"), ("resume", "resume_at")] {
        let later = act(&rig, &id, action, json!({ field: "later" })).await;
        assert_eq!(later.status, 400);
        assert_eq!(
            rig.count(&format!("kind=subscription_{action}&object={id}"))
                .await,
            1
        );
    }
}

#[tokio::test]
async fn pausing_before_the_first_charge_cancels() {
    let rig = Rig::start().await;
    let id = authenticated(&rig).await;
    let answer = act(&rig, &id, "pause", json!({ "pause_at": "now" })).await;
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (200, &"cancelled".into())
    );
    let created = rig.subscription(draft(&rig).await).await;
    assert_eq!(act(&rig, &created, "pause", json!({})).await.status, 400);
    assert_eq!(rig.count("kind=subscription_cancel").await, 1);
}

#[tokio::test]
async fn a_change_now_is_charged_or_given_back_in_proportion() {
    let rig = Rig::start().await;
    let id = active(&rig).await;
    // 31 days, 16 of them left: from 500.00 to 810.00 it is 16/31 of the difference.
    rig.advance(15 * DAY).await;
    let (dear, cheap) = (rig.plan(81_000).await, rig.plan(19_000).await);
    let answer = update(
        &rig,
        &id,
        json!({ "plan_id": dear, "schedule_change_at": "now" }),
    )
    .await;
    assert_eq!(
        json!([
            answer.body["plan_id"],
            answer.body["status"],
            answer.body["charge_at"],
            answer.body["has_scheduled_changes"]
        ]),
        json!([dear, "active", NOW + 31 * DAY, false])
    );
    let payments = rig.get(&format!("ledger?kind=payment&object={id}")).await;
    assert_eq!(payments["data"][1]["amount"], "16000");
    // On the same day 16/31 of 620.00 come back, from the newest payments first.
    update(&rig, &id, json!({ "plan_id": cheap })).await;
    let refunds = rig.get("ledger?kind=refund").await;
    let amounts = refunds["data"].as_array().unwrap().iter();
    let amounts: Vec<&Value> = amounts.map(|entry| &entry["amount"]).collect();
    assert_eq!(amounts, ["16000", "16000"]);
    rig.advance(16 * DAY).await;
    let payments = rig.get(&format!("ledger?kind=payment&object={id}")).await;
    assert_eq!(payments["data"][2]["amount"], "19000");
    assert_eq!(
        rig.count(&format!("kind=subscription_change&object={id}"))
            .await,
        2
    );
}

#[tokio::test]
async fn another_rhythm_begins_on_the_day_of_the_change() {
    let rig = Rig::start().await;
    let id = active(&rig).await;
    rig.advance(15 * DAY).await;
    let yearly = with(plan(600_000), json!({ "period": "yearly" }));
    let yearly = id_of(&rig.post("/plans", yearly).await);
    let now = update(&rig, &id, json!({ "plan_id": yearly })).await.body;
    assert_eq!(
        json!([now["current_start"], now["charge_at"]]),
        json!([NOW + 15 * DAY, NOW + 380 * DAY])
    );
    // 6000.00 less the unused 16 of 31 days of 500.00.
    let payments = rig.get(&format!("ledger?kind=payment&object={id}")).await;
    assert_eq!(payments["data"][1]["amount"], "574194");
}

#[tokio::test]
async fn a_change_at_the_cycles_end_waits_and_can_be_taken_back() {
    let rig = Rig::start().await;
    let id = active(&rig).await;
    let path = format!("/subscriptions/{id}/retrieve_scheduled_changes");
    let none = "The subscription has no scheduled changes";
    rig.refused(Method::GET, &path, Value::Null, none).await;
    let before = rig.read(&format!("/subscriptions/{id}")).await;
    let dear = rig.plan(80_000).await;
    let body = json!({
        "plan_id": dear, "quantity": 2, "schedule_change_at": "cycle_end", "remaining_count": 5,
    });
    let answer = update(&rig, &id, body.clone()).await.body;
    assert_eq!(
        json!([
            answer["plan_id"],
            answer["quantity"],
            answer["has_scheduled_changes"],
            answer["change_scheduled_at"]
        ]),
        json!([before["plan_id"], 1, true, NOW + 31 * DAY])
    );
    let coming = rig.read(&path).await;
    assert_eq!(
        json!([
            coming["plan_id"],
            coming["quantity"],
            coming["total_count"],
            coming["remaining_count"]
        ]),
        json!([dear, 2, 6, 5])
    );
    let back = act(&rig, &id, "cancel_scheduled_changes", Value::Null).await;
    assert_eq!(back.body, before);
    rig.refused(Method::GET, &path, Value::Null, none).await;
    let again = act(&rig, &id, "cancel_scheduled_changes", Value::Null).await;
    assert_eq!((again.status, again.description()), (400, none));
    update(&rig, &id, body).await;
    assert_eq!(rig.count(&format!("kind=payment&object={id}")).await, 1);
    rig.advance(31 * DAY).await;
    let now = rig.read(&format!("/subscriptions/{id}")).await;
    assert_eq!(
        json!([
            now["plan_id"],
            now["quantity"],
            now["total_count"],
            now["has_scheduled_changes"]
        ]),
        json!([dear, 2, 6, false])
    );
    let payments = rig.get(&format!("ledger?kind=payment&object={id}")).await;
    assert_eq!(payments["data"][1]["amount"], "160000");
    // A cancellation at the cycle's end is taken back in the same way.
    act(&rig, &id, "cancel", json!({ "cancel_at_cycle_end": true })).await;
    let back = act(&rig, &id, "cancel_scheduled_changes", Value::Null).await;
    assert_eq!(back.body["has_scheduled_changes"], false);
}

#[tokio::test]
async fn a_change_is_refused_where_it_is_impossible() {
    let rig = Rig::start().await;
    let id = active(&rig).await;
    let rich = id_of(
        &rig.post(
            "/plans",
            json!({
                "period": "monthly", "interval": 1,
                "item": { "name": "Pro", "amount": 1_000, "currency": "USD" },
            }),
        )
        .await,
    );
    let near = rig.plan(50_049).await;
    for (body, why) in [
        (
            json!({}),
            "At least one field is required to update a subscription",
        ),
        (
            json!({ "notes": {} }),
            "notes is/are not required and should not be sent",
        ),
        (
            json!({ "plan_id": "plan_00000000000000" }),
            "The id provided does not exist",
        ),
        (json!({ "offer_id": "offer_1" }), "Offer Not Found"),
        (json!({ "quantity": 0 }), "The quantity must be at least 1."),
        (
            json!({ "schedule_change_at": "later" }),
            "The selected schedule change at is invalid.",
        ),
        (
            json!({ "plan_id": rich }),
            "The currency of the new plan must be that of the subscription",
        ),
        (
            json!({ "start_at": NOW + DAY }),
            "start_at can be updated in authenticated state only",
        ),
        (
            json!({ "plan_id": near }),
            "The difference between the plans is less than the minimum amount",
        ),
    ] {
        let answer = update(&rig, &id, body).await;
        assert_eq!((answer.status, answer.description()), (400, why));
    }
    let created = rig.subscription(draft(&rig).await).await;
    let upi = rig.subscription(draft(&rig).await).await;
    rig.play(&upi, json!({ "action": "approve", "method": "upi" }))
        .await;
    for (id, why) in [
        (
            &created,
            "Can't update Subscription when Subscription is not in Authenticated or Active state",
        ),
        (
            &upi,
            "subscriptions cannot be updated when payment mode is UPI",
        ),
    ] {
        let answer = update(&rig, id, json!({ "quantity": 2 })).await;
        assert_eq!((answer.status, answer.description()), (400, why));
    }
    assert_eq!(rig.count("kind=subscription_change").await, 0);
}

#[tokio::test]
async fn what_has_not_started_can_start_at_another_time() {
    let rig = Rig::start().await;
    let id = authenticated(&rig).await;
    let body = json!({ "start_at": NOW + 20 * DAY, "customer_notify": false });
    let answer = update(&rig, &id, body).await.body;
    assert_eq!(
        json!([
            answer["start_at"],
            answer["charge_at"],
            answer["customer_notify"]
        ]),
        json!([NOW + 20 * DAY, NOW + 20 * DAY, false])
    );
    rig.advance(10 * DAY).await;
    assert_eq!(status(&rig, &id).await, "authenticated");
    rig.advance(10 * DAY).await;
    assert_eq!(status(&rig, &id).await, "active");
}
