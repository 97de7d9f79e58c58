//! A registry that means harm.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use onerouter_registry::client::{
    Client, ClientConfig, Credentials, FetchError, OciReference, RegistryApi, Source,
};
use onerouter_registry::index::{Freshness, Index, IndexError};
use onerouter_registry::package::Image;
use onerouter_registry::{Digest, KeyPair};

use crate::answers::{Hostile, bytes, dripping, endless, manifest, redirect, silent, typed};
use crate::support::component;

#[tokio::test]
async fn an_honest_answer_is_taken() {
    let (hostile, image) = Hostile::with_image().await;
    assert_eq!(hostile.fetch().await.unwrap(), Digest::of(&image.blobs[0]));
}

#[tokio::test]
async fn endless_answers_end() {
    let (hostile, image) = Hostile::with_image().await;
    let component = hostile.component_path(&image);
    hostile.gives(&component, endless);
    assert!(matches!(
        hostile.fetch().await,
        Err(FetchError::TooLarge {
            what: "component",
            ..
        })
    ));
    hostile.gives("/v2/acme/manifests/1.0.0", endless);
    assert!(matches!(
        hostile.fetch().await,
        Err(FetchError::TooLarge {
            what: "manifest",
            ..
        })
    ));
    let referrers = format!("/v2/acme/referrers/{}", image.digest());
    hostile.gives("/v2/acme/manifests/1.0.0", manifest(&image.manifest));
    hostile.gives(&referrers, endless);
    assert!(matches!(
        hostile.fetch().await,
        Err(FetchError::TooLarge {
            what: "list of referrers",
            ..
        })
    ));
}

#[tokio::test]
async fn silence_ends() {
    let (hostile, image) = Hostile::with_image().await;
    let component = hostile.component_path(&image);
    hostile.gives(&component, silent);
    let mut config = ClientConfig::default();
    config.limits.idle_timeout = Duration::from_millis(50);
    assert!(matches!(
        hostile.fetch_with(config.clone()).await,
        Err(FetchError::Unreachable { .. })
    ));
    config.limits.idle_timeout = Duration::from_secs(30);
    config.limits.total_timeout = Duration::from_millis(50);
    assert!(matches!(
        hostile.fetch_with(config).await,
        Err(FetchError::TooSlow)
    ));
}

#[tokio::test]
async fn every_request_ends() {
    let hostile = Hostile::start().await;
    hostile.gives("/registry/v1/account", dripping);
    hostile.gives("/v2/acme/blobs/uploads/", dripping);
    let api = RegistryApi::new(format!("http://{}/", hostile.address).parse().unwrap());
    let mut config = ClientConfig::default();
    config.limits.total_timeout = Duration::from_millis(200);
    let client = Client::new(config).unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(10), client.get(&api, "/account"));
    assert!(matches!(asked.await.unwrap(), Err(FetchError::TooSlow)));
    hostile.gives("/v2/acme/blobs/uploads/", || {
        Response::builder()
            .status(403)
            .body(dripping().into_body())
            .unwrap()
    });
    let reference = format!("oci://{}/acme:1.0.0", hostile.address)
        .parse()
        .unwrap();
    let component = component("acme-texts", "1.0.0");
    let pushed = client.push(&reference, &component, None);
    let pushed = tokio::time::timeout(Duration::from_secs(10), pushed);
    assert!(pushed.await.unwrap().is_err());
}

#[tokio::test]
async fn hosts_of_one_registry_are_none_of_another() {
    let (hostile, image) = Hostile::with_image().await;
    hostile.gives(
        &hostile.component_path(&image),
        redirect("https://blobs.invalid/x".to_owned()),
    );
    let named_for = |registry: String| {
        let mut config = ClientConfig::default();
        let others = ["blobs.invalid".to_owned()].into();
        config.other_hosts.insert(registry, others);
        config
    };
    let other = hostile.fetch_with(named_for("ghcr.io".to_owned())).await;
    assert!(matches!(other, Err(FetchError::OtherHost { .. })));
    let own = named_for(hostile.address.to_string());
    assert!(matches!(
        hostile.fetch_with(own).await,
        Err(FetchError::Unreachable { host, .. }) if host == "blobs.invalid"
    ));
}

#[tokio::test]
async fn a_size_that_was_announced_is_the_most_that_is_taken() {
    let (hostile, image) = Hostile::with_image().await;
    let huge = String::from_utf8(image.manifest.clone()).unwrap();
    let size = format!("\"size\":{}", image.blobs[0].len());
    let huge = huge.replace(&size, "\"size\":999999999999");
    hostile.gives("/v2/acme/manifests/1.0.0", manifest(huge.as_bytes()));
    assert!(matches!(
        hostile.fetch().await,
        Err(FetchError::TooLarge {
            what: "component",
            ..
        })
    ));
}

