//! What goes to Twilio, field by field, and cancelling it.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use onerouter_sandbox::twilio::{
    ACCOUNT_SID, AUTH_TOKEN, FROM_NUMBER, MESSAGING_SERVICE_SID, SECOND_FROM_NUMBER,
};
use onerouter_tests::harness::Harness;
use onerouter_tests::table::Table;
use serde_json::{Value, json};

use crate::{account, connected, create_of, form};

const TO: &str = "+14155550123";
/// Everything that a form must escape, and characters of 1 to 4 bytes.
const TEXT: &str = "50% off & more = \"a+b\"?\n~*'() äöü ж € 😀";

fn pairs(form: &[(String, String)]) -> Vec<(&str, &str)> {
    form.iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn in_seconds(seconds: u64) -> DateTime<Utc> {
    (Utc::now() + Duration::from_secs(seconds)).trunc_subsecs(0)
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[tokio::test]
async fn every_field_goes_to_twilio_as_it_was_given() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let media = [
        "https://example.com/a%20b.jpg?size=1&x=%2B",
        "https://example.com/c.png",
    ];
    let body = json!({
        "to": TO, "body": TEXT, "from_number": SECOND_FROM_NUMBER, "media_urls": media,
        "provider": "twilio", "metadata": {"order": "kept-here"}, "idempotency_key": "kept-here-too",
    });
    let sent = acme.post("/v1/sms", body).await;
    assert_eq!(sent.status, 201, "{sent:?}");

    let create = create_of(&host, TO).await;
    assert_eq!(create["method"], "POST");
    assert_eq!(
        create["path"],
        format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json")
    );
    assert_eq!(create["query"], Value::Null);
    assert_eq!(
        pairs(&form(&create)),
        [
            ("To", TO),
            ("From", SECOND_FROM_NUMBER),
            ("Body", TEXT),
            ("MediaUrl", media[0]),
            ("MediaUrl", media[1]),
        ]
    );
    let raw = create["body"].as_str().unwrap();
    assert!(
        raw.starts_with("To=%2B14155550123&From=%2B12025550143&Body=50%25+off+%26+more+"),
        "{raw}"
    );
    assert!(raw.is_ascii(), "{raw}");
    let headers = &create["headers"];
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(headers["content-length"], raw.len().to_string());
    assert_eq!(headers["host"], "api.twilio.com");
    let ours = account::fingerprint(&host, ACCOUNT_SID, AUTH_TOKEN).await;
    assert_eq!(headers["authorization"], ours);
    // Twilio honours no key, so none is shown; the caller's pairs stay here.
    assert_eq!(headers["idempotency-key"], Value::Null);
    assert!(!create.to_string().contains("kept-here"), "{create}");

    let mut table = Table::default();
    table.row("answer").has("sms", &sent.json, &json!({
        "object": "sms", "provider": "twilio", "service": "twilio", "status": "queued",
        "environment": "test", "livemode": false, "to": TO, "body": TEXT,
        "from_number": SECOND_FROM_NUMBER, "media_urls": media, "send_at": null, "failure": null,
        "metadata": {"order": "kept-here"},
    }));
    table.end(1);
    assert_eq!(sent.json["message_id"], sent.json["id"]);
    assert_eq!(
        sent.json["provider_message_id"],
        sent.json["provider_data"]["sid"]
    );
    assert!(sent.text("provider_message_id").starts_with("MM"));
    assert_eq!(host.effects(TO).await, 1);
}

#[tokio::test]
async fn the_sender_is_the_messages_own_then_the_service_then_the_number() {
    let mut table = Table::default();
    let both = json!({"from_number": FROM_NUMBER, "messaging_service_sid": MESSAGING_SERVICE_SID});
    let service = json!({"messaging_service_sid": MESSAGING_SERVICE_SID});
    for (name, settings, own, expected) in [
        (
            "number",
            json!({"from_number": FROM_NUMBER}),
            None,
            ("From", FROM_NUMBER),
        ),
        (
            "service",
            service.clone(),
            None,
            ("MessagingServiceSid", MESSAGING_SERVICE_SID),
        ),
        (
            "both",
            both.clone(),
            None,
            ("MessagingServiceSid", MESSAGING_SERVICE_SID),
        ),
        (
            "own and both",
            both,
            Some(SECOND_FROM_NUMBER),
            ("From", SECOND_FROM_NUMBER),
        ),
        (
            "own alone",
            json!({}),
            Some(SECOND_FROM_NUMBER),
            ("From", SECOND_FROM_NUMBER),
        ),
    ] {
        let (host, acme) = connected(settings).await;
        let sent = acme
            .post(
                "/v1/sms",
                json!({"to": TO, "body": "Hello", "from_number": own}),
            )
            .await;
        let mut row = table.row(name);
        row.equal("status", &sent.status, &201);
        let form = form(&create_of(&host, TO).await);
        row.equal(
            "form",
            &pairs(&form),
            &vec![("To", TO), expected, ("Body", "Hello")],
        );
    }
    table.end(5);
}

#[tokio::test]
async fn without_any_sender_nothing_goes_out() {
    let (host, acme) = connected(json!({})).await;
    let refused = acme
        .post("/v1/sms", json!({"to": TO, "body": "Hello"}))
        .await;
    assert_eq!((refused.status, refused.code()), (422, "validation_failed"));
    assert_eq!(refused.pointers(), ["/from_number"]);
    assert!(
        host.provider_requests("provider=twilio&method=POST")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_scheduled_message_waits_at_twilio_and_is_delivered_in_time() {
    let (host, acme) = connected(json!({"messaging_service_sid": MESSAGING_SERVICE_SID})).await;
    let send_at = in_seconds(3_600);
    let body = json!({"to": TO, "body": "Hello", "send_at": send_at});
    let sent = acme.post("/v1/sms", body).await;
    assert_eq!((sent.status, sent.text("status")), (201, "scheduled"));
    let shown: DateTime<Utc> = sent.text("send_at").parse().unwrap();
    assert_eq!(shown, send_at);
    assert_eq!(
        pairs(&form(&create_of(&host, TO).await)),
        [
            ("To", TO),
            ("MessagingServiceSid", MESSAGING_SERVICE_SID),
            ("Body", "Hello"),
            ("ScheduleType", "fixed"),
            ("SendAt", rfc3339(send_at).as_str()),
        ]
    );
    let path = format!("/v1/sms/{}", sent.text("id"));
    for (seconds, status) in [(3_500, "scheduled"), (200, "delivered")] {
        host.pass(Duration::from_secs(seconds));
        assert_eq!(
            acme.get(&path).await.text("status"),
            status,
            "after {seconds} s more"
        );
    }
    assert_eq!(host.effects(TO).await, 1);
}

#[tokio::test]
async fn a_scheduled_message_with_its_own_number_names_the_service_too() {
    let (host, acme) = connected(json!({"messaging_service_sid": MESSAGING_SERVICE_SID})).await;
    let body = json!({"to": TO, "body": "Hello", "from_number": SECOND_FROM_NUMBER, "send_at": in_seconds(3_600)});
    let sent = acme.post("/v1/sms", body).await;
    assert_eq!((sent.status, sent.text("status")), (201, "scheduled"));
    assert_eq!(sent.text("from_number"), SECOND_FROM_NUMBER);
    let form = form(&create_of(&host, TO).await);
    assert!(pairs(&form).starts_with(&[
        ("To", TO),
        ("MessagingServiceSid", MESSAGING_SERVICE_SID),
        ("From", SECOND_FROM_NUMBER),
    ]));
}

#[tokio::test]
async fn a_schedule_that_twilio_does_not_know_is_refused_here_and_frees_the_key() {
    let mut table = Table::default();
    for (name, settings, seconds, code) in [
        (
            "no service",
            json!({"from_number": FROM_NUMBER}),
            3_600,
            "unsupported",
        ),
        (
            "too soon",
            json!({"messaging_service_sid": MESSAGING_SERVICE_SID}),
            290,
            "out_of_range",
        ),
        (
            "too late",
            json!({"messaging_service_sid": MESSAGING_SERVICE_SID}),
            35 * 86_400 + 60,
            "out_of_range",
        ),
    ] {
        let mut row = table.row(name);
        let (host, acme) = connected(settings).await;
        let acme = acme.with("Idempotency-Key", "once");
        let late = json!({"to": TO, "body": "Hello", "send_at": in_seconds(seconds)});
        let refused = acme.post("/v1/sms", late).await;
        row.equal("status", &refused.status, &422);
        row.equal("code", &refused.json["code"], "validation_failed");
        let mistakes = json!([{"pointer": "/send_at", "code": code, "detail": refused.json["errors"][0]["detail"]}]);
        row.equal("errors", &refused.json["errors"], &mistakes);
        row.holds(
            "nothing went out",
            host.provider_requests("provider=twilio&method=POST")
                .await
                .is_empty(),
        );
        // The key is free for another request.
        let sent = acme
            .post("/v1/sms", json!({"to": TO, "body": "Hello"}))
            .await;
        row.equal("without the schedule", &sent.status, &201);
    }
    table.end(3);
}

#[tokio::test]
async fn a_message_that_still_waits_is_canceled_at_twilio() {
    let (host, acme) = connected(json!({"messaging_service_sid": MESSAGING_SERVICE_SID})).await;
    let mut table = Table::default();
    for (name, send_at, own) in [
        ("queued", None, Some(FROM_NUMBER)),
        ("accepted", None, None),
        ("scheduled", Some(in_seconds(3_600)), None),
    ] {
        let mut row = table.row(name);
        let body = json!({"to": TO, "body": "Hello", "send_at": send_at, "from_number": own});
        let sent = acme.post("/v1/sms", body).await;
        row.equal("theirs before", &sent.json["provider_data"]["status"], name);
        let cancel = acme.with("Idempotency-Key", &format!("cancel-{name}"));
        let path = format!("/v1/sms/{}/cancel", sent.text("id"));
        let canceled = cancel.post(&path, json!({})).await;
        row.equal("status", &canceled.status, &200);
        row.has(
            "sms",
            &canceled.json,
            &json!({"id": sent.json["id"], "status": "canceled", "failure": null}),
        );
        let filter = format!(
            "method=POST&path_contains={}",
            sent.text("provider_message_id")
        );
        let requests = host.provider_requests(&filter).await;
        row.equal("requests", &requests.len(), &1);
        row.equal("body", &requests[0]["body"], "Status=canceled");
        let again = cancel.post(&path, json!({})).await;
        row.holds("replayed", again.bytes == canceled.bytes);
        let fresh = acme.post(&path, json!({})).await;
        row.equal("a second cancel", &fresh.json["code"], "invalid_state");
        row.equal(
            "requests in the end",
            &host.provider_requests(&filter).await.len(),
            &1,
        );
    }
    table.end(3);
    host.pass(Duration::from_secs(7_200));
    let ledger = host.effects(TO).await;
    assert_eq!(ledger, 3, "accepted by Twilio, all of them canceled there");
}

#[tokio::test]
async fn a_cancel_that_comes_too_late_is_an_invalid_state() {
    let host = Harness::start().await;
    let acme = host.key("test").await;
    let sent = acme
        .post("/v1/sms", json!({"to": TO, "body": "Hello"}))
        .await;
    let path = format!("/v1/sms/{}", sent.text("id"));
    host.pass(Duration::from_secs(3));
    // We have not asked since: Twilio is the one who knows.
    let late = acme.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!((late.status, late.code()), (409, "invalid_state"));
    let provider = &late.json["provider"];
    assert_eq!(
        (&provider["code"], &provider["http_status"]),
        (&json!("30409"), &json!(409))
    );
    assert_eq!(late.json["id"], sent.json["id"]);
    host.pass(Duration::from_secs(3));
    assert_eq!(acme.get(&path).await.text("status"), "delivered");
    // Now we know ourselves.
    let calls = host
        .provider_requests("provider=twilio&method=POST")
        .await
        .len();
    let later = acme.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!((later.status, later.code()), (409, "invalid_state"));
    assert_eq!(later.json["provider"], Value::Null);
    assert_eq!(
        host.provider_requests("provider=twilio&method=POST")
            .await
            .len(),
        calls
    );
}
