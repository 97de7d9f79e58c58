//! Connections.

use std::collections::BTreeMap;

use onerouter::store::{
    ConnectionGroup, ConnectionRow, ConnectionSlot, ConnectionWrite, DEFAULT_TENANT, NewConnection,
    Store,
};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::ConnectionId;

use crate::{connection_id, moment, on_both_databases, seconds};

on_both_databases!(
    a_connection_is_given_back_as_it_was_stored,
    a_label_is_replaced_and_keeps_its_id,
    a_taken_label_is_not_overwritten,
    candidates_are_the_live_ones_oldest_first,
    a_deleted_connection_is_still_found_and_its_label_is_free,
);

const SLOT: ConnectionSlot<'_> = ConnectionSlot {
    environment: Environment::Test,
    category: "sms",
    provider: "acme",
    label: "default",
};

async fn write(
    store: &Store,
    id: ConnectionId,
    slot: ConnectionSlot<'_>,
    secrets: &[u8],
) -> ConnectionWrite {
    let fields = BTreeMap::from([("account_sid".to_owned(), "AC1".to_owned())]);
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let written = tx
        .write_connection(&NewConnection {
            id,
            slot,
            public: &fields,
            settings: &BTreeMap::new(),
            secrets,
            account: Some("Acme"),
            at: moment(),
        })
        .await
        .unwrap();
    tx.commit().await.unwrap();
    written
}

async fn find(store: &Store, id: ConnectionId) -> ConnectionRow {
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    tx.find_connection(id).await.unwrap().unwrap()
}

async fn candidates(store: &Store) -> Vec<ConnectionId> {
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let rows = tx
        .connection_candidates(Environment::Test, "sms")
        .await
        .unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

async fn a_connection_is_given_back_as_it_was_stored(store: Store) {
    let id = connection_id();
    assert_eq!(
        write(&store, id, SLOT, &[0, 1]).await,
        ConnectionWrite::Inserted
    );
    let expected = ConnectionRow {
        id,
        tenant_id: DEFAULT_TENANT,
        environment: Environment::Test,
        category: "sms".to_owned(),
        provider: "acme".to_owned(),
        label: "default".to_owned(),
        public: BTreeMap::from([("account_sid".to_owned(), "AC1".to_owned())]),
        settings: BTreeMap::new(),
        secrets: vec![0, 1],
        account: Some("Acme".to_owned()),
        created_at: moment(),
        updated_at: moment(),
        deleted_at: None,
    };
    let row = find(&store, id).await;
    assert_eq!(row, expected);
    assert!(!format!("{row:?}").contains("AC1"));
    assert_eq!(
        store.find_connection_tenant(id).await.unwrap(),
        Some(DEFAULT_TENANT)
    );
    assert_eq!(
        store.find_connection_tenant(connection_id()).await.unwrap(),
        None
    );
}

async fn a_label_is_replaced_and_keeps_its_id(store: Store) {
    let id = connection_id();
    write(&store, id, SLOT, b"old").await;
    assert_eq!(
        write(&store, id, SLOT, b"new").await,
        ConnectionWrite::Replaced
    );
    assert_eq!(find(&store, id).await.secrets, b"new");
    assert_eq!(candidates(&store).await, [id]);
}

async fn a_taken_label_is_not_overwritten(store: Store) {
    let (first, second) = (connection_id(), connection_id());
    write(&store, first, SLOT, b"first").await;
    assert_eq!(
        write(&store, second, SLOT, b"second").await,
        ConnectionWrite::TakenBy(first)
    );
    assert_eq!(find(&store, first).await.secrets, b"first");
    assert_eq!(store.find_connection_tenant(second).await.unwrap(), None);
}

async fn candidates_are_the_live_ones_oldest_first(store: Store) {
    let [first, second, live, email] = [(); 4].map(|()| connection_id());
    write(
        &store,
        second,
        ConnectionSlot {
            label: "backup",
            ..SLOT
        },
        b"",
    )
    .await;
    write(&store, first, SLOT, b"").await;
    write(
        &store,
        live,
        ConnectionSlot {
            environment: Environment::Live,
            ..SLOT
        },
        b"",
    )
    .await;
    write(
        &store,
        email,
        ConnectionSlot {
            category: "email",
            ..SLOT
        },
        b"",
    )
    .await;
    assert_eq!(candidates(&store).await, [first, second]);

    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let ids = |rows: Vec<ConnectionRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    let everywhere = tx.list_connections(None).await.unwrap();
    assert_eq!(ids(everywhere), [live, email, first, second]);
    let in_test = tx.list_connections(Some(Environment::Test)).await.unwrap();
    assert_eq!(ids(in_test), [email, first, second]);
}

async fn a_deleted_connection_is_still_found_and_its_label_is_free(store: Store) {
    let [first, second, third] = [(); 3].map(|()| connection_id());
    write(&store, first, SLOT, b"").await;
    write(
        &store,
        second,
        ConnectionSlot {
            label: "backup",
            ..SLOT
        },
        b"",
    )
    .await;
    let group = |label| ConnectionGroup {
        environment: Environment::Test,
        category: "sms",
        provider: "acme",
        label,
    };
    let at = moment() + seconds(1);

    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert_eq!(
        tx.delete_connections(&group(Some("default")), at)
            .await
            .unwrap(),
        1
    );
    assert_eq!(tx.find_connection_in(&SLOT).await.unwrap(), None);
    tx.commit().await.unwrap();
    assert_eq!(find(&store, first).await.deleted_at, Some(at));
    assert_eq!(candidates(&store).await, [second]);

    assert_eq!(
        write(&store, third, SLOT, b"").await,
        ConnectionWrite::Inserted
    );
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert_eq!(tx.delete_connections(&group(None), at).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert_eq!(candidates(&store).await, []);
}
