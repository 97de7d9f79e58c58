//! Against `resend.yaml`.

use std::time::Duration;

use chrono::{SubsecRound as _, Utc};
use onerouter_sandbox::resend::FULL_ACCESS_KEY;
use onerouter_tests::harness::Harness;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::exchange::{self, Answer};
use crate::file;
use crate::spec::Spec;

const EVENTS: [&str; 12] = [
    "queued",
    "scheduled",
    "canceled",
    "sent",
    "delivered",
    "delivery_delayed",
    "bounced",
    "complained",
    "opened",
    "clicked",
    "failed",
    "suppressed",
];

fn read() -> Option<Spec> {
    let mut spec = Spec::read(&file("resend.yaml")?);
    let nothing_or_text = json!({"type": ["string", "null"]});
    // Resend's own libraries read `null` from these, and the last from every e-mail.
    for field in ["html", "text", "scheduled_at"] {
        let place = format!("/components/schemas/Email/properties/{field}");
        spec.amend(&place, nothing_or_text.clone());
    }
    // The page "Batch validation modes" has a header and a list that the description lacks.
    let errors = json!({"type": "array", "items": {
        "type": "object",
        "required": ["index", "message"],
        "properties": {"index": {"type": "integer"}, "message": {"type": "string"}},
    }});
    spec.amend(
        "/components/schemas/CreateBatchEmailsResponse/properties/errors",
        errors,
    );
    let mode = json!({"in": "header", "name": "x-batch-validation", "schema": {"enum": ["strict", "permissive"]}});
    spec.amend("/paths/~1emails~1batch/post/parameters/-", mode);
    // What is described here is the request; Resend's own libraries read this from the answer.
    let named = json!({"type": "object", "required": ["object", "id"], "properties": {
        "object": {"const": "email"}, "id": {"type": "string", "format": "uuid"},
    }});
    spec.amend("/components/schemas/UpdateEmailOptions", named);
    Some(spec)
}

#[tokio::test]
async fn the_resend_adapter_sends_what_resend_describes() {
    let Some(mut spec) = read() else {
        return;
    };
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let send_at = (Utc::now() + Duration::from_secs(3_600)).trunc_subsecs(0);
    let full = json!({
        "to": ["ada@example.org", "Grace Hopper <grace@example.org>"],
        "subject": "Grüße", "html_body": "<p>\"Hi\"\n</p>", "text_body": "\"Hi\"\n",
        "from_email": "Shop <shop@example.com>", "cc": "cc@example.org",
        "bcc": ["bcc1@example.org", "bcc2@example.org"], "reply_to": "help@example.com",
        "attachments": [
            {"filename": "a.txt", "content": "SGVsbG8=", "content_type": "text/plain"},
            {"filename": "b.pdf", "url": "https://example.com/b.pdf"},
        ],
        "headers": {"X-Order": "17"}, "tags": {"kind": "receipt", "order": "17"},
        "send_at": send_at,
    });
    let many: Vec<_> = (0..50).map(|n| format!("{n}@example.org")).collect();
    let mut ids = Vec::new();
    for body in [
        full.clone(),
        json!({"to": "ada@example.org", "subject": "Text", "text_body": "Hi"}),
        json!({"to": "ada@example.org", "subject": "HTML", "html_body": "<p>Hi</p>"}),
        json!({"to": many, "subject": "Many", "text_body": "Hi"}),
    ] {
        let sent = acme.post("/v1/email", body).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        ids.push(sent.text("id").to_owned());
    }
    let emails: Vec<_> = (0..100)
        .map(|n| json!({"to": format!("{n}@example.org"), "subject": "Batch", "text_body": "Hi", "tags": {"n": n.to_string()}}))
        .chain([full])
        .skip(1)
        .collect();
    let batch = acme
        .post("/v1/email/batch", json!({"emails": emails}))
        .await;
    assert_eq!(batch.status, 200, "{batch:?}");
    host.pass(Duration::from_secs(3));
    for id in &ids {
        assert_eq!(acme.get(&format!("/v1/email/{id}")).await.status, 200);
    }
    let canceled = acme
        .post(&format!("/v1/email/{}/cancel", ids[0]), json!({}))
        .await;
    assert_eq!(canceled.status, 200, "{canceled:?}");

    let requests = exchange::received(&host, "resend").await;
    for request in &requests {
        spec.check_request(request);
    }
    // The check at connecting, 4 sent and read, a batch and one beside it, a cancel.
    assert_eq!(requests.len(), 1 + 4 + 4 + 2 + 1);
    spec.end(12, 0);
}

