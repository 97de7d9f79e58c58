//! What providers tell of messages.

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance};
use serde_json::{Value, json};

use crate::post::{self, RESEND_SECRET};
use crate::{host, hostile};

scenarios!(
    a_status_arrives_once_whatever_comes_twice_and_late,
    a_callback_binds_a_message_whose_answer_was_lost,
    a_text_that_comes_in_is_a_message_and_stop_is_kept,
    an_email_is_followed_to_its_bounce_and_its_clicks,
    a_secret_is_changed_while_webhooks_are_under_way,
    what_is_about_nothing_of_ours_is_shown,
    any_order_of_reports_ends_alike,
    of_equal_webhooks_at_once_one_counts,
    what_came_is_encrypted,
    a_status_may_come_as_json,
);

pub(crate) async fn sms(acme: &Client) -> Value {
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hi"}))
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
    sent.json
}

pub(crate) async fn stored(acme: &Client, path: &str) -> Value {
    let object = acme.get(&format!("{path}?refresh=false")).await;
    assert_eq!(object.status, 200, "{object:?}");
    object.json
}

pub(crate) fn sid(sms: &Value) -> &str {
    sms["provider_message_id"].as_str().unwrap()
}

async fn a_status_arrives_once_whatever_comes_twice_and_late(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let sms = sms(&acme).await;
    let path = format!("/v1/sms/{}", sms["id"].as_str().unwrap());
    for status in ["sent", "delivered", "sent"] {
        let told = post::twilio_status(&host, sid(&sms), "", status).await;
        told.taken(&host).await;
        told.taken(&host).await;
    }
    assert_eq!(stored(&acme, &path).await["status"], "delivered");
    let events = ground.events(sms["id"].as_str().unwrap()).await;
    let types: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(types, ["sms.queued", "sms.sent", "sms.delivered"]);
    // Each was kept once, and nothing is left to do.
    assert_eq!(ground.count("received_webhooks").await, 2);
    assert_eq!(hostile::webhooks_due(&ground).await, 0);
    // Nobody was asked.
    let reads = host.provider_requests("provider=twilio&method=GET").await;
    let reads = reads.iter().filter(|read| {
        let target = read["path"].as_str().unwrap_or_default();
        target.contains("/Messages/")
    });
    assert_eq!(reads.count(), 0);
}

/// The query of the callback that a message was sent with.
async fn callback_of(host: &Harness) -> String {
    let requests = host.provider_requests("provider=twilio&method=POST").await;
    let body = requests.last().unwrap()["body"]
        .as_str()
        .unwrap()
        .to_owned();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let callback = pairs.iter().find(|(name, _)| name == "StatusCallback");
    let (_, callback) = callback.unwrap();
    assert!(callback.starts_with("https://hooks.example.com/webhooks/twilio/con_"));
    format!("?{}", callback.split_once('?').unwrap().1)
}

async fn a_callback_binds_a_message_whose_answer_was_lost(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let lose = json!({"provider": "twilio", "method": "POST", "fault": "reset_after"});
    host.fault(lose).await;
    let once = acme.with("Idempotency-Key", "order-1");
    let body = json!({"to": "+14155550123", "body": "Hi"});
    let lost = once.post("/v1/sms", body.clone()).await;
    assert_eq!(lost.code(), "outcome_unknown");
    let path = format!("/v1/sms/{}", lost.text("id"));
    let query = callback_of(&host).await;
    let sid = "SM0123456789abcdef0123456789abcdef";
    let told = post::twilio_status(&host, sid, &query, "delivered").await;
    told.taken(&host).await;
    let known = stored(&acme, &path).await;
    assert_eq!(known["status"], "delivered");
    assert_eq!(known["provider_message_id"], sid);
    // The request is answered with what it came to, and nothing is sent again.
    let again = once.post("/v1/sms", body).await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.json["id"], lost.json["id"]);
    assert_eq!(host.effects("+14155550123").await, 1);
}

