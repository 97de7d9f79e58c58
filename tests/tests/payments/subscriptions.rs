//! Plans, and what is charged again and again.

use chrono::TimeDelta;
use onerouter_tests::harness::Reply;
use onerouter_tests::write_path::advance;
use serde_json::{Value, json};

use crate::rig::{Shop, assert_unknown, digits, path_of, provider_id, with_each_provider};

with_each_provider!(
    a_plan_is_made_and_read,
    a_subscription_lives_through_all_it_can,
    a_subscription_ends_with_its_cycle,
    an_end_that_is_asked_for_outlives_a_pause,
    an_end_is_of_the_cycle_that_runs_now,
    an_end_that_is_asked_for_in_the_last_hour_comes,
    a_pause_waits_for_the_end_of_the_cycle,
    a_change_of_plan_whose_answer_was_lost_is_told,
    a_late_repetition_gets_its_answer,
    a_charge_that_fails_shows,
    a_plan_may_be_named_as_the_provider_names_it,
    a_trial_puts_the_first_charge_off,
    what_makes_no_sense_is_refused_with_its_place,
);

fn plan(shop: &Shop, amount: u32) -> Value {
    json!({"name": format!("Plan of {amount}"), "amount": amount, "currency": shop.provider.currency,
        "interval": "month", "provider": shop.provider.name})
}

async fn subscribed(shop: &Shop, body: Value) -> Reply {
    let created = shop.create("/v1/subscriptions", body).await;
    assert_eq!(created.text("status"), "created");
    assert!(created.text("checkout_url").starts_with("http"));
    created
}

/// A subscription that the buyer has agreed to, and whose first charge has come.
async fn active(shop: &Shop) -> Reply {
    let plan = shop.create("/v1/plans", plan(shop, 20)).await;
    let body = json!({"plan_id": plan.text("id"), "total_count": 12, "metadata": {"a": "b"}});
    let created = subscribed(shop, body).await;
    shop.approve(&provider_id(&created)).await;
    let read = shop.read(&path_of(&created)).await;
    if read.text("status") != "active" {
        shop.bill(&created, "succeed").await;
        let read = shop.read(&path_of(&created)).await;
        assert_eq!(read.text("status"), "active", "{read:?}");
        return read;
    }
    read
}

async fn a_plan_is_made_and_read(shop: Shop) {
    let body = json!({"name": "Pro", "amount": "49.90", "currency": shop.provider.currency,
        "interval": "week", "interval_count": 2, "description": "All of it",
        "provider": shop.provider.name, "metadata": {"tier": "2"}});
    let made = shop.create("/v1/plans", body).await;
    assert!(made.text("id").starts_with("plan_"));
    assert_eq!(made.text("status"), "active");
    assert_eq!(digits(&made, "amount"), "49.90");
    assert_eq!(
        (made.text("interval"), &made.json["interval_count"]),
        ("week", &json!(2))
    );
    let read = shop.stored(&path_of(&made)).await;
    assert_eq!(read.bytes, made.bytes);
    let list = shop.caller.get("/v1/plans").await;
    assert_eq!(list.json["data"][0]["id"], made.json["id"]);
    assert_eq!(shop.effects("plan").await.len(), 1);
}

