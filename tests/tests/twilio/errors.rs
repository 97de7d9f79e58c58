//! What Twilio's error answers become.

use std::time::Duration;

use chrono::Utc;
use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::refused::{End, Refused};
use onerouter_tests::table::{Row, Table};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{account, connect, connected};

/// How the sandbox is brought to an error.
enum Way {
    /// By the recipient `+150058CCCCC`.
    Recipient,
    /// By one of Twilio's magic recipients.
    To(&'static str),
    /// By one of Twilio's magic senders.
    From(&'static str),
    /// By a fault with this status: the sandbox does not know the code, or knows another status.
    Fault(u16),
}

use End::{Limited, Rejected, Unauthorized, Unavailable, Unknown};
use Way::{Fault, From, Recipient, To};

type CodeRow = (u32, u16, End, &'static str, bool, &'static [Way]);

/// Code, its usual status, how the create ends, the failure's code, retryable, ways to get there.
#[rustfmt::skip]
const CODES: [CodeRow; 29] = [
    (10001, 400, Rejected, "account_suspended", false, &[Fault(400), Fault(403)]),
    (20003, 401, Unauthorized, "credentials_refused", false, &[Recipient]),
    (20005, 403, Rejected, "account_suspended", false, &[Fault(403), Fault(401)]),
    (20008, 403, Rejected, "permission_denied", false, &[Recipient]),
    (20009, 409, Rejected, "invalid_state", false, &[Recipient]),
    (20404, 404, Rejected, "not_found", false, &[Recipient]),
    (20429, 429, Limited, "rate_limited", true, &[Recipient]),
    (21211, 400, Rejected, "invalid_recipient", false, &[Recipient, To("+15005550001")]),
    (21212, 400, Rejected, "invalid_sender", false, &[Recipient, From("+15005550001")]),
    (21408, 400, Rejected, "region_not_enabled", false, &[Recipient, To("+15005550003"), Fault(403)]),
    (21602, 400, Rejected, "invalid_content", false, &[Recipient]),
    (21603, 400, Rejected, "invalid_sender", false, &[Recipient]),
    (21604, 400, Rejected, "invalid_recipient", false, &[Recipient]),
    (21606, 400, Rejected, "sender_not_allowed", false, &[Recipient, From("+15005550007"), From("+442071838750")]),
    (21608, 400, Rejected, "recipient_unverified", false, &[Recipient, Fault(403)]),
    (21610, 400, Rejected, "recipient_opted_out", false, &[Recipient, To("+15005550004")]),
    (21611, 429, Rejected, "queue_overflow", true, &[Recipient, From("+15005550008"), Fault(400)]),
    (21612, 400, Rejected, "recipient_unreachable", false, &[Recipient, To("+15005550002")]),
    (21614, 400, Rejected, "invalid_recipient", false, &[Recipient, To("+15005550009")]),
    (21617, 400, Rejected, "invalid_content", false, &[Recipient]),
    (21620, 400, Rejected, "invalid_content", false, &[Recipient]),
    (21623, 400, Rejected, "invalid_content", false, &[Recipient]),
    (21658, 400, Rejected, "invalid_content", false, &[Fault(400)]),
    (21701, 404, Rejected, "sender_not_allowed", false, &[Recipient]),
    (21730, 503, Unavailable, "provider_unavailable", true, &[Recipient, Fault(400), Fault(500)]),
    (30409, 409, Rejected, "invalid_state", false, &[Recipient]),
    (35111, 400, Rejected, "invalid_content", false, &[Recipient]),
    (35114, 400, Rejected, "invalid_content", false, &[Recipient]),
    (35118, 400, Rejected, "invalid_sender", false, &[Recipient]),
];

#[tokio::test]
async fn every_code_of_a_refused_create_has_its_meaning() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    let mut recipients = 0;
    for (code, status, end, failure, retryable, ways) in CODES {
        let mut row = table.row(code);
        for way in ways {
            recipients += 1;
            let mut to = format!("+1415556{recipients:04}");
            let mut body = json!({"body": "Hello"});
            let mut http_status = status;
            match way {
                Recipient => to = format!("+150058{code}"),
                To(magic) => (*magic).clone_into(&mut to),
                From(magic) => body["from_number"] = json!(magic),
                Fault(other) => {
                    http_status = *other;
                    host.fault(
                        json!({"fault": "error_before", "status": other, "code": code, "to": to}),
                    )
                    .await;
                }
            }
            body["to"] = json!(to);
            let refused = Refused {
                path: "/v1/sms",
                body,
                to: &to,
                provider: "twilio",
                http_status,
                provider_code: json!(code.to_string()),
                end,
                failure,
                retryable,
            };
            refused.check(&host, &acme, &mut row).await;
        }
    }
    table.end(29);
}

type StatusRow = (u16, End, &'static str, bool);

/// What an answer means by its HTTP status, where its code says nothing.
#[rustfmt::skip]
const STATUSES: [StatusRow; 18] = [
    (400, Rejected, "provider_error", false),
    (401, Unauthorized, "credentials_refused", false),
    (402, Rejected, "provider_error", false),
    (403, Rejected, "permission_denied", false),
    (404, Rejected, "not_found", false),
    (405, Rejected, "provider_error", false),
    (408, Unknown, "", true),
    (409, Rejected, "invalid_state", false),
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
async fn an_unknown_code_leaves_the_word_to_the_http_status() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (status, end, failure, retryable) in STATUSES {
        let mut row = table.row(status);
        // The sandbox has a code for these statuses; the others come without one.
        let has_code = [401, 404, 429, 500, 503].contains(&status);
        let mut codes = vec![Some(99_999)];
        if !has_code {
            codes.push(None);
        }
        for code in codes {
            let to = format!("+1415557{}{status}", u8::from(code.is_some()));
            let mut fault = json!({"fault": "error_before", "status": status, "to": to});
            if let Some(code) = code {
                fault["code"] = json!(code);
            }
            host.fault(fault).await;
            let refused = Refused {
                path: "/v1/sms",
                body: json!({"to": to, "body": "Hello"}),
                to: &to,
                provider: "twilio",
                http_status: status,
                provider_code: json!(code.map(|code| code.to_string())),
                end,
                failure,
                retryable,
            };
            refused.check(&host, &acme, &mut row).await;
        }
    }
    table.end(18);
}

/// Maintenance is believed to be "not sent" under the statuses that the manifest names only.
#[tokio::test]
async fn maintenance_under_an_undeclared_status_is_unknown() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for status in [404, 502, 504] {
        let to = format!("+14155580{status}");
        host.fault(json!({"fault": "error_before", "status": status, "code": 21730, "to": to}))
            .await;
        let refused = Refused {
            path: "/v1/sms",
            body: json!({"to": to, "body": "Hello"}),
            to: &to,
            provider: "twilio",
            http_status: status,
            provider_code: json!("21730"),
            end: Unknown,
            failure: "",
            retryable: true,
        };
        refused.check(&host, &acme, &mut table.row(status)).await;
    }
    table.end(3);
}

/// A refusal whose body is a web page: what stands before Twilio's API answered.
#[tokio::test]
async fn a_refusal_that_is_no_json_is_judged_by_its_status() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let mut table = Table::default();
    for (code, status, end, failure, retryable) in [
        (21211, 400, Rejected, "provider_error", false),
        (20008, 403, Rejected, "permission_denied", false),
        (21701, 404, Rejected, "not_found", false),
        (20009, 409, Rejected, "invalid_state", false),
        (21611, 429, Limited, "rate_limited", true),
        (20500, 500, Unknown, "", true),
        (21730, 503, Unknown, "", true),
    ] {
        let to = format!("+150058{code}");
        host.fault(json!({"fault": "wrong_content_type", "to": to}))
            .await;
        let refused = Refused {
            path: "/v1/sms",
            body: json!({"to": to, "body": "Hello"}),
            to: &to,
            provider: "twilio",
            http_status: status,
            provider_code: Value::Null,
            end,
            failure,
            retryable,
        };
        refused.check(&host, &acme, &mut table.row(status)).await;
    }
    table.end(7);
}

