//! One component on the bench: engine, provider and connection, and what was found so far.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use onerouter_egress::{Egress, EgressConfig, Resolve, Resolving, Upstreams};
use onerouter_engine::{Adapter, CallContext, Engine, EngineConfig, MacKey, SystemClock};
use onerouter_manifest::{Attachment, Category, Manifest, WebhookSignature};
use tokio::time::Instant;

use super::{KitError, Options, Progress};
use crate::buyer::Player;
use crate::canonical::{NOW_MS, Request, Sender};
use crate::carried;
use crate::cassette::{Cassette, Exchange};
use crate::clock::KitClock;
use crate::connection::{Canaries, Connection};
use crate::expectation::remarks;
use crate::finding::{Finding, Findings, Verdict};
use crate::forward::Forward;
use crate::input::Input;
use crate::live::{Live, Made};
use crate::meter::Metered;
use crate::operation::Operation;
use crate::provider::{ACCESS_TOKEN, Heard, Provider, Script, Settings, Then};
use crate::report::{Case, Plugin, Report, Source};
use crate::run::Run;
use crate::webhook::certificate::Identity;

/// Calls are made one after another.
const SLOTS: u32 = 2;

/// Beyond the call's own limit: starting it takes its time too.
const GRACE: Duration = Duration::from_secs(5);

/// Everything that scenarios need.
pub(super) struct Bench<'o> {
    pub(super) adapter: Arc<Adapter>,
    pub(super) options: &'o Options,
    pub(super) connection: Connection,
    pub(super) identity: Option<Identity>,
    pub(super) made: Made,
    pub(super) buyer: Option<Player>,
    provider: Provider,
    canaries: Canaries,
    clock: Arc<KitClock>,
    cases: Vec<Case>,
    deadline: Instant,
    progress: &'o (dyn Fn(Progress<'_>) + Sync),
    is_late: bool,
}

/// A call that only makes what another is tried on.
pub(super) struct Rehearsal<'r> {
    /// Of the scenario that it is for.
    pub(super) given: &'r Cassette,
    pub(super) input: Input,
    pub(super) now_ms: u64,
}

/// What a call is made with.
pub(super) struct Scene<'s> {
    pub(super) operation: Operation,
    pub(super) input: Input,
    pub(super) settings: &'s BTreeMap<String, String>,
    pub(super) now_ms: u64,
    pub(super) exchanges: VecDeque<Exchange>,
    pub(super) then: Then,
    /// The call ends by then; none is the manifest's limit.
    pub(super) time_max: Option<Duration>,
}

impl<'o> Bench<'o> {
    pub(super) async fn new(
        component: Bytes,
        options: &'o Options,
        progress: &'o (dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Self, KitError> {
        // Twice: where requests go is settled before the component is loaded for good.
        let manifest = onerouter_manifest::unpack(&component)
            .map_err(onerouter_engine::LoadError::from)?
            .manifest;
        let connection = match &options.live {
            Some(live) => Connection::given(&manifest, &live.connection)?,
            None => Connection::canary(&manifest)?,
        };
        let identity = match manifest.webhook.as_ref().map(|webhook| &webhook.signature) {
            Some(WebhookSignature::CertificateCrc32 {
                certificate_names, ..
            }) => Some(Identity::new(certificate_names).map_err(KitError::Certificate)?),
            _ => None,
        };
        let forward = options
            .live
            .as_ref()
            .map(|live| live_way(&manifest, &live.upstreams))
            .transpose()?;
        let buyer = options.live.as_ref().and_then(player).transpose()?;
        let provider = Provider::start(Settings {
            token_paths: token_paths(&manifest),
            answer_bytes_max: manifest.limits.response_bytes,
            forward,
            chain: identity.as_ref().map(|identity| identity.chain.clone()),
            chain_path: chain_path(&manifest),
        })
        .await?;
        let mut upstreams = Upstreams::default();
        for host in hosts(&manifest, options) {
            upstreams.set(&host, &provider.base(&host))?;
        }
        let egress = Egress::with_resolver(
            EgressConfig {
                upstreams,
                ..EgressConfig::default()
            },
            Arc::new(Nowhere),
        )?;
        let clock = Arc::new(KitClock::new());
        // What is not kept needs no seal.
        let mut config = EngineConfig::new(MacKey::new([0; 32]));
        if let Some(cache) = &options.code_cache {
            config.cache_dir = Some(cache.dir.clone());
            config.mac_key = cache.mac_key.clone();
        }
        config.compiler = options.compiler.clone();
        config.slots = SLOTS;
        config.slots_per_adapter = SLOTS;
        config.clock = Arc::clone(&clock) as Arc<dyn onerouter_engine::Clock>;
        config.webhook_roots = identity
            .as_ref()
            .map(|identity| identity.roots.clone())
            .unwrap_or_default();
        let engine = Engine::new(config, Arc::new(egress))?;
        let adapter = engine.load(component).await?;
        let mut canaries = connection.canaries();
        canaries.add("access token", ACCESS_TOKEN);
        Ok(Self {
            adapter,
            options,
            connection,
            identity,
            made: Made::default(),
            buyer,
            provider,
            canaries,
            clock,
            cases: Vec::new(),
            deadline: Instant::now() + options.time_max,
            progress,
            is_late: false,
        })
    }

