//! Work that is due.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta};
use onerouter::store::{DEFAULT_TENANT, Store, WorkKind};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{moment, on_both_databases, seconds};

on_both_databases!(
    eight_workers_lease_everything_once,
    work_is_leased_again_when_the_lease_ends,
    finished_and_later_work_is_not_leased,
    times_of_every_precision_are_compared,
);

async fn schedule(store: &Store, objects: &[Uuid], offset: i64) {
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    for object in objects {
        tx.schedule(WorkKind::Settle, *object, moment() + seconds(offset))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

async fn lease(store: &Store, offset: i64, limit: u32) -> Vec<(Uuid, u32)> {
    let now = moment() + seconds(offset);
    let leased = store
        .lease_due(WorkKind::Settle, now, now + seconds(30), limit)
        .await
        .unwrap();
    leased
        .into_iter()
        .map(|work| {
            assert_eq!(
                (work.tenant_id, work.kind),
                (DEFAULT_TENANT, WorkKind::Settle)
            );
            (work.object_id, work.tries)
        })
        .collect()
}

async fn eight_workers_lease_everything_once(store: Store) {
    let objects: Vec<_> = (0..200).map(|_| Uuid::now_v7()).collect();
    schedule(&store, &objects, 0).await;
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        workers.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let leased = lease(&store, 0, 7).await;
                if leased.is_empty() {
                    return mine;
                }
                mine.extend(leased);
            }
        });
    }
    let leased: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(leased.len(), 200);
    assert!(leased.iter().all(|(_, tries)| *tries == 1));
    let distinct: HashSet<_> = leased.into_iter().map(|(object, _)| object).collect();
    assert_eq!(distinct, objects.into_iter().collect());
}

async fn work_is_leased_again_when_the_lease_ends(store: Store) {
    let object = Uuid::now_v7();
    schedule(&store, &[object], 0).await;
    assert_eq!(lease(&store, -1, 10).await, []);
    assert_eq!(lease(&store, 0, 10).await, [(object, 1)]);
    assert_eq!(lease(&store, 29, 10).await, []);
    assert_eq!(lease(&store, 30, 10).await, [(object, 2)]);
}

async fn finished_and_later_work_is_not_leased(store: Store) {
    let [done, later] = [Uuid::now_v7(), Uuid::now_v7()];
    schedule(&store, &[done, later], 0).await;
    assert_eq!(lease(&store, 0, 10).await.len(), 2);
    schedule(&store, &[later], 10).await;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(tx.finish_work(WorkKind::Settle, done).await.unwrap());
    assert!(!tx.finish_work(WorkKind::Settle, done).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(lease(&store, 9, 10).await, []);
    // What was scheduled anew is no longer leased, and its tries are kept.
    assert_eq!(lease(&store, 10, 10).await, [(later, 2)]);
}

/// SQLite compares texts, in which a whole second has no fraction.
async fn times_of_every_precision_are_compared(store: Store) {
    let second = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let later = [0, 1, 999, 1_000, 123_000, 123_456, 999_999, 1_000_000];
    let objects = later.map(|_| Uuid::now_v7());
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    for (object, micros) in objects.iter().zip(later) {
        let at = second + TimeDelta::microseconds(micros);
        tx.schedule(WorkKind::Settle, *object, at).await.unwrap();
    }
    tx.commit().await.unwrap();
    for (object, micros) in objects.iter().zip(later) {
        let now = second + TimeDelta::microseconds(micros);
        let leased = store
            .lease_due(WorkKind::Settle, now, now + seconds(60), 10)
            .await
            .unwrap();
        let [work] = leased.as_slice() else {
            panic!("{leased:?}")
        };
        assert_eq!((work.object_id, work.at), (*object, now));
    }
}
