//! What is not a provider's webhook is refused, with its reason, and leaves nothing behind.

use chrono::TimeDelta;
use onerouter_tests::harness::{Harness, Setup};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, advance};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use crate::post::{self, Post, RESEND_SECRET};
use crate::{PUBLIC_URL, connection, host};

scenarios!(
    what_is_not_signed_is_refused_and_leaves_nothing,
    a_time_that_is_not_now_is_refused,
    nobody_else_has_this_webhook,
    too_many_at_once_are_kept_and_acted_on_later,
);

/// One number from the database.
pub(crate) async fn number(ground: &Ground, sql: &str) -> i64 {
    let sql = AssertSqlSafe(sql.to_owned());
    if ground.url().starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(ground.url()).await.unwrap();
        sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    } else {
        let mut connection = PgConnection::connect(ground.owner_url()).await.unwrap();
        sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }
}

/// A column of bytes.
pub(crate) async fn bytes(ground: &Ground, sql: &str) -> Vec<Vec<u8>> {
    let sql = AssertSqlSafe(sql.to_owned());
    if ground.url().starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(ground.url()).await.unwrap();
        sqlx::query_scalar(sql)
            .fetch_all(&mut connection)
            .await
            .unwrap()
    } else {
        let mut connection = PgConnection::connect(ground.owner_url()).await.unwrap();
        sqlx::query_scalar(sql)
            .fetch_all(&mut connection)
            .await
            .unwrap()
    }
}

/// Webhooks that wait to be acted on.
pub(crate) async fn webhooks_due(ground: &Ground) -> i64 {
    number(
        ground,
        "select count(*) from due_work where kind = 'webhook'",
    )
    .await
}

async fn refused(host: &Harness, post: &Post) -> (u16, String) {
    let answer = post.send(host).await;
    (answer.status, answer.code().to_owned())
}

const UNSIGNED: (u16, &str) = (401, "invalid_signature");

async fn what_is_not_signed_is_refused_and_leaves_nothing(ground: Ground) {
    let (host, _acme) = host(&ground).await;
    post::connect_resend(&host, &[("webhook_secret", RESEND_SECRET)]).await;
    post::connect_razorpay(&host).await;
    let sid = "SM0123456789abcdef0123456789abcdef";
    let twilio = post::twilio_status(&host, sid, "?attempt=att_1", "sent").await;
    let event = json!({"type": "email.sent", "data": {"email_id": "x"}});
    let resend = post::resend(&host, "msg_1", &event).await;
    let razorpay = post::razorpay(&host, "evt_1", &json!({"event": "payment.captured"})).await;
    for genuine in [&twilio, &resend, &razorpay] {
        let mut forged = Vec::new();
        // One bit of the body, at its start, in the middle, and at its end.
        for at in [0, genuine.body.len() / 2, genuine.body.len() - 1] {
            let mut altered = (*genuine).clone();
            altered.body[at] ^= 1;
            forged.push(altered);
        }
        for (name, _) in &genuine.headers {
            if name == "content-type" || name == "x-razorpay-event-id" {
                continue;
            }
            let mut without = (*genuine).clone();
            without.headers.retain(|(known, _)| known != name);
            forged.push(without);
            for value in ["", "x", "v1,", "\u{e9}", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
                let mut other = (*genuine).clone();
                other.set(name, value);
                forged.push(other);
            }
            let mut twice = (*genuine).clone();
            twice.headers.push((name.clone(), "x".to_owned()));
            forged.push(twice);
        }
        for forged in forged {
            let (status, code) = refused(&host, &forged).await;
            assert_eq!((status, code.as_str()), UNSIGNED, "{forged:?}");
        }
    }
    // The signature is of the whole address.
    for query in ["", "?attempt=att_2", "?attempt=att_1&x=1"] {
        let mut elsewhere = twilio.clone();
        elsewhere.path = format!("{}{query}", twilio.path.split('?').next().unwrap());
        let (status, code) = refused(&host, &elsewhere).await;
        assert_eq!((status, code.as_str()), UNSIGNED, "{query}");
    }
    for (name, value, expected) in [
        ("content-type", "text/xml", (415, "unsupported_media_type")),
        ("content-encoding", "gzip", (415, "unsupported_media_type")),
        ("content-encoding", "br", (415, "unsupported_media_type")),
    ] {
        let mut other = resend.clone();
        other.set(name, value);
        let (status, code) = refused(&host, &other).await;
        assert_eq!((status, code.as_str()), expected, "{name}: {value}");
    }
    let mut large = resend.clone();
    large.body = vec![b' '; 10 << 20];
    assert_eq!(refused(&host, &large).await.0, 413);
    assert_eq!(ground.count("received_webhooks").await, 0);
    assert_eq!(ground.count("webhook_keys").await, 0);
    assert_eq!(webhooks_due(&ground).await, 0);
    // And the genuine ones are taken.
    for genuine in [&twilio, &resend, &razorpay] {
        genuine.taken(&host).await;
    }
    assert_eq!(ground.count("received_webhooks").await, 3);
}

