//! A provider that repeats a token in every way it can think of.

use std::sync::atomic::{AtomicUsize, Ordering};

use onerouter_engine::{FaultKind, Outcome, UnknownReason};

use super::{accepted, granting, host, is_token_request};
use crate::provider::Reply;
use crate::secrets::echoes;

const FIRST: &str = "A21+/&first\\%41-0123456789~a";
const SECOND: &str = "A21/+&second\\%42-9876543210~b";

#[tokio::test]
async fn no_echo_of_a_token_reaches_the_adapter_or_its_result() {
    for echo in echoes(FIRST) {
        // A backslash, alone, is not JSON.
        let text = echo.replace('\\', "\\\\").replace('"', "\\\"");
        let is_escaped = echo.starts_with("\\u");
        let text = if is_escaped { echo.clone() } else { text };
        let body = format!(r#"{{"id":"m1","state":"queued","debug":"<{text}>"}}"#);
        let header = if is_escaped {
            String::new()
        } else {
            echo.clone()
        };
        let host = host(move |received| match is_token_request(received) {
            true => granting(FIRST),
            false => Reply::AnswerWith(201, ("x-echo", format!("<{header}>")), body.clone()),
        })
        .await;
        let message = accepted(host.send("echo").await);
        let raw = message.raw.unwrap();
        assert!(!raw.contains(&text), "{raw}");
        assert!(raw.contains("<[redacted]>"), "{echo}: {raw}");
        let sender = message.sender.unwrap();
        assert!(
            sender == "<[redacted]>" || sender == "<>",
            "{echo}: {sender}"
        );
    }
}

/// The token that was replaced is as secret as the one that replaced it, and the connection's own
/// secrets stay what they are.
#[tokio::test]
async fn every_token_of_a_call_is_looked_for() {
    let asked = AtomicUsize::new(0);
    let host = host(move |received| {
        if is_token_request(received) {
            return match asked.fetch_add(1, Ordering::SeqCst) {
                0 => granting(FIRST),
                _ => granting(SECOND),
            };
        }
        if received.header("authorization") == Some(&format!("Bearer {FIRST}")) {
            return Reply::Answer(401, String::new());
        }
        let [first, second] = [FIRST, SECOND].map(|token| serde_json::to_string(token).unwrap());
        let secret = crate::host::TOKEN;
        let body = format!(r#"{{"tokens":[{first},{second}],"secret":"{secret}"}}"#);
        Reply::Answer(201, body)
    })
    .await;
    let report = host.send("echo").await;
    let printed = format!("{report:?} {:?} {:?}", host.engine, host.adapter);
    for secret in [FIRST, SECOND] {
        for echo in echoes(secret) {
            assert!(!printed.contains(&echo), "{printed}");
        }
    }
    let message = accepted(report);
    assert_eq!(
        message.raw.as_deref(),
        Some(r#"{"tokens":["[redacted]","[redacted]"],"secret":"[redacted]"}"#)
    );
}

#[tokio::test]
async fn a_token_is_no_id() {
    let host = host(|received| match is_token_request(received) {
        true => granting("access-token-1"),
        false => Reply::Answer(
            201,
            r#"{"id":"access-token-1","state":"queued"}"#.to_owned(),
        ),
    })
    .await;
    // The adapter hears of a blot, which is an id like any other.
    let message = accepted(host.send("hello").await);
    assert_eq!(message.provider_id, "[redacted]");
}

/// A guest that knows a token, from wherever, cannot pass it on in the call that uses it.
#[tokio::test]
async fn what_an_adapter_says_is_searched_too() {
    let host = host(|received| match is_token_request(received) {
        true => granting("+15550002222"),
        false => Reply::Answer(201, r#"{"id":"m1","state":"+15550002222"}"#.to_owned()),
    })
    .await;
    let report = host.send("hello").await;
    let Outcome::Unknown(unknown) = &report.outcome else {
        panic!("{:?}", report.outcome);
    };
    let UnknownReason::Fault(fault) = &unknown.reason else {
        panic!("{unknown:?}");
    };
    assert_eq!(fault.kind, FaultKind::Malformed);
    assert!(!format!("{report:?}").contains("5550002222"), "{report:?}");
}
