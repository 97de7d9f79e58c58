//! What a write of the API does: claim in one transaction, settle in another.

use chrono::{DateTime, Utc};
use onerouter::store::{
    AttemptEnd, AttemptRow, DEFAULT_TENANT, EventFilter, EventOrder, KeyClaim, KeyState,
    MessageClaim, MessageSettlement, NewAttempt, NewCallLog, NewEvent, NewKeyClaim, NewObject,
    ObjectUpdate, RequestEnd, SettledRequest, Store, TenantTx, WorkKind,
};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{AttemptId, EventId, RequestId};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{connection_id, moment, object, on_both_databases, seconds};

on_both_databases!(
    a_write_is_claimed_and_settled,
    a_page_and_a_next_look_are_written_with_them,
    a_message_without_a_key_is_claimed_and_settled,
    a_message_whose_key_is_taken_is_not_written,
    a_message_takes_over_an_expired_key,
    a_settlement_of_another_version_writes_nothing,
    a_settlement_that_has_waited_makes_no_late_event,
    a_request_ends_as_its_message_is_settled,
    everybody_of_a_crowd_gets_a_connection,
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

pub(crate) fn claim(key: Option<&str>) -> MessageClaim {
    let object = object(connection_id());
    MessageClaim {
        key: key.map(|key| NewKeyClaim {
            environment: Environment::Test,
            key: key.to_owned(),
            route: "POST /v1/sms".to_owned(),
            request_hash: [7; 32],
            object_id: Some(object.id),
            now: moment(),
            expires_at: moment() + seconds(60),
        }),
        attempt: Some(attempt(object.id)),
        due_at: moment() + seconds(30),
        object: NewObject {
            content: Some(r#"{"text":"Hi"}"#.to_owned()),
            ..object
        },
        page: None,
    }
}

async fn claimed(store: &Store, claim: &MessageClaim) -> KeyClaim {
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let claimed = tx.claim_message(claim).await.unwrap();
    tx.commit().await.unwrap();
    claimed
}

/// What settles the first version of a claim's message.
pub(crate) struct Settling {
    pub(crate) object: ObjectUpdate,
    attempt: AttemptEnd,
    event: NewEvent,
    call_log: NewCallLog,
    watch_at: Option<DateTime<Utc>>,
}

impl Settling {
    pub(crate) fn of(claim: &MessageClaim) -> Self {
        let (object_id, at) = (claim.object.id, moment() + seconds(1));
        Self {
            object: ObjectUpdate {
                id: object_id,
                expected_version: 1,
                status: "sent".to_owned(),
                provider_ref: Some("SM1".to_owned()),
                result: "{}".to_owned(),
                claimed_until: None,
                refreshed_at: None,
                updated_at: at,
            },
            attempt: AttemptEnd {
                id: claim.attempt.as_ref().unwrap().id,
                outcome: "accepted".to_owned(),
                detail: Some(r#"{"requests":[]}"#.to_owned()),
                ended_at: at,
            },
            event: NewEvent {
                id: EventId::from_uuid(Uuid::now_v7()),
                environment: Environment::Test,
                event_type: "sms.sent".to_owned(),
                object_id,
                object_version: 2,
                data: "{}".to_owned(),
                created_at: at,
            },
            call_log: NewCallLog {
                id: RequestId::from_uuid(Uuid::now_v7()),
                environment: Environment::Test,
                api_key_id: None,
                method: "POST".to_owned(),
                route: "/v1/sms".to_owned(),
                status: 201,
                duration_us: 1_000_000,
                object_id: Some(object_id),
                provider: Some("acme".to_owned()),
                code: None,
                created_at: at,
            },
            watch_at: None,
        }
    }

    async fn write(&self, tx: &mut TenantTx, key: Option<&str>, end: RequestEnd) -> bool {
        let settled = tx.settle_messages(&[self.settlement(key, end)]).await;
        settled.unwrap() == [true]
    }

    pub(crate) fn settlement(&self, key: Option<&str>, end: RequestEnd) -> MessageSettlement {
        MessageSettlement {
            object: self.object.clone(),
            attempt: Some(self.attempt.clone()),
            event: self.event.clone(),
            request: SettledRequest {
                environment: Environment::Test,
                key: key.map(ToOwned::to_owned),
                end,
            },
            call_log: self.call_log.clone(),
            watch_at: self.watch_at,
        }
    }
}

pub(crate) fn answered() -> RequestEnd {
    RequestEnd::Answered {
        status: 201,
        body: "{}".into(),
        kept_until: moment() + seconds(90),
    }
}

async fn key_state(tx: &mut TenantTx, key: &str) -> Option<KeyState> {
    let row = tx.find_key(Environment::Test, key).await.unwrap();
    row.map(|row| row.state)
}

/// What is due a minute later.
async fn due(store: &Store) -> Vec<(Uuid, DateTime<Utc>)> {
    due_of(store, WorkKind::Settle).await
}

async fn due_of(store: &Store, kind: WorkKind) -> Vec<(Uuid, DateTime<Utc>)> {
    let now = moment() + seconds(60);
    let leased = store.lease_due(kind, now, now, 9).await;
    let due = leased.unwrap().into_iter();
    due.map(|work| (work.object_id, work.at)).collect()
}

async fn a_write_is_claimed_and_settled(store: Store) {
    let claim = claim(Some("a"));
    assert_eq!(claimed(&store, &claim).await, KeyClaim::New);
    assert_eq!(due(&store).await, [(claim.object.id, claim.due_at)]);
    let settling = Settling::of(&claim);
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let id = claim.object.id;
    assert_eq!(
        tx.find_object_content(id).await.unwrap(),
        claim.object.content
    );
    assert_eq!(key_state(&mut tx, "a").await, Some(KeyState::Running));
    assert!(settling.write(&mut tx, Some("a"), answered()).await);
    assert!(!tx.finish_attempt(&settling.attempt).await.unwrap());
    assert!(!tx.finish_work(WorkKind::Settle, id).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let attempt = claim.attempt.unwrap();
    let expected = AttemptRow {
        id: attempt.id,
        object_id: id,
        operation: attempt.operation,
        provider_key: attempt.provider_key,
        outcome: Some(settling.attempt.outcome),
        detail: settling.attempt.detail,
        started_at: moment(),
        ended_at: Some(settling.attempt.ended_at),
        batch_id: None,
        connection_id: Some(attempt.connection_id),
    };
    assert_eq!(tx.list_attempts(id).await.unwrap(), [expected]);
    let key = tx.find_key(Environment::Test, "a").await.unwrap().unwrap();
    assert_eq!((key.state, key.status), (KeyState::Done, Some(201)));
    assert_eq!(key.body.as_deref(), Some(b"{}".as_slice()));
    assert_eq!(key.expires_at, moment() + seconds(90));
    let object = tx.find_object_of_any_kind(id).await.unwrap().unwrap();
    assert_eq!((object.version, object.status.as_str()), (2, "sent"));
    assert_eq!(object.provider_ref.as_deref(), Some("SM1"));
}

async fn a_page_and_a_next_look_are_written_with_them(store: Store) {
    let (mut with_page, without) = (claim(Some("a")), claim(Some("b")));
    with_page.page = Some([9; 32]);
    let id = with_page.object.id;
    let claims = [with_page.clone(), without.clone()];
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let claimed = tx.claim_messages(&claims).await.unwrap();
    assert_eq!(claimed, [KeyClaim::New, KeyClaim::New]);
    tx.commit().await.unwrap();
    let place = store.find_checkout(&[9; 32]).await.unwrap().unwrap();
    assert_eq!((place.tenant_id, place.object_id), (DEFAULT_TENANT, id));
    // A twin writes none.
    let mut twin = claim(Some("a"));
    twin.page = Some([8; 32]);
    assert!(matches!(
        self::claimed(&store, &twin).await,
        KeyClaim::Existing(_)
    ));
    assert_eq!(store.find_checkout(&[8; 32]).await.unwrap(), None);

    let watch_at = moment() + seconds(10);
    let mut settling = Settling::of(&with_page);
    settling.watch_at = Some(watch_at);
    let mut other = Settling::of(&without);
    other.object.provider_ref = Some("SM2".to_owned());
    let settlements = [
        settling.settlement(Some("a"), answered()),
        other.settlement(Some("b"), answered()),
    ];
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert_eq!(tx.settle_messages(&settlements).await.unwrap(), [true; 2]);
    tx.commit().await.unwrap();
    assert_eq!(due_of(&store, WorkKind::Watch).await, [(id, watch_at)]);
    assert_eq!(due(&store).await, []);
}

async fn a_message_without_a_key_is_claimed_and_settled(store: Store) {
    let claims = [claim(None), claim(None)];
    for claim in &claims {
        assert_eq!(claimed(&store, claim).await, KeyClaim::New);
    }
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let settling = Settling::of(&claims[0]);
    assert!(settling.write(&mut tx, None, answered()).await);
    tx.commit().await.unwrap();
    assert_eq!(due(&store).await, [(claims[1].object.id, claims[1].due_at)]);
}

async fn a_message_whose_key_is_taken_is_not_written(store: Store) {
    let first = claim(Some("a"));
    assert_eq!(claimed(&store, &first).await, KeyClaim::New);
    let second = claim(Some("a"));
    let KeyClaim::Existing(row) = claimed(&store, &second).await else {
        panic!("two claims of one key")
    };
    assert_eq!(row.object_id, Some(first.object.id));
    let id = second.object.id;
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    assert_eq!(tx.find_object_of_any_kind(id).await.unwrap(), None);
    assert_eq!(tx.find_object_content(id).await.unwrap(), None);
    assert_eq!(tx.list_attempts(id).await.unwrap(), []);
    drop(tx);
    assert_eq!(due(&store).await, [(first.object.id, first.due_at)]);
}

async fn a_message_takes_over_an_expired_key(store: Store) {
    let first = claim(Some("a"));
    claimed(&store, &first).await;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let settling = Settling::of(&first);
    assert!(settling.write(&mut tx, Some("a"), answered()).await);
    tx.commit().await.unwrap();
    let mut second = claim(Some("a"));
    second.key.as_mut().unwrap().now = moment() + seconds(90);
    assert_eq!(claimed(&store, &second).await, KeyClaim::New);
    assert_eq!(due(&store).await, [(second.object.id, second.due_at)]);
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let row = tx.find_key(Environment::Test, "a").await.unwrap().unwrap();
    assert_eq!(row.object_id, Some(second.object.id));
    assert_eq!(row.state, KeyState::Running);
}

async fn a_settlement_of_another_version_writes_nothing(store: Store) {
    let claim = claim(Some("a"));
    claimed(&store, &claim).await;
    let mut settling = Settling::of(&claim);
    settling.object.expected_version = 2;
    let ask_at = moment() + seconds(2);
    for end in [
        answered(),
        RequestEnd::Released,
        RequestEnd::Unknown { ask_at },
    ] {
        let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
        assert!(!settling.write(&mut tx, Some("a"), end).await);
        tx.commit().await.unwrap();
    }
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let attempts = tx.list_attempts(claim.object.id).await.unwrap();
    assert_eq!(attempts[0].outcome, None);
    assert_eq!(key_state(&mut tx, "a").await, Some(KeyState::Running));
    assert!(events(&mut tx).await.is_empty());
    // Else its id would be taken.
    tx.insert_call_log(&settling.call_log).await.unwrap();
    drop(tx);
    assert_eq!(due(&store).await, [(claim.object.id, claim.due_at)]);
}

/// Ids of all events.
async fn events(tx: &mut TenantTx) -> Vec<Uuid> {
    let filter = EventFilter {
        environment: Environment::Test,
        order: EventOrder::Newest,
        limit: 9,
        cursor: None,
        types: None,
        families: None,
        object_id: None,
        created_after: None,
        created_before: None,
    };
    let page = tx.list_events(&filter).await.unwrap();
    page.rows.into_iter().map(|row| row.id.uuid()).collect()
}

/// Whoever reads the feed goes by ids, and has passed those of a minute ago.
async fn a_settlement_that_has_waited_makes_no_late_event(store: Store) {
    let claim = claim(None);
    claimed(&store, &claim).await;
    let mut settling = Settling::of(&claim);
    let minute = 60_000_u128 << 80;
    settling.event.id = EventId::from_uuid(Uuid::from_u128(Uuid::now_v7().as_u128() - minute));
    let passed = Uuid::now_v7();
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(settling.write(&mut tx, None, answered()).await);
    let events = events(&mut tx).await;
    assert!(events.len() == 1 && events[0] > passed, "{events:?}");
}

async fn a_request_ends_as_its_message_is_settled(store: Store) {
    let ask_at = moment() + seconds(2);
    let (released, unknown) = (claim(Some("released")), claim(Some("unknown")));
    for (claim, key, end) in [
        (&released, "released", RequestEnd::Released),
        (&unknown, "unknown", RequestEnd::Unknown { ask_at }),
    ] {
        claimed(&store, claim).await;
        let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
        let settling = Settling::of(claim);
        assert!(settling.write(&mut tx, Some(key), end).await);
        tx.commit().await.unwrap();
    }
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    assert_eq!(key_state(&mut tx, "released").await, None);
    assert_eq!(key_state(&mut tx, "unknown").await, Some(KeyState::Unknown));
    drop(tx);
    assert_eq!(due(&store).await, [(unknown.object.id, ask_at)]);
}

/// More than there are connections, with statements in between that take one for themselves, and
/// with every third transaction given up.
async fn everybody_of_a_crowd_gets_a_connection(store: Store) {
    let mut crowd = JoinSet::new();
    for number in 0..60 {
        let store = store.clone();
        crowd.spawn(async move {
            let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
            tx.claim_message(&claim(None)).await.unwrap();
            if number % 3 == 0 {
                drop(tx);
            } else {
                tx.commit().await.unwrap();
            }
            store.ping().await.unwrap();
        });
    }
    crowd.join_all().await;
    let now = moment() + seconds(60);
    let due = store.lease_due(WorkKind::Settle, now, now, 99).await;
    assert_eq!(due.unwrap().len(), 40);
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
