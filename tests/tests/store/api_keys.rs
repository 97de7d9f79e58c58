//! API keys.

use chrono::{DateTime, Utc};
use onerouter::store::{
    ApiKeyRow, DEFAULT_TENANT, KeyUse, NewApiKey, Store, StoreError, constraint,
};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::ApiKeyId;
use uuid::Uuid;

use crate::{moment, on_both_databases, seconds};

on_both_databases!(
    a_key_is_found_by_its_hash,
    a_hash_is_stored_once,
    keys_are_listed_newest_first,
    a_key_is_revoked_once,
    only_a_later_use_is_recorded,
);

fn key(hash: u8) -> NewApiKey {
    NewApiKey {
        id: ApiKeyId::from_uuid(Uuid::now_v7()),
        environment: Environment::Live,
        name: "shop".to_owned(),
        hash: [hash; 32],
        prefix: "unf_live_".to_owned(),
        last4: "abcd".to_owned(),
        scopes: vec!["sms:write".to_owned(), "sms:read".to_owned()],
        rate_per_second: Some(u32::MAX),
        rate_burst: None,
        allowed_ips: Some(vec![
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::1/128".parse().unwrap(),
        ]),
        expires_at: Some(moment() + seconds(60)),
        created_at: moment(),
    }
}

async fn insert(store: &Store, key: &NewApiKey) {
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    tx.insert_api_key(key).await.unwrap();
    tx.commit().await.unwrap();
}

async fn find(store: &Store, hash: u8) -> Option<ApiKeyRow> {
    store.find_api_key_by_hash(&[hash; 32]).await.unwrap()
}

async fn a_key_is_found_by_its_hash(store: Store) {
    let new = key(1);
    insert(&store, &new).await;
    let expected = ApiKeyRow {
        id: new.id,
        tenant_id: DEFAULT_TENANT,
        environment: new.environment,
        name: new.name,
        prefix: new.prefix,
        last4: new.last4,
        scopes: new.scopes,
        allowed_ips: new.allowed_ips,
        rate_per_second: new.rate_per_second,
        rate_burst: None,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
        created_at: new.created_at,
    };
    assert_eq!(find(&store, 1).await, Some(expected));
    assert_eq!(find(&store, 2).await, None);
}

async fn a_hash_is_stored_once(store: Store) {
    insert(&store, &key(1)).await;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let error = tx.insert_api_key(&key(1)).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Duplicate {
                constraint: constraint::API_KEY_HASH,
                ..
            }
        ),
        "{error:?}"
    );
}

async fn keys_are_listed_newest_first(store: Store) {
    let keys = [key(1), key(2), key(3)];
    for key in &keys {
        insert(&store, key).await;
    }
    let [first, second, third] = keys.map(|key| key.id);
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let page = tx.list_api_keys(None, 2).await.unwrap();
    assert_eq!(
        page.iter().map(|key| key.id).collect::<Vec<_>>(),
        [third, second]
    );
    let page = tx.list_api_keys(Some(second), 2).await.unwrap();
    assert_eq!(page.iter().map(|key| key.id).collect::<Vec<_>>(), [first]);
}

async fn a_key_is_revoked_once(store: Store) {
    let new = key(1);
    insert(&store, &new).await;
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    assert!(tx.set_api_key_expiry(new.id, None).await.unwrap());
    assert!(tx.revoke_api_key(new.id, moment()).await.unwrap());
    assert!(
        !tx.revoke_api_key(new.id, moment() + seconds(1))
            .await
            .unwrap()
    );
    assert!(!tx.set_api_key_expiry(new.id, Some(moment())).await.unwrap());
    tx.commit().await.unwrap();
    let row = find(&store, 1).await.unwrap();
    assert_eq!((row.revoked_at, row.expires_at), (Some(moment()), None));
}

async fn only_a_later_use_is_recorded(store: Store) {
    let (one, two) = (key(1), key(2));
    insert(&store, &one).await;
    insert(&store, &two).await;
    let key_use = |key: &NewApiKey, offset: i64| KeyUse {
        tenant_id: DEFAULT_TENANT,
        id: key.id,
        at: moment() + seconds(offset),
    };
    store
        .touch_api_keys(&[key_use(&one, 2), key_use(&two, 1), key_use(&one, 1)])
        .await
        .unwrap();
    store.touch_api_keys(&[key_use(&two, 0)]).await.unwrap();
    store.touch_api_keys(&[]).await.unwrap();
    let last_used = |row: Option<ApiKeyRow>| -> Option<DateTime<Utc>> { row.unwrap().last_used_at };
    assert_eq!(
        last_used(find(&store, 1).await),
        Some(moment() + seconds(2))
    );
    assert_eq!(
        last_used(find(&store, 2).await),
        Some(moment() + seconds(1))
    );
}
