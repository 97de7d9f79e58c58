//! Ids, paths, methods, sizes.

use onerouter_tests::harness::{Client, Harness, Reply, Setup};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub async fn start() -> Harness {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    Harness::with(setup).await
}

/// Everything that the gateway answers to these bytes.
pub async fn raw(host: &Harness, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(host.gateway.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_request_id(text: &str) -> bool {
    text.len() == 30 && text.starts_with("req_")
}

#[tokio::test]
async fn a_harmless_request_id_is_kept_and_any_other_replaced() {
    let host = start().await;
    let acme = host.key("test").await;
    let id = "x-request-id";
    for kept in ["a", "A-b_9", &"x".repeat(64)] {
        let reply = acme.with(id, kept).get("/v1/sms").await;
        assert_eq!(reply.header(id), Some(kept));
        let refused = acme.with(id, kept).get("/v1/nothing").await;
        assert_eq!(refused.header(id), Some(kept));
        assert_eq!(refused.text("request_id"), kept);
    }
    for replaced in ["", "a b", "a.b", "a\"b", &"x".repeat(65)] {
        let reply = acme.with(id, replaced).get("/v1/sms").await;
        assert!(is_request_id(reply.header(id).unwrap()), "{reply:?}");
    }
}

#[tokio::test]
async fn every_answer_carries_a_request_id_and_says_how_to_treat_it() {
    let host = start().await;
    let (acme, operator) = (host.key("test").await, host.operator());
    let nobody = host.client("nobody");
    let answers: [Reply; 12] = [
        acme.get("/v1/sms").await,
        acme.post("/v1/sms", json!({})).await,
        acme.get("/v1/sms/x").await,
        acme.get("/v1/nothing").await,
        acme.send(Method::PUT, "/v1/sms", None).await,
        acme.get("/").await,
        nobody.get("/v1/sms").await,
        nobody.get("/api/tenants").await,
        operator.get("/api/tenants").await,
        nobody.get("/api/health").await,
        nobody.get("/docs").await,
        nobody.get("/openapi.json").await,
    ];
    for answer in answers {
        assert!(is_request_id(answer.header("x-request-id").unwrap()));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("content-security-policy").is_some());
    }
}

#[tokio::test]
async fn what_is_absent_malformed_or_somebody_elses_is_not_found_alike() {
    let host = Harness::start().await;
    let (acme, bob) = (host.key("test").await, host.tenant("Bob").await);
    let bob = host.key_of(&bob, "test").await;
    let sms = json!({"to": "+14155550123", "body": "Hi"});
    let email = json!({"to": "ada@example.com", "subject": "Hi", "text_body": "Hello"});
    for (path, body, absent) in [
        ("/v1/sms", sms, "sms_01h455vb4pex5vsknk084sn02q"),
        ("/v1/email", email, "em_01h455vb4pex5vsknk084sn02q"),
    ] {
        let sent = acme.post(path, body).await;
        let own = sent.text("id");
        let (_, bare) = own.split_once('_').unwrap();
        let other_kind = format!("con_{bare}");
        let mut answers = Vec::new();
        for id in [
            own,
            absent,
            bare,
            &other_kind,
            "%00",
            "..%2f",
            "a%20b",
            "null",
        ] {
            answers.push(bob.get(&format!("{path}/{id}")).await);
            let cancel = format!("{path}/{id}/cancel");
            answers.push(bob.post(&cancel, json!({})).await);
        }
        let first = answers[0].clone();
        for answer in answers {
            assert_eq!((answer.status, answer.code()), (404, "not_found"));
            assert_eq!(answer.text("detail"), first.text("detail"));
        }
        let not_text = bob.get(&format!("{path}/%FF")).await;
        assert_eq!((not_text.status, not_text.code()), (404, "not_found"));
    }
    let operator = host.operator();
    for path in [
        "/api/api-keys/%FF",
        "/api/services/%FF/%FF?environment=test",
    ] {
        let not_text = operator.delete(path).await;
        assert_eq!((not_text.status, not_text.code()), (404, "not_found"));
    }
}

#[tokio::test]
async fn paths_that_do_not_exist_are_not_found() {
    let host = start().await;
    let acme = host.key("test").await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/sms/",
        "/v1/payment",
        "/V1/sms",
        "/v1//sms",
        "/v2/sms",
        "/api",
        "/v1/sms/a/b/c",
        "/docs/../secrets",
        "/docs/%FF",
        "/.env",
    ] {
        let answer = acme.get(path).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_told_the_others() {
    let host = start().await;
    let (acme, operator) = (host.key("test").await, host.operator());
    let cases = [
        (&acme, Method::PUT, "/v1/sms", "GET,HEAD,POST"),
        (&acme, Method::DELETE, "/v1/email", "GET,HEAD,POST"),
        (&acme, Method::PATCH, "/v1/sms/x", "GET,HEAD"),
        (&acme, Method::GET, "/v1/sms/x/cancel", "POST"),
        (&acme, Method::OPTIONS, "/v1/sms", "GET,HEAD,POST"),
        (
            &acme,
            Method::from_bytes(b"BREW").unwrap(),
            "/v1/sms",
            "GET,HEAD,POST",
        ),
        (&operator, Method::PUT, "/api/services", "GET,HEAD"),
        (&operator, Method::GET, "/api/api-keys/x", "DELETE"),
        (&operator, Method::POST, "/api/health", "GET,HEAD"),
        (&operator, Method::POST, "/openapi.json", "GET,HEAD"),
    ];
    for (client, method, path, allowed) in cases {
        let answer = client.send(method.clone(), path, None).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.code(), "method_not_allowed");
        let told = answer.header("allow").unwrap();
        let mut methods: Vec<&str> = told.split(',').collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{method} {path}");
    }
    let refused = acme.send(Method::PUT, "/v1/sms", None).await;
    assert!(refused.header("ratelimit").is_some());
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let host = start().await;
    let acme = host.key("test").await;
    for path in ["/v1/sms", "/v1/nothing", "/api/health"] {
        let head = acme.send(Method::HEAD, path, None).await;
        let get = acme.get(path).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert_eq!(head.bytes, b"");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let host = start().await;
    let acme = host.key("test").await;
    let cases = [
        ("/v1/sms", 256 << 10),
        ("/v1/email", 10 << 20),
        ("/v1/email/batch", 10 << 20),
    ];
    for (path, most) in cases {
        // Declared, and never sent.
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            acme.token,
            most + 1,
        );
        let answer = raw(&host, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("\"code\":\"body_too_large\""), "{answer}");
        assert!(answer.to_lowercase().contains("\r\nx-request-id: req_"));

        // In a chunk, without a word on how much is to come.
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n",
            acme.token,
            most + 1,
        );
        let chunk = [head.into_bytes(), vec![b' '; most + 1]].concat();
        let answer = raw(&host, &chunk).await;
        assert!(answer.contains("\"code\":\"body_too_large\""), "{answer}");

        // At the limit, it is only not JSON.
        let fits = acme.send(Method::POST, path, Some(vec![b' '; most])).await;
        assert_eq!((fits.status, fits.code()), (400, "invalid_json"));
    }
}

