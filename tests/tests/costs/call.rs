//! One adapter call by itself, with its request to the provider.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use onerouter_domain::environment::Environment;
use onerouter_egress::{Egress, EgressConfig, Upstreams};
use onerouter_engine::wit::sms::SendRequest;
use onerouter_engine::{
    CallContext, ConnectionContext, Credentials, Engine, EngineConfig, MacKey, Outcome, Ticker,
};
use onerouter_sandbox::{Sandbox, SandboxConfig};
use onerouter_tests::harness::built;
use zeroize::Zeroizing;

use crate::counting::Meter;
use crate::within;

/// Outbound rules, request, answer and scrubbing included.
const ALLOCATIONS_MAX: u64 = 125;

const CALLS: usize = 51;

static METER: Meter = Meter::new();

#[test]
fn an_adapter_call_allocates_no_more_than_it_did() {
    // The provider has threads of its own, whose allocations do not count.
    let elsewhere = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let sandbox = elsewhere
        .block_on(Sandbox::start(SandboxConfig::default()))
        .unwrap();
    let here = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut counts = here.block_on(async {
        let mut upstreams = Upstreams::default();
        for (host, base) in sandbox.upstreams() {
            upstreams.set(&host, &base).unwrap();
        }
        let egress = Egress::new(EgressConfig {
            upstreams,
            ..EgressConfig::default()
        });
        let config = EngineConfig {
            cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("costs-code")),
            slots: 4,
            ticker: Ticker::Manual,
            ..EngineConfig::new(MacKey::new([7; 32]))
        };
        let engine = Engine::new(config, Arc::new(egress.unwrap())).unwrap();
        let component = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins").join("twilio.wasm");
        let component = std::fs::read(component).unwrap();
        let adapter = engine.load(component.into()).await.unwrap();
        let connection = sandbox
            .connections()
            .into_iter()
            .find(|of| of.provider == "twilio");
        let connection = connection.unwrap();
        let mut public = BTreeMap::new();
        let mut secret = BTreeMap::new();
        for (name, value) in connection.credentials {
            if name == "auth_token" {
                secret.insert(name.to_owned(), Zeroizing::new(value));
            } else {
                public.insert(name.to_owned(), value);
            }
        }
        let settings = connection.settings.into_iter();
        let context = CallContext {
            connection: Arc::new(ConnectionContext {
                environment: Environment::Test,
                credentials: Credentials::new(public, secret).unwrap(),
                settings: settings
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
                recorder: None,
            }),
            deadline: tokio::time::Instant::now() + Duration::from_secs(60),
        };
        METER.watch_this_thread();
        let mut counts = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let before = METER.count();
            let report = adapter.sms_send(&context, &text()).await;
            assert!(matches!(report.outcome, Outcome::Accepted(_)), "{report:?}");
            drop(report);
            counts.push(METER.count() - before);
        }
        counts
    });
    counts.sort_unstable();
    within(
        "allocations of an adapter call",
        counts[CALLS / 2],
        ALLOCATIONS_MAX,
    );
    elsewhere.block_on(sandbox.shutdown());
}

fn text() -> SendRequest {
    SendRequest {
        object_id: "sms_1".to_owned(),
        attempt_id: "att_1".to_owned(),
        idempotency_key: "sms_1:send".to_owned(),
        to: "+14155550123".to_owned(),
        sender: None,
        body: "Your code is 123456.".to_owned(),
        media_urls: Vec::new(),
        send_at: None,
        extra: Vec::new(),
    }
}
