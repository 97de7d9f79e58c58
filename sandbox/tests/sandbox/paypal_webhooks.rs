//! PayPal's webhooks: the API, signatures and certificates, retries.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use onerouter_sandbox::Sandbox;
use reqwest::Method;
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use serde_json::{Value, json};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, aws_lc_rs as algorithms};

use crate::{
    paypal_rig::{Merchant, text},
    rig::{Answer, with},
    webhook_rig::{Received, Receiver},
};

const WEBHOOKS: &str = "/v1/notifications/webhooks";
const EVENTS: &str = "/v1/notifications/webhooks-events";
const VERIFY: &str = "/v1/notifications/verify-webhook-signature";

/// 25.00 US dollars.
pub(crate) fn order() -> Value {
    json!({
        "intent": "CAPTURE",
        "purchase_units": [{ "amount": { "currency_code": "USD", "value": "25.00" } }],
    })
}

pub(crate) async fn webhook(merchant: &Merchant, receiver: &Receiver, events: &[&str]) -> String {
    let types: Vec<Value> = events.iter().map(|name| json!({ "name": name })).collect();
    let body = json!({ "url": receiver.url("/hook"), "event_types": types });
    text(&merchant.make(WEBHOOKS, &body).await["id"])
}

pub(crate) async fn start() -> (Merchant, Receiver, String) {
    let (merchant, receiver) = (Merchant::start().await, Receiver::start().await);
    let id = webhook(&merchant, &receiver, &["*"]).await;
    (merchant, receiver, id)
}

/// The certificates behind a `PAYPAL-CERT-URL`, asked of its host.
async fn certificates(merchant: &Merchant, url: &str) -> Vec<CertificateDer<'static>> {
    let (host, path) = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once('/'))
        .unwrap();
    let request = merchant.rig.http.get(merchant.rig.url(&format!("/{path}")));
    let answer = merchant.rig.send(request.header("host", host)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let found = CertificateDer::pem_slice_iter(answer.text.as_bytes());
    found.collect::<Result<_, _>>().unwrap()
}

fn root(sandbox: &Sandbox) -> CertificateDer<'static> {
    let pem = sandbox.webhook_root_certificate().unwrap();
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// IEEE CRC-32, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let reversed = if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
            crc = (crc >> 1) ^ reversed;
        }
    }
    !crc
}

/// What a merchant does offline: the chain, the dates, the name, then the signature.
async fn is_genuine(merchant: &Merchant, received: &Received, webhook: &str) -> bool {
    assert_eq!(received.header("paypal-auth-algo"), "SHA256withRSA");
    let url = received.header("paypal-cert-url");
    assert!(url.starts_with("https://api.sandbox.paypal.com/v1/notifications/certs/CERT-"));
    let chain = certificates(merchant, url).await;
    let root = root(&merchant.rig.sandbox);
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let leaf = EndEntityCert::try_from(&chain[0]).unwrap();
    let now = chrono::Utc::now().timestamp();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.try_into().unwrap()));
    leaf.verify_for_usage(
        &[algorithms::ECDSA_P256_SHA256],
        &anchors,
        &chain[1..],
        now,
        KeyUsage::server_auth(),
        None,
        None,
    )
    .unwrap();
    let names: Vec<&str> = leaf.valid_dns_names().collect();
    assert_eq!(names, ["messageverificationcerts.sandbox.paypal.com"]);
    let message = format!(
        "{}|{}|{webhook}|{}",
        received.header("paypal-transmission-id"),
        received.header("paypal-transmission-time"),
        crc32(received.text.as_bytes())
    );
    let signature = STANDARD
        .decode(received.header("paypal-transmission-sig"))
        .unwrap();
    leaf.verify_signature(
        algorithms::RSA_PKCS1_2048_8192_SHA256,
        message.as_bytes(),
        &signature,
    )
    .is_ok()
}

/// The question for the online check, with the event as it was received.
fn question(received: &Received, webhook: &str, event: &str) -> String {
    let header = |name: &str| json!(received.header(&format!("paypal-{name}")));
    let fields = json!({
        "auth_algo": header("auth-algo"),
        "cert_url": header("cert-url"),
        "transmission_id": header("transmission-id"),
        "transmission_sig": header("transmission-sig"),
        "transmission_time": header("transmission-time"),
        "webhook_id": webhook,
    });
    let fields = fields.to_string();
    let open = fields.strip_suffix('}').unwrap();
    format!("{open},\"webhook_event\":{event}}}")
}

