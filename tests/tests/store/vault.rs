//! The vault: secrets open in their own place only.

use onerouter::store::{DEFAULT_TENANT, Store, TenantRow};
use onerouter::vault::master_key::{MasterKey, MasterKeys};
use onerouter::vault::{Rotation, SecretPlace, Vault, VaultError};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, TenantId};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{moment, on_both_databases};

on_both_databases!(
    a_secret_is_read_back,
    a_secret_opens_nowhere_else,
    a_ciphertext_with_a_flipped_bit_is_refused,
    a_data_key_that_was_moved_is_refused,
    first_writers_share_one_data_key,
    a_missing_master_key_is_named,
    the_previous_master_key_still_decrypts,
    a_rotation_wraps_everything_under_the_current_key,
    a_damaged_data_key_keeps_no_other_from_being_wrapped_anew,
    environments_may_have_their_own_master_keys,
);

pub fn key(byte: &str) -> MasterKey {
    MasterKey::parse(&byte.repeat(32).into()).unwrap()
}

pub fn masters(byte: &str) -> MasterKeys {
    MasterKeys::single(key(byte))
}

fn vault(store: &Store, byte: &str) -> Vault {
    Vault::new(masters(byte), store.clone())
}

fn rotating(store: &Store, current: &str, previous: &str) -> Vault {
    let keys = MasterKeys {
        previous: Some(key(previous)),
        ..MasterKeys::single(key(current))
    };
    Vault::new(keys, store.clone())
}

pub fn place() -> SecretPlace<'static> {
    SecretPlace {
        tenant: DEFAULT_TENANT,
        environment: Environment::Test,
        connection: ConnectionId::from_uuid(Uuid::from_u128(1)),
        field: "auth_token",
    }
}

pub async fn stranger(store: &Store) -> TenantId {
    let id = TenantId::from_uuid(Uuid::now_v7());
    let row = TenantRow {
        id,
        name: "stranger".to_owned(),
        created_at: moment(),
    };
    let mut tx = store.begin(row.id).await.unwrap();
    tx.insert_tenant(&row).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn a_secret_is_read_back(store: Store) {
    let vault = vault(&store, "00");
    for secret in [b"".as_slice(), b"hunter22", &[0; 10_000]] {
        let first = vault.encrypt(&place(), secret).await.unwrap();
        let second = vault.encrypt(&place(), secret).await.unwrap();
        assert_ne!(first, second);
        assert_eq!(
            vault.decrypt(&place(), &first).await.unwrap().as_slice(),
            secret
        );
    }
    let ciphertext = vault.encrypt(&place(), b"hunter22").await.unwrap();
    assert_eq!(ciphertext.len(), 1 + 16 + 12 + 8 + 16);
    // A process that knows nothing yet.
    let fresh = self::vault(&store, "00");
    assert_eq!(
        fresh
            .decrypt(&place(), &ciphertext)
            .await
            .unwrap()
            .as_slice(),
        b"hunter22"
    );
}

async fn a_secret_opens_nowhere_else(store: Store) {
    let vault = vault(&store, "00");
    let stranger = stranger(&store).await;
    let ciphertext = vault.encrypt(&place(), b"hunter22").await.unwrap();
    let theirs = SecretPlace {
        tenant: stranger,
        ..place()
    };
    let stranger_ciphertext = vault.encrypt(&theirs, b"letmein").await.unwrap();

    let refused = |result: Result<_, VaultError>| match result {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    };
    let elsewhere = [
        SecretPlace {
            connection: ConnectionId::from_uuid(Uuid::from_u128(2)),
            ..place()
        },
        SecretPlace {
            field: "auth_toke",
            ..place()
        },
        SecretPlace {
            field: "",
            ..place()
        },
    ];
    for place in elsewhere {
        let error = refused(vault.decrypt(&place, &ciphertext).await);
        assert!(matches!(error, VaultError::Refused), "{place:?}: {error:?}");
    }
    // Whether the data key is cached or not.
    for vault in [vault.clone(), self::vault(&store, "00")] {
        for (place, ciphertext) in [
            (theirs, &ciphertext),
            (place(), &stranger_ciphertext),
            (
                SecretPlace {
                    environment: Environment::Live,
                    ..place()
                },
                &ciphertext,
            ),
        ] {
            let error = refused(vault.decrypt(&place, ciphertext).await);
            assert!(
                matches!(error, VaultError::UnknownDataKey { .. }),
                "{place:?}: {error:?}"
            );
        }
    }
}

async fn a_ciphertext_with_a_flipped_bit_is_refused(store: Store) {
    let vault = vault(&store, "00");
    let ciphertext = vault.encrypt(&place(), b"hunter22").await.unwrap();
    for place_of_bit in 0..ciphertext.len() * 8 {
        let mut flipped = ciphertext.clone();
        flipped[place_of_bit / 8] ^= 1 << (place_of_bit % 8);
        vault.decrypt(&place(), &flipped).await.unwrap_err();
    }
    for length in 0..ciphertext.len() {
        vault
            .decrypt(&place(), &ciphertext[..length])
            .await
            .unwrap_err();
    }
    let longer = [ciphertext.as_slice(), &[0]].concat();
    vault.decrypt(&place(), &longer).await.unwrap_err();
}

async fn a_data_key_that_was_moved_is_refused(store: Store) {
    let stranger = stranger(&store).await;
    vault(&store, "00")
        .encrypt(&place(), b"hunter22")
        .await
        .unwrap();
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let mut row = tx
        .find_active_data_key(Environment::Test)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    // The same wrapped bytes as the key of another tenant.
    row.id = Uuid::now_v7();
    let mut tx = store.begin(stranger).await.unwrap();
    assert!(tx.insert_data_key_if_absent(&row).await.unwrap());
    tx.commit().await.unwrap();

    let theirs = SecretPlace {
        tenant: stranger,
        ..place()
    };
    let error = vault(&store, "00")
        .encrypt(&theirs, b"letmein")
        .await
        .unwrap_err();
    assert!(
        matches!(error, VaultError::DataKeyRefused { .. }),
        "{error:?}"
    );
}

async fn first_writers_share_one_data_key(store: Store) {
    let mut writers = JoinSet::new();
    for _ in 0..20 {
        // A process each: nothing is shared but the database.
        let vault = vault(&store, "00");
        writers.spawn(async move { vault.encrypt(&place(), b"hunter22").await.unwrap() });
    }
    let ciphertexts = writers.join_all().await;
    let reader = vault(&store, "00");
    for ciphertext in &ciphertexts {
        assert_eq!(ciphertext[..17], ciphertexts[0][..17]);
        assert_eq!(
            reader
                .decrypt(&place(), ciphertext)
                .await
                .unwrap()
                .as_slice(),
            b"hunter22"
        );
    }
}

async fn a_missing_master_key_is_named(store: Store) {
    let ciphertext = vault(&store, "00")
        .encrypt(&place(), b"hunter22")
        .await
        .unwrap();
    let other = vault(&store, "11");
    let error = other.decrypt(&place(), &ciphertext).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, VaultError::UnknownMasterKey { .. }),
        "{error:?}"
    );
    assert!(
        text.contains(key("00").id()) && text.contains(key("11").id()),
        "{text}"
    );
    other.encrypt(&place(), b"letmein").await.unwrap_err();
}

