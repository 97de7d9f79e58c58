//! Writes of one moment share a transaction, and each keeps a result of its own.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::poll;
use onerouter::store::{
    DEFAULT_TENANT, KeyClaim, KeyState, MessageClaim, Store, StoreConfig, StoreError, constraint,
};
use onerouter_domain::environment::Environment;
use onerouter_tests::database::TestDatabase;
use onerouter_tests::wire::{Snare, Wire};
use tokio::task::JoinHandle;

use crate::on_both_databases;
use crate::writes::{Settling, answered, claim};

on_both_databases!(each_of_a_crowd_has_a_result_of_its_own);

const CLAIMING: &str = "insert into objects";
const SETTLING: &str = "insert into call_logs";
/// Transactions of one kind that a tenant has under way.
const AT_ONCE: usize = 2;

async fn each_of_a_crowd_has_a_result_of_its_own(store: Store) {
    let mut crowd = Vec::new();
    for number in 0..120 {
        // Ten keys, each wanted by ten; and twenty without one.
        let key = (number < 100).then(|| format!("key-{}", number % 10));
        let (store, claim) = (store.clone(), claim(key.as_deref()));
        crowd.push(tokio::spawn(async move {
            let id = claim.object.id;
            (key, id, store.claim(DEFAULT_TENANT, claim).await.unwrap())
        }));
    }
    let mut winners = HashMap::new();
    let mut losers = Vec::new();
    for one in crowd {
        let (key, id, result) = one.await.unwrap();
        match (key, result) {
            (None, result) => assert_eq!(result, KeyClaim::New),
            (Some(key), KeyClaim::New) => assert_eq!(winners.insert(key, id), None),
            (Some(key), KeyClaim::Existing(row)) => losers.push((key, row)),
        }
    }
    assert_eq!((winners.len(), losers.len()), (10, 90));
    for (key, row) in losers {
        assert_eq!((row.state, &row.key), (KeyState::Running, &key));
        assert_eq!(row.object_id, winners.get(&key).copied());
    }
}

/// A store on a wire, with a write that holds each of the tenant's places until it is released.
struct Busy {
    _database: TestDatabase,
    wire: Wire,
    store: Store,
    held: Vec<(Arc<Snare>, JoinHandle<()>)>,
}

impl Busy {
    async fn with_claims() -> Option<Self> {
        let mut busy = Self::idle().await?;
        for _ in 0..AT_ONCE {
            let snare = busy.wire.hold_before_commit_of(CLAIMING);
            let store = busy.store.clone();
            let running = tokio::spawn(async move {
                let claimed = store.claim(DEFAULT_TENANT, claim(None)).await;
                assert_eq!(claimed.unwrap(), KeyClaim::New);
            });
            snare.caught().await;
            busy.held.push((snare, running));
        }
        Some(busy)
    }

    async fn with_settlements() -> Option<Self> {
        let mut busy = Self::idle().await?;
        for number in 0..AT_ONCE {
            let claim = busy.claimed().await;
            let mut settling = Settling::of(&claim);
            settling.object.provider_ref = Some(format!("HELD{number}"));
            let snare = busy.wire.hold_before_commit_of(SETTLING);
            let store = busy.store.clone();
            let settlement = settling.settlement(None, answered());
            let running = tokio::spawn(async move {
                let settled = store.settle(DEFAULT_TENANT, settlement).await;
                assert!(settled.unwrap());
            });
            snare.caught().await;
            busy.held.push((snare, running));
        }
        Some(busy)
    }

    async fn idle() -> Option<Self> {
        let database = TestDatabase::postgres().await?;
        let wire = Wire::to(database.url()).await;
        let store = Store::connect(&StoreConfig::new(wire.url())).await.unwrap();
        Some(Self {
            _database: database,
            wire,
            store,
            held: Vec::new(),
        })
    }

    async fn claimed(&self) -> MessageClaim {
        let claim = claim(None);
        let claimed = self.store.claim(DEFAULT_TENANT, claim.clone()).await;
        assert_eq!(claimed.unwrap(), KeyClaim::New);
        claim
    }

    async fn release(&mut self) {
        for (snare, running) in self.held.drain(..) {
            snare.release();
            running.await.unwrap();
        }
    }
}