    pub(super) fn can(&self, operation: Operation) -> bool {
        self.adapter.can(operation.capability())
    }

    pub(super) fn manifest(&self) -> &Manifest {
        self.adapter.manifest()
    }

    /// The time of a scenario without a recording.
    pub(super) fn now_ms(&self) -> u64 {
        if self.options.live.is_some() {
            onerouter_engine::Clock::now_ms(&SystemClock)
        } else {
            NOW_MS
        }
    }

    /// Whether there is time for another scenario. Says which one is next.
    pub(super) fn begins(&mut self, operation: Operation, scenario: &str) -> bool {
        if Instant::now() >= self.deadline {
            self.is_late = true;
            return false;
        }
        (self.progress)(Progress {
            done: self.cases.len(),
            operation: operation.name(),
            scenario,
        });
        true
    }

    /// For whom webhooks and calls are made.
    pub(super) fn context(
        &self,
        settings: &BTreeMap<String, String>,
        time_max: Option<Duration>,
    ) -> Result<CallContext, KitError> {
        let wall = Duration::from_millis(self.manifest().limits.wall_ms) + GRACE;
        let deadline = Instant::now() + time_max.unwrap_or(wall);
        Ok(CallContext {
            connection: self.connection.context(settings)?,
            deadline: deadline.min(self.deadline + GRACE),
        })
    }

    pub(super) fn set_time(&self, now_ms: u64) {
        self.clock.set(now_ms);
    }

    /// The request of a scene.
    pub(super) fn request(&self, scene: &Scene<'_>) -> Request {
        let names_sender = |settings: &BTreeMap<String, String>| {
            self.manifest()
                .settings
                .iter()
                .any(|field| field.role.is_some() && settings.contains_key(&field.name))
        };
        let is_set = names_sender(scene.settings) || names_sender(&self.connection.settings);
        Request {
            input: scene.input.clone(),
            now_ms: scene.now_ms,
            sender: if is_set {
                Sender::Setting
            } else {
                Sender::Request
            },
            currency: self.currency(),
        }
    }

    /// Whether the manifest lets payments have this currency.
    pub(super) fn takes(&self, code: &str) -> bool {
        self.manifest()
            .currencies
            .get(&Category::Payments)
            .is_none_or(|codes| codes.contains(code))
    }

    /// Rupees or dollars where the manifest takes them, else the first that it does.
    fn currency(&self) -> String {
        let taken = self.manifest().currencies.get(&Category::Payments);
        let mut usual = ["INR", "USD"].into_iter();
        let usual = usual.find(|code| taken.is_none_or(|codes| codes.contains(*code)));
        let first = || taken.and_then(|codes| codes.iter().next().map(String::as_str));
        usual.or_else(first).unwrap_or("USD").to_owned()
    }

    /// Makes one call.
    pub(super) async fn play(&self, scene: Scene<'_>) -> Result<(Request, Run, Heard), KitError> {
        let request = self.request(&scene);
        self.set_time(scene.now_ms);
        self.provider.play(Script {
            exchanges: scene.exchanges,
            then: scene.then,
        });
        let context = self.context(scene.settings, scene.time_max)?;
        let run = scene
            .operation
            .call(&self.adapter, &context, &request)
            .await;
        Ok((request, run, self.provider.heard()))
    }

    /// Makes a call that nobody judges.
    pub(super) async fn rehearse(
        &self,
        operation: Operation,
        rehearsal: &Rehearsal<'_>,
    ) -> Result<Run, KitError> {
        let scene = Scene {
            operation,
            input: rehearsal.input.clone(),
            settings: &rehearsal.given.settings,
            now_ms: rehearsal.now_ms,
            exchanges: VecDeque::new(),
            then: Then::Forwards,
            time_max: None,
        };
        let (_, run, _) = self.play(scene).await?;
        Ok(run)
    }

    /// What holds for every call.
    pub(super) fn always(&self, run: &Run, heard: &Heard) -> Findings {
        carried::secrets(self.manifest(), &self.canaries, run, &heard.received)
    }

    /// What holds for every call that is to go well.
    pub(super) fn remarks(&self, run: &Run) -> Findings {
        remarks(run)
    }

    /// Keeps what came of a scenario. `run` is there where the adapter was asked.
    pub(super) fn keep(
        &mut self,
        operation: Operation,
        scenario: impl Into<String>,
        mut findings: Findings,
        run: Option<&Run>,
    ) {
        let metered = run.map(|run| Metered::of(run, &self.manifest().limits));
        if let Some(metered) = &metered {
            findings.add(metered.judge());
        }
        self.cases.push(Case {
            capability: operation.capability().as_str(),
            operation: operation.name(),
            scenario: scenario.into(),
            verdict: findings.verdict(),
            not_covered: findings.uncovered,
            findings: findings.all,
            notes: findings.notes,
            metered,
        });
    }

