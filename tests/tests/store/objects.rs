//! Objects: versions, refreshes, references, lists.

use onerouter::store::{
    DEFAULT_TENANT, NewObject, ObjectFilter, ObjectKind, ObjectRow, ObjectUpdate, Store,
    StoreError, TenantRow, constraint,
};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::TenantId;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{connection_id, metadata, moment, object, on_both_databases, seconds};

on_both_databases!(
    an_object_is_given_back_as_it_was_stored,
    another_tenant_kind_or_environment_sees_nothing,
    of_two_writers_of_one_version_one_wins,
    an_update_keeps_what_it_does_not_name,
    a_provider_reference_is_bound_once_per_connection,
    of_fifty_refreshers_one_wins,
    pages_follow_each_other_without_gap,
    filters_choose,
    content_is_kept_apart,
    unbound_objects_are_listed_oldest_first,
    a_read_transaction_refuses_to_write,
);

async fn insert(store: &Store, objects: &[NewObject]) {
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    for object in objects {
        tx.insert_object(object).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn find(store: &Store, id: Uuid) -> ObjectRow {
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let row = tx
        .find_object(ObjectKind::Sms, Environment::Test, id)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    row
}

async fn list(store: &Store, filter: &ObjectFilter) -> Vec<Uuid> {
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let rows = tx.list_objects(filter).await.unwrap();
    tx.commit().await.unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

fn update(id: Uuid, expected_version: u64) -> ObjectUpdate {
    ObjectUpdate {
        id,
        expected_version,
        status: "sent".to_owned(),
        provider_ref: None,
        result: r#"{"segments":2}"#.to_owned(),
        claimed_until: None,
        refreshed_at: None,
        updated_at: moment() + seconds(1),
    }
}

async fn an_object_is_given_back_as_it_was_stored(store: Store) {
    let new = NewObject {
        metadata: metadata(&[("order.id", "ü'\"\\"), ("b", "")]),
        claimed_until: Some(moment() + seconds(30)),
        ..object(connection_id())
    };
    insert(&store, std::slice::from_ref(&new)).await;
    let expected = ObjectRow {
        id: new.id,
        tenant_id: DEFAULT_TENANT,
        environment: new.environment,
        kind: new.kind,
        provider: new.provider,
        connection_id: new.connection_id,
        status: new.status,
        provider_ref: None,
        request: new.request,
        result: new.result,
        metadata: new.metadata,
        version: 1,
        claimed_until: new.claimed_until,
        refreshed_at: None,
        created_at: new.created_at,
        updated_at: new.created_at,
    };
    assert_eq!(find(&store, new.id).await, expected);
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let locked = tx
        .lock_object(expected.kind, expected.environment, new.id)
        .await
        .unwrap();
    assert_eq!(locked.as_ref(), Some(&expected));
    assert_eq!(
        tx.find_object_of_any_kind(new.id).await.unwrap(),
        Some(expected)
    );
}

async fn another_tenant_kind_or_environment_sees_nothing(store: Store) {
    let new = object(connection_id());
    insert(&store, std::slice::from_ref(&new)).await;
    let stranger = TenantRow {
        id: TenantId::from_uuid(Uuid::now_v7()),
        name: "stranger".to_owned(),
        created_at: moment(),
    };
    let mut tx = store.begin(stranger.id).await.unwrap();
    tx.insert_tenant(&stranger).await.unwrap();
    tx.commit().await.unwrap();

    for (tenant, kind, environment) in [
        (stranger.id, ObjectKind::Sms, Environment::Test),
        (DEFAULT_TENANT, ObjectKind::Email, Environment::Test),
        (DEFAULT_TENANT, ObjectKind::Sms, Environment::Live),
    ] {
        let mut tx = store.begin(tenant).await.unwrap();
        assert_eq!(
            tx.find_object(kind, environment, new.id).await.unwrap(),
            None
        );
        assert_eq!(
            tx.lock_object(kind, environment, new.id).await.unwrap(),
            None
        );
        let filter = ObjectFilter::new(kind, environment, 10);
        assert_eq!(tx.list_objects(&filter).await.unwrap(), []);
        drop(tx);
    }
    let mut tx = store.begin(stranger.id).await.unwrap();
    assert!(!tx.update_object(&update(new.id, 1)).await.unwrap());
    assert!(
        !tx.try_begin_refresh(new.id, moment(), seconds(2))
            .await
            .unwrap()
    );
    assert_eq!(tx.find_object_of_any_kind(new.id).await.unwrap(), None);
}

async fn of_two_writers_of_one_version_one_wins(store: Store) {
    let new = object(connection_id());
    insert(&store, std::slice::from_ref(&new)).await;
    let mut writers = JoinSet::new();
    for _ in 0..20 {
        let (store, update) = (store.clone(), update(new.id, 1));
        writers.spawn(async move {
            let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
            let won = tx.update_object(&update).await.unwrap();
            tx.commit().await.unwrap();
            won
        });
    }
    let won = writers
        .join_all()
        .await
        .into_iter()
        .filter(|won| *won)
        .count();
    assert_eq!(won, 1);
    assert_eq!(find(&store, new.id).await.version, 2);
}

async fn an_update_keeps_what_it_does_not_name(store: Store) {
    let new = NewObject {
        claimed_until: Some(moment() + seconds(30)),
        ..object(connection_id())
    };
    insert(&store, std::slice::from_ref(&new)).await;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let first = ObjectUpdate {
        provider_ref: Some("SM1".to_owned()),
        ..update(new.id, 1)
    };
    assert!(tx.update_object(&first).await.unwrap());
    assert!(
        tx.try_begin_refresh(new.id, moment(), seconds(2))
            .await
            .unwrap()
    );
    assert!(tx.update_object(&update(new.id, 2)).await.unwrap());
    tx.commit().await.unwrap();

    let row = find(&store, new.id).await;
    assert_eq!((row.version, row.status.as_str()), (3, "sent"));
    assert_eq!(row.provider_ref.as_deref(), Some("SM1"));
    assert_eq!(
        (row.claimed_until, row.refreshed_at),
        (None, Some(moment()))
    );
    assert_eq!(
        (row.created_at, row.updated_at),
        (moment(), moment() + seconds(1))
    );
}

async fn a_provider_reference_is_bound_once_per_connection(store: Store) {
    let (ours, other) = (connection_id(), connection_id());
    let objects = [object(ours), object(ours), object(other)];
    insert(&store, &objects).await;
    let bind = |id| ObjectUpdate {
        provider_ref: Some("SM1".to_owned()),
        ..update(id, 1)
    };
    let [first, second, third] = objects.map(|object| object.id);

    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(tx.update_object(&bind(first)).await.unwrap());
    assert!(tx.update_object(&bind(third)).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let error = tx.update_object(&bind(second)).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Duplicate {
                constraint: constraint::PROVIDER_REF,
                ..
            }
        ),
        "{error:?}"
    );
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, StoreError::Aborted), "{error:?}");

    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let refs = ["SM1", "SM2"].map(str::to_owned);
    assert_eq!(tx.provider_refs_known(ours, &refs).await.unwrap(), ["SM1"]);
    assert!(tx.provider_refs_known(ours, &[]).await.unwrap().is_empty());
}