/// Has all of them wait for their turn, in this order.
async fn queued<F: Future>(writes: impl IntoIterator<Item = F>) -> Vec<Pin<Box<F>>> {
    let mut waiting = Vec::new();
    for write in writes {
        let mut write = Box::pin(write);
        assert!(poll!(&mut write).is_pending());
        waiting.push(write);
    }
    waiting
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_that_wait_share_a_transaction() {
    let Some(mut busy) = Busy::with_claims().await else {
        return;
    };
    let store = busy.store.clone();
    // Of the two with one key, the first gets it.
    let keys = ["b", "a", "c", "a", "d"];
    let claims: Vec<_> = keys.iter().map(|key| claim(Some(key))).collect();
    let waiting = queued(
        claims
            .iter()
            .map(|claim| store.claim(DEFAULT_TENANT, claim.clone())),
    )
    .await;
    let before = busy.wire.round_trips();
    let (results, ()) = tokio::join!(join_all(waiting), busy.release());
    let (mut new, mut existing) = (0, Vec::new());
    for result in results {
        match result.unwrap() {
            KeyClaim::New => new += 1,
            KeyClaim::Existing(row) => existing.push((row.key, row.object_id)),
        }
    }
    assert_eq!(new, 4);
    assert_eq!(existing, [("a".to_owned(), Some(claims[1].object.id))]);
    // The two commits that were held; a beginning, a statement, a look at the key that was taken, and
    // a commit. The pool may ask whether a connection still works.
    let round_trips = busy.wire.round_trips() - before;
    assert!(round_trips <= 2 + 4 + 2, "{round_trips}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_that_is_refused_does_not_fail_the_others() {
    let Some(mut busy) = Busy::with_settlements().await else {
        return;
    };
    let store = busy.store.clone();
    let mut settlements = Vec::new();
    let mut ids = Vec::new();
    let shared = claim(None).object.connection_id;
    for (reference, version) in [("SM1", 1), ("SM2", 1), ("SM1", 1), ("SM3", 7), ("SM4", 1)] {
        let mut claim = claim(None);
        claim.object.connection_id = shared;
        let claimed = store.claim(DEFAULT_TENANT, claim.clone()).await;
        assert_eq!(claimed.unwrap(), KeyClaim::New);
        let mut settling = Settling::of(&claim);
        settling.object.provider_ref = Some(reference.to_owned());
        settling.object.expected_version = version;
        ids.push(claim.object.id);
        settlements.push(settling.settlement(None, answered()));
    }
    let waiting = queued(
        settlements
            .into_iter()
            .map(|settlement| store.settle(DEFAULT_TENANT, settlement)),
    )
    .await;
    let (results, ()) = tokio::join!(join_all(waiting), busy.release());
    let [first, second, twin, late, last] = <[_; 5]>::try_from(results).unwrap();
    assert!(first.unwrap() && second.unwrap() && last.unwrap());
    assert!(!late.unwrap());
    let refused = twin.unwrap_err();
    assert!(!refused.is_undecided);
    assert!(
        matches!(
            *refused.error,
            StoreError::Duplicate {
                constraint: constraint::PROVIDER_REF,
                ..
            }
        ),
        "{refused:?}"
    );
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let mut versions = Vec::new();
    for id in ids {
        let row = tx.find_object_of_any_kind(id).await.unwrap().unwrap();
        versions.push(row.version);
    }
    assert_eq!(versions, [2, 2, 1, 1, 2]);
    drop(tx);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_lost_leaves_its_whole_group_undecided() {
    let Some(mut busy) = Busy::with_claims().await else {
        return;
    };
    let store = busy.store.clone();
    let claims: Vec<_> = ["a", "b", "c"].map(|key| claim(Some(key))).into();
    let waiting = queued(
        claims
            .iter()
            .map(|claim| store.claim(DEFAULT_TENANT, claim.clone())),
    )
    .await;
    let snare = busy.wire.lose_commit_of(CLAIMING);
    let (results, ()) = tokio::join!(join_all(waiting), busy.release());
    assert!(snare.has_caught());
    for result in results {
        assert!(result.unwrap_err().is_undecided);
    }
    // All of them were committed; whoever asks again learns it.
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    for claim in &claims {
        let key = &claim.key.as_ref().unwrap().key;
        let row = tx.find_key(Environment::Test, key).await.unwrap().unwrap();
        assert_eq!(row.object_id, Some(claim.object.id));
    }
    drop(tx);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_gives_up_waiting_holds_up_nobody() {
    let Some(mut busy) = Busy::with_claims().await else {
        return;
    };
    let store = busy.store.clone();
    let mut waiting =
        queued(["a", "b", "c"].map(|key| store.claim(DEFAULT_TENANT, claim(Some(key))))).await;
    // The one that would have led the next group.
    drop(waiting.remove(0));
    let (results, ()) = tokio::join!(join_all(waiting), busy.release());
    for result in results {
        assert_eq!(result.unwrap(), KeyClaim::New);
    }
    // Its claim was never made, and the places are free again.
    let again = store.claim(DEFAULT_TENANT, claim(Some("a"))).await;
    assert_eq!(again.unwrap(), KeyClaim::New);
    store.close().await;
}