    /// A scenario that could not be tried.
    pub(super) fn skip(&mut self, operation: Operation, scenario: &str, why: &str) {
        let mut findings = Findings::default();
        findings.not_covered(why);
        self.keep(operation, scenario, findings, None);
    }

    /// What came of the last scenario.
    pub(super) fn last_verdict(&self) -> Option<Verdict> {
        self.cases.last().map(|case| case.verdict)
    }

    pub(super) fn into_report(mut self, source: Source) -> Report {
        if self.is_late {
            let mut findings = Findings::default();
            findings.fail(Finding::new(
                "out_of_time",
                format!("the time of {} s was over", self.options.time_max.as_secs()),
                "make the adapter answer sooner, or allow more time",
            ));
            if let Some(operation) = Operation::ALL.first() {
                let operation = Operation::ALL
                    .iter()
                    .copied()
                    .find(|operation| self.can(*operation))
                    .unwrap_or(*operation);
                self.keep(operation, "all", findings, None);
            }
        }
        let plugin = Plugin::of(&self.adapter);
        Report::new(plugin, source, self.cases)
    }
}

/// No name leads anywhere: what is not stood in for is not reached.
#[derive(Debug)]
struct Nowhere;

impl Resolve for Nowhere {
    fn resolve<'a>(&'a self, _host: &'a str) -> Resolving<'a> {
        Box::pin(async { Err(io::Error::other("the kit resolves no names")) })
    }
}

fn token_paths(manifest: &Manifest) -> BTreeSet<String> {
    let paths = manifest
        .auth
        .values()
        .filter_map(|attachment| match attachment {
            Attachment::OAuth2ClientCredentials { token_path, .. } => Some(token_path.clone()),
            Attachment::Basic { .. }
            | Attachment::Bearer { .. }
            | Attachment::Header { .. }
            | Attachment::Query { .. }
            | Attachment::Form { .. } => None,
        });
    paths.collect()
}

/// Host names of the manifest and of the cassettes.
fn hosts(manifest: &Manifest, options: &Options) -> BTreeSet<String> {
    let ruled = manifest.outbound.iter().map(|rule| rule.host.as_str());
    let signed = manifest
        .webhook
        .iter()
        .flat_map(|webhook| match &webhook.signature {
            WebhookSignature::CertificateCrc32 {
                certificate_hosts, ..
            } => certificate_hosts.as_slice(),
            WebhookSignature::HmacBody { .. }
            | WebhookSignature::HmacUrlForm { .. }
            | WebhookSignature::StandardWebhooks { .. }
            | WebhookSignature::Adapter {} => &[],
        });
    ruled
        .chain(signed.map(String::as_str))
        .chain(options.cassettes.hosts())
        .filter(|host| !host.starts_with('*'))
        .map(str::to_owned)
        .collect()
}

fn chain_path(manifest: &Manifest) -> Option<String> {
    match &manifest.webhook.as_ref()?.signature {
        WebhookSignature::CertificateCrc32 {
            certificate_path, ..
        } => Some(certificate_path.clone()),
        WebhookSignature::HmacBody { .. }
        | WebhookSignature::HmacUrlForm { .. }
        | WebhookSignature::StandardWebhooks { .. }
        | WebhookSignature::Adapter {} => None,
    }
}

/// To the live sandbox, and to nothing else.
fn live_way(manifest: &Manifest, upstreams: &Upstreams) -> Result<Forward, KitError> {
    let is_named = |host: &str| upstreams.iter().any(|(known, _)| known == host);
    let mut ruled = manifest.outbound.iter();
    if let Some(rule) = manifest.outbound.first()
        && !ruled.any(|rule| is_named(&rule.host))
    {
        return Err(KitError::NoUpstream(rule.host.clone()));
    }
    way_to(upstreams.clone())
}

fn way_to(upstreams: Upstreams) -> Result<Forward, KitError> {
    let config = EgressConfig {
        upstreams,
        ..EgressConfig::default()
    };
    let egress = Egress::with_resolver(config, Arc::new(Nowhere))?;
    Ok(Forward {
        egress: Arc::new(egress),
    })
}

/// Whoever plays the buyer has a way of his own: no adapter can take it.
fn player(live: &Live) -> Option<Result<Player, KitError>> {
    let buyer = live.buyer.clone()?;
    let mut upstreams = Upstreams::default();
    let place = buyer.add_to(&mut upstreams);
    let place = place.map_err(|error| KitError::Buyer(error.to_string()));
    Some(place.and_then(|place| Ok(Player::new(buyer, place, way_to(upstreams)?))))
}
