//! A gateway, and a provider that calls somebody else in its place.

use onerouter_tests::harness::{Client, Harness, Reply, Setup, reply};
use onerouter_tests::receiver::Receiver;
use onerouter_tests::write_path::Ground;
use reqwest::Method;
use serde_json::{Value, json};

use crate::connection;

/// A gateway of which a provider knows another address: what it sends there is kept.
pub(super) struct Scene {
    pub(super) ground: Ground,
    pub(super) host: Harness,
    pub(super) acme: Client,
    pub(super) provider: &'static str,
    /// With which it signs, where the time is signed too.
    pub(super) secret: Option<String>,
    _elsewhere: Receiver,
}

impl Scene {
    pub(super) async fn of(ground: Ground, provider: &'static str) -> Self {
        let elsewhere = Receiver::start().await;
        let setup = Setup {
            // The address that is signed, where one is.
            public_url: Some(elsewhere.url("")),
            ..Setup::default()
        };
        let host = ground.host_with(setup).await;
        let acme = host.key("test").await;
        let mut secret = None;
        // Twilio is told with each message where to call.
        if provider != "twilio" {
            let id = connection(&host, provider).await;
            let url = elsewhere.url(&format!("/webhooks/{provider}/{id}"));
            let with = host.sandbox.connection_with_webhook(provider, &url);
            let with = with.unwrap();
            let path = format!("/api/services/{}/{provider}/connect", with.service);
            let body = json!({"environment": with.environment, "credentials": with.credentials,
                "settings": with.settings});
            let connected = host.operator().post(&path, body).await;
            assert_eq!(connected.status, 200, "{connected:?}");
            secret = with.credentials.get("webhook_secret").cloned();
        }
        Self {
            ground,
            host,
            acme,
            provider,
            secret: secret.filter(|_| provider == "resend"),
            _elsewhere: elsewhere,
        }
    }

    /// Makes an object.
    pub(super) async fn create(&self, path: &str, body: Value) -> Reply {
        let made = self.acme.post(path, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        made
    }

    /// What the buyer does on the provider's page.
    pub(super) async fn buyer(&self, provider_id: &str, visit: Value) {
        let path = format!("/_sandbox/checkouts/{provider_id}");
        self.host.control(Method::POST, &path, Some(visit)).await;
    }

    /// The provider charges a subscription's next cycle.
    pub(super) async fn cycle(&self, provider_id: &str, charge: &str) {
        let path = format!("/_sandbox/subscriptions/{provider_id}/cycle");
        let body = json!({ "charge": charge });
        self.host.control(Method::POST, &path, Some(body)).await;
    }

    /// What the merchant does at the provider, without us.
    pub(super) fn elsewhere(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/{}{path}", self.host.sandbox.url(), self.provider);
        self.host.http.request(method, url)
    }

    pub(super) async fn effects(&self, kind: &str) -> u64 {
        let provider = self.provider;
        let path = format!("/_sandbox/ledger?provider={provider}&kind={kind}&limit=1");
        let ledger = self.host.control(Method::GET, &path, None).await;
        ledger["count"].as_u64().unwrap()
    }

    /// How much the providers were asked so far.
    pub(super) async fn asked(&self) -> u64 {
        let path = "/_sandbox/requests?limit=1";
        let log = self.host.control(Method::GET, path, None).await;
        log["total"].as_u64().unwrap()
    }

    pub(super) async fn fault(&self, asked_at: &str, mut fault: Value) {
        fault["provider"] = json!(self.provider);
        fault["method"] = json!("GET");
        fault["path_contains"] = json!(asked_at);
        self.host.fault(fault).await;
    }

    pub(super) async fn mend(&self) {
        let faults = "/_sandbox/faults";
        self.host.control(Method::DELETE, faults, None).await;
    }
}

/// Sends what must succeed.
pub(super) async fn done(request: reqwest::RequestBuilder) -> Value {
    let reply = reply(request.send().await.unwrap()).await;
    assert!(reply.status < 300, "{reply:?}");
    reply.json
}
