//! Access tokens, and what every request must have.

use onerouter_sandbox::paypal::{CLIENT_ID, CLIENT_SECRET};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::{
    paypal_rig::{Merchant, ORDERS, PRODUCTS, fetch_token, order, token},
    rig::Rig,
};

#[tokio::test]
async fn a_token_is_given_for_the_client_s_credentials() {
    let rig = Rig::start().await;
    let answer = fetch_token(&rig).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        (&answer.body["token_type"], &answer.body["expires_in"]),
        (&"Bearer".into(), &32_400.into())
    );
    for field in ["scope", "access_token", "app_id", "nonce"] {
        assert!(!answer.body[field].as_str().unwrap().is_empty(), "{field}");
    }
    assert!(!answer.header("paypal-debug-id").is_empty());
}

#[tokio::test]
async fn wrong_credentials_and_grants_are_refused_in_the_oauth_shape() {
    let rig = Rig::start().await;
    let ask = |client: &'static str, secret: &'static str, grant: &'static str| {
        let request = rig
            .http
            .post(rig.url("/paypal/v1/oauth2/token"))
            .basic_auth(client, Some(secret));
        rig.send(request.form(&[("grant_type", grant)]))
    };
    for (client, secret, grant, status, error) in [
        (
            CLIENT_ID,
            "other",
            "client_credentials",
            401,
            "invalid_client",
        ),
        (
            "other",
            CLIENT_SECRET,
            "client_credentials",
            401,
            "invalid_client",
        ),
        (
            CLIENT_ID,
            CLIENT_SECRET,
            "password",
            400,
            "unsupported_grant_type",
        ),
        (CLIENT_ID, CLIENT_SECRET, "", 400, "unsupported_grant_type"),
    ] {
        let answer = ask(client, secret, grant).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.body["error"], error);
        assert!(answer.body["error_description"].is_string());
    }
    let bare = rig.http.post(rig.url("/paypal/v1/oauth2/token"));
    let bare = rig
        .send(bare.form(&[("grant_type", "client_credentials")]))
        .await;
    assert_eq!(
        (bare.status, &bare.body["error"]),
        (401, &"invalid_client".into())
    );
}

#[tokio::test]
async fn a_token_ends_with_its_time() {
    let merchant = Merchant::start().await;
    merchant
        .rig
        .configure(json!({ "paypal_token_ttl_s": 60 }))
        .await;
    let short = fetch_token(&merchant.rig).await;
    assert_eq!(short.body["expires_in"], 60);
    let with_short = || {
        let url = merchant.rig.url(&format!("/paypal{PRODUCTS}"));
        let token = short.body["access_token"].as_str().unwrap();
        merchant
            .rig
            .send(merchant.rig.http.get(url).bearer_auth(token))
    };
    merchant.rig.advance(59).await;
    assert_eq!(with_short().await.status, 200);
    merchant.rig.advance(1).await;
    let late = with_short().await;
    assert_eq!(
        (late.status, &late.body["error"]),
        (401, &"invalid_token".into())
    );
    // The one from before the setting has nine hours.
    assert_eq!(merchant.get(PRODUCTS).await.status, 200);
    merchant.rig.advance(32_400).await;
    assert_eq!(merchant.get(PRODUCTS).await.status, 401);
}