async fn status_and_code(client: &Client, path: &str) -> (u16, String) {
    let answer = client.get(path).await;
    (answer.status, answer.code().to_owned())
}

#[tokio::test]
async fn a_long_url_and_large_headers_are_problems_too() {
    let host = start().await;
    let acme = host.key("test").await;
    for length in [8 << 10, 60_000] {
        let path = format!("/v1/sms?{}", "a".repeat(length));
        let told = status_and_code(&acme, &path).await;
        assert_eq!(told, (414, "uri_too_long".to_owned()), "{length}");
    }
    for length in [33 << 10, 60_000, 100_000, 200_000] {
        let large = acme.with("x-large", &"a".repeat(length));
        let told = status_and_code(&large, "/v1/sms").await;
        assert_eq!(told, (431, "headers_too_large".to_owned()), "{length}");
    }
    let many: String = (0..90).map(|n| format!("x-{n}: a\r\n")).collect();
    let head = format!(
        "GET /v1/sms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{many}\r\n",
        acme.token,
    );
    let answer = raw(&host, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn requests_that_make_no_sense_get_an_answer_and_hurt_nobody() {
    let host = start().await;
    for request in [
        "GET /v1/sms HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /v1/sms HTTP/1.0\r\n\r\n",
        "GET http://elsewhere/v1/sms HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "CONNECT elsewhere:443 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /v1/sms?a=%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET nonsense\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "POST /v1/sms HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "POST /v1/sms HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let answer = raw(&host, request.as_bytes()).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(("400"..="431").contains(&status), "{request:?}: {answer:?}");
    }
    assert_eq!(host.operator().get("/api/health").await.status, 200);
}
