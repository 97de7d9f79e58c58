//! How much at a time: an endpoint's own limit, and slow endpoints beside quick ones.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use onerouter_domain::environment::Environment;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, eventually};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::rig::{Rig, endpoint};

scenarios!(
    an_endpoint_gets_no_more_in_a_second_than_it_wants,
    what_waits_for_a_limit_is_no_try_and_keeps_its_place,
    an_endpoint_that_hangs_does_not_delay_another,
    a_tenant_whose_endpoints_hang_does_not_delay_another,
);

async fn an_endpoint_gets_no_more_in_a_second_than_it_wants(ground: Ground) {
    const PER_SECOND: u64 = 20;
    const COUNT: u64 = 40;
    let rig = Rig::new(&ground).await;
    let rate = json!({"per_second": PER_SECOND});
    rig.endpoint("/limited", json!({ "rate_limit": rate }))
        .await;
    rig.endpoint("/free", json!({})).await;
    for number in 0..COUNT {
        rig.happens(u128::from(number), 1).await;
    }
    let stop = CancellationToken::new();
    let deliveries = rig.host.gateway.parts().deliveries.clone();
    let began = Instant::now();
    let running = tokio::spawn(deliveries.run(stop.clone()));
    let count = usize::try_from(COUNT).unwrap();
    eventually("all are told", async || {
        rig.receiver.received("/limited").len() == count
    })
    .await;
    let took = began.elapsed();
    stop.cancel();
    running.await.unwrap();
    // A tenth of a second's may come at once.
    let least = Duration::from_millis((COUNT - PER_SECOND / 10) * 1_000 / PER_SECOND);
    assert!(took >= least, "{took:?}");
    assert_eq!(rig.receiver.received("/free").len(), count);
}

async fn what_waits_for_a_limit_is_no_try_and_keeps_its_place(ground: Ground) {
    let rig = Rig::new(&ground).await;
    let rate = json!({"per_second": 1});
    let endpoint = rig.endpoint("/hooks", json!({ "rate_limit": rate })).await;
    for version in 1..=3 {
        rig.happens(1, version).await;
        rig.host.clock.advance(TimeDelta::milliseconds(1));
    }
    rig.host.deliver().await;
    assert_eq!(rig.receiver.count(), 1);
    let deliveries = endpoint.deliveries().await;
    let is_tried = |delivery: &&Value| delivery["attempt_count"] != 0;
    let (tried, waiting): (Vec<_>, Vec<_>) = deliveries.iter().partition(is_tried);
    assert_eq!((tried.len(), waiting.len()), (1, 2));
    assert_eq!(tried[0]["attempt_count"], 1);
    for waiting in waiting {
        assert_eq!(waiting["status"], "pending");
        assert_eq!(waiting["next_attempt_at"], waiting["created_at"]);
    }
    eventually("all are told", async || {
        rig.host.deliver().await;
        rig.receiver.count() == 3
    })
    .await;
    let told = rig.receiver.received("/hooks");
    let sequences: Vec<_> = told.iter().map(|one| one.sequence()).collect();
    assert_eq!(sequences, [1, 2, 3]);
    assert!(
        endpoint
            .deliveries()
            .await
            .iter()
            .all(|one| one["attempt_count"] == 1)
    );
}

async fn an_endpoint_that_hangs_does_not_delay_another(ground: Ground) {
    const COUNT: usize = 50;
    let rig = Rig::new(&ground).await;
    for number in 0..5 {
        let path = format!("/hanging/{number}");
        rig.endpoint(&path, json!({})).await;
        rig.receiver.hold(&path);
    }
    let quick = rig.endpoint("/quick", json!({})).await;
    let stop = CancellationToken::new();
    let deliveries = rig.host.gateway.parts().deliveries.clone();
    let running = tokio::spawn(deliveries.run(stop.clone()));
    let began = Instant::now();
    for number in 0..COUNT {
        rig.happens(u128::try_from(number).unwrap(), 1).await;
    }
    eventually("the quick one has heard of all", async || {
        rig.receiver.received("/quick").len() == COUNT
    })
    .await;
    // Before any of the hanging ones has run into its time.
    assert!(
        began.elapsed() < Duration::from_secs(14),
        "{:?}",
        began.elapsed()
    );
    for number in 0..5 {
        let path = format!("/hanging/{number}");
        let asked = rig.receiver.received(&path).len();
        assert!((1..=2).contains(&asked), "{asked} at once");
        rig.receiver.release(&path);
    }
    eventually("the others have, too", async || {
        rig.receiver.count() == 6 * COUNT
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(quick.states().await, vec!["succeeded"; COUNT]);
}

async fn a_tenant_whose_endpoints_hang_does_not_delay_another(ground: Ground) {
    let rig = Rig::new(&ground).await;
    // As many endpoints as a tenant may have.
    let live = rig.host.key("live").await;
    for client in [&rig.acme, &live] {
        for _ in 0..50 {
            endpoint(client, &rig.receiver.url("/hanging"), json!({})).await;
        }
    }
    rig.receiver.hold("/hanging");
    for environment in [Environment::Test, Environment::Live] {
        for version in 1..=2 {
            rig.happens_in(environment, "sms.sent", 1, version).await;
        }
    }
    let bob = rig.host.tenant("Bob").await;
    let bob = rig.host.key_of(&bob, "test").await;
    endpoint(&bob, &rig.receiver.url("/bob"), json!({})).await;
    let stop = CancellationToken::new();
    let deliveries = rig.host.gateway.parts().deliveries.clone();
    let running = tokio::spawn(deliveries.run(stop.clone()));
    // Half of what endpoints may have that are not known to be quick.
    eventually("as many hang as may", async || rig.receiver.count() >= 64).await;
    let sample = json!({"type": "payment.succeeded"});
    assert_eq!(bob.post("/v1/events", sample).await.status, 200);
    eventually("the other tenant has heard", async || {
        !rig.receiver.received("/bob").is_empty()
    })
    .await;
    // While all of them hang.
    let ended = "(select tenant_id from webhook_attempts where status is null) as ended";
    assert_eq!(ground.count(ended).await, 0);
    rig.receiver.release("/hanging");
    stop.cancel();
    running.await.unwrap();
}
