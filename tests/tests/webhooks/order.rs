//! The order of one object's events, where an endpoint wants it.

use std::collections::HashMap;

use chrono::TimeDelta;
use onerouter::store::DEFAULT_TENANT;
use onerouter_domain::id::DeliveryId;
use onerouter_tests::harness::Setup;
use onerouter_tests::receiver::Answer;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, eventually};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::rig::Rig;

scenarios!(
    of_one_object_the_next_waits_until_the_one_before_was_taken,
    of_one_object_the_next_goes_when_the_one_before_is_given_up,
    many_objects_are_each_told_in_order_by_two_nodes,
    without_order_nothing_waits,
);

async fn of_one_object_the_next_waits_until_the_one_before_was_taken(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({"ordered": true})).await;
    rig.receiver.answer_next("/hooks", Answer::status(500));
    for version in 1..=3 {
        rig.happens(1, version).await;
    }
    rig.happens(2, 1).await;
    rig.host.deliver().await;
    let heard = || -> Vec<_> {
        let received = rig.receiver.received("/hooks");
        let of = received.iter().map(|one| {
            let object = one.json()["data"]["object"].as_str().unwrap().to_owned();
            (object, one.sequence())
        });
        of.collect()
    };
    let of_first = || {
        heard()
            .into_iter()
            .filter(|(object, _)| object == "1")
            .count()
    };
    // Only the first of the first object was tried; the other object does not wait for it.
    assert_eq!((heard().len(), of_first()), (2, 1));
    rig.host.clock.advance(TimeDelta::seconds(1));
    assert_eq!((rig.host.deliver().await, of_first()), (0, 1));
    rig.host.clock.advance(TimeDelta::seconds(6));
    rig.host.deliver().await;
    let of_first: Vec<_> = heard()
        .into_iter()
        .filter(|(object, _)| object == "1")
        .collect();
    let sequences: Vec<_> = of_first.iter().map(|(_, sequence)| *sequence).collect();
    assert_eq!(sequences, [1, 1, 2, 3]);
    assert_eq!(endpoint.states().await, vec!["succeeded"; 4]);
    let attempts: Vec<_> = endpoint.deliveries().await;
    assert!(
        attempts[1..].iter().all(|one| one["attempt_count"] == 1),
        "to wait is no try"
    );
}

async fn of_one_object_the_next_goes_when_the_one_before_is_given_up(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({"ordered": true})).await;
    for _ in 0..10 {
        rig.receiver.answer_next("/hooks", Answer::status(500));
    }
    rig.happens(1, 1).await;
    rig.happens(1, 2).await;
    for _ in 0..10 {
        rig.host.deliver().await;
        rig.host.clock.advance(TimeDelta::hours(29));
        // Nothing was taken for days, but this endpoint is to go on.
        ground
            .change("update webhook_endpoints set failing_since = null")
            .await;
    }
    rig.host.deliver().await;
    assert_eq!(endpoint.states().await, ["failed", "succeeded"]);
    let sequences: Vec<_> = rig
        .receiver
        .received("/hooks")
        .iter()
        .map(|one| one.sequence())
        .collect();
    assert_eq!(sequences, [vec![1; 10], vec![2]].concat());
}

async fn many_objects_are_each_told_in_order_by_two_nodes(ground: Ground) {
    const OBJECTS: u128 = 12;
    const VERSIONS: u64 = 8;
    let rig = Rig::new(&ground).await;
    let data_dir = rig.host.folder.path().join("data");
    let other = ground
        .host_with(Setup {
            unconnected: true,
            data_dir: Some(data_dir),
            ..Setup::default()
        })
        .await;
    rig.endpoint("/hooks", json!({"ordered": true})).await;
    let stop = CancellationToken::new();
    let nodes = [&rig.host, &other];
    // SQLite has room for one.
    let count = if ground.url().starts_with("sqlite") {
        1
    } else {
        2
    };
    let running: Vec<_> = nodes[..count]
        .iter()
        .map(|host| {
            let deliveries = host.gateway.parts().deliveries.clone();
            tokio::spawn(deliveries.run(stop.clone()))
        })
        .collect();
    for version in 1..=VERSIONS {
        for object in 0..OBJECTS {
            rig.happens(object, version).await;
        }
    }
    let all = usize::try_from(OBJECTS).unwrap() * usize::try_from(VERSIONS).unwrap();
    eventually("all are told", async || rig.receiver.count() >= all).await;
    stop.cancel();
    for node in running {
        node.await.unwrap();
    }
    let mut told: HashMap<String, Vec<u64>> = HashMap::new();
    for one in rig.receiver.received("/hooks") {
        let object = one.json()["data"]["object"].as_str().unwrap().to_owned();
        told.entry(object).or_default().push(one.sequence());
    }
    for (object, sequences) in told {
        assert_eq!(sequences, (1..=VERSIONS).collect::<Vec<_>>(), "{object}");
    }
}

async fn without_order_nothing_waits(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({})).await;
    rig.receiver.answer_next("/hooks", Answer::status(500));
    for version in 1..=3 {
        rig.happens(1, version).await;
    }
    rig.host.deliver().await;
    let mut states = endpoint.states().await;
    states.sort_unstable();
    assert_eq!(states, ["pending", "succeeded", "succeeded"]);
}

/// The next one is told to wait by another node, at the very moment at which the one before ends: the
/// statement that ends it has begun, and waits for that node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_told_to_wait_while_the_one_before_ends_is_woken() {
    let Some(ground) = Ground::postgres().await else {
        return;
    };
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({"ordered": true})).await;
    rig.receiver.hold("/hooks");
    rig.happens(1, 1).await;
    let one_node = async {
        rig.host.deliver().await;
    };
    let another = async {
        eventually("the first is under way", async || rig.receiver.count() == 1).await;
        rig.happens(1, 2).await;
        let next = endpoint.deliveries().await.pop().unwrap();
        let next: DeliveryId = next["id"].as_str().unwrap().parse().unwrap();
        let store = &rig.host.gateway.parts().store;
        let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
        let next = tx.find_due_deliveries(&[next]).await.unwrap();
        let until = rig.host.clock.now() + TimeDelta::hours(1);
        assert!(tx.hold_back_delivery(&next[0], until).await.unwrap());
        rig.receiver.release("/hooks");
        let database = PgConnection::connect(ground.owner_url()).await.unwrap();
        let database = tokio::sync::Mutex::new(database);
        eventually("the statement waits", async || {
            let waits: bool = sqlx::query_scalar(
                "select exists (select from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock'
                         and query like '%update webhook_deliveries%')",
            )
            .fetch_one(&mut *database.lock().await)
            .await
            .unwrap();
            waits
        })
        .await;
        tx.commit().await.unwrap();
    };
    tokio::join!(one_node, another);
    // At once, and not after an hour.
    let sequences: Vec<_> = rig
        .receiver
        .received("/hooks")
        .iter()
        .map(|one| one.sequence())
        .collect();
    assert_eq!(sequences, [1, 2]);
    assert_eq!(endpoint.states().await, ["succeeded"; 2]);
}