async fn verified(merchant: &Merchant, question: String) -> Answer {
    let request = merchant.request(Method::POST, VERIFY).body(question);
    let request = request.header("content-type", "application/json");
    merchant.rig.send(request).await
}

#[tokio::test]
async fn webhooks_are_managed_by_the_api() {
    let (merchant, receiver) = (Merchant::start().await, Receiver::start().await);
    let body = json!({
        "url": receiver.url("/hook"),
        "event_types": [{ "name": "PAYMENT.CAPTURE.COMPLETED" }],
    });
    let made = merchant.make(WEBHOOKS, &body).await;
    let id = text(&made["id"]);
    let path = format!("{WEBHOOKS}/{id}");
    assert_eq!(made["url"], body["url"]);
    assert_eq!(made["event_types"][0]["name"], "PAYMENT.CAPTURE.COMPLETED");
    let relations: Vec<String> = made["links"]
        .as_array()
        .unwrap()
        .iter()
        .map(|link| text(&link["rel"]))
        .collect();
    assert_eq!(relations, ["self", "update", "delete"]);
    assert_eq!(merchant.read(&path).await, made);
    let list = merchant.read(WEBHOOKS).await;
    assert_eq!(list, json!({ "webhooks": [made] }));
    let changes = json!([
        { "op": "replace", "path": "/url", "value": receiver.url("/other") },
        { "op": "replace", "path": "/event_types", "value": [{ "name": "*" }] },
    ]);
    let changed = merchant.patch(&path, &changes).await;
    assert_eq!(
        (changed.status, &changed.body["url"]),
        (200, &json!(receiver.url("/other")))
    );
    assert_eq!(changed.body["event_types"][0]["name"], "*");
    let gone = merchant
        .rig
        .send(merchant.request(Method::DELETE, &path))
        .await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    assert_eq!(merchant.get(&path).await.status, 404);
    let known = merchant
        .read("/v1/notifications/webhooks-event-types")
        .await;
    let known = known["event_types"].as_array().unwrap();
    assert!(
        known
            .iter()
            .any(|each| each["name"] == "PAYMENT.SALE.COMPLETED")
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_webhook_is_said() {
    let merchant = Merchant::start().await;
    let good = json!({ "url": "http://127.0.0.1:1/", "event_types": [{ "name": "*" }] });
    for (changes, issue) in [
        (json!({ "url": null }), "MISSING_REQUIRED_PARAMETER"),
        (json!({ "event_types": null }), "MISSING_REQUIRED_PARAMETER"),
        (
            json!({ "event_types": [{ "name": "A.B" }] }),
            "INVALID_PARAMETER_VALUE",
        ),
        (json!({ "url": "https://example.com/" }), "VALIDATION_ERROR"),
        (json!({ "url": "no url" }), "VALIDATION_ERROR"),
    ] {
        let refused = merchant.post(WEBHOOKS, &with(good.clone(), changes)).await;
        assert_eq!(refused.status, 400, "{issue}: {refused:?}");
        assert_eq!(refused.body["details"][0]["issue"], issue);
    }
    merchant.make(WEBHOOKS, &good).await;
    let twice = merchant.post(WEBHOOKS, &good).await;
    assert_eq!(
        twice.body["details"][0]["issue"],
        "WEBHOOK_URL_ALREADY_EXISTS"
    );
    for number in 2..=10 {
        let body = with(
            good.clone(),
            json!({ "url": format!("http://127.0.0.1:{number}/") }),
        );
        merchant.make(WEBHOOKS, &body).await;
    }
    let body = with(good, json!({ "url": "http://127.0.0.1:11/" }));
    let eleventh = merchant.post(WEBHOOKS, &body).await;
    assert_eq!(
        eleventh.body["details"][0]["issue"],
        "WEBHOOK_NUMBER_LIMIT_EXCEEDED"
    );
}

#[tokio::test]
async fn a_transmission_verifies_offline_and_online() {
    let (merchant, receiver, id) = start().await;
    merchant.approved(&order()).await;
    merchant.rig.settled().await;
    let received = receiver.one();
    assert!(is_genuine(&merchant, &received, &id).await);
    assert!(!is_genuine(&merchant, &received, "5O190127TN364715T").await);
    let success = json!({ "verification_status": "SUCCESS" });
    let failure = json!({ "verification_status": "FAILURE" });
    let spliced = verified(&merchant, question(&received, &id, &received.text)).await;
    assert_eq!((spliced.status, spliced.body), (200, success));
    // The same event written anew has another checksum.
    let pretty = serde_json::to_string_pretty(&received.json()).unwrap();
    for (webhook, event) in [(id.as_str(), pretty.as_str()), ("1", &received.text)] {
        let refused = verified(&merchant, question(&received, webhook, event)).await;
        assert_eq!((refused.status, &refused.body), (200, &failure));
    }
    let missing = verified(&merchant, "{\"webhook_event\":{}}".to_owned()).await;
    assert_eq!(missing.status, 400);
}

#[tokio::test]
async fn the_published_checksum_example_comes_out() {
    assert_eq!(crc32(b"123456789"), 3_421_780_262);
}

#[tokio::test]
async fn the_root_is_readable_and_unknown_certificates_are_not_there() {
    let merchant = Merchant::start().await;
    let shown = merchant
        .rig
        .control(Method::GET, "paypal/root-certificate", Value::Null)
        .await;
    assert_eq!(shown.status, 200);
    let root = merchant.rig.sandbox.webhook_root_certificate().unwrap();
    assert_eq!(shown.text, root);
    assert!(root.starts_with("-----BEGIN CERTIFICATE-----"));
    let path = "/v1/notifications/certs/CERT-00000000-00000000-00000000";
    assert_eq!(merchant.get(path).await.status, 404);
}

#[tokio::test]
async fn an_event_is_tried_again_25_times_in_three_days_and_can_be_sent_again() {
    let (merchant, receiver, id) = start().await;
    receiver.answer(&[500; 26]);
    merchant.approved(&order()).await;
    merchant.rig.retry_to_the_end().await;
    let seconds = merchant.rig.seconds_of_attempts();
    assert_eq!(seconds.len(), 26);
    assert!(seconds.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(
        (2 * 86_400..=3 * 86_400).contains(seconds.last().unwrap()),
        "{seconds:?}"
    );
    let received = receiver.take();
    let event = text(&received[0].json()["id"]);
    let ids = received
        .iter()
        .map(|one| one.header("paypal-transmission-id"));
    assert_eq!(ids.collect::<std::collections::HashSet<_>>().len(), 26);
    let merchant = merchant.later(0).await;
    let shown = merchant.read(&format!("{EVENTS}/{event}")).await;
    assert_eq!(shown, received[0].json());
    let listed = merchant
        .read(&format!("{EVENTS}?event_type=CHECKOUT.ORDER.APPROVED"))
        .await;
    assert_eq!(
        (&listed["count"], &listed["events"][0]["id"]),
        (&json!(1), &json!(event))
    );
    let none = merchant
        .read(&format!("{EVENTS}?end_time=2020-01-01T00:00:00Z"))
        .await;
    assert_eq!(none["count"], 0);
    let path = format!("{EVENTS}/{event}/resend");
    let wrong = merchant.post(&path, &json!({ "webhook_ids": ["1"] })).await;
    assert_eq!(wrong.status, 400);
    let again = merchant.post(&path, &json!({ "webhook_ids": [id] })).await;
    assert_eq!((again.status, &again.body["id"]), (202, &json!(event)));
    merchant.rig.settled().await;
    let again = receiver.one();
    assert_eq!(again.text, received[0].text);
    assert!(is_genuine(&merchant, &again, &id).await);
}

#[tokio::test]
async fn a_pending_event_is_not_sent_twice_and_a_fault_signs_wrongly() {
    let (merchant, receiver, id) = start().await;
    merchant
        .rig
        .fault(json!({ "fault": "webhook_wrong_signature", "event": "CHECKOUT.ORDER.APPROVED" }))
        .await;
    receiver.answer(&[500]);
    merchant.approved(&order()).await;
    merchant.rig.settled().await;
    let received = receiver.one();
    assert!(!is_genuine(&merchant, &received, &id).await);
    let event = text(&received.json()["id"]);
    let again = merchant
        .post(&format!("{EVENTS}/{event}/resend"), &json!({}))
        .await;
    assert_eq!(again.status, 202);
    merchant.rig.settled().await;
    assert!(receiver.take().is_empty());
    merchant.rig.advance_and_settle(60).await;
    receiver.one();
}
