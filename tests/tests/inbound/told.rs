//! The emulated providers tell the gateway, signed and repeated as they do, and it follows.

use std::time::Duration;

use onerouter_sandbox::{NewWebhook, Webhook, paypal, razorpay};
use onerouter_tests::harness::{Client, Harness, Reply, Setup};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use reqwest::Method;
use serde_json::{Value, json};

use crate::messages::stored;
use crate::post::{self, Post};
use crate::{connection, hostile};

scenarios!(
    paypal_tells_that_somebody_has_paid,
    paypal_is_asked_whether_a_webhook_is_its_own,
    razorpay_tells_of_a_payment_and_its_refund,
    twilio_and_resend_tell_of_messages,
    what_comes_twice_out_of_order_and_late_ends_alike,
);

/// A gateway that the sandbox reaches where it listens, with the webhook of a provider set up.
async fn listening(ground: &Ground) -> (Harness, Client) {
    let host = ground.host_with(Setup::default()).await;
    let acme = host.key("test").await;
    (host, acme)
}

async fn webhook_of(host: &Harness, provider: &str) -> Webhook {
    let connection = connection(host, provider).await;
    let url = format!("{}/webhooks/{provider}/{connection}", host.gateway.url());
    let new = NewWebhook {
        provider: provider.to_owned(),
        url,
        ..NewWebhook::default()
    };
    host.sandbox.add_webhook(&new).unwrap()
}

async fn connect(host: &Harness, path: &str, credentials: Value, settings: Value) {
    let body = json!({"environment": "test", "credentials": credentials, "settings": settings});
    let connected = host
        .operator()
        .post(&format!("/api/services/{path}/connect"), body)
        .await;
    assert_eq!(connected.status, 200, "{connected:?}");
}

async fn connect_paypal(host: &Harness, settings: Value) {
    let webhook = webhook_of(host, "paypal").await;
    let credentials = json!({
        "client_id": paypal::CLIENT_ID, "client_secret": paypal::CLIENT_SECRET,
        "webhook_id": webhook.id,
    });
    connect(host, "payments/paypal", credentials, settings).await;
}

async fn connect_razorpay(host: &Harness) {
    let webhook = webhook_of(host, "razorpay").await;
    let credentials = json!({
        "key_id": razorpay::KEY_ID, "key_secret": razorpay::KEY_SECRET,
        "webhook_secret": webhook.secret,
    });
    connect(host, "payments/razorpay", credentials, json!({})).await;
}

async fn made(acme: &Client, path: &str, body: Value) -> Reply {
    let made = acme.post(path, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

async fn paypal_payment(acme: &Client) -> Reply {
    let body = json!({"amount": 50, "currency": "USD", "provider": "paypal"});
    made(acme, "/v1/payments", body).await
}

async fn approve(host: &Harness, payment: &Reply) {
    let checkout = format!("/_sandbox/checkouts/{}", payment.text("provider_order_id"));
    host.control(Method::POST, &checkout, Some(json!({"action": "approve"})))
        .await;
}

/// Every attempt that was made is answered with 200.
async fn all_taken(host: &Harness) {
    host.sandbox.webhooks_settled().await;
    for attempt in host.sandbox.webhook_attempts() {
        assert_eq!(attempt.status, Some(200), "{attempt:?}");
    }
}

fn path_of(payment: &Reply) -> String {
    format!("/v1/payments/{}", payment.text("id"))
}

async fn paypal_tells_that_somebody_has_paid(ground: Ground) {
    let (host, acme) = listening(&ground).await;
    connect_paypal(&host, json!({})).await;
    let payment = paypal_payment(&acme).await;
    approve(&host, &payment).await;
    // The approval is told; the gateway takes the money; that is told too.
    all_taken(&host).await;
    let paid = stored(&acme, &path_of(&payment)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
    let attempts = host.sandbox.webhook_attempts();
    let approved = attempts
        .iter()
        .find(|attempt| attempt.event == "CHECKOUT.ORDER.APPROVED")
        .unwrap();
    let before = ground.count("received_webhooks").await;

    let mut again = Post::of(approved);
    // Once more, to the byte: known again.
    again.taken(&host).await;
    assert_eq!(ground.count("received_webhooks").await, before);
    // With another body of the same checksum, as whoever has seen one request can make: known again too.
    let forged = with_equal_checksum(
        &again.body,
        br#"{"event_type":"PAYMENT.CAPTURE.COMPLETED"}"#,
    );
    assert_eq!(crc32(&forged), crc32(&again.body));
    let mut altered = again.clone();
    altered.body = forged;
    altered.taken(&host).await;
    assert_eq!(ground.count("received_webhooks").await, before);
    // Any other body, header or certificate is refused.
    again.body.push(b' ');
    assert_eq!(again.send(&host).await.code(), "invalid_signature");
    again.body.pop();
    for (name, value) in [
        ("paypal-transmission-id", "another"),
        ("paypal-transmission-time", "2015-05-18T15:45:13Z"),
        ("paypal-auth-algo", "SHA1withRSA"),
        ("paypal-transmission-sig", "AAAA"),
        (
            "paypal-cert-url",
            "https://evil.example/v1/notifications/certs/CERT-1",
        ),
        (
            "paypal-cert-url",
            "http://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        ),
    ] {
        let mut other = again.clone();
        other.set(name, value);
        let answer = other.send(&host).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "invalid_signature"),
            "{name}: {value}"
        );
    }
    // A certificate that is not there may be there later.
    let mut other = again.clone();
    let url = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-none";
    other.set("paypal-cert-url", url);
    assert_eq!(other.send(&host).await.code(), "provider_unavailable");
    assert_eq!(ground.count("received_webhooks").await, before);
}

/// The CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| step(crc ^ u32::from(*byte)))
}

fn step(crc: u32) -> u32 {
    (0..8).fold(crc, |crc, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    })
}

