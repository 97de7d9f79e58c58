//! Requests that Resend does not accept.

use onerouter_sandbox::resend::{OWN_ADDRESS, SENDING_ACCESS_KEY};
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Rig, letter, with};

#[tokio::test]
async fn each_mistake_has_its_name_and_leaves_no_effect() {
    let rig = Rig::start().await;
    let long = "a".repeat(257);
    let crowd = vec!["a@example.org"; 51];
    let huge = "QUJD".repeat(11 << 20);
    for (status, name, changes) in [
        (422, "missing_required_field", json!({ "from": null })),
        (422, "missing_required_field", json!({ "to": null })),
        (422, "missing_required_field", json!({ "to": [] })),
        (422, "missing_required_field", json!({ "subject": null })),
        (422, "validation_error", json!({ "text": null })),
        (422, "validation_error", json!({ "text": 1 })),
        (422, "validation_error", json!({ "to": 1 })),
        (
            422,
            "validation_error",
            json!({ "to": ["a@example.org", 1] }),
        ),
        (422, "validation_error", json!({ "to": "nobody" })),
        (422, "validation_error", json!({ "cc": "nobody" })),
        (
            422,
            "validation_error",
            json!({ "reply_to": ["a@example.org", "a@"] }),
        ),
        (422, "validation_error", json!({ "to": crowd })),
        (422, "invalid_from_address", json!({ "from": "nobody" })),
        (
            422,
            "invalid_from_address",
            json!({ "from": "Acme <acme>" }),
        ),
        (
            403,
            "validation_error",
            json!({ "from": "a@unverified.org" }),
        ),
        (
            403,
            "validation_error",
            json!({ "from": "onboarding@resend.dev" }),
        ),
        (
            422,
            "invalid_attachment",
            json!({ "attachments": [{ "filename": "a.txt" }] }),
        ),
        (
            422,
            "invalid_attachment",
            json!({ "attachments": [{ "content": "not base64!" }] }),
        ),
        (
            422,
            "invalid_attachment",
            json!({ "attachments": [{ "path": "nowhere" }] }),
        ),
        (
            422,
            "validation_error",
            json!({ "attachments": { "content": "" } }),
        ),
        (
            422,
            "validation_error",
            json!({ "attachments": [{ "content": huge }] }),
        ),
        (
            422,
            "validation_error",
            json!({ "headers": { "X-Number": 1 } }),
        ),
        (
            422,
            "validation_error",
            json!({ "tags": [{ "name": "a b", "value": "c" }] }),
        ),
        (
            422,
            "validation_error",
            json!({ "tags": [{ "name": long, "value": "c" }] }),
        ),
        (
            422,
            "validation_error",
            json!({ "scheduled_at": "whenever" }),
        ),
        (
            422,
            "validation_error",
            json!({ "scheduled_at": "2026-01-14T12:00:00Z" }),
        ),
        (
            422,
            "validation_error",
            json!({ "scheduled_at": "2026-02-14T12:00:01Z" }),
        ),
        (
            422,
            "validation_error",
            json!({ "template": { "id": "x" } }),
        ),
    ] {
        rig.mail(&with(letter("ada@example.com"), changes))
            .await
            .assert_resend_error(status, name);
    }
    assert_eq!(rig.effects().await, 0);
}

#[tokio::test]
async fn what_is_no_json_is_a_bad_request() {
    let rig = Rig::start().await;
    for path in ["/emails", "/emails/batch"] {
        let answer = rig.send(rig.resend(Method::POST, path).body("{")).await;
        answer.assert_resend_error(400, "validation_error");
    }
    rig.mail(&json!([]))
        .await
        .assert_resend_error(422, "validation_error");
}

#[tokio::test]
async fn the_trial_sender_reaches_its_owner_and_the_magic_recipients_only() {
    let rig = Rig::start().await;
    let from = json!({ "from": "Acme <onboarding@resend.dev>" });
    for to in [OWN_ADDRESS, "delivered@resend.dev"] {
        assert_eq!(
            rig.mail(&with(letter(to), from.clone())).await.status,
            200,
            "{to}"
        );
    }
    rig.mail(&with(letter("ada@example.com"), from))
        .await
        .assert_resend_error(403, "validation_error");
}

#[tokio::test]
async fn every_documented_error_can_be_had_from_a_recipient() {
    let rig = Rig::start().await;
    let guide = rig.get("").await;
    let names = guide["providers"]["resend"]["errors"].as_array().unwrap();
    assert_eq!(names.len(), 21);
    for name in names {
        let name = name.as_str().unwrap();
        let answer = rig.mail(&letter(&format!("{name}@refused.test"))).await;
        answer.assert_resend_error(answer.status, name);
    }
    for (name, status) in [
        ("rate_limit_exceeded", 429),
        ("security_error", 451),
        ("application_error", 500),
    ] {
        rig.mail(&letter(&format!("{name}@refused.test")))
            .await
            .assert_resend_error(status, name);
    }
    assert_eq!(rig.effects().await, 0);
}

