//! What a client may take of the gateway's time, and how the gateway ends.

use std::time::{Duration, Instant};

use onerouter::config::Config;
use onerouter::gateway::{Doubles, Gateway};
use onerouter_tests::harness::{Harness, Setup};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Nothing here takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that gives its clients this long for their headers.
async fn impatient(head_timeout: Duration) -> (Gateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let doubles = Doubles {
        head_timeout: Some(head_timeout),
        without_background: true,
        ..Doubles::default()
    };
    let config = Config::in_folder(folder.path());
    (Gateway::start(&config, doubles).await.unwrap(), folder)
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end too.
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ended = read.expect("the connection is still open");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_headers_is_cut_off() {
    let (gateway, _folder) = impatient(Duration::from_millis(300)).await;
    let openings: [&[u8]; 6] = [
        b"",
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"G",
        b"GET /api/health HTTP/1.1\r\nHost: a\r\n",
        b"GET /api/health HTTP/1.1\r\nHost: a\r\nX-A: ",
    ];
    for opening in openings {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(opening).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{opening:?}: {answer}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_ordinary_client_is_given_ten_seconds() {
    let host = Harness::with(Setup {
        unconnected: true,
        ..Setup::default()
    })
    .await;
    let mut stream = TcpStream::connect(host.gateway.address()).await.unwrap();
    stream
        .write_all(b"GET /api/health HTTP/1.1\r\nHo")
        .await
        .unwrap();
    // Others are served meanwhile.
    assert_eq!(host.client("").get("/api/health").await.status, 200);
    stream
        .write_all(b"st: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(until_closed(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_stops_sending_still_gets_its_answer() {
    let host = Harness::with(Setup {
        unconnected: true,
        ..Setup::default()
    })
    .await;
    let mut stream = TcpStream::connect(host.gateway.address()).await.unwrap();
    stream
        .write_all(b"GET /api/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 200"),
        "{answer}"
    );
    // A body that breaks off is nobody's fault but the client's.
    let acme = host.key("test").await;
    let mut stream = TcpStream::connect(host.gateway.address()).await.unwrap();
    let head = format!(
        "POST /v1/sms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\n{{",
        acme.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    assert_eq!(host.client("").get("/api/health").await.status, 200);
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    let host = Harness::with(Setup {
        unconnected: true,
        ..Setup::default()
    })
    .await;
    let mut stream = TcpStream::connect(host.gateway.address()).await.unwrap();
    let mut requests = String::new();
    for n in 0..20 {
        let last = if n == 19 { "Connection: close\r\n" } else { "" };
        requests.push_str(&format!(
            "GET /v1/n{n} HTTP/1.1\r\nHost: a\r\nX-Request-Id: id-{n}-\r\n{last}\r\n"
        ));
    }
    stream.write_all(requests.as_bytes()).await.unwrap();
    let answers = until_closed(&mut stream).await;
    let mut rest = answers.as_str();
    for n in 0..20 {
        let id = format!("x-request-id: id-{n}-");
        rest = rest
            .split_once(&id)
            .unwrap_or_else(|| panic!("{id} in {answers}"))
            .1;
    }
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 20);
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_in_flight_and_takes_nothing_new() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    host.fault(json!({"fault": "latency_after", "delay_ms": 1_500, "provider": "twilio", "method": "POST"})).await;
    let caller = acme.clone();
    let mut in_flight = JoinSet::new();
    in_flight.spawn(async move {
        caller
            .post("/v1/sms", json!({"to": "+14155550123", "body": "Hi"}))
            .await
    });
    // It has reached the provider; the answer is still to come.
    let until = Instant::now() + PATIENCE;
    while host
        .provider_requests("provider=twilio&method=POST")
        .await
        .is_empty()
    {
        assert!(Instant::now() < until, "the provider was never asked");
        tokio::task::yield_now().await;
    }
    let idle = TcpStream::connect(host.gateway.address()).await.unwrap();
    let address = host.gateway.address();
    let Harness {
        gateway, sandbox, ..
    } = host;
    let begun = Instant::now();
    let mut shutdown = JoinSet::new();
    shutdown.spawn(gateway.shutdown());
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < until, "it still takes connections");
        tokio::task::yield_now().await;
    }
    assert!(shutdown.try_join_next().is_none(), "a request is in flight");
    let answer = in_flight.join_next().await.unwrap().unwrap();
    assert_eq!((answer.status, answer.text("status")), (201, "queued"));
    shutdown.join_next().await.unwrap().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "an idle connection holds it up"
    );
    drop(idle);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_gateway_that_cannot_start_whole_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut config = Config::in_folder(folder.path());
    config.bind = free;
    config.metrics_bind = onerouter::config::MetricsBind::Own(taken.local_addr().unwrap());
    let refused = Gateway::start(&config, Doubles::default())
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains(&taken.local_addr().unwrap().to_string()),
        "{refused}"
    );
    assert!(TcpStream::connect(free).await.is_err());
}
