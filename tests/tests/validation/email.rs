//! The fields of an e-mail, and of a batch.

use onerouter_tests::harness::Harness;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cases::{mistakes, refuses, with};

fn email() -> Value {
    json!({"to": "ada@example.com", "subject": "Hi", "text_body": "Hello"})
}

const CASES: &str = r#"
to | null | /to required
to | [] | /to required
to | 5 | /to invalid_type
to | "ada" | /to invalid
to | ["ada@example.com", "x", 5] | /to/1 invalid; /to/2 invalid_type
to | 51 * "ada@example.com" | /to too_many
subject | null | /subject required
subject | "" | /subject too_short
subject | "<999 s>" | /subject too_long
subject | "Hi\r\nBcc: eve@example.com" | /subject invalid
text_body | null | /html_body required
text_body | "" | /html_body required
text_body | 5 | /text_body invalid_type
html_body | ["p"] | /html_body invalid_type
from_email | "me" | /from_email invalid
from_email | ["a@example.com"] | /from_email invalid_type
cc | "x" | /cc invalid
cc | {} | /cc invalid_type
bcc | ["x"] | /bcc/0 invalid
reply_to | false | /reply_to invalid_type
attachments | {} | /attachments invalid_type
attachments | 33 * {"filename": "a.txt", "content": "aGk="} | /attachments too_many
attachments | [5] | /attachments/0 invalid_type
attachments | [{}] | /attachments/0/content required; /attachments/0/filename required
attachments | [{"filename": "", "content": "aGk="}] | /attachments/0/filename too_short
attachments | [{"filename": "../a", "content": "aGk="}] | /attachments/0/filename invalid
attachments | [{"filename": "a", "content": "not base64"}] | /attachments/0/content invalid
attachments | [{"filename": "a", "content": 5}] | /attachments/0/content invalid_type
attachments | [{"filename": "a", "url": "http://a.example/"}] | /attachments/0/url invalid
attachments | [{"filename": "a", "url": 5}] | /attachments/0/url invalid_type
attachments | [{"filename": "a", "content": "aGk=", "url": "https://a.example/"}] | /attachments/0/url conflict
attachments | [{"filename": "a", "content": "aGk=", "content_type": "text"}] | /attachments/0/content_type invalid
attachments | [{"filename": "a", "content": "aGk=", "size": 2}] | /attachments/0/size unknown_field
headers | [] | /headers invalid_type
headers | pairs 51 | /headers too_many
headers | {"X Y": "1"} | /headers/X Y invalid
headers | {"X/Y:": "1"} | /headers/X~1Y: invalid
headers | {"Bcc": "eve@example.com"} | /headers/Bcc invalid
headers | {"X-A": "1\r\nBcc: eve@example.com"} | /headers/X-A invalid
headers | {"X-A": "1", "x-a": "2"} | /headers/x-a duplicate
headers | {"X-A": 1} | /headers/X-A invalid_type
tags | {"": "x"} | /tags/ invalid
tags | {"a~b/c": "<257 x>"} | /tags/a~0b~1c too_long
tags | {"a": ["x"]} | /tags/a invalid_type
send_at | "2999-02-30T00:00:00Z" | /send_at invalid
provider | "-" | /provider invalid
metadata | {"a": {}} | /metadata/a invalid_type
idempotency_key | "\u001f" | /idempotency_key invalid
html | "p" | /html unknown_field
"#;

#[tokio::test]
async fn every_rule_of_an_email_is_named() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    refuses(&acme, "/v1/email", email, CASES).await;
    assert_eq!(host.effects("ada@example.com").await, 0);
}

#[tokio::test]
async fn the_name_of_a_tag_has_no_control_characters() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    for name in ["a\u{0}b", "a\nb"] {
        let reply = acme
            .post("/v1/email", with(email(), "tags", json!({name: "x"})))
            .await;
        assert_eq!(mistakes(&reply), [format!("/tags/{name} invalid")]);
    }
}

#[tokio::test]
async fn a_mistake_hides_no_other() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let body = br#"{"cc": "x", "cc": "y", "html_body": 5}"#.to_vec();
    let reply = acme.send(Method::POST, "/v1/email", Some(body)).await;
    let mut found = mistakes(&reply);
    found.sort_unstable();
    let all = [
        "/cc duplicate",
        "/cc invalid",
        "/html_body invalid_type",
        "/subject required",
        "/to required",
    ];
    assert_eq!(found, all);
    let reply = acme.post("/v1/email", json!({})).await;
    assert_eq!(
        mistakes(&reply),
        ["/to required", "/subject required", "/html_body required"]
    );
}

#[tokio::test]
async fn values_at_the_limits_are_taken() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let file = json!({
        "filename": "f".repeat(255), "content": "aGk=", "content_type": "text/plain; charset=utf-8",
    });
    let body = json!({
        "to": vec!["ada@example.com"; 50], "subject": "s".repeat(998), "html_body": "<p>Hi</p>",
        "headers": {"X-Order": "v".repeat(998)}, "tags": {"order": "17"}, "attachments": [file],
    });
    let sent = acme.post("/v1/email", body).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(sent.json["attachments"][0]["size_bytes"], 2);
    assert!(sent.json["attachments"][0].get("content").is_none());
}

#[tokio::test]
async fn a_batch_has_rules_of_its_own_and_those_of_each_email() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let cases = "
emails | null | /emails required
emails | [] | /emails required
emails | \"x\" | /emails invalid_type
emails | 101 * {} | /emails too_many
dry | 1 | /dry unknown_field
idempotency_key | \"x\" | /idempotency_key unknown_field
";
    let base = || json!({"emails": [email()]});
    refuses(&acme, "/v1/email/batch", base, cases).await;

    let wrong = [
        email(),
        json!(5),
        with(email(), "to", json!("x")),
        with(email(), "tags", json!({"": "x"})),
    ];
    let reply = acme.post("/v1/email/batch", json!({"emails": wrong})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let data = reply.json["data"].as_array().unwrap();
    assert_eq!(data[0]["object"], "email");
    for (place, pointer) in [
        (1, "/emails/1"),
        (2, "/emails/2/to"),
        (3, "/emails/3/tags/"),
    ] {
        let errors = data[place]["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0]["pointer"], pointer);
    }
}
