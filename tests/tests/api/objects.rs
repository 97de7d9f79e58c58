//! What every object has.

use onerouter_tests::harness::Harness;
use serde_json::{Value, json};

#[tokio::test]
async fn every_object_has_what_all_objects_have() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sms = json!({"to": "+14155550123", "body": "Hi", "metadata": {"order": "17"}});
    let email = json!({"to": "Ada <ada@example.com>", "subject": "Hi", "text_body": "Hello"});
    for (path, body, prefix, second_id) in [
        ("/v1/sms", sms, "sms_", "message_id"),
        ("/v1/email", email, "em_", "email_id"),
    ] {
        let sent = acme.post(path, body.clone()).await;
        let id = sent.text("id");
        assert!(id.starts_with(prefix), "{id}");
        assert_eq!(sent.text(second_id), id);
        assert_eq!(path, format!("/v1/{}", sent.text("object")));
        assert_eq!(
            (sent.text("environment"), &sent.json["livemode"]),
            ("test", &json!(false))
        );
        assert_eq!(sent.text("provider"), sent.text("service"));
        assert_eq!(sent.text("status"), "queued");
        let metadata = body.get("metadata").cloned().unwrap_or_else(|| json!({}));
        assert_eq!(sent.json["metadata"], metadata);
        assert!(
            sent.json["version"]
                .as_u64()
                .is_some_and(|version| version > 0)
        );
        for field in ["failure", "send_at"] {
            assert_eq!(sent.json.get(field), Some(&Value::Null), "{field}");
        }
        let read = acme.get(&format!("{path}/{id}?refresh=false")).await;
        assert_eq!(read.json, sent.json);
        let listed = acme.get(path).await.json["data"][0].clone();
        for (field, value) in listed.as_object().unwrap() {
            assert_eq!(value, &sent.json[field], "{field}");
        }
    }
}

#[tokio::test]
async fn an_email_keeps_what_was_sent_without_the_files() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let body = json!({
        "to": ["Ada <ada@example.com>", "alan@example.com"], "cc": "carl@example.com", "bcc": [],
        "reply_to": null, "subject": "Hi", "html_body": "<p>é</p>", "text_body": "é",
        "headers": {"X-Order": "17"}, "tags": {"kind": "welcome"},
        "attachments": [{"filename": "a.txt", "content": "aGk=", "content_type": "text/plain"}],
    });
    let sent = acme.post("/v1/email", body.clone()).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    for field in ["to", "subject", "html_body", "text_body", "headers", "tags"] {
        assert_eq!(sent.json[field], body[field], "{field}");
    }
    assert_eq!(sent.json["cc"], json!(["carl@example.com"]));
    assert_eq!(
        (&sent.json["bcc"], &sent.json["reply_to"]),
        (&json!([]), &json!([]))
    );
    let file =
        json!({"filename": "a.txt", "content_type": "text/plain", "url": null, "size_bytes": 2});
    assert_eq!(sent.json["attachments"], json!([file]));
    // A list leaves the bodies out.
    let listed = acme.get("/v1/email").await.json["data"][0].clone();
    assert!(listed.get("html_body").is_none() && listed.get("text_body").is_none());
}
