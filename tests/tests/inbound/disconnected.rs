//! A connection that was taken away: its webhook is no longer there.

use chrono::TimeDelta;
use onerouter_tests::harness::Harness;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance};
use reqwest::Method;
use serde_json::{Value, json};

use crate::messages::stored;
use crate::money::{captured, payment};
use crate::post::{self, Post};
use crate::told::{approve, path_of};
use crate::{host, hostile};

scenarios!(
    a_connection_that_was_taken_away_answers_as_one_that_never_was,
    what_waits_for_a_connection_that_was_taken_away_ends,
);

const DISCONNECT: &str = "/api/services/payments/razorpay?environment=test";

/// An answer without what differs from request to request.
async fn told(host: &Harness, post: &Post) -> (u16, Value) {
    let mut answer = post.send(host).await;
    let problem = answer.json.as_object_mut().unwrap();
    assert!(problem.remove("request_id").is_some());
    (answer.status, answer.json)
}

async fn a_connection_that_was_taken_away_answers_as_one_that_never_was(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_razorpay(&host).await;
    let made = payment(&acme).await;
    approve(&host, &made).await;
    let event = captured(made.text("provider_order_id"), "pay_00000000000001");
    let genuine = post::razorpay(&host, "evt_1", &event).await;
    let elsewhere = |path: String| Post {
        path,
        ..genuine.clone()
    };
    let own = genuine.path.rsplit('/').next().unwrap();
    let never = elsewhere("/webhooks/razorpay/con_01h455vb4pex5vsknk084sn02q".to_owned());
    let (status, unknown) = told(&host, &never).await;
    assert_eq!((status, &unknown["code"]), (404, &json!("not_found")));
    let anothers = elsewhere(format!("/webhooks/twilio/{own}"));
    assert_eq!(told(&host, &anothers).await, (404, unknown.clone()));

    // Judged once, so that everything about it is known, and taken away then.
    let mut forged = genuine.clone();
    forged.set("x-razorpay-signature", &"0".repeat(64));
    assert_eq!(forged.send(&host).await.code(), "invalid_signature");
    assert_eq!(host.operator().delete(DISCONNECT).await.status, 200);
    for post in [&genuine, &forged] {
        assert_eq!(told(&host, post).await, (404, unknown.clone()));
    }
    assert_eq!(ground.count("received_webhooks").await, 0);
    let same = stored(&acme, &path_of(&made)).await;
    assert_eq!(same["amount_captured"], json!(0.00));

    // Whoever connects again has another webhook, from that moment on.
    post::connect_razorpay(&host).await;
    let again = post::razorpay(&host, "evt_1", &event).await;
    assert_ne!(again.path, genuine.path);
    again.taken(&host).await;
    let paid = stored(&acme, &path_of(&made)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
    assert_eq!(told(&host, &genuine).await, (404, unknown));
}

async fn what_waits_for_a_connection_that_was_taken_away_ends(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_razorpay(&host).await;
    let made = payment(&acme).await;
    approve(&host, &made).await;
    let fault = json!({
        "provider": "razorpay", "method": "GET", "fault": "reset_before", "times": 0,
    });
    host.fault(fault).await;
    let event = captured(made.text("provider_order_id"), "pay_00000000000001");
    let genuine = post::razorpay(&host, "evt_1", &event).await;
    genuine.taken(&host).await;
    assert_eq!(hostile::webhooks_due(&ground).await, 1);
    host.control(Method::DELETE, "/_sandbox/faults", None).await;
    assert_eq!(host.operator().delete(DISCONNECT).await.status, 200);

    let reads = host.provider_requests("provider=razorpay&method=GET").await;
    let inbound = &host.gateway.parts().sweeper.inbound;
    advance(&host, TimeDelta::minutes(1));
    assert_eq!(inbound.sweep().await.unwrap(), 1);
    assert_eq!(hostile::webhooks_due(&ground).await, 0);
    let refused = "select count(*) from received_webhooks where verdict = 'refused'";
    assert_eq!(hostile::number(&ground, refused).await, 1);
    // Nobody was asked, nothing was told, and that was all.
    let asked = host.provider_requests("provider=razorpay&method=GET").await;
    assert_eq!(asked.len(), reads.len());
    let shown = "select count(*) from events where type = 'provider_event.received'";
    assert_eq!(hostile::number(&ground, shown).await, 0);
    let same = stored(&acme, &path_of(&made)).await;
    assert_eq!(same["amount_captured"], json!(0.00));
    advance(&host, TimeDelta::days(4));
    assert_eq!(inbound.sweep().await.unwrap(), 0);
}