#[tokio::test]
async fn other_bytes_than_named_are_refused() {
    let (hostile, image) = Hostile::with_image().await;
    let other = component("acme-texts", "1.0.1");
    let component = hostile.component_path(&image);
    hostile.gives(
        &component,
        bytes(&other[..image.blobs[0].len().min(other.len())]),
    );
    assert!(matches!(
        hostile.fetch().await,
        Err(FetchError::OtherDigest {
            what: "component",
            ..
        })
    ));
    let lying = image.manifest.clone();
    hostile.gives("/v2/acme/manifests/1.0.0", move || {
        Response::builder()
            .header("content-type", "application/vnd.oci.image.manifest.v1+json")
            .header("docker-content-digest", Digest::of(b"x").to_string())
            .body(lying.clone().into())
            .unwrap()
    });
    assert!(matches!(
        hostile.fetch().await,
        Err(FetchError::OtherDigest {
            what: "manifest",
            ..
        })
    ));
}

#[tokio::test]
async fn a_tag_that_lies_about_its_version_is_refused() {
    let (hostile, _) = Hostile::with_image().await;
    let (older, _) = Image::of_component(&component("acme-texts", "0.9.0")).unwrap();
    hostile.gives("/v2/acme/manifests/1.0.0", manifest(&older.manifest));
    for blob in &older.blobs {
        hostile.gives(&format!("/v2/acme/blobs/{}", Digest::of(blob)), bytes(blob));
    }
    assert!(
        matches!(hostile.fetch().await, Err(FetchError::Mislabelled { version, .. }) if version.to_string() == "0.9.0")
    );
}

#[tokio::test]
async fn documents_of_another_type_are_refused() {
    let (hostile, image) = Hostile::with_image().await;
    let path = "/v2/acme/manifests/1.0.0";
    hostile.gives(path, typed("text/html", &image.manifest));
    assert!(
        matches!(hostile.fetch().await, Err(FetchError::OtherType { found, .. }) if found == "text/html")
    );
    hostile.gives(
        path,
        typed("application/vnd.oci.image.index.v1+json", b"{}"),
    );
    assert!(matches!(
        hostile.fetch().await,
        Err(FetchError::OtherType { .. })
    ));
    let layer = String::from_utf8(image.manifest)
        .unwrap()
        .replace("application/wasm", "application/tar");
    for broken in [layer.as_bytes(), b"not json", b"{}", b"[[[[[[[["] {
        hostile.gives(path, manifest(broken));
        assert!(matches!(hostile.fetch().await, Err(FetchError::Package(_))));
    }
}

#[tokio::test]
async fn redirects_lead_to_the_registry_itself_and_to_named_hosts_only() {
    let (hostile, image) = Hostile::with_image().await;
    let inside = Hostile::start().await;
    let component = hostile.component_path(&image);
    for to in [
        format!("http://{}/secret", inside.address),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://evil.example/x".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        hostile.gives(&component, redirect(to.clone()));
        let refused = hostile.fetch().await;
        assert!(
            matches!(refused, Err(FetchError::OtherHost { .. })),
            "{to}: {refused:?}"
        );
    }
    hostile.gives(&component, redirect("/elsewhere".to_owned()));
    hostile.gives("/elsewhere", bytes(&image.blobs[0]));
    assert!(hostile.fetch().await.is_ok());
    hostile.gives("/elsewhere", redirect("/elsewhere".to_owned()));
    assert!(matches!(
        hostile.fetch().await,
        Err(FetchError::Nonsense { .. })
    ));
}