async fn of_fifty_refreshers_one_wins(store: Store) {
    let new = object(connection_id());
    insert(&store, std::slice::from_ref(&new)).await;
    for (at, expected) in [
        (moment(), 1),
        (moment() + seconds(1), 0),
        (moment() + seconds(2), 1),
    ] {
        let mut refreshers = JoinSet::new();
        for _ in 0..50 {
            let (store, id) = (store.clone(), new.id);
            refreshers.spawn(async move {
                let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
                let won = tx.try_begin_refresh(id, at, seconds(2)).await.unwrap();
                tx.commit().await.unwrap();
                won
            });
        }
        let won = refreshers
            .join_all()
            .await
            .into_iter()
            .filter(|won| *won)
            .count();
        assert_eq!(won, expected, "{at}");
    }
    assert_eq!(find(&store, new.id).await.version, 1);
}

async fn pages_follow_each_other_without_gap(store: Store) {
    let connection = connection_id();
    let objects: Vec<_> = (0..25).map(|_| object(connection)).collect();
    insert(&store, &objects).await;

    let mut filter = ObjectFilter::new(ObjectKind::Sms, Environment::Test, 10);
    let mut seen = Vec::new();
    let mut pages = Vec::new();
    loop {
        let page = list(&store, &filter).await;
        let Some(last) = page.last() else { break };
        filter.before = Some(*last);
        pages.push(page.len());
        seen.extend(page);
    }
    let newest_first: Vec<_> = objects.iter().rev().map(|object| object.id).collect();
    assert_eq!(seen, newest_first);
    assert_eq!(pages, [10, 10, 5]);
}