async fn a_time_that_is_not_now_is_refused(ground: Ground) {
    let (host, _acme) = host(&ground).await;
    post::connect_resend(&host, &[("webhook_secret", RESEND_SECRET)]).await;
    let event = json!({"type": "email.sent", "data": {"email_id": "x"}});
    let now = host.clock.now().timestamp();
    for seconds in [now - 310, now + 310, 0, now * 1_000] {
        let late = post::resend_at(&host, ("msg_1", seconds, RESEND_SECRET), &event).await;
        let (status, code) = refused(&host, &late).await;
        assert_eq!((status, code.as_str()), UNSIGNED, "{seconds}");
    }
    assert_eq!(ground.count("received_webhooks").await, 0);
}

async fn too_many_at_once_are_kept_and_acted_on_later(ground: Ground) {
    let setup = Setup {
        public_url: Some(PUBLIC_URL.to_owned()),
        webhook_burst: std::num::NonZeroU32::new(1),
        ..Setup::default()
    };
    let host = ground.host_with(setup).await;
    let acme = host.key("test").await;
    let mut paths = Vec::new();
    for _ in 0..4 {
        let sent = acme
            .post("/v1/sms", json!({"to": "+14155550123", "body": "Hi"}))
            .await;
        let sid = sent.text("provider_message_id");
        let genuine = post::twilio_status(&host, sid, "", "delivered").await;
        genuine.taken(&host).await;
        // A repetition takes nobody's turn.
        genuine.taken(&host).await;
        paths.push(format!("/v1/sms/{}?refresh=false", sent.text("id")));
    }
    assert_eq!(ground.count("received_webhooks").await, 4);
    assert!(webhooks_due(&ground).await > 0);
    advance(&host, TimeDelta::minutes(1));
    host.sweep().await;
    assert_eq!(webhooks_due(&ground).await, 0);
    for path in paths {
        assert_eq!(acme.get(&path).await.text("status"), "delivered");
    }
    let metrics = host.client("").get("/metrics").await;
    let metrics = String::from_utf8(metrics.bytes).unwrap();
    for result in ["accepted", "repeated", "deferred"] {
        let line =
            format!("onerouter_webhooks_received_total{{provider=\"twilio\",result=\"{result}\"}}");
        assert!(metrics.contains(&line), "{line}");
    }
}

async fn nobody_else_has_this_webhook(ground: Ground) {
    let (host, _acme) = host(&ground).await;
    let own = connection(&host, "twilio").await;
    for path in [
        format!("/webhooks/razorpay/{own}"),
        format!("/webhooks/nobody/{own}"),
        "/webhooks/twilio/con_01h455vb4pex5vsknk084sn02q".to_owned(),
        "/webhooks/twilio/con_1".to_owned(),
        "/webhooks/twilio/%ff".to_owned(),
    ] {
        let stray = Post {
            path: path.clone(),
            headers: vec![("content-type".to_owned(), post::JSON.to_owned())],
            body: b"{}".to_vec(),
        };
        let (status, code) = refused(&host, &stray).await;
        assert_eq!((status, code.as_str()), (404, "not_found"), "{path}");
    }
}
