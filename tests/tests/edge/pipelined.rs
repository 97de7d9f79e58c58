//! Requests that come before the last one was answered, and requests inside of requests.

use onerouter_tests::harness::{Harness, Setup};
use onerouter_tests::raw::{HEALTH, Raw};

const SMS: &str = r#"{"to":"+14155550123","body":"smuggled"}"#;

async fn quiet() -> Harness {
    Harness::with(Setup {
        unconnected: true,
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn bodies_of_both_kinds_are_answered_in_their_order() {
    let host = quiet().await;
    let acme = host.key("test").await;
    let mut requests = String::new();
    for n in 0..30 {
        requests.push_str(&format!(
            "POST /v1/sms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nX-Request-Id: n-{n}\r\n",
            acme.token
        ));
        match n % 3 {
            0 => requests.push_str("Content-Length: 2\r\n\r\n{}"),
            1 => {
                requests.push_str("Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
            }
            _ => requests.push_str("\r\n"),
        }
    }
    requests.push_str("nonsense\r\n\r\n");
    requests.push_str(HEALTH);
    let answers = Raw::to(host.gateway.address())
        .await
        .exchange(requests.as_bytes())
        .await;
    assert_eq!(answers.len(), 31, "nothing after the nonsense is read");
    for (n, answer) in answers[..30].iter().enumerate() {
        assert_eq!(
            answer.header("x-request-id"),
            Some(format!("n-{n}").as_str())
        );
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (422, "validation_failed")
        );
    }
    assert_eq!(answers[30].code(), "invalid_header");
}

#[tokio::test]
async fn a_client_that_reads_late_finds_every_answer_whole() {
    let host = quiet().await;
    let address = host.gateway.address();
    let mut late = Raw::to(address).await;
    let request = "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n";
    late.say(request.repeat(400) + "nonsense\r\n\r\n").await;
    // The gateway is stuck with it, and serves the others.
    for _ in 0..20 {
        assert_eq!(host.client("").get("/api/health").await.status, 200);
    }
    let answers = late.until_closed().await;
    assert_eq!(answers.len(), 401);
    let (last, documents) = answers.split_last().unwrap();
    let whole = documents
        .iter()
        .map(|answer| answer.body.len())
        .sum::<usize>();
    assert!(whole > 16 << 20, "{whole} bytes fit into the sockets");
    for document in documents {
        assert_eq!(document.status, 200);
        assert_eq!(document.body, documents[0].body);
    }
    assert_eq!((last.status, last.code().as_str()), (400, "invalid_header"));
}

#[tokio::test]
async fn nothing_after_a_refused_body_or_a_farewell_is_taken_for_a_request() {
    let host = quiet().await;
    let acme = host.key("test").await;
    let post = |headers: &str| {
        format!(
            "POST /v1/sms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n{headers}\r\n",
            acme.token
        )
    };
    let cases = [
        (
            HEALTH.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
            200,
        ),
        (HEALTH.replace("HTTP/1.1", "HTTP/1.0"), 200),
        (post("Content-Length: 100000000\r\n"), 413),
        (post("Transfer-Encoding: chunked\r\n") + "zz\r\n", 400),
    ];
    for (first, status) in cases {
        let both = first.clone() + HEALTH;
        let answers = Raw::to(host.gateway.address())
            .await
            .exchange(both.as_bytes())
            .await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [status], "{first}");
    }
}

/// Each of these is one request to one reader and two to another. The second one would send a
/// message.
#[tokio::test]
async fn no_request_is_smuggled_inside_of_another() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let token = &acme.token;
    let inner = format!(
        "POST /v1/sms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{SMS}",
        SMS.len()
    );
    let chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let length = |bytes: usize| format!("Content-Length: {bytes}\r\n");
    let ended = format!("0\r\n\r\n{inner}");
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases = [
        ("length, then chunks", length(ended.len()) + chunked, ended.clone()),
        ("chunks, then length", chunked.to_owned() + &length(ended.len()), ended.clone()),
        ("short length, then chunks", length(4) + chunked, chunk.clone()),
        ("chunks, then short length", chunked.to_owned() + &length(4), chunk.clone()),
        ("two lengths", length(0) + &length(inner.len()), inner.clone()),
        ("two lengths the other way", length(inner.len()) + &length(0), inner.clone()),
        ("an obscured coding", length(inner.len()) + "Transfer-Encoding: xchunked\r\n", inner.clone()),
        ("a coding behind a tab", length(ended.len()) + "Transfer-Encoding:\tchunked\r\n", ended.clone()),
        ("a coding with a space before its colon", length(ended.len()) + "Transfer-Encoding : chunked\r\n", ended.clone()),
        ("a folded coding", length(ended.len()) + "Transfer-Encoding:\r\n chunked\r\n", ended.clone()),
        ("a coding behind a line feed", length(ended.len()) + "A: b\nTransfer-Encoding: chunked\r\n", ended.clone()),
        ("a coding behind a carriage return", length(ended.len()) + "A: b\rTransfer-Encoding: chunked\r\n", ended.clone()),
        ("a coding in quotes", length(ended.len()) + "Transfer-Encoding: \"chunked\"\r\n", ended.clone()),
        ("identity after chunked", length(ended.len()) + chunked + "Transfer-Encoding: identity\r\n", ended.clone()),
        ("a line feed in an extension", chunked.to_owned(), format!("2;\n{{}}\r\n{ended}")),
        ("a chunk that overflows", chunked.to_owned(), format!("10000000000000000\r\n{ended}")),
        ("a negative chunk", chunked.to_owned(), format!("-1\r\n{ended}")),
        ("a size with a space inside", chunked.to_owned(), format!("0 2\r\n{ended}")),
        ("a size with an underscore", chunked.to_owned(), format!("0_2\r\n{ended}")),
        ("a chunk that ends without a line", chunked.to_owned(), format!("2\r\n{{}}{ended}")),
        ("a length that is a chunk", "Content-Length: 0x0\r\n".to_owned(), inner.clone()),
        ("a length with an underscore", "Content-Length: 1_0\r\n".to_owned(), inner.clone()),
        ("an upgrade", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n".to_owned() + &length(inner.len()), inner.clone()),
    ];
    assert_eq!(cases.len(), 23);
    for (name, framing, body) in cases {
        // A path that answers without a key: only the inner one could do anything.
        let request = format!(
            "POST /v1/sms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer unf_test_wrong\r\n{framing}\r\n{body}"
        );
        let with_key = request
            .replace("unf_test_wrong", token)
            .replacen("/v1/sms", "/v1/none", 1);
        for request in [request, with_key] {
            let mut client = Raw::to(host.gateway.address()).await;
            client.say(&request).await;
            let answer = client.answer().await.unwrap();
            assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
            answer.code();
            // Whether the connection lives on or not: what follows is a request of its own.
            let closing = HEALTH.replace(
                "Host: a",
                "Host: a\r\nConnection: close\r\nX-Request-Id: last",
            );
            let answers = client.exchange(closing.as_bytes()).await;
            assert!(answers.len() <= 1, "{name}: {answers:?}");
            if let Some(last) = answers.first() {
                assert_eq!(
                    (last.status, last.header("x-request-id")),
                    (200, Some("last")),
                    "{name}"
                );
            }
        }
    }
    let sent = host.provider_requests("provider=twilio&method=POST").await;
    assert!(sent.is_empty(), "{sent:?}");
    // The inner request is one that would have been served.
    let answer = Raw::to(host.gateway.address())
        .await
        .exchange(
            inner
                .replace("Host: a", "Host: a\r\nConnection: close")
                .as_bytes(),
        )
        .await;
    assert_eq!(answer[0].status, 201, "{answer:?}");
}
