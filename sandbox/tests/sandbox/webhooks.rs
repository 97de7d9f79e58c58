//! What all webhooks have in common: setting them up, the list of deliveries, faults, limits.

use onerouter_sandbox::{NewWebhook, Sandbox, SandboxConfig, WebhookTargets};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    rig::Rig,
    webhook_rig::{Received, Receiver},
};

fn events(received: &[Received]) -> Vec<String> {
    let each = received.iter();
    each.map(|one| one.json()["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn webhooks_are_made_listed_changed_and_removed_for_every_provider() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    for provider in ["twilio", "resend", "razorpay", "paypal"] {
        let url = receiver.url(&format!("/{provider}"));
        let body = json!({ "provider": provider, "url": url });
        let made = rig.control(Method::POST, "webhooks", body).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.body["provider"], provider);
        assert_eq!(made.body["url"], url);
        assert_eq!(made.body["enabled"], true);
        assert!(!made.body["events"].as_array().unwrap().is_empty());
        assert_eq!(made.body["secret"].is_null(), provider == "paypal");
        let listed = rig.get("webhooks").await;
        let listed = listed["data"].as_array().unwrap();
        let of_it: Vec<&Value> = listed
            .iter()
            .filter(|webhook| webhook["provider"] == provider)
            .collect();
        assert!(!of_it.is_empty());
        let path = format!("webhooks/{}", of_it[0]["id"].as_str().unwrap());
        let moved = receiver.url("/moved");
        let changed = rig
            .control(Method::PATCH, &path, json!({ "url": moved }))
            .await;
        assert_eq!((changed.status, &changed.body["url"]), (200, &json!(moved)));
        assert_eq!(
            rig.control(Method::DELETE, &path, Value::Null).await.status,
            204
        );
        assert_eq!(
            rig.control(Method::DELETE, &path, Value::Null).await.status,
            404
        );
    }
}

#[tokio::test]
async fn a_webhook_that_makes_no_sense_is_refused_with_a_reason() {
    let rig = Rig::start().await;
    let good = "http://127.0.0.1:1/hook";
    for (body, why) in [
        (json!({ "provider": "acme", "url": good }), "no provider"),
        (json!({ "provider": "resend" }), "url"),
        (
            json!({ "provider": "resend", "url": good, "x": 1 }),
            "unknown field",
        ),
        (
            json!({ "provider": "resend", "url": "ftp://localhost/" }),
            "no http or https URL",
        ),
        (
            json!({ "provider": "resend", "url": "http://example.com/" }),
            "loopback only",
        ),
        (
            json!({ "provider": "razorpay", "url": "https://10.0.0.1/" }),
            "loopback only",
        ),
        (
            json!({ "provider": "paypal", "url": "https://example.com/" }),
            "loopback only",
        ),
        (
            json!({ "provider": "twilio", "url": "https://example.com/" }),
            "loopback only",
        ),
        (
            json!({ "provider": "resend", "url": good, "events": ["email.read"] }),
            "is no event",
        ),
        (
            json!({ "provider": "resend", "url": good, "secret": "abc" }),
            "whsec_",
        ),
        (
            json!({ "provider": "paypal", "url": good, "secret": "abc" }),
            "cannot be set",
        ),
        (
            json!({ "provider": "twilio", "url": good, "secret": "abc" }),
            "cannot be set",
        ),
        (
            json!({ "provider": "razorpay", "url": good, "account": "acc_1" }),
            "no account",
        ),
    ] {
        let refused = rig.control(Method::POST, "webhooks", body.clone()).await;
        assert_eq!(refused.status, 400, "{body}");
        let error = refused.body["error"].as_str().unwrap();
        assert!(error.contains(why), "{body}: {error}");
    }
}

