//! A running sandbox with a clock that stands still, and clients for it.

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use onerouter_sandbox::{ManualClock, Sandbox, SandboxConfig, resend, twilio};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

/// When the tests' time begins.
pub(crate) const NOW: &str = "2026-01-15T12:00:00Z";

/// For what happens soon, but not at once.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Rig {
    pub(crate) sandbox: Sandbox,
    pub(crate) http: reqwest::Client,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null when the body is no JSON.
    pub(crate) body: Value,
}

impl Rig {
    /// Six seconds to delivery: they divide well by the steps.
    pub(crate) async fn start() -> Rig {
        let clock = ManualClock::new(DateTime::parse_from_rfc3339(NOW).unwrap().to_utc());
        let config = SandboxConfig {
            delivery: Duration::from_secs(6),
            clock: Arc::new(clock),
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::start(config).await.unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .user_agent("sandbox-tests")
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Rig { sandbox, http }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url())
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self
            .http
            .request(method, self.url(&format!("/_sandbox/{path}")));
        self.send(if body.is_null() {
            request
        } else {
            request.json(&body)
        })
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.control(Method::GET, path, Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub(crate) async fn advance(&self, seconds: i64) {
        let answer = self
            .control(Method::POST, "clock", json!({ "advance_s": seconds }))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn configure(&self, change: Value) {
        let answer = self.control(Method::PUT, "config", change).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn fault(&self, rule: Value) {
        let answer = self.control(Method::POST, "faults", rule).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Effects in the ledger since the start.
    pub(crate) async fn effects(&self) -> u64 {
        self.get("ledger").await["total"].as_u64().unwrap()
    }

    /// Until a provider has received so many requests.
    pub(crate) async fn received(&self, count: u64) {
        let enough =
            async { while self.get("requests").await["total"].as_u64().unwrap() < count {} };
        tokio::time::timeout(PATIENCE, enough).await.unwrap();
    }

    /// Until the ledger has so many effects.
    pub(crate) async fn effected(&self, count: u64) {
        let enough = async { while self.effects().await < count {} };
        tokio::time::timeout(PATIENCE, enough).await.unwrap();
    }
}

/// Twilio's client, of the ordinary account.
impl Rig {
    pub(crate) fn messages_url(&self) -> String {
        self.url(&format!(
            "/twilio/2010-04-01/Accounts/{}/Messages.json",
            twilio::ACCOUNT_SID
        ))
    }

    pub(crate) fn message_url(&self, sid: &str) -> String {
        self.url(&format!(
            "/twilio/2010-04-01/Accounts/{}/Messages/{sid}.json",
            twilio::ACCOUNT_SID
        ))
    }

    pub(crate) fn twilio(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, url)
            .basic_auth(twilio::ACCOUNT_SID, Some(twilio::AUTH_TOKEN))
    }

    pub(crate) async fn text(&self, form: &[(&str, &str)]) -> Answer {
        self.send(self.twilio(Method::POST, &self.messages_url()).form(form))
            .await
    }

    /// Sends a plain message; gives its SID.
    pub(crate) async fn text_to(&self, to: &str) -> String {
        let answer = self
            .text(&[("To", to), ("From", twilio::FROM_NUMBER), ("Body", "Hi")])
            .await;
        assert_eq!(answer.status, 201, "{to}: {answer:?}");
        answer.body["sid"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn message(&self, sid: &str) -> Value {
        let answer = self
            .send(self.twilio(Method::GET, &self.message_url(sid)))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }
}

/// Resend's client, with the key that may do everything.
impl Rig {
    pub(crate) fn resend(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, self.url(&format!("/resend{path}")))
            .bearer_auth(resend::FULL_ACCESS_KEY)
    }

    pub(crate) async fn mail(&self, body: &Value) -> Answer {
        self.send(self.resend(Method::POST, "/emails").json(body))
            .await
    }

    /// Sends a plain e-mail; gives its id.
    pub(crate) async fn mail_to(&self, to: &str) -> String {
        let answer = self.mail(&letter(to)).await;
        assert_eq!(answer.status, 200, "{to}: {answer:?}");
        answer.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn email(&self, id: &str) -> Value {
        let answer = self
            .send(self.resend(Method::GET, &format!("/emails/{id}")))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub(crate) async fn last_event(&self, id: &str) -> String {
        self.email(id).await["last_event"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// The smallest e-mail.
pub(crate) fn letter(to: &str) -> Value {
    json!({ "from": resend::FROM_EMAIL, "to": to, "subject": "Hi", "text": "Hello" })
}

/// `body` with these fields set; null takes one away.
pub(crate) fn with(mut body: Value, changes: Value) -> Value {
    let fields = body.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    body
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status,
            headers,
            text,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Status and Twilio's code, and that the rest of the body is as documented.
    pub(crate) fn assert_twilio_error(&self, status: u16, code: u64) {
        assert_eq!(
            (self.status, self.body["code"].as_u64()),
            (status, Some(code)),
            "{}",
            self.text
        );
        assert_eq!(self.body["status"], status);
        assert_eq!(
            self.body["more_info"],
            format!("https://www.twilio.com/docs/errors/{code}")
        );
        assert!(
            self.body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty() && !text.contains("{}"))
        );
    }

    /// Status and Resend's name, and that the rest of the body is as documented.
    pub(crate) fn assert_resend_error(&self, status: u16, name: &str) {
        assert_eq!(
            (self.status, self.body["name"].as_str()),
            (status, Some(name)),
            "{}",
            self.text
        );
        assert_eq!(self.body["statusCode"], status);
        assert!(
            self.body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        assert!(StatusCode::from_u16(status).unwrap().is_client_error() || status >= 500);
    }
}
