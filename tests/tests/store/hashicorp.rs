//! HashiCorp Vault as the one who wraps data keys: what it is asked, and how it may fail.

use std::sync::Arc;

use onerouter::store::{DEFAULT_TENANT, DataKeyRow, Store};
use onerouter::vault::hashicorp::{ClientError, Settings, Token, Transit, TransitKeys};
use onerouter::vault::key_provider::KeyProviders;
use onerouter::vault::{Rotation, Vault, VaultError};
use onerouter_domain::environment::Environment;
use onerouter_tests::transit::{Behaviour, TOKEN, TransitEngine};
use uuid::Uuid;

use crate::on_both_databases;
use crate::vault::{key, masters, place, stranger};

on_both_databases!(
    a_data_key_is_wrapped_by_the_transit_engine,
    a_data_key_of_another_place_is_refused,
    a_server_that_ignores_places_is_refused,
    a_rotation_follows_the_version_of_the_key,
    data_keys_move_from_a_master_key_and_back,
    environments_may_have_their_own_transit_keys,
    what_is_in_memory_opens_while_the_engine_is_away,
    every_fault_has_its_error,
    a_token_that_an_agent_writes_anew_is_used,
);

fn settings(engine: &TransitEngine) -> Settings {
    Settings {
        address: engine.address.clone(),
        token: Token::Text(TOKEN.into()),
        namespace: None,
        mount: "transit".to_owned(),
        ca_file: None,
        keys: TransitKeys {
            current: Some("onerouter".to_owned()),
            ..TransitKeys::default()
        },
    }
}

fn providers(settings: Settings) -> KeyProviders {
    KeyProviders::new(Arc::new(Transit::new(settings).unwrap()))
}

/// A process that knows nothing yet.
fn vault(engine: &TransitEngine, store: &Store) -> Vault {
    Vault::new(providers(settings(engine)), store.clone())
}

async fn engine() -> TransitEngine {
    TransitEngine::start(&["onerouter", "other"]).await
}

async fn row(store: &Store) -> DataKeyRow {
    let mut tx = store.begin_read(DEFAULT_TENANT).await.unwrap();
    let row = tx.find_active_data_key(Environment::Test).await.unwrap();
    tx.commit().await.unwrap();
    row.unwrap()
}

async fn opens(vault: &Vault, ciphertext: &[u8]) {
    let opened = vault.decrypt(&place(), ciphertext).await.unwrap();
    assert_eq!(opened.as_slice(), b"hunter22");
}

/// What the client said.
fn cause(error: &VaultError) -> &ClientError {
    match error {
        VaultError::Provider(cause) | VaultError::ProviderUnavailable(cause) => {
            cause.downcast_ref().unwrap()
        }
        _ => panic!("{error:?}"),
    }
}

async fn a_data_key_is_wrapped_by_the_transit_engine(store: Store) {
    let engine = engine().await;
    let ciphertext = vault(&engine, &store)
        .encrypt(&place(), b"hunter22")
        .await
        .unwrap();
    let row = row(&store).await;
    assert_eq!(row.master_key_id, "hashicorp-vault:onerouter:v1");
    assert!(row.wrapped.starts_with(b"vault:v1:"));
    let fresh = vault(&engine, &store);
    opens(&fresh, &ciphertext).await;
    // Asked once, then remembered.
    let asked = engine.requests();
    opens(&fresh, &ciphertext).await;
    assert_eq!(engine.requests(), asked);
    let shown = format!("{fresh:?}");
    assert!(!shown.contains(TOKEN), "{shown}");
}

async fn a_data_key_of_another_place_is_refused(store: Store) {
    let engine = engine().await;
    let vault = vault(&engine, &store);
    vault.encrypt(&place(), b"hunter22").await.unwrap();
    let stranger = stranger(&store).await;
    let mut moved = row(&store).await;
    moved.id = Uuid::now_v7();
    let mut tx = store.begin(stranger).await.unwrap();
    assert!(tx.insert_data_key_if_absent(&moved).await.unwrap());
    tx.commit().await.unwrap();

    let mut theirs = place();
    theirs.tenant = stranger;
    let error = vault.encrypt(&theirs, b"letmein").await.unwrap_err();
    assert!(matches!(error, VaultError::Provider(_)), "{error:?}");
    assert!(matches!(cause(&error), ClientError::Refused { .. }));
}

async fn a_server_that_ignores_places_is_refused(store: Store) {
    let engine = engine().await;
    engine.behave(Behaviour::IgnoresPlaces);
    let vault = vault(&engine, &store);
    let error = vault.encrypt(&place(), b"hunter22").await.unwrap_err();
    assert!(matches!(cause(&error), ClientError::Unbound), "{error:?}");
}

