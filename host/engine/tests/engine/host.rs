//! An engine, a component and a connection, ready for a call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use onerouter_domain::environment::Environment;
use onerouter_egress::{Egress, EgressConfig, Upstreams};
use onerouter_engine::wit::sms::{Message, SendRequest};
use onerouter_engine::{
    Adapter, CallContext, CallReport, ConnectionContext, Credentials, Engine, EngineConfig, MacKey,
    Ticker,
};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::provider::{Provider, Received, Reply};

pub(crate) const TOKEN: &str = "tok+en/with=odd&chars-0123456789";
pub(crate) const OTHER: &str = "other-secret-0123456789";

/// A component of `plugins/fixtures/`, packed.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
pub(crate) fn fixture(name: &str) -> Bytes {
    let folder = std::env::var("ONEROUTER_TEST_FIXTURES_DIR").map_or_else(
        |_unset| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures"),
        PathBuf::from,
    );
    let path = folder.join(format!("{name}.wasm"));
    match std::fs::read(&path) {
        Ok(bytes) => bytes.into(),
        Err(error) => panic!("{}: {error}; run `cargo xtask plugins`", path.display()),
    }
}

/// Compiled code is shared between the tests; each would need a second for its own.
pub(crate) fn config() -> EngineConfig {
    EngineConfig {
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("code")),
        slots: 8,
        slots_per_adapter: 8,
        ticker: Ticker::Manual,
        ..EngineConfig::new(MacKey::new([7; 32]))
    }
}

pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) adapter: Arc<Adapter>,
    pub(crate) provider: Provider,
    pub(crate) connection: Arc<ConnectionContext>,
}

impl Host {
    pub(crate) async fn new(
        name: &str,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::with(config(), name, script).await
    }

    pub(crate) async fn with(
        config: EngineConfig,
        name: &str,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::loading(config, fixture(name), script).await
    }

    /// With a component that is no fixture.
    pub(crate) async fn loading(
        config: EngineConfig,
        component: Bytes,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let provider = Provider::start(script).await;
        let bases = [provider.address, provider.apart].map(|at| format!("http://{at}"));
        let engine = Engine::new(config, egress_apart(&bases[0], &bases[1])).unwrap();
        let adapter = engine.load(component).await.unwrap();
        Self {
            engine,
            adapter,
            provider,
            connection: connection(),
        }
    }

    pub(crate) fn context(&self) -> CallContext {
        self.context_for(Duration::from_secs(20))
    }

    pub(crate) fn context_for(&self, time: Duration) -> CallContext {
        CallContext {
            connection: Arc::clone(&self.connection),
            deadline: Instant::now() + time,
        }
    }

    /// Sends a message whose text asks the adapter for a trick.
    pub(crate) async fn send(&self, text: &str) -> CallReport<Message> {
        self.adapter.sms_send(&self.context(), &request(text)).await
    }
}

/// Sends one message with the saboteur to a provider that always answers the same.
pub(crate) async fn sabotage(
    text: &str,
    script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> (CallReport<Message>, Host) {
    let host = Host::new("saboteur", script).await;
    let report = host.send(text).await;
    (report, host)
}

pub(crate) fn egress(base: &str) -> Arc<Egress> {
    egress_apart(base, base)
}

/// Acme Texts, the honest neighbour, has a base of its own: connections are shared by their base, and
/// one that a hostile call has opened stands still while that call computes.
fn egress_apart(base: &str, apart: &str) -> Arc<Egress> {
    let mut upstreams = Upstreams::default();
    for (host, base) in [
        ("api.saboteur.example", base),
        ("api.acme-texts.example", apart),
        ("api.acme-post.example", base),
    ] {
        upstreams.set(host, base).unwrap();
    }
    let config = EgressConfig {
        upstreams,
        ..EgressConfig::default()
    };
    Arc::new(Egress::new(config).unwrap())
}

pub(crate) fn connection() -> Arc<ConnectionContext> {
    let public = BTreeMap::from([("user".to_owned(), "user-1".to_owned())]);
    let secret = BTreeMap::from([
        ("token".to_owned(), Zeroizing::new(TOKEN.to_owned())),
        ("other".to_owned(), Zeroizing::new(OTHER.to_owned())),
    ]);
    Arc::new(ConnectionContext {
        environment: Environment::Test,
        credentials: Credentials::new(public, secret).unwrap(),
        settings: BTreeMap::from([("sender".to_owned(), "+15550001111".to_owned())]),
        recorder: None,
    })
}

pub(crate) fn request(text: &str) -> SendRequest {
    SendRequest {
        object_id: "sms_1".to_owned(),
        attempt_id: "att_1".to_owned(),
        idempotency_key: "key-1".to_owned(),
        to: "+15550002222".to_owned(),
        sender: None,
        body: text.to_owned(),
        media_urls: Vec::new(),
        send_at: None,
        extra: Vec::new(),
    }
}
