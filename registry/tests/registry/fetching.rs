//! From a registry, a file or a bundle to a plugin that is believed, or refused with the reason.

use std::path::Path;

use chrono::TimeDelta;
use onerouter_registry::client::{
    Client, ClientConfig, Credentials, FetchError, Fetched, InvalidSource, NewAdvisory, Origin,
    Progress, RegistryApi, Source, bundle, load_index, save_index,
};
use onerouter_registry::index::{Freshness, Index, IndexError, ResolveError};
use onerouter_registry::{Clock as _, Digest, KeyPair, Trust, TrustedBy, VerifyError};
use std::sync::Mutex;

use crate::server::{Publisher, Server};
use crate::support::{at, component, component_of, manifest, name, statement};

fn client() -> Client {
    Client::new(ClientConfig::default()).unwrap()
}

fn api(server: &Server) -> RegistryApi {
    RegistryApi::new(server.url("/").parse().unwrap())
}

fn freshness(server: &Server) -> Freshness {
    Freshness::Within {
        now: server.clock.now(),
        age_max: TimeDelta::days(7),
    }
}

async fn index_of(server: &Server) -> Index {
    let mut index = Index::empty(server.registry.key());
    client()
        .update_index(&api(server), &mut index, freshness(server))
        .await
        .unwrap();
    index
}

fn wanted(server: &Server, wanted: &str) -> Source {
    Source::Registry {
        registry: api(server),
        wanted: wanted.parse().unwrap(),
    }
}

async fn fetch(source: &Source, index: Option<&Index>) -> Result<Fetched, FetchError> {
    client().fetch(source, index, &|_progress| {}).await
}

fn trusting(key: &KeyPair) -> Trust {
    Trust::nobody().key(key.public().id())
}

async fn started(acme: &Publisher<'_>, versions: &[&str]) {
    acme.add_key("acme-texts").await;
    for version in versions {
        acme.publish("acme-texts", version).await;
    }
}

fn file(folder: &Path, component: &[u8], sidecar: Option<&[u8]>) -> Source {
    let path = folder.join("plugin.wasm");
    std::fs::write(&path, component).unwrap();
    if let Some(sidecar) = sidecar {
        std::fs::write(folder.join("plugin.wasm.sig"), sidecar).unwrap();
    }
    Source::File(path)
}

#[tokio::test]
async fn a_range_leads_to_a_plugin_that_is_believed() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        started(&acme, &["1.0.0", "1.2.0", "2.0.0"]).await;
        let index = index_of(&server).await;
        let seen = Mutex::new(Vec::new());
        let fetched = client()
            .fetch(
                &wanted(&server, "acme-texts@^1"),
                Some(&index),
                &|progress| seen.lock().unwrap().push(progress),
            )
            .await
            .unwrap();
        assert_eq!(fetched.manifest.version.to_string(), "1.2.0");
        let total = fetched.component.len() as u64;
        assert_eq!(
            seen.lock().unwrap().last(),
            Some(&Progress {
                received: total,
                total
            })
        );
        assert!(matches!(&fetched.origin, Origin::Registry { .. }));
        let verified = fetched
            .verify(at(0), Some(index.view()), &trusting(&acme.key))
            .unwrap();
        assert_eq!(verified.publisher(), acme.key.public());
        assert_eq!(verified.trusted_by, TrustedBy::Operator);
        let stranger = fetched.verify(at(0), Some(index.view()), &Trust::nobody());
        assert!(matches!(stranger, Err(VerifyError::KeyNotTrusted { .. })));
    }
}

