//! A registry on loopback, with one publisher of one plugin.

use std::net::SocketAddr;

use onerouter_manifest::PluginId;
use onerouter_registry::KeyPair;
use onerouter_registry::client::{Client, ClientConfig, NewAdvisory, RegistryApi};
use onerouter_registry::server::{NewToken, Registry, RegistryConfig};
use onerouter_tests::acme;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub struct Market {
    pub url: String,
    /// The publisher's.
    pub key: KeyPair,
    name: PluginId,
    api: RegistryApi,
    client: Client,
    _serving: JoinSet<()>,
    _folder: TempDir,
}

impl Market {
    /// The publisher has the name, and has published nothing.
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let registry = Registry::open(RegistryConfig::new(
            format!("sqlite://{path}/registry.db"),
            format!("file://{path}/blobs"),
            KeyPair::generate(),
        ))
        .await
        .unwrap();
        let account = registry.create_account("acme").await.unwrap();
        let token = registry.create_token(account.id, NewToken::default()).await;
        let (_, secret) = token.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = registry
            .router()
            .into_make_service_with_connect_info::<SocketAddr>();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, service).await.unwrap() });
        let api = RegistryApi::new(url.parse().unwrap());
        let market = Self {
            url,
            key: KeyPair::generate(),
            name: PluginId::try_from("acme-texts".to_owned()).unwrap(),
            api: api.with_token(secret.expose().to_owned().into()),
            client: Client::new(ClientConfig::default()).unwrap(),
            _serving: serving,
            _folder: folder,
        };
        let added = market
            .client
            .add_key(&market.api, &market.name, market.key.public());
        added.await.unwrap();
        market
    }

    pub async fn publish(&self, version: &str) {
        let component = acme::of_fixture("acme-texts", version, |_| {});
        let statement = acme::statement(&component, &self.key);
        let sidecar = statement.sign(&self.key).unwrap().to_json();
        let published = self
            .client
            .publish(&self.api, &self.name, component.into(), &sidecar);
        published.await.unwrap();
    }

    pub async fn yank(&self, version: &str, reason: &str) {
        let version = version.parse().unwrap();
        let yanked = self.client.yank(&self.api, &self.name, &version, reason);
        yanked.await.unwrap();
    }

    pub async fn unyank(&self, version: &str) {
        let version = version.parse().unwrap();
        let unyanked = self.client.unyank(&self.api, &self.name, &version);
        unyanked.await.unwrap();
    }

    pub async fn advise(&self, affected: &str, summary: &str) {
        let advisory = NewAdvisory {
            affected: affected.parse().unwrap(),
            summary: summary.to_owned(),
            url: None,
        };
        let advised = self.client.advise(&self.api, &self.name, &advisory);
        advised.await.unwrap();
    }

    pub async fn revoke_key(&self, reason: &str) {
        let key = self.key.public().id();
        let revoked = self.client.revoke_key(&self.api, &self.name, key, reason);
        revoked.await.unwrap();
    }
}
