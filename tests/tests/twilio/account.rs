//! Connecting a Twilio account.

use onerouter_sandbox::twilio::{
    ACCOUNT_SID, API_KEY_SECRET, API_KEY_SID, AUTH_TOKEN, FROM_NUMBER, TEST_ACCOUNT_SID,
    TEST_AUTH_TOKEN,
};
use onerouter_tests::harness::{Harness, Setup};
use onerouter_tests::table::Table;
use serde_json::{Value, json};

use crate::connect;

/// Credentials of the sandbox's ordinary account.
pub(crate) fn ordinary() -> Value {
    with_token(AUTH_TOKEN)
}

/// The ordinary account with another token.
pub(crate) fn with_token(token: &str) -> Value {
    json!({"account_sid": ACCOUNT_SID, "auth_token": token})
}

async fn unconnected() -> Harness {
    Harness::with(Setup {
        unconnected: true,
        ..Setup::default()
    })
    .await
}

async fn connections(host: &Harness) -> usize {
    let services = host.operator().get("/api/services").await;
    services.json["data"].as_array().unwrap().len()
}

fn settings() -> Value {
    json!({"from_number": FROM_NUMBER})
}

#[tokio::test]
async fn a_good_account_is_connected_without_a_warning() {
    let host = unconnected().await;
    let connected = connect(&host, ordinary(), settings()).await;
    assert_eq!(connected.status, 201, "{connected:?}");
    assert_eq!(connected.json["account"], ACCOUNT_SID);
    assert_eq!(connected.json["warnings"], json!([]));
    let checks = host.provider_requests("provider=twilio").await;
    assert_eq!(checks.len(), 1);
    assert_eq!(checks[0]["method"], "GET");
    assert_eq!(checks[0]["query"], "PageSize=1");
}

#[tokio::test]
async fn an_account_that_fails_its_check_is_not_stored() {
    let host = unconnected().await;
    let mut table = Table::default();
    for (fault, status, code, provider_code, http_status) in [
        (
            Value::Null,
            422,
            "provider_auth_failed",
            json!("20003"),
            json!(401),
        ),
        (
            json!({"code": 20005, "status": 403}),
            422,
            "provider_rejected",
            json!("20005"),
            json!(403),
        ),
        (
            json!({"code": 10001, "status": 400}),
            422,
            "provider_rejected",
            json!("10001"),
            json!(400),
        ),
        (
            json!({"code": 20404}),
            422,
            "provider_rejected",
            json!("20404"),
            json!(404),
        ),
        (
            json!({"code": 20429}),
            429,
            "provider_rate_limited",
            json!("20429"),
            json!(429),
        ),
        (
            json!({"code": 20500}),
            502,
            "provider_error",
            json!("20500"),
            json!(500),
        ),
        (
            json!({"code": 20503}),
            503,
            "provider_unavailable",
            json!("20503"),
            json!(503),
        ),
        (
            json!({"code": 21730}),
            503,
            "provider_unavailable",
            json!("21730"),
            json!(503),
        ),
    ] {
        let mut row = table.row(&fault);
        let credentials = if fault.is_null() {
            with_token("00000000000000000000000000000000")
        } else {
            let mut fault = fault;
            fault["fault"] = json!("error_before");
            host.fault(fault).await;
            ordinary()
        };
        let refused = connect(&host, credentials, settings()).await;
        row.equal("status", &refused.status, &status);
        row.equal("code", &refused.json["code"], code);
        let provider = json!({"name": "twilio", "code": provider_code, "http_status": http_status});
        row.has("provider", &refused.json["provider"], &provider);
        row.equal("connections", &connections(&host).await, &0);
    }
    table.end(8);
    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hello"}))
        .await;
    assert_eq!(sent.code(), "no_connection");
}

#[tokio::test]
async fn a_refused_account_does_not_replace_a_good_one() {
    let host = Harness::start().await;
    let refused = connect(
        &host,
        with_token("00000000000000000000000000000000"),
        settings(),
    )
    .await;
    assert_eq!(refused.code(), "provider_auth_failed");
    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hello"}))
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
}

#[tokio::test]
async fn test_credentials_are_connected_with_a_warning_and_send() {
    let host = unconnected().await;
    let credentials = json!({"account_sid": TEST_ACCOUNT_SID, "auth_token": TEST_AUTH_TOKEN});
    let connected = connect(&host, credentials, json!({"from_number": "+15005550006"})).await;
    assert_eq!(connected.status, 201, "{connected:?}");
    assert_eq!(connected.json["account"], TEST_ACCOUNT_SID);
    let warnings = connected.json["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{connected:?}");
    assert!(warnings[0].as_str().unwrap().contains("test credentials"));
    assert_eq!(connections(&host).await, 1);

    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hello"}))
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(sent.text("from_number"), "+15005550006");
    // They may not read: the stored message is the answer.
    host.pass(std::time::Duration::from_secs(10));
    let read = acme.get(&format!("/v1/sms/{}", sent.text("id"))).await;
    assert_eq!((read.status, read.text("status")), (200, "queued"));
    let cancel = acme
        .post(&format!("/v1/sms/{}/cancel", sent.text("id")), json!({}))
        .await;
    assert_eq!((cancel.status, cancel.code()), (422, "provider_rejected"));
    assert_eq!(cancel.json["provider"]["code"], "20008");
}

#[tokio::test]
async fn an_api_key_authenticates_in_place_of_the_token() {
    let host = unconnected().await;
    let credentials = json!({
        // Never used for a request.
        "account_sid": ACCOUNT_SID, "auth_token": "00000000000000000000000000000000",
        "api_key_sid": API_KEY_SID, "api_key_secret": API_KEY_SECRET,
    });
    let connected = connect(&host, credentials, settings()).await;
    assert_eq!(connected.status, 201, "{connected:?}");
    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hello"}))
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let requests = host.provider_requests("provider=twilio").await;
    assert_eq!(requests.len(), 2);
    let ours = fingerprint(&host, API_KEY_SID, API_KEY_SECRET).await;
    for request in requests {
        assert_eq!(request["headers"]["authorization"], ours);
        let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json");
        assert_eq!(request["path"], path);
    }
}

/// How the sandbox shows these credentials: a request of our own is compared with.
pub(crate) async fn fingerprint(host: &Harness, user: &str, password: &str) -> Value {
    let path = "/2010-04-01/a-request-of-our-own";
    let url = format!("{}/twilio{path}", host.sandbox.url());
    host.http
        .get(url)
        .basic_auth(user, Some(password))
        .send()
        .await
        .unwrap();
    let own = host
        .provider_requests("path_contains=a-request-of-our-own")
        .await;
    own.last().unwrap()["headers"]["authorization"].clone()
}
