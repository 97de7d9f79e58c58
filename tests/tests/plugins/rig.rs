//! A gateway to install plugins on, with a publisher whom it trusts.

use std::path::PathBuf;

use onerouter::config::{PluginTrust, UnsignedPlugins};
use onerouter_registry::KeyPair;
use onerouter_tests::acme::{self, Acme};
use onerouter_tests::harness::{Client, Harness, Reply, Setup};
use serde_json::{Value, json};
use tempfile::TempDir;

pub struct Rig {
    pub host: Harness,
    pub acme: Acme,
    pub operator: Client,
    pub publisher: KeyPair,
    pub folder: TempDir,
}

impl Rig {
    /// Nothing is installed; what the publisher has signed may be.
    pub async fn start() -> Self {
        Self::with(UnsignedPlugins::Refuse).await
    }

    pub async fn with(unsigned: UnsignedPlugins) -> Self {
        let publisher = KeyPair::generate();
        let trust = PluginTrust {
            unsigned,
            publisher_keys: vec![(None, publisher.public().id())],
            ..PluginTrust::default()
        };
        Self::of(publisher, trust, None).await
    }

    /// With a registry; whom the operator trusts is said by the test.
    pub async fn of(publisher: KeyPair, trust: PluginTrust, registry_url: Option<String>) -> Self {
        let acme = Acme::start().await;
        let host = Harness::with(Setup {
            plugin_trust: Some(trust),
            registry_url,
            upstreams: vec![(acme::HOST.to_owned(), acme.base.clone())],
            ..Setup::default()
        })
        .await;
        Self {
            operator: host.operator(),
            host,
            acme,
            publisher,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A file with these bytes, signed by the publisher.
    pub fn signed(&self, name: &str, component: &[u8]) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.wasm"));
        acme::write_signed(&path, component, &self.publisher)
    }

    /// Installs a signed version, and agrees to everything.
    pub async fn install(&self, version: &str) -> Value {
        let path = self.signed(version, &acme::component(version));
        let installed = acme::install_agreeing(&self.operator, json!({"source": path})).await;
        installed.json
    }

    pub async fn ask(&self, body: Value) -> Reply {
        self.operator.post("/api/plugins/install", body).await
    }

    /// The plugin as the API shows it.
    pub async fn plugin(&self) -> Value {
        let plugin = self.operator.get("/api/plugins/acme-texts").await;
        assert_eq!(plugin.status, 200, "{plugin:?}");
        plugin.json
    }

    /// Versions by number, with what each does.
    pub async fn states(&self) -> Vec<(String, String)> {
        let plugin = self.plugin().await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let versions = plugin["installations"].as_array().unwrap().iter();
        versions
            .map(|one| (text(&one["version"]), text(&one["state"])))
            .collect()
    }

    /// Which version a message of this client's goes through.
    pub async fn version_for(&self, client: &Client, text: &str) -> String {
        let sent = client.post("/v1/sms", acme::message(text)).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let versions = self.acme.versions_of(text);
        assert_eq!(versions.len(), 1, "{versions:?}");
        versions[0].clone()
    }
}
