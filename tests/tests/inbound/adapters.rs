//! Webhooks that only their adapter can check: what counts is what the host has said yes to.

use onerouter_tests::harness::{Client, Harness, Setup};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};

use crate::post::{self, Post, hex, mac_sha256};
use crate::{PUBLIC_URL, connection};

scenarios!(
    an_adapter_checks_what_the_host_cannot,
    an_adapter_that_does_not_check_is_not_believed,
    without_its_secret_a_connection_believes_nobody,
);

const SECRET: &str = "bell-secret-0001";

async fn host(ground: &Ground) -> (Harness, Client) {
    let setup = Setup {
        public_url: Some(PUBLIC_URL.to_owned()),
        fixtures: vec!["acme-bell"],
        ..Setup::default()
    };
    let host = ground.host_with(setup).await;
    let acme = host.key("test").await;
    (host, acme)
}

async fn connect(host: &Harness, more: Value) {
    let mut credentials = json!({"token": "bell-token-0001"});
    if let (Some(all), Some(more)) = (credentials.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    let bell = ("sms", "acme-bell");
    post::connect(&host.operator(), bell, credentials, json!({})).await;
}

fn text(id: &str) -> Value {
    json!({"id": id, "from": "+14155550188", "to": "+12025550142", "text": "Ring"})
}

async fn bell(host: &Harness, secret: &str, text: &Value) -> Post {
    let (time, body) = ("1764000000", text.to_string());
    let message = [time.as_bytes(), b":", body.as_bytes()];
    let tag = hex(&mac_sha256(secret.as_bytes(), &message));
    Post {
        path: format!(
            "/webhooks/acme-bell/{}",
            connection(host, "acme-bell").await
        ),
        headers: [
            ("content-type", post::JSON),
            ("x-bell-time", time),
            ("x-bell-tag", tag.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        body: body.into_bytes(),
    }
}

async fn assert_refused(host: &Harness, post: &Post) {
    let refused = post.send(host).await;
    assert_eq!(
        (refused.status, refused.code()),
        (401, "invalid_signature"),
        "{post:?}"
    );
}

/// The texts that have come in.
async fn received(acme: &Client) -> Vec<Value> {
    let listed = acme.get("/v1/sms?status=received").await;
    listed.json["data"].as_array().unwrap().clone()
}

async fn an_adapter_checks_what_the_host_cannot(ground: Ground) {
    let (host, acme) = host(&ground).await;
    connect(&host, json!({"bell_secret": SECRET})).await;
    let genuine = bell(&host, SECRET, &text("t1")).await;
    let mut forged = vec![bell(&host, "bell-secret-0002", &text("t1")).await];
    for at in [0, genuine.body.len() / 2, genuine.body.len() - 1] {
        let mut altered = genuine.clone();
        altered.body[at] ^= 1;
        forged.push(altered);
    }
    for name in ["x-bell-time", "x-bell-tag"] {
        let mut without = genuine.clone();
        without.headers.retain(|(known, _)| known != name);
        forged.push(without);
        for value in ["", "1764000001", "00", &"0".repeat(64), "\u{e9}"] {
            let mut other = genuine.clone();
            other.set(name, value);
            forged.push(other);
        }
    }
    for forged in &forged {
        assert_refused(&host, forged).await;
    }
    assert_eq!(ground.count("received_webhooks").await, 0);
    genuine.taken(&host).await;
    genuine.taken(&host).await;
    let texts = received(&acme).await;
    let [only] = texts.as_slice() else {
        panic!("{texts:?}");
    };
    assert_eq!(only["provider"], "acme-bell");
    assert_eq!(only["body"], "Ring");
    assert_eq!(ground.count("received_webhooks").await, 1);
}

async fn an_adapter_that_does_not_check_is_not_believed(ground: Ground) {
    let (host, acme) = host(&ground).await;
    connect(&host, json!({"bell_secret": SECRET})).await;
    let careless = |check: &str| {
        let mut text = text(&format!("t-{check}"));
        text["check"] = json!(check);
        text
    };
    // It asks nobody, signed or not; it tells what it was told is not signed.
    for (secret, check) in [
        (SECRET, "none"),
        ("another-1", "none"),
        ("another-1", "ignored"),
    ] {
        let told = bell(&host, secret, &careless(check)).await;
        assert_refused(&host, &told).await;
    }
    assert!(received(&acme).await.is_empty());
    assert_eq!(ground.count("received_webhooks").await, 0);
    assert_eq!(ground.count("webhook_keys").await, 0);
    // It does not listen, but the host has said yes.
    let told = bell(&host, SECRET, &careless("ignored")).await;
    told.taken(&host).await;
    assert_eq!(received(&acme).await.len(), 1);
}

async fn without_its_secret_a_connection_believes_nobody(ground: Ground) {
    let (host, acme) = host(&ground).await;
    connect(&host, json!({})).await;
    for secret in ["", SECRET] {
        let told = bell(&host, secret, &text("t1")).await;
        assert_refused(&host, &told).await;
    }
    connect(&host, json!({"bell_secret": SECRET})).await;
    bell(&host, SECRET, &text("t1")).await.taken(&host).await;
    assert_eq!(received(&acme).await.len(), 1);
}
