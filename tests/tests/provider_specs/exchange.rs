//! Requests and answers as the descriptions speak of them.

use onerouter_tests::harness::Harness;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// A request that a provider received.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// An answer of a provider.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().find(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// `a=1&b=2` taken apart.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// Everything that a provider has received so far.
pub(crate) async fn received(host: &Harness, provider: &str) -> Vec<Request> {
    let filter = format!("provider={provider}");
    let requests = host.provider_requests(&filter).await;
    requests.iter().map(recorded).collect()
}

fn recorded(request: &Value) -> Request {
    let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
    let headers = request["headers"].as_object().unwrap();
    let headers = headers.iter().map(|(name, value)| {
        let value = value.as_str().unwrap_or_default();
        (name.clone(), value.to_owned())
    });
    Request {
        method: text("method"),
        path: text("path"),
        query: pairs(&text("query")),
        headers: headers.collect(),
        body: text("body"),
    }
}

/// A call to the sandbox past the gateway.
pub(crate) async fn call(
    host: &Harness,
    provider: &str,
    method: Method,
    path: &str,
    finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Answer {
    let url = format!("{}/{provider}{path}", host.sandbox.url());
    let request = host.http.request(method.clone(), url);
    let request = request.header("user-agent", "provider-specs");
    let response = finish(request).send().await.unwrap();
    let content_type = response.headers().get("content-type");
    Answer {
        method: method.to_string(),
        path: path.split('?').next().unwrap_or_default().to_owned(),
        status: response.status().as_u16(),
        content_type: content_type.map(|value| value.to_str().unwrap().to_owned()),
        body: response.text().await.unwrap(),
    }
}
