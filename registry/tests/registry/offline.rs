//! Plugins from files and bundles.

use std::path::Path;

use chrono::TimeDelta;
use onerouter_registry::client::{Client, ClientConfig, FetchError, Source, bundle};
use onerouter_registry::index::{Index, IndexError};
use onerouter_registry::{Digest, KeyPair, Listing, VerifyError};

use crate::fetching::{api, client, fetch, index_of, started, trusting, wanted};
use crate::server::Server;
use crate::support::{at, component, component_of, manifest, name, statement};

fn file(folder: &Path, component: &[u8], sidecar: Option<&[u8]>) -> Source {
    let path = folder.join("plugin.wasm");
    std::fs::write(&path, component).unwrap();
    if let Some(sidecar) = sidecar {
        std::fs::write(folder.join("plugin.wasm.sig"), sidecar).unwrap();
    }
    Source::File(path)
}

#[tokio::test]
async fn a_file_is_believed_with_its_sidecar_only() {
    let key = KeyPair::generate();
    let good = component("acme-texts", "1.0.0");
    let sidecar = statement(&key, "acme-texts", "1.0.0", &good)
        .sign(&key)
        .unwrap()
        .to_json();
    let folder = tempfile::tempdir().unwrap();
    let unsigned = fetch(&file(folder.path(), &good, None), None)
        .await
        .unwrap();
    assert_eq!(
        unsigned.verify(at(0), Listing::NoRegistry, &trusting(&key)),
        Err(VerifyError::Unsigned {
            name: name("acme-texts")
        })
    );
    let signed = fetch(&file(folder.path(), &good, Some(&sidecar)), None)
        .await
        .unwrap();
    assert!(
        signed
            .verify(at(0), Listing::NoRegistry, &trusting(&key))
            .is_ok()
    );
    let late = signed.verify(
        at(0) + TimeDelta::days(366),
        Listing::NoRegistry,
        &trusting(&key),
    );
    assert!(matches!(late, Err(VerifyError::Expired { .. })));
    // One that is as good in itself, under the other's signature.
    let swapped = component_of(
        manifest("acme-texts", "1.0.0"),
        &[crate::support::SMS],
        "swapped",
    );
    let swapped = fetch(&file(folder.path(), &swapped, Some(&sidecar)), None)
        .await
        .unwrap();
    let refused = swapped.verify(at(0), Listing::NoRegistry, &trusting(&key));
    assert!(matches!(refused, Err(VerifyError::OtherComponent { .. })));
}

#[tokio::test]
async fn no_flipped_bit_and_no_cut_of_a_component_is_believed() {
    let key = KeyPair::generate();
    let good = component("acme-texts", "1.0.0");
    let sidecar = statement(&key, "acme-texts", "1.0.0", &good)
        .sign(&key)
        .unwrap()
        .to_json();
    let folder = tempfile::tempdir().unwrap();
    let (client, trust) = (client(), trusting(&key));
    let believed = async |bytes: &[u8]| {
        let source = file(folder.path(), bytes, Some(&sidecar));
        let fetched = client.fetch(&source, None, &|_progress| {}).await;
        fetched.is_ok_and(|fetched| fetched.verify(at(0), Listing::NoRegistry, &trust).is_ok())
    };
    assert!(believed(&good).await);
    for position in 0..good.len() {
        let mut flipped = good.clone();
        flipped[position] ^= 1 << (position % 8);
        assert!(!believed(&flipped).await, "byte {position}");
        assert!(!believed(&good[..position]).await, "cut at {position}");
    }
}

#[tokio::test]
async fn files_that_are_none_or_too_large_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let directory = fetch(&Source::File(folder.path().to_owned()), None).await;
    assert!(matches!(directory, Err(FetchError::File { .. })));
    let absent = fetch(&Source::File(folder.path().join("absent.wasm")), None).await;
    assert!(matches!(absent, Err(FetchError::File { .. })));
    let mut config = ClientConfig::default();
    config.limits.component_bytes_max = 10;
    let source = file(folder.path(), &[0; 11], None);
    let large = Client::new(config)
        .unwrap()
        .fetch(&source, None, &|_progress| {})
        .await;
    assert!(matches!(
        large,
        Err(FetchError::TooLarge {
            what: "component",
            most: 10
        })
    ));
    let source = file(
        folder.path(),
        &component("acme-texts", "1.0.0"),
        Some(&[b' '; 10_000]),
    );
    let sidecar = fetch(&source, None).await;
    assert!(matches!(
        sidecar,
        Err(FetchError::TooLarge {
            what: "statement",
            ..
        })
    ));
}

