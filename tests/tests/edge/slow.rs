//! Clients that take their time, and clients that are gone.

use std::time::{Duration, Instant};

use onerouter::gateway::Doubles;
use onerouter_tests::raw::{HEALTH, PATIENCE, Raw, gateway, key_request, metric};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Long enough for a request that is sent at once, on a machine that is busy.
const SHORT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn headers_that_trickle_in_are_refused_when_their_time_is_over() {
    let (gateway, _folder) = gateway(Doubles {
        head_timeout: Some(SHORT),
        ..Doubles::default()
    })
    .await;
    let openings: [(&[u8], &[u8]); 4] = [
        (b"", b"G"),
        (b"GET /", b"a"),
        (b"GET /api/health HTTP/1.1\r\nHost: a\r\nA: ", b"b"),
        (b"GET /api/health HTTP/1.1\r\nHost: a\r\n", b"A: b\r\n"),
    ];
    let slow = openings.map(async |(opening, byte)| {
        let mut slow = Raw::to(gateway.address()).await;
        slow.say(opening).await;
        (opening, slow.trickle(byte).await)
    });
    for (opening, answers) in futures_util::future::join_all(slow).await {
        let got: Vec<_> = answers
            .iter()
            .map(|answer| (answer.status, answer.code()))
            .collect();
        assert_eq!(got, [(408, "request_timeout".to_owned())], "{opening:?}");
        assert_eq!(answers[0].header("connection"), Some("close"));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn headers_behind_another_request_are_refused_like_the_first() {
    let (gateway, _folder) = gateway(Doubles {
        head_timeout: Some(SHORT),
        ..Doubles::default()
    })
    .await;
    let body = r#"{"name":"first","environment":"test"}"#;
    let sized = key_request(&format!("Content-Length: {}\r\n", body.len())) + body;
    let chunked = key_request("Transfer-Encoding: chunked\r\n")
        + &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let late = "GET /api/health HTTP/1.1\r\nHost: a\r\nA: ";
    let cases = [
        (late.to_owned(), 408, "request_timeout"),
        (
            late.to_owned() + &"b".repeat(90_000),
            431,
            "headers_too_large",
        ),
        (
            format!("GET /{}", "a".repeat(60_000)) + &"\r\nA: b".repeat(2_000),
            414,
            "uri_too_long",
        ),
    ];
    for first in [HEALTH, &sized, &chunked] {
        for (second, status, code) in &cases {
            let both = first.replace("Expect: 100-continue\r\n", "") + second;
            let answers = Raw::to(gateway.address())
                .await
                .exchange(both.as_bytes())
                .await;
            let [first, second] = answers.as_slice() else {
                panic!("{answers:?}");
            };
            assert!(matches!(first.status, 200 | 201), "{first:?}");
            assert_eq!((second.status, second.code().as_str()), (*status, *code));
        }
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_asks_nothing_is_left_without_a_word() {
    let (gateway, _folder) = gateway(Doubles {
        head_timeout: Some(SHORT),
        ..Doubles::default()
    })
    .await;
    assert!(
        Raw::to(gateway.address())
            .await
            .until_closed()
            .await
            .is_empty()
    );
    // Nor does a client that was served find an answer that it never asked for.
    let mut client = Raw::to(gateway.address()).await;
    client.say(HEALTH).await;
    let answers = client.until_closed().await;
    assert_eq!(
        answers
            .iter()
            .map(|answer| answer.status)
            .collect::<Vec<_>>(),
        [200]
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_trickles_in_is_refused_when_its_time_is_over() {
    let (gateway, _folder) = gateway(Doubles {
        body_timeout: Some(SHORT),
        ..Doubles::default()
    })
    .await;
    let framings = [
        ("Content-Length: 100000\r\n", b" ".as_slice()),
        ("Transfer-Encoding: chunked\r\n", b"1\r\n \r\n"),
    ];
    for (framing, piece) in framings {
        let mut slow = Raw::to(gateway.address()).await;
        slow.say(key_request(framing)).await;
        assert_eq!(slow.answer().await.unwrap().status, 100);
        let answers = slow.trickle(piece).await;
        let got: Vec<_> = answers
            .iter()
            .map(|answer| (answer.status, answer.code()))
            .collect();
        assert_eq!(got, [(408, "request_timeout".to_owned())], "{framing}");
        assert_eq!(answers[0].header("connection"), Some("close"));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn clients_that_are_gone_leave_nothing_behind() {
    let (gateway, _folder) = gateway(Doubles::default()).await;
    let address = gateway.address();
    let body = key_request("Content-Length: 100000\r\n");
    for n in 0..60 {
        let mut client = Raw::to(address).await;
        match n % 6 {
            0 => {}
            1 => client.say("GET /api/hea").await,
            2 => client.say(HEALTH).await,
            3 => client.say(&HEALTH.repeat(50)).await,
            _ => {
                client.say(&body).await;
                assert_eq!(client.answer().await.unwrap().status, 100);
                client.say("{\"name\":").await;
            }
        }
        match n % 3 {
            // With a word, without one, and in the middle of one.
            0 => client.stream.shutdown().await.unwrap(),
            1 => client.stream.set_zero_linger().unwrap(),
            _ => {}
        }
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let held = metric(address, "onerouter_http_body_bytes_held").await;
        // The one that asks.
        let connected = metric(address, "onerouter_http_connections").await;
        if held == 0.0 && connected <= 2.0 {
            break;
        }
        assert!(
            Instant::now() < until,
            "{held} bytes, {connected} connections"
        );
        tokio::task::yield_now().await;
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_client_that_stops_sending_after_its_request_may_still_be_served() {
    let (gateway, _folder) = gateway(Doubles::default()).await;
    let mut client = Raw::to(gateway.address()).await;
    client.say(HEALTH).await;
    let first = client.answer().await.unwrap();
    assert_eq!(first.status, 200);
    client.stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    gateway.shutdown().await;
}
