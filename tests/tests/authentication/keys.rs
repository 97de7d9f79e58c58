//! API keys from their making to their end.

use chrono::{DateTime, TimeDelta, Utc};
use onerouter_tests::harness::{Client, Harness, Reply, Setup};
use serde_json::{Value, json};

pub async fn start() -> Harness {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    Harness::with(setup).await
}

async fn make(operator: &Client, with: Value) -> Reply {
    let mut body = json!({"name": "shop", "environment": "test"});
    for (name, value) in with.as_object().unwrap() {
        body[name] = value.clone();
    }
    let made = operator.post("/api/api-keys", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

async fn detail(client: &Client) -> String {
    let refused = client.get("/v1/sms").await;
    assert_eq!((refused.status, refused.code()), (401, "invalid_api_key"));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    refused.text("detail").to_owned()
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_key_names_its_environment_and_is_shown_once() {
    let host = start().await;
    let operator = host.operator();
    for environment in ["test", "live"] {
        let made = make(&operator, json!({"environment": environment})).await;
        let key = made.text("key");
        let prefix = format!("unf_{environment}_");
        assert!(key.starts_with(&prefix) && key.len() == 47, "{key}");
        assert_eq!(made.text("prefix"), prefix);
        assert_eq!(made.text("last4"), &key[43..]);
        assert_eq!(made.text("environment"), environment);
        assert_eq!(made.json["livemode"], environment == "live");
        let all = [
            "sms:read",
            "sms:write",
            "email:read",
            "email:write",
            "payments:read",
            "payments:write",
            "refunds:read",
            "refunds:write",
            "plans:read",
            "plans:write",
            "subscriptions:read",
            "subscriptions:write",
            "payment_links:read",
            "payment_links:write",
            "events:read",
            "events:write",
            "webhooks:read",
            "webhooks:write",
        ];
        assert_eq!(made.json["scopes"], json!(all));
        for nothing in ["expires_at", "last_used_at", "revoked_at"] {
            assert_eq!(made.json.get(nothing), Some(&Value::Null), "{nothing}");
        }
        assert_eq!(host.client(key).get("/v1/sms").await.status, 200);
        let listed = operator.get("/api/api-keys").await;
        assert!(listed.json["data"][0].get("key").is_none());
        assert!(!String::from_utf8_lossy(&listed.bytes).contains(key));
    }
}

#[tokio::test]
async fn a_typo_is_told_from_a_key_that_does_not_exist() {
    let host = start().await;
    let made = make(&host.operator(), json!({})).await;
    let key = made.text("key");
    let mut typo = key.to_owned();
    typo.replace_range(20..21, if &key[20..21] == "x" { "y" } else { "x" });
    assert!(detail(&host.client(&typo)).await.contains("mistyped"));
    let other =
        onerouter::api_key::ApiKey::generate(onerouter_domain::environment::Environment::Test);
    assert_eq!(
        detail(&host.client(other.expose())).await,
        "There is no such API key."
    );
    // The prefix is part of the key: it cannot be lifted into the other environment.
    let lifted = key.replace("unf_test_", "unf_live_");
    assert!(detail(&host.client(&lifted)).await.contains("mistyped"));
    for form in ["sk_live_1", "unf_test_", &key[..46]] {
        assert!(
            detail(&host.client(form)).await.contains("47 characters"),
            "{form}"
        );
    }
}

#[tokio::test]
async fn the_header_must_be_a_bearer_token() {
    let host = start().await;
    let made = make(&host.operator(), json!({})).await;
    let key = made.text("key");
    let with = async |value: Option<String>| {
        let mut request = host.http.get(host.gateway.url() + "/v1/sms");
        if let Some(value) = value {
            request = request.header("authorization", value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    for refused in [
        "",
        "Bearer",
        "Bearer ",
        key,
        &format!("Basic {key}"),
        &format!("Bearer {key},"),
    ] {
        assert_eq!(with(Some(refused.to_owned())).await, 401, "{refused}");
    }
    assert_eq!(with(None).await, 401);
    for good in [
        format!("Bearer {key}"),
        format!("bearer {key}"),
        format!("BEARER  {key}"),
    ] {
        assert_eq!(with(Some(good)).await, 200);
    }
}

#[tokio::test]
async fn a_revoked_key_stops_at_once_and_stays_in_the_list() {
    let host = start().await;
    let operator = host.operator();
    let made = make(&operator, json!({})).await;
    let acme = host.client(made.text("key"));
    assert_eq!(acme.get("/v1/sms").await.status, 200);
    let path = format!("/api/api-keys/{}", made.text("id"));
    let revoked = operator.delete(&path).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(detail(&acme).await, "This API key was revoked.");

    host.clock.advance(TimeDelta::minutes(1));
    let again = operator.delete(&path).await;
    assert_eq!(again.json["revoked_at"], revoked.json["revoked_at"]);
    let listed = operator.get("/api/api-keys").await;
    assert_eq!(
        listed.json["data"][0]["revoked_at"],
        revoked.json["revoked_at"]
    );
    let rolled = operator.post(&format!("{path}/roll"), json!({})).await;
    assert_eq!((rolled.status, rolled.code()), (409, "invalid_state"));
}

#[tokio::test]
async fn a_key_ends_when_it_expires() {
    let host = start().await;
    let operator = host.operator();
    let ends = (Utc::now() + TimeDelta::hours(1)).to_rfc3339();
    let made = make(&operator, json!({"expires_at": ends})).await;
    let acme = host.client(made.text("key"));
    assert_eq!(acme.get("/v1/sms").await.status, 200);
    host.clock.advance(TimeDelta::hours(2));
    assert_eq!(detail(&acme).await, "This API key has expired.");
    let path = format!("/api/api-keys/{}/roll", made.text("id"));
    assert_eq!(
        operator.post(&path, json!({})).await.code(),
        "invalid_state"
    );
}

#[tokio::test]
async fn a_rolled_key_works_on_for_the_overlap() {
    let host = start().await;
    let operator = host.operator();
    let given = json!({"scopes": ["sms:read"], "rate_limit": {"per_second": 7, "burst": 9}});
    let made = make(&operator, given.clone()).await;
    let old = host.client(made.text("key"));
    let path = format!("/api/api-keys/{}/roll", made.text("id"));
    let rolled = operator.post(&path, json!({"overlap_seconds": 60})).await;
    assert_eq!(rolled.status, 201, "{rolled:?}");
    assert_ne!(rolled.text("id"), made.text("id"));
    for (field, value) in given.as_object().unwrap() {
        assert_eq!(&rolled.json[field], value, "{field}");
    }
    let new = host.client(rolled.text("key"));
    assert_eq!(
        (
            old.get("/v1/sms").await.status,
            new.get("/v1/sms").await.status
        ),
        (200, 200)
    );
    host.clock.advance(TimeDelta::seconds(61));
    assert_eq!(detail(&old).await, "This API key has expired.");
    assert_eq!(new.get("/v1/sms").await.status, 200);

    // At once, where no overlap is wanted.
    let path = format!("/api/api-keys/{}/roll", rolled.text("id"));
    assert_eq!(
        operator
            .post(&path, json!({"overlap_seconds": 0}))
            .await
            .status,
        201
    );
    detail(&new).await;
}

#[tokio::test]
async fn a_roll_never_makes_a_key_live_longer() {
    let host = start().await;
    let operator = host.operator();
    let ends = (Utc::now() + TimeDelta::minutes(1)).to_rfc3339();
    let made = make(&operator, json!({"expires_at": ends})).await;
    let path = format!("/api/api-keys/{}/roll", made.text("id"));
    let rolled = operator.post(&path, json!({})).await;
    assert_eq!(rolled.json["expires_at"], made.json["expires_at"]);
    let listed = operator.get("/api/api-keys").await;
    assert_eq!(
        listed.json["data"][1]["expires_at"],
        made.json["expires_at"]
    );
}

#[tokio::test]
async fn the_last_use_of_a_key_is_written_down() {
    let host = start().await;
    let operator = host.operator();
    let made = make(&operator, json!({})).await;
    host.clock.advance(TimeDelta::hours(3));
    host.client(made.text("key")).get("/v1/sms").await;
    // It is written with the next look at due work; what is left, when the gateway stops.
    host.gateway
        .parts()
        .sweeper
        .authentication
        .write_uses()
        .await
        .unwrap();
    let listed = operator.get("/api/api-keys").await;
    let used = time(listed.json["data"][0]["last_used_at"].as_str().unwrap());
    let since = used - time(made.text("created_at"));
    assert!(
        (TimeDelta::hours(3)..TimeDelta::hours(4)).contains(&since),
        "{since}"
    );
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let host = start().await;
    let operator = host.operator();
    let calls = [
        ("sms:read", "GET", "/v1/sms"),
        ("sms:read", "GET", "/v1/sms/sms_01h455vb4pex5vsknk084sn02q"),
        ("sms:write", "POST", "/v1/sms"),
        (
            "sms:write",
            "POST",
            "/v1/sms/sms_01h455vb4pex5vsknk084sn02q/cancel",
        ),
        ("email:read", "GET", "/v1/email"),
        (
            "email:read",
            "GET",
            "/v1/email/em_01h455vb4pex5vsknk084sn02q",
        ),
        ("email:write", "POST", "/v1/email"),
        ("email:write", "POST", "/v1/email/batch"),
        (
            "email:write",
            "POST",
            "/v1/email/em_01h455vb4pex5vsknk084sn02q/cancel",
        ),
        ("events:read", "GET", "/v1/events"),
        ("events:write", "POST", "/v1/events"),
        ("webhooks:read", "GET", "/v1/webhook-endpoints"),
        ("webhooks:write", "POST", "/v1/webhook-endpoints"),
    ];
    for scopes in [
        vec![],
        vec!["sms:read"],
        vec!["sms:write", "email:read"],
        vec!["email:write"],
        vec!["events:read", "webhooks:write"],
    ] {
        let made = make(&operator, json!({"scopes": scopes})).await;
        assert_eq!(made.json["scopes"], json!(scopes));
        let client = host.client(made.text("key"));
        for (needed, method, path) in calls {
            let answer = client.send(method.parse().unwrap(), path, None).await;
            if scopes.contains(&needed) {
                assert_ne!(answer.status, 403, "{scopes:?} {method} {path}");
            } else {
                assert_eq!((answer.status, answer.code()), (403, "insufficient_scope"));
                assert!(answer.text("detail").contains(needed), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_environments_of_one_tenant_never_meet() {
    let host = Harness::start().await;
    let operator = host.operator();
    let (test, live) = (host.key("test").await, host.key("live").await);
    let sms = json!({"to": "+14155550123", "body": "Hi"});
    let sent = test.post("/v1/sms", sms.clone()).await;
    // Only the test environment is connected.
    let refused = live.post("/v1/sms", sms.clone()).await;
    assert_eq!(refused.code(), "no_connection");
    let path = format!("/v1/sms/{}", sent.text("id"));
    assert_eq!(live.get(&path).await.code(), "not_found");
    assert_eq!(
        live.post(&format!("{path}/cancel"), json!({})).await.code(),
        "not_found"
    );
    assert_eq!(live.get("/v1/sms").await.json["data"], json!([]));
    assert_eq!(host.effects("+14155550123").await, 1);

    // And the other way round.
    let disconnect = "/api/services/sms/twilio?environment=test";
    assert_eq!(operator.delete(disconnect).await.status, 200);
    let mut connection = host.sandbox.connections().remove(0);
    connection.environment = "live";
    let body = json!({"environment": "live", "credentials": connection.credentials, "settings": connection.settings});
    let path = format!(
        "/api/services/{}/{}/connect",
        connection.service, connection.provider
    );
    assert_eq!(operator.post(&path, body).await.status, 201);
    assert_eq!(
        test.post("/v1/sms", sms.clone()).await.code(),
        "no_connection"
    );
    let sent = live.post("/v1/sms", sms).await;
    assert_eq!((sent.status, sent.text("environment")), (201, "live"));
    assert_eq!(sent.json["livemode"], true);
    assert_eq!(
        test.get("/v1/sms").await.json["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        test.get(&format!("/v1/sms/{}", sent.text("id")))
            .await
            .status,
        404
    );
}