/// One refusal that no recipient, but the state of the account brings about.
async fn refused_by_itself(
    host: &Harness,
    acme: &Client,
    mut row: Row<'_>,
    refused: (u32, u16, End, &str, bool),
    body: Value,
) {
    let (code, http_status, end, failure, retryable) = refused;
    let to = body["to"].as_str().unwrap().to_owned();
    let refused = Refused {
        path: "/v1/sms",
        body,
        to: &to,
        provider: "twilio",
        http_status,
        provider_code: json!(code.to_string()),
        end,
        failure,
        retryable,
    };
    refused.check(host, acme, &mut row).await;
}

#[tokio::test]
async fn credentials_that_were_right_and_are_refused_later_free_the_key() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    // As if the token had been changed at Twilio since: the check at connecting finds no fault.
    host.fault(json!({"fault": "error_before", "status": 403, "code": 20008, "method": "GET"}))
        .await;
    let changed = account::with_token("00000000000000000000000000000000");
    let settings = json!({"from_number": onerouter_sandbox::twilio::FROM_NUMBER});
    let again = connect(&host, changed, settings.clone()).await;
    assert_eq!(
        again.json["warnings"].as_array().map(Vec::len),
        Some(1),
        "{again:?}"
    );
    let mut table = Table::default();
    let body = json!({"to": "+14155550123", "body": "Hello"});
    let refused = (20003, 401, Unauthorized, "credentials_refused", false);
    refused_by_itself(
        &host,
        &acme,
        table.row("changed token"),
        refused,
        body.clone(),
    )
    .await;
    table.end(1);
    // Put right, the same request goes through.
    connect(&host, account::ordinary(), settings).await;
    assert_eq!(acme.post("/v1/sms", body).await.status, 201);
}

