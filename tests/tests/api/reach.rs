//! A key hears of what it may read, and of nothing else: by endpoints, by events, and by sending them
//! again.

use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use reqwest::Method;
use serde_json::{Value, json};

use crate::webhooks::{endpoint, make, path_of, start};

scenarios!(
    an_endpoint_hears_of_what_its_key_may_read,
    events_are_shown_to_whoever_may_read_what_they_are_about,
    an_event_goes_again_to_no_endpoint_that_its_key_could_not_have_made,
);

const ENDPOINTS: &str = "/v1/webhook-endpoints";
const EVENTS: &str = "/v1/events";

async fn key(host: &Harness, scopes: Value) -> Client {
    let body = json!({"name": "part", "environment": "test", "scopes": scopes});
    let made = host.operator().post("/api/api-keys", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    host.client(made.text("key"))
}

#[track_caller]
fn lacks(reply: &Reply, scope: &str) {
    assert_eq!((reply.status, reply.code()), (403, "insufficient_scope"));
    let detail = format!("This API key does not have the scope {scope}.");
    assert_eq!(reply.text("detail"), detail);
}

async fn an_endpoint_hears_of_what_its_key_may_read(ground: Ground) {
    let host = start(&ground).await;
    let part = key(
        &host,
        json!(["webhooks:write", "webhooks:read", "sms:read"]),
    )
    .await;
    for (types, scope) in [
        (json!(["payment.*"]), "payments:read"),
        (json!(["sms.*", "refund.succeeded"]), "refunds:read"),
        (json!(["plan.active"]), "plans:read"),
        (json!(["subscription.*"]), "subscriptions:read"),
        (json!(["payment_link.paid"]), "payment_links:read"),
        (json!(["email.opened"]), "email:read"),
        (json!(["provider_event.received"]), "events:read"),
        (Value::Null, "payments:read"),
    ] {
        let body = endpoint(json!({ "event_types": types }));
        lacks(&part.post(ENDPOINTS, body).await, scope);
    }
    let own = make(&part, json!({"event_types": ["sms.*", "endpoint.*"]})).await;
    assert_eq!(
        part.get(ENDPOINTS).await.json["data"][0]["id"],
        own.text("id")
    );

    // Nor does it send elsewhere what another key has asked for.
    let all = make(&host.key("test").await, json!({})).await;
    let patch = async |path: &str, body: Value| {
        let body = body.to_string().into_bytes();
        part.send(Method::PATCH, path, Some(body)).await
    };
    for change in [
        json!({"url": "https://example.org/mine"}),
        json!({"headers": {"X-A": "b"}}),
    ] {
        lacks(&patch(&path_of(&all), change).await, "payments:read");
    }
    let narrow = json!({"url": "https://example.org/mine", "event_types": ["sms.sent"]});
    assert_eq!(patch(&path_of(&all), narrow).await.status, 200);
    for types in [json!(["sms.sent", "payment.*"]), Value::Null] {
        let wide = patch(&path_of(&own), json!({ "event_types": types })).await;
        lacks(&wide, "payments:read");
    }
    // With every scope by name it may hear of everything.
    let body = json!({"name": "all", "environment": "test"});
    let made = host.operator().post("/api/api-keys", body).await;
    let scopes = made.json["scopes"].clone();
    make(&key(&host, scopes).await, json!({})).await;
    host.stop().await;
}

async fn events_are_shown_to_whoever_may_read_what_they_are_about(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let mut made = Vec::new();
    for event_type in [
        "payment.succeeded",
        "sms.sent",
        "payment_link.paid",
        "sms.failed",
    ] {
        let event = acme.post(EVENTS, json!({"type": event_type})).await;
        assert_eq!(event.status, 200, "{event:?}");
        made.push(event.text("id").to_owned());
    }
    let types = async |client: &Client, query: &str| {
        let page = client.get(&format!("{EVENTS}?{query}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let data = page.json["data"].as_array().unwrap();
        let types = data.iter().map(|one| one["type"].as_str().unwrap());
        types.map(str::to_owned).collect::<Vec<_>>()
    };
    let texts = key(&host, json!(["events:read", "sms:read"])).await;
    let money = key(&host, json!(["events:read", "payments:read"])).await;
    let nothing = key(&host, json!(["events:read"])).await;
    host.clock.advance(chrono::TimeDelta::minutes(1));
    assert_eq!(types(&texts, "").await, ["sms.failed", "sms.sent"]);
    assert_eq!(types(&texts, "limit=1").await, ["sms.failed"]);
    assert_eq!(types(&texts, "order=asc").await, ["sms.sent", "sms.failed"]);
    assert_eq!(types(&texts, "type=sms.sent").await, ["sms.sent"]);
    assert_eq!(types(&money, "").await, ["payment.succeeded"]);
    assert_eq!(types(&money, "order=asc").await, ["payment.succeeded"]);
    assert_eq!(types(&nothing, "").await, [""; 0]);
    assert_eq!(types(&acme, "").await.len(), 4);
    for query in ["type=payment.*", "type=payment.succeeded&order=asc"] {
        lacks(
            &texts.get(&format!("{EVENTS}?{query}")).await,
            "payments:read",
        );
    }
    let [payment, sms, link, _] = made.as_slice() else {
        panic!("{made:?}");
    };
    assert_eq!(texts.get(&format!("{EVENTS}/{sms}")).await.status, 200);
    for (client, id, scope) in [
        (&texts, payment, "payments:read"),
        (&money, link, "payment_links:read"),
        (&nothing, sms, "sms:read"),
    ] {
        lacks(&client.get(&format!("{EVENTS}/{id}")).await, scope);
    }
    host.stop().await;
}

async fn an_event_goes_again_to_no_endpoint_that_its_key_could_not_have_made(ground: Ground) {
    let host = start(&ground).await;
    let acme = host.key("test").await;
    let event = acme
        .post(EVENTS, json!({"type": "payment.succeeded"}))
        .await;
    let resend = format!("{EVENTS}/{}/resend", event.text("id"));
    let wide = make(&acme, json!({})).await;
    let part = key(&host, json!(["webhooks:write", "events:write", "sms:read"])).await;
    let own = make(&part, json!({"event_types": ["sms.*"]})).await;
    let to = |made: &Reply| json!({"endpoint_id": made.text("id")});
    lacks(&part.post(&resend, to(&own)).await, "payments:read");
    // To those that want it anyway it may go again.
    for body in [to(&wide), json!({})] {
        let sent = part.post(&resend, body).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        assert_eq!(sent.json["data"][0]["endpoint_id"], wide.text("id"));
    }
    assert_eq!(acme.post(&resend, to(&own)).await.status, 200);
    host.stop().await;
}
