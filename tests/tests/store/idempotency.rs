//! Idempotency keys.

use onerouter::store::{DEFAULT_TENANT, IdempotencyRow, KeyClaim, KeyState, NewKeyClaim, Store};
use onerouter_domain::environment::Environment;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{moment, on_both_databases, seconds};

on_both_databases!(
    of_two_hundred_twins_one_is_new,
    a_finished_key_gives_its_answer_byte_for_byte,
    an_expired_key_is_claimed_anew,
    an_unknown_key_never_expires,
    a_key_that_is_answered_late_is_kept_from_then_on,
    a_released_key_is_new_again,
    a_rolled_back_claim_leaves_nothing,
    environments_do_not_share_keys,
    the_keys_of_an_object_are_found,
    expired_keys_are_deleted_up_to_the_limit,
);

fn claim(key: &str) -> NewKeyClaim {
    NewKeyClaim {
        environment: Environment::Test,
        key: key.to_owned(),
        route: "POST /v1/sms".to_owned(),
        request_hash: [7; 32],
        object_id: Some(Uuid::now_v7()),
        now: moment(),
        expires_at: moment() + seconds(60),
    }
}

async fn try_claim(store: &Store, claim: &NewKeyClaim) -> KeyClaim {
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let outcome = tx.claim_key(claim).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

async fn finish(store: &Store, key: &str, body: &[u8]) {
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(
        tx.finish_key(Environment::Test, key, 201, body, moment())
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
}

fn existing(claim: KeyClaim) -> IdempotencyRow {
    match claim {
        KeyClaim::Existing(row) => row,
        KeyClaim::New => panic!("the key was free"),
    }
}

async fn of_two_hundred_twins_one_is_new(store: Store) {
    let mut twins = JoinSet::new();
    for _ in 0..200 {
        let store = store.clone();
        twins.spawn(async move { try_claim(&store, &claim("twin")).await });
    }
    let outcomes = twins.join_all().await;
    let new = outcomes
        .iter()
        .filter(|outcome| **outcome == KeyClaim::New)
        .count();
    assert_eq!((outcomes.len(), new), (200, 1));
}

async fn a_finished_key_gives_its_answer_byte_for_byte(store: Store) {
    let first = claim("a");
    assert_eq!(try_claim(&store, &first).await, KeyClaim::New);
    let running = existing(try_claim(&store, &claim("a")).await);
    assert_eq!(
        (running.state, running.status, running.body),
        (KeyState::Running, None, None)
    );

    let body = [b"{\"a\": 1.50}\n".as_slice(), &[0, 255]].concat();
    finish(&store, "a", &body).await;
    let row = existing(try_claim(&store, &claim("a")).await);
    assert_eq!((row.state, row.status), (KeyState::Done, Some(201)));
    assert_eq!(row.body.unwrap(), body);
    assert_eq!(
        (row.route, row.request_hash),
        (first.route, first.request_hash)
    );
    assert_eq!(
        (row.object_id, row.created_at),
        (first.object_id, first.now)
    );
    assert_eq!(row.expires_at, first.expires_at);
}

async fn an_expired_key_is_claimed_anew(store: Store) {
    try_claim(&store, &claim("a")).await;
    finish(&store, "a", b"old").await;

    let mut again = claim("a");
    again.now = moment() + seconds(59);
    existing(try_claim(&store, &again).await);
    again.now = moment() + seconds(60);
    again.expires_at = moment() + seconds(120);
    again.request_hash = [8; 32];
    assert_eq!(try_claim(&store, &again).await, KeyClaim::New);

    let row = existing(try_claim(&store, &again).await);
    assert_eq!(
        (row.state, row.status, row.body),
        (KeyState::Running, None, None)
    );
    assert_eq!(
        (row.request_hash, row.object_id),
        ([8; 32], again.object_id)
    );
}

async fn a_key_that_is_answered_late_is_kept_from_then_on(store: Store) {
    assert_eq!(try_claim(&store, &claim("a")).await, KeyClaim::New);
    let late = moment() + seconds(3_600);
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let kept_until = late + seconds(60);
    let finished = tx.finish_key(Environment::Test, "a", 201, b"{}", kept_until);
    assert!(finished.await.unwrap());
    tx.commit().await.unwrap();
    let mut again = claim("a");
    again.now = late + seconds(30);
    let row = existing(try_claim(&store, &again).await);
    assert_eq!(row.expires_at, kept_until);
    again.now = kept_until;
    assert_eq!(try_claim(&store, &again).await, KeyClaim::New);
}

async fn an_unknown_key_never_expires(store: Store) {
    try_claim(&store, &claim("a")).await;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(tx.mark_key_unknown(Environment::Test, "a").await.unwrap());
    tx.commit().await.unwrap();

    let mut again = claim("a");
    again.now = moment() + seconds(1_000_000);
    assert_eq!(
        existing(try_claim(&store, &again).await).state,
        KeyState::Unknown
    );
    finish(&store, "a", b"settled").await;
    assert_eq!(try_claim(&store, &again).await, KeyClaim::New);
}

async fn a_released_key_is_new_again(store: Store) {
    try_claim(&store, &claim("a")).await;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(tx.release_key(Environment::Test, "a").await.unwrap());
    assert!(!tx.release_key(Environment::Test, "a").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(try_claim(&store, &claim("a")).await, KeyClaim::New);

    finish(&store, "a", b"kept").await;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(!tx.release_key(Environment::Test, "a").await.unwrap());
    assert!(
        !tx.finish_key(Environment::Test, "a", 500, b"other", moment())
            .await
            .unwrap()
    );
    assert!(!tx.mark_key_unknown(Environment::Test, "a").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(
        existing(try_claim(&store, &claim("a")).await).body.unwrap(),
        b"kept".as_slice()
    );
}

async fn a_rolled_back_claim_leaves_nothing(store: Store) {
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert_eq!(tx.claim_key(&claim("a")).await.unwrap(), KeyClaim::New);
    drop(tx);
    assert_eq!(try_claim(&store, &claim("a")).await, KeyClaim::New);
}

async fn environments_do_not_share_keys(store: Store) {
    try_claim(&store, &claim("a")).await;
    let live = NewKeyClaim {
        environment: Environment::Live,
        ..claim("a")
    };
    assert_eq!(try_claim(&store, &live).await, KeyClaim::New);
}

async fn the_keys_of_an_object_are_found(store: Store) {
    let first = claim("b");
    let second = NewKeyClaim {
        object_id: first.object_id,
        now: moment() + seconds(1),
        ..claim("a")
    };
    for claim in [&first, &second, &claim("other")] {
        try_claim(&store, claim).await;
    }
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let rows = tx
        .list_keys_by_object(first.object_id.unwrap())
        .await
        .unwrap();
    assert_eq!(
        rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        ["b", "a"]
    );
    assert!(
        tx.list_keys_by_object(Uuid::now_v7())
            .await
            .unwrap()
            .is_empty()
    );
    tx.commit().await.unwrap();
}

async fn expired_keys_are_deleted_up_to_the_limit(store: Store) {
    for key in ["a", "b", "c", "running"] {
        try_claim(&store, &claim(key)).await;
    }
    for key in ["a", "b", "c"] {
        finish(&store, key, b"").await;
    }
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let at = |offset| moment() + seconds(offset);
    assert_eq!(tx.delete_expired_keys(at(59), 10).await.unwrap(), 0);
    assert_eq!(tx.delete_expired_keys(at(60), 2).await.unwrap(), 2);
    assert_eq!(tx.delete_expired_keys(at(60), 2).await.unwrap(), 1);
    assert!(
        tx.find_key(Environment::Test, "running")
            .await
            .unwrap()
            .is_some()
    );
    tx.commit().await.unwrap();
}