/// A text that begins with `beginning` and has the checksum of `genuine`, by four bytes at its end.
fn with_equal_checksum(genuine: &[u8], beginning: &[u8]) -> Vec<u8> {
    // Backwards from the checksum that is wanted: which register leads there over four bytes.
    let table: Vec<u32> = (0..256).map(step).collect();
    let mut wanted = !crc32(genuine);
    for _ in 0..4 {
        let index = table
            .iter()
            .position(|entry| entry >> 24 == wanted >> 24)
            .unwrap();
        wanted = ((wanted ^ table[index]) << 8) | u32::try_from(index).unwrap();
    }
    let register = !crc32(beginning);
    let patch = (wanted ^ register).to_le_bytes();
    [beginning, &patch].concat()
}

async fn paypal_is_asked_whether_a_webhook_is_its_own(ground: Ground) {
    let (host, acme) = listening(&ground).await;
    connect_paypal(&host, json!({"webhook_check": "provider"})).await;
    let payment = paypal_payment(&acme).await;
    approve(&host, &payment).await;
    all_taken(&host).await;
    let paid = stored(&acme, &path_of(&payment)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
    let asked = host
        .provider_requests("provider=paypal&path_contains=verify-webhook-signature")
        .await;
    assert!(!asked.is_empty());
    // What it does not know is refused, and while it cannot be asked nobody can tell.
    let fault = json!({"provider": "paypal", "path_contains": "verify-webhook-signature",
        "fault": "reset_before", "times": 1});
    host.fault(fault).await;
    let attempts = host.sandbox.webhook_attempts();
    let last = attempts.last().unwrap();
    let mut post = Post::of(last);
    assert_eq!(post.send(&host).await.code(), "provider_unavailable");
    post.taken(&host).await;
    // What is not even signed is not asked about.
    let before = asked_of(&host).await;
    post.set("paypal-transmission-id", "another");
    assert_eq!(post.send(&host).await.code(), "invalid_signature");
    assert_eq!(asked_of(&host).await, before);
}

/// How often PayPal was asked whether a webhook is its own.
async fn asked_of(host: &Harness) -> usize {
    let filter = "provider=paypal&path_contains=verify-webhook-signature";
    host.provider_requests(filter).await.len()
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
    connect(
        &host,
        "sms/twilio",
        json!({"account_sid": onerouter_sandbox::twilio::ACCOUNT_SID, "auth_token": onerouter_sandbox::twilio::AUTH_TOKEN}),
        messaging,
    )
    .await;
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
