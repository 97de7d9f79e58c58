//! What an adapter sends, end to end; what it may not is in `bypass`.

use crate::host::{OTHER, TOKEN, sabotage};
use crate::provider::{Received, Reply};

fn created(_: &Received) -> Reply {
    Reply::created()
}

#[tokio::test]
async fn each_credential_is_attached_in_its_own_way() {
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("user-1:{TOKEN}"));

    let (_, host) = sabotage("auth-basic", created).await;
    let expected = format!("Basic {basic}");
    assert_eq!(
        host.provider.only().header("authorization"),
        Some(expected.as_str())
    );

    let (_, host) = sabotage("auth-header", created).await;
    let received = host.provider.only();
    let expected = format!("Key {OTHER}");
    assert_eq!(received.header("x-api-key"), Some(expected.as_str()));
    assert_eq!(received.header("authorization"), None);

    let (_, host) = sabotage("auth-query", created).await;
    let expected = format!("/v1/messages?api_key={OTHER}");
    assert_eq!(host.provider.only().target, expected);

    let (_, host) = sabotage("auth-form", created).await;
    let received = host.provider.only();
    assert!(
        received.body.ends_with(&format!("&api_key={OTHER}")),
        "{}",
        received.body
    );
    assert_eq!(
        received.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );

    let (_, host) = sabotage("no-auth", created).await;
    assert_eq!(host.provider.only().header("authorization"), None);
}

#[tokio::test]
async fn the_ledger_shows_no_query() {
    let (report, _host) = sabotage("auth-query", created).await;
    assert_eq!(report.ledger[0].path, "/v1/messages");
}
