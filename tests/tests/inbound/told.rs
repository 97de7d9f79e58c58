//! The emulated providers tell the gateway, signed and repeated as they do, and it follows.

use std::time::Duration;

use chrono::TimeDelta;
use onerouter_sandbox::{NewWebhook, Webhook, razorpay};
use onerouter_tests::harness::{Client, Harness, Reply, Setup};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance};
use reqwest::Method;
use serde_json::{Value, json};

use crate::messages::stored;
use crate::post;
use crate::{connection, hostile};

scenarios!(
    razorpay_tells_of_a_payment_and_its_refund,
    twilio_and_resend_tell_of_messages,
    what_comes_twice_out_of_order_and_late_ends_alike,
);

/// A gateway that the sandbox reaches where it listens, with the webhook of a provider set up.
pub(crate) async fn listening(ground: &Ground) -> (Harness, Client) {
    let host = ground.host_with(Setup::default()).await;
    let acme = host.key("test").await;
    (host, acme)
}

pub(crate) async fn webhook_of(host: &Harness, provider: &str) -> Webhook {
    let connection = connection(host, provider).await;
    let url = format!("{}/webhooks/{provider}/{connection}", host.gateway.url());
    let new = NewWebhook {
        provider: provider.to_owned(),
        url,
        ..NewWebhook::default()
    };
    host.sandbox.add_webhook(&new).unwrap()
}

async fn connect_razorpay(host: &Harness) {
    let webhook = webhook_of(host, "razorpay").await;
    let credentials = json!({
        "key_id": razorpay::KEY_ID, "key_secret": razorpay::KEY_SECRET,
        "webhook_secret": webhook.secret,
    });
    let provider = ("payments", "razorpay");
    post::connect(&host.operator(), provider, credentials, json!({})).await;
}

pub(crate) async fn made(acme: &Client, path: &str, body: Value) -> Reply {
    let made = acme.post(path, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

pub(crate) async fn approve(host: &Harness, payment: &Reply) {
    let checkout = format!("/_sandbox/checkouts/{}", payment.text("provider_order_id"));
    host.control(Method::POST, &checkout, Some(json!({"action": "approve"})))
        .await;
}

/// Every attempt that was made is answered with 200.
pub(crate) async fn all_taken(host: &Harness) {
    host.sandbox.webhooks_settled().await;
    for attempt in host.sandbox.webhook_attempts() {
        assert_eq!(attempt.status, Some(200), "{attempt:?}");
    }
}

pub(crate) fn path_of(payment: &Reply) -> String {
    format!("/v1/payments/{}", payment.text("id"))
}

async fn razorpay_tells_of_a_payment_and_its_refund(ground: Ground) {
    let (host, acme) = listening(&ground).await;
    connect_razorpay(&host).await;
    let body = json!({"amount": 500, "currency": "INR", "provider": "razorpay"});
    let payment = made(&acme, "/v1/payments", body).await;
    approve(&host, &payment).await;
    all_taken(&host).await;
    let paid = stored(&acme, &path_of(&payment)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
    let body = json!({"payment_id": payment.text("id"), "amount": 200});
    let refund = made(&acme, "/v1/refunds", body).await;
    host.pass(Duration::from_secs(24 * 3_600));
    all_taken(&host).await;
    let path = format!("/v1/refunds/{}", refund.text("id"));
    assert_eq!(stored(&acme, &path).await["status"], "succeeded");
    let events = ground.events(payment.text("id")).await;
    let paid = events
        .iter()
        .filter(|(kind, _)| kind == "payment.succeeded");
    assert_eq!(paid.count(), 1);
    // One that overtook the answer to the request that it is about was put off.
    advance(&host, TimeDelta::minutes(1));
    host.gateway.parts().sweeper.inbound.sweep().await.unwrap();
    assert_eq!(hostile::webhooks_due(&ground).await, 0);
}

async fn twilio_and_resend_tell_of_messages(ground: Ground) {
    let (host, acme) = listening(&ground).await;
    let webhook = webhook_of(&host, "resend").await;
    let secret = webhook.secret.unwrap();
    post::connect_resend(&host, &[("webhook_secret", &secret)]).await;
    let twilio = webhook_of(&host, "twilio").await;
    assert_eq!(twilio.provider, "twilio");
    let email = json!({"to": "ada@example.com", "subject": "Hi", "text_body": "Hello"});
    let email = made(&acme, "/v1/email", email).await;
    let messaging =
        json!({"messaging_service_sid": onerouter_sandbox::twilio::MESSAGING_SERVICE_SID});
    let credentials = json!({
        "account_sid": onerouter_sandbox::twilio::ACCOUNT_SID,
        "auth_token": onerouter_sandbox::twilio::AUTH_TOKEN,
    });
    let operator = host.operator();
    post::connect(&operator, ("sms", "twilio"), credentials, messaging).await;
    let sms = json!({"to": "+14155550123", "body": "Hi"});
    let sms = made(&acme, "/v1/sms", sms).await;
    // Not the gateway's: what is signed carries the time of the machine.
    host.sandbox_clock.advance(Duration::from_secs(600));
    all_taken(&host).await;
    for (path, reply) in [("email", &email), ("sms", &sms)] {
        let path = format!("/v1/{path}/{}", reply.text("id"));
        assert_eq!(stored(&acme, &path).await["status"], "delivered", "{path}");
    }
}

async fn what_comes_twice_out_of_order_and_late_ends_alike(ground: Ground) {
    let (host, acme) = listening(&ground).await;
    connect_razorpay(&host).await;
    for fault in [
        "webhook_duplicate",
        "webhook_reorder",
        "webhook_delay",
        "webhook_fail",
    ] {
        host.fault(json!({"provider": "razorpay", "fault": fault, "times": 2}))
            .await;
    }
    let body = json!({"amount": 500, "currency": "INR", "provider": "razorpay"});
    let payment = made(&acme, "/v1/payments", body).await;
    approve(&host, &payment).await;
    for _ in 0..5 {
        host.sandbox.webhooks_settled().await;
        host.pass(Duration::from_secs(120));
        host.sweep().await;
    }
    let paid = stored(&acme, &path_of(&payment)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
    assert_eq!(paid["amount_captured"], json!(500.00));
    let events = ground.events(payment.text("id")).await;
    let paid = events
        .iter()
        .filter(|(kind, _)| kind == "payment.succeeded");
    assert_eq!(paid.count(), 1);
}
