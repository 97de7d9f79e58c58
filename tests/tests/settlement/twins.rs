//! Lost messages that could be taken for one another: what is found is only bound to one of which
//! nobody doubts that it is the one.

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, Provider, advance, eventually, text};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{assert_unknown, sms, stored};

scenarios!(
    two_equal_lost_messages_are_not_told_apart,
    of_two_equal_lost_messages_with_one_effect_none_takes_it,
    a_message_that_is_bound_is_not_taken_by_a_lost_twin,
    a_message_that_is_being_sent_is_not_taken_by_a_lost_twin,
    two_lost_messages_to_one_recipient_are_doubt_enough,
    a_lost_message_to_somebody_else_is_no_doubt,
    what_another_connection_has_bound_is_not_taken,
    a_message_that_another_connection_lost_is_not_taken,
    refused_messages_are_no_doubt_however_many,
);

/// Some message to somebody.
fn text_to(to: &str, body: &str) -> Value {
    let mut message = text(body);
    message["to"] = json!(to);
    message
}

/// The saboteur's account once more under another label, and no longer under the first one.
async fn reconnect(host: &Harness) {
    let operator = host.operator();
    let body = json!({
        "environment": "test", "label": "second", "credentials": {"token": "saboteur-token-0001"},
    });
    let connected = operator
        .post("/api/services/sms/saboteur/connect", body)
        .await;
    assert_eq!(connected.status, 201, "{connected:?}");
    let first = "/api/services/sms/saboteur?environment=test&label=default";
    let gone = operator.delete(first).await;
    assert_eq!(gone.status, 200, "{gone:?}");
}

async fn status(acme: &Client, id: &str) -> String {
    let object = stored(acme, &format!("/v1/sms/{id}")).await;
    object.text("status").to_owned()
}

async fn two_equal_lost_messages_are_not_told_apart(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let to = "+14155550123";
    host.fault(json!({"fault": "reset_after", "provider": "twilio", "method": "POST", "times": 2}))
        .await;
    let one = acme.post("/v1/sms", sms(to)).await;
    let two = acme.post("/v1/sms", sms(to)).await;
    for _ in 0..6 {
        advance(&host, TimeDelta::seconds(60));
        host.sweep().await;
    }
    for lost in [&one, &two] {
        assert_unknown(lost);
        let path = format!("/v1/sms/{}", lost.text("id"));
        assert_eq!(stored(&acme, &path).await.text("status"), "unknown");
        assert_eq!(acme.get(&path).await.text("status"), "unknown");
    }
    assert_eq!(host.effects(to).await, 2);
}

async fn of_two_equal_lost_messages_with_one_effect_none_takes_it(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let to = "+14155550123";
    for fault in ["reset_before", "reset_after"] {
        host.fault(json!({"fault": fault, "provider": "twilio", "method": "POST"}))
            .await;
        let lost = acme.post("/v1/sms", sms(to)).await;
        assert_unknown(&lost);
    }
    for _ in 0..4 {
        advance(&host, TimeDelta::seconds(60));
        assert_eq!(host.sweep().await, 2);
    }
    assert_eq!(ground.open_ends().await, 2);
    assert_eq!(host.effects(to).await, 1);
}

async fn a_message_that_is_bound_is_not_taken_by_a_lost_twin(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let to = "+14155550123";
    let bound = acme.post("/v1/sms", sms(to)).await;
    assert_eq!(bound.status, 201, "{bound:?}");
    host.fault(json!({"fault": "reset_before", "provider": "twilio", "method": "POST"}))
        .await;
    let lost = acme.post("/v1/sms", sms(to)).await;
    assert_unknown(&lost);
    advance(&host, TimeDelta::seconds(3));
    host.sweep().await;
    let path = format!("/v1/sms/{}", lost.text("id"));
    assert_eq!(stored(&acme, &path).await.text("status"), "unknown");

    // A third one that did arrive is the only one that is left over, and in time for both.
    let third = acme.post("/v1/sms", sms(to)).await;
    assert_eq!(third.status, 201, "{third:?}");
    advance(&host, TimeDelta::seconds(10));
    host.sweep().await;
    assert_eq!(stored(&acme, &path).await.text("status"), "unknown");
    assert_eq!(host.effects(to).await, 2);
}

