//! Every row of the contract's table of idempotency.

mod expiry;

use std::net::SocketAddr;

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Harness, Reply, Setup};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{
    Ground, Provider, advance, connect_saboteur, eventually, text, upstream,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

scenarios!(
    a_twin_of_a_running_request_is_told_to_wait,
    a_success_is_replayed_byte_for_byte,
    a_refusal_by_the_provider_is_replayed_byte_for_byte,
    a_key_is_free_again_after_the_answers_that_mean_not_processed,
    a_key_is_free_again_when_the_provider_could_not_be_reached,
    a_key_is_free_again_after_a_fault_of_the_plugin,
    a_key_is_free_again_when_nothing_was_connected,
    a_key_of_a_request_that_was_not_valid_was_never_taken,
    an_unknown_outcome_is_told_until_the_object_is_settled,
    a_key_belongs_to_one_request,
    a_key_may_be_written_in_three_ways,
    a_replay_of_a_scheduled_message_does_not_depend_on_the_time,
    tenants_and_environments_do_not_share_keys,
    of_200_twins_at_once_one_has_an_effect,
);

const TO: &str = "+14155550123";

fn sms() -> Value {
    json!({"to": TO, "body": "Hi"})
}

fn email() -> Value {
    json!({"to": "ada@example.com", "subject": "Hello", "text_body": "Hi"})
}

fn keyed(client: &Client, key: &str) -> Client {
    client.with("Idempotency-Key", key)
}

#[track_caller]
fn assert_replay(replay: &Reply, first: &Reply) {
    assert_eq!(replay.status, first.status, "{replay:?}");
    let text = |reply: &Reply| String::from_utf8(reply.bytes.clone()).unwrap();
    assert_eq!(text(replay), text(first));
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(replay.header("content-type"), first.header("content-type"));
}

async fn status_of(client: &Client, path: &str, id: &str) -> Reply {
    client.get(&format!("{path}/{id}?refresh=false")).await
}

async fn a_twin_of_a_running_request_is_told_to_wait(ground: Ground) {
    let provider = Provider::start().await;
    let (_host, acme) = ground.host_and(&provider).await;
    let once = keyed(&acme, "order-17");
    provider.hold();
    let first = {
        let once = once.clone();
        tokio::spawn(async move { once.post("/v1/sms", text("Hi")).await })
    };
    provider.has("Hi").await;
    let twin = once.post("/v1/sms", text("Hi")).await;
    assert_eq!((twin.status, twin.code()), (409, "idempotency_in_progress"));
    assert!(twin.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(twin.json["retryable"], true);
    provider.release();
    let first = first.await.unwrap();
    assert_eq!(first.status, 201, "{first:?}");
    assert_replay(&once.post("/v1/sms", text("Hi")).await, &first);
    assert_eq!(provider.effects("Hi"), 1);
}

async fn a_success_is_replayed_byte_for_byte(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    for (path, body) in [("/v1/sms", sms()), ("/v1/email", email())] {
        let once = keyed(&acme, &format!("success of {path}"));
        let first = once.post(path, body.clone()).await;
        assert_eq!(first.status, 201, "{first:?}");
        assert_replay(&once.post(path, body.clone()).await, &first);
        // The object goes on; the answer of the request that made it does not.
        advance(&host, TimeDelta::seconds(10));
        let read = acme.get(&format!("{path}/{}", first.text("id"))).await;
        assert_eq!(read.text("status"), "delivered");
        advance(&host, TimeDelta::hours(24));
        assert_replay(&once.post(path, body.clone()).await, &first);
    }
    assert_eq!(host.effects(TO).await, 1);
    assert_eq!(host.effects("ada@example.com").await, 1);
}

async fn a_refusal_by_the_provider_is_replayed_byte_for_byte(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let refused = json!({"to": "+15005550001", "body": "Hi"});
    let once = keyed(&acme, "refused");
    let first = once.post("/v1/sms", refused.clone()).await;
    assert_eq!(
        (first.status, first.code()),
        (422, "provider_rejected"),
        "{first:?}"
    );
    assert_eq!(first.json["provider"]["code"], "21211");
    assert_replay(&once.post("/v1/sms", refused.clone()).await, &first);
    let object = status_of(&acme, "/v1/sms", first.text("id")).await;
    assert_eq!(object.text("status"), "failed");

    // A caller's own request id stands in the body too.
    let named = keyed(&acme, "refused by name").with("X-Request-Id", "shop-1");
    let first = named.post("/v1/sms", refused.clone()).await;
    assert_eq!(first.text("request_id"), "shop-1");
    assert_replay(&named.post("/v1/sms", refused).await, &first);
    assert_eq!(host.effects("+15005550001").await, 0);
}

/// The same request once more: a fresh object that works, while the first stays failed.
async fn released(acme: &Client, key: &str, first: &Reply, path: &str, body: Value) {
    let failed = status_of(acme, path, first.text("id")).await;
    assert_eq!(failed.text("status"), "failed", "{failed:?}");
    assert_eq!(
        failed.json["failure"]["retryable"], first.json["retryable"],
        "{failed:?}"
    );
    let again = keyed(acme, key).post(path, body).await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), None);
    assert_ne!(again.text("id"), first.text("id"));
    let failed = status_of(acme, path, first.text("id")).await;
    assert_eq!(failed.text("status"), "failed", "{failed:?}");
}