#[tokio::test]
async fn publishing_by_the_client_is_seen_by_the_next_update() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        let own = api(&server).with_token(acme.token.clone().into());
        let client = client();
        assert_eq!(
            client.registry_key(&own).await.unwrap(),
            server.registry.key()
        );
        let plugin = name("acme-texts");
        client
            .add_key(&own, &plugin, acme.key.public())
            .await
            .unwrap();
        let mut index = index_of(&server).await;
        assert_eq!(index.size(), 1);
        for version in ["1.0.0", "1.1.0"] {
            let component = component("acme-texts", version);
            let sidecar = acme.sign("acme-texts", version, &component);
            let published = client
                .publish(&own, &plugin, component.into(), &sidecar)
                .await
                .unwrap();
            assert_eq!(published["version"], version);
        }
        client
            .yank(&own, &plugin, &"1.1.0".parse().unwrap(), "sends twice")
            .await
            .unwrap();
        let advisory = NewAdvisory {
            affected: "<1.1.0".parse().unwrap(),
            summary: "Numbers appear in logs.".to_owned(),
            url: None,
        };
        client.advise(&own, &plugin, &advisory).await.unwrap();
        client
            .update_index(&own, &mut index, freshness(&server))
            .await
            .unwrap();
        assert_eq!(index.size(), 5);
        let fetched = fetch(&wanted(&server, "acme-texts"), Some(&index))
            .await
            .unwrap();
        assert_eq!(
            fetched.manifest.version.to_string(),
            "1.0.0",
            "the newest was yanked"
        );
        assert_eq!(fetched.advisories[0].summary, "Numbers appear in logs.");
        let refused = client
            .yank(&own, &plugin, &"9.9.9".parse().unwrap(), "x")
            .await;
        assert!(matches!(refused, Err(FetchError::Absent { .. })));
        client
            .unyank(&own, &plugin, &"1.1.0".parse().unwrap())
            .await
            .unwrap();
        client
            .revoke_key(&own, &plugin, acme.key.public().id(), "lost")
            .await
            .unwrap();
        client
            .update_index(&own, &mut index, freshness(&server))
            .await
            .unwrap();
        let believed = fetched.verify(at(0), Some(index.view()), &trusting(&acme.key));
        assert!(
            matches!(believed, Err(VerifyError::KeyRevoked { reason, .. }) if reason == "lost")
        );
        let none = fetch(&wanted(&server, "acme-texts"), Some(&index)).await;
        assert!(matches!(
            none,
            Err(FetchError::Resolve(ResolveError::Yanked { .. }))
        ));
        assert_eq!(client.get(&own, "/account").await.unwrap()["names"], 1);
        let anonymous = client.get(&api(&server), "/account").await;
        assert!(matches!(
            anonymous,
            Err(FetchError::Refused { status: 401, .. })
        ));
    }
}

#[tokio::test]
async fn an_index_that_goes_back_or_elsewhere_is_refused() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    started(&acme, &["1.0.0", "1.1.0"]).await;
    let mut index = index_of(&server).await;
    server.clock.advance(TimeDelta::days(30));
    let kept = index.clone();
    client()
        .update_index(&api(&server), &mut index, freshness(&server))
        .await
        .unwrap();
    assert!(index.head().unwrap().head().time > kept.head().unwrap().head().time);
    // The same key, another history: what a registry looks like that was set back, or that lies.
    let fork = |versions: &'static [&'static str]| {
        let key = server.registry_key();
        async move {
            let forked = Server::start_with(|config| config.key = key).await;
            let acme = forked.publisher("acme").await;
            started(&acme, versions).await;
            drop(acme);
            forked
        }
    };
    let update = |forked: Server, mut index: Index| async move {
        client()
            .update_index(&api(&forked), &mut index, freshness(&forked))
            .await
    };
    let shorter = update(fork(&["1.0.0"]).await, kept.clone()).await;
    assert!(matches!(
        shorter,
        Err(FetchError::Index(IndexError::Rollback {
            known: 3,
            shown: 2
        }))
    ));
    let same = update(fork(&["1.0.0", "1.1.0"]).await, kept.clone()).await;
    assert!(matches!(
        same,
        Err(FetchError::Index(IndexError::Fork { position: 3, .. }))
    ));
    let longer = update(fork(&["1.0.0", "1.1.0", "1.2.0"]).await, kept.clone()).await;
    assert!(matches!(
        longer,
        Err(FetchError::Index(IndexError::Fork { position: 1, .. }))
    ));
    let other = Server::start().await;
    let other = update(other, kept).await;
    assert!(matches!(
        other,
        Err(FetchError::Index(IndexError::WrongSignature { .. }))
    ));
}