async fn a_rotation_follows_the_version_of_the_key(store: Store) {
    let engine = engine().await;
    let ciphertext = vault(&engine, &store)
        .encrypt(&place(), b"hunter22")
        .await
        .unwrap();
    let rotate = async || vault(&engine, &store).rotate("test").await.unwrap();
    assert_eq!(rotate().await.rewrapped, 0);
    engine.rotate("onerouter");
    let uses = vault(&engine, &store).inspect().await.unwrap();
    let found = &uses["hashicorp-vault:onerouter:v1"];
    assert_eq!((found.data_keys, found.outdated, found.failed), (1, 1, 0));
    assert_eq!(rotate().await.rewrapped, 1);
    assert_eq!(rotate().await.rewrapped, 0);
    assert_eq!(
        row(&store).await.master_key_id,
        "hashicorp-vault:onerouter:v2"
    );
    // Nothing needs the old version any more.
    engine.forbid_versions_before("onerouter", 2);
    opens(&vault(&engine, &store), &ciphertext).await;
}

async fn data_keys_move_from_a_master_key_and_back(store: Store) {
    let engine = engine().await;
    let old = Vault::new(masters("00"), store.clone());
    let ciphertext = old.encrypt(&place(), b"hunter22").await.unwrap();

    let there = providers(settings(&engine)).and(Arc::new(masters("00")));
    let moved = Vault::new(there.clone(), store.clone());
    opens(&moved, &ciphertext).await;
    assert_eq!(moved.rotate("test").await.unwrap(), MOVED);
    opens(&Vault::new(there, store.clone()), &ciphertext).await;
    opens(&vault(&engine, &store), &ciphertext).await;
    let without = Vault::new(masters("00"), store.clone());
    let error = without.decrypt(&place(), &ciphertext).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("hashicorp-vault:onerouter:v1")
            && text.contains("ONEROUTER_VAULT_KEY_PREVIOUS"),
        "{text}"
    );

    let mut only_unwraps = settings(&engine);
    only_unwraps.keys = TransitKeys {
        previous: Some("onerouter".to_owned()),
        ..TransitKeys::default()
    };
    let transit = Arc::new(Transit::new(only_unwraps).unwrap());
    let back = KeyProviders::from(masters("11")).and(transit);
    let back = Vault::new(back, store.clone());
    assert_eq!(back.rotate("test").await.unwrap(), MOVED);
    opens(&Vault::new(masters("11"), store.clone()), &ciphertext).await;
    assert_eq!(row(&store).await.master_key_id, key("11").id());
}

const MOVED: Rotation = Rotation {
    tenants: 1,
    rewrapped: 1,
};

async fn environments_may_have_their_own_transit_keys(store: Store) {
    let engine = engine().await;
    let mut settings = settings(&engine);
    settings.keys.live = Some("other".to_owned());
    let vault = Vault::new(providers(settings), store.clone());
    let mut live = place();
    live.environment = Environment::Live;
    vault.encrypt(&place(), b"hunter22").await.unwrap();
    vault.encrypt(&live, b"hunter22").await.unwrap();
    let uses = vault.inspect().await.unwrap();
    let ids: Vec<&str> = uses.keys().map(String::as_str).collect();
    assert_eq!(
        ids,
        ["hashicorp-vault:onerouter:v1", "hashicorp-vault:other:v1"]
    );
    assert!(uses.values().all(|found| found.outdated == 0));
}

async fn what_is_in_memory_opens_while_the_engine_is_away(store: Store) {
    let engine = engine().await;
    let known = vault(&engine, &store);
    let ciphertext = known.encrypt(&place(), b"hunter22").await.unwrap();
    opens(&known, &ciphertext).await;
    engine.behave(Behaviour::Status(503));
    opens(&known, &ciphertext).await;
    known.encrypt(&place(), b"letmein").await.unwrap();
    let fresh = vault(&engine, &store);
    let error = fresh.decrypt(&place(), &ciphertext).await.unwrap_err();
    assert!(matches!(error, VaultError::ProviderUnavailable(_)));
    // A failure is not remembered.
    engine.behave(Behaviour::Sound);
    opens(&fresh, &ciphertext).await;
}

