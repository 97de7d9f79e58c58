//! What goes to Resend, field by field, and cancelling it.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use onerouter_sandbox::resend::{FROM_EMAIL, FULL_ACCESS_KEY};
use onerouter_tests::harness::Harness;
use onerouter_tests::table::Table;
use serde_json::{Value, json};

use crate::account::settings;
use crate::{body, connect, creates, email};

const TEXT: &str = "\"Quoted\" \\ back\n\ttab \u{1} äöü ж € 😀 </script>";

fn in_seconds(seconds: u64) -> DateTime<Utc> {
    (Utc::now() + Duration::from_secs(seconds)).trunc_subsecs(0)
}

/// How the sandbox shows this key: a request of our own is compared with.
async fn fingerprint(host: &Harness, api_key: &str) -> Value {
    let url = format!("{}/resend/a-request-of-our-own", host.sandbox.url());
    host.http
        .get(url)
        .bearer_auth(api_key)
        .send()
        .await
        .unwrap();
    let own = host
        .provider_requests("path_contains=a-request-of-our-own")
        .await;
    own.last().unwrap()["headers"]["authorization"].clone()
}

#[tokio::test]
async fn every_field_goes_to_resend_as_it_was_given() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let send_at = in_seconds(3_600);
    let sent = acme
        .post(
            "/v1/email",
            json!({
                "to": ["ada@example.org", "Grace Hopper <grace@example.org>"],
                "subject": "Grüße: \"50 %\" \\ off",
                "html_body": format!("<p>{TEXT}</p>"),
                "text_body": TEXT,
                "from_email": "Shop <shop@example.com>",
                "cc": "cc@example.org",
                "bcc": ["bcc1@example.org", "bcc2@example.org"],
                "reply_to": "Help <help@example.com>",
                "attachments": [
                    {"filename": "a.txt", "content": "SGVsbG8=", "content_type": "text/plain"},
                    {"filename": "b.pdf", "url": "https://example.com/b.pdf?x=1&y=2"},
                ],
                "headers": {"X-Order": "17; a=\"b\"", "List-Unsubscribe": "<https://example.com/u>"},
                "tags": {"kind": "receipt", "order_id": "17-b"},
                "send_at": send_at,
                "provider": "resend",
                "metadata": {"order": "kept-here"},
                "idempotency_key": "kept-here-too",
            }),
        )
        .await;
    assert_eq!(sent.status, 201, "{sent:?}");

    let creates = creates(&host).await;
    assert_eq!(creates.len(), 1);
    let create = &creates[0];
    assert_eq!(
        (&create["method"], &create["path"]),
        (&json!("POST"), &json!("/emails"))
    );
    assert_eq!(create["query"], Value::Null);
    assert_eq!(
        body(create),
        json!({
            "from": "Shop <shop@example.com>",
            "to": ["ada@example.org", "Grace Hopper <grace@example.org>"],
            "cc": ["cc@example.org"],
            "bcc": ["bcc1@example.org", "bcc2@example.org"],
            "reply_to": ["Help <help@example.com>"],
            "subject": "Grüße: \"50 %\" \\ off",
            "html": format!("<p>{TEXT}</p>"),
            "text": TEXT,
            "attachments": [
                {"filename": "a.txt", "content": "SGVsbG8=", "content_type": "text/plain"},
                {"filename": "b.pdf", "path": "https://example.com/b.pdf?x=1&y=2"},
            ],
            "headers": {"X-Order": "17; a=\"b\"", "List-Unsubscribe": "<https://example.com/u>"},
            "tags": [{"name": "kind", "value": "receipt"}, {"name": "order_id", "value": "17-b"}],
            "scheduled_at": send_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        })
    );
    let headers = &create["headers"];
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["host"], "api.resend.com");
    assert_eq!(
        headers["idempotency-key"],
        format!("{}-send-1", sent.text("id"))
    );
    assert_eq!(headers["user-agent"], "onerouter-resend/1.0.0");
    let ours = fingerprint(&host, FULL_ACCESS_KEY).await;
    assert_eq!(headers["authorization"], ours);
    assert!(ours.as_str().unwrap().starts_with("Bearer "));
    // The caller's pairs and key stay here.
    assert!(!create.to_string().contains("kept-here"), "{create}");

    let mut table = Table::default();
    table.row("answer").has("email", &sent.json, &json!({
        "object": "email", "provider": "resend", "service": "resend", "status": "scheduled",
        "environment": "test", "livemode": false,
        "to": ["ada@example.org", "Grace Hopper <grace@example.org>"], "cc": ["cc@example.org"],
        "bcc": ["bcc1@example.org", "bcc2@example.org"], "reply_to": ["Help <help@example.com>"],
        "subject": "Grüße: \"50 %\" \\ off", "html_body": format!("<p>{TEXT}</p>"), "text_body": TEXT,
        "from_email": "Shop <shop@example.com>", "failure": null, "cost": null,
        "attachments": [
            {"filename": "a.txt", "content_type": "text/plain", "url": null, "size_bytes": 5},
            {"filename": "b.pdf", "content_type": null, "url": "https://example.com/b.pdf?x=1&y=2", "size_bytes": null},
        ],
        "headers": {"X-Order": "17; a=\"b\"", "List-Unsubscribe": "<https://example.com/u>"},
        "tags": {"kind": "receipt", "order_id": "17-b"}, "metadata": {"order": "kept-here"},
        "provider_data": {"id": sent.json["provider_message_id"]},
    }));
    table.end(1);
    assert_eq!(sent.json["email_id"], sent.json["id"]);
    let shown: DateTime<Utc> = sent.text("send_at").parse().unwrap();
    assert_eq!(shown, send_at);
    let path = format!("/v1/email/{}", sent.text("id"));
    for (seconds, status) in [(3_500, "scheduled"), (200, "delivered")] {
        host.pass(Duration::from_secs(seconds));
        assert_eq!(
            acme.get(&path).await.text("status"),
            status,
            "after {seconds} s more"
        );
    }
    assert_eq!(host.effects("ada@example.org").await, 1);
}

