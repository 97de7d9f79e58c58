//! What an adapter asks for in order to see a credential, and what it is told.

use serde_json::json;

use crate::disguises::spied_on;
use crate::echo::Echo;

#[tokio::test]
async fn every_trick_is_refused_before_anything_is_sent() {
    let echo = Echo::start().await;
    let host = spied_on(&echo).await;
    let acme = host.key("test").await;
    let send = json!({"to": "+14155550123", "from_number": "+14155550100", "body": "tricks"});
    let sent = acme.post("/v1/sms", send).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let heard = sent.json["provider_data"]["heard"].as_array().unwrap();
    let lines: Vec<_> = heard.iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(lines.len(), 55, "{lines:#?}");
    insta::assert_snapshot!(lines.join("\n"));
    assert!(echo.echoes().is_empty() && echo.loot().is_empty());
    assert_eq!(echo.tokens(), 0);
}
