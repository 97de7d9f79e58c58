//! From a registry, a file or a bundle to a plugin that is believed, or refused with the reason.

use chrono::TimeDelta;
use onerouter_registry::client::{
    Client, ClientConfig, Credentials, FetchError, Fetched, InvalidSource, NewAdvisory, Origin,
    Progress, RegistryApi, Source, load_index, save_index,
};
use onerouter_registry::index::{Freshness, Index, IndexError, ResolveError};
use onerouter_registry::{Clock as _, KeyPair, Listing, Trust, TrustedBy, VerifyError};
use std::sync::Mutex;

use crate::server::{Publisher, Server};
use crate::support::{at, component, name};

pub(crate) fn client() -> Client {
    Client::new(ClientConfig::default()).unwrap()
}

pub(crate) fn api(server: &Server) -> RegistryApi {
    RegistryApi::new(server.url("/").parse().unwrap())
}

pub(crate) fn freshness(server: &Server) -> Freshness {
    Freshness::Within {
        now: server.clock.now(),
        age_max: TimeDelta::days(7),
    }
}

pub(crate) async fn index_of(server: &Server) -> Index {
    let mut index = Index::empty(server.registry.key());
    client()
        .update_index(&api(server), &mut index, freshness(server))
        .await
        .unwrap();
    index
}

pub(crate) fn wanted(server: &Server, wanted: &str) -> Source {
    Source::Registry {
        registry: api(server),
        wanted: wanted.parse().unwrap(),
    }
}

pub(crate) async fn fetch(source: &Source, index: Option<&Index>) -> Result<Fetched, FetchError> {
    client().fetch(source, index, &|_progress| {}).await
}

pub(crate) fn trusting(key: &KeyPair) -> Trust {
    Trust::nobody().key(key.public().id())
}

pub(crate) async fn started(acme: &Publisher<'_>, versions: &[&str]) {
    acme.add_key("acme-texts").await;
    for version in versions {
        acme.publish("acme-texts", version).await;
    }
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
            .verify(at(0), Listing::Required(index.view()), &trusting(&acme.key))
            .unwrap();
        assert_eq!(verified.publisher(), acme.key.public());
        assert_eq!(verified.trusted_by, TrustedBy::Operator);
        let stranger = fetched.verify(at(0), Listing::Required(index.view()), &Trust::nobody());
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
        let believed = fetched.verify(at(0), Listing::Required(index.view()), &trusting(&acme.key));
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
async fn a_longer_kept_index_is_not_replaced() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    started(&acme, &["1.0.0"]).await;
    let older = index_of(&server).await;
    acme.publish("acme-texts", "1.1.0").await;
    let newer = index_of(&server).await;
    let path = server.folder.path().join("index.json");
    let (one, other) = tokio::join!(save_index(&path, &newer), save_index(&path, &older));
    one.and(other).unwrap();
    save_index(&path, &newer).await.unwrap();
    save_index(&path, &older).await.unwrap();
    let kept = load_index(&path, newer.registry()).await.unwrap();
    assert_eq!(kept.size(), newer.size());
    let beside = std::fs::read_dir(server.folder.path()).unwrap();
    let left = beside
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".new"));
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn junk_hides_no_statement() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    let component = component("acme-texts", "1.0.0");
    let pushed = acme.push_image("acme-texts", "1.0.0", &component).await;
    let image = pushed.headers()["docker-content-digest"].to_str().unwrap();
    let image = image.parse().unwrap();
    let other = crate::support::component("acme-texts", "1.0.1");
    let of_another = acme.sign("acme-texts", "1.0.1", &other);
    let mut unsigned = acme.sign("acme-texts", "1.0.0", &component);
    let end = unsigned.len() - 20;
    unsigned[end] ^= 1;
    for junk in [b"{}".to_vec(), vec![b'x'; 9_000], of_another, unsigned] {
        acme.push_statement("acme-texts", image, &junk).await;
        // Of another type: these are not even looked at.
        for number in 0..5 {
            let config = acme.put_blob("acme-texts", b"{}").await;
            let layer = format!("{number}{}", junk.len()).into_bytes();
            let digest = acme.put_blob("acme-texts", &layer).await;
            let layer = ("text/plain", digest, layer.len());
            let manifest = crate::server::image(config, 2, layer, Some(image));
            let own = onerouter_registry::Digest::of(manifest.to_string().as_bytes());
            acme.put_manifest("acme-texts", &own.to_string(), &manifest)
                .await;
        }
        server.clock.advance(TimeDelta::seconds(1));
    }
    let sidecar = acme.sign("acme-texts", "1.0.0", &component);
    acme.push_statement("acme-texts", image, &sidecar).await;
    let source = format!("oci://{}/acme-texts:1.0.0", server.address);
    let fetched = fetch(&Source::parse(&source, None).unwrap(), None).await;
    assert_eq!(fetched.unwrap().statement.as_deref(), Some(&sidecar[..]));
    let body = serde_json::json!({"version": "1.0.0"});
    let published = acme.post_json("/plugins/acme-texts/versions", &body).await;
    assert_eq!(published.status(), 201);
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
        assert!(
            fetched
                .verify(at(0), Listing::NoRegistry, &trusting(&acme.key))
                .is_ok()
        );
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
