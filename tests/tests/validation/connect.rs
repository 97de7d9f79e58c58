//! The fields of a connection.

use onerouter_tests::harness::{Harness, Setup};
use serde_json::{Value, json};

use crate::cases::{mistakes, refuses};

const PATH: &str = "/api/services/sms/twilio/connect";

fn connect() -> Value {
    json!({
        "environment": "test", "label": "extra",
        "credentials": {"account_sid": format!("AC{:032}", 5), "auth_token": "t".repeat(32)},
    })
}

const CASES: &str = r#"
environment | null | /environment required
environment | "prod" | /environment invalid
environment | 1 | /environment invalid_type
credentials | null | /credentials required
credentials | "x" | /credentials invalid_type
credentials | {} | /credentials/account_sid required; /credentials/auth_token required
credentials | {"account_sid": "AC<32 5>", "auth_token": 5} | /credentials/auth_token invalid_type
credentials | {"account_sid": "AC<32 5>", "auth_token": "short"} | /credentials/auth_token invalid_length
credentials | {"account_sid": "AC<32 5>", "auth_token": "<16 t >"} | /credentials/auth_token invalid
credentials | {"account_sid": "nope", "auth_token": "<32 t>"} | /credentials/account_sid invalid
credentials | {"account_sid": "AC<32 5>", "auth_token": "<32 t>", "pass/word": "x"} | /credentials/pass~1word unknown_field
settings | [] | /settings invalid_type
settings | {"from_number": "a/b"} | /settings/from_number invalid
settings | {"colour": "red"} | /settings/colour unknown_field
label | "" | /label too_short
label | "<65 l>" | /label too_long
label | "my label" | /label invalid
name | "x" | /name unknown_field
"#;

async fn start() -> Harness {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    Harness::with(setup).await
}

#[tokio::test]
async fn every_rule_of_a_connection_is_named() {
    let host = start().await;
    refuses(&host.operator(), PATH, connect, CASES).await;
}

#[tokio::test]
async fn what_the_gateway_and_what_the_plugin_finds_wrong_comes_together_with_help() {
    let host = start().await;
    let operator = host.operator();
    let body = json!({
        "environment": "prod", "credentials": {"account_sid": "nope"},
        "settings": {"colour": "red"}, "name": "x",
    });
    let mut found = mistakes(&operator.post(PATH, body.clone()).await);
    found.sort_unstable();
    let all = [
        "/credentials/account_sid invalid",
        "/credentials/auth_token required",
        "/environment invalid",
        "/name unknown_field",
        "/settings/colour unknown_field",
    ];
    assert_eq!(found, all);

    let reply = operator.post(PATH, body).await;
    let help = reply.json["errors"].to_string();
    for part in ["Account SID", "console", "from_number"] {
        assert!(help.contains(part), "{part} in {help}");
    }
    let empty = operator.post(PATH, json!({})).await;
    assert_eq!(
        mistakes(&empty),
        ["/environment required", "/credentials required"]
    );
}