async fn every_fault_has_its_error(store: Store) {
    let engine = engine().await;
    let ciphertext = vault(&engine, &store)
        .encrypt(&place(), b"hunter22")
        .await
        .unwrap();
    let long =
        &*Box::leak(format!("{{\"data\":\"{TOKEN}{}\"}}", "x".repeat(300_000)).into_boxed_str());
    for (behaviour, is_temporary, name) in [
        (Behaviour::Status(403), true, "Denied"),
        (Behaviour::Status(429), true, "NotReady"),
        (Behaviour::Status(473), true, "NotReady"),
        (Behaviour::Status(500), true, "NotReady"),
        (Behaviour::Status(503), true, "NotReady"),
        (Behaviour::Silent, true, "TimedOut"),
        (Behaviour::Status(400), false, "Refused"),
        (Behaviour::Status(404), false, "Absent"),
        (Behaviour::Status(204), false, "Unexpected"),
        (Behaviour::Redirects, false, "Unexpected"),
        (Behaviour::Endless, false, "TooLong"),
        (Behaviour::Says(long), false, "TooLong"),
        (Behaviour::Says(""), false, "Malformed"),
        (Behaviour::Says("<html>hunter22"), false, "Malformed"),
        (Behaviour::Says("{\"data\":{}}"), false, "Malformed"),
        (
            Behaviour::Says("{\"data\":{\"plaintext\":1}}"),
            false,
            "Malformed",
        ),
        (
            Behaviour::Says("{\"data\":{\"plaintext\":\"hunter22\"}}"),
            false,
            "Malformed",
        ),
        (
            Behaviour::Says("{\"data\":{\"plaintext\":\"?\"}}"),
            false,
            "Malformed",
        ),
    ] {
        engine.behave(behaviour);
        let before = engine.requests();
        let error = vault(&engine, &store)
            .decrypt(&place(), &ciphertext)
            .await
            .unwrap_err();
        let cause = cause(&error);
        let shown = format!("{error:?} {error} {cause}");
        assert!(
            format!("{cause:?}").starts_with(name),
            "{behaviour:?}: {shown}"
        );
        assert_eq!(
            matches!(error, VaultError::ProviderUnavailable(_)),
            is_temporary,
            "{behaviour:?}: {shown}"
        );
        assert!(
            !shown.contains("hunter22") && !shown.contains(TOKEN),
            "{shown}"
        );
        assert_eq!(engine.requests(), before + 1, "{behaviour:?}");
    }
    engine.behave(Behaviour::Sound);
    for ciphertext in ["", "vault:v1:", "vault:v:x", "v1:x", "vault:v2"] {
        let text = format!("{{\"data\":{{\"ciphertext\":\"{ciphertext}\"}}}}");
        engine.behave(Behaviour::Says(Box::leak(text.into_boxed_str())));
        let mut live = place();
        live.environment = Environment::Live;
        let error = vault(&engine, &store)
            .encrypt(&live, b"hunter22")
            .await
            .unwrap_err();
        assert!(matches!(cause(&error), ClientError::Malformed { .. }));
    }
    // Nobody at all.
    let mut settings = settings(&engine);
    settings.address = "http://127.0.0.1:1".to_owned();
    let nobody = Vault::new(providers(settings), store.clone());
    let error = nobody.decrypt(&place(), &ciphertext).await.unwrap_err();
    assert!(matches!(cause(&error), ClientError::Unreachable { .. }));
    engine.behave(Behaviour::Sound);
    opens(&vault(&engine, &store), &ciphertext).await;
}

async fn a_token_that_an_agent_writes_anew_is_used(store: Store) {
    let engine = engine().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let mut settings = settings(&engine);
    settings.token = Token::File(path.clone());
    let provider = providers(settings);
    let fresh = || Vault::new(provider.clone(), store.clone());

    let error = fresh().encrypt(&place(), b"hunter22").await.unwrap_err();
    assert!(matches!(cause(&error), ClientError::TokenFile { .. }));
    std::fs::write(&path, "\n").unwrap();
    let error = fresh().encrypt(&place(), b"hunter22").await.unwrap_err();
    assert!(matches!(cause(&error), ClientError::Token), "{error:?}");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let ciphertext = fresh().encrypt(&place(), b"hunter22").await.unwrap();
    engine.set_token("hvs.the-next-token");
    let error = fresh().decrypt(&place(), &ciphertext).await.unwrap_err();
    assert!(matches!(cause(&error), ClientError::Denied { .. }));
    std::fs::write(&path, "hvs.the-next-token").unwrap();
    opens(&fresh(), &ciphertext).await;
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_named() {
    let engine = engine().await;
    let folder = tempfile::tempdir().unwrap();
    for content in ["", "no certificate"] {
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, content).unwrap();
        let mut settings = settings(&engine);
        settings.ca_file = Some(path);
        let text = Transit::new(settings).unwrap_err().to_string();
        assert!(
            text.contains("ca.pem") && text.contains("VAULT_CACERT"),
            "{text}"
        );
    }
}