async fn a_message_that_is_being_sent_is_not_taken_by_a_lost_twin(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    provider.lose_next();
    let lost = acme.post("/v1/sms", text("Hi")).await;
    assert_unknown(&lost);
    host.clock.advance(TimeDelta::seconds(3));
    provider.hold_reads();
    let sweeper = host.gateway.parts().sweeper.clone();
    let looking = tokio::spawn(async move { sweeper.sweep().await.unwrap() });
    eventually("it is looked for", || async { provider.finds() > 0 }).await;
    // Now an equal one arrives at the provider, whose answer is still awaited.
    provider.hold();
    let twin = {
        let acme = acme.clone();
        tokio::spawn(async move { acme.post("/v1/sms", text("Hi")).await })
    };
    provider.has("Hi").await;
    provider.release_reads();
    assert_eq!(looking.await.unwrap(), 1);
    provider.release();
    let twin = twin.await.unwrap();
    assert_eq!(twin.status, 201, "{twin:?}");
    let path = format!("/v1/sms/{}", lost.text("id"));
    assert_eq!(stored(&acme, &path).await.text("status"), "unknown");
    assert_eq!(provider.effects("Hi"), 1);
}

async fn two_lost_messages_to_one_recipient_are_doubt_enough(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    // It has its effect, and an adapter might find it for both.
    provider.answer_next(500, "{}");
    let one = acme.post("/v1/sms", text("Hi")).await;
    provider.lose_next();
    let other = acme.post("/v1/sms", text("Ho")).await;
    for _ in 0..3 {
        host.clock.advance(TimeDelta::seconds(10));
        host.sweep().await;
    }
    for lost in [&one, &other] {
        assert_unknown(lost);
        assert_eq!(status(&acme, lost.text("id")).await, "unknown");
    }
    assert!(provider.finds() >= 2);
}

async fn a_lost_message_to_somebody_else_is_no_doubt(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    provider.answer_next(500, "{}");
    let one = acme.post("/v1/sms", text_to("+14155550101", "Hi")).await;
    provider.lose_next();
    let other = acme.post("/v1/sms", text_to("+14155550102", "Hi")).await;
    host.clock.advance(TimeDelta::seconds(3));
    assert_eq!(host.sweep().await, 2);
    assert_eq!(status(&acme, one.text("id")).await, "sent");
    assert_eq!(status(&acme, other.text("id")).await, "unknown");
}

async fn what_another_connection_has_bound_is_not_taken(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let bound = acme.post("/v1/sms", text("Hi")).await;
    assert_eq!(bound.status, 201, "{bound:?}");
    reconnect(&host).await;
    provider.lose_next();
    let lost = acme.post("/v1/sms", text("Hi")).await;
    assert_unknown(&lost);
    host.clock.advance(TimeDelta::seconds(3));
    assert_eq!(host.sweep().await, 1);
    assert_eq!(provider.finds(), 1);
    assert_eq!(status(&acme, lost.text("id")).await, "unknown");
    assert_eq!(provider.effects("Hi"), 1);
}

async fn a_message_that_another_connection_lost_is_not_taken(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    provider.answer_next(500, "{}");
    let one = acme.post("/v1/sms", text("Hi")).await;
    reconnect(&host).await;
    provider.lose_next();
    let other = acme.post("/v1/sms", text("Hi")).await;
    for _ in 0..3 {
        host.clock.advance(TimeDelta::seconds(10));
        host.sweep().await;
    }
    for lost in [&one, &other] {
        assert_unknown(lost);
        assert_eq!(status(&acme, lost.text("id")).await, "unknown");
    }
    assert_eq!(provider.effects("Hi"), 1);
}

async fn refused_messages_are_no_doubt_however_many(ground: Ground) {
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    // As many as are looked at.
    let mut refused = JoinSet::new();
    for _ in 0..200 {
        provider.answer_next(400, "{}");
        let acme = acme.clone();
        refused.spawn(async move { acme.post("/v1/sms", text("No")).await });
    }
    for reply in refused.join_all().await {
        assert_eq!(reply.code(), "provider_rejected", "{reply:?}");
    }
    provider.answer_next(500, "{}");
    let lost = acme.post("/v1/sms", text("Hi")).await;
    assert_unknown(&lost);
    host.clock.advance(TimeDelta::seconds(3));
    assert_eq!(host.sweep().await, 1);
    assert_eq!(status(&acme, lost.text("id")).await, "sent");
}
