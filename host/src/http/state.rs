//! What every handler may use.

use std::sync::Arc;

use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use onerouter_egress::Upstreams;
use onerouter_engine::Adapters;
use tokio_util::task::TaskTracker;

use super::body::held::Bodies;
use crate::clock::Clock;
use crate::redis::Redis;
use crate::service::audit::Audit;
use crate::service::authentication::Authentication;
use crate::service::connections::Connections;
use crate::service::email::Email;
use crate::service::inbound::Inbound;
use crate::service::keys::Keys;
use crate::service::limits::Limits;
use crate::service::objects::Objects;
use crate::service::pages::Checkouts;
use crate::service::payment::Payment;
use crate::service::payment_link::PaymentLink;
use crate::service::plan::Plan;
use crate::service::plugins::Plugins;
use crate::service::recordings::Recordings;
use crate::service::refund::Refund;
use crate::service::sms::Sms;
use crate::service::subscription::Subscription;
use crate::service::tenants::Tenants;
use crate::service::webhooks::Webhooks;
use crate::store::Store;

/// Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    services: Arc<Services>,
    /// The bodies that are held at this time.
    pub(crate) bodies: Bodies,
}

/// The services behind the routes.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) adapters: Arc<Adapters>,
    pub(crate) authentication: Arc<Authentication>,
    pub(crate) limits: Limits,
    /// None where none is configured.
    pub(crate) redis: Option<Arc<Redis>>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) keys: Keys,
    pub(crate) tenants: Tenants,
    pub(crate) plugins: Plugins,
    pub(crate) recordings: Recordings,
    pub(crate) audit: Audit,
    pub(crate) sms: Objects<Sms>,
    pub(crate) email: Objects<Email>,
    pub(crate) payments: Objects<Payment>,
    pub(crate) refunds: Objects<Refund>,
    pub(crate) plans: Objects<Plan>,
    pub(crate) subscriptions: Objects<Subscription>,
    pub(crate) payment_links: Objects<PaymentLink>,
    pub(crate) checkouts: Checkouts,
    pub(crate) inbound: Inbound,
    pub(crate) webhooks: Webhooks,
    /// Where buyers and providers reach the gateway.
    pub(crate) public_url: String,
    /// Whether the operator has named it.
    pub(crate) has_public_url: bool,
    /// Proxies whose word counts for where a request comes from.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Providers that are emulated.
    pub(crate) upstreams: Upstreams,
    pub(crate) metrics: Option<PrometheusHandle>,
    /// What is to be done to its end, whoever waits for it.
    pub(crate) tasks: TaskTracker,
}

impl AppState {
    pub(crate) fn new(services: Services) -> Self {
        Self {
            services: Arc::new(services),
            bodies: Bodies::default(),
        }
    }
}

impl std::ops::Deref for AppState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}
