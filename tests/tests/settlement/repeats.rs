//! Lost e-mails are repeated under the key that the provider honours, and under no other
//! circumstances; and only some refusals of the repeated one are the first one's too.

use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use onerouter_tests::component::with_manifest;
use onerouter_tests::edge::Edge;
use onerouter_tests::harness::{Client, Harness, Setup, built};
use onerouter_tests::scenarios;
use onerouter_tests::table::Table;
use onerouter_tests::write_path::{Ground, advance, attempts};
use serde_json::{Value, json};

use crate::{asked, assert_unknown, email, stored};

scenarios!(
    a_lost_email_that_is_refused_when_repeated_is_settled_as_failed,
    a_lost_email_is_not_repeated_when_the_key_is_forgotten,
    a_lost_email_is_not_repeated_through_another_account,
    a_refusal_of_the_repeated_one_settles_only_if_it_is_the_first_ones_too,
    a_refused_member_of_a_repeated_set_is_settled_as_failed,
    a_refusal_that_a_passed_time_explains_settles_nothing,
    an_email_that_was_sent_without_a_key_is_not_repeated,
    a_set_that_was_sent_without_a_key_is_not_repeated,
);

async fn status(acme: &Client, id: &str) -> String {
    let object = stored(acme, &format!("/v1/email/{id}")).await;
    object.text("status").to_owned()
}

async fn a_lost_email_that_is_refused_when_repeated_is_settled_as_failed(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let to = "validation_error@refused.test";
    host.fault(json!({"fault": "reset_before", "provider": "resend", "method": "POST"}))
        .await;
    let once = acme.with("Idempotency-Key", "refused later");
    let lost = once.post("/v1/email", email(to)).await;
    assert_unknown(&lost);
    advance(&host, TimeDelta::seconds(3));
    host.sweep().await;
    let object = stored(&acme, &format!("/v1/email/{}", lost.text("id"))).await;
    assert_eq!(object.text("status"), "failed");
    assert_eq!(object.json["failure"]["provider_code"], "validation_error");
    let again = once.post("/v1/email", email(to)).await;
    assert_eq!(again.text("id"), lost.text("id"), "{again:?}");
    assert_eq!(again.text("status"), "failed");
    assert_eq!(host.effects(to).await, 0);
    assert_eq!(host.sweep().await, 0);
}

async fn a_lost_email_is_not_repeated_when_the_key_is_forgotten(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let to = "ada@example.com";
    host.fault(json!({"fault": "reset_after", "provider": "resend", "method": "POST"}))
        .await;
    let lost = acme.post("/v1/email", email(to)).await;
    assert_unknown(&lost);
    // Resend knows its keys for 24 hours; the last minutes are not relied on.
    advance(&host, TimeDelta::hours(24) - TimeDelta::minutes(5));
    host.sweep().await;
    let path = format!("/v1/email/{}", lost.text("id"));
    assert_eq!(acme.get(&path).await.text("status"), "unknown");
    assert_eq!(host.effects(to).await, 1);
    assert_eq!(
        asked(&host, "provider=resend&path_contains=/emails&method=POST")
            .await
            .len(),
        1
    );
}

async fn a_lost_email_is_not_repeated_through_another_account(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let to = "ada@example.com";
    host.fault(json!({"fault": "reset_after", "provider": "resend", "method": "POST"}))
        .await;
    let lost = acme.post("/v1/email", email(to)).await;
    assert_unknown(&lost);
    advance(&host, TimeDelta::seconds(1));
    let connections = host.sandbox.connections();
    let resend = connections
        .iter()
        .find(|connection| connection.provider == "resend" && connection.environment == "test")
        .unwrap();
    // Another key: nothing says that it is the same account, where the first key would be known.
    let body = json!({
        "environment": "test",
        "credentials": {"api_key": "re_sandbox_sending_access_000001"},
        "settings": resend.settings,
    });
    let changed = host
        .operator()
        .post("/api/services/email/resend/connect", body)
        .await;
    assert!(changed.status < 300, "{changed:?}");
    for _ in 0..3 {
        advance(&host, TimeDelta::seconds(60));
        host.sweep().await;
    }
    let path = format!("/v1/email/{}", lost.text("id"));
    assert_eq!(acme.get(&path).await.text("status"), "unknown");
    assert_eq!(
        asked(&host, "provider=resend&path_contains=/emails&method=POST")
            .await
            .len(),
        1
    );
}

