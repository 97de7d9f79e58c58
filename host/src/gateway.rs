//! The parts wired together: a gateway that the program runs and a test can start too.

mod key_providers;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use onerouter_egress::{Addresses, Egress, EgressConfig, EgressError, Resolve};
use onerouter_engine::{Adapters, Engine, EngineConfig, EngineError, MacKey, Ticker};
use onerouter_registry::client::{Client as RegistryClient, ClientConfig, FetchError, RegistryApi};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{Config, Deployment, MetricsBind, UnsignedPlugins, WebhookTargets};
use crate::http::state::{AppState, Services};
use crate::http::{self, Listener};
use crate::keyfile::{self, KeyFileError};
use crate::redis::Redis;
use crate::service::audit::Audit;
use crate::service::authentication::Authentication;
use crate::service::changes::Changes;
use crate::service::connections::Connections;
use crate::service::inbound::{Inbound, InboundParts, Places, WebhookRates};
use crate::service::keys::Keys;
use crate::service::limits::Limits;
use crate::service::objects::{Objects, Parts};
use crate::service::pages::Checkouts;
use crate::service::plugins::{Folder, PluginParts, PluginRole, Plugins};
use crate::service::recordings::Recordings;
use crate::service::sweeper::Sweeper;
use crate::service::tenants::Tenants;
use crate::service::webhooks::Webhooks;
use crate::service::webhooks::delivery::{Deliveries, DeliveryParts};
use crate::store::{PoolerCheck, SchemaState, Store, StoreConfig, StoreError};
use crate::vault::Vault;

pub use key_providers::{KeysError, key_providers};

