//! Faults on demand, by header and by rule.

use std::io::ErrorKind;

use onerouter_sandbox::twilio::{ACCOUNT_SID, AUTH_TOKEN, FROM_NUMBER};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::rig::{Answer, Rig, letter};

fn text(rig: &Rig) -> RequestBuilder {
    let form = [
        ("To", "+14155550123"),
        ("From", FROM_NUMBER),
        ("Body", "Hi"),
    ];
    rig.twilio(Method::POST, &rig.messages_url()).form(&form)
}

fn with_fault(request: RequestBuilder, fault: &str) -> RequestBuilder {
    request.header("X-Sandbox-Fault", fault)
}

#[tokio::test]
async fn a_reset_comes_before_or_after_the_effect() {
    let rig = Rig::start().await;
    for (fault, effects) in [("reset_before", 0), ("reset_after", 1)] {
        let error = with_fault(text(&rig), fault).send().await.unwrap_err();
        assert!(error.is_request(), "{error:?}");
        assert_eq!(rig.effects().await, effects, "{fault}");
    }
}

#[tokio::test]
async fn a_reset_is_one_on_the_wire() {
    let rig = Rig::start().await;
    let mut stream = TcpStream::connect(rig.sandbox.address()).await.unwrap();
    let request = "GET /resend/emails HTTP/1.1\r\nhost: x\r\nx-sandbox-fault: reset_after\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let error = stream.read_to_end(&mut answer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(answer.is_empty());
}

#[tokio::test]
async fn an_error_comes_before_or_after_the_effect_with_its_documented_body() {
    let rig = Rig::start().await;
    for (fault, status, code, effects) in [
        ("error_before; status=500", 500, 20500, 0),
        ("error_before; status=503", 503, 20503, 0),
        ("error_before; status=429", 429, 20429, 0),
        ("error_before; code=21730", 503, 21730, 0),
        ("error_before; status=404; code=21701", 404, 21701, 0),
        ("error_after; status=500", 500, 20500, 1),
    ] {
        rig.send(with_fault(text(&rig), fault))
            .await
            .assert_twilio_error(status, code);
        assert_eq!(rig.effects().await, effects, "{fault}");
    }
    let bare = rig
        .send(with_fault(text(&rig), "error_before; status=502"))
        .await;
    assert_eq!((bare.status, bare.body.get("code")), (502, None));
    let mail = || {
        rig.resend(Method::POST, "/emails")
            .json(&letter("ada@example.com"))
    };
    for (fault, status, name) in [
        ("error_before; status=500", 500, "internal_server_error"),
        ("error_before; status=503", 503, "application_error"),
        ("error_before; status=429", 429, "rate_limit_exceeded"),
        (
            "error_before; code=daily_quota_exceeded",
            429,
            "daily_quota_exceeded",
        ),
        (
            "error_before; status=403; code=validation_error",
            403,
            "validation_error",
        ),
        (
            "error_after; code=application_error",
            500,
            "application_error",
        ),
    ] {
        rig.send(with_fault(mail(), fault))
            .await
            .assert_resend_error(status, name);
    }
    assert_eq!(rig.effects().await, 2);
}

#[tokio::test]
async fn a_damaged_answer_follows_the_effect() {
    let rig = Rig::start().await;
    let malformed = rig.send(with_fault(text(&rig), "malformed_json")).await;
    assert_eq!(
        (malformed.status, malformed.header("content-type")),
        (201, "application/json")
    );
    assert!(malformed.text.starts_with('{') && malformed.body.is_null());

    let page = rig.send(with_fault(text(&rig), "wrong_content_type")).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (201, "text/html; charset=utf-8")
    );

    let huge = rig
        .send(with_fault(text(&rig), "huge_body; bytes=1000000"))
        .await;
    assert!(huge.text.len() > 1_000_000 && huge.body["sid"].is_string());

    let slow = rig
        .send(with_fault(text(&rig), "trickle_body; delay_ms=0"))
        .await;
    assert!(slow.body["sid"].is_string());

    let cut = with_fault(text(&rig), "truncated_body")
        .send()
        .await
        .unwrap();
    assert_eq!(cut.status(), 201);
    assert!(cut.bytes().await.is_err());
    assert_eq!(rig.effects().await, 5);
}

#[tokio::test]
async fn half_of_a_truncated_body_arrives() {
    let rig = Rig::start().await;
    let mut stream = TcpStream::connect(rig.sandbox.address()).await.unwrap();
    let request =
        "GET /resend/emails HTTP/1.1\r\nhost: x\r\nx-sandbox-fault: truncated_body\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // How the connection ends does not matter; that it ends early does.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "error co");
    assert!(head.contains("content-length: 16"), "{head}");
}

