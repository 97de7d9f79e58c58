//! Requests that Twilio does not accept.

use onerouter_sandbox::twilio::{
    ACCOUNT_SID, API_KEY_SECRET, API_KEY_SID, AUTH_TOKEN, FROM_NUMBER, MESSAGING_SERVICE_SID,
    TEST_ACCOUNT_SID, TEST_AUTH_TOKEN,
};
use reqwest::Method;
use serde_json::json;

use crate::rig::Rig;

const TO: (&str, &str) = ("To", "+14155550123");
const FROM: (&str, &str) = ("From", FROM_NUMBER);
const BODY: (&str, &str) = ("Body", "Hi");
const SERVICE: (&str, &str) = ("MessagingServiceSid", MESSAGING_SERVICE_SID);
const FIXED: (&str, &str) = ("ScheduleType", "fixed");

#[tokio::test]
async fn each_mistake_has_its_code_and_leaves_no_effect() {
    let rig = Rig::start().await;
    let long = "a".repeat(1601);
    let eleven = [("MediaUrl", "https://example.com/a.png"); 11];
    let cases: &[(u64, &[(&str, &str)])] = &[
        (21604, &[FROM, BODY]),
        (21604, &[("To", ""), FROM, BODY]),
        (21211, &[("To", "4155550123"), FROM, BODY]),
        (21211, &[("To", "+1415555"), FROM, BODY]),
        (63007, &[("To", "whatsapp:+14155550123"), FROM, BODY]),
        (21603, &[TO, BODY]),
        (21212, &[TO, ("From", "nobody"), BODY]),
        (21606, &[TO, ("From", "+14155550199"), BODY]),
        (21606, &[TO, ("From", "12345"), BODY]),
        (
            21701,
            &[
                TO,
                ("MessagingServiceSid", "MG00000000000000000000000000000000"),
                BODY,
            ],
        ),
        (21602, &[TO, FROM]),
        (21617, &[TO, FROM, ("Body", &long)]),
        (21620, &[TO, FROM, ("MediaUrl", "not a url")]),
        (21609, &[TO, FROM, BODY, ("StatusCallback", "nowhere")]),
        (
            21609,
            &[
                TO,
                FROM,
                BODY,
                ("StatusCallback", "https://my_host.example.com/"),
            ],
        ),
        (20422, &[TO, FROM, BODY, ("ValidityPeriod", "0")]),
        (20422, &[TO, FROM, BODY, ("ValidityPeriod", "36001")]),
        (20422, &[TO, FROM, BODY, ("ContentRetention", "forget")]),
        (35111, &[TO, SERVICE, BODY, FIXED]),
        (
            35118,
            &[TO, FROM, BODY, FIXED, ("SendAt", "2026-01-15T13:00:00Z")],
        ),
        (35114, &[TO, SERVICE, BODY, FIXED, ("SendAt", "soon")]),
        (
            35114,
            &[TO, SERVICE, BODY, FIXED, ("SendAt", "2026-01-15T12:04:59Z")],
        ),
        (
            35114,
            &[TO, SERVICE, BODY, FIXED, ("SendAt", "2026-02-19T12:00:01Z")],
        ),
        (
            20422,
            &[TO, SERVICE, BODY, ("SendAt", "2026-01-15T13:00:00Z")],
        ),
        (21211, &[("To", "+15005550001"), FROM, BODY]),
        (21612, &[("To", "+15005550002"), FROM, BODY]),
        (21408, &[("To", "+15005550003"), FROM, BODY]),
        (21610, &[("To", "+15005550004"), FROM, BODY]),
        (21614, &[("To", "+15005550009"), FROM, BODY]),
        (21212, &[TO, ("From", "+15005550001"), BODY]),
        (21606, &[TO, ("From", "+15005550007"), BODY]),
    ];
    for (code, form) in cases {
        let status = if *code == 21701 { 404 } else { 400 };
        rig.text(form).await.assert_twilio_error(status, *code);
    }
    rig.text(&[TO, ("From", "+15005550008"), BODY])
        .await
        .assert_twilio_error(429, 21611);
    let crowded: Vec<_> = [TO, FROM].into_iter().chain(eleven).collect();
    rig.text(&crowded).await.assert_twilio_error(400, 21623);
    assert_eq!(rig.effects().await, 0);
}

#[tokio::test]
async fn every_known_code_can_be_had_from_its_number() {
    let rig = Rig::start().await;
    let guide = rig.get("").await;
    let codes = guide["providers"]["twilio"]["error codes"]
        .as_array()
        .unwrap();
    assert!(codes.len() > 25);
    for code in codes {
        let to = format!("+150058{code}");
        let answer = rig.text(&[("To", &to), FROM, BODY]).await;
        answer.assert_twilio_error(answer.status, code.as_u64().unwrap());
        assert!(answer.status >= 400);
    }
    for (code, status) in [(20429, 429), (20500, 500), (21730, 503), (21608, 400)] {
        rig.text(&[("To", &format!("+150058{code}")), FROM, BODY])
            .await
            .assert_twilio_error(status, code);
    }
    assert_eq!(rig.effects().await, 0);
}

#[tokio::test]
async fn only_forms_have_parameters() {
    let rig = Rig::start().await;
    let body = json!({ "To": "+14155550123", "From": FROM_NUMBER, "Body": "Hi" });
    let answer = rig
        .send(rig.twilio(Method::POST, &rig.messages_url()).json(&body))
        .await;
    answer.assert_twilio_error(400, 21604);
}