async fn a_subscription_lives_through_all_it_can(shop: Shop) {
    let subscription = active(&shop).await;
    let path = path_of(&subscription);
    assert!(!subscription.text("current_period_end").is_empty());
    assert_eq!(subscription.json["metadata"], json!({"a": "b"}));
    // The buyer has agreed.
    assert_eq!(subscription.json["checkout_url"], Value::Null);

    let paused = shop
        .act(&format!("{path}/pause"), json!({"pause_at": "now"}))
        .await;
    assert_eq!(paused.text("status"), "paused", "{paused:?}");
    let twice = shop.caller.post(&format!("{path}/pause"), json!({})).await;
    assert_eq!((twice.status, twice.code()), (409, "invalid_state"));
    let resumed = shop.act(&format!("{path}/resume"), json!({})).await;
    assert_eq!(resumed.text("status"), "active", "{resumed:?}");

    let other = shop.create("/v1/plans", plan(&shop, 30)).await;
    let body = json!({"new_plan_id": other.text("id"), "prorate": true});
    let changed = shop.act(&format!("{path}/change_plan"), body).await;
    let changed = match shop.provider.name {
        // The buyer has to agree.
        "paypal" => {
            assert_eq!(changed.text("plan_id"), subscription.text("plan_id"));
            assert!(
                changed.text("checkout_url").starts_with("http"),
                "{changed:?}"
            );
            // As many charges are left as there were.
            let sent = shop.requests("POST", "/revise").await;
            let sent: Value = serde_json::from_str(sent[0]["body"].as_str().unwrap()).unwrap();
            let cycle = &sent["plan"]["billing_cycles"][0];
            let left = 12 - subscription.json["paid_count"].as_u64().unwrap();
            assert_eq!(cycle["total_cycles"], left, "{sent}");
            shop.approve(&provider_id(&subscription)).await;
            shop.read(&path).await
        }
        _ => changed,
    };
    assert_eq!(changed.text("plan_id"), other.text("id"), "{changed:?}");
    assert_eq!(changed.text("status"), "active");

    let canceled = shop.act(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(canceled.text("status"), "canceled", "{canceled:?}");
    for action in ["cancel", "pause", "resume"] {
        let late = shop
            .caller
            .post(&format!("{path}/{action}"), json!({}))
            .await;
        assert_eq!(
            (late.status, late.code()),
            (409, "invalid_state"),
            "{action}"
        );
    }
    assert_eq!(shop.effects("subscription").await.len(), 1);
}

async fn a_subscription_ends_with_its_cycle(shop: Shop) {
    let subscription = active(&shop).await;
    let path = path_of(&subscription);
    let end = subscription.text("current_period_end").to_owned();
    let asked = shop
        .act(
            &format!("{path}/cancel"),
            json!({"cancel_at_cycle_end": true}),
        )
        .await;
    assert_eq!(asked.text("status"), "active", "{asked:?}");
    let end = chrono::DateTime::parse_from_rfc3339(&end).unwrap();
    let left = end.to_utc() - shop.host.clock.now();
    assert!(left > TimeDelta::days(27), "{left}");
    shop.background(left - TimeDelta::hours(2)).await;
    assert_eq!(shop.stored(&path).await.text("status"), "active");
    shop.background(TimeDelta::minutes(100)).await;
    shop.background(TimeDelta::minutes(100)).await;
    let ended = shop.read(&path).await;
    assert_eq!(ended.text("status"), "canceled", "{ended:?}");
    // Nothing was charged for another cycle.
    assert_eq!(ended.json["paid_count"], asked.json["paid_count"]);
}

async fn an_end_that_is_asked_for_outlives_a_pause(shop: Shop) {
    let subscription = active(&shop).await;
    let path = path_of(&subscription);
    let at_end = json!({"cancel_at_cycle_end": true});
    let asked = shop.act(&format!("{path}/cancel"), at_end).await;
    assert_eq!(asked.text("status"), "active", "{asked:?}");
    // It ends then; it cannot be paused then as well.
    let both = json!({"pause_at": "cycle_end"});
    let both = shop.caller.post(&format!("{path}/pause"), both).await;
    if shop.provider.name == "paypal" {
        assert_eq!(
            (both.status, both.code()),
            (409, "invalid_state"),
            "{both:?}"
        );
    }
    let end = end_of(&asked);
    shop.act(&format!("{path}/pause"), json!({})).await;
    let resumed = shop.act(&format!("{path}/resume"), json!({})).await;
    assert_eq!(resumed.text("status"), "active", "{resumed:?}");
    shop.background(end - shop.host.clock.now() - TimeDelta::minutes(20))
        .await;
    shop.background(TimeDelta::minutes(40)).await;
    let ended = shop.read(&path).await;
    assert_eq!(ended.text("status"), "canceled", "{ended:?}");
}

fn end_of(subscription: &Reply) -> chrono::DateTime<chrono::Utc> {
    subscription.text("current_period_end").parse().unwrap()
}

/// The gateway may have slept through a charge.
async fn an_end_is_of_the_cycle_that_runs_now(shop: Shop) {
    let subscription = active(&shop).await;
    let path = path_of(&subscription);
    let first_end = end_of(&subscription);
    advance(
        &shop.host,
        first_end - shop.host.clock.now() + TimeDelta::hours(3),
    );
    shop.bill(&subscription, "succeed").await;
    let at_end = json!({"cancel_at_cycle_end": true});
    let asked = shop.act(&format!("{path}/cancel"), at_end).await;
    assert_eq!(asked.text("status"), "active", "{asked:?}");
    let end = end_of(&asked);
    assert!(end > first_end + TimeDelta::days(20), "{end}");
    shop.background(TimeDelta::hours(1)).await;
    assert_eq!(shop.stored(&path).await.text("status"), "active");
    shop.background(end - shop.host.clock.now() - TimeDelta::hours(4))
        .await;
    assert_eq!(shop.stored(&path).await.text("status"), "active");
    shop.background(TimeDelta::minutes(220)).await;
    shop.background(TimeDelta::minutes(40)).await;
    let ended = shop.read(&path).await;
    assert_eq!(ended.text("status"), "canceled", "{ended:?}");
}

/// The moment at which it would be done has passed already.
async fn an_end_that_is_asked_for_in_the_last_hour_comes(shop: Shop) {
    let subscription = active(&shop).await;
    let path = path_of(&subscription);
    let left = end_of(&subscription) - shop.host.clock.now();
    advance(&shop.host, left - TimeDelta::minutes(30));
    let at_end = json!({"cancel_at_cycle_end": true});
    let asked = shop.act(&format!("{path}/cancel"), at_end).await;
    assert_eq!(asked.text("status"), "active", "{asked:?}");
    shop.background(TimeDelta::minutes(5)).await;
    shop.background(TimeDelta::minutes(30)).await;
    let ended = shop.read(&path).await;
    assert_eq!(ended.text("status"), "canceled", "{ended:?}");
    assert_eq!(ended.json["paid_count"], asked.json["paid_count"]);
}

async fn a_pause_waits_for_the_end_of_the_cycle(shop: Shop) {
    let subscription = active(&shop).await;
    let path = path_of(&subscription);
    let left = end_of(&subscription) - shop.host.clock.now();
    let at_end = json!({"pause_at": "cycle_end"});
    let asked = shop.act(&format!("{path}/pause"), at_end).await;
    assert_eq!(asked.text("status"), "active", "{asked:?}");
    shop.background(left - TimeDelta::hours(2)).await;
    assert_eq!(shop.stored(&path).await.text("status"), "active");
    shop.background(TimeDelta::minutes(90)).await;
    let paused = shop.stored(&path).await;
    assert_eq!(paused.text("status"), "paused", "{paused:?}");
    assert_eq!(paused.json["paid_count"], asked.json["paid_count"]);
}

async fn a_change_of_plan_whose_answer_was_lost_is_told(shop: Shop) {
    let subscription = active(&shop).await;
    let path = path_of(&subscription);
    let other = shop.create("/v1/plans", plan(&shop, 30)).await;
    let (method, at) = match shop.provider.name {
        "paypal" => ("POST", "/revise"),
        _ => ("PATCH", "/v1/subscriptions"),
    };
    shop.fault(json!({"fault": "reset_after"}), method, at)
        .await;
    let once = shop.caller.with("Idempotency-Key", "change");
    let body = json!({"new_plan_id": other.text("id"), "prorate": true});
    let change = format!("{path}/change_plan");
    let lost = once.post(&change, body.clone()).await;
    assert_unknown(&lost);
    if shop.provider.name == "paypal" {
        // Nothing tells before the buyer has agreed.
        shop.approve(&provider_id(&subscription)).await;
    }
    shop.background(TimeDelta::seconds(5)).await;
    let changed = shop.stored(&path).await;
    assert_eq!(changed.text("plan_id"), other.text("id"), "{changed:?}");
    let again = once.post(&change, body).await;
    assert_eq!(
        (again.status, again.text("plan_id")),
        (200, other.text("id")),
        "{again:?}"
    );
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(shop.requests(method, at).await.len(), 1);
}

/// What was in time when it was asked for is answered as then.
async fn a_late_repetition_gets_its_answer(shop: Shop) {
    let made = shop.create("/v1/plans", plan(&shop, 20)).await;
    let soon = shop.host.clock.now() + TimeDelta::hours(2);
    let soon = soon.to_rfc3339();
    let subscription = json!({"plan_id": made.text("id"), "total_count": 12, "start_date": soon});
    let link = json!({"amount": 10, "currency": shop.provider.currency, "description": "Chairs",
        "provider": shop.provider.name, "expires_at": soon});
    for (path, body) in [
        ("/v1/subscriptions", subscription),
        ("/v1/payment-links", link),
    ] {
        let once = shop.caller.with("Idempotency-Key", path);
        let first = once.post(path, body.clone()).await;
        let answer = (first.status, first.bytes.clone());
        advance(&shop.host, TimeDelta::hours(3));
        let again = once.post(path, body.clone()).await;
        if first.status == 201 {
            assert_eq!((again.status, again.bytes), answer, "{path}");
        }
        let fresh = shop.caller.post(path, body).await;
        assert_eq!(
            (fresh.status, fresh.code()),
            (422, "validation_failed"),
            "{path}"
        );
        shop.host.clock.advance(-TimeDelta::hours(3));
    }
}

async fn a_charge_that_fails_shows(shop: Shop) {
    let subscription = active(&shop).await;
    let path = path_of(&subscription);
    shop.bill(&subscription, "fail").await;
    let late = shop.read(&path).await;
    assert_eq!(late.text("status"), "past_due", "{late:?}");
    assert_eq!(late.json["failure"]["code"], "instrument_declined");
    shop.bill(&subscription, "succeed").await;
    let back = shop.read(&path).await;
    assert_eq!(back.text("status"), "active", "{back:?}");
    assert_eq!(back.json["failure"], Value::Null);
}

async fn a_plan_may_be_named_as_the_provider_names_it(shop: Shop) {
    let made = shop.create("/v1/plans", plan(&shop, 20)).await;
    let theirs = made.json["provider_data"]["id"].as_str().unwrap();
    let body = json!({"plan_id": theirs, "total_count": 12});
    let subscription = subscribed(&shop, body).await;
    assert_eq!(subscription.text("plan_id"), made.text("id"));
    assert_eq!(subscription.text("provider"), shop.provider.name);
    let absent = json!({"plan_id": "plan_01m84hv130ewnt8csdf3adtj7c"});
    let absent = shop.caller.post("/v1/subscriptions", absent).await;
    assert_eq!(
        (absent.status, absent.code()),
        (404, "not_found"),
        "{absent:?}"
    );
}

async fn a_trial_puts_the_first_charge_off(shop: Shop) {
    let made = shop.create("/v1/plans", plan(&shop, 20)).await;
    let body = json!({"plan_id": made.text("id"), "trial_days": 14, "total_count": 12});
    let subscription = subscribed(&shop, body).await;
    shop.approve(&provider_id(&subscription)).await;
    let trial = shop.read(&path_of(&subscription)).await;
    assert_eq!(trial.text("status"), "trialing", "{trial:?}");
    if shop.provider.name == "razorpay" {
        // It would end for good; and what is put off would come after the first charge.
        for moment in ["now", "cycle_end"] {
            let pause = format!("{}/pause", path_of(&subscription));
            let paused = shop.caller.post(&pause, json!({"pause_at": moment})).await;
            assert_eq!((paused.status, paused.code()), (409, "invalid_state"));
        }
    }
    let canceled = shop
        .act(&format!("{}/cancel", path_of(&subscription)), json!({}))
        .await;
    assert_eq!(canceled.text("status"), "canceled", "{canceled:?}");
}

async fn what_makes_no_sense_is_refused_with_its_place(shop: Shop) {
    let refused = shop
        .caller
        .post(
            "/v1/plans",
            json!({"name": "", "amount": 0, "currency": "XXX",
        "interval": "hour", "interval_count": 0, "color": 1}),
        )
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "validation_failed"),
        "{refused:?}"
    );
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/color",
            "/currency",
            "/interval",
            "/interval_count",
            "/name"
        ]
    );
    let refused = shop
        .caller
        .post(
            "/v1/subscriptions",
            json!({"total_count": 0, "quantity": 0,
        "trial_days": 3, "start_date": "2001-01-01T00:00:00Z", "customer_notify": "yes"}),
        )
        .await;
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    pointers.dedup();
    assert_eq!(
        pointers,
        [
            "/customer_notify",
            "/plan_id",
            "/quantity",
            "/start_date",
            "/total_count"
        ],
        "{refused:?}"
    );
    assert!(shop.effects("plan").await.is_empty());
}
