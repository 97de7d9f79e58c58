//! What providers tell of money is a reason to ask them.

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance};
use serde_json::{Value, json};

use crate::host;
use crate::hostile;
use crate::messages::stored;
use crate::post;
use crate::told::{approve, path_of};

scenarios!(
    a_payment_is_read_when_its_provider_tells,
    money_does_not_move_on_a_webhooks_word,
    what_cannot_be_asked_now_is_asked_later,
    a_payment_of_somebody_elses_is_shown,
);

pub(crate) async fn payment(acme: &Client) -> Reply {
    let body = json!({"amount": 500, "currency": "INR", "provider": "razorpay"});
    let made = acme.post("/v1/payments", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

pub(crate) fn captured(order: &str, payment: &str) -> Value {
    json!({
        "entity": "event", "account_id": "acc_1", "event": "payment.captured",
        "contains": ["payment"], "created_at": 1_764_000_000,
        "payload": {"payment": {"entity": {
            "id": payment, "entity": "payment", "amount": 50_000, "currency": "INR",
            "status": "captured", "order_id": order, "method": "upi", "captured": true,
            "notes": [], "created_at": 1_764_000_000,
        }}},
    })
}

async fn a_payment_is_read_when_its_provider_tells(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_razorpay(&host).await;
    let made = payment(&acme).await;
    let order = made.text("provider_order_id");
    approve(&host, &made).await;
    let told = post::razorpay(&host, "evt_1", &captured(order, "pay_00000000000001")).await;
    told.taken(&host).await;
    let paid = stored(&acme, &path_of(&made)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
    assert_eq!(paid["amount_captured"], json!(500.00));
}

async fn money_does_not_move_on_a_webhooks_word(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_razorpay(&host).await;
    let made = payment(&acme).await;
    let order = made.text("provider_order_id");
    // It is signed, and yet nobody has paid.
    let told = post::razorpay(&host, "evt_1", &captured(order, "pay_00000000000001")).await;
    told.taken(&host).await;
    let same = stored(&acme, &path_of(&made)).await;
    assert_ne!(same["status"], "succeeded");
    assert_eq!(same["amount_captured"], json!(0.00));
    // Once somebody has, a repetition under another id does what the first could not.
    approve(&host, &made).await;
    let mut later = captured(order, "pay_00000000000001");
    later["created_at"] = json!(1_764_000_001);
    let told = post::razorpay(&host, "evt_1", &later).await;
    told.taken(&host).await;
    let paid = stored(&acme, &path_of(&made)).await;
    assert_eq!(paid["status"], "succeeded");
}

async fn what_cannot_be_asked_now_is_asked_later(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_razorpay(&host).await;
    let made = payment(&acme).await;
    let order = made.text("provider_order_id");
    approve(&host, &made).await;
    let fault =
        json!({"provider": "razorpay", "method": "GET", "fault": "reset_before", "times": 2});
    host.fault(fault).await;
    let told = post::razorpay(&host, "evt_1", &captured(order, "pay_00000000000001")).await;
    // It is kept, so the provider need not come again.
    told.taken(&host).await;
    assert_eq!(hostile::webhooks_due(&ground).await, 1);
    for _ in 0..4 {
        advance(&host, TimeDelta::minutes(1));
        host.gateway.parts().sweeper.inbound.sweep().await.unwrap();
    }
    assert_eq!(hostile::webhooks_due(&ground).await, 0);
    let paid = stored(&acme, &path_of(&made)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
    let verdict = "select count(*) from received_webhooks where verdict = 'handled'";
    assert_eq!(hostile::number(&ground, verdict).await, 1);
}

async fn a_payment_of_somebody_elses_is_shown(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_razorpay(&host).await;
    let event = captured("order_Elsewhere00001", "pay_Elsewhere00001");
    post::razorpay(&host, "evt_1", &event)
        .await
        .taken(&host)
        .await;
    let seen = "select count(*) from events where type = 'provider_event.received'";
    assert_eq!(hostile::number(&ground, seen).await, 1);
    let listed = acme.get("/v1/payments").await;
    assert_eq!(listed.json["data"], json!([]));
}