#[tokio::test]
async fn other_targets_are_a_matter_of_configuration() {
    let config = SandboxConfig {
        webhook_targets: WebhookTargets::Anywhere,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::start(config).await.unwrap();
    let new = NewWebhook {
        provider: "resend".to_owned(),
        url: "https://gateway.example.com/hook".to_owned(),
        ..NewWebhook::default()
    };
    assert!(sandbox.add_webhook(&new).is_ok());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_gateway_on_this_machine_may_have_any_certificate() {
    let (rig, receiver) = (Rig::start().await, Receiver::start_with_tls().await);
    rig.webhook("resend", receiver.url("/hook"));
    rig.mail_to("sent@sandbox.test").await;
    rig.advance_and_settle(6).await;
    assert_eq!(rig.attempts()[0].status, Some(204), "{:?}", rig.attempts());
    receiver.one();
}

#[tokio::test]
async fn the_list_of_deliveries_tells_every_attempt() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let webhook = rig.webhook("resend", receiver.url("/hook"));
    receiver.answer(&[503]);
    let id = rig.mail_to("ada@example.org").await;
    rig.advance_and_settle(3).await;
    rig.advance_and_settle(5).await;
    let view = rig.get("deliveries?event=email.sent").await;
    assert_eq!((&view["count"], &view["total"]), (&json!(2), &json!(3)));
    assert_eq!(
        (&view["waiting"], &view["in_flight"]),
        (&json!(0), &json!(0))
    );
    let first = &view["data"][0];
    for (name, value) in [
        ("number", json!(1)),
        ("provider", json!("resend")),
        ("webhook", json!(webhook.id)),
        ("object", json!(id)),
        ("attempt", json!(1)),
        ("at", json!("2026-01-15T12:00:03.000Z")),
        ("method", json!("POST")),
        ("url", json!(receiver.url("/hook"))),
        ("status", json!(503)),
        ("error", Value::Null),
        ("next_attempt_at", json!("2026-01-15T12:00:08.000Z")),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    let received = receiver.take();
    assert_eq!(first["body"], received[0].text);
    let signature = received[0].header("svix-signature");
    assert_eq!(first["headers"]["svix-signature"], signature);
    let event_id = first["event_id"].as_str().unwrap();
    let same = rig.get(&format!("deliveries?event_id={event_id}")).await;
    assert_eq!(same["count"], 2);
    let cleared = rig.control(Method::DELETE, "deliveries", Value::Null).await;
    assert_eq!(cleared.status, 204);
    assert!(rig.attempts().is_empty());
}

#[tokio::test]
async fn a_delayed_event_waits_for_the_sandbox_s_clock() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("resend", receiver.url("/hook"));
    rig.fault(json!({ "fault": "webhook_delay", "event": "email.sent", "delay_ms": 60_000 }))
        .await;
    rig.mail_to("ada@example.org").await;
    rig.advance_and_settle(6).await;
    assert_eq!(events(&receiver.take()), ["email.delivered"]);
    rig.advance_and_settle(56).await;
    assert!(receiver.take().is_empty());
    rig.advance_and_settle(1).await;
    assert_eq!(events(&receiver.take()), ["email.sent"]);
}

#[tokio::test]
async fn an_event_can_come_twice_late_or_never() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("resend", receiver.url("/hook"));
    for (fault, expected) in [
        (
            "webhook_duplicate",
            &["email.sent", "email.sent", "email.delivered"][..],
        ),
        ("webhook_reorder", &["email.delivered", "email.sent"]),
        ("webhook_drop", &["email.delivered"]),
        ("webhook_fail", &["email.delivered"]),
    ] {
        rig.fault(json!({ "fault": fault, "provider": "resend", "event": "email.sent" }))
            .await;
        rig.mail_to("ada@example.org").await;
        rig.advance_and_settle(6).await;
        let received = receiver.take();
        assert_eq!(events(&received), expected, "{fault}");
        if fault == "webhook_duplicate" {
            assert_eq!(received[0].header("svix-id"), received[1].header("svix-id"));
        }
    }
    // Only the one that found nobody is tried again.
    rig.advance_and_settle(3600).await;
    assert_eq!(events(&receiver.take()), ["email.sent"]);
    assert_eq!(rig.get("faults").await["data"], json!([]));
}

#[tokio::test]
async fn an_event_that_nothing_overtakes_comes_after_a_minute() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("resend", receiver.url("/hook"));
    rig.fault(json!({ "fault": "webhook_reorder" })).await;
    rig.mail_to("sent@sandbox.test").await;
    rig.advance_and_settle(6).await;
    assert!(receiver.take().is_empty());
    rig.advance_and_settle(60).await;
    assert_eq!(events(&receiver.take()), ["email.sent"]);
}

#[tokio::test]
async fn faults_of_webhooks_and_of_requests_do_not_mix() {
    let rig = Rig::start().await;
    for bad in [
        json!({ "fault": "webhook_drop", "method": "POST" }),
        json!({ "fault": "webhook_drop", "to": "+14155550123" }),
        json!({ "fault": "webhook_drop", "status": 500 }),
        json!({ "fault": "reset_before", "event": "email.sent" }),
    ] {
        let refused = rig.control(Method::POST, "faults", bad.clone()).await;
        assert_eq!(refused.status, 400, "{bad}");
    }
    rig.fault(json!({ "fault": "webhook_drop", "times": 0 }))
        .await;
    rig.mail_to("ada@example.org").await;
    let request = rig.resend(Method::GET, "/emails");
    let answer = rig
        .send(request.header("x-sandbox-fault", "webhook_drop"))
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_reset_forgets_webhooks_and_what_was_to_be_sent() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("resend", receiver.url("/hook"));
    receiver.answer(&[500]);
    rig.mail_to("ada@example.org").await;
    rig.advance_and_settle(3).await;
    receiver.one();
    let reset = rig.control(Method::POST, "reset", Value::Null).await;
    assert_eq!(reset.status, 204);
    rig.advance_and_settle(3600).await;
    assert!(receiver.take().is_empty());
    assert!(rig.attempts().is_empty() && rig.sandbox.webhooks().is_empty());
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_neither_requests_nor_other_events() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("resend", receiver.url("/hook"));
    receiver.hang();
    rig.mail_to("sent@sandbox.test").await;
    rig.advance(6).await;
    rig.mail_to("sent@sandbox.test").await;
    rig.advance(6).await;
    // The second is answered while the first still waits.
    let answered = async {
        while rig.attempts().is_empty() {
            tokio::task::yield_now().await
        }
    };
    let patience = std::time::Duration::from_secs(10);
    tokio::time::timeout(patience, answered).await.unwrap();
    assert_eq!(receiver.take().len(), 2);
    let began = std::time::Instant::now();
    rig.sandbox.shutdown().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}
