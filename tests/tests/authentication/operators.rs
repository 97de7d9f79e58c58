//! The operator's token, and the tenant that it acts for.

use onerouter::config::Config;
use onerouter::gateway::{Doubles, Gateway};
use onerouter_tests::harness::{ADMIN_TOKEN, reply};
use serde_json::json;

use crate::keys::start;

#[tokio::test]
async fn only_the_whole_token_opens_the_management_api() {
    let host = start().await;
    let key = host.key("test").await.token;
    for token in [
        "",
        "x",
        &ADMIN_TOKEN[1..],
        &format!("{ADMIN_TOKEN}x"),
        &ADMIN_TOKEN.to_uppercase(),
        &key,
    ] {
        let refused = host.client(token).get("/api/api-keys").await;
        assert_eq!((refused.status, refused.code()), (401, "invalid_api_key"));
    }
    assert_eq!(host.operator().get("/api/api-keys").await.status, 200);
    // And it is no API key.
    assert_eq!(host.operator().get("/v1/sms").await.status, 401);
}

#[tokio::test]
async fn without_a_token_nobody_is_an_operator() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::in_folder(folder.path());
    let gateway = Gateway::start(&config, Doubles::default()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for token in ["", "x", "undefined"] {
        let url = format!("{}/api/tenants", gateway.url());
        let answer = reply(http.get(url).bearer_auth(token).send().await.unwrap()).await;
        assert_eq!(answer.status, 401);
        assert!(answer.text("detail").contains("ONEROUTER_ADMIN_TOKEN"));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_operator_acts_for_the_default_tenant_or_the_named_one() {
    let host = start().await;
    let operator = host.operator();
    let bob = host.tenant("Bob").await;
    let made = bob
        .post(
            "/api/api-keys",
            json!({"name": "bob's", "environment": "test"}),
        )
        .await;
    let names = async |client: &onerouter_tests::harness::Client| {
        let keys = client.get("/api/api-keys").await.json["data"].clone();
        keys.as_array().unwrap().len()
    };
    assert_eq!((names(&operator).await, names(&bob).await), (0, 1));
    // The default tenant can be named too.
    let tenants = operator.get("/api/tenants").await;
    let default = tenants.json["data"].as_array().unwrap().last().unwrap()["id"].clone();
    let named = operator.with("OneRouter-Tenant", default.as_str().unwrap());
    assert_eq!(names(&named).await, 0);
    assert_eq!(
        host.client(made.text("key")).get("/v1/sms").await.status,
        200
    );
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_is_not_found_and_only_an_operator_is_told() {
    let host = start().await;
    let absent = "ten_01h455vb4pex5vsknk084sn02q";
    for path in ["/api/api-keys", "/api/services", "/api/tenants"] {
        let named = host
            .operator()
            .with("OneRouter-Tenant", absent)
            .get(path)
            .await;
        assert_eq!((named.status, named.code()), (404, "not_found"));
        for tenant in [absent, "nonsense"] {
            let stranger = host
                .client("x")
                .with("OneRouter-Tenant", tenant)
                .get(path)
                .await;
            assert_eq!(stranger.status, 401, "{stranger:?}");
        }
    }
}