#[tokio::test]
async fn a_bundle_needs_no_network() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    started(&acme, &["1.0.0", "1.1.0"]).await;
    let before = index_of(&server).await;
    let mut plugins = Vec::new();
    for version in ["1.0.0", "1.1.0"] {
        let source = wanted(&server, &format!("acme-texts@{version}"));
        plugins.push(fetch(&source, Some(&before)).await.unwrap());
    }
    let folder = server.folder.path().join("bundle");
    bundle::write(&folder, &plugins, Some(&before))
        .await
        .unwrap();
    assert!(matches!(
        bundle::write(&folder, &[], None).await,
        Err(FetchError::File { .. })
    ));
    let source = |wanted: &str| Source::Bundle {
        folder: folder.clone(),
        wanted: wanted.parse().unwrap(),
    };
    let known = Index::empty(server.registry.key());
    let fetched = fetch(&source("acme-texts@^1"), Some(&known)).await.unwrap();
    assert_eq!(fetched.manifest.version.to_string(), "1.1.0");
    assert!(
        fetched
            .verify(at(0), Listing::Required(known.view()), &trusting(&acme.key))
            .is_ok(),
        "what chose it says whose it is"
    );
    assert_eq!(
        fetched.newer_index.as_ref().unwrap().view(),
        before.view(),
        "to be kept"
    );
    let unknown = fetch(&source("acme-texts@~1.0"), None).await.unwrap();
    assert_eq!(unknown.manifest.version.to_string(), "1.0.0");
    assert!(
        unknown
            .verify(at(0), Listing::NoRegistry, &trusting(&acme.key))
            .is_ok(),
        "the referrer lies in it too"
    );
    // What this machine has learned since counts, not what the bundle knew.
    let own = api(&server).with_token(acme.token.clone().into());
    client()
        .yank(&own, &name("acme-texts"), &"1.1.0".parse().unwrap(), "x")
        .await
        .unwrap();
    let newer = index_of(&server).await;
    let fetched = fetch(&source("acme-texts"), Some(&newer)).await.unwrap();
    assert_eq!(fetched.manifest.version.to_string(), "1.0.0");
    let other = Server::start_with(|config| config.key = server.registry_key()).await;
    started(&other.publisher("acme").await, &["1.0.0"]).await;
    let forked = fetch(&source("acme-texts"), Some(&index_of(&other).await)).await;
    assert!(matches!(
        forked,
        Err(FetchError::Index(IndexError::Fork { .. }))
    ));
}

#[tokio::test]
async fn a_damaged_or_mislabelled_bundle_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = component("acme-texts", "1.0.0");
    let source = file(folder.path(), &good, None);
    let fetched = fetch(&source, None).await.unwrap();
    let place = folder.path().join("bundle");
    bundle::write(&place, &[fetched], None).await.unwrap();
    let source = |text: &str| Source::Bundle {
        folder: place.clone(),
        wanted: text.parse().unwrap(),
    };
    assert!(fetch(&source("acme-texts"), None).await.is_ok());
    assert!(matches!(
        fetch(&source("acme-mails"), None).await,
        Err(FetchError::Resolve(_))
    ));
    let list = place.join("index.json");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, text.replace("acme-texts:1.0.0", "acme-texts:1.0.1")).unwrap();
    assert!(matches!(
        fetch(&source("acme-texts"), None).await,
        Err(FetchError::Mislabelled { .. })
    ));
    std::fs::write(&list, text).unwrap();
    let blob = place.join("blobs/sha256").join(Digest::of(&good).hex());
    std::fs::write(&blob, component("acme-texts", "1.0.1")).unwrap();
    assert!(matches!(
        fetch(&source("acme-texts"), None).await,
        Err(FetchError::OtherDigest { .. })
    ));
    std::fs::remove_file(&blob).unwrap();
    assert!(matches!(
        fetch(&source("acme-texts"), None).await,
        Err(FetchError::File { .. })
    ));
    std::fs::remove_file(&list).unwrap();
    assert!(matches!(
        fetch(&source("acme-texts"), None).await,
        Err(FetchError::NoBundle { .. })
    ));
}