#[tokio::test]
async fn credentials_go_to_their_registry_only() {
    let (hostile, image) = Hostile::with_image().await;
    let thief = Hostile::start().await;
    let mut config = ClientConfig::default();
    let credentials = Credentials {
        username: "me".to_owned(),
        password: "hunter22".to_owned().into(),
    };
    config
        .credentials
        .insert(hostile.address.to_string(), credentials);
    hostile.fetch_with(config.clone()).await.unwrap();
    assert_eq!(
        *hostile.answers.logins.lock().unwrap(),
        [],
        "nobody asked for them"
    );
    let realm = format!(
        "Bearer realm=\"http://{}/token\",service=\"x\"",
        thief.address
    );
    hostile.gives(&hostile.component_path(&image), move || {
        Response::builder()
            .status(401)
            .header("www-authenticate", &realm)
            .body(Body::empty())
            .unwrap()
    });
    let refused = hostile.fetch_with(config.clone()).await;
    assert!(matches!(refused, Err(FetchError::OtherHost { .. })));
    assert_eq!(*thief.answers.logins.lock().unwrap(), []);
    // The same at home is how it is meant to be.
    let realm = format!("Bearer realm=\"http://{}/token\"", hostile.address);
    hostile.gives(&hostile.component_path(&image), move || {
        Response::builder()
            .status(401)
            .header("www-authenticate", &realm)
            .body(Body::empty())
            .unwrap()
    });
    hostile.gives(
        "/token",
        typed("application/json", br#"{"token": "short-lived"}"#),
    );
    let refused = hostile.fetch_with(config).await;
    assert!(matches!(
        refused,
        Err(FetchError::Refused { status: 401, .. })
    ));
    let logins = hostile.answers.logins.lock().unwrap().clone();
    assert_eq!(logins[0].0, "/token");
    assert!(logins[0].1.starts_with("Basic "));
    assert_eq!(logins[1].1, "Bearer short-lived");
}

#[tokio::test]
async fn no_registry_elsewhere_is_spoken_to_without_tls() {
    let source = RegistryApi::new("http://registry.example/".parse().unwrap());
    let client = Client::new(ClientConfig::default()).unwrap();
    let refused = client.get(&source, "").await;
    assert!(matches!(refused, Err(FetchError::PlainHttp(host)) if host == "registry.example"));
}

#[tokio::test]
async fn an_index_without_its_entries_or_without_an_end_is_refused() {
    let hostile = Hostile::start().await;
    let registry = KeyPair::generate();
    let api = RegistryApi::new(format!("http://{}/", hostile.address).parse().unwrap());
    let mut config = ClientConfig::default();
    config.limits.index_bytes_max = 1 << 20;
    let client = Client::new(config).unwrap();
    let update = || async {
        let mut index = Index::empty(registry.public());
        client
            .update_index(&api, &mut index, Freshness::AnyAge)
            .await
    };
    hostile.gives("/registry/v1/index/head", endless);
    assert!(matches!(update().await, Err(FetchError::TooLarge { .. })));
    let head = onerouter_registry::index::Head {
        size: u64::MAX,
        hash: Digest::of(b"x"),
        time: crate::support::at(0),
        expires: crate::support::at(1),
    };
    hostile.gives(
        "/registry/v1/index/head",
        bytes(&head.sign(&registry).to_json()),
    );
    hostile.gives("/registry/v1/index/entries", bytes(br#"{"entries": []}"#));
    assert!(matches!(update().await, Err(FetchError::Nonsense { .. })));
    let entry = format!("\"{}\"", "x".repeat(15 << 10));
    let page = format!(r#"{{"entries": [{}]}}"#, vec![entry; 20].join(","));
    hostile.gives("/registry/v1/index/entries", bytes(page.as_bytes()));
    assert!(matches!(
        update().await,
        Err(FetchError::TooLarge { what: "index", .. })
    ));
}

#[test]
fn an_index_of_nothings_is_refused() {
    let registry = KeyPair::generate().public();
    let copy = format!(
        r#"{{"head": null, "entries": [{}""]}}"#,
        "\"\",".repeat(1_000)
    );
    let refused = Index::restore(copy.as_bytes(), registry);
    assert!(matches!(refused, Err(IndexError::Copy(reason)) if reason.contains("no entry")));
}

#[tokio::test]
async fn words_of_a_refusal_are_cut_short_and_made_harmless() {
    let hostile = Hostile::start().await;
    hostile.gives("/v2/acme/manifests/1.0.0", || {
        let body = format!("\u{1b}[2J{}", "x".repeat(10_000));
        Response::builder().status(500).body(body.into()).unwrap()
    });
    let Err(FetchError::Refused {
        status: 500,
        message,
        ..
    }) = hostile.fetch().await
    else {
        panic!("a refusal");
    };
    assert!(message.starts_with("[2Jx") && message.len() == 300);
}

#[tokio::test]
async fn an_image_with_another_component_than_the_index_says_is_refused() {
    let server = crate::server::Server::start().await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme").await;
    acme.publish("acme", "1.0.0").await;
    let mut index = Index::empty(server.registry.key());
    let client = Client::new(ClientConfig::default()).unwrap();
    let honest = RegistryApi::new(server.url("/").parse().unwrap());
    client
        .update_index(&honest, &mut index, Freshness::AnyAge)
        .await
        .unwrap();
    let resolved = index.view().resolve(&"acme".parse().unwrap()).unwrap();
    let (hostile, other) = Hostile::with_image().await;
    let registry = RegistryApi::new(format!("http://{}/", hostile.address).parse().unwrap());
    let source = Source::Registry {
        registry,
        wanted: "acme".parse().unwrap(),
    };
    let path = format!("/v2/acme/manifests/{}", resolved.published.manifest);
    hostile.gives(&path, manifest(&other.manifest));
    let fetched = client.fetch(&source, Some(&index), &|_progress| {}).await;
    assert!(matches!(
        fetched,
        Err(FetchError::OtherDigest {
            what: "manifest",
            ..
        })
    ));
    let unknown = client.fetch(&source, None, &|_progress| {}).await;
    assert!(matches!(unknown, Err(FetchError::NoIndex)));
}

proptest::proptest! {
    #[test]
    fn whatever_is_typed_as_a_reference_leads_to_its_host(text in "oci://[a-z0-9.:@#-]{1,12}/[a-z0-9/._%?-]{1,12}[:@][A-Za-z0-9._/:?-]{1,10}") {
        if let Ok(reference) = text.parse::<OciReference>() {
            let url = url::Url::parse(&format!("https://{}/v2/{}/manifests/{}", reference.host(), reference.repository(), reference.reference())).unwrap();
            let host = url.host_str().unwrap();
            proptest::prop_assert_eq!(reference.host().rsplit_once(':').map_or(reference.host(), |(name, _)| name), host);
            proptest::prop_assert!(url.username().is_empty() && url.query().is_none() && url.fragment().is_none());
            proptest::prop_assert!(url.path().starts_with("/v2/") && url.path().contains("/manifests/"));
        }
    }
}
