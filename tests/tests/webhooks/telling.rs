//! What an endpoint is told, and what not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_tests::harness::Setup;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::rig::{Rig, endpoint};

scenarios!(
    what_happens_to_an_object_is_told_with_a_signature,
    an_endpoint_hears_of_what_it_asked_for,
    an_endpoint_hears_of_its_own_tenant_and_environment_only,
    the_endpoints_own_headers_go_along_and_change_nothing_else,
    whatever_is_sent_on_the_same_node_is_told_at_once,
);

async fn what_happens_to_an_object_is_told_with_a_signature(ground: Ground) {
    let rig = Rig::with(&ground, Setup::default()).await;
    rig.host.connect_sandbox().await;
    let endpoint = rig.endpoint("/hooks?from=us", json!({})).await;
    let sms = json!({"to": "+14155550123", "body": "Hi"});
    let sent = rig.acme.post("/v1/sms", sms).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    assert_eq!(rig.host.deliver().await, 1);
    let received = rig.receiver.received("/hooks");
    let [one] = received.as_slice() else {
        panic!("not one: {received:?}");
    };
    let event = one.json();
    assert_eq!(event["type"], format!("sms.{}", sent.text("status")));
    // The object as its client has seen it.
    assert_eq!(event["data"], sent.json);
    assert_eq!(event["timestamp"], sent.json["updated_at"]);
    assert_eq!(event.as_object().unwrap().len(), 3);
    assert_eq!(one.method, "POST");
    assert_eq!(one.header("content-type"), "application/json");
    let agent = format!("OneRouter/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(one.header("user-agent"), agent);
    assert_eq!(one.sequence(), sent.json["version"].as_u64().unwrap());
    assert!(one.id().starts_with("evt_"));
    let delivery = endpoint.only().await;
    assert_eq!(one.header("onerouter-delivery"), delivery["id"]);
    assert_eq!(delivery["event_id"], one.id());
    assert_eq!(delivery["status"], "succeeded");
    assert_eq!(delivery["attempts"][0]["status"], 204);
    let signed = [
        one.id(),
        one.header("webhook-timestamp"),
        &String::from_utf8_lossy(&one.body),
    ];
    let signature = by_hmac(&endpoint.secret, &signed.join("."));
    assert_eq!(one.header("webhook-signature"), format!("v1,{signature}"));
    assert_eq!(rig.host.deliver().await, 0);
}

/// By another implementation than the gateway's.
fn by_hmac(secret: &str, content: &str) -> String {
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(content.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

async fn an_endpoint_hears_of_what_it_asked_for(ground: Ground) {
    let rig = Rig::new(&ground).await;
    for (path, types) in [
        ("/all", Value::Null),
        ("/one", json!(["sms.sent"])),
        ("/family", json!(["payment.*"])),
        ("/two", json!(["refund.failed", "payment_link.*"])),
    ] {
        rig.endpoint(path, json!({ "event_types": types })).await;
    }
    for event_type in [
        "sms.sent",
        "sms.failed",
        "payment.succeeded",
        "payment_link.paid",
    ] {
        rig.happens_of(event_type, 1, 1).await;
    }
    rig.host.deliver().await;
    let heard = |path| -> Vec<String> {
        let received = rig.receiver.received(path);
        let mut types: Vec<_> = received
            .iter()
            .map(|one| one.json()["type"].as_str().unwrap().to_owned())
            .collect();
        types.sort_unstable();
        types
    };
    assert_eq!(heard("/all").len(), 4);
    assert_eq!(heard("/one"), ["sms.sent"]);
    assert_eq!(heard("/family"), ["payment.succeeded"]);
    assert_eq!(heard("/two"), ["payment_link.paid"]);
}

async fn an_endpoint_hears_of_its_own_tenant_and_environment_only(ground: Ground) {
    let rig = Rig::new(&ground).await;
    rig.endpoint("/acme", json!({})).await;
    let live = rig.host.key("live").await;
    endpoint(&live, &rig.receiver.url("/live"), json!({})).await;
    let other = rig.host.tenant("other").await;
    let other = rig.host.key_of(&other, "test").await;
    endpoint(&other, &rig.receiver.url("/other"), json!({})).await;
    let disabled = rig.endpoint("/disabled", json!({})).await;
    let path = format!("/v1/webhook-endpoints/{}", disabled.id);
    let body = json!({"enabled": false}).to_string().into_bytes();
    let changed = rig
        .acme
        .send(reqwest::Method::PATCH, &path, Some(body))
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    rig.happens(1, 1).await;
    assert_eq!(rig.host.deliver().await, 1);
    assert_eq!(rig.receiver.received("/acme").len(), 1);
    assert_eq!(rig.receiver.count(), 1);
}

async fn the_endpoints_own_headers_go_along_and_change_nothing_else(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let headers = json!({"X-Shop": "hunter2", "Authorization": "Bearer of-the-shop"});
    rig.endpoint("/hooks", json!({ "headers": headers })).await;
    rig.happens(1, 1).await;
    rig.host.deliver().await;
    let one = &rig.receiver.received("/hooks")[0];
    assert_eq!(one.header("x-shop"), "hunter2");
    assert_eq!(one.header("authorization"), "Bearer of-the-shop");
    assert_eq!(one.header("content-type"), "application/json");
}

async fn whatever_is_sent_on_the_same_node_is_told_at_once(ground: Ground) {
    use onerouter_tests::write_path::eventually;
    use tokio_util::sync::CancellationToken;

    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    let stop = CancellationToken::new();
    let deliveries = rig.host.gateway.parts().deliveries.clone();
    let running = tokio::spawn(deliveries.run(stop.clone()));
    for number in 1..=20 {
        rig.happens(number, 1).await;
        let count = usize::try_from(number).unwrap();
        eventually("it is told", async || rig.receiver.count() >= count).await;
    }
    stop.cancel();
    running.await.unwrap();
    let states = endpoint.states().await;
    assert_eq!(
        states,
        vec!["succeeded"; 20],
        "what was under way has ended"
    );
    assert_eq!(rig.receiver.count(), 20);
}