async fn a_key_is_free_again_after_the_answers_that_mean_not_processed(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let twilio = |status: u16, code: &str| json!({"fault": "error_before", "provider": "twilio", "method": "POST", "status": status, "code": code});
    let resend = |status: u16, code: &str| json!({"fault": "error_before", "provider": "resend", "method": "POST", "status": status, "code": code});
    let (text, mail) = (("/v1/sms", sms()), ("/v1/email", email()));
    let cases = [
        (
            twilio(429, "20429"),
            &text,
            429,
            "provider_rate_limited",
            true,
        ),
        (
            twilio(503, "21730"),
            &text,
            503,
            "provider_unavailable",
            true,
        ),
        (
            twilio(401, "20003"),
            &text,
            422,
            "provider_auth_failed",
            false,
        ),
        (
            resend(429, "rate_limit_exceeded"),
            &mail,
            429,
            "provider_rate_limited",
            true,
        ),
        (
            resend(403, "invalid_api_key"),
            &mail,
            422,
            "provider_auth_failed",
            false,
        ),
    ];
    for (number, (fault, (path, body), status, code, retryable)) in cases.into_iter().enumerate() {
        let key = format!("case {number}");
        host.fault(fault).await;
        let first = keyed(&acme, &key).post(path, body.clone()).await;
        assert_eq!((first.status, first.code()), (status, code), "{first:?}");
        assert_eq!(first.json["retryable"], retryable, "{first:?}");
        if status == 429 {
            assert!(first.header("retry-after").is_some(), "{first:?}");
        }
        released(&acme, &key, &first, path, body.clone()).await;
    }
    assert_eq!(host.effects(TO).await, 3);
    assert_eq!(host.effects("ada@example.com").await, 2);
}

async fn a_key_is_free_again_when_the_provider_could_not_be_reached(ground: Ground) {
    // A port on which nobody listens yet.
    let reserved = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let host = ground
        .host_with(Setup {
            fixtures: vec!["saboteur"],
            upstreams: vec![upstream(address)],
            ..Setup::default()
        })
        .await;
    connect_saboteur(&host.operator()).await;
    let acme = host.key("test").await;
    let first = keyed(&acme, "closed").post("/v1/sms", text("Hi")).await;
    assert_eq!(
        (first.status, first.code()),
        (503, "provider_unavailable"),
        "{first:?}"
    );
    assert_eq!(first.json["retryable"], true);
    let provider = Provider::start_at(address).await;
    released(&acme, "closed", &first, "/v1/sms", text("Hi")).await;
    assert_eq!(provider.effects("Hi"), 1);
}