async fn the_previous_master_key_still_decrypts(store: Store) {
    let ciphertext = vault(&store, "00")
        .encrypt(&place(), b"hunter22")
        .await
        .unwrap();
    let vault = rotating(&store, "11", "00");
    assert_eq!(
        vault
            .decrypt(&place(), &ciphertext)
            .await
            .unwrap()
            .as_slice(),
        b"hunter22"
    );
    vault.encrypt(&place(), b"letmein").await.unwrap();
}

async fn a_rotation_wraps_everything_under_the_current_key(store: Store) {
    let stranger = stranger(&store).await;
    let places = [
        place(),
        SecretPlace {
            environment: Environment::Live,
            ..place()
        },
        SecretPlace {
            tenant: stranger,
            ..place()
        },
    ];
    let old = vault(&store, "00");
    let mut ciphertexts = Vec::new();
    for place in &places {
        ciphertexts.push(old.encrypt(place, b"hunter22").await.unwrap());
    }

    vault(&store, "11").rotate("test").await.unwrap_err();
    let rotated = rotating(&store, "11", "00").rotate("test").await.unwrap();
    assert_eq!(
        rotated,
        Rotation {
            tenants: 2,
            rewrapped: 3
        }
    );
    let again = rotating(&store, "11", "00").rotate("test").await.unwrap();
    assert_eq!(
        again,
        Rotation {
            tenants: 2,
            rewrapped: 0
        }
    );

    let new = vault(&store, "11");
    for (place, ciphertext) in places.iter().zip(&ciphertexts) {
        assert_eq!(
            new.decrypt(place, ciphertext).await.unwrap().as_slice(),
            b"hunter22"
        );
    }
    vault(&store, "00")
        .decrypt(&place(), &ciphertexts[0])
        .await
        .unwrap_err();
}

async fn a_damaged_data_key_keeps_no_other_from_being_wrapped_anew(store: Store) {
    let stranger = stranger(&store).await;
    let theirs = SecretPlace {
        tenant: stranger,
        ..place()
    };
    let old = vault(&store, "00");
    old.encrypt(&place(), b"hunter22").await.unwrap();
    let ciphertext = old.encrypt(&theirs, b"letmein").await.unwrap();
    // The default tenant comes first.
    let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
    let row = tx.find_active_data_key(Environment::Test).await.unwrap();
    let row = row.unwrap();
    let mut damaged = row.wrapped.clone();
    damaged[20] ^= 1;
    let id = &row.master_key_id;
    assert!(tx.rewrap_data_key(&row, id, &damaged).await.unwrap());
    tx.commit().await.unwrap();

    let error = rotating(&store, "11", "00")
        .rotate("test")
        .await
        .unwrap_err();
    let VaultError::LeftBehind { count: 1, first } = error else {
        panic!("{error:?}");
    };
    assert!(matches!(*first, VaultError::DataKeyRefused { id } if id == row.id));
    let new = vault(&store, "11");
    let opened = new.decrypt(&theirs, &ciphertext).await.unwrap();
    assert_eq!(opened.as_slice(), b"letmein");
    let uses = rotating(&store, "11", "00").inspect().await.unwrap();
    let [left, moved] = ["00", "11"].map(|byte| &uses[key(byte).id()]);
    assert_eq!((left.data_keys, left.outdated, left.failed), (1, 1, 1));
    assert_eq!((moved.data_keys, moved.outdated, moved.failed), (1, 0, 0));
}

async fn environments_may_have_their_own_master_keys(store: Store) {
    let keys = MasterKeys {
        live: Some(key("11")),
        ..MasterKeys::single(key("00"))
    };
    let vault = Vault::new(keys, store.clone());
    let live = SecretPlace {
        environment: Environment::Live,
        ..place()
    };
    let (in_test, in_live) = (
        vault.encrypt(&place(), b"hunter22").await.unwrap(),
        vault.encrypt(&live, b"letmein").await.unwrap(),
    );
    // Without its own key, an environment stays closed; the other does not notice.
    let test_only = self::vault(&store, "00");
    test_only.decrypt(&place(), &in_test).await.unwrap();
    test_only.decrypt(&live, &in_live).await.unwrap_err();
}
