//! What a gateway in native code costs at least: the same JSON mapping with hyper's pooled client,
//! no keys, no limits, no database.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};

use crate::provider::{ACCOUNT, SENDER};

/// `ACCOUNT:TOKEN` of `provider.rs`, in Base64.
const AUTHORIZATION: &str = "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMGIwMTpiZW5jaG1hcmt0b2tlbjAwMDAwMDAwMDAwMDAwMDAwMQ==";

#[derive(Debug, Deserialize)]
struct SendSms {
    to: String,
    body: String,
    from_number: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Created {
    sid: String,
    status: String,
    from: String,
    num_segments: String,
}

#[derive(Debug, Serialize)]
struct Sms {
    id: String,
    object: &'static str,
    status: String,
    to: String,
    from_number: String,
    segments: u32,
}

#[derive(Debug, Clone)]
struct Gateway {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

/// Serves for ever; prints its address first.
pub(crate) fn serve(arguments: &[String]) {
    let [provider] = arguments else {
        panic!("{arguments:?}")
    };
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let gateway = Gateway {
        client: Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(64)
            .build(connector),
        url: format!("{provider}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/api/health/ready", get(|| async { "{}" }))
            .route("/v1/sms", post(send))
            .with_state(gateway);
        use axum::serve::ListenerExt as _;
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        axum::serve(listener, router).await.unwrap();
    });
}

async fn send(State(gateway): State<Gateway>, body: Bytes) -> Response {
    match pass_on(&gateway, &body).await {
        Some(sms) => {
            let headers = [(header::CONTENT_TYPE, "application/json")];
            let body = serde_json::to_vec(&sms).unwrap();
            (StatusCode::CREATED, headers, body).into_response()
        }
        None => (StatusCode::BAD_GATEWAY, HeaderMap::new()).into_response(),
    }
}

async fn pass_on(gateway: &Gateway, body: &[u8]) -> Option<Sms> {
    let sms: SendSms = serde_json::from_slice(body).ok()?;
    let from = sms.from_number.as_deref().unwrap_or(SENDER);
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("To", &sms.to)
        .append_pair("From", from)
        .append_pair("Body", &sms.body)
        .finish();
    let request = http::Request::post(&gateway.url)
        .header(header::AUTHORIZATION, AUTHORIZATION)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))
        .ok()?;
    let answer = gateway.client.request(request).await.ok()?;
    let bytes = answer.into_body().collect().await.ok()?.to_bytes();
    let created: Created = serde_json::from_slice(&bytes).ok()?;
    Some(Sms {
        id: created.sid,
        object: "sms",
        status: created.status,
        to: sms.to,
        from_number: created.from,
        segments: created.num_segments.parse().ok()?,
    })
}
