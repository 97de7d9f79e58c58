//! Transactions that take several locks take them in one order.

use onerouter_tests::scenarios_at_a_wire;
use onerouter_tests::write_path::{Ground, eventually};
use serde_json::{Value, json};

scenarios_at_a_wire!(two_batches_with_the_same_keys_in_opposite_order_do_not_stop_each_other);

fn email(key: &str) -> Value {
    let to = format!("{key}@example.com");
    json!({"to": to, "subject": "Hello", "text_body": "Hi", "idempotency_key": key})
}

async fn two_batches_with_the_same_keys_in_opposite_order_do_not_stop_each_other(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let send = |emails: [Value; 2]| {
        let acme = acme.clone();
        let body = json!({ "emails": emails });
        tokio::spawn(async move { acme.post("/v1/email/batch", body).await })
    };
    // The one has its first key and is about to take its second one.
    let snare = ground.wire().hold_at("insert into idempotency_keys", 1);
    let one = send([email("a"), email("b")]);
    snare.caught().await;
    let other = send([email("b"), email("a")]);
    let waiting = "(select tenant_id from api_keys where exists (
        select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock')) as waiting";
    eventually("the other waits for a key of the one's", || async {
        ground.count(waiting).await > 0
    })
    .await;
    snare.release();
    for (batch, name) in [(one.await, "one"), (other.await, "other")] {
        let batch = batch.unwrap();
        assert_eq!(batch.status, 200, "{name}: {batch:?}");
    }
    for key in ["a", "b"] {
        assert_eq!(host.effects(&format!("{key}@example.com")).await, 1);
    }
    assert_eq!(ground.open_ends().await, 0);
}
