//! What becomes of keys that nobody needs any more.

use chrono::TimeDelta;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;

use crate::{email, keyed, sms};

scenarios!(expired_keys_are_all_removed_in_one_round_however_many);

/// More than one statement removes.
const MANY: i64 = 10_005;

async fn expired_keys_are_all_removed_in_one_round_however_many(ground: Ground) {
    let host = ground.host().await;
    let acme = host.key("test").await;
    let done = keyed(&acme, "done").post("/v1/sms", sms()).await;
    assert_eq!(done.status, 201, "{done:?}");
    // One that was never settled must be kept, whatever its age.
    let copy = |mark: &str, state: &str| {
        format!(
            "insert into idempotency_keys (tenant_id, environment, key, route, request_hash,
                 object_id, state, status, body, created_at, expires_at)
             select tenant_id, environment, '{mark}', route, request_hash, null, {state},
                 created_at, expires_at
             from idempotency_keys where key = 'done'"
        )
    };
    ground
        .change(&copy("unknown", "'unknown', null, null"))
        .await;
    ground
        .change(&format!(
            "with recursive numbers (number) as (
                 select 1 union all select number + 1 from numbers where number < {MANY})
             insert into idempotency_keys (tenant_id, environment, key, route, request_hash,
                 object_id, state, status, body, created_at, expires_at)
             select tenant_id, environment, 'done ' || number, route, request_hash, null, state,
                 status, body, created_at, expires_at
             from idempotency_keys, numbers where key = 'done'"
        ))
        .await;
    host.clock.advance(TimeDelta::hours(26));
    let late = keyed(&acme, "late").post("/v1/email", email()).await;
    assert_eq!(late.status, 201, "{late:?}");
    assert_eq!(ground.count("idempotency_keys").await, MANY + 3);

    let sweeper = &host.gateway.parts().sweeper;
    // PostgreSQL has a clock of its own, by which none of them is old: the background leaves them alone.
    if host.gateway.parts().store.has_partitions() {
        assert!(!sweeper.clean_up_where_clocks_agree().await);
        assert_eq!(ground.count("idempotency_keys").await, MANY + 3);
    }
    sweeper.clean_up().await;
    assert_eq!(ground.count("idempotency_keys").await, 2);
    let again = keyed(&acme, "late").post("/v1/email", email()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let twin = keyed(&acme, "unknown").post("/v1/sms", sms()).await;
    assert_eq!(twin.code(), "outcome_unknown");
}
