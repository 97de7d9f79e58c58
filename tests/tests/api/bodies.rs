//! Bodies: JSON and nothing else, an object, each name once.

use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::{Client, Harness, Setup, reply};
use onerouter_tests::table::Table;
use reqwest::Method;
use serde_json::json;

use crate::requests::start;

async fn post(client: &Client, path: &str, body: &[u8]) -> onerouter_tests::harness::Reply {
    client.send(Method::POST, path, Some(body.to_vec())).await
}

#[tokio::test]
async fn what_is_not_json_is_told_so() {
    let host = start().await;
    let acme = host.key("test").await;
    let bodies: [&[u8]; 16] = [
        b"{",
        b" ",
        b"{}{}",
        b"{\"to\": }",
        b"{'to': 1}",
        b"{to: 1}",
        b"{\"a\": 1,}",
        b"{\"a\": 01}",
        b"{\"a\": NaN}",
        b"{\"a\": \"\n\"}",
        b"{\"a\": \"\xff\"}",
        b"{\"\xc3\x28\": 1}",
        b"{\"\\ud800\": 1}",
        b"\xef\xbb\xbf{}",
        b"to=%2B14155550123&body=Hi",
        b"\xff\xfe{\0}\0",
    ];
    let mut table = Table::default();
    for body in bodies {
        let answer = post(&acme, "/v1/sms", body).await;
        let mut row = table.row(format!("{:?}", String::from_utf8_lossy(body)));
        row.equal("status", &answer.status, &400);
        row.equal("code", &answer.json["code"], &json!("invalid_json"));
    }
    table.end(bodies.len());
}

#[tokio::test]
async fn json_that_is_no_object_is_a_mistake_of_the_whole_body() {
    let host = start().await;
    let acme = host.key("test").await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["[]", "[{}]", "null", "true", "\"x\"", "5", "1e999", &deep] {
        let answer = post(&acme, "/v1/sms", body.as_bytes()).await;
        assert_eq!(answer.code(), "validation_failed", "{answer:?}");
        assert_eq!(answer.pointers(), [""]);
    }
}

#[tokio::test]
async fn a_name_that_stands_there_twice_is_refused() {
    let host = start().await;
    let acme = host.key("test").await;
    for (body, pointer) in [
        (
            r#"{"to": "+14155550123", "body": "a", "body": "b"}"#,
            "/body",
        ),
        (
            r#"{"to": "+14155550123", "body": "a", "bod\u0079": "b"}"#,
            "/body",
        ),
        (
            r#"{"to": "+14155550123", "body": "a", "metadata": {"a": "1", "a": "2"}}"#,
            "/metadata/a",
        ),
    ] {
        let answer = post(&acme, "/v1/sms", body.as_bytes()).await;
        assert_eq!(answer.pointers(), [pointer], "{answer:?}");
        assert_eq!(answer.json["errors"][0]["code"], "duplicate");
    }
}