#[tokio::test]
async fn a_request_without_user_agent_does_not_get_past_the_edge() {
    let rig = Rig::start().await;
    let silent = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = silent
        .post(rig.url("/resend/emails"))
        .bearer_auth(onerouter_sandbox::resend::FULL_ACCESS_KEY)
        .json(&letter("ada@example.com"));
    let answer = rig.send(request).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (403, "error code: 1010")
    );
}

#[tokio::test]
async fn keys_must_exist_and_reach_far_enough() {
    let rig = Rig::start().await;
    let id = rig.mail_to("ada@example.com").await;
    let emails = rig.url("/resend/emails");
    let one = format!("{emails}/{id}");
    rig.send(rig.http.get(&emails))
        .await
        .assert_resend_error(401, "missing_api_key");
    rig.send(rig.http.get(&emails).bearer_auth(""))
        .await
        .assert_resend_error(401, "missing_api_key");
    rig.send(rig.http.get(&emails).bearer_auth("re_other"))
        .await
        .assert_resend_error(403, "invalid_api_key");
    for request in [
        rig.http.get(&emails),
        rig.http.get(&one),
        rig.http.patch(&one).json(&json!({})),
        rig.http.post(format!("{one}/cancel")),
    ] {
        let answer = rig.send(request.bearer_auth(SENDING_ACCESS_KEY)).await;
        answer.assert_resend_error(401, "restricted_api_key");
    }
    let send = rig
        .http
        .post(&emails)
        .bearer_auth(SENDING_ACCESS_KEY)
        .json(&letter("ada@example.com"));
    assert_eq!(rig.send(send).await.status, 200);
    let batch = rig
        .http
        .post(format!("{emails}/batch"))
        .bearer_auth(SENDING_ACCESS_KEY);
    assert_eq!(
        rig.send(batch.json(&json!([letter("ada@example.com")])))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn unknown_paths_methods_and_ids_are_refused() {
    let rig = Rig::start().await;
    let unknown = "4ef9a417-02e9-4d39-ad75-9611e0fcc33c";
    for (method, path, status, name) in [
        (Method::GET, "/nothing".to_owned(), 404, "not_found"),
        (
            Method::DELETE,
            "/emails".to_owned(),
            405,
            "method_not_allowed",
        ),
        (
            Method::GET,
            format!("/emails/{unknown}/cancel"),
            405,
            "method_not_allowed",
        ),
        (Method::GET, format!("/emails/{unknown}"), 404, "not_found"),
        (
            Method::POST,
            format!("/emails/{unknown}/cancel"),
            404,
            "not_found",
        ),
        (
            Method::GET,
            "/emails/17".to_owned(),
            422,
            "invalid_parameter",
        ),
        (
            Method::GET,
            "/emails?limit=0".to_owned(),
            422,
            "validation_error",
        ),
        (
            Method::GET,
            "/emails?limit=101".to_owned(),
            422,
            "validation_error",
        ),
        (
            Method::GET,
            format!("/emails?after={unknown}&before={unknown}"),
            422,
            "validation_error",
        ),
        (
            Method::GET,
            format!("/emails?after={unknown}"),
            404,
            "not_found",
        ),
        (
            Method::GET,
            "/emails?after=17".to_owned(),
            422,
            "invalid_parameter",
        ),
    ] {
        rig.send(rig.resend(method, &path))
            .await
            .assert_resend_error(status, name);
    }
}

#[tokio::test]
async fn the_rate_limit_is_per_second_and_told_on_every_answer() {
    let rig = Rig::start().await;
    rig.configure(json!({ "resend_rate_limit": 5 })).await;
    for left in ["4", "3", "2", "1", "0"] {
        let answer = rig.mail(&letter("ada@example.com")).await;
        assert_eq!(answer.status, 200);
        let told = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
            .map(|name| answer.header(name));
        assert_eq!(told, ["5", left, "1"]);
    }
    let refused = rig.mail(&letter("ada@example.com")).await;
    refused.assert_resend_error(429, "rate_limit_exceeded");
    assert_eq!(
        (
            refused.header("retry-after"),
            refused.header("ratelimit-remaining")
        ),
        ("1", "0")
    );
    // The other key belongs to the same team.
    let other = rig
        .http
        .post(rig.url("/resend/emails"))
        .bearer_auth(SENDING_ACCESS_KEY);
    rig.send(other.json(&Value::Null))
        .await
        .assert_resend_error(429, "rate_limit_exceeded");
    rig.advance(1).await;
    assert_eq!(rig.mail(&letter("ada@example.com")).await.status, 200);
}

#[tokio::test]
async fn a_used_up_quota_stops_sending_but_not_reading() {
    let rig = Rig::start().await;
    let id = rig.mail_to("ada@example.com").await;
    for quota in ["daily_exceeded", "monthly_exceeded"] {
        rig.configure(json!({ "resend_quota": quota })).await;
        let name = quota.replace('_', "_quota_");
        rig.mail(&letter("ada@example.com"))
            .await
            .assert_resend_error(429, &name);
        assert_eq!(rig.last_event(&id).await, "queued");
    }
    rig.configure(json!({ "resend_quota": "free" })).await;
    assert_eq!(rig.mail(&letter("ada@example.com")).await.status, 200);
}
