//! Bodies that are too large, alone and together.

use std::net::SocketAddr;
use std::time::Instant;

use onerouter_tests::harness::{Harness, Setup, reply};
use onerouter_tests::raw::{PATIENCE, Raw, metric};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HUGE: usize = 100_000_000;
/// What one e-mail may have, and one SMS, and all bodies of one tenant together.
const EMAIL_BYTES: usize = 10 << 20;
const SMS_BYTES: usize = 256 << 10;
const TENANT_BYTES: usize = 64 << 20;

async fn quiet() -> Harness {
    Harness::with(Setup {
        unconnected: true,
        ..Setup::default()
    })
    .await
}

/// Writes without listening first, as simple clients do.
async fn send_all(client: &mut Raw, piece: &[u8], bytes: usize) {
    let mut left = bytes;
    while left > 0 {
        // The gateway may stop listening long before the end.
        if client.stream.write_all(piece).await.is_err() {
            break;
        }
        left = left.saturating_sub(piece.len());
    }
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused_early_and_the_refusal_can_be_read() {
    let host = quiet().await;
    let acme = host.key("test").await;
    let address = host.gateway.address();
    let megabyte = vec![b' '; 1 << 20];
    let chunk = [b"100000\r\n".as_slice(), &megabyte, b"\r\n"].concat();
    for path in ["/v1/sms", "/v1/email", "/v1/email/batch"] {
        let head = |framing: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n{framing}\r\n\r\n",
                acme.token
            )
        };
        for (framing, piece) in [
            (format!("Content-Length: {HUGE}"), &megabyte),
            ("Transfer-Encoding: chunked".to_owned(), &chunk),
        ] {
            let mut client = Raw::to(address).await;
            client.say(head(&framing)).await;
            send_all(&mut client, piece, HUGE).await;
            let answer = client.answer().await.expect("the refusal was lost");
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (413, "body_too_large")
            );
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(metric(address, "onerouter_http_body_bytes_held").await, 0.0);
        }
        // Who asks first is told before it has sent anything.
        let mut polite = Raw::to(address).await;
        polite
            .say(head(&format!(
                "Content-Length: {HUGE}\r\nExpect: 100-continue"
            )))
            .await;
        assert_eq!(polite.answer().await.unwrap().status, 413);
    }
}

/// A reset would take the refusal away from a client that has not read it yet.
#[tokio::test]
async fn a_refused_client_may_finish_its_sentence() {
    let host = quiet().await;
    let acme = host.key("test").await;
    for token in [acme.token.as_str(), "nobody"] {
        let mut client = Raw::to(host.gateway.address()).await;
        let length = 16 << 20;
        client
            .say(format!(
                "POST /v1/sms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
            ))
            .await;
        client.say(vec![b' '; length]).await;
        let answer = client.answer().await.unwrap();
        assert!(matches!(answer.status, 401 | 413), "{answer:?}");
        let mut more = [0; 1];
        assert_eq!(
            client.stream.read(&mut more).await.unwrap(),
            0,
            "a clean end"
        );
    }
}

#[tokio::test]
async fn a_hundred_megabytes_without_a_key_are_not_read_either() {
    let host = quiet().await;
    let mut stranger = Raw::to(host.gateway.address()).await;
    let head = format!("POST /v1/email HTTP/1.1\r\nHost: a\r\nContent-Length: {HUGE}\r\n\r\n");
    stranger.say(head).await;
    send_all(&mut stranger, &vec![b' '; 1 << 20], HUGE).await;
    let answer = stranger.answer().await.expect("the refusal was lost");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "invalid_api_key")
    );
    assert!(stranger.answer().await.is_none());
}

#[tokio::test]
async fn a_hundred_megabytes_of_the_newer_version_are_refused() {
    let host = quiet().await;
    let acme = host.key("test").await;
    let http = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let request = http
        .post(host.gateway.url() + "/v1/email")
        .bearer_auth(&acme.token)
        .header("content-type", "application/json")
        .body(vec![b' '; HUGE]);
    let answer = reply(request.send().await.unwrap()).await;
    assert_eq!((answer.status, answer.code()), (413, "body_too_large"));
}

fn head(token: &str, path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
}

async fn until_held(address: SocketAddr, bytes: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let held = metric(address, "onerouter_http_body_bytes_held").await;
        if held == bytes as f64 {
            break;
        }
        assert!(Instant::now() < until, "{held} bytes are held, not {bytes}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bodies_that_are_only_announced_keep_nobody_out() {
    let host = quiet().await;
    let acme = host.key("test").await;
    let address = host.gateway.address();
    let announced = [("/v1/email", EMAIL_BYTES, 25), ("/v1/sms", SMS_BYTES, 24)];
    let mut holding = Vec::new();
    for (path, length, count) in announced {
        for _ in 0..count {
            let mut client = Raw::to(address).await;
            client.say(head(&acme.token, path, length)).await;
            // Its body is being read from here on.
            assert_eq!(client.answer().await.unwrap().status, 100);
            holding.push(client);
        }
    }
    let sms = json!({"to": "+14155550123", "body": "Hi"});
    let other = host.tenant("other").await;
    let others = host.key_of(&other, "test").await;
    for key in [&acme, &others] {
        assert_eq!(
            key.post("/v1/sms", sms.clone()).await.code(),
            "no_connection"
        );
    }
    assert_eq!(metric(address, "onerouter_http_body_bytes_held").await, 0.0);
}

#[tokio::test]
async fn bodies_of_one_tenant_are_bounded_and_those_of_others_still_pass() {
    let host = quiet().await;
    let acme = host.key("test").await;
    let other = host.tenant("other").await;
    let others = host.key_of(&other, "test").await;
    let address = host.gateway.address();
    let body = vec![b' '; EMAIL_BYTES];
    let (most, last) = body.split_at(EMAIL_BYTES - 1);
    let mut holding = Vec::new();
    for _ in 0..TENANT_BYTES / EMAIL_BYTES {
        let mut client = Raw::to(address).await;
        client
            .say(head(&acme.token, "/v1/email", EMAIL_BYTES))
            .await;
        assert_eq!(client.answer().await.unwrap().status, 100);
        client.say(most).await;
        holding.push(client);
    }
    until_held(address, holding.len() * EMAIL_BYTES).await;

    let mut one_more = Raw::to(address).await;
    one_more
        .say(head(&acme.token, "/v1/email", EMAIL_BYTES))
        .await;
    assert_eq!(one_more.answer().await.unwrap().status, 100);
    send_all(&mut one_more, most, most.len()).await;
    let refused = one_more.answer().await.expect("the refusal was lost");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "overloaded")
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("connection"), Some("close"));
    assert_eq!(refused.json()["retryable"], true);

    // Small ones still fit, others have shares of their own, and operators come first.
    let sms = json!({"to": "+14155550123", "body": "Hi"});
    assert_eq!(acme.post("/v1/sms", sms).await.code(), "no_connection");
    let path = "/v1/email";
    let answer = others
        .send(reqwest::Method::POST, path, Some(body.clone()))
        .await;
    assert_eq!(answer.code(), "invalid_json");
    host.key_of(&other, "test").await;

    // One gives way, and the next one is read.
    let mut first = holding.swap_remove(0);
    first.say(last).await;
    assert_eq!(first.answer().await.unwrap().code(), "invalid_json");
    let answer = acme
        .send(reqwest::Method::POST, path, Some(body.clone()))
        .await;
    assert_eq!(answer.code(), "invalid_json");

    // What was held is given back, however it ends.
    drop(holding);
    until_held(address, 0).await;
}