#[tokio::test]
async fn what_unicode_does_not_allow_is_refused_where_it_stands() {
    let host = start().await;
    let acme = host.key("test").await;
    for (body, pointer) in [
        (r#"{"to": "+14155550123", "body": "\ud800"}"#, "/body"),
        (r#"{"to": "+14155550123", "body": "\udc00\ud800"}"#, "/body"),
        (r#"{"to": "+14155550123", "body": "a\u0000"}"#, "/body"),
        (
            r#"{"to": "+14155550123", "body": "a", "metadata": {"a": "\ud83d"}}"#,
            "/metadata/a",
        ),
        (
            r#"{"to": "+14155550123", "body": "a", "metadata": {"\ud83d": "a"}}"#,
            "/metadata",
        ),
        (
            r#"{"to": "+14155550123", "body": "a", "a\u0000": 1}"#,
            "/a\u{0}",
        ),
    ] {
        let answer = post(&acme, "/v1/sms", body.as_bytes()).await;
        assert_eq!(answer.pointers(), [pointer], "{answer:?}");
    }
}

#[tokio::test]
async fn deep_and_huge_values_are_refused_and_not_followed() {
    let host = start().await;
    let (acme, operator) = (host.key("test").await, host.operator());
    let deep =
        |left: &str, right: &str| format!("{}1{}", left.repeat(20_000), right.repeat(20_000));
    for value in [
        deep("[", "]"),
        deep("{\"a\":", "}"),
        "9".repeat(100_000),
        "1e400".to_owned(),
    ] {
        for field in ["to", "metadata", "media_urls", "extra"] {
            let body = format!(r#"{{"to": "+14155550123", "body": "a", "{field}": {value}}}"#);
            let answer = post(&acme, "/v1/sms", body.as_bytes()).await;
            assert_eq!(answer.code(), "validation_failed", "{field}");
        }
        let body = format!(
            r#"{{"name": "a", "environment": "test", "rate_limit": {{"burst": {value}, "per_second": 1}}}}"#
        );
        let answer = post(&operator, "/api/api-keys", body.as_bytes()).await;
        assert_eq!(answer.pointers(), ["/rate_limit/burst"]);
    }
}

#[tokio::test]
async fn only_json_that_is_not_encoded_is_taken() {
    let host = start().await;
    let acme = host.key("test").await;
    let url = host.gateway.url() + "/v1/sms";
    let send = |headers: &'static [(&'static str, &'static str)], body: &'static str| {
        let mut request = host.http.post(&url).bearer_auth(&acme.token).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        async { reply(request.send().await.unwrap()).await }
    };
    let form = send(
        &[("content-type", "application/x-www-form-urlencoded")],
        "to=1",
    )
    .await;
    assert_eq!((form.status, form.code()), (415, "unsupported_media_type"));
    let cases: [&'static [(&'static str, &'static str)]; 4] = [
        &[("content-type", "text/plain")],
        &[("content-type", "application/jsonp")],
        &[("content-type", "")],
        &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ],
    ];
    for headers in cases {
        assert_eq!(send(headers, "{}").await.status, 415, "{headers:?}");
    }
    let cases: [&'static [(&'static str, &'static str)]; 4] = [
        &[],
        &[("content-type", "application/json")],
        &[("content-type", "Application/JSON; charset=utf-8")],
        &[("content-type", "application/vnd.shop+json")],
    ];
    for headers in cases {
        assert_eq!(send(headers, "{}").await.status, 422, "{headers:?}");
    }
}

#[tokio::test]
async fn where_no_field_is_required_an_empty_body_will_do() {
    let host = Harness::start().await;
    let (acme, operator) = (host.key("test").await, host.operator());
    let tomorrow = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let at =
        json!({"to": "ada@example.com", "subject": "Hi", "text_body": "Hi", "send_at": tomorrow});
    for body in [None, Some(b"".to_vec()), Some(b"{}".to_vec())] {
        let sent = acme.post("/v1/email", at.clone()).await;
        assert_eq!(sent.text("status"), "scheduled", "{sent:?}");
        let path = format!("/v1/email/{}/cancel", sent.text("id"));
        let canceled = acme.send(Method::POST, &path, body.clone()).await;
        assert_eq!(canceled.text("status"), "canceled", "{canceled:?}");

        let key = operator
            .post("/api/api-keys", json!({"name": "k", "environment": "test"}))
            .await;
        let path = format!("/api/api-keys/{}/roll", key.text("id"));
        let rolled = operator.send(Method::POST, &path, body).await;
        assert_eq!(rolled.status, 201, "{rolled:?}");
    }
    // And where one is, the missing ones are named.
    let empty = acme.send(Method::POST, "/v1/sms", None).await;
    assert_eq!(empty.pointers(), ["/to", "/body"]);
}

/// What a client could send to break something, in every place that takes a text.
#[tokio::test]
async fn whatever_is_sent_is_never_a_fault_of_ours() {
    let postgres = TestDatabase::postgres().await;
    let url = postgres.as_ref().map(|database| database.url().to_owned());
    for database_url in [None, url] {
        let setup = Setup {
            database_url,
            ..Setup::default()
        };
        let host = Harness::with(setup).await;
        let (acme, operator) = (host.key("test").await, host.operator());
        for odd in [
            "'; drop table objects; --",
            "\u{0}",
            "\u{1f}",
            "\u{fffd}",
            "🙂",
            "\u{202e}",
            "%s{}$1",
            "\\",
            "</script>",
        ] {
            let email = json!({
                "to": "ada@example.com", "subject": odd, "html_body": odd, "text_body": odd,
                "headers": {"X-A": odd}, "tags": {odd: odd}, "metadata": {"a": odd},
                "attachments": [{"filename": odd, "content": "aGk="}],
            });
            let query: String = url::form_urlencoded::byte_serialize(odd.as_bytes()).collect();
            let answers = [
                acme.post("/v1/sms", json!({"to": odd, "body": odd})).await,
                acme.post("/v1/sms", json!({"to": "+14155550123", "body": odd, "metadata": {"a": odd}})).await,
                acme.post("/v1/email", email.clone()).await,
                acme.post("/v1/email/batch", json!({"emails": [email]})).await,
                acme.get(&format!("/v1/sms/{query}")).await,
                acme.get(&format!("/v1/sms?metadata[a]={query}")).await,
                acme.get(&format!("/v1/sms?metadata[{query}]=a")).await,
                acme.get(&format!("/v1/email?status={query}&provider={query}&cursor={query}")).await,
                operator.post("/api/tenants", json!({"name": odd})).await,
                operator.post("/api/api-keys", json!({"name": odd, "environment": "test"})).await,
                operator.post("/api/services/sms/twilio/connect", json!({"environment": "test", "credentials": {odd: odd}, "settings": {odd: odd}})).await,
                operator.delete(&format!("/api/services/{query}/{query}?environment=test")).await,
            ];
            for answer in answers {
                assert!(answer.status < 500, "{odd:?}: {answer:?}");
            }
        }
        host.stop().await;
    }
}

#[tokio::test]
async fn a_flood_of_mistakes_is_cut_short() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let names: Vec<String> = (0..200_000).map(|n| format!("\"a{n}\":1")).collect();
    let flood = format!("{{{}}}", names.join(","));
    let bodies = [
        flood.clone(),
        format!("{{\"attachments\":[{flood}]}}"),
        format!("{{\"headers\":{flood}}}"),
    ];
    for body in bodies {
        let refused = acme
            .send(Method::POST, "/v1/email", Some(body.into_bytes()))
            .await;
        assert_eq!(refused.code(), "validation_failed");
        assert!(
            refused.pointers().len() <= 100,
            "{}",
            refused.pointers().len()
        );
    }
}