#[tokio::test]
async fn revoked_tokens_are_refused_and_a_new_one_works() {
    let mut merchant = Merchant::start().await;
    let revoked = merchant
        .rig
        .control(Method::POST, "paypal/revoke-tokens", Value::Null)
        .await;
    assert_eq!(revoked.status, 204);
    let refused = merchant.get(PRODUCTS).await;
    assert_eq!(
        (refused.status, &refused.body["error"]),
        (401, &"invalid_token".into())
    );
    merchant.token = token(&merchant.rig).await;
    assert_eq!(merchant.get(PRODUCTS).await.status, 200);
    // The request log is where a test counts how often a client asked for one.
    let log = merchant
        .rig
        .get("requests?path_contains=/v1/oauth2/token")
        .await;
    assert_eq!(log["count"], 2);
    assert_eq!(merchant.rig.effects().await, 0);
    for (path, status) in [("paypal/other", 404), ("nobody/revoke-tokens", 404)] {
        let answer = merchant.rig.control(Method::POST, path, Value::Null).await;
        assert_eq!(answer.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_request_without_a_bearer_token_is_refused_in_the_api_s_shape() {
    let merchant = Merchant::start().await;
    let bare = || {
        merchant
            .rig
            .http
            .get(merchant.rig.url(&format!("/paypal{PRODUCTS}")))
    };
    let refused = merchant.rig.send(bare()).await;
    refused.assert_paypal_name(401, "AUTHENTICATION_FAILURE");
    let basic = bare().basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    let refused = merchant.rig.send(basic).await;
    refused.assert_paypal_name(401, "AUTHENTICATION_FAILURE");
    let unknown = merchant.rig.send(bare().bearer_auth("A21AAother")).await;
    assert_eq!(
        (unknown.status, &unknown.body["error"]),
        (401, &"invalid_token".into())
    );
}

#[tokio::test]
async fn a_post_without_a_json_type_is_refused_even_without_a_body() {
    let merchant = Merchant::start().await;
    let empty = merchant.request(Method::POST, ORDERS);
    let typed = |mime: &'static str| {
        merchant
            .request(Method::POST, ORDERS)
            .header(header::CONTENT_TYPE, mime)
            .body(order("1.00", "USD").to_string())
    };
    let answer = merchant.rig.send(empty).await;
    answer.assert_paypal_name(415, "UNSUPPORTED_MEDIA_TYPE");
    let answer = merchant.rig.send(typed("text/plain")).await;
    answer.assert_paypal_name(415, "UNSUPPORTED_MEDIA_TYPE");
    let answer = merchant
        .rig
        .send(typed("application/json; charset=utf-8"))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn the_host_name_leads_to_paypal_too() {
    let merchant = Merchant::start().await;
    let request = merchant
        .rig
        .http
        .get(merchant.rig.url(PRODUCTS))
        .bearer_auth(&merchant.token)
        .header(header::HOST, "api-m.sandbox.paypal.com");
    assert_eq!(merchant.rig.send(request).await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_not_found() {
    let merchant = Merchant::start().await;
    for (method, path) in [
        (Method::GET, "/v2/checkout/nothing"),
        (Method::DELETE, ORDERS),
        (Method::GET, "/v1/oauth2/token"),
        (Method::GET, ORDERS),
    ] {
        let answer = merchant.rig.send(merchant.request(method, path)).await;
        answer.assert_paypal_name(404, "RESOURCE_NOT_FOUND");
    }
    let path = "/v2/payments/authorizations/X/settle";
    let act = merchant.post(path, &json!({})).await;
    act.assert_paypal_name(404, "RESOURCE_NOT_FOUND");
}

#[tokio::test]
async fn too_many_requests_in_a_second_are_refused() {
    let merchant = Merchant::start().await;
    merchant
        .rig
        .configure(json!({ "paypal_rate_limit": 2 }))
        .await;
    merchant.rig.advance(1).await;
    assert_eq!(merchant.get(PRODUCTS).await.status, 200);
    assert_eq!(merchant.get(PRODUCTS).await.status, 200);
    let refused = merchant.get(PRODUCTS).await;
    refused.assert_paypal_name(429, "RATE_LIMIT_REACHED");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(fetch_token(&merchant.rig).await.status, 429);
    merchant.rig.advance(1).await;
    assert_eq!(merchant.get(PRODUCTS).await.status, 200);
}

#[tokio::test]
async fn the_connection_is_offered() {
    let merchant = Merchant::start().await;
    let sandbox = &merchant.rig.sandbox;
    let connection = sandbox.connection("paypal").unwrap();
    assert_eq!(
        (connection.service, connection.environment),
        ("payments", "test")
    );
    assert_eq!(connection.credentials["client_id"], CLIENT_ID);
    assert_eq!(connection.credentials["client_secret"], CLIENT_SECRET);
    assert_eq!(connection.example_path, "/v1/payments");
    assert_eq!(connection.example_body["provider"], "paypal");
    let offered = sandbox.connections();
    assert!(offered.iter().any(|offered| offered.provider == "paypal"));
}