async fn a_key_is_free_again_after_a_fault_of_the_plugin(ground: Ground) {
    let provider = Provider::start().await;
    let (_host, acme) = ground.host_and(&provider).await;
    let first = keyed(&acme, "fault")
        .post("/v1/sms", text("trap-before"))
        .await;
    assert_eq!(
        (first.status, first.code()),
        (502, "plugin_fault"),
        "{first:?}"
    );
    let again = keyed(&acme, "fault")
        .post("/v1/sms", text("trap-before"))
        .await;
    assert_eq!(again.status, 502, "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), None);
    assert_ne!(again.text("id"), first.text("id"));
    released(&acme, "fault", &again, "/v1/sms", text("Hi")).await;
    assert_eq!(provider.posted().len(), 1);
}

async fn a_key_is_free_again_when_nothing_was_connected(ground: Ground) {
    let host = ground
        .host_with(Setup {
            unconnected: true,
            ..Setup::default()
        })
        .await;
    let acme = host.key("test").await;
    let once = keyed(&acme, "early");
    let first = once.post("/v1/sms", sms()).await;
    assert_eq!(
        (first.status, first.code()),
        (422, "no_connection"),
        "{first:?}"
    );
    assert_eq!(ground.count("objects").await, 0);
    host.connect_sandbox().await;
    let again = once.post("/v1/sms", sms()).await;
    assert_eq!(again.status, 201, "{again:?}");

    // What is done is answered even when the connection is gone.
    let gone = host
        .operator()
        .delete("/api/services/sms/twilio?environment=test")
        .await;
    assert!(gone.status < 300, "{gone:?}");
    assert_replay(&once.post("/v1/sms", sms()).await, &again);
    assert_eq!(host.effects(TO).await, 1);
}

async fn a_key_of_a_request_that_was_not_valid_was_never_taken(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let once = keyed(&acme, "typo");
    let first = once
        .post("/v1/sms", json!({"to": "me", "body": "Hi"}))
        .await;
    assert_eq!((first.status, first.code()), (422, "validation_failed"));
    assert_eq!(ground.count("objects").await, 0);

    // The provider's own rules are known to its adapter only, so there is an object by then.
    let too_soon = host.clock.now() + TimeDelta::seconds(30);
    let body = json!({"to": TO, "body": "Hi", "send_at": too_soon});
    let second = once.post("/v1/sms", body).await;
    assert_eq!(
        (second.status, second.code()),
        (422, "validation_failed"),
        "{second:?}"
    );
    assert_eq!(second.pointers(), ["/send_at"]);
    released(&acme, "typo", &second, "/v1/sms", sms()).await;
    assert_eq!(host.effects(TO).await, 1);
}

async fn an_unknown_outcome_is_told_until_the_object_is_settled(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    for (provider, path, body) in [
        ("twilio", "/v1/sms", sms()),
        ("resend", "/v1/email", email()),
    ] {
        let once = keyed(&acme, &format!("lost by {provider}"));
        host.fault(json!({"fault": "reset_after", "provider": provider, "method": "POST"}))
            .await;
        let first = once.post(path, body.clone()).await;
        assert_eq!(
            (first.status, first.code()),
            (504, "outcome_unknown"),
            "{first:?}"
        );
        let id = first.text("id");
        let object = status_of(&acme, path, id).await;
        assert_eq!(object.text("status"), "unknown");
        let twin = once.post(path, body.clone()).await;
        assert_eq!((twin.status, twin.code()), (504, "outcome_unknown"));
        assert_eq!(twin.text("id"), id);

        advance(&host, TimeDelta::seconds(3));
        assert_eq!(host.sweep().await, 1);
        let settled = once.post(path, body.clone()).await;
        assert_eq!(settled.status, 201, "{settled:?}");
        assert_eq!(settled.header("idempotent-replayed"), Some("true"));
        assert_eq!(settled.text("id"), id);
        assert_ne!(settled.text("status"), "unknown");
        let again = once.post(path, body).await;
        assert_eq!(again.bytes, settled.bytes);
        assert_eq!(host.sweep().await, 0);
    }
    assert_eq!(host.effects(TO).await, 1);
    assert_eq!(host.effects("ada@example.com").await, 1);
}

async fn a_key_belongs_to_one_request(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let once = keyed(&acme, "one");
    let first = once.post("/v1/sms", sms()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let cancel = format!("/v1/sms/{}/cancel", first.text("id"));
    let others = [
        ("/v1/sms", json!({"to": TO, "body": "Ho"})),
        (
            "/v1/sms",
            json!({"to": TO, "body": "Hi", "metadata": {"a": "1"}}),
        ),
        (
            "/v1/sms",
            json!({"to": TO, "body": "Hi", "provider": "twilio"}),
        ),
        ("/v1/email", email()),
        (cancel.as_str(), json!({})),
    ];
    for (path, body) in others {
        let other = once.post(path, body).await;
        assert_eq!(
            (other.status, other.code()),
            (422, "idempotency_key_reused"),
            "{path} {other:?}"
        );
    }
    // Written in another way, it is the same request.
    let same = once
        .post("/v1/sms", json!({"body": "Hi", "notes": {}, "to": TO}))
        .await;
    assert_replay(&same, &first);
    assert_eq!(host.effects(TO).await, 1);
}

async fn a_key_may_be_written_in_three_ways(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let first = keyed(&acme, "k-1").post("/v1/sms", sms()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let quoted = keyed(&acme, "\"k-1\"").post("/v1/sms", sms()).await;
    assert_replay(&quoted, &first);
    let mut body = sms();
    body["idempotency_key"] = json!("k-1");
    assert_replay(&acme.post("/v1/sms", body.clone()).await, &first);
    let both = keyed(&acme, "k-1").post("/v1/sms", body.clone()).await;
    assert_replay(&both, &first);
    let different = keyed(&acme, "k-2").post("/v1/sms", body).await;
    assert_eq!(
        (different.status, different.code()),
        (422, "validation_failed")
    );
    assert_eq!(different.pointers(), ["/idempotency_key"]);
    assert_eq!(host.effects(TO).await, 1);
}

async fn a_replay_of_a_scheduled_message_does_not_depend_on_the_time(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let once = keyed(&acme, "later");
    let mut body = email();
    body["send_at"] = json!(host.clock.now() + TimeDelta::hours(1));
    let first = once.post("/v1/email", body.clone()).await;
    assert_eq!(first.status, 201, "{first:?}");
    advance(&host, TimeDelta::hours(2));
    assert_replay(&once.post("/v1/email", body.clone()).await, &first);
    // A new request for a time that is over is still refused.
    let late = keyed(&acme, "too late").post("/v1/email", body).await;
    assert_eq!((late.status, late.code()), (422, "validation_failed"));
    assert_eq!(late.pointers(), ["/send_at"]);
    assert_eq!(host.effects("ada@example.com").await, 1);
}

async fn tenants_and_environments_do_not_share_keys(ground: Ground) {
    let host = ground.host().await;
    let other_operator = host.tenant("other").await;
    host.connect_sandbox_of(&other_operator).await;
    // The sandbox is no PayPal of live ones.
    let connections = host.sandbox.connections();
    for connection in connections.iter().filter(|one| one.service == "email") {
        let path = format!(
            "/api/services/{}/{}/connect",
            connection.service, connection.provider
        );
        let body = json!({"environment": "live", "credentials": connection.credentials, "settings": connection.settings});
        let connected = host.operator().post(&path, body).await;
        assert_eq!(connected.status, 201, "{connected:?}");
    }
    let clients = [
        host.key("test").await,
        host.key("live").await,
        host.key_of(&other_operator, "test").await,
    ];
    let mut ids = Vec::new();
    for client in &clients {
        let sent = keyed(client, "same").post("/v1/email", email()).await;
        assert_eq!(sent.header("idempotent-replayed"), None, "{sent:?}");
        ids.push(sent.text("id").to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    // Two API keys of one tenant and environment do.
    let colleague = host.key("test").await;
    let replay = keyed(&colleague, "same").post("/v1/email", email()).await;
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
}

async fn of_200_twins_at_once_one_has_an_effect(ground: Ground) {
    let host: Harness = ground.host().await;
    let acme = host.key("test").await;
    let once = keyed(&acme, "storm");
    let mut twins = JoinSet::new();
    for _ in 0..200 {
        let once = once.clone();
        twins.spawn(async move { once.post("/v1/sms", sms()).await });
    }
    let replies = twins.join_all().await;
    let first = replies
        .iter()
        .find(|reply| reply.status == 201 && reply.header("idempotent-replayed").is_none())
        .expect("one of them was first");
    let mut fresh = 0;
    for reply in &replies {
        match reply.status {
            201 if reply.header("idempotent-replayed").is_none() => fresh += 1,
            201 => assert_replay(reply, first),
            409 => assert_eq!(reply.code(), "idempotency_in_progress"),
            _ => panic!("{reply:?}"),
        }
    }
    assert_eq!(fresh, 1);
    eventually("settled", || async { ground.open_ends().await == 0 }).await;
    assert_eq!(host.effects(TO).await, 1);
    assert_eq!(ground.count("objects").await, 1);
    assert_replay(&once.post("/v1/sms", sms()).await, first);
}