#[tokio::test]
async fn errors_that_the_account_brings_about_are_understood_too() {
    let unknown_service = "MG0000000000000000000000000000dead";
    let (host, acme) = connected(json!({"messaging_service_sid": unknown_service})).await;
    let mut table = Table::default();
    let refused = (21701, 404, Rejected, "sender_not_allowed", false);
    let body = json!({"to": "+14155550123", "body": "Hello"});
    refused_by_itself(&host, &acme, table.row("no such service"), refused, body).await;

    let service = onerouter_sandbox::twilio::MESSAGING_SERVICE_SID;
    connect(
        &host,
        account::ordinary(),
        json!({"messaging_service_sid": service}),
    )
    .await;
    // Twilio's clock is ahead of ours: what lies 6 minutes ahead here has passed there.
    let send_at = Utc::now() + Duration::from_secs(360);
    host.sandbox_clock.advance(Duration::from_secs(600));
    let refused = (35114, 400, Rejected, "invalid_content", false);
    let body = json!({"to": "+14155550124", "body": "Hello", "send_at": send_at});
    refused_by_itself(&host, &acme, table.row("too early there"), refused, body).await;

    let none = json!({"twilio_concurrency": 0});
    host.control(Method::PUT, "/_sandbox/config", Some(none))
        .await;
    let refused = (20429, 429, Limited, "rate_limited", true);
    let body = json!({"to": "+14155550125", "body": "Hello"});
    refused_by_itself(&host, &acme, table.row("too many at once"), refused, body).await;
    table.end(3);
}

/// A read that fails changes nothing, whatever it fails with.
#[tokio::test]
async fn a_read_that_twilio_refuses_leaves_the_stored_message() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": "+14155550123", "body": "Hello"}))
        .await;
    let path = format!("/v1/sms/{}", sent.text("id"));
    let mut table = Table::default();
    for fault in [
        json!({"fault": "error_before", "code": 20003}),
        json!({"fault": "error_before", "code": 20008}),
        json!({"fault": "error_before", "code": 20404}),
        json!({"fault": "error_before", "code": 20429}),
        json!({"fault": "error_before", "code": 20500}),
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
        row.has(
            "object",
            &read.json,
            &json!({"status": "queued", "failure": null, "version": sent.json["version"]}),
        );
    }
    table.end(11);
    host.pass(Duration::from_secs(3));
    assert_eq!(acme.get(&path).await.text("status"), "delivered");
}
