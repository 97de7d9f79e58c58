//! From files to adapters, the cache between, and the exchange of one for another.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use onerouter_engine::{Adapters, Engine, EngineConfig, LoadError, MacKey, Outcome};
use onerouter_manifest::{Capability, Manifest, unpack};

use crate::host::{Host, config, egress, fixture};
use crate::packing::repacked;
use crate::provider::Reply;

fn engine(cache_dir: Option<&Path>, key: u8) -> Engine {
    let config = EngineConfig {
        cache_dir: cache_dir.map(Path::to_owned),
        mac_key: MacKey::new([key; 32]),
        ..config()
    };
    Engine::new(config, egress("http://127.0.0.1:9")).unwrap()
}

/// The same component under another version.
fn versioned(name: &str, version: &str) -> Bytes {
    repacked(&fixture(name), |manifest| {
        manifest.version = version.parse().unwrap();
    })
}

#[tokio::test]
async fn an_adapter_says_what_it_is() {
    let host = Host::new("saboteur", |_| Reply::created()).await;
    let adapter = &host.adapter;
    assert_eq!(adapter.manifest().id.as_str(), "saboteur");
    assert_eq!(
        adapter.capabilities(),
        [
            Capability::Sms,
            Capability::SmsCancel,
            Capability::SmsLookup
        ]
    );
    assert!(adapter.can(Capability::SmsLookup) && !adapter.can(Capability::Email));
    assert_eq!(adapter.digest().len(), 64);
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

#[tokio::test]
async fn compiled_code_is_kept_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    engine(Some(folder.path()), 1)
        .load(fixture("acme-texts"))
        .await
        .unwrap();
    let file = only_file(folder.path());
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    engine(Some(folder.path()), 1)
        .load(fixture("acme-texts"))
        .await
        .unwrap();
    assert_eq!(
        fs::metadata(only_file(folder.path()))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
}

#[tokio::test]
async fn a_bad_entry_is_compiled_anew_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let load = async |key: u8| {
        engine(Some(folder.path()), key)
            .load(fixture("acme-texts"))
            .await
    };
    load(1).await.unwrap();
    let file = only_file(folder.path());
    let good = fs::read(&file).unwrap();

    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let swapped = b"ORCODE1\nsomething else entirely".to_vec();
    for bad in [flipped, good[..middle].to_vec(), Vec::new(), swapped] {
        fs::write(&file, &bad).unwrap();
        load(1).await.unwrap();
        assert_ne!(fs::read(&file).unwrap(), bad);
    }
    // Another host's key: its seal is not ours.
    load(2).await.unwrap();
    assert_ne!(fs::read(&file).unwrap()[8..40], good[8..40]);
}

#[tokio::test]
async fn a_folder_is_loaded_and_the_highest_version_counts() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("a-old.wasm", versioned("acme-texts", "1.2.0")),
        ("b-new.wasm", versioned("acme-texts", "1.10.0")),
        ("c-same.wasm", versioned("acme-texts", "1.10.0")),
        ("d-other.wasm", fixture("saboteur")),
        ("e-bad.wasm", Bytes::from_static(b"nothing")),
        ("readme.txt", Bytes::from_static(b"not looked at")),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let loaded = engine(config().cache_dir.as_deref(), 7)
        .load_folder(folder.path())
        .await;
    let told: Vec<_> = loaded
        .iter()
        .map(|(path, result)| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let what = match result {
                Ok(adapter) => format!("{} {}", adapter.manifest().id, adapter.manifest().version),
                Err(error) => error.to_string(),
            };
            format!("{name}: {what}")
        })
        .collect();
    assert_eq!(
        told,
        [
            "a-old.wasm: another file provides acme-texts in version 1.10.0",
            "b-new.wasm: acme-texts 1.10.0",
            "c-same.wasm: another file provides acme-texts in version 1.10.0",
            "d-other.wasm: saboteur 1.0.0",
            "e-bad.wasm: the file is not a valid WebAssembly component: magic header not detected: bad magic number - expected=[\n    0x0,\n    0x61,\n    0x73,\n    0x6d,\n] actual=[\n    0x6e,\n    0x6f,\n    0x74,\n    0x68,\n] (at offset 0x0)",
        ]
    );
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_reported() {
    let loaded = engine(None, 1)
        .load_folder(Path::new("/nowhere/at/all"))
        .await;
    assert!(matches!(loaded.as_slice(), [(_, Err(LoadError::Read(_)))]));
}

#[tokio::test]
async fn an_install_replaces_and_calls_under_way_keep_what_they_took() {
    let arrived = r#"{"id":"m1","state":"arrived"}"#;
    let host = Host::new("acme-texts", |_| Reply::Answer(200, arrived.to_owned())).await;
    let adapters = Adapters::default();
    assert!(adapters.install(host.adapter.clone()).is_none());
    let id = host.adapter.manifest().id.clone();
    let taken = adapters.get(&id).unwrap();

    let newer = host
        .engine
        .load(versioned("acme-texts", "2.0.0"))
        .await
        .unwrap();
    let before = adapters.install(newer).unwrap();
    assert_eq!(before.manifest().version.to_string(), "1.0.0");
    assert_eq!(
        adapters.get(&id).unwrap().manifest().version.to_string(),
        "2.0.0"
    );

    let report = taken.sms_get(&host.context(), "m1").await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
    assert_eq!(adapters.list().len(), 1);
    adapters.remove(&id).unwrap();
    assert!(adapters.get(&id).is_none() && adapters.list().is_empty());
}

#[test]
fn a_manifest_survives_packing() {
    let manifest: Manifest = unpack(&versioned("acme-texts", "3.0.0")).unwrap().manifest;
    assert_eq!(manifest.version.to_string(), "3.0.0");
}
