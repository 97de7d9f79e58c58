//! PayPal: its certificate, and a signature that covers a checksum of the body only.

use std::time::Instant;

use onerouter_sandbox::paypal;
use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};

use crate::checksum::with_equal_checksum;
use crate::hostile;
use crate::messages::stored;
use crate::post::{self, Post};
use crate::told::{all_taken, approve, listening, made, path_of, webhook_of};

scenarios!(
    paypal_tells_that_somebody_has_paid,
    paypal_is_asked_whether_a_webhook_is_its_own,
    a_body_that_was_forged_before_the_genuine_one_came_takes_nothing_from_it,
    bodies_under_one_signature_are_few,
    of_bodies_under_one_signature_one_is_shown_at_most,
    certificates_that_strangers_name_are_fetched_a_few_times_only,
);

async fn connect_paypal(host: &Harness, settings: Value) {
    let webhook = webhook_of(host, "paypal").await;
    let credentials = json!({
        "client_id": paypal::CLIENT_ID, "client_secret": paypal::CLIENT_SECRET,
        "webhook_id": webhook.id,
    });
    let provider = ("payments", "paypal");
    post::connect(&host.operator(), provider, credentials, settings).await;
}

async fn paypal_payment(acme: &Client) -> Reply {
    let body = json!({"amount": 50, "currency": "USD", "provider": "paypal"});
    made(acme, "/v1/payments", body).await
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
    let before = ground.count("received_webhooks").await;

    let mut again = approval_of(&host, &payment);
    // Once more, to the byte: known again.
    again.taken(&host).await;
    assert_eq!(ground.count("received_webhooks").await, before);
    // With another body of the same checksum, as whoever has seen one request can make: what it says is looked
    // at, and is not so.
    let unpaid = paypal_payment(&acme).await;
    let mut altered = again.clone();
    altered.body = captured_under(&again, &unpaid);
    altered.taken(&host).await;
    assert_is_unpaid(&acme, &unpaid).await;
    let before = before + 1;
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
    let mut post = Post::of(attempts.last().unwrap());
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

/// What PayPal has told of a payment's approval, whether it arrived or not.
fn approval_of(host: &Harness, payment: &Reply) -> Post {
    let order = payment.text("provider_order_id");
    let attempts = host.sandbox.webhook_attempts();
    let approved = attempts
        .iter()
        .find(|attempt| attempt.event == "CHECKOUT.ORDER.APPROVED" && attempt.body.contains(order));
    Post::of(approved.unwrap())
}

/// A body that says under a signature of PayPal's that a payment was made: with its event's id.
fn captured_under(signed: &Post, payment: &Reply) -> Vec<u8> {
    let genuine: Value = serde_json::from_slice(&signed.body).unwrap();
    let of = (payment.text("id"), payment.text("provider_order_id"));
    told_under(signed, genuine["id"].as_str().unwrap(), of)
}

/// The same of anything, in an event of any id.
fn told_under(signed: &Post, event_id: &str, (payment, order): (&str, &str)) -> Vec<u8> {
    let genuine: Value = serde_json::from_slice(&signed.body).unwrap();
    let event = json!({
        "id": event_id, "event_version": "1.0", "create_time": genuine["create_time"],
        "resource_type": "capture", "event_type": "PAYMENT.CAPTURE.COMPLETED",
        "resource": {
            "id": "3C679366HH908993F", "status": "COMPLETED", "final_capture": true,
            "amount": {"currency_code": "USD", "value": "50.00"},
            "custom_id": payment,
            "supplementary_data": {"related_ids": {"order_id": order}},
        },
        "summary": "",
    });
    let text = event.to_string();
    // Before the quotation mark that ends the summary; keys are sorted.
    let (beginning, end) = text.split_at(text.rfind("\"summary\":\"").unwrap() + 11);
    with_equal_checksum(&signed.body, beginning, end)
}

async fn assert_is_unpaid(acme: &Client, payment: &Reply) {
    let same = stored(acme, &path_of(payment)).await;
    assert_eq!(same["status"], payment.json["status"], "{same}");
    assert_eq!(same["amount_captured"], json!(0.00), "{same}");
}

/// A payment that its buyer has approved, and what PayPal could not tell of it: somebody has held it up.
async fn held_up(host: &Harness, acme: &Client) -> (Reply, Post) {
    let payment = paypal_payment(acme).await;
    let fault = json!({
        "provider": "paypal", "event": "CHECKOUT.ORDER.APPROVED", "fault": "webhook_fail",
    });
    host.fault(fault).await;
    approve(host, &payment).await;
    host.sandbox.webhooks_settled().await;
    let approval = approval_of(host, &payment);
    (payment, approval)
}

async fn a_body_that_was_forged_before_the_genuine_one_came_takes_nothing_from_it(ground: Ground) {
    let (host, acme) = listening(&ground).await;
    connect_paypal(&host, json!({})).await;
    let unpaid = paypal_payment(&acme).await;
    let (payment, genuine) = held_up(&host, &acme).await;
    assert_eq!(ground.count("received_webhooks").await, 0);
    let mut forged = genuine.clone();
    forged.body = captured_under(&genuine, &unpaid);
    // The signature fits, so it is taken. PayPal is asked, and knows of no money.
    forged.taken(&host).await;
    assert_is_unpaid(&acme, &unpaid).await;
    assert_is_unpaid(&acme, &payment).await;
    // The genuine one has the same transmission and event, and is no repetition.
    genuine.taken(&host).await;
    host.sandbox.webhooks_settled().await;
    let paid = stored(&acme, &path_of(&payment)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
    assert_is_unpaid(&acme, &unpaid).await;
    let events = ground.events(payment.text("id")).await;
    let paid = events
        .iter()
        .filter(|(kind, _)| kind == "payment.succeeded");
    assert_eq!(paid.count(), 1);
    // From now on it is one.
    let before = ground.count("received_webhooks").await;
    genuine.taken(&host).await;
    assert_eq!(ground.count("received_webhooks").await, before);
}

async fn bodies_under_one_signature_are_few(ground: Ground) {
    let (host, acme) = listening(&ground).await;
    connect_paypal(&host, json!({})).await;
    let (payment, genuine) = held_up(&host, &acme).await;
    let began = Instant::now();
    let mut kept = 0;
    for _ in 0..20 {
        let mut forged = genuine.clone();
        let unpaid = paypal_payment(&acme).await;
        forged.body = captured_under(&genuine, &unpaid);
        let answer = forged.send(&host).await;
        if answer.status == 200 {
            kept += 1;
        } else {
            // Not a word of that it was taken: whoever means it comes again.
            assert_eq!((answer.status, answer.code()), (429, "rate_limited"));
            assert!(answer.header("retry-after").is_some());
        }
        assert_is_unpaid(&acme, &unpaid).await;
    }
    // Four at once, and one a minute.
    let most = 4 + began.elapsed().as_secs() / 60;
    assert!((1..=most).contains(&kept), "{kept}, and {most} at most");
    let rows = ground.count("received_webhooks").await;
    assert_eq!(u64::try_from(rows).unwrap(), kept);
    assert_is_unpaid(&acme, &payment).await;
    // Another transmission is not held up by that.
    let another = paypal_payment(&acme).await;
    approve(&host, &another).await;
    host.sandbox.webhooks_settled().await;
    let paid = stored(&acme, &path_of(&another)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
}

async fn of_bodies_under_one_signature_one_is_shown_at_most(ground: Ground) {
    let (host, acme) = listening(&ground).await;
    connect_paypal(&host, json!({})).await;
    let payment = paypal_payment(&acme).await;
    approve(&host, &payment).await;
    all_taken(&host).await;
    let genuine = approval_of(&host, &payment);
    // Of something that nobody here has made, with an event's id of its own.
    let mut forged = genuine.clone();
    let of = ("pay_01h455vb4pex5vsknk084sn02q", "5O190127TN364715T");
    forged.body = told_under(&genuine, "WH-58D329510W468432D-8HN650336L201105X", of);
    forged.taken(&host).await;
    let shown = "select count(*) from events where type = 'provider_event.received'";
    assert_eq!(hostile::number(&ground, shown).await, 0);
    assert_eq!(hostile::webhooks_due(&ground).await, 0);
}

async fn certificates_that_strangers_name_are_fetched_a_few_times_only(ground: Ground) {
    let (host, acme) = listening(&ground).await;
    connect_paypal(&host, json!({})).await;
    let payment = paypal_payment(&acme).await;
    approve(&host, &payment).await;
    all_taken(&host).await;
    let genuine = approval_of(&host, &payment);
    let before = fetched(&host).await;
    assert_eq!(before, 1);
    let began = Instant::now();
    let gateway = &host;
    for wave in 0..10 {
        let flood = (0..50).map(|number| {
            let mut forged = genuine.clone();
            let url = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT";
            forged.set("paypal-cert-url", &format!("{url}-{wave}-{number}"));
            async move { forged.send(gateway).await }
        });
        let flood = futures_util::future::join_all(flood);
        let (answers, taken) = tokio::join!(flood, genuine.send(&host));
        assert_eq!(taken.status, 200, "{wave}: {taken:?}");
        for answer in answers {
            let code = answer.code();
            assert!(
                ["provider_unavailable", "rate_limited"].contains(&code),
                "{answer:?}"
            );
        }
    }
    // One webhook's share is four a minute.
    let most = 4 + usize::try_from(began.elapsed().as_secs() / 15).unwrap();
    let fetched = fetched(&host).await - before;
    assert!((1..=most).contains(&fetched), "{fetched} of {most}");
    // What is genuine and new is taken with the certificate that is there.
    let another = paypal_payment(&acme).await;
    approve(&host, &another).await;
    all_taken(&host).await;
    let paid = stored(&acme, &path_of(&another)).await;
    assert_eq!(paid["status"], "succeeded", "{paid}");
}

/// How often a certificate was asked for.
async fn fetched(host: &Harness) -> usize {
    let filter = "provider=paypal&path_contains=notifications/certs";
    host.provider_requests(filter).await.len()
}
