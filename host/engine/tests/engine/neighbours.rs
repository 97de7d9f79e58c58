//! A hostile adapter and an honest one on one engine: whatever the one does, the other's calls are all
//! served.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use onerouter_engine::wit::sms::Message;
use onerouter_engine::{
    Adapter, CallReport, Engine, EngineConfig, FaultKind, NotSent, Outcome, PluginFault,
    UnknownReason,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::host::{Host, config, fixture, request};
use crate::packing::repacked;
use crate::provider::{Received, Reply};

/// Where hostile calls run. It outlives them, as the connections do that they leave in the pool.
static APART: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

const SLOTS: u32 = 32;

/// Honest calls in each test, at least.
const SERVED_MIN: usize = 20;

pub(crate) struct Neighbours {
    host: Arc<Host>,
    honest: Arc<Adapter>,
    served: AtomicUsize,
}

/// How the hostile call ended, and how many honest ones were served before it did.
pub(crate) struct Ended {
    pub(crate) report: CallReport<Message>,
    pub(crate) meanwhile: usize,
}

impl Neighbours {
    /// The hostile adapter's provider answers as `script` says.
    pub(crate) async fn of(
        component: Bytes,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let config = EngineConfig {
            slots: SLOTS,
            slots_per_adapter: SLOTS,
            ..config()
        };
        let both = move |received: &Received| {
            if is_honest(received) {
                Reply::Answer(201, r#"{"id":"n1","state":"waiting"}"#.to_owned())
            } else {
                script(received)
            }
        };
        let host = Host::loading(config, component, both).await;
        let honest = host.engine.load(fixture("acme-texts")).await.unwrap();
        Self {
            host: Arc::new(host),
            honest,
            served: AtomicUsize::new(0),
        }
    }

    /// With the saboteur, and a provider that takes every message.
    pub(crate) async fn of_saboteur() -> Self {
        Self::of(saboteur(), |_| Reply::created()).await
    }

    /// Makes a hostile call, and honest ones until it has ended. The guests' clock moves by one tick
    /// for each honest call, and not otherwise.
    ///
    /// The hostile call runs apart: until the next tick a loop keeps its thread, and on a shared
    /// runtime also whatever that thread was to run next.
    pub(crate) async fn call(&self, text: &'static str) -> Ended {
        let host = Arc::clone(&self.host);
        let call = APART.spawn(async move {
            let context = host.context_for(Duration::from_secs(3_600));
            host.adapter.sms_send(&context, &request(text)).await
        });
        let mut meanwhile = 0;
        while !call.is_finished() {
            self.host.engine.tick();
            self.serve().await;
            meanwhile += 1;
        }
        let report = call.await.unwrap();
        self.at_peace().await;
        Ended { report, meanwhile }
    }

    /// Makes a hostile call, and honest ones once its provider has seen `requests` of it. Then time
    /// is moved to the hostile call's end.
    ///
    /// Needs a runtime of one thread: others have no clock that can be moved.
    pub(crate) async fn call_until_time_is_over(
        &self,
        text: &'static str,
        requests: usize,
    ) -> CallReport<Message> {
        let call = self.start(text);
        self.host.provider.wait_for(requests).await;
        self.serve_some().await;
        assert!(!call.is_finished(), "{:?}", call.await.unwrap());
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(61)).await;
        let report = call.await.unwrap();
        tokio::time::resume();
        self.at_peace().await;
        report
    }

    #[expect(clippy::disallowed_methods, reason = "the test waits for the task")]
    pub(crate) fn start(&self, text: &'static str) -> JoinHandle<CallReport<Message>> {
        let host = Arc::clone(&self.host);
        tokio::spawn(async move {
            let context = host.context_for(Duration::from_secs(3_600));
            host.adapter.sms_send(&context, &request(text)).await
        })
    }

    /// One honest call.
    pub(crate) async fn serve(&self) {
        let context = self.host.context_for(Duration::from_secs(3_600));
        let report = self.honest.sms_send(&context, &request("hello")).await;
        assert!(
            matches!(report.outcome, Outcome::Accepted(_)),
            "a neighbour was not served: {:?}",
            report.outcome
        );
        self.served.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) async fn serve_some(&self) {
        for _ in 0..SERVED_MIN {
            self.serve().await;
        }
    }

    /// Nothing is left behind: all slots are free, and every honest message arrived, once.
    pub(crate) async fn at_peace(&self) {
        self.serve_some().await;
        assert_eq!(self.host.engine.free_slots(), SLOTS as usize);
        let arrived = self.host.provider.received().into_iter().filter(is_honest);
        assert_eq!(arrived.count(), self.served.load(Ordering::SeqCst));
    }

    pub(crate) fn engine(&self) -> Engine {
        self.host.engine.clone()
    }

    /// What the hostile adapter has sent.
    pub(crate) fn hostile_requests(&self) -> Vec<Received> {
        let mut received = self.host.provider.received();
        received.retain(|received| !is_honest(received));
        received
    }

    /// Waits for so many requests altogether.
    pub(crate) async fn wait_for(&self, requests: usize) {
        self.host.provider.wait_for(requests).await;
    }
}

fn is_honest(received: &Received) -> bool {
    received.header("host") == Some("api.acme-texts.example")
}

/// The saboteur, with all the wall-clock time that there is: the tests wind their clock themselves.
pub(crate) fn saboteur() -> Bytes {
    repacked(&fixture("saboteur"), |manifest| {
        manifest.limits.wall_ms = 60_000;
    })
}

/// The fault of a call that changed nothing; at the API it is `plugin_fault`.
#[track_caller]
pub(crate) fn not_sent<T: std::fmt::Debug>(report: &CallReport<T>) -> &PluginFault {
    match &report.outcome {
        Outcome::NotSent(NotSent::Fault(fault)) => readable(fault),
        other => panic!("{other:?}; {:?}", report.logs),
    }
}

/// The fault of a call that may have changed something; at the API it is `outcome_unknown`.
#[track_caller]
pub(crate) fn unknown<T: std::fmt::Debug>(report: &CallReport<T>) -> &PluginFault {
    match &report.outcome {
        Outcome::Unknown(unknown) => match &unknown.reason {
            UnknownReason::Fault(fault) => readable(fault),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}; {:?}", report.logs),
    }
}

#[track_caller]
fn readable(fault: &PluginFault) -> &PluginFault {
    assert!(fault.detail.len() > 10, "{fault:?} says nothing");
    assert_ne!(fault.kind, FaultKind::Host, "{fault:?}");
    fault
}
