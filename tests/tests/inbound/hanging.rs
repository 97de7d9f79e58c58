//! A provider that hangs while it is asked what a webhook means.

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::messages::{sid, sms, stored};
use crate::money::{captured, payment};
use crate::post::{self, Post};
use crate::told::{approve, path_of};
use crate::{connection, host, hostile};

scenarios!(
    a_provider_that_hangs_delays_nobody_else,
    what_hangs_leaves_places_to_others,
);

/// More of one connection's webhooks than are gone on with at the same time, of anybody's.
const MANY: u32 = 40;

/// From now on nobody hears what has become of a payment.
async fn hang(host: &Harness, payment: &Reply) {
    let fault = json!({
        "provider": "razorpay", "method": "GET",
        "path_contains": payment.text("provider_order_id"),
        "fault": "latency_before", "delay_ms": 600_000, "times": 0,
    });
    host.fault(fault).await;
}

/// The questions about a payment that are not answered.
async fn hanging(host: &Harness, payment: &Reply) -> usize {
    let order = payment.text("provider_order_id");
    let filter = format!("provider=razorpay&method=GET&path_contains={order}");
    let asked = host.provider_requests(&filter).await;
    asked
        .iter()
        .filter(|question| question["status"] == Value::Null)
        .count()
}

/// Another tenant with a Razorpay of its own: its client, and its connection.
async fn bob(host: &Harness) -> (Client, String) {
    let operator = host.tenant("Bob").await;
    host.connect_sandbox_of(&operator).await;
    post::connect_razorpay_of(&operator).await;
    let connection = operator.connection("razorpay").await;
    (host.key_of(&operator, "test").await, connection)
}

/// What Razorpay tells of a payment, in one of many ways.
fn told_of(payment: &Reply, connection: &str, number: u32) -> Post {
    let mut event = captured(payment.text("provider_order_id"), "pay_00000000000001");
    event["created_at"] = json!(1_764_000_000 + number);
    post::razorpay_to(connection, &format!("evt_{number}"), &event)
}

async fn a_provider_that_hangs_delays_nobody_else(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_razorpay(&host).await;
    let own = connection(&host, "razorpay").await;
    let (bob, bobs) = bob(&host).await;
    let (stuck, other) = (payment(&acme).await, payment(&bob).await);
    approve(&host, &stuck).await;
    approve(&host, &other).await;
    let sms = sms(&acme).await;
    hang(&host, &stuck).await;
    let hung = told_of(&stuck, &own, 1);
    let others = async {
        eventually("it hangs", || async { hanging(&host, &stuck).await > 0 }).await;
        // Another provider's, and another tenant's of the same provider.
        let told = post::twilio_status(&host, sid(&sms), "", "delivered").await;
        told.taken(&host).await;
        let path = format!("/v1/sms/{}", sms["id"].as_str().unwrap());
        assert_eq!(stored(&acme, &path).await["status"], "delivered");
        told_of(&other, &bobs, 2).taken(&host).await;
        let paid = stored(&bob, &path_of(&other)).await;
        assert_eq!(paid["status"], "succeeded", "{paid}");
        // And all the time it hung.
        assert!(hanging(&host, &stuck).await > 0);
        let same = stored(&acme, &path_of(&stuck)).await;
        assert_eq!(same["amount_captured"], json!(0.00));
    };
    // It is kept, so its provider need not wait for itself.
    tokio::join!(hung.taken(&host), others);
}

async fn what_hangs_leaves_places_to_others(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_razorpay(&host).await;
    let own = connection(&host, "razorpay").await;
    let (bob, bobs) = bob(&host).await;
    let (stuck, other) = (payment(&acme).await, payment(&bob).await);
    approve(&host, &stuck).await;
    approve(&host, &other).await;
    let fault = json!({
        "provider": "razorpay", "method": "GET", "fault": "reset_before", "times": 0,
    });
    host.fault(fault).await;
    for number in 0..MANY {
        told_of(&stuck, &own, number).taken(&host).await;
    }
    told_of(&other, &bobs, MANY).taken(&host).await;
    assert_eq!(hostile::webhooks_due(&ground).await, i64::from(MANY) + 1);
    host.control(Method::DELETE, "/_sandbox/faults", None).await;
    // Those that were cut off have no answer either.
    let cut = hanging(&host, &stuck).await;
    hang(&host, &stuck).await;
    advance(&host, TimeDelta::minutes(1));
    let sweep = host.gateway.parts().sweeper.inbound.sweep();
    let is_paid = || async { stored(&bob, &path_of(&other)).await["status"] == "succeeded" };
    tokio::select! {
        swept = sweep => panic!("nothing hung: {swept:?}"),
        () = eventually("the other one is acted on", is_paid) => {}
    }
    // Of one connection's eight at the same time.
    let hanging = hanging(&host, &stuck).await - cut;
    assert!((1..=8).contains(&hanging), "{hanging}");
}