async fn host_at(ground: &Ground, edge: &Edge) -> Harness {
    ground
        .host_with(Setup {
            upstreams: vec![edge.upstream("api.resend.com")],
            ..Setup::default()
        })
        .await
}

async fn a_refusal_of_the_repeated_one_settles_only_if_it_is_the_first_ones_too(ground: Ground) {
    let edge = Edge::start().await;
    let host = host_at(&ground, &edge).await;
    let acme = host.key("test").await;
    let named = |name: &str| json!({"name": name, "message": "No."});
    // What was asked for is wrong; all else says nothing about the first one.
    let cases = [
        (422, named("validation_error"), "failed"),
        (400, named("validation_error"), "failed"),
        (422, named("missing_required_field"), "failed"),
        (422, named("invalid_from_address"), "failed"),
        // The words of somebody before the API.
        (422, json!({}), "unknown"),
        (400, json!({}), "unknown"),
        (403, json!({}), "unknown"),
        (413, named("validation_error"), "unknown"),
        (403, named("invalid_from_address"), "unknown"),
        // About the account, the key, the moment.
        (403, named("validation_error"), "unknown"),
        (401, named("restricted_api_key"), "unknown"),
        (403, named("invalid_api_key"), "unknown"),
        (422, named("invalid_access"), "unknown"),
        (451, named("security_error"), "unknown"),
        (422, named("security_error"), "unknown"),
        (404, named("not_found"), "unknown"),
        (409, named("invalid_idempotent_request"), "unknown"),
        (422, named("invalid_idempotent_request"), "unknown"),
        (400, named("invalid_idempotency_key"), "unknown"),
        (429, named("rate_limit_exceeded"), "unknown"),
        (500, named("internal_server_error"), "unknown"),
    ];
    let rows = cases.len();
    let mut table = Table::default();
    for (number, (http_status, body, expected)) in cases.into_iter().enumerate() {
        let mut row = table.row(format!("{http_status} {body}"));
        edge.says(500, &json!({}));
        let lost = acme.post("/v1/email", email("ada@example.com")).await;
        assert_unknown(&lost);
        let id = lost.text("id");
        edge.says(http_status, &body);
        host.clock.advance(TimeDelta::seconds(3));
        host.sweep().await;
        row.equal("times repeated", &edge.given(), &1);
        row.equal("status", status(&acme, id).await.as_str(), expected);
        // What is still unknown is settled by the first real answer.
        edge.says(200, &json!({"id": format!("e-{number}")}));
        host.clock.advance(TimeDelta::seconds(10));
        host.sweep().await;
        let (given, last) = match expected {
            "failed" => (0, "failed"),
            _ => (1, "queued"),
        };
        row.equal("times repeated again", &edge.given(), &given);
        row.equal("last status", status(&acme, id).await.as_str(), last);
    }
    table.end(rows);
}

async fn a_refused_member_of_a_repeated_set_is_settled_as_failed(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let emails = [
        email("ada@example.com"),
        email("validation_error@refused.test"),
    ];
    host.fault(json!({"fault": "reset_before", "provider": "resend", "method": "POST"}))
        .await;
    let lost = acme
        .post("/v1/email/batch", json!({ "emails": emails }))
        .await;
    advance(&host, TimeDelta::seconds(3));
    host.sweep().await;
    for (position, expected) in ["queued", "failed"].into_iter().enumerate() {
        let lost = &lost.json["data"][position];
        assert_eq!(lost["code"], "outcome_unknown", "{lost}");
        assert_eq!(status(&acme, lost["id"].as_str().unwrap()).await, expected);
    }
    assert_eq!(ground.open_ends().await, 0);
}