#[tokio::test]
async fn what_is_known_here_counts_for_a_bundle_without_an_index() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    started(&acme, &["1.0.0", "1.1.0", "1.2.0"]).await;
    let index = index_of(&server).await;
    let mut plugins = Vec::new();
    for version in ["1.0.0", "1.1.0"] {
        let source = wanted(&server, &format!("acme-texts@{version}"));
        plugins.push(fetch(&source, Some(&index)).await.unwrap());
    }
    let folder = server.folder.path().join("bundle");
    bundle::write(&folder, &plugins, None).await.unwrap();
    let source = |wanted: &str| Source::Bundle {
        folder: folder.clone(),
        wanted: wanted.parse().unwrap(),
    };
    let fetched = fetch(&source("acme-texts"), Some(&index)).await.unwrap();
    assert_eq!(
        fetched.manifest.version.to_string(),
        "1.1.0",
        "the newest that is in it"
    );
    assert!(fetched.newer_index.is_none());
    let own = api(&server).with_token(acme.token.clone().into());
    client()
        .yank(&own, &name("acme-texts"), &"1.1.0".parse().unwrap(), "x")
        .await
        .unwrap();
    let newer = index_of(&server).await;
    let fetched = fetch(&source("acme-texts"), Some(&newer)).await.unwrap();
    assert_eq!(fetched.manifest.version.to_string(), "1.0.0");
    assert!(matches!(
        fetch(&source("acme-texts@1.2.0"), Some(&newer)).await,
        Err(FetchError::Resolve(_))
    ));
}

/// Other tools make other images of the same component.
#[tokio::test]
async fn a_bundle_of_what_another_tool_pushed_is_known_by_its_component() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    let component = component("acme-texts", "1.0.0");
    let pushed = acme.push_image("acme-texts", "1.0.0", &component).await;
    let image = pushed.headers()["docker-content-digest"].to_str().unwrap();
    let image: Digest = image.parse().unwrap();
    let sidecar = acme.sign("acme-texts", "1.0.0", &component);
    acme.push_statement("acme-texts", image, &sidecar).await;
    let body = serde_json::json!({"version": "1.0.0"});
    let published = acme.post_json("/plugins/acme-texts/versions", &body).await;
    assert_eq!(published.status(), 201);
    let index = index_of(&server).await;
    let fetched = fetch(&wanted(&server, "acme-texts"), Some(&index)).await;
    let folder = server.folder.path().join("bundle");
    bundle::write(&folder, &[fetched.unwrap()], Some(&index))
        .await
        .unwrap();
    let source = Source::Bundle {
        folder,
        wanted: "acme-texts".parse().unwrap(),
    };
    let known = Index::empty(server.registry.key());
    let fetched = fetch(&source, Some(&known)).await.unwrap();
    assert_eq!(fetched.digest, Digest::of(&component));
}

#[tokio::test]
async fn where_no_key_must_be_listed_a_revoked_one_is_refused() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    let index = index_of(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let verified = async |key: &KeyPair, index: &Index| {
        let good = component("acme-texts", "1.0.0");
        let signed = statement(key, "acme-texts", "1.0.0", &good).sign(key);
        let sidecar = signed.unwrap().to_json();
        let source = file(folder.path(), &good, Some(&sidecar));
        let fetched = fetch(&source, None).await.unwrap();
        fetched.verify(
            at(0),
            Listing::RevocationsOnly(index.view()),
            &trusting(key),
        )
    };
    assert!(verified(&KeyPair::generate(), &index).await.is_ok());
    assert!(verified(&acme.key, &index).await.is_ok());
    let own = api(&server).with_token(acme.token.clone().into());
    client()
        .revoke_key(&own, &name("acme-texts"), acme.key.public().id(), "lost")
        .await
        .unwrap();
    let newer = index_of(&server).await;
    assert!(matches!(
        verified(&acme.key, &newer).await,
        Err(VerifyError::KeyRevoked { .. })
    ));
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_no_component() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("plugin.wasm");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let source = Source::File(pipe);
    let fetched = fetch(&source, None);
    let fetched = tokio::time::timeout(std::time::Duration::from_secs(10), fetched).await;
    assert!(matches!(fetched, Ok(Err(FetchError::File { .. }))));
}
