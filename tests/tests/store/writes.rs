//! What a write of the API does: claim in one transaction, settle in another.

use onerouter::store::{
    AttemptEnd, AttemptRow, DEFAULT_TENANT, KeyClaim, NewAttempt, NewCallLog, NewEvent,
    NewKeyClaim, ObjectUpdate, Store, WorkKind,
};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{AttemptId, EventId, RequestId};
use uuid::Uuid;

use crate::{connection_id, moment, object, on_both_databases, seconds};

on_both_databases!(
    a_write_is_claimed_and_settled,
    a_shared_attempt_is_listed_for_each_object,
);

fn attempt(object_id: Uuid) -> NewAttempt {
    NewAttempt {
        id: AttemptId::from_uuid(Uuid::now_v7()),
        object_id,
        operation: "send".to_owned(),
        provider_key: "sms_1:send:0".to_owned(),
        started_at: moment(),
        batch_id: None,
        connection_id: connection_id(),
        routing: None,
    }
}

async fn a_write_is_claimed_and_settled(store: Store) {
    let object = object(connection_id());
    let attempt = attempt(object.id);
    let claim = NewKeyClaim {
        environment: Environment::Test,
        key: "a".to_owned(),
        route: "POST /v1/sms".to_owned(),
        request_hash: [7; 32],
        object_id: Some(object.id),
        now: moment(),
        expires_at: moment() + seconds(60),
    };
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert_eq!(tx.claim_key(&claim).await.unwrap(), KeyClaim::New);
    tx.insert_object(&object).await.unwrap();
    tx.insert_attempt(&attempt).await.unwrap();
    tx.schedule(WorkKind::Settle, object.id, moment() + seconds(30))
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let end = AttemptEnd {
        id: attempt.id,
        outcome: "accepted".to_owned(),
        detail: Some(r#"{"requests":[]}"#.to_owned()),
        ended_at: moment() + seconds(1),
    };
    let update = ObjectUpdate {
        id: object.id,
        expected_version: 1,
        status: "sent".to_owned(),
        provider_ref: Some("SM1".to_owned()),
        result: "{}".to_owned(),
        claimed_until: None,
        refreshed_at: None,
        updated_at: moment() + seconds(1),
    };
    let event = NewEvent {
        id: EventId::from_uuid(Uuid::now_v7()),
        environment: Environment::Test,
        event_type: "sms.sent".to_owned(),
        object_id: object.id,
        object_version: 2,
        data: "{}".to_owned(),
        created_at: moment() + seconds(1),
    };
    let call = NewCallLog {
        id: RequestId::from_uuid(Uuid::now_v7()),
        environment: Environment::Test,
        api_key_id: None,
        method: "POST".to_owned(),
        route: "/v1/sms".to_owned(),
        status: 201,
        duration_us: 1_000_000,
        object_id: Some(object.id),
        provider: Some("acme".to_owned()),
        code: None,
        created_at: moment(),
    };
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(tx.update_object(&update).await.unwrap());
    assert!(tx.finish_attempt(&end).await.unwrap());
    assert!(!tx.finish_attempt(&end).await.unwrap());
    assert!(
        tx.finish_key(Environment::Test, "a", 201, b"{}", moment())
            .await
            .unwrap()
    );
    tx.insert_event(&event).await.unwrap();
    tx.insert_call_log(&call).await.unwrap();
    assert!(tx.finish_work(WorkKind::Settle, object.id).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let expected = AttemptRow {
        id: attempt.id,
        object_id: object.id,
        operation: attempt.operation,
        provider_key: attempt.provider_key,
        outcome: Some(end.outcome),
        detail: end.detail,
        started_at: moment(),
        ended_at: Some(end.ended_at),
        batch_id: None,
        connection_id: Some(attempt.connection_id),
    };
    assert_eq!(tx.list_attempts(object.id).await.unwrap(), [expected]);
}

async fn a_shared_attempt_is_listed_for_each_object(store: Store) {
    let objects = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    let reordered = [objects[2], objects[0], objects[1]];
    let shared = attempt(reordered[0]);
    let own = attempt(objects[1]);
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    tx.insert_attempt(&NewAttempt {
        batch_id: Some(objects[0]),
        ..shared.clone()
    })
    .await
    .unwrap();
    tx.insert_attempt_objects(shared.id, &reordered)
        .await
        .unwrap();
    tx.insert_attempt(&own).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    assert_eq!(tx.list_attempt_objects(shared.id).await.unwrap(), reordered);
    assert!(tx.list_attempt_objects(own.id).await.unwrap().is_empty());
    for (object, expected) in [
        (objects[0], vec![shared.id]),
        (objects[1], vec![shared.id, own.id]),
        (objects[2], vec![shared.id]),
    ] {
        let attempts = tx.list_attempts(object).await.unwrap();
        assert_eq!(
            attempts.iter().map(|row| row.id).collect::<Vec<_>>(),
            expected
        );
    }
}