async fn a_refusal_that_a_passed_time_explains_settles_nothing(ground: Ground) {
    let edge = Edge::start().await;
    let host = host_at(&ground, &edge).await;
    let acme = host.key("test").await;
    let refusal = json!({"name": "validation_error", "message": "It must be in the future."});
    for (wait, expected) in [
        (TimeDelta::minutes(30), "failed"),
        (TimeDelta::hours(2), "unknown"),
    ] {
        let mut body = email("ada@example.com");
        body["send_at"] = json!(host.clock.now() + TimeDelta::hours(1));
        edge.says(500, &json!({}));
        let lost = acme.post("/v1/email", body).await;
        assert_unknown(&lost);
        edge.says(422, &refusal);
        host.clock.advance(wait);
        host.sweep().await;
        assert_eq!(edge.given(), 1, "{expected}");
        assert_eq!(status(&acme, lost.text("id")).await, expected);
    }
}

/// Puts a plugin in the place of the one that is there: Resend's as it is, or as it would be if
/// Resend honoured no keys.
async fn install(host: &Harness, honours_keys: bool) {
    let file = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins").join("resend.wasm");
    let mut component = std::fs::read(file).unwrap();
    if !honours_keys {
        let manifest = onerouter_manifest::unpack(&component).unwrap().manifest;
        let mut manifest = serde_json::to_value(&manifest).unwrap();
        manifest["operations"] = json!({});
        component = with_manifest(&component, manifest.to_string().as_bytes());
    }
    let parts = host.gateway.parts();
    let adapter = parts.engine.load(Bytes::from(component)).await.unwrap();
    let before = parts.adapters.install(Arc::clone(&adapter));
    assert!(before.is_some());
}

async fn posts(host: &Harness) -> usize {
    asked(host, "provider=resend&method=POST").await.len()
}

/// Loses a request while no keys are honoured, and looks what the background does with it when they
/// are: nothing, as this one had none.
async fn lose_without_a_key(
    ground: &Ground,
    path: &str,
    body: Value,
    ids: impl Fn(&Value) -> Vec<String>,
) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    install(&host, false).await;
    host.fault(json!({"fault": "reset_after", "provider": "resend", "method": "POST"}))
        .await;
    let lost = acme.post(path, body).await;
    let ids = ids(&lost.json);
    assert_eq!(posts(&host).await, 1);
    for id in &ids {
        assert_eq!(status(&acme, id).await, "unknown", "{lost:?}");
        assert_eq!(attempts(&host, id).await[0].provider_key, "");
    }
    for honours_keys in [false, true] {
        install(&host, honours_keys).await;
        advance(&host, TimeDelta::seconds(10));
        assert_eq!(host.sweep().await, ids.len());
        for id in &ids {
            let read = acme.get(&format!("/v1/email/{id}")).await;
            assert_eq!(read.text("status"), "unknown");
        }
        assert_eq!(posts(&host).await, 1);
    }
}

async fn an_email_that_was_sent_without_a_key_is_not_repeated(ground: Ground) {
    lose_without_a_key(&ground, "/v1/email", email("ada@example.com"), |lost| {
        vec![lost["id"].as_str().unwrap().to_owned()]
    })
    .await;
}

async fn a_set_that_was_sent_without_a_key_is_not_repeated(ground: Ground) {
    let body = json!({"emails": [email("a@example.com"), email("b@example.com")]});
    lose_without_a_key(&ground, "/v1/email/batch", body, |lost| {
        let data = lost["data"].as_array().unwrap();
        data.iter()
            .map(|position| position["id"].as_str().unwrap().to_owned())
            .collect()
    })
    .await;
}
