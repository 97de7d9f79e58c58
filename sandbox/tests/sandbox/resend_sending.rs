//! Sending e-mails one by one and in batches, reading and listing them.

use onerouter_sandbox::resend::FROM_EMAIL;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Answer, Rig, letter, with};

async fn batch(rig: &Rig, emails: &Value, mode: Option<&'static str>) -> Answer {
    let mut request = rig.resend(Method::POST, "/emails/batch").json(emails);
    if let Some(mode) = mode {
        request = request.header("x-batch-validation", mode);
    }
    rig.send(request).await
}

#[tokio::test]
async fn a_sent_email_is_read_back_with_the_documented_fields() {
    let rig = Rig::start().await;
    let sent = rig
        .mail(&json!({
            "from": FROM_EMAIL,
            "to": ["Ada <ada@example.org>", "bob@example.org"],
            "subject": "Hi",
            "html": "<p>Hello</p>",
            "text": "Hello",
            "cc": "cc@example.org",
            "bcc": ["bcc@example.org"],
            "reply_to": "reply@example.org",
            "headers": { "X-Thing": "1" },
            "tags": [{ "name": "kind", "value": "welcome_1" }],
            "attachments": [{ "filename": "a.txt", "content": "SGVsbG8=" }, { "path": "https://example.org/b.pdf" }],
        }))
        .await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let id = sent.body["id"].as_str().unwrap();
    assert_eq!(sent.body, json!({ "id": id }));
    let expected = json!({
        "object": "email",
        "id": id,
        "message_id": format!("<{id}@email.example.com>"),
        "to": ["Ada <ada@example.org>", "bob@example.org"],
        "from": FROM_EMAIL,
        "created_at": "2026-01-15 12:00:00.000000+00",
        "subject": "Hi",
        "html": "<p>Hello</p>",
        "text": "Hello",
        "bcc": ["bcc@example.org"],
        "cc": ["cc@example.org"],
        "reply_to": ["reply@example.org"],
        "last_event": "queued",
        "scheduled_at": null,
    });
    assert_eq!(rig.email(id).await, expected);
}

#[tokio::test]
async fn the_last_event_moves_over_the_delivery_time() {
    let rig = Rig::start().await;
    let id = rig.mail_to("ada@example.com").await;
    for (after, event) in [
        (0, "queued"),
        (3, "sent"),
        (3, "delivered"),
        (3600, "delivered"),
    ] {
        rig.advance(after).await;
        assert_eq!(rig.last_event(&id).await, event);
    }
}

#[tokio::test]
async fn special_recipients_bring_about_every_event() {
    let rig = Rig::start().await;
    for (to, last) in [
        ("delivered@resend.dev", "delivered"),
        ("bounced@resend.dev", "bounced"),
        ("complained@resend.dev", "complained"),
        ("suppressed@resend.dev", "suppressed"),
        ("bounced+label@resend.dev", "bounced"),
        ("Someone <bounced@resend.dev>", "bounced"),
        ("queued@sandbox.test", "queued"),
        ("sent@sandbox.test", "sent"),
        ("delivered@sandbox.test", "delivered"),
        ("delivery_delayed@sandbox.test", "delivery_delayed"),
        ("bounced@sandbox.test", "bounced"),
        ("complained@sandbox.test", "complained"),
        ("opened@sandbox.test", "opened"),
        ("clicked@sandbox.test", "clicked"),
        ("failed@sandbox.test", "failed"),
        ("suppressed@sandbox.test", "suppressed"),
        ("canceled@sandbox.test", "canceled"),
    ] {
        let id = rig.mail_to(to).await;
        assert_eq!(rig.last_event(&id).await, "queued", "{to}");
        rig.advance(6).await;
        assert_eq!(rig.last_event(&id).await, last, "{to}");
    }
}

#[tokio::test]
async fn a_complaint_comes_after_the_delivery() {
    let rig = Rig::start().await;
    let id = rig.mail_to("complained@resend.dev").await;
    for (after, event) in [(2, "sent"), (2, "delivered"), (2, "complained")] {
        rig.advance(after).await;
        assert_eq!(rig.last_event(&id).await, event);
    }
}

