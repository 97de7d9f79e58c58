//! Requests that are not what HTTP or the contract allows, each with its one answer.

use std::collections::BTreeSet;

use onerouter_tests::harness::Harness;
use onerouter_tests::raw::Raw;

const HOST: &str = "Host: a\r\n";
const CLOSE: &str = "Connection: close\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// What is sent, and what must come back before the connection closes.
pub struct Row {
    pub name: &'static str,
    pub request: Vec<u8>,
    pub status: u16,
    pub code: &'static str,
}

fn row(name: &'static str, request: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Row {
    Row {
        name,
        request: request.into(),
        status,
        code,
    }
}

fn get(headers: &str) -> String {
    format!("GET /api/health HTTP/1.1\r\n{HOST}{CLOSE}{headers}\r\n")
}

/// Every row that needs no body.
fn heads() -> Vec<Row> {
    let invalid = |name, request: &str| row(name, request, 400, "invalid_header");
    let invalid_bytes = |name, request: &[u8]| row(name, request, 400, "invalid_header");
    let many: String = (0..101).map(|n| format!("A{n}: b\r\n")).collect();
    let long = |length: usize| "b".repeat(length);
    vec![
        invalid_bytes("bytes that are no text", b"\x00\x01\x02\xff\r\n\r\n"),
        invalid_bytes(
            "a TLS greeting",
            b"\x16\x03\x01\x00\x20\x01\x00\x00\x1c\x03\x03aaaaaaaa\r\n\r\n",
        ),
        invalid("another protocol", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        invalid("no method", " /api/health HTTP/1.1\r\nHost: a\r\n\r\n"),
        invalid(
            "a control character in the method",
            "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        invalid("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n"),
        invalid(
            "a space in the target",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        invalid(
            "a control character in the target",
            "GET /\x07 HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        invalid_bytes(
            "a target that is not UTF-8",
            b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        invalid("no version", "GET /\r\n\r\n"),
        invalid(
            "a version that does not exist",
            "GET / HTTP/3.7\r\nHost: a\r\n\r\n",
        ),
        invalid(
            "a version in small letters",
            "GET / http/1.1\r\nHost: a\r\n\r\n",
        ),
        invalid(
            "another end of the HTTP/2 preface",
            "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        ),
        invalid(
            "no host",
            "GET /api/health HTTP/1.1\r\nConnection: close\r\n\r\n",
        ),
        invalid("two hosts", &get("Host: b\r\n")),
        invalid("a folded header", &get("A: b\r\n c\r\n")),
        invalid("a space before the colon", &get("A : b\r\n")),
        invalid("a header without a colon", &get("nonsense\r\n")),
        invalid("a header without a name", &get(": b\r\n")),
        invalid("a name with a control character", &get("A\x0b: b\r\n")),
        invalid("a value with a null", &get("A: \0\r\n")),
        invalid("a carriage return alone", &get("A: b\rC: d\r\n")),
        row(
            "a hundred and one headers",
            get(&many),
            431,
            "headers_too_large",
        ),
        row(
            "40 KiB of a header",
            get(&format!("A: {}\r\n", long(40_000))),
            431,
            "headers_too_large",
        ),
        row(
            "200 KiB of a header",
            get(&format!("A: {}\r\n", long(200_000))),
            431,
            "headers_too_large",
        ),
        row(
            "50 KiB of headers",
            get(&format!("A: {}\r\n", long(1_000)).repeat(50)),
            431,
            "headers_too_large",
        ),
        row(
            "10 KiB of a URL",
            format!("GET /{} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", long(10_000)),
            414,
            "uri_too_long",
        ),
        row(
            "65 KiB of a URL",
            format!("GET /{} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", long(65_500)),
            414,
            "uri_too_long",
        ),
        row(
            "300 KiB of a URL",
            format!("GET /{} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", long(300_000)),
            414,
            "uri_too_long",
        ),
        row(
            "a path of dots",
            format!("GET /{} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", "../".repeat(1_000)),
            404,
            "not_found",
        ),
        row(
            "an encoded path that is not UTF-8",
            format!("GET /v1/%ff HTTP/1.1\r\n{HOST}{CLOSE}\r\n"),
            404,
            "not_found",
        ),
        row(
            "a tunnel",
            format!("CONNECT a:443 HTTP/1.1\r\n{HOST}{CLOSE}\r\n"),
            404,
            "not_found",
        ),
        row(
            "a method that nobody knows",
            format!("BREW /api/health HTTP/1.1\r\n{HOST}{CLOSE}\r\n"),
            405,
            "method_not_allowed",
        ),
        // Odd, and allowed.
        row(
            "lines that end with a line feed alone",
            get("").replace("\r\n", "\n"),
            200,
            "",
        ),
        row(
            "empty lines in front",
            format!("\r\n\r\n{}", get("")),
            200,
            "",
        ),
        row(
            "a target with a host",
            format!("GET http://b/api/health HTTP/1.1\r\n{HOST}{CLOSE}\r\n"),
            200,
            "",
        ),
        row(
            "an upgrade that nobody offers",
            get("Upgrade: h2c\r\n"),
            200,
            "",
        ),
        row(
            "the version before",
            "GET /api/health HTTP/1.0\r\n\r\n",
            200,
            "",
        ),
    ]
}

/// Every row that has a body, or says so.
fn bodies(token: &str) -> Vec<Row> {
    let post = |headers: &str, body: &str| {
        format!(
            "POST /v1/sms HTTP/1.1\r\n{HOST}Authorization: Bearer {token}\r\n{headers}\r\n{body}"
        )
    };
    let sized = |body: &str| {
        post(
            &format!("{JSON}{CLOSE}Content-Length: {}\r\n", body.len()),
            body,
        )
    };
    let chunked = |body: &str| post(&format!("{JSON}{CLOSE}{CHUNKED}"), body);
    let length = |value: &str| post(&format!("{JSON}Content-Length: {value}\r\n"), "{}");
    let coding = |value: &str| {
        post(
            &format!("{JSON}{CLOSE}Transfer-Encoding: {value}\r\n"),
            "2\r\n{}\r\n0\r\n\r\n",
        )
    };
    let invalid = |name, request: String| row(name, request, 400, "invalid_header");
    let broken = |name, request: String| row(name, request, 400, "invalid_json");
    let mut not_text = post(&format!("{JSON}{CLOSE}Content-Length: 8\r\n"), "").into_bytes();
    not_text.extend(b"{\"a\":\"\xff\"");
    let mut escaped_token = post(CLOSE, "").into_bytes();
    let at = escaped_token
        .windows(7)
        .position(|seven| seven == b"Bearer ")
        .unwrap();
    escaped_token[at + 8] = 0xff;
    let endless = "1;".to_owned() + &"a".repeat(20_000) + "\r\n{\r\n0\r\n\r\n";
    let trailers = "2\r\n{}\r\n0\r\n".to_owned() + &"A: b\r\n".repeat(300) + "\r\n";
    let megabyte = "[".repeat(1 << 20);
    vec![
        invalid(
            "two lengths",
            post(
                &format!("{JSON}Content-Length: 2\r\nContent-Length: 3\r\n"),
                "{}x",
            ),
        ),
        invalid("a list of lengths", length("2, 2")),
        invalid("a negative length", length("-2")),
        invalid("a length with a plus", length("+2")),
        invalid("a length in hexadecimal", length("0x2")),
        invalid(
            "a length beyond counting",
            length("99999999999999999999999"),
        ),
        row(
            "a length at the end of counting",
            length("18446744073709551615"),
            413,
            "body_too_large",
        ),
        row(
            "a length of 100 MB",
            length("100000000"),
            413,
            "body_too_large",
        ),
        invalid("a coding that is not chunked", coding("gzip")),
        invalid("a coding before chunked", coding("gzip, chunked")),
        invalid("a coding after chunked", coding("chunked, identity")),
        invalid("a coding with an odd space", coding("\x0bchunked")),
        invalid(
            "chunked twice",
            coding("chunked\r\nTransfer-Encoding: chunked"),
        ),
        invalid(
            "chunks in the version before",
            post(&format!("{JSON}{CHUNKED}"), "0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"),
        ),
        broken("a negative chunk", chunked("-2\r\n{}\r\n0\r\n\r\n")),
        broken("a chunk with a prefix", chunked("0x2\r\n{}\r\n0\r\n\r\n")),
        broken(
            "a chunk beyond counting",
            chunked("fffffffffffffffff\r\n{}"),
        ),
        broken("a chunk without a size", chunked("\r\n{}\r\n0\r\n\r\n")),
        broken(
            "chunk lines that end with a line feed alone",
            chunked("2\n{}\n0\n\n"),
        ),
        broken(
            "a chunk that is longer than it says",
            chunked("1\r\n{}\r\n0\r\n\r\n"),
        ),
        broken(
            "a line feed in a chunk's extension",
            chunked("2;a\nb\r\n{}\r\n0\r\n\r\n"),
        ),
        broken("an extension without end", chunked(&endless)),
        broken("three hundred trailers", chunked(&trailers)),
        row(
            "a chunk of a megabyte",
            chunked(&format!("100000\r\n{megabyte}\r\n0\r\n\r\n")),
            413,
            "body_too_large",
        ),
        row(
            "a megabyte of chunks",
            chunked(&format!("{}0\r\n\r\n", "1\r\n \r\n".repeat(1 << 20))),
            413,
            "body_too_large",
        ),
        row("a body that is not UTF-8", not_text, 400, "invalid_json"),
        broken("a body that is cut", sized("{\"to\":\"+1")),
        broken("two bodies in one", sized("{}{}")),
        broken("brackets without end", sized(&"[".repeat(200_000))),
        row(
            "a hundred thousand brackets",
            sized(&format!(
                "{{\"to\":{}{}}}",
                "[".repeat(100_000),
                "]".repeat(100_000)
            )),
            422,
            "validation_failed",
        ),
        row(
            "a field twice",
            sized(r#"{"to":"+14155550123","to":"+14155550124","body":"Hi"}"#),
            422,
            "validation_failed",
        ),
        row(
            "a body that is not JSON",
            post(
                &format!("{CLOSE}Content-Type: text/xml\r\nContent-Length: 4\r\n"),
                "<a/>",
            ),
            415,
            "unsupported_media_type",
        ),
        row(
            "an encoded body",
            post(
                &format!("{JSON}{CLOSE}Content-Encoding: gzip\r\nContent-Length: 4\r\n"),
                "\x1f\x08\x08\x08",
            ),
            415,
            "unsupported_media_type",
        ),
        row(
            "two keys",
            post(&format!("{CLOSE}Authorization: Bearer {token}\r\n"), ""),
            400,
            "invalid_header",
        ),
        row(
            "a key that is no text",
            escaped_token,
            400,
            "invalid_header",
        ),
        row(
            "two idempotency keys",
            post(
                &format!("{CLOSE}Idempotency-Key: a\r\nIdempotency-Key: b\r\n"),
                "",
            ),
            400,
            "invalid_header",
        ),
        // Odd, and allowed.
        row(
            "one length twice",
            post(
                &format!("{JSON}{CLOSE}Content-Length: 2\r\nContent-Length: 2\r\n"),
                "{}",
            ),
            422,
            "validation_failed",
        ),
        row(
            "a chunk with an extension",
            chunked("2;a=b\r\n{}\r\n0\r\n\r\n"),
            422,
            "validation_failed",
        ),
        row(
            "a trailer",
            chunked("2\r\n{}\r\n0\r\nA: b\r\n\r\n"),
            422,
            "validation_failed",
        ),
    ]
}

/// The whole table.
pub fn table(token: &str) -> Vec<Row> {
    let mut rows = heads();
    rows.extend(bodies(token));
    rows
}

#[tokio::test]
async fn each_hostile_request_gets_the_one_answer_that_the_contract_names() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let address = host.gateway.address();
    let rows = table(&acme.token);
    assert!(rows.len() >= 75, "{} rows", rows.len());
    let mut ids = BTreeSet::new();
    let mut wrong = Vec::new();
    for row in &rows {
        let answers = Raw::to(address).await.exchange(&row.request).await;
        let got: Vec<_> = answers
            .iter()
            .map(|answer| (answer.status, answer.code()))
            .collect();
        if got != [(row.status, row.code.to_owned())] {
            wrong.push(format!(
                "{}: {got:?}, not {} {}",
                row.name, row.status, row.code
            ));
        }
        for answer in &answers {
            ids.insert(answer.header("x-request-id").unwrap().to_owned());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(ids.len(), rows.len(), "each answer has an id of its own");
    // Nobody was hurt, and nothing was sent.
    assert_eq!(host.client("").get("/api/health").await.status, 200);
    let sent = host.provider_requests("provider=twilio&method=POST").await;
    assert!(sent.is_empty(), "{sent:?}");
}

#[tokio::test]
async fn fields_that_stand_there_twice_are_pointed_at() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let cases: [(&str, &str, &[&str]); 4] = [
        (
            "/v1/sms",
            r#"{"to":"+14155550123","body":"a","body":"b"}"#,
            &["/body"],
        ),
        (
            "/v1/sms",
            r#"{"to":"+14155550123","t\u006f":"+14155550123","body":"a"}"#,
            &["/to"],
        ),
        (
            "/v1/sms",
            r#"{"to":"+14155550123","body":"a","metadata":{"k":"1","k":"2"}}"#,
            &["/metadata/k"],
        ),
        (
            "/v1/email",
            r#"{"to":"a@example.com","subject":"a","text_body":"a","tags":{"a":"1","a":"2"},"subject":"b"}"#,
            &["/subject", "/tags/a"],
        ),
    ];
    for (path, body, pointers) in cases {
        let reply = acme
            .send(reqwest::Method::POST, path, Some(body.into()))
            .await;
        assert_eq!(reply.code(), "validation_failed", "{body}");
        let mut found = reply.pointers();
        found.sort_unstable();
        assert_eq!(found, pointers, "{reply:?}");
        let errors = reply.json["errors"].as_array().unwrap();
        assert!(
            errors.iter().all(|error| error["code"] == "duplicate"),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn the_newer_version_refuses_in_the_same_words() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let http = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let base = host.gateway.url();
    let get = |path: String| http.get(base.clone() + &path);
    let post = |path: &str| http.post(base.clone() + path).bearer_auth(&acme.token);
    let cases = [
        (get(format!("/{}", "a".repeat(10_000))), 414, "uri_too_long"),
        (
            get("/api/health".to_owned()).header("a", "b".repeat(40_000)),
            431,
            "headers_too_large",
        ),
        (
            get("/api/health".to_owned()).header("a", "b".repeat(70 << 10)),
            431,
            "headers_too_large",
        ),
        (
            post("/v1/sms").body(vec![b' '; 1 << 20]),
            413,
            "body_too_large",
        ),
        (
            post("/v1/sms")
                .header("content-type", "application/json")
                .body("{"),
            400,
            "invalid_json",
        ),
        (
            post("/v1/sms")
                .header("content-type", "text/plain")
                .body("{}"),
            415,
            "unsupported_media_type",
        ),
    ];
    for (request, status, code) in cases {
        let response = request.send().await.unwrap();
        assert_eq!(response.version(), reqwest::Version::HTTP_2);
        assert!(
            response.headers().contains_key("x-request-id"),
            "{response:?}"
        );
        let reply = onerouter_tests::harness::reply(response).await;
        assert_eq!((reply.status, reply.code()), (status, code));
    }
}