#[tokio::test]
async fn fields_that_are_not_given_do_not_go_to_resend() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (name, given, goes) in [
        ("text", json!({"text_body": "Hi"}), json!({"text": "Hi"})),
        (
            "html",
            json!({"html_body": "<p>Hi</p>"}),
            json!({"html": "<p>Hi</p>"}),
        ),
        (
            "empty html",
            json!({"text_body": "Hi", "html_body": ""}),
            json!({"text": "Hi"}),
        ),
        (
            "nulls and empty lists",
            json!({"text_body": "Hi", "cc": null, "bcc": [], "reply_to": [], "attachments": [], "headers": {}, "tags": {}, "send_at": null}),
            json!({"text": "Hi"}),
        ),
        (
            "reply_to as a list",
            json!({"text_body": "Hi", "reply_to": ["a@example.com", "b@example.com"]}),
            json!({"text": "Hi", "reply_to": ["a@example.com", "b@example.com"]}),
        ),
    ] {
        let mut row = table.row(name);
        let mut request = given;
        request["to"] = json!("ada@example.com");
        request["subject"] = json!("Hello");
        let sent = acme.post("/v1/email", request).await;
        row.equal("status", &sent.status, &201);
        row.equal("object's status", &sent.json["status"], "queued");
        let mut expected = goes;
        expected["to"] = json!(["ada@example.com"]);
        expected["subject"] = json!("Hello");
        expected["from"] = json!(FROM_EMAIL);
        row.equal(
            "body",
            &body(creates(&host).await.last().unwrap()),
            &expected,
        );
    }
    table.end(5);
}

#[tokio::test]
async fn without_any_sender_nothing_goes_out() {
    let host = Harness::start().await;
    connect(&host, FULL_ACCESS_KEY, json!({})).await;
    let acme = host.key("test").await;
    let refused = acme.post("/v1/email", email("ada@example.com")).await;
    assert_eq!((refused.status, refused.code()), (422, "validation_failed"));
    assert_eq!(refused.pointers(), ["/from_email"]);
    let mut own = email("ada@example.com");
    own["from_email"] = json!("own@example.com");
    assert_eq!(acme.post("/v1/email", own).await.status, 201);
    let creates = creates(&host).await;
    assert_eq!(creates.len(), 1);
    assert_eq!(body(&creates[0])["from"], "own@example.com");
}

