//! Problem documents: one of each code that a caller can meet.

use insta::assert_json_snapshot;
use onerouter_tests::harness::{Harness, Reply, Setup};
use reqwest::Method;
use serde_json::{Value, json};

fn sms(to: &str) -> Value {
    json!({"to": to, "body": "Hi"})
}

/// Compares with the kept document, after what every document must be.
fn is(name: &str, problem: &Reply) {
    assert_eq!(problem.code(), name, "{problem:?}");
    assert_eq!(problem.json["status"], problem.status);
    assert_eq!(
        problem.header("x-request-id"),
        Some(problem.text("request_id"))
    );
    assert_eq!(
        problem.text("type"),
        format!("https://onerouter.dev/docs/errors#{name}")
    );
    for member in problem.json.as_object().unwrap().keys() {
        let known = [
            "type",
            "title",
            "status",
            "detail",
            "code",
            "request_id",
            "retryable",
            "errors",
            "id",
            "provider",
        ];
        assert!(known.contains(&member.as_str()), "{member}");
    }
    insta::with_settings!({ snapshot_suffix => name }, {
        assert_json_snapshot!("problem", problem.json, {
            ".request_id" => insta::dynamic_redaction(|value, _| has_prefix(&value, "req_")),
            ".id" => insta::dynamic_redaction(|value, _| has_prefix(&value, "sms_")),
        });
    });
}

fn has_prefix(value: &insta::internals::Content, prefix: &'static str) -> String {
    let text = value.as_str().unwrap();
    assert!(
        text.starts_with(prefix) && text.len() == prefix.len() + 26,
        "{text}"
    );
    format!("[{prefix}…]")
}

#[tokio::test]
async fn problems_of_the_request_itself() {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    let host = Harness::with(setup).await;
    let acme = host.key("test").await;
    let operator = host.operator();
    let post = |body: &'static [u8]| acme.send(Method::POST, "/v1/sms", Some(body.to_vec()));
    is("invalid_json", &post(b"{").await);
    is(
        "invalid_header",
        &acme
            .with("Idempotency-Key", "")
            .post("/v1/sms", json!({}))
            .await,
    );
    is(
        "invalid_api_key",
        &host.client("unf_test_x").get("/v1/sms").await,
    );
    is(
        "not_found",
        &acme.get("/v1/sms/sms_01h455vb4pex5vsknk084sn02q").await,
    );
    is(
        "method_not_allowed",
        &acme.send(Method::PUT, "/v1/sms", None).await,
    );
    is(
        "body_too_large",
        &acme
            .send(Method::POST, "/v1/sms", Some(vec![b' '; 300_000]))
            .await,
    );
    is(
        "uri_too_long",
        &acme.get(&format!("/v1/sms?{}", "a".repeat(9_000))).await,
    );
    is(
        "headers_too_large",
        &acme
            .with("x-large", &"a".repeat(40_000))
            .get("/v1/sms")
            .await,
    );
    let encoded = acme
        .with("content-encoding", "gzip")
        .post("/v1/sms", json!({}))
        .await;
    is("unsupported_media_type", &encoded);
    is(
        "validation_failed",
        &post(br#"{"to": "+0", "colour": "red"}"#).await,
    );
    is(
        "no_connection",
        &acme.post("/v1/sms", sms("+14155550123")).await,
    );

    let body = json!({"name": "reader", "environment": "test", "scopes": ["sms:read"], "rate_limit": {"per_second": 1, "burst": 1}});
    let reader = host.client(operator.post("/api/api-keys", body).await.text("key"));
    is(
        "insufficient_scope",
        &reader.post("/v1/sms", sms("+14155550123")).await,
    );
    is("rate_limited", &reader.get("/v1/sms").await);

    let key = operator
        .post("/api/api-keys", json!({"name": "k", "environment": "test"}))
        .await;
    let path = format!("/api/api-keys/{}", key.text("id"));
    operator.delete(&path).await;
    is(
        "invalid_state",
        &operator.post(&format!("{path}/roll"), json!({})).await,
    );
}

#[tokio::test]
async fn problems_that_a_provider_makes() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let keyed = acme.with("Idempotency-Key", "one");
    let to = "+14155550123";
    let armed = async |fault: Value| {
        host.fault(fault).await;
        acme.post("/v1/sms", sms(to)).await
    };
    is(
        "provider_rejected",
        &acme.post("/v1/sms", sms("+15005550001")).await,
    );
    let wrong = json!({"environment": "test", "credentials": {"account_sid": format!("AC{:032}", 9), "auth_token": "t".repeat(32)}});
    is(
        "provider_auth_failed",
        &host
            .operator()
            .post("/api/services/sms/twilio/connect", wrong)
            .await,
    );
    is(
        "provider_rate_limited",
        &armed(json!({"fault": "error_before", "status": 429})).await,
    );
    is(
        "outcome_unknown",
        &armed(json!({"fault": "reset_after"})).await,
    );
    keyed.post("/v1/sms", sms(to)).await;
    is(
        "idempotency_key_reused",
        &keyed.post("/v1/sms", sms("+14155550124")).await,
    );
}