#[tokio::test]
async fn a_kept_index_is_read_back_and_a_changed_one_refused() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    started(&acme, &["1.0.0"]).await;
    let index = index_of(&server).await;
    let path = server.folder.path().join("index.json");
    assert_eq!(load_index(&path, index.registry()).await.unwrap().size(), 0);
    save_index(&path, &index).await.unwrap();
    assert_eq!(
        load_index(&path, index.registry()).await.unwrap().view(),
        index.view()
    );
    let changed = std::fs::read_to_string(&path)
        .unwrap()
        .replace("acme-texts", "acme-texta");
    std::fs::write(&path, changed).unwrap();
    assert!(matches!(
        load_index(&path, index.registry()).await,
        Err(FetchError::Index(IndexError::Forged { .. }))
    ));
}

#[tokio::test]
async fn any_oci_registry_is_a_source_and_a_target() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        let mut config = ClientConfig::default();
        let credentials = Credentials {
            username: "acme".to_owned(),
            password: acme.token.clone().into(),
        };
        config
            .credentials
            .insert(server.address.to_string(), credentials);
        let pusher = Client::new(config).unwrap();
        let component = component("acme-texts", "1.0.0");
        let sidecar = acme.sign("acme-texts", "1.0.0", &component);
        let text = format!("oci://{}/acme-texts:1.0.0", server.address);
        let reference = text.parse().unwrap();
        let pushed = pusher
            .push(&reference, &component, Some(&sidecar))
            .await
            .unwrap();
        pusher
            .push(&reference, &component, Some(&sidecar))
            .await
            .unwrap();
        let source = Source::parse(&text, None).unwrap();
        let fetched = fetch(&source, None).await.unwrap();
        assert_eq!(fetched.statement.as_deref(), Some(&sidecar[..]));
        assert!(fetched.verify(at(0), None, &trusting(&acme.key)).is_ok());
        let by_digest = format!("oci://{}/acme-texts@{}", server.address, pushed.image);
        assert_eq!(
            fetch(&Source::parse(&by_digest, None).unwrap(), None)
                .await
                .unwrap()
                .digest,
            fetched.digest
        );
        let new = format!("oci://{}/acme-texts:other", server.address)
            .parse()
            .unwrap();
        let refused = client().push(&new, &component, None).await;
        assert!(matches!(
            refused,
            Err(FetchError::Refused { status: 401, .. })
        ));
        let absent = format!("oci://{}/acme-texts:2.0.0", server.address);
        let absent = fetch(&Source::parse(&absent, None).unwrap(), None).await;
        assert!(matches!(absent, Err(FetchError::Absent { .. })));
    }
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
        unsigned.verify(at(0), None, &trusting(&key)),
        Err(VerifyError::Unsigned {
            name: name("acme-texts")
        })
    );
    let signed = fetch(&file(folder.path(), &good, Some(&sidecar)), None)
        .await
        .unwrap();
    assert!(signed.verify(at(0), None, &trusting(&key)).is_ok());
    let late = signed.verify(at(0) + TimeDelta::days(366), None, &trusting(&key));
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
    let refused = swapped.verify(at(0), None, &trusting(&key));
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
        fetched.is_ok_and(|fetched| fetched.verify(at(0), None, &trust).is_ok())
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
            .verify(at(0), Some(before.view()), &trusting(&acme.key))
            .is_ok()
    );
    let unknown = fetch(&source("acme-texts@~1.0"), None).await.unwrap();
    assert_eq!(unknown.manifest.version.to_string(), "1.0.0");
    assert!(
        unknown.verify(at(0), None, &trusting(&acme.key)).is_ok(),
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

#[test]
fn what_a_person_types_names_a_source() {
    let registry = RegistryApi::new("https://registry.example/".parse().unwrap());
    let parse = |text: &str| Source::parse(text, Some(&registry));
    assert!(
        matches!(parse("acme-texts@^1"), Ok(Source::Registry { wanted, .. }) if wanted.to_string() == "acme-texts@^1")
    );
    assert!(matches!(parse("./plugin.wasm"), Ok(Source::File(_))));
    assert!(matches!(parse("plugin.wasm"), Ok(Source::File(_))));
    assert!(matches!(parse("oci://h/acme:1"), Ok(Source::Oci(_))));
    assert!(matches!(parse("oci://h"), Err(InvalidSource::Reference(_))));
    assert!(matches!(parse("Acme"), Err(InvalidSource::Wanted(_))));
    assert!(matches!(
        Source::parse("acme", None),
        Err(InvalidSource::NoRegistry(_))
    ));
}