async fn a_text_that_comes_in_is_a_message_and_stop_is_kept(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let pairs = [
        ("MessageSid", "SM00000000000000000000000000000001"),
        ("SmsMessageSid", "SM00000000000000000000000000000001"),
        ("SmsSid", "SM00000000000000000000000000000001"),
        ("AccountSid", onerouter_sandbox::twilio::ACCOUNT_SID),
        ("From", "+14155550188"),
        ("To", onerouter_sandbox::twilio::FROM_NUMBER),
        ("Body", "Stop"),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("SmsStatus", "received"),
        ("FromCity", ""),
        ("ApiVersion", "2010-04-01"),
    ];
    let told = post::twilio(&host, "", &pairs).await;
    let answer = told.taken(&host).await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/xml; charset=utf-8")
    );
    assert!(String::from_utf8_lossy(&answer.bytes).contains("<Response"));
    told.taken(&host).await;
    let listed = acme.get("/v1/sms?status=received").await;
    let [message] = listed.json["data"].as_array().unwrap().as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!(message["body"], "Stop");
    assert_eq!(message["from_number"], "+14155550188");
    assert_eq!(message["to"], onerouter_sandbox::twilio::FROM_NUMBER);
    assert_eq!(message["consent"], "stop");
    let events = ground.events(message["id"].as_str().unwrap()).await;
    assert_eq!(events, [("sms.received".to_owned(), 2)]);
}

pub(crate) fn email_event(kind: &str, id: &str, more: Value) -> Value {
    let mut data = json!({
        "created_at": "2026-11-23T09:30:00.894719+00:00", "email_id": id,
        "from": "hello@example.com", "to": ["ada@example.com"], "subject": "Hi",
    });
    if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
        data.extend(more.clone());
    }
    json!({"type": kind, "created_at": "2026-11-23T09:30:01.126Z", "data": data})
}

pub(crate) async fn email(acme: &Client) -> Value {
    let body = json!({"to": "ada@example.com", "subject": "Hi", "text_body": "Hello"});
    let sent = acme.post("/v1/email", body).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    sent.json
}