#[tokio::test]
async fn credentials_must_fit_the_account() {
    let rig = Rig::start().await;
    let url = rig.messages_url();
    let request = || rig.http.get(&url);
    for bad in [
        request(),
        request().bearer_auth(AUTH_TOKEN),
        request().basic_auth(ACCOUNT_SID, Some("wrong")),
        request().basic_auth(ACCOUNT_SID, Some(TEST_AUTH_TOKEN)),
        request().basic_auth(API_KEY_SID, Some(AUTH_TOKEN)),
        // Good credentials of another account.
        request().basic_auth(TEST_ACCOUNT_SID, Some(TEST_AUTH_TOKEN)),
    ] {
        let answer = rig.send(bad).await;
        answer.assert_twilio_error(401, 20003);
        assert!(answer.header("www-authenticate").starts_with("Basic"));
    }
    for good in [
        request().basic_auth(ACCOUNT_SID, Some(AUTH_TOKEN)),
        request().basic_auth(API_KEY_SID, Some(API_KEY_SECRET)),
    ] {
        assert_eq!(rig.send(good).await.status, 200);
    }
}

#[tokio::test]
async fn the_account_can_be_read_but_not_with_a_standard_api_key() {
    let rig = Rig::start().await;
    let url = rig.url(&format!("/twilio/2010-04-01/Accounts/{ACCOUNT_SID}.json"));
    let answer = rig.send(rig.twilio(Method::GET, &url)).await;
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (200, &"active".into())
    );
    let by_key = rig
        .http
        .get(&url)
        .basic_auth(API_KEY_SID, Some(API_KEY_SECRET));
    rig.send(by_key).await.assert_twilio_error(401, 20003);
}

#[tokio::test]
async fn test_credentials_only_create_messages() {
    let rig = Rig::start().await;
    let messages = rig.url(&format!(
        "/twilio/2010-04-01/Accounts/{TEST_ACCOUNT_SID}/Messages"
    ));
    let request = |method, url: &str| {
        rig.http
            .request(method, url)
            .basic_auth(TEST_ACCOUNT_SID, Some(TEST_AUTH_TOKEN))
    };
    let create = async |form: &[(&str, &str)]| {
        rig.send(request(Method::POST, &format!("{messages}.json")).form(form))
            .await
    };
    let created = create(&[TO, ("From", "+15005550006"), BODY]).await;
    assert_eq!(
        (created.status, &created.body["status"]),
        (201, &"queued".into()),
        "{}",
        created.text
    );
    let sid = created.body["sid"].as_str().unwrap();
    for (method, url) in [
        (Method::GET, format!("{messages}.json")),
        (Method::GET, format!("{messages}/{sid}.json")),
        (Method::POST, format!("{messages}/{sid}.json")),
        (Method::DELETE, format!("{messages}/{sid}.json")),
        (Method::GET, format!("{messages}/{sid}/Media.json")),
    ] {
        rig.send(request(method, &url))
            .await
            .assert_twilio_error(403, 20008);
    }
    for (code, form) in [
        (21606, [TO, FROM, BODY]),
        (21603, [TO, SERVICE, BODY]),
        (21212, [TO, ("From", "+15005550001"), BODY]),
        (
            21610,
            [("To", "+15005550004"), ("From", "+15005550006"), BODY],
        ),
    ] {
        create(&form).await.assert_twilio_error(400, code);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let rig = Rig::start().await;
    let account = rig.url(&format!("/twilio/2010-04-01/Accounts/{ACCOUNT_SID}"));
    for (method, path, status, code) in [
        (
            Method::GET,
            "/Messages/SM00000000000000000000000000000000.json",
            404,
            20404,
        ),
        (
            Method::POST,
            "/Messages/SM00000000000000000000000000000000.json",
            404,
            20404,
        ),
        (
            Method::DELETE,
            "/Messages/SM00000000000000000000000000000000.json",
            404,
            20404,
        ),
        (
            Method::GET,
            "/Messages/SM00000000000000000000000000000000/Media.json",
            404,
            20404,
        ),
        (Method::GET, "/Calls.json", 404, 20404),
        (Method::PUT, "/Messages.json", 405, 20004),
    ] {
        rig.send(rig.twilio(method, &format!("{account}{path}")))
            .await
            .assert_twilio_error(status, code);
    }
    let elsewhere = rig.twilio(Method::GET, &rig.url("/twilio/2010-04-01/Things.json"));
    rig.send(elsewhere).await.assert_twilio_error(404, 20404);
    let xml = rig
        .send(rig.twilio(Method::GET, &format!("{account}/Messages")))
        .await;
    assert_eq!(
        (xml.status, xml.header("content-type")),
        (404, "application/xml")
    );
    assert!(xml.text.contains("<Code>20404</Code>"), "{}", xml.text);
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused() {
    let rig = Rig::start().await;
    rig.configure(json!({ "twilio_concurrency": 1 })).await;
    rig.fault(json!({ "fault": "latency_before", "delay_ms": 1500 }))
        .await;
    let (slow, refused) = tokio::join!(rig.text(&[TO, FROM, BODY]), async {
        rig.received(1).await;
        rig.text(&[TO, FROM, BODY]).await
    });
    refused.assert_twilio_error(429, 20429);
    assert_eq!(refused.header("twilio-concurrent-requests"), "2");
    assert_eq!(slow.status, 201);
    assert_eq!(rig.text(&[TO, FROM, BODY]).await.status, 201);
    assert_eq!(rig.effects().await, 2);
}
