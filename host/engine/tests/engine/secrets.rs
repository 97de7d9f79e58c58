//! A provider that echoes credentials in every way it can think of.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use onerouter_engine::Outcome;

use crate::host::{Host, TOKEN, connection, sabotage};
use crate::provider::{Received, Reply};

/// What no reader must be able to recover the secret from.
pub(crate) fn echoes(secret: &str) -> Vec<String> {
    let percent: String = secret.bytes().map(|b| format!("%{b:02X}")).collect();
    let unicode: String = secret.bytes().map(|b| format!("\\u{b:04x}")).collect();
    let mut echoes = vec![
        secret.to_owned(),
        percent.clone(),
        percent.to_ascii_lowercase(),
        unicode,
        secret.replace('/', "\\/"),
        secret.replace('&', "&amp;"),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        secret.bytes().map(|b| format!("{b:02x}")).collect(),
    ];
    for before in ["", "a", "ab", "user-1:"] {
        let text = format!("{before}{secret}");
        echoes.push(STANDARD.encode(&text));
        echoes.push(URL_SAFE.encode(&text));
        echoes.push(URL_SAFE_NO_PAD.encode(format!("{text}after")));
    }
    echoes
}

#[tokio::test]
async fn no_echo_of_a_secret_reaches_the_adapter_or_its_result() {
    for echo in echoes(TOKEN) {
        let body = format!(r#"{{"id":"m1","state":"queued","debug":"<{echo}>"}}"#);
        let header = if echo.starts_with("\\u") {
            String::new()
        } else {
            echo.clone()
        };
        let script = move |_: &Received| {
            Reply::AnswerWith(201, ("x-echo", format!("<{header}>")), body.clone())
        };
        let (report, _host) = sabotage("echo", script).await;
        let Outcome::Accepted(message) = report.outcome else {
            panic!("{echo}: {:?}", report.outcome);
        };
        let raw = message.raw.unwrap();
        assert!(!raw.contains(&echo), "{raw}");
        assert!(raw.contains("<[redacted]>"), "{echo}: {raw}");
        let sender = message.sender.unwrap();
        assert!(
            sender == "<[redacted]>" || sender == "<>",
            "{echo}: {sender}"
        );
    }
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let host = Host::new("saboteur", |_| Reply::created()).await;
    let report = host.send("auth-query").await;
    let printed = format!(
        "{report:?} {:?} {:?} {:?} {:?}",
        host.engine,
        host.adapter,
        host.connection,
        connection()
    );
    assert!(!printed.contains(TOKEN), "{printed}");
    assert!(!printed.contains("other-secret"), "{printed}");
}
