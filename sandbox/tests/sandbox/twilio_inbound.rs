//! Texts that come in, and what the merchant's answer brings about.

use onerouter_sandbox::twilio::{
    ACCOUNT_SID, AUTH_TOKEN, FROM_NUMBER, InboundSms, SECOND_FROM_NUMBER,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    rig::{Rig, with},
    twilio_webhooks::assert_signed,
    webhook_rig::Receiver,
};

fn inbound(body: &str) -> InboundSms {
    InboundSms {
        from: "+14155550123".to_owned(),
        to: FROM_NUMBER.to_owned(),
        body: body.to_owned(),
        media_urls: Vec::new(),
    }
}

#[tokio::test]
async fn an_inbound_message_is_told_to_the_number_s_url() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let url = receiver.url("/inbound?x=1");
    let webhook = rig.webhook("twilio", url.clone());
    assert_eq!(webhook.secret.as_deref(), Some(AUTH_TOKEN));
    let new = InboundSms {
        media_urls: vec!["https://example.com/cat.png".to_owned()],
        ..inbound("Hello & +1 é")
    };
    let sid = rig.sandbox.receive_sms(&new).unwrap();
    rig.settled().await;
    let received = receiver.one();
    assert_signed(&received, &url);
    for (name, value) in [
        ("MessageSid", sid.as_str()),
        ("SmsSid", &sid),
        ("SmsMessageSid", &sid),
        ("AccountSid", ACCOUNT_SID),
        ("From", "+14155550123"),
        ("To", FROM_NUMBER),
        ("Body", "Hello & +1 é"),
        ("SmsStatus", "received"),
        ("NumMedia", "1"),
        ("NumSegments", "1"),
        ("MediaUrl0", "https://example.com/cat.png"),
        ("MediaContentType0", "image/png"),
        ("FromCity", ""),
        ("FromCountry", "US"),
        ("ApiVersion", "2010-04-01"),
    ] {
        assert_eq!(received.parameter(name).as_deref(), Some(value), "{name}");
    }
    let message = rig.message(&sid).await;
    assert_eq!(message["direction"], "inbound");
    assert_eq!(message["status"], "received");
    // Nothing was sent for it.
    assert_eq!(rig.effects().await, 0);
}

#[tokio::test]
async fn the_answer_to_an_inbound_message_can_be_a_reply() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("twilio", receiver.url("/inbound"));
    for (content_type, body, replies) in [
        ("text/xml", "<Response/>", &[][..]),
        ("text/xml", "", &[]),
        (
            "application/xml; charset=utf-8",
            "<?xml version=\"1.0\"?><Response><Message>Hi &amp; bye</Message><Message><Body>two</Body></Message></Response>",
            &["Hi & bye", "two"],
        ),
        ("text/plain", "plain", &["plain"]),
        ("application/json", "{\"a\":1}", &[]),
    ] {
        let before = rig.effects().await;
        receiver.answer_with(content_type, body);
        rig.sandbox.receive_sms(&inbound("Hello")).unwrap();
        rig.settled().await;
        let ledger = rig.get("ledger?kind=sms&to=%2B14155550123").await;
        let sent = ledger["data"].as_array().unwrap().iter();
        let sent: Vec<&str> = sent
            .skip(usize::try_from(before).unwrap())
            .map(|entry| entry["body"].as_str().unwrap())
            .collect();
        assert_eq!(sent, replies, "{body}");
    }
    let list = rig.send(rig.twilio(Method::GET, &rig.messages_url())).await;
    let messages = list.body["messages"].as_array().unwrap();
    let replies = messages.iter();
    let replies = replies.filter(|message| message["direction"] == "outbound-reply");
    assert_eq!(replies.count(), 3);
}

#[tokio::test]
async fn who_texts_stop_gets_nothing_more_until_start() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    rig.webhook("twilio", receiver.url("/inbound"));
    receiver.answer_with("text/plain", "but wait");
    rig.sandbox.receive_sms(&inbound(" stop ")).unwrap();
    rig.settled().await;
    assert_eq!(receiver.one().parameter("Body").unwrap(), " stop ");
    assert_eq!(rig.effects().await, 0);
    let text = |from: &'static str| [("To", "+14155550123"), ("From", from), ("Body", "Hi")];
    rig.text(&text(FROM_NUMBER))
        .await
        .assert_twilio_error(400, 21610);
    assert_eq!(rig.text(&text(SECOND_FROM_NUMBER)).await.status, 201);
    rig.sandbox.receive_sms(&inbound("START")).unwrap();
    assert_eq!(rig.text(&text(FROM_NUMBER)).await.status, 201);
}

#[tokio::test]
async fn one_number_can_have_a_url_of_its_own() {
    let (rig, receiver) = (Rig::start().await, Receiver::start().await);
    let body = json!({
        "provider": "twilio",
        "account": ACCOUNT_SID,
        "url": receiver.url("/second"),
        "number": SECOND_FROM_NUMBER,
    });
    let made = rig.control(Method::POST, "webhooks", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let message = json!({ "from": "+14155550123", "to": FROM_NUMBER, "body": "Hi" });
    let path = "twilio/receive-message";
    assert_eq!(
        rig.control(Method::POST, path, message.clone())
            .await
            .status,
        201
    );
    let to_second = with(message, json!({ "to": SECOND_FROM_NUMBER }));
    let got = rig.control(Method::POST, path, to_second).await;
    assert_eq!(
        (got.status, &got.body["direction"]),
        (201, &json!("inbound"))
    );
    rig.settled().await;
    assert_eq!(receiver.one().path, "/second");
    let id = made.body["id"].as_str().unwrap();
    let gone = rig
        .control(Method::DELETE, &format!("webhooks/{id}"), Value::Null)
        .await;
    assert_eq!(gone.status, 204);
    for (bad, why) in [
        (
            json!({ "from": "+14155550123", "to": "+12025550199" }),
            "number of the account",
        ),
        (json!({ "from": "x", "to": FROM_NUMBER }), "no number"),
        (json!({ "to": FROM_NUMBER }), "from"),
    ] {
        let refused = rig.control(Method::POST, path, bad).await;
        assert_eq!(refused.status, 400);
        assert!(refused.text.contains(why), "{}", refused.text);
    }
}
