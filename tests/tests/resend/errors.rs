//! What Resend's error answers become.

use std::time::Duration;

use onerouter_sandbox::resend::FULL_ACCESS_KEY;
use onerouter_tests::harness::Harness;
use onerouter_tests::refused::{End, Refused};
use onerouter_tests::table::Table;
use reqwest::Method;
use serde_json::{Value, json};

use crate::account::{WRONG_KEY, settings};
use crate::{connect, email};

use End::{Limited, Rejected, Unauthorized, Unknown};

type NameRow = (
    &'static str,
    u16,
    End,
    &'static str,
    bool,
    &'static [(u16, &'static str)],
);

/// Name, its usual status, how the create ends, the failure's code, retryable; and other statuses
/// that it is answered with, where the failure's code is another.
#[rustfmt::skip]
const NAMES: [NameRow; 21] = [
    ("invalid_idempotency_key", 400, Rejected, "provider_error", false, &[]),
    ("validation_error", 422, Rejected, "invalid_content", false, &[(400, "invalid_content"), (403, "permission_denied")]),
    ("missing_api_key", 401, Unauthorized, "credentials_refused", false, &[]),
    ("restricted_api_key", 401, Rejected, "permission_denied", false, &[]),
    ("invalid_api_key", 403, Unauthorized, "credentials_refused", false, &[(401, "credentials_refused")]),
    ("not_found", 404, Rejected, "not_found", false, &[]),
    ("method_not_allowed", 405, Rejected, "provider_error", false, &[]),
    ("invalid_idempotent_request", 409, Rejected, "duplicate_key", false, &[]),
    ("concurrent_idempotent_requests", 409, Unknown, "", true, &[]),
    ("missing_required_field", 422, Rejected, "invalid_content", false, &[]),
    ("invalid_parameter", 422, Rejected, "invalid_content", false, &[]),
    ("invalid_attachment", 422, Rejected, "invalid_content", false, &[]),
    ("invalid_from_address", 422, Rejected, "invalid_sender", false, &[]),
    ("invalid_access", 422, Rejected, "permission_denied", false, &[]),
    ("invalid_region", 422, Rejected, "provider_error", false, &[]),
    ("rate_limit_exceeded", 429, Limited, "rate_limited", true, &[]),
    ("daily_quota_exceeded", 429, Limited, "quota_exceeded", true, &[]),
    ("monthly_quota_exceeded", 429, Limited, "quota_exceeded", true, &[]),
    ("security_error", 451, Rejected, "security_blocked", false, &[(403, "security_blocked")]),
    ("application_error", 500, Unknown, "", true, &[(502, "")]),
    ("internal_server_error", 500, Unknown, "", true, &[(503, "")]),
];

#[tokio::test]
async fn every_name_of_a_refused_create_has_its_meaning() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (name, usual, end, failure, retryable, others) in NAMES {
        let mut row = table.row(name);
        let to = format!("{name}@refused.test");
        let refused = Refused {
            path: "/v1/email",
            body: email(&to),
            to: &to,
            provider: "resend",
            http_status: usual,
            provider_code: json!(name),
            end,
            failure,
            retryable,
        };
        refused.check(&host, &acme, &mut row).await;
        for (status, failure) in others {
            let to = format!("{name}-{status}@example.com");
            host.fault(json!({"fault": "error_before", "status": status, "code": name, "to": to}))
                .await;
            let refused = Refused {
                body: email(&to),
                to: &to,
                http_status: *status,
                failure,
                provider_code: json!(name),
                ..refused
            };
            refused.check(&host, &acme, &mut row).await;
        }
    }
    table.end(21);
}

type StatusRow = (u16, End, &'static str, bool);

/// What an answer means by its HTTP status, where its name says nothing.
#[rustfmt::skip]
const STATUSES: [StatusRow; 18] = [
    (400, Rejected, "provider_error", false),
    (401, Unauthorized, "credentials_refused", false),
    (402, Rejected, "provider_error", false),
    (403, Rejected, "permission_denied", false),
    (404, Rejected, "not_found", false),
    (405, Rejected, "provider_error", false),
    (408, Unknown, "", true),
    // It may be about a first request with this key.
    (409, Unknown, "", true),
    (410, Rejected, "not_found", false),
    (413, Rejected, "provider_error", false),
    (422, Rejected, "provider_error", false),
    (429, Limited, "rate_limited", true),
    (451, Rejected, "provider_error", false),
    (500, Unknown, "", true),
    (501, Unknown, "", true),
    (502, Unknown, "", true),
    (503, Unknown, "", true),
    (504, Unknown, "", true),
];

#[tokio::test]
async fn an_unknown_name_leaves_the_word_to_the_http_status() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (status, end, failure, retryable) in STATUSES {
        let to = format!("new-{status}@example.com");
        host.fault(
            json!({"fault": "error_before", "status": status, "code": "something_new", "to": to}),
        )
        .await;
        let refused = Refused {
            path: "/v1/email",
            body: email(&to),
            to: &to,
            provider: "resend",
            http_status: status,
            provider_code: json!("something_new"),
            end,
            failure,
            retryable,
        };
        refused.check(&host, &acme, &mut table.row(status)).await;
    }
    table.end(18);
}