async fn call(
    host: &Harness,
    method: Method,
    path: &str,
    finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Answer {
    exchange::call(host, "resend", method, path, |request| {
        finish(request.bearer_auth(FULL_ACCESS_KEY))
    })
    .await
}

async fn post(host: &Harness, path: &str, body: &Value) -> Answer {
    call(host, Method::POST, path, |request| request.json(body)).await
}

async fn get(host: &Harness, path: &str) -> Answer {
    call(host, Method::GET, path, |request| request).await
}

#[tokio::test]
async fn the_sandbox_answers_as_resend_describes() {
    let Some(mut spec) = read() else {
        return;
    };
    let host = Harness::start().await;
    let send_at = (Utc::now() + Duration::from_secs(3_600)).to_rfc3339();
    let from = "Shop <shop@example.com>";
    let plain = json!({"from": from, "to": "ada@example.org", "subject": "Hello", "text": "Hi"});
    let full = json!({
        "from": from, "to": ["ada@example.org", "grace@example.org"], "subject": "Hello",
        "html": "<p>Hi</p>", "text": "Hi", "cc": "cc@example.org", "bcc": ["bcc@example.org"],
        "reply_to": ["help@example.com"], "headers": {"X-Order": "17"},
        "attachments": [{"filename": "a.txt", "content": "SGVsbG8="}],
        "tags": [{"name": "kind", "value": "receipt"}], "scheduled_at": send_at,
    });
    let html =
        json!({"from": from, "to": "ada@example.org", "subject": "Hello", "html": "<p>Hi</p>"});
    let mut ids = Vec::new();
    for body in [&plain, &html, &full] {
        let sent = post(&host, "/emails", body).await;
        spec.check_answer(&sent);
        ids.push(sent.json()["id"].as_str().unwrap().to_owned());
    }
    let bad = json!({"from": from, "to": "ada@example.org", "subject": ""});
    for (mode, emails) in [
        ("strict", json!([plain, html])),
        ("permissive", json!([plain, bad, html])),
        ("permissive", json!([plain])),
    ] {
        let sent = call(&host, Method::POST, "/emails/batch", |request| {
            request.header("x-batch-validation", mode).json(&emails)
        });
        spec.check_answer(&sent.await);
    }
    for seconds in [0, 2, 2, 2] {
        host.sandbox_clock.advance(Duration::from_secs(seconds));
        for id in &ids {
            spec.check_answer(&get(&host, &format!("/emails/{id}")).await);
        }
    }
    for path in ["/emails", "/emails?limit=2", "/emails?limit=100"] {
        spec.check_answer(&get(&host, path).await);
    }
    spec.check_answer(&get(&host, &format!("/emails?limit=1&after={}", ids[2])).await);
    spec.check_answer(&get(&host, &format!("/emails?limit=1&before={}", ids[0])).await);

    let later = json!({"scheduled_at": "in 5 minutes"});
    let path = format!("/emails/{}", ids[2]);
    let moved = call(&host, Method::PATCH, &path, |request| request.json(&later));
    spec.check_answer(&moved.await);
    let path = format!("/emails/{}/cancel", ids[2]);
    spec.check_answer(&call(&host, Method::POST, &path, |request| request).await);
    for event in EVENTS {
        host.force_status(&ids[0], json!({"last_event": event}))
            .await;
        spec.check_answer(&get(&host, &format!("/emails/{}", ids[0])).await);
    }
    spec.end(0, 35);
}
