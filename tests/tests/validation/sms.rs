//! The fields of a text message.

use onerouter_tests::harness::Harness;
use serde_json::{Map, Value, json};

use crate::cases::{mistakes, refuses, with};

pub fn sms() -> Value {
    json!({"to": "+14155550123", "body": "Hi"})
}

const CASES: &str = r#"
to | null | /to required
to | "" | /to invalid
to | "0415550123" | /to invalid
to | "+0415550123" | /to invalid
to | "+1 415 555 0123" | /to invalid
to | "+123456" | /to invalid
to | 14155550123 | /to invalid_type
to | ["+14155550123"] | /to invalid_type
body | null | /body required
body | "" | /body too_short
body | "<1601 é>" | /body too_long
body | "a\u0000b" | /body invalid
body | {"text": "Hi"} | /body invalid_type
from_number | "Shop!" | /from_number invalid
from_number | "" | /from_number invalid
from_number | 12345 | /from_number invalid_type
media_urls | "https://example.com/a.png" | /media_urls invalid_type
media_urls | 11 * "https://example.com/a.png" | /media_urls too_many
media_urls | ["https://example.com/a", "http://example.com/a"] | /media_urls/1 invalid
media_urls | ["https://me:pw@example.com/"] | /media_urls/0 invalid
media_urls | ["https://example.com/<2048 a>"] | /media_urls/0 invalid
media_urls | [5, null] | /media_urls/0 invalid_type; /media_urls/1 invalid_type
send_at | "tomorrow" | /send_at invalid
send_at | "2999-01-31" | /send_at invalid
send_at | "2999-02-30T09:30:00Z" | /send_at invalid
send_at | "2999-01-31T09:30:00" | /send_at invalid
send_at | "-0001-01-31T09:30:00Z" | /send_at invalid
send_at | 4000000000 | /send_at invalid_type
send_at | "2001-01-31T09:30:00Z" | /send_at out_of_range
provider | "Acme!" | /provider invalid
provider | "" | /provider invalid
provider | true | /provider invalid_type
metadata | [] | /metadata invalid_type
metadata | "a=b" | /metadata invalid_type
metadata | pairs 51 | /metadata too_many
metadata | {"a": 5} | /metadata/a invalid_type
metadata | {"a": null} | /metadata/a required
metadata | {"a b": "x"} | /metadata/a b invalid
metadata | {"": "x"} | /metadata/ invalid
metadata | {"a/b~c": "x"} | /metadata/a~1b~0c invalid
metadata | {"<65 k>": "x"} | /metadata/<65 k> invalid
metadata | {"a": "<501 v>", "b": "\u0000"} | /metadata/b invalid; /metadata/a too_long
notes | {"a b": "x"} | /notes/a b invalid
idempotency_key | "" | /idempotency_key invalid
idempotency_key | "<256 k>" | /idempotency_key invalid
idempotency_key | "schlüssel" | /idempotency_key invalid
idempotency_key | 5 | /idempotency_key invalid_type
colour | "red" | /colour unknown_field
a/b~c | null | /a~1b~0c unknown_field
To | "+14155550123" | /To unknown_field
"#;

#[tokio::test]
async fn every_rule_of_a_text_message_is_named() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    refuses(&acme, "/v1/sms", sms, CASES).await;
    assert_eq!(host.effects("+14155550123").await, 0);
}

#[tokio::test]
async fn every_mistake_of_a_request_is_named_at_once() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let body = json!({
        "to": "x", "body": 5, "from_number": "!", "media_urls": ["x"], "send_at": "x",
        "provider": "X", "metadata": {"": 1}, "notes": {}, "idempotency_key": "", "size": 2,
    });
    let reply = acme.post("/v1/sms", body).await;
    let mut pointers = reply.pointers();
    pointers.sort_unstable();
    let all = "/body /from_number /idempotency_key /media_urls/0 /metadata/ /notes /provider /send_at /size /to";
    assert_eq!(pointers.join(" "), all);
    assert_eq!(
        reply.text("detail"),
        "10 mistakes; each stands under errors."
    );
    assert_eq!(
        mistakes(&acme.post("/v1/sms", json!({})).await),
        ["/to required", "/body required"]
    );
}

#[tokio::test]
async fn values_at_the_limits_are_taken() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let metadata: Map<String, Value> = (0..50)
        .map(|n| (format!("{n:0>64}"), json!("é".repeat(500))))
        .collect();
    let body = json!({
        "to": "+14155550123", "body": "é".repeat(1_600), "metadata": metadata, "provider": null,
        "media_urls": null, "send_at": null, "idempotency_key": "k".repeat(255),
        "from_number": null, "notes": null,
    });
    let sent = acme.post("/v1/sms", body).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(sent.json["metadata"].as_object().unwrap().len(), 50);
}

#[tokio::test]
async fn metadata_and_notes_are_one_thing() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let pair = json!({"order": "17"});
    let both = with(with(sms(), "notes", pair.clone()), "metadata", json!({}));
    let refused = acme.post("/v1/sms", both).await;
    assert_eq!(mistakes(&refused), ["/notes conflict"]);

    // Also for a client that writes down every field it knows, set or not.
    for (own, other) in [("notes", "metadata"), ("metadata", "notes")] {
        for rest in [sms(), with(sms(), other, Value::Null)] {
            let sent = acme.post("/v1/sms", with(rest, own, pair.clone())).await;
            assert_eq!(sent.json["metadata"], pair, "{own}: {sent:?}");
        }
    }
}