/// A refusal whose body is a web page; with 403 it is the edge before the API that answered.
#[tokio::test]
async fn a_refusal_that_is_no_json_is_judged_by_its_status() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (name, status, end, failure, retryable) in [
        (
            "invalid_idempotency_key",
            400,
            Rejected,
            "provider_error",
            false,
        ),
        ("not_found", 404, Rejected, "not_found", false),
        ("method_not_allowed", 405, Rejected, "provider_error", false),
        ("invalid_idempotent_request", 409, Unknown, "", true),
        (
            "missing_required_field",
            422,
            Rejected,
            "provider_error",
            false,
        ),
        ("rate_limit_exceeded", 429, Limited, "rate_limited", true),
        ("security_error", 451, Rejected, "provider_error", false),
        ("application_error", 500, Unknown, "", true),
    ] {
        let to = format!("{name}@refused.test");
        host.fault(json!({"fault": "wrong_content_type", "to": to}))
            .await;
        let refused = Refused {
            path: "/v1/email",
            body: email(&to),
            to: &to,
            provider: "resend",
            http_status: status,
            provider_code: Value::Null,
            end,
            failure,
            retryable,
        };
        refused.check(&host, &acme, &mut table.row(name)).await;
    }
    let mut body = email("edge@example.org");
    body["from_email"] = json!("hello@unverified.example.org");
    host.fault(json!({"fault": "wrong_content_type", "to": "edge@example.org"}))
        .await;
    let refused = Refused {
        path: "/v1/email",
        body,
        to: "edge@example.org",
        provider: "resend",
        http_status: 403,
        provider_code: Value::Null,
        end: Rejected,
        failure: "security_blocked",
        retryable: false,
    };
    refused.check(&host, &acme, &mut table.row("edge")).await;
    table.end(9);
}

#[tokio::test]
async fn errors_that_the_account_brings_about_are_understood_too() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    let unverified = "hello@unverified.example.org";
    let trial = "onboarding@resend.dev";
    for (name, change, from, provider_code, http_status, end, failure, retryable) in [
        (
            "unverified sender",
            json!({}),
            Some(unverified),
            "validation_error",
            403,
            Rejected,
            "permission_denied",
            false,
        ),
        (
            "trial sender",
            json!({}),
            Some(trial),
            "validation_error",
            403,
            Rejected,
            "permission_denied",
            false,
        ),
        (
            "rate",
            json!({"resend_rate_limit": 0}),
            None,
            "rate_limit_exceeded",
            429,
            Limited,
            "rate_limited",
            true,
        ),
        (
            "day",
            json!({"resend_rate_limit": 1_000, "resend_quota": "daily_exceeded"}),
            None,
            "daily_quota_exceeded",
            429,
            Limited,
            "quota_exceeded",
            true,
        ),
        (
            "month",
            json!({"resend_quota": "monthly_exceeded"}),
            None,
            "monthly_quota_exceeded",
            429,
            Limited,
            "quota_exceeded",
            true,
        ),
    ] {
        host.control(Method::PUT, "/_sandbox/config", Some(change))
            .await;
        let to = format!("{}@example.org", name.replace(' ', "-"));
        let mut body = email(&to);
        body["from_email"] = json!(from);
        let refused = Refused {
            path: "/v1/email",
            body,
            to: &to,
            provider: "resend",
            http_status,
            provider_code: json!(provider_code),
            end,
            failure,
            retryable,
        };
        refused.check(&host, &acme, &mut table.row(name)).await;
    }
    table.end(5);
}

#[tokio::test]
async fn a_key_that_was_right_and_is_refused_later_frees_the_key() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    // As if the API key had been deleted at Resend since.
    host.fault(json!({"fault": "error_before", "code": "restricted_api_key", "method": "GET"}))
        .await;
    let again = connect(&host, WRONG_KEY, settings()).await;
    assert_eq!(
        again.json["warnings"].as_array().map(Vec::len),
        Some(1),
        "{again:?}"
    );
    let refused = Refused {
        path: "/v1/email",
        body: email("ada@example.com"),
        to: "ada@example.com",
        provider: "resend",
        http_status: 403,
        provider_code: json!("invalid_api_key"),
        end: Unauthorized,
        failure: "credentials_refused",
        retryable: false,
    };
    let mut table = Table::default();
    refused
        .check(&host, &acme, &mut table.row("deleted key"))
        .await;
    table.end(1);
    connect(&host, FULL_ACCESS_KEY, settings()).await;
    let sent = acme.post("/v1/email", email("ada@example.com")).await;
    assert_eq!(sent.status, 201, "{sent:?}");
}

/// A read that fails changes nothing, whatever it fails with.
#[tokio::test]
async fn a_read_that_resend_refuses_leaves_the_stored_email() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sent = acme.post("/v1/email", email("ada@example.com")).await;
    let path = format!("/v1/email/{}", sent.text("id"));
    let mut table = Table::default();
    for fault in [
        json!({"fault": "error_before", "code": "restricted_api_key"}),
        json!({"fault": "error_before", "code": "invalid_api_key"}),
        json!({"fault": "error_before", "code": "not_found"}),
        json!({"fault": "error_before", "code": "invalid_parameter"}),
        json!({"fault": "error_before", "code": "rate_limit_exceeded"}),
        json!({"fault": "error_before", "code": "application_error"}),
        json!({"fault": "error_before", "status": 502}),
        json!({"fault": "wrong_content_type"}),
        json!({"fault": "malformed_json"}),
        json!({"fault": "truncated_body"}),
        json!({"fault": "reset_before"}),
        json!({"fault": "huge_body"}),
    ] {
        let mut row = table.row(&fault);
        host.fault(fault).await;
        host.pass(Duration::from_secs(3));
        let read = acme.get(&path).await;
        row.equal("status", &read.status, &200);
        let expected =
            json!({"status": "queued", "failure": null, "version": sent.json["version"]});
        row.has("object", &read.json, &expected);
    }
    table.end(12);
    host.pass(Duration::from_secs(3));
    assert_eq!(acme.get(&path).await.text("status"), "delivered");
}
