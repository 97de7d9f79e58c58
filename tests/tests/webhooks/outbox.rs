//! An event and its deliveries are there, or none of them is.

use std::collections::BTreeSet;

use onerouter_tests::outbox::faults;
use onerouter_tests::receiver::Receiver;
use onerouter_tests::scenarios;
use onerouter_tests::scenarios_at_a_wire;
use onerouter_tests::write_path::{Ground, Provider, text};
use serde_json::json;

use crate::rig::{Rig, endpoint};

scenarios!(
    a_lost_delivery_is_noticed,
    an_event_that_was_rolled_back_is_told_to_nobody,
);

scenarios_at_a_wire!(an_event_is_committed_with_its_deliveries_or_not_at_all,);

async fn a_lost_delivery_is_noticed(ground: Ground) {
    let rig = Rig::new(&ground).await;
    rig.endpoint("/hooks", json!({})).await;
    for version in 1..=5 {
        rig.happens(1, version).await;
    }
    assert_eq!(faults(ground.owner_url(), &rig.receiver).await, [""; 0]);
    let one = "(select delivery_id from delivery_queue order by delivery_id limit 1)";
    let lost = format!("delete from webhook_deliveries where id = {one}");
    assert_eq!(ground.change(&lost).await, 1);
    assert_eq!(
        faults(ground.owner_url(), &rig.receiver).await,
        [
            "1 events are not to be told",
            "1 queued deliveries are not pending"
        ]
    );
    let lost = format!("delete from delivery_queue where delivery_id = {one}");
    assert_eq!(ground.change(&lost).await, 1);
    assert_eq!(
        faults(ground.owner_url(), &rig.receiver).await,
        ["1 events are not to be told"]
    );
    assert_eq!(ground.change(&lost).await, 1);
    assert_eq!(
        faults(ground.owner_url(), &rig.receiver).await,
        [
            "1 events are not to be told",
            "1 pending deliveries are not queued"
        ]
    );
    assert_eq!(rig.host.deliver().await, 3);
    assert_eq!(rig.receiver.count(), 3);
    let made_up = "update webhook_deliveries set state = 'succeeded', ended_at = created_at
        where state = 'pending'";
    assert_eq!(ground.change(made_up).await, 1);
    assert_eq!(
        faults(ground.owner_url(), &rig.receiver).await,
        [
            "1 events are not to be told",
            "1 deliveries have succeeded that nobody has received"
        ]
    );
}

async fn an_event_that_was_rolled_back_is_told_to_nobody(ground: Ground) {
    use onerouter::store::{DEFAULT_TENANT, NewEvent};
    use onerouter_domain::environment::Environment;
    use onerouter_domain::id::EventId;
    use uuid::Uuid;

    let rig = Rig::new(&ground).await;
    rig.endpoint("/hooks", json!({})).await;
    let store = &rig.host.gateway.parts().store;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    tx.insert_event(&NewEvent {
        id: EventId::from_uuid(Uuid::now_v7()),
        environment: Environment::Test,
        event_type: "sms.sent".to_owned(),
        object_id: Uuid::now_v7(),
        object_version: 1,
        data: "{}".to_owned(),
        created_at: rig.host.clock.now(),
    })
    .await
    .unwrap();
    drop(tx);
    assert_eq!(rig.host.deliver().await, 0);
    for table in ["events", "webhook_deliveries", "delivery_queue"] {
        assert_eq!(ground.count(table).await, 0, "{table}");
    }
}

async fn an_event_is_committed_with_its_deliveries_or_not_at_all(ground: Ground) {
    const SETTLING: &str = "insert into call_logs";
    let provider = Provider::start().await;
    let (host, acme) = ground.host_and(&provider).await;
    let receiver = Receiver::start().await;
    endpoint(&acme, &receiver.url("/hooks"), json!({})).await;
    for (number, cut) in ["statement", "commit", "answer"].into_iter().enumerate() {
        let wire = ground.wire();
        let snare = match cut {
            "statement" => wire.cut_at(SETTLING),
            "commit" => wire.cut_before_commit_of(SETTLING),
            _ => wire.lose_commit_of(SETTLING),
        };
        let sent = acme.post("/v1/sms", text(cut)).await;
        assert!(snare.has_caught());
        assert_eq!(sent.status, 201, "{sent:?}");
        assert_eq!(
            faults(ground.owner_url(), &receiver).await,
            [""; 0],
            "{cut}"
        );
        let told = i64::try_from(number).unwrap() + 1;
        assert_eq!(ground.count("webhook_deliveries").await, told, "{cut}");
    }
    // Of a try, too: what was taken is written down, or made again.
    for (cut, received) in [("commit", 3), ("answer", 3)] {
        let written = "insert into webhook_attempts";
        let snare = match cut {
            "commit" => ground.wire().cut_before_commit_of(written),
            _ => ground.wire().lose_commit_of(written),
        };
        if cut == "answer" {
            acme.post("/v1/sms", text("once more")).await;
        }
        host.deliver().await;
        assert!(snare.has_caught(), "{cut}");
        assert!(receiver.count() >= received);
        assert_eq!(
            faults(ground.owner_url(), &receiver).await,
            [""; 0],
            "{cut}"
        );
    }
    let pending = "(select tenant_id from webhook_deliveries where state = 'pending') as pending";
    assert_eq!(ground.count(pending).await, 0);
    let ids: BTreeSet<_> = receiver.ids().into_iter().collect();
    assert_eq!((ids.len(), receiver.count()), (4, 4), "each once");
}