/// Seconds: from what a cached read takes to what a provider may take.
const DURATION_BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// How often idle connections to providers are looked at.
const EGRESS_SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How often what histograms were given is counted into their buckets. Until then each sample takes
/// memory of its own, whether or not anybody reads the metrics.
const METRICS_UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error("cannot use the data folder {}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A generated key of this machine.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// Who wraps data keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The database.
    #[error("cannot open the database")]
    Store(#[from] StoreError),
    /// The schema is older than this program.
    #[error(
        "the database is {pending} migration(s) behind; run `onerouter migrate` as its owner (ONEROUTER_MIGRATE_DATABASE_URL)"
    )]
    SchemaBehind {
        /// How many.
        pending: usize,
    },
    /// The schema is newer than this program.
    #[error("the database was migrated by a newer version of onerouter; run that one")]
    SchemaAhead,
    /// The service's role could pass over what keeps tenants apart.
    #[error(
        "the database does not keep tenants apart: {}; give DATABASE_URL a role of its own and run `onerouter migrate` as the owner of the tables (ONEROUTER_MIGRATE_DATABASE_URL)",
        faults.join("; ")
    )]
    Role {
        /// What is wrong.
        faults: Vec<String>,
    },
    /// Sessions of the database are not what the URL lets us expect.
    #[error(
        "{fault}; add statement-cache-capacity=0 to DATABASE_URL (`onerouter doctor` says more)"
    )]
    Pooler {
        /// What is wrong.
        fault: &'static str,
    },
    /// The URL of Redis.
    #[error("REDIS_URL is not the URL of a Redis")]
    Redis(#[from] ::redis::RedisError),
    /// The file with roots of webhooks' certificates.
    #[error("ONEROUTER_WEBHOOK_ROOTS: {} holds no certificates in PEM: {reason}", path.display())]
    WebhookRoots {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The listen address.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The outbound client.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The client for registries.
    #[error("cannot set up the client for registries")]
    RegistryClient(#[source] FetchError),
    /// What is installed.
    #[error("cannot load the installed plugins: {0}")]
    Plugins(String),
}

/// What a test may put in the place of the real thing.
#[derive(Debug, Clone, Default)]
pub struct Doubles {
    /// A clock that can be moved.
    pub clock: Clock,
    /// Nothing happens in the background; the test calls the [`Sweeper`] itself.
    pub without_background: bool,
    /// How long a client may take to send its headers.
    pub head_timeout: Option<Duration>,
    /// How long a client may take to send its body.
    pub body_timeout: Option<Duration>,
    /// How many clients may be connected.
    pub connections_max: Option<usize>,
    /// How many webhooks a connection may get at once.
    pub webhook_burst: Option<NonZeroU32>,
    /// Knows the addresses of webhook endpoints.
    pub webhook_resolver: Option<Arc<dyn Resolve>>,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    parts: GatewayParts,
    stop: CancellationToken,
    tasks: TaskTracker,
    running: Vec<JoinHandle<()>>,
}

/// What commands and tests work with besides HTTP.
#[derive(Debug, Clone)]
pub struct GatewayParts {
    /// Rows.
    pub store: Store,
    /// Adapters in use.
    pub adapters: Arc<Adapters>,
    /// The engine behind them.
    pub engine: Engine,
    /// API keys.
    pub keys: Keys,
    /// Connections.
    pub connections: Arc<Connections>,
    /// Work in the background.
    pub sweeper: Sweeper,
    /// Deliveries to webhook endpoints.
    pub deliveries: Deliveries,
    /// What is installed.
    pub plugins: Plugins,
    /// Calls that are kept.
    pub recordings: Recordings,
}

impl Gateway {
    /// Opens the database, loads the plugins, listens.
    ///
    /// # Errors
    /// Whatever of that fails. A plugin that is refused is not an error: the others serve.
    pub async fn start(config: &Config, doubles: Doubles) -> Result<Self, StartError> {
        make_private_folder(&config.data_dir)?;
        let store = open_store(config).await?;
        check_role(&store, config.deployment).await?;
        let data_key_wrappers = key_providers(config)?;
        let clock = doubles.clock;
        let (engine, egress) = start_engine(config, &clock)?;
        let adapters = Arc::new(Adapters::default());
        let metrics = metrics_handle();
        let tasks = TaskTracker::new();
        let vault = Vault::new(data_key_wrappers, store.clone());
        let webhook_vault = vault.clone();
        let changes = Arc::new(Changes::new(store.clone()));
        let recordings = Recordings::new(store.clone(), vault.clone(), clock.clone());
        let plugins = Plugins::new(PluginParts {
            store: store.clone(),
            recordings: Some(recordings.clone()),
            engine: engine.clone(),
            adapters: Arc::clone(&adapters),
            changes: Arc::clone(&changes),
            clock: clock.clone(),
            trust: config.plugin_trust.clone(),
            registry: config.registry_url.clone().map(RegistryApi::new),
            client: registry_client()?,
            data_dir: config.data_dir.clone(),
            folder: config.plugins_dir.clone(),
            role: PluginRole::Serves,
        });
        let folder = load_plugins(&plugins, config).await?;
        let redis = open_redis(config).await?;
        let webhook_egress = webhook_egress(config.webhook_targets, doubles.webhook_resolver)?;
        let deliveries = Deliveries::new(DeliveryParts {
            store: store.clone(),
            vault: vault.clone(),
            clock: clock.clone(),
            egress: Arc::clone(&webhook_egress),
            limits: Limits::new(redis.clone()),
            targets: config.webhook_targets,
        });
        let connections = Arc::new(Connections::new(
            store.clone(),
            vault.clone(),
            Arc::clone(&adapters),
            clock.clone(),
            Arc::clone(&changes),
            recordings.clone(),
        ));
        let authentication = Arc::new(Authentication::new(
            store.clone(),
            clock.clone(),
            Arc::clone(&changes),
            config.admin_token.clone(),
        ));
        let mut listener = bind(config.bind)?;
        let address = listener.address();
        let reached_here = || {
            config
                .providers_are_local
                .then(|| format!("http://{address}"))
        };
        let parts = Parts {
            store: store.clone(),
            connections: Arc::clone(&connections),
            clock: clock.clone(),
            tasks: tasks.clone(),
            render: http::problem::stored,
            webhooks_at: config.public_url.clone().or_else(reached_here),
        };
        let (sms, email) = (Objects::new(parts.clone()), Objects::new(parts.clone()));
        let (payments, refunds) = (Objects::new(parts.clone()), Objects::new(parts.clone()));
        let (plans, subscriptions) = (Objects::new(parts.clone()), Objects::new(parts.clone()));
        let payment_links = Objects::new(parts);
        let keys = Keys::new(store.clone(), clock.clone(), Arc::clone(&changes));
        let inbound = Inbound::new(InboundParts {
            store: store.clone(),
            vault: webhook_vault,
            connections: Arc::clone(&connections),
            clock: clock.clone(),
            tasks: tasks.clone(),
            sms: sms.clone(),
            email: email.clone(),
            payments: payments.clone(),
            refunds: refunds.clone(),
            subscriptions: subscriptions.clone(),
            payment_links: payment_links.clone(),
            places: Places::default(),
            rates: doubles
                .webhook_burst
                .map_or_else(WebhookRates::default, WebhookRates::with_burst),
        });
        let sweeper = Sweeper {
            store: store.clone(),
            clock: clock.clone(),
            sms: sms.clone(),
            email: email.clone(),
            payments: payments.clone(),
            refunds: refunds.clone(),
            plans: plans.clone(),
            subscriptions: subscriptions.clone(),
            payment_links: payment_links.clone(),
            authentication: Arc::clone(&authentication),
            changes: Arc::clone(&changes),
            inbound: inbound.clone(),
            retention: config.retention,
        };
        let stop = CancellationToken::new();
        if let Some(head_timeout) = doubles.head_timeout {
            listener = listener.with_head_timeout(head_timeout);
        }
        if let Some(body_timeout) = doubles.body_timeout {
            listener = listener.with_body_timeout(body_timeout);
        }
        if let Some(connections_max) = doubles.connections_max {
            listener = listener.with_connections_max(connections_max);
        }
        let metrics_listener = match config.metrics_bind {
            MetricsBind::Own(address) => Some(bind(address)?),
            MetricsBind::SameListener | MetricsBind::Off => None,
        };
        let same_listener = config.metrics_bind == MetricsBind::SameListener;
        let targets = config.webhook_targets;
        let state = AppState::new(Services {
            webhooks: Webhooks::new(store.clone(), vault, clock.clone(), targets),
            clock: clock.clone(),
            store: store.clone(),
            adapters: Arc::clone(&adapters),
            authentication,
            limits: Limits::new(redis.clone()),
            redis: redis.clone(),
            connections: Arc::clone(&connections),
            inbound,
            has_public_url: config.public_url.is_some(),
            keys: keys.clone(),
            tenants: Tenants::new(store.clone(), clock, Arc::clone(&changes)),
            plugins: plugins.clone(),
            recordings: recordings.clone(),
            audit: Audit::new(store.clone()),
            sms,
            email,
            checkouts: Checkouts {
                payments: payments.clone(),
                links: payment_links.clone(),
            },
            payments,
            refunds,
            plans,
            subscriptions,
            payment_links,
            trusted_proxies: config.trusted_proxies.clone(),
            upstreams: config.upstreams.clone(),
            public_url: config
                .public_url
                .clone()
                .unwrap_or_else(|| format!("http://{address}")),
            metrics: same_listener.then(|| metrics.clone()),
            tasks: tasks.clone(),
        });
        let router = http::router(state, config.frontend_url.as_deref());
        let server = TaskTracker::new();
        let mut running = vec![server.spawn(listener.serve(router, stop.clone()))];
        if let Some(listener) = metrics_listener {
            let router = metrics_router(metrics.clone());
            running.push(server.spawn(listener.serve(router, stop.clone())));
        }
        if !doubles.without_background {
            running.push(server.spawn(sweeper.clone().run(stop.clone())));
            running.push(server.spawn(deliveries.clone().run(stop.clone())));
            running.push(server.spawn(Arc::clone(&changes).run(stop.clone())));
            running.push(server.spawn(plugins.clone().run(stop.clone())));
            running.push(server.spawn(recordings.clone().run(stop.clone())));
            running.push(server.spawn(plugins.clone().watch_folder(folder, stop.clone())));
            if let Some(redis) = redis {
                running.push(server.spawn(redis.run(changes, stop.clone())));
            }
            // Without traffic nobody looks at connections that have been idle for too long.
            let sweep = move || {
                egress.sweep();
                webhook_egress.sweep();
            };
            running.push(server.spawn(repeat(EGRESS_SWEEP_EVERY, stop.clone(), sweep)));
            let upkeep = move || metrics.run_upkeep();
            running.push(server.spawn(repeat(METRICS_UPKEEP_EVERY, stop.clone(), upkeep)));
        }
        let parts = GatewayParts {
            store,
            adapters,
            engine,
            keys,
            connections,
            sweeper,
            deliveries,
            plugins,
            recordings,
        };
        Ok(Self {
            address,
            parts,
            stop,
            tasks,
            running,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:8000`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its parts.
    #[must_use]
    pub const fn parts(&self) -> &GatewayParts {
        &self.parts
    }

    /// Takes no more requests, finishes those in flight and what they began, and closes the
    /// database.
    pub async fn shutdown(self) {
        self.stop.cancel();
        for running in self.running {
            if let Err(error) = running.await {
                tracing::error!(%error, "a server task did not end well");
            }
        }
        self.tasks.close();
        if tokio::time::timeout(http::DRAIN_MAX, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::error!(
                tasks = self.tasks.len(),
                "shutdown: calls are cut; they will be settled by asking"
            );
        }
        self.parts.plugins.leave().await;
        self.parts.store.close().await;
    }
}

/// Small work, again and again until `stop`.
async fn repeat(every: Duration, stop: CancellationToken, work: impl Fn()) {
    let mut ticks = tokio::time::interval(every);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => work(),
        }
    }
}

fn bind(address: SocketAddr) -> Result<Listener, StartError> {
    Listener::bind(address).map_err(|source| StartError::Bind { address, source })
}

/// Opens the database and brings an embedded one up to date.
///
/// # Errors
/// It cannot be reached, or its schema is another version's.
pub async fn open_store(config: &Config) -> Result<Store, StartError> {
    let store = Store::connect(&StoreConfig::new(config.database_url.clone())).await?;
    let state = store.schema_state().await;
    // First: it may be why the schema cannot be read.
    let pooler = store.check_pooler().await;
    if let Ok(Some(PoolerCheck {
        fault: Some(fault), ..
    })) = pooler
    {
        return Err(StartError::Pooler { fault });
    }
    let (state, _as_expected) = (state?, pooler?);
    // A newer version's schema is left alone: its migrations are unknown here.
    match (state, &config.migrate_database_url) {
        (SchemaState::UpToDate, _) => return Ok(store),
        (SchemaState::Ahead, _) => return Err(StartError::SchemaAhead),
        (SchemaState::Behind { .. }, Some(owner)) => store.migrate_as(owner).await?,
        (SchemaState::Behind { .. }, None) if config.database_url.starts_with("sqlite://") => {
            store.migrate().await?;
        }
        (SchemaState::Behind { pending }, None) => {
            return Err(StartError::SchemaBehind { pending });
        }
    }
    Ok(store)
}

/// A Redis that does not answer keeps nobody from starting.
async fn open_redis(config: &Config) -> Result<Option<Arc<Redis>>, StartError> {
    let Some(url) = &config.redis_url else {
        return Ok(None);
    };
    let redis = Redis::new(url)?;
    if let Err(error) = redis.connect().await {
        tracing::warn!(%error, "Redis cannot be used yet: each node limits for itself");
        metrics::gauge!("onerouter_redis_up").set(0.0);
    }
    Ok(Some(Arc::new(redis)))
}

/// In production nothing is served past row-level security.
async fn check_role(store: &Store, deployment: Deployment) -> Result<(), StartError> {
    let check = store.check_role().await?;
    let faults = check.map(|check| check.faults()).unwrap_or_default();
    if deployment == Deployment::Production && !faults.is_empty() {
        return Err(StartError::Role { faults });
    }
    for fault in faults {
        tracing::warn!("the database does not keep tenants apart: {fault}");
    }
    Ok(())
}

/// Makes a folder that only its owner can read.
///
/// # Errors
/// It cannot be made.
pub fn make_private_folder(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StartError::DataDir {
            path: path.to_owned(),
            source,
        })
}

/// Starts the engine with the configured client behind it.
///
/// # Errors
/// TLS, the pool or the cache folder cannot be set up.
pub fn start_engine(config: &Config, clock: &Clock) -> Result<(Engine, Arc<Egress>), StartError> {
    for (host, base) in config.upstreams.iter() {
        tracing::warn!("requests for {host} go to {base} instead: ONEROUTER_UPSTREAMS");
    }
    let egress = Arc::new(Egress::new(EgressConfig {
        upstreams: config.upstreams.clone(),
        ..EgressConfig::default()
    })?);
    let mac_key: SecretString =
        keyfile::read_or_generate(&config.data_dir.join("compiled-code.key"))?;
    let engine_config = EngineConfig {
        cache_dir: Some(config.data_dir.join("compiled")),
        ticker: Ticker::Thread,
        // Guests have the same time as everything else.
        clock: Arc::new(clock.clone()),
        webhook_roots: webhook_roots(config)?,
        compiler: config.compiler.clone(),
        ..EngineConfig::new(MacKey::new(keyfile::to_bytes(&mac_key)))
    };
    Ok((Engine::new(engine_config, Arc::clone(&egress))?, egress))
}

/// Roots that the operator adds, for tests.
fn webhook_roots(config: &Config) -> Result<Vec<onerouter_engine::WebhookRoot>, StartError> {
    let Some(path) = &config.webhook_roots else {
        return Ok(Vec::new());
    };
    let failed = |reason: String| StartError::WebhookRoots {
        path: path.clone(),
        reason,
    };
    let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
    tracing::warn!(
        "webhooks are also believed by the roots in {}: ONEROUTER_WEBHOOK_ROOTS",
        path.display()
    );
    onerouter_engine::webhook_roots(&pem).map_err(failed)
}

/// A client of its own for webhook endpoints: no override of a provider's host leads a tenant's
/// deliveries elsewhere, and their connections are not the providers'.
fn webhook_egress(
    targets: WebhookTargets,
    resolver: Option<Arc<dyn Resolve>>,
) -> Result<Arc<Egress>, EgressError> {
    let config = EgressConfig {
        addresses: match targets {
            WebhookTargets::Public => Addresses::Public,
            WebhookTargets::Any => Addresses::Any,
        },
        // As many as are under way at one endpoint.
        idle_per_origin: 8,
        idle_total: 256,
        ..EgressConfig::default()
    };
    let egress = match resolver {
        Some(resolver) => Egress::with_resolver(config, resolver)?,
        None => Egress::new(config)?,
    };
    Ok(Arc::new(egress))
}

/// Gets plugins from registries.
///
/// # Errors
/// The TLS library cannot be set up.
pub fn registry_client() -> Result<RegistryClient, StartError> {
    RegistryClient::new(ClientConfig::default()).map_err(StartError::RegistryClient)
}

/// What is installed, from the database, and then what is new in the watched folder. Needs no network
/// for what was installed before.
async fn load_plugins(plugins: &Plugins, config: &Config) -> Result<Folder, StartError> {
    if config.plugin_trust.unsigned == UnsignedPlugins::Allow {
        tracing::warn!("plugins run that nobody has signed: ONEROUTER_UNSIGNED_PLUGINS");
    }
    plugins
        .follow()
        .await
        .map_err(|refusal| StartError::Plugins(refusal.detail))?;
    if !config.plugins_dir.is_dir() {
        tracing::warn!(
            "there is no plugins folder {}; nothing is installed from it",
            config.plugins_dir.display()
        );
    }
    let mut folder = Folder::default();
    plugins.look_into_folder(&mut folder).await;
    Ok(folder)
}

/// One recorder serves the whole process, however many gateways a test starts in it.
fn metrics_handle() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = builder
                .set_buckets_for_metric(
                    Matcher::Suffix("_duration_seconds".to_owned()),
                    &DURATION_BUCKETS,
                )
                .unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if let Err(error) = metrics::set_global_recorder(recorder) {
                tracing::warn!(%error, "metrics go to another recorder");
            }
            metrics::gauge!("onerouter_build_info", "version" => env!("CARGO_PKG_VERSION"))
                .set(1.0);
            handle
        })
        .clone()
}

fn metrics_router(handle: PrometheusHandle) -> axum::Router {
    axum::Router::new().route(
        "/metrics",
        axum::routing::get(move || async move { handle.render() }),
    )
}