#[tokio::test]
async fn a_batch_answers_in_order() {
    let rig = Rig::start().await;
    let answer = batch(
        &rig,
        &json!([letter("a@example.org"), letter("b@example.org")]),
        None,
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["errors"], Value::Null);
    let ids: Vec<&str> = answer.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|email| email["id"].as_str().unwrap())
        .collect();
    for (id, to) in ids.iter().zip(["a@example.org", "b@example.org"]) {
        assert_eq!(rig.email(id).await["to"], json!([to]));
    }
    assert_eq!(rig.effects().await, 2);
}

#[tokio::test]
async fn a_strict_batch_is_all_or_nothing() {
    let rig = Rig::start().await;
    let emails = json!([
        letter("a@example.org"),
        with(letter("b@example.org"), json!({ "subject": null }))
    ]);
    for mode in [None, Some("strict")] {
        batch(&rig, &emails, mode)
            .await
            .assert_resend_error(422, "missing_required_field");
    }
    assert_eq!(rig.effects().await, 0);
}

#[tokio::test]
async fn a_permissive_batch_sends_the_good_ones_and_names_the_others() {
    let rig = Rig::start().await;
    let emails = json!([
        letter("a@example.org"),
        with(letter("b@example.org"), json!({ "to": null })),
        letter("not an address"),
        letter("d@example.org"),
    ]);
    let answer = batch(&rig, &emails, Some("permissive")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["data"].as_array().unwrap().len(), 2);
    let errors = answer.body["errors"].as_array().unwrap();
    let indexes: Vec<&Value> = errors.iter().map(|error| &error["index"]).collect();
    assert_eq!(indexes, [1, 2]);
    assert_eq!(errors[0]["message"], "Missing `to` field.");
    assert_eq!(rig.effects().await, 2);
}

#[tokio::test]
async fn a_batch_drops_attachments_and_schedules() {
    let rig = Rig::start().await;
    let extras = json!({ "scheduled_at": "in 1 hour", "attachments": [{ "filename": "x" }] });
    let answer = batch(&rig, &json!([with(letter("a@example.org"), extras)]), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let email = rig
        .email(answer.body["data"][0]["id"].as_str().unwrap())
        .await;
    assert_eq!(
        (&email["scheduled_at"], &email["last_event"]),
        (&Value::Null, &"queued".into())
    );
}

#[tokio::test]
async fn a_batch_has_its_bounds() {
    let rig = Rig::start().await;
    let letters = |count| Value::Array(vec![letter("a@example.org"); count]);
    for (emails, mode) in [
        (letters(0), None),
        (letters(101), None),
        (letters(101), Some("permissive")),
        (letter("a@example.org"), None),
        (letters(1), Some("lenient")),
    ] {
        batch(&rig, &emails, mode)
            .await
            .assert_resend_error(422, "validation_error");
    }
    assert_eq!(batch(&rig, &letters(100), None).await.status, 200);
    assert_eq!(rig.effects().await, 100);
}

#[tokio::test]
async fn a_list_is_walked_in_both_directions() {
    let rig = Rig::start().await;
    let mut newest_first = Vec::new();
    for _ in 0..5 {
        newest_first.insert(0, rig.mail_to("ada@example.com").await);
    }
    let list = async |query: &[(&str, &str)]| {
        let answer = rig
            .send(rig.resend(Method::GET, "/emails").query(query))
            .await;
        assert_eq!(
            (answer.status, &answer.body["object"]),
            (200, &"list".into()),
            "{}",
            answer.text
        );
        let data = answer.body["data"].as_array().unwrap();
        let ids: Vec<String> = data
            .iter()
            .map(|email| email["id"].as_str().unwrap().to_owned())
            .collect();
        (ids, answer.body["has_more"].as_bool().unwrap())
    };
    assert_eq!(list(&[]).await, (newest_first.clone(), false));
    assert_eq!(
        list(&[("limit", "2")]).await,
        (newest_first[..2].to_vec(), true)
    );
    let after = [("limit", "2"), ("after", newest_first[1].as_str())];
    assert_eq!(list(&after).await, (newest_first[2..4].to_vec(), true));
    let last = [("limit", "2"), ("after", newest_first[3].as_str())];
    assert_eq!(list(&last).await, (newest_first[4..].to_vec(), false));
    let before = [("limit", "2"), ("before", newest_first[3].as_str())];
    assert_eq!(list(&before).await, (newest_first[1..3].to_vec(), true));
}
