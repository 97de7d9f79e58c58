//! A registry that answers whatever it is told to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use onerouter_registry::Digest;
use onerouter_registry::client::{Client, ClientConfig, FetchError, Source};
use onerouter_registry::package::Image;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::component;

type Answer = Arc<dyn Fn() -> Response + Send + Sync>;

/// Answers paths as it was told to, and notes who came with credentials.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    by_path: Arc<Mutex<HashMap<String, Answer>>>,
    pub(crate) logins: Arc<Mutex<Vec<(String, String)>>>,
}

pub(crate) struct Hostile {
    pub(crate) answers: Answers,
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Hostile {
    pub(crate) async fn start() -> Self {
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
    pub(crate) async fn with_image() -> (Self, Image) {
        let hostile = Self::start().await;
        let (image, _) = Image::of_component(&component("acme-texts", "1.0.0")).unwrap();
        hostile.gives("/v2/acme/manifests/1.0.0", manifest(&image.manifest));
        for blob in &image.blobs {
            hostile.gives(&format!("/v2/acme/blobs/{}", Digest::of(blob)), bytes(blob));
        }
        (hostile, image)
    }

    pub(crate) fn gives(&self, path: &str, answer: impl Fn() -> Response + Send + Sync + 'static) {
        self.answers
            .by_path
            .lock()
            .unwrap()
            .insert(path.to_owned(), Arc::new(answer));
    }

    pub(crate) fn component_path(&self, image: &Image) -> String {
        format!("/v2/acme/blobs/{}", Digest::of(&image.blobs[0]))
    }

    pub(crate) async fn fetch_with(&self, config: ClientConfig) -> Result<Digest, FetchError> {
        let source = Source::parse(&format!("oci://{}/acme:1.0.0", self.address), None).unwrap();
        let client = Client::new(config).unwrap();
        client
            .fetch(&source, None, &|_progress| {})
            .await
            .map(|fetched| fetched.digest)
    }

    pub(crate) async fn fetch(&self) -> Result<Digest, FetchError> {
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

pub(crate) fn status(status: u16) -> Response {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .unwrap()
}

pub(crate) fn manifest(body: &[u8]) -> impl Fn() -> Response + Send + Sync + 'static {
    typed("application/vnd.oci.image.manifest.v1+json", body)
}

pub(crate) fn typed(
    media_type: &'static str,
    body: &[u8],
) -> impl Fn() -> Response + Send + Sync + 'static {
    let body = body.to_vec();
    move || {
        Response::builder()
            .header("content-type", media_type)
            .body(body.clone().into())
            .unwrap()
    }
}

pub(crate) fn bytes(body: &[u8]) -> impl Fn() -> Response + Send + Sync + 'static {
    typed("application/octet-stream", body)
}

pub(crate) fn endless() -> Response {
    let piece = Bytes::from_static(&[b' '; 64 << 10]);
    let pieces = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
    Response::builder()
        .header("content-type", "application/vnd.oci.image.manifest.v1+json")
        .body(Body::from_stream(pieces))
        .unwrap()
}

pub(crate) fn silent() -> Response {
    let pieces = stream::pending::<Result<Bytes, std::io::Error>>();
    Response::new(Body::from_stream(pieces))
}

/// Never idle, never done.
pub(crate) fn dripping() -> Response {
    let pieces = stream::unfold((), |()| async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
    });
    Response::new(Body::from_stream(pieces))
}

pub(crate) fn redirect(to: String) -> impl Fn() -> Response + Send + Sync + 'static {
    move || {
        Response::builder()
            .status(307)
            .header("location", &to)
            .body(Body::empty())
            .unwrap()
    }
}