#[tokio::test]
async fn what_resend_would_refuse_or_lose_is_refused_here_and_frees_the_key() {
    let host = Harness::start().await;
    connect(&host, FULL_ACCESS_KEY, settings()).await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (name, change, pointers) in [
        (
            "tag's name",
            json!({"tags": {"a b": "c"}}),
            vec!["/tags/a b"],
        ),
        ("tag's value", json!({"tags": {"a": "ä"}}), vec!["/tags/a"]),
        (
            "long tag",
            json!({"tags": {"a": "b".repeat(257)}}),
            vec!["/tags/a"],
        ),
        (
            "31 days ahead",
            json!({"send_at": in_seconds(31 * 86_400)}),
            vec!["/send_at"],
        ),
        (
            "both",
            json!({"tags": {"a": ""}, "send_at": in_seconds(31 * 86_400)}),
            vec!["/tags/a", "/send_at"],
        ),
    ] {
        let mut row = table.row(name);
        let acme = acme.with("Idempotency-Key", name);
        let mut request = email("ada@example.com");
        for (field, value) in change.as_object().unwrap() {
            request[field] = value.clone();
        }
        let refused = acme.post("/v1/email", request).await;
        row.equal("status", &refused.status, &422);
        row.equal("code", &refused.json["code"], "validation_failed");
        row.equal("pointers", &refused.pointers(), &pointers);
        let before = creates(&host).await.len();
        let sent = acme.post("/v1/email", email("ada@example.com")).await;
        row.equal("without it", &sent.status, &201);
        row.equal("creates", &(creates(&host).await.len() - before), &1);
    }
    table.end(5);
    assert_eq!(creates(&host).await.len(), 5);
}

#[tokio::test]
async fn a_scheduled_email_is_canceled_at_resend() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut request = email("ada@example.com");
    request["send_at"] = json!(in_seconds(3_600));
    let sent = acme.post("/v1/email", request).await;
    assert_eq!(sent.text("status"), "scheduled");
    let cancel = acme.with("Idempotency-Key", "cancel");
    let path = format!("/v1/email/{}/cancel", sent.text("id"));
    let canceled = cancel.post(&path, json!({})).await;
    assert_eq!(canceled.status, 200, "{canceled:?}");
    assert_eq!(
        (&canceled.json["id"], canceled.text("status")),
        (&sent.json["id"], "canceled")
    );
    assert_eq!(canceled.text("text_body"), "Hi");
    let requests = host.provider_requests("path_contains=/cancel").await;
    assert_eq!(requests.len(), 1);
    let theirs = sent.text("provider_message_id");
    assert_eq!(requests[0]["path"], format!("/emails/{theirs}/cancel"));
    assert_eq!(
        (&requests[0]["method"], &requests[0]["body"]),
        (&json!("POST"), &json!(""))
    );
    assert_eq!(
        requests[0]["headers"]["user-agent"],
        "onerouter-resend/1.0.0"
    );

    let again = cancel.post(&path, json!({})).await;
    assert_eq!(again.bytes, canceled.bytes);
    let fresh = acme.post(&path, json!({})).await;
    assert_eq!((fresh.status, fresh.code()), (409, "invalid_state"));
    assert_eq!(
        host.provider_requests("path_contains=/cancel").await.len(),
        1
    );
    host.pass(Duration::from_secs(7_200));
    let read = acme.get(&format!("/v1/email/{}", sent.text("id"))).await;
    assert_eq!(read.text("status"), "canceled");
}

#[tokio::test]
async fn an_email_that_is_on_its_way_cannot_be_canceled() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    let mut scheduled = email("ada@example.com");
    scheduled["send_at"] = json!(in_seconds(60));
    for (name, request, seconds) in [
        ("queued", email("ada@example.com"), 0),
        ("sent in the meantime", scheduled, 62),
    ] {
        let mut row = table.row(name);
        let sent = acme.post("/v1/email", request).await;
        host.pass(Duration::from_secs(seconds));
        let path = format!("/v1/email/{}", sent.text("id"));
        let late = acme.post(&format!("{path}/cancel"), json!({})).await;
        row.equal("status", &late.status, &409);
        row.equal("code", &late.json["code"], "invalid_state");
        let provider = json!({"name": "resend", "code": "validation_error", "http_status": 422});
        row.has("provider", &late.json["provider"], &provider);
        row.equal("id", &late.json["id"], &sent.json["id"]);
        host.pass(Duration::from_secs(10));
        row.equal(
            "in the end",
            &acme.get(&path).await.json["status"],
            "delivered",
        );
    }
    table.end(2);
}