#[tokio::test]
async fn an_effect_comes_late_even_when_nobody_waits_for_it() {
    let rig = Rig::start().await;
    let impatient = text(&rig).timeout(std::time::Duration::from_millis(50));
    assert!(
        with_fault(impatient, "latency_before; delay_ms=200")
            .send()
            .await
            .unwrap_err()
            .is_timeout()
    );
    rig.effected(1).await;
    assert_eq!(rig.effects().await, 1);
}

#[tokio::test]
async fn a_rule_meets_whom_it_names_and_as_often_as_it_says() {
    let rig = Rig::start().await;
    rig.fault(json!({
        "fault": "error_before", "status": 500, "provider": "twilio", "method": "POST",
        "path_contains": "/Messages.json", "to": "+14155550123", "times": 2,
    }))
    .await;
    let send = async |to: &str| {
        rig.text(&[("To", to), ("From", FROM_NUMBER), ("Body", "Hi")])
            .await
            .status
    };
    assert_eq!(send("+14155550124").await, 201);
    assert_eq!(
        rig.send(rig.twilio(Method::GET, &rig.messages_url()))
            .await
            .status,
        200
    );
    assert_eq!(rig.mail(&letter("ada@example.com")).await.status, 200);
    let met = [
        send("+14155550123").await,
        send("+14155550123").await,
        send("+14155550123").await,
    ];
    assert_eq!(met, [500, 500, 201]);
}

#[tokio::test]
async fn a_rule_finds_the_recipients_of_emails_and_of_what_exists() {
    let rig = Rig::start().await;
    let id = rig.mail_to("Ada <ada@example.com>").await;
    let rule =
        json!({ "fault": "error_before", "status": 500, "to": "bob@example.com", "times": 0 });
    rig.fault(rule).await;
    assert_eq!(rig.mail(&letter("ada@example.com")).await.status, 200);
    assert_eq!(rig.mail(&letter("Bob <bob@example.com>")).await.status, 500);
    let batch = json!([letter("ada@example.com"), letter("bob@example.com")]);
    assert_eq!(
        rig.send(rig.resend(Method::POST, "/emails/batch").json(&batch))
            .await
            .status,
        500
    );
    assert_eq!(rig.email(&id).await["id"], id);
    let sid = rig.text_to("+14155550123").await;
    rig.fault(json!({ "fault": "error_before", "status": 503, "to": "+14155550123" }))
        .await;
    let read = rig
        .send(rig.twilio(Method::GET, &rig.message_url(&sid)))
        .await;
    assert_eq!(read.status, 503);
}

#[tokio::test]
async fn rules_are_listed_and_removed() {
    let rig = Rig::start().await;
    for times in [0, 3] {
        rig.fault(json!({ "fault": "error_before", "status": 500, "times": times }))
            .await;
    }
    assert_eq!(rig.send(text(&rig)).await.status, 500);
    let rules = rig.get("faults").await;
    let seen: Vec<_> = rules["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| (&rule["id"], &rule["met"]))
        .collect();
    assert_eq!(seen, [(&json!(1), &json!(1)), (&json!(2), &json!(0))]);
    let remove = |path: &'static str| rig.control(Method::DELETE, path, Value::Null);
    assert_eq!(remove("faults/1").await.status, 204);
    assert_eq!(remove("faults/1").await.status, 404);
    assert_eq!(remove("faults").await.status, 204);
    assert_eq!(rig.send(text(&rig)).await.status, 201);
}

#[tokio::test]
async fn an_unclear_fault_is_refused_loudly() {
    let rig = Rig::start().await;
    for rule in [
        json!({ "fault": "explode" }),
        json!({ "fault": "error_before" }),
        json!({ "fault": "error_before", "status": 200 }),
        json!({ "fault": "reset_after", "too": "+1" }),
    ] {
        assert_eq!(rig.control(Method::POST, "faults", rule).await.status, 400);
    }
    let Answer { status, body, .. } = rig.send(with_fault(text(&rig), "explode")).await;
    assert_eq!((status, body["sandbox_error"].is_string()), (400, true));
    assert_eq!(rig.effects().await, 0);
}

#[tokio::test]
async fn an_unwell_formed_credential_is_still_no_reason_to_skip_the_fault() {
    let rig = Rig::start().await;
    let request = rig
        .http
        .get(rig.messages_url())
        .basic_auth(ACCOUNT_SID, Some(format!("{AUTH_TOKEN}x")));
    let answer = rig
        .send(with_fault(request, "error_before; status=503"))
        .await;
    answer.assert_twilio_error(503, 20503);
}
