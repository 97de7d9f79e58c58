//! Status callbacks.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_sandbox::twilio::{
    ACCOUNT_SID, AUTH_TOKEN, FROM_NUMBER, MESSAGING_SERVICE_SID, TEST_ACCOUNT_SID, TEST_AUTH_TOKEN,
};
use reqwest::Method;
use serde_json::json;
use sha1::Sha1;

use crate::{
    rig::Rig,
    webhook_rig::{Received, Receiver},
};

/// What a merchant computes: the URL, then each parameter's name and value, sorted by name.
fn signature(url: &str, form: &[(String, String)]) -> String {
    let mut sorted = form.to_vec();
    sorted.sort();
    let mut text = url.to_owned();
    for (name, value) in sorted {
        text.push_str(&name);
        text.push_str(&value);
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(AUTH_TOKEN.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

pub(crate) fn assert_signed(received: &Received, url: &str) {
    assert_eq!(
        received.header("x-twilio-signature"),
        signature(url, &received.form())
    );
}

/// Sends a message that tells its statuses to that URL; gives its SID.
async fn text_telling(rig: &Rig, to: &str, url: &str) -> String {
    let form = [
        ("To", to),
        ("From", FROM_NUMBER),
        ("Body", "Hi"),
        ("StatusCallback", url),
    ];
    let answer = rig.text(&form).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["sid"].as_str().unwrap().to_owned()
}

fn statuses(received: &[Received]) -> Vec<String> {
    let each = received.iter();
    each.map(|one| one.parameter("MessageStatus").unwrap())
        .collect()
}

#[tokio::test]
async fn every_status_after_the_first_is_posted_when_it_begins() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let url = receiver.url("/status?tenant=7&it=it%27s");
    let sid = text_telling(&rig, "+14155550123", &url).await;
    rig.settled().await;
    assert!(receiver.take().is_empty());
    for status in ["sending", "sent", "delivered"] {
        rig.advance_and_settle(2).await;
        let received = receiver.one();
        assert_eq!(received.method, "POST");
        assert_eq!(received.path, "/status?tenant=7&it=it%27s");
        assert_signed(&received, &url);
        let mut form = received.form();
        form.sort();
        let expected = [
            ("AccountSid", ACCOUNT_SID),
            ("ApiVersion", "2010-04-01"),
            ("From", FROM_NUMBER),
            ("MessageSid", &sid),
            ("MessageStatus", status),
            ("SmsSid", &sid),
            ("SmsStatus", status),
            ("To", "+14155550123"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(form, expected);
    }
    rig.advance_and_settle(3600).await;
    assert!(receiver.take().is_empty());
}

#[tokio::test]
async fn statuses_that_a_leap_of_the_clock_passes_are_told_in_their_order() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let url = receiver.url("/status");
    for _ in 0..5 {
        text_telling(&rig, "+14155550123", &url).await;
    }
    rig.advance_and_settle(60).await;
    let received = receiver.take();
    assert_eq!(received.len(), 15);
    for sid in received.iter().map(|one| one.parameter("MessageSid")) {
        let of_one = received
            .iter()
            .filter(|one| one.parameter("MessageSid") == sid);
        let of_one: Vec<Received> = of_one.cloned().collect();
        assert_eq!(statuses(&of_one), ["sending", "sent", "delivered"]);
    }
}

#[tokio::test]
async fn a_failure_tells_its_code() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let url = receiver.url("/status");
    for (to, last) in [("+15005530003", "undelivered"), ("+15005630003", "failed")] {
        text_telling(&rig, to, &url).await;
        rig.advance_and_settle(6).await;
        let received = receiver.take();
        let end = received.last().unwrap();
        assert_eq!(end.parameter("MessageStatus").unwrap(), last);
        assert_eq!(end.parameter("ErrorCode").unwrap(), "30003");
        assert_eq!(received[0].parameter("ErrorCode"), None);
    }
}

#[tokio::test]
async fn cancelling_and_forced_statuses_are_told_at_once() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let url = receiver.url("/status");
    let sid = text_telling(&rig, "+14155550123", &url).await;
    let request = rig.twilio(Method::POST, &rig.message_url(&sid));
    let canceled = rig.send(request.form(&[("Status", "canceled")])).await;
    assert_eq!(canceled.status, 200, "{canceled:?}");
    rig.advance_and_settle(60).await;
    assert_eq!(statuses(&receiver.take()), ["canceled"]);

    let sid = text_telling(&rig, "+14155550123", &url).await;
    let change = json!({ "status": "undelivered", "error_code": 30006 });
    let path = format!("messages/{sid}/status");
    rig.control(Method::POST, &path, change).await;
    rig.advance_and_settle(60).await;
    let received = receiver.one();
    assert_eq!(received.parameter("MessageStatus").unwrap(), "undelivered");
    assert_eq!(received.parameter("ErrorCode").unwrap(), "30006");
}

#[tokio::test]
async fn a_message_of_the_service_tells_where_the_service_says() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("twilio", receiver.url("/all"));
    let form = [
        ("To", "+14155550123"),
        ("MessagingServiceSid", MESSAGING_SERVICE_SID),
        ("Body", "Hi"),
    ];
    assert_eq!(rig.text(&form).await.status, 201);
    rig.advance_and_settle(60).await;
    let received = receiver.take();
    assert_eq!(
        statuses(&received),
        ["queued", "sending", "sent", "delivered"]
    );
    let service = received[0].parameter("MessagingServiceSid").unwrap();
    assert_eq!(service, MESSAGING_SERVICE_SID);
    // A plain number has no callback of its own.
    rig.text_to("+14155550123").await;
    rig.advance_and_settle(60).await;
    assert!(receiver.take().is_empty());
}

