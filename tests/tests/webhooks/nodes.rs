//! What several nodes share, and what a killed one leaves to the others. With real programs:
//! `tests/tests/nodes/deliveries.rs`.

use chrono::TimeDelta;
use onerouter_tests::harness::{Harness, Setup};
use onerouter_tests::outbox::faults;
use onerouter_tests::receiver::Receiver;
use onerouter_tests::scenarios;
use onerouter_tests::write_path::{Ground, eventually};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::rig::endpoint;

scenarios!(what_a_killed_node_had_under_way_is_taken_over);

/// Until what a node had taken is anybody's again.
const LEASE: TimeDelta = TimeDelta::seconds(31);

async fn what_a_killed_node_had_under_way_is_taken_over(ground: Ground) {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let setup = || Setup {
        database_url: Some(ground.url().to_owned()),
        data_dir: Some(folder.path().join("data")),
        ..Setup::default()
    };
    receiver.hold("/hooks");
    let (doomed, url) = (setup(), receiver.url("/hooks"));
    let (runtime, host, key) = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (host, key) = runtime.block_on(async {
            let host = Harness::with(doomed).await;
            let acme = host.key("test").await;
            endpoint(&acme, &url, json!({})).await;
            let sms = json!({"to": "+14155550123", "body": "Hi"});
            assert_eq!(acme.post("/v1/sms", sms).await.status, 201);
            let deliveries = host.gateway.parts().deliveries.clone();
            tokio::spawn(deliveries.run(CancellationToken::new()));
            (host, acme.token)
        });
        (runtime, host, key)
    })
    .await
    .unwrap();
    eventually("it is being delivered", async || receiver.count() == 1).await;
    runtime.shutdown_background();
    // Only now: who is killed tidies nothing up.
    drop(host);
    receiver.release("/hooks");
    let host = Harness::with(Setup {
        unconnected: true,
        ..setup()
    })
    .await;
    assert!(host.client(&key).get("/v1/sms").await.status == 200);
    // It might still be under way, for all that anybody knows.
    assert_eq!(host.deliver().await, 0);
    host.clock.advance(LEASE);
    assert_eq!(host.deliver().await, 1);
    let ids = receiver.ids();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    assert_eq!(faults(ground.owner_url(), &receiver).await, [""; 0]);
    assert_eq!(ground.count("delivery_queue").await, 0);
}
