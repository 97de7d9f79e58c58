//! A registry that means harm.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use onerouter_registry::client::{
    Client, ClientConfig, Credentials, FetchError, RegistryApi, Source,
};
use onerouter_registry::index::{Freshness, Index};
use onerouter_registry::package::Image;
use onerouter_registry::{Digest, KeyPair};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::component;

type Answer = Arc<dyn Fn() -> Response + Send + Sync>;

/// Answers paths as it was told to, and notes who came with credentials.
#[derive(Clone, Default)]
struct Answers {
    by_path: Arc<Mutex<HashMap<String, Answer>>>,
    logins: Arc<Mutex<Vec<(String, String)>>>,
}

struct Hostile {
    answers: Answers,
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Hostile {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Answers::default();
        let router = Router::new().fallback(answer).with_state(answers.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            answers,
            address,
            _serving: serving,
        }
    }

    /// One that has a good image of a plugin.
    async fn with_image() -> (Self, Image) {
        let hostile = Self::start().await;
        let (image, _) = Image::of_component(&component("acme-texts", "1.0.0")).unwrap();
        hostile.gives("/v2/acme/manifests/1.0.0", manifest(&image.manifest));
        for blob in &image.blobs {
            hostile.gives(&format!("/v2/acme/blobs/{}", Digest::of(blob)), bytes(blob));
        }
        (hostile, image)
    }

    fn gives(&self, path: &str, answer: impl Fn() -> Response + Send + Sync + 'static) {
        self.answers
            .by_path
            .lock()
            .unwrap()
            .insert(path.to_owned(), Arc::new(answer));
    }

    fn component_path(&self, image: &Image) -> String {
        format!("/v2/acme/blobs/{}", Digest::of(&image.blobs[0]))
    }

    async fn fetch_with(&self, config: ClientConfig) -> Result<Digest, FetchError> {
        let source = Source::parse(&format!("oci://{}/acme:1.0.0", self.address), None).unwrap();
        let client = Client::new(config).unwrap();
        client
            .fetch(&source, None, &|_progress| {})
            .await
            .map(|fetched| fetched.digest)
    }

    async fn fetch(&self) -> Result<Digest, FetchError> {
        let mut config = ClientConfig::default();
        config.limits.component_bytes_max = 1 << 20;
        config.limits.document_bytes_max = 1 << 20;
        self.fetch_with(config).await
    }
}

async fn answer(State(answers): State<Answers>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(login) = request.headers().get("authorization") {
        let login = login.to_str().unwrap().to_owned();
        answers.logins.lock().unwrap().push((path.clone(), login));
    }
    let answer = answers.by_path.lock().unwrap().get(&path).cloned();
    answer.map_or_else(|| status(404), |answer| answer())
}

fn status(status: u16) -> Response {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .unwrap()
}

fn manifest(body: &[u8]) -> impl Fn() -> Response + Send + Sync + 'static {
    typed("application/vnd.oci.image.manifest.v1+json", body)
}

fn typed(media_type: &'static str, body: &[u8]) -> impl Fn() -> Response + Send + Sync + 'static {
    let body = body.to_vec();
    move || {
        Response::builder()
            .header("content-type", media_type)
            .body(body.clone().into())
            .unwrap()
    }
}

fn bytes(body: &[u8]) -> impl Fn() -> Response + Send + Sync + 'static {
    typed("application/octet-stream", body)
}

fn endless() -> Response {
    let piece = Bytes::from_static(&[b' '; 64 << 10]);
    let pieces = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
    Response::builder()
        .header("content-type", "application/vnd.oci.image.manifest.v1+json")
        .body(Body::from_stream(pieces))
        .unwrap()
}

fn silent() -> Response {
    let pieces = stream::pending::<Result<Bytes, std::io::Error>>();
    Response::new(Body::from_stream(pieces))
}

fn redirect(to: String) -> impl Fn() -> Response + Send + Sync + 'static {
    move || {
        Response::builder()
            .status(307)
            .header("location", &to)
            .body(Body::empty())
            .unwrap()
    }
}

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
    let page = format!(r#"{{"entries": ["{}"]}}"#, "x".repeat(300 << 10));
    hostile.gives("/registry/v1/index/entries", bytes(page.as_bytes()));
    assert!(matches!(
        update().await,
        Err(FetchError::TooLarge { what: "index", .. })
    ));
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