async fn filters_choose(store: Store) {
    let connection = connection_id();
    let with = |status: &str, provider: &str, age: i64, pairs: &[(&str, &str)]| NewObject {
        status: status.to_owned(),
        provider: provider.to_owned(),
        metadata: metadata(pairs),
        created_at: moment() + seconds(age),
        ..object(connection)
    };
    let objects = [
        with("sent", "acme", 0, &[("order", "1"), ("shop", "a")]),
        with("failed", "acme", 1, &[("order", "2"), ("shop", "a")]),
        with("queued", "other", 2, &[("order.id", "1")]),
        with("sent", "other", 3, &[]),
    ];
    insert(&store, &objects).await;
    let ids = objects.map(|object| object.id);
    let all = || ObjectFilter::new(ObjectKind::Sms, Environment::Test, 10);
    let pairs = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect::<Vec<_>>()
    };

    let cases: [(&str, ObjectFilter, &[usize]); 14] = [
        ("all", all(), &[3, 2, 1, 0]),
        (
            "status",
            ObjectFilter {
                statuses: vec!["sent".into()],
                ..all()
            },
            &[3, 0],
        ),
        (
            "statuses",
            ObjectFilter {
                statuses: vec!["sent".into(), "failed".into()],
                ..all()
            },
            &[3, 1, 0],
        ),
        (
            "no such status",
            ObjectFilter {
                statuses: vec!["read".into()],
                ..all()
            },
            &[],
        ),
        (
            "provider",
            ObjectFilter {
                provider: Some("other".into()),
                ..all()
            },
            &[3, 2],
        ),
        (
            "after",
            ObjectFilter {
                created_after: Some(moment() + seconds(1)),
                ..all()
            },
            &[3, 2, 1],
        ),
        (
            "before",
            ObjectFilter {
                created_before: Some(moment() + seconds(1)),
                ..all()
            },
            &[0],
        ),
        (
            "metadata",
            ObjectFilter {
                metadata: pairs(&[("shop", "a")]),
                ..all()
            },
            &[1, 0],
        ),
        (
            "two pairs",
            ObjectFilter {
                metadata: pairs(&[("shop", "a"), ("order", "2")]),
                ..all()
            },
            &[1],
        ),
        (
            "a key with a point",
            ObjectFilter {
                metadata: pairs(&[("order.id", "1")]),
                ..all()
            },
            &[2],
        ),
        (
            "another value",
            ObjectFilter {
                metadata: pairs(&[("shop", "b")]),
                ..all()
            },
            &[],
        ),
        (
            "one key with two values",
            ObjectFilter {
                metadata: pairs(&[("shop", "a"), ("shop", "b")]),
                ..all()
            },
            &[],
        ),
        (
            "no key at all",
            ObjectFilter {
                metadata: pairs(&[("a\"b", "1")]),
                ..all()
            },
            &[],
        ),
        (
            "everything",
            ObjectFilter {
                before: Some(ids[3]),
                statuses: vec!["failed".into(), "sent".into()],
                provider: Some("acme".into()),
                created_after: Some(moment()),
                created_before: Some(moment() + seconds(10)),
                metadata: pairs(&[("shop", "a")]),
                limit: 1,
                ..all()
            },
            &[1],
        ),
    ];
    for (name, filter, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|place| ids[*place]).collect();
        assert_eq!(list(&store, &filter).await, expected, "{name}");
    }
}

async fn content_is_kept_apart(store: Store) {
    let with = NewObject {
        content: Some(r#"{"html":"<p>"}"#.to_owned()),
        ..object(connection_id())
    };
    let without = object(connection_id());
    insert(&store, &[with.clone(), without.clone()]).await;
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    assert_eq!(tx.find_object_content(with.id).await.unwrap(), with.content);
    assert_eq!(tx.find_object_content(without.id).await.unwrap(), None);
}

async fn unbound_objects_are_listed_oldest_first(store: Store) {
    let connection = connection_id();
    let made = |offset| NewObject {
        created_at: moment() + seconds(offset),
        claimed_until: Some(moment() + seconds(45)),
        ..object(connection)
    };
    let with_status = |status: &str, offset| NewObject {
        status: status.to_owned(),
        claimed_until: None,
        ..made(offset)
    };
    let objects = [
        made(3),
        made(2),
        with_status("unknown", 1),
        with_status("failed", 2),
        made(0),
        object(connection_id()),
    ];
    insert(&store, &objects).await;
    let ids = objects.map(|object| object.id);
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let bind = ObjectUpdate {
        provider_ref: Some("SM1".to_owned()),
        claimed_until: Some(moment() + seconds(45)),
        ..update(ids[1], 1)
    };
    assert!(tx.update_object(&bind).await.unwrap());
    let mut unbound = Vec::new();
    for limit in [10, 1] {
        let (after, before) = (moment() + seconds(1), moment() + seconds(3));
        let rows = tx
            .list_unbound_objects(connection, after, before, limit)
            .await
            .unwrap();
        unbound.push(rows.into_iter().map(|row| row.id).collect::<Vec<_>>());
    }
    assert_eq!(unbound, [vec![ids[2], ids[0]], vec![ids[2]]]);
}

async fn a_read_transaction_refuses_to_write(store: Store) {
    let new = object(connection_id());
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let error = tx.insert_object(&new).await.unwrap_err();
    assert!(matches!(error, StoreError::Internal { .. }), "{error:?}");
}