#[tokio::test]
async fn a_scheduled_message_is_silent_until_its_time() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let form = [
        ("To", "+14155550123"),
        ("MessagingServiceSid", MESSAGING_SERVICE_SID),
        ("Body", "Hi"),
        ("ScheduleType", "fixed"),
        ("SendAt", "2026-01-15T12:10:00Z"),
        ("StatusCallback", &receiver.url("/status")),
    ];
    assert_eq!(rig.text(&form).await.status, 201);
    rig.advance_and_settle(599).await;
    assert!(receiver.take().is_empty());
    rig.advance_and_settle(1).await;
    assert_eq!(statuses(&receiver.take()), ["queued"]);
}

#[tokio::test]
async fn only_a_failed_connection_is_tried_again_and_once() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let url = receiver.url("/status");
    rig.fault(json!({ "fault": "webhook_fail", "event": "sending", "times": 1 }))
        .await;
    text_telling(&rig, "+14155550123", &url).await;
    rig.advance_and_settle(2).await;
    receiver.one();
    let attempts = rig.attempts();
    assert_eq!(attempts.len(), 2);
    assert!(attempts[0].error.is_some() && attempts[0].next_attempt_at.is_some());
    assert_eq!((attempts[1].attempt, attempts[1].status), (2, Some(204)));
    let token = |index: usize| &attempts[index].headers["i-twilio-idempotency-token"];
    assert_eq!(token(0), token(1));

    rig.fault(json!({ "fault": "webhook_fail", "event": "sent", "times": 0 }))
        .await;
    rig.advance_and_settle(2).await;
    assert!(receiver.take().is_empty());
    assert_eq!(rig.attempts().len(), 4);

    receiver.answer(&[500]);
    rig.advance_and_settle(2).await;
    receiver.one();
    assert_eq!(rig.attempts().len(), 5);
}

#[tokio::test]
async fn a_fragment_overrides_retries_and_is_not_sent() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    for (fragment, answers, attempts) in [
        ("rc=0", &[][..], 1),
        ("rc=3&rp=5xx", &[500, 503, 502, 500][..], 4),
        ("rc=2&rp=4xx", &[500][..], 1),
        ("rc=2&rp=all", &[404, 500][..], 3),
    ] {
        receiver.answer(answers);
        let url = receiver.url(&format!("/status?a=1#{fragment}"));
        text_telling(&rig, "+15005700002", &url).await;
        rig.advance_and_settle(60).await;
        let received = receiver.take();
        assert_eq!(received.len(), attempts, "{fragment}");
        assert_eq!(received[0].path, "/status?a=1");
        assert_signed(&received[0], &receiver.url("/status?a=1"));
    }
    // Nobody there: as often as the fragment says.
    rig.fault(json!({ "fault": "webhook_fail", "times": 0 }))
        .await;
    let before = rig.attempts().len();
    let url = receiver.url("/status#rc=5");
    text_telling(&rig, "+15005700002", &url).await;
    rig.advance_and_settle(60).await;
    assert_eq!(rig.attempts().len() - before, 6);
}

#[tokio::test]
async fn a_read_timeout_is_no_failed_connection() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    receiver.hang();
    let url = receiver.url("/status#rt=100");
    text_telling(&rig, "+15005700002", &url).await;
    rig.advance_and_settle(60).await;
    receiver.one();
    let attempts = rig.attempts();
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(
        (attempts[0].status, &attempts[0].next_attempt_at),
        (None, &None)
    );
}

#[tokio::test]
async fn a_callback_elsewhere_is_not_sent_and_the_message_goes_out() {
    let rig = Rig::start().await;
    let url = "http://192.0.2.1/status";
    let sid = text_telling(&rig, "+14155550123", url).await;
    rig.advance_and_settle(6).await;
    assert_eq!(rig.message(&sid).await["status"], "delivered");
    let attempts = rig.attempts();
    assert_eq!(attempts.len(), 3);
    let error = attempts[0].error.as_deref().unwrap();
    assert!(error.contains("loopback"), "{error}");
}

#[tokio::test]
async fn test_credentials_tell_nobody() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let url = format!("/twilio/2010-04-01/Accounts/{TEST_ACCOUNT_SID}/Messages.json");
    let form = [
        ("To", "+14155550123"),
        ("From", "+15005550006"),
        ("Body", "Hi"),
        ("StatusCallback", &receiver.url("/status")),
    ];
    let request = rig.http.post(rig.url(&url)).form(&form);
    let request = request.basic_auth(TEST_ACCOUNT_SID, Some(TEST_AUTH_TOKEN));
    assert_eq!(rig.send(request).await.status, 201);
    rig.advance_and_settle(60).await;
    assert!(receiver.take().is_empty() && rig.attempts().is_empty());
}