async fn an_email_is_followed_to_its_bounce_and_its_clicks(ground: Ground) {
    let (host, acme) = host(&ground).await;
    post::connect_resend(&host, &[("webhook_secret", RESEND_SECRET)]).await;
    let email = email(&acme).await;
    let id = email["provider_message_id"].as_str().unwrap();
    let path = format!("/v1/email/{}", email["id"].as_str().unwrap());
    let click = json!({"click": {"link": "https://example.com/a", "ipAddress": "192.0.2.1"}});
    for (number, (kind, more)) in [
        ("email.sent", json!({})),
        ("email.opened", json!({})),
        ("email.clicked", click),
        ("email.delivered", json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        let event = email_event(kind, id, more);
        let told = post::resend(&host, &format!("msg_{number}"), &event).await;
        told.taken(&host).await;
    }
    assert_eq!(stored(&acme, &path).await["status"], "delivered");
    let bounce = json!({"bounce": {"type": "Permanent", "subType": "General", "message": "No such mailbox"}});
    let told = post::resend(&host, "msg_9", &email_event("email.bounced", id, bounce)).await;
    told.taken(&host).await;
    let bounced = stored(&acme, &path).await;
    assert_eq!(bounced["status"], "bounced");
    assert_eq!(bounced["failure"]["code"], "bounced");
    let mut types: Vec<_> = ground.events(email["id"].as_str().unwrap()).await;
    types.dedup();
    let types: Vec<_> = types.iter().map(|(kind, _)| kind.as_str()).collect();
    for expected in [
        "email.opened",
        "email.clicked",
        "email.delivered",
        "email.bounced",
    ] {
        assert_eq!(
            types.iter().filter(|kind| **kind == expected).count(),
            1,
            "{types:?}"
        );
    }
}

async fn a_secret_is_changed_while_webhooks_are_under_way(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let new = "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0";
    let secrets = [
        ("webhook_secret", new),
        ("webhook_secret_previous", RESEND_SECRET),
    ];
    post::connect_resend(&host, &secrets).await;
    let email = email(&acme).await;
    let id = email["provider_message_id"].as_str().unwrap();
    let event = email_event("email.delivered", id, json!({}));
    let now = host.clock.now().timestamp();
    for (number, secret) in [new, RESEND_SECRET].into_iter().enumerate() {
        let name = format!("msg_{number}");
        let told = post::resend_at(&host, (&name, now, secret), &event).await;
        told.taken(&host).await;
    }
    // Both at once, as while it is being changed.
    let mut both = post::resend_at(&host, ("msg_3", now, new), &event).await;
    let tag = both.headers.last().unwrap().1.clone();
    both.set("svix-signature", &format!("v1,AAAA v2,what {tag}"));
    both.taken(&host).await;
    // And the old one is over.
    post::connect_resend(&host, &[("webhook_secret", new)]).await;
    let old = post::resend_at(&host, ("msg_4", now, RESEND_SECRET), &event).await;
    let refused = old.send(&host).await;
    assert_eq!((refused.status, refused.code()), (401, "invalid_signature"));
}

async fn what_is_about_nothing_of_ours_is_shown(ground: Ground) {
    let (host, _acme) = host(&ground).await;
    let sid = "SM0123456789abcdef0123456789abcde0";
    let told = post::twilio_status(&host, sid, "", "delivered").await;
    told.taken(&host).await;
    let told = post::twilio_status(&host, sid, "", "delivered").await;
    told.taken(&host).await;
    let seen = "select count(*) from events where type = 'provider_event.received'";
    assert_eq!(hostile::number(&ground, seen).await, 1);
    assert_eq!(hostile::webhooks_due(&ground).await, 0);
}

async fn any_order_of_reports_ends_alike(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let reports = ["sent", "undelivered", "delivered", "sending"];
    // Every order of them.
    let mut orders = vec![vec![]];
    for _ in reports {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<&str>| {
                let rest = reports.iter().filter(|report| !order.contains(report));
                rest.map(|report| [order.as_slice(), &[*report]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    assert_eq!(orders.len(), 24);
    for order in orders {
        let sms = sms(&acme).await;
        for status in &order {
            let told = post::twilio_status(&host, sid(&sms), "", status).await;
            told.taken(&host).await;
        }
        let path = format!("/v1/sms/{}", sms["id"].as_str().unwrap());
        let end = stored(&acme, &path).await;
        assert_eq!(end["status"], "delivered", "{order:?}");
        assert_eq!(end["failure"], Value::Null, "{order:?}");
    }
}

async fn of_equal_webhooks_at_once_one_counts(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let sms = sms(&acme).await;
    let told = post::twilio_status(&host, sid(&sms), "", "delivered").await;
    let answers = futures_util::future::join_all((0..16).map(|_| told.send(&host))).await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(ground.count("received_webhooks").await, 1);
    let events = ground.events(sms["id"].as_str().unwrap()).await;
    let delivered = events.iter().filter(|(kind, _)| kind == "sms.delivered");
    assert_eq!(delivered.count(), 1);
    advance(&host, TimeDelta::minutes(5));
    assert_eq!(host.sweep().await, 0);
}

async fn a_status_may_come_as_json(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let sms = sms(&acme).await;
    let fields = json!({
        "MessageSid": sid(&sms), "AccountSid": onerouter_sandbox::twilio::ACCOUNT_SID,
        "MessageStatus": "delivered", "To": "+14155550123",
    });
    let told = post::twilio_json(&host, &fields).await;
    let mut altered = told.clone();
    altered.body[1] ^= 1;
    assert_eq!(altered.send(&host).await.code(), "invalid_signature");
    told.taken(&host).await;
    let path = format!("/v1/sms/{}", sms["id"].as_str().unwrap());
    assert_eq!(stored(&acme, &path).await["status"], "delivered");
}

async fn what_came_is_encrypted(ground: Ground) {
    let (host, acme) = host(&ground).await;
    let sms = sms(&acme).await;
    let told = post::twilio_status(&host, sid(&sms), "", "delivered").await;
    told.taken(&host).await;
    let rows = hostile::bytes(&ground, "select request from received_webhooks").await;
    assert_eq!(rows.len(), 1);
    let text = String::from_utf8_lossy(&rows[0]).into_owned();
    for plain in ["MessageSid", sid(&sms), "+14155550123", "twilio-signature"] {
        assert!(!text.contains(plain), "{plain}");
    }
}
