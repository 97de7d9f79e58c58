//! Slots, the queue for them, and calls that share nothing.

use std::sync::Arc;
use std::time::Duration;

use onerouter_egress::{Egress, EgressConfig, Resolve, Resolving};
use onerouter_engine::wit::sms::Message;
use onerouter_engine::{
    CallContext, CallReport, Engine, EngineConfig, FaultKind, NotSent, Outcome, Ticker,
    UnknownReason,
};
use tokio::time::Instant;

use crate::host::{Host, config, connection, fixture, request};
use crate::provider::{Received, Reply};

fn created(_: &Received) -> Reply {
    Reply::created()
}

#[track_caller]
fn fault<T: std::fmt::Debug>(report: &CallReport<T>) -> FaultKind {
    match &report.outcome {
        Outcome::NotSent(NotSent::Fault(fault)) => fault.kind,
        other => panic!("{other:?}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the test waits for the task")]
fn spawn(host: Arc<Host>, text: &'static str) -> tokio::task::JoinHandle<CallReport<Message>> {
    tokio::spawn(async move { host.send(text).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ticker_of_its_own_ends_a_loop_too() {
    let config = EngineConfig {
        ticker: Ticker::Thread,
        ..config()
    };
    let host = Host::with(config, "saboteur", created).await;
    assert_eq!(fault(&host.send("loop").await), FaultKind::CpuBudget);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_work_while_others_loop() {
    let config = EngineConfig {
        ticker: Ticker::Thread,
        ..config()
    };
    let host = Arc::new(Host::with(config, "saboteur", created).await);
    let loops: Vec<_> = (0..3).map(|_| spawn(Arc::clone(&host), "loop")).collect();
    let decent: Vec<_> = (0..20).map(|_| spawn(Arc::clone(&host), "hello")).collect();
    for call in decent {
        let report = call.await.unwrap();
        assert!(
            matches!(report.outcome, Outcome::Accepted(_)),
            "{:?}",
            report.outcome
        );
    }
    for call in loops {
        assert_eq!(fault(&call.await.unwrap()), FaultKind::CpuBudget);
    }
}

#[tokio::test]
async fn a_full_engine_refuses_after_a_bounded_wait() {
    let config = EngineConfig {
        slots: 1,
        wait_max: Duration::from_millis(20),
        ..config()
    };
    let host = Arc::new(Host::with(config, "saboteur", |_| Reply::Hang).await);
    let parked = spawn(Arc::clone(&host), "hello");
    host.provider.wait_for(1).await;
    assert_eq!(host.engine.free_slots(), 0);

    let report = host.send("hello").await;
    assert_eq!(report.outcome, Outcome::NotSent(NotSent::Overloaded));
    assert!(report.ledger.is_empty());

    // A dropped call gives its slot back.
    parked.abort();
    assert!(parked.await.unwrap_err().is_cancelled());
    assert_eq!(host.engine.free_slots(), 1);
}

#[tokio::test]
async fn the_queue_for_a_slot_is_bounded() {
    let config = EngineConfig {
        slots: 1,
        waiting_max: 0,
        wait_max: Duration::from_secs(3_600),
        ..config()
    };
    let host = Arc::new(Host::with(config, "saboteur", |_| Reply::Hang).await);
    let parked = spawn(Arc::clone(&host), "hello");
    host.provider.wait_for(1).await;
    let report = host.send("hello").await;
    assert_eq!(report.outcome, Outcome::NotSent(NotSent::Overloaded));
    parked.abort();
}

#[tokio::test]
async fn one_adapter_leaves_room_for_others() {
    let config = EngineConfig {
        slots: 3,
        slots_per_adapter: 2,
        wait_max: Duration::ZERO,
        ..config()
    };
    let host = Arc::new(
        Host::with(config, "saboteur", |received| {
            if received.header("host") == Some("api.saboteur.example") {
                Reply::Hang
            } else {
                Reply::Answer(201, r#"{"id":"m1","state":"waiting"}"#.to_owned())
            }
        })
        .await,
    );
    let parked: Vec<_> = (0..2).map(|_| spawn(Arc::clone(&host), "hello")).collect();
    host.provider.wait_for(2).await;
    let report = host.send("hello").await;
    assert_eq!(report.outcome, Outcome::NotSent(NotSent::Overloaded));

    let other = host.engine.load(fixture("acme-texts")).await.unwrap();
    let report = other.sms_send(&host.context(), &request("hello")).await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
    for call in parked {
        call.abort();
    }
}

#[tokio::test]
async fn a_waiting_call_gets_the_slot_that_comes_free() {
    let config = EngineConfig {
        slots: 1,
        wait_max: Duration::from_secs(3_600),
        ..config()
    };
    let host = Arc::new(
        Host::with(config, "saboteur", |received| {
            if received.body.contains("slow-one") {
                Reply::Hang
            } else {
                Reply::created()
            }
        })
        .await,
    );
    let parked = spawn(Arc::clone(&host), "slow-one");
    host.provider.wait_for(1).await;
    let waiting = spawn(Arc::clone(&host), "hello");
    parked.abort();
    let report = waiting.await.unwrap();
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
}

#[tokio::test]
async fn calls_share_nothing() {
    let host = Host::new("saboteur", created).await;
    for _ in 0..40 {
        host.send("trap-before").await;
        host.send("alloc").await;
        let report = host.send("hello").await;
        assert!(
            matches!(report.outcome, Outcome::Accepted(_)),
            "{:?}",
            report.outcome
        );
    }
    let report = host.send("trap-after").await;
    assert!(matches!(
        report.outcome,
        Outcome::Unknown(ref unknown) if matches!(unknown.reason, UnknownReason::Fault(_))
    ));
    assert_eq!(host.engine.free_slots(), 8);
}

/// A host function with a bug: it panics while an adapter waits for it.
#[derive(Debug)]
struct Panicking;

impl Resolve for Panicking {
    fn resolve<'a>(&'a self, _host: &'a str) -> Resolving<'a> {
        panic!("a bug of the host")
    }
}

#[tokio::test]
async fn a_panic_of_the_host_ends_one_call_only() {
    let egress = Egress::with_resolver(EgressConfig::default(), Arc::new(Panicking)).unwrap();
    let engine = Engine::new(config(), Arc::new(egress)).unwrap();
    let adapter = engine.load(fixture("saboteur")).await.unwrap();
    let context = CallContext {
        connection: connection(),
        deadline: Instant::now() + Duration::from_secs(20),
    };
    for _ in 0..20 {
        let report = adapter.sms_send(&context, &request("hello")).await;
        assert_eq!(fault(&report), FaultKind::Host);
        assert!(!report.ledger[0].left);
        let report = adapter.sms_send(&context, &request("trap-before")).await;
        assert_eq!(fault(&report), FaultKind::Trap);
    }
    assert_eq!(engine.free_slots(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_calls_are_good_in_the_middle_of_bad_ones() {
    let config = EngineConfig {
        ticker: Ticker::Thread,
        wait_max: Duration::from_secs(3_600),
        ..config()
    };
    let host = Arc::new(Host::with(config, "saboteur", created).await);
    let bad = [
        "trap-before",
        "panic-before",
        "alloc",
        "recursion",
        "trap-after",
        "malformed",
    ];
    let calls: Vec<_> = (0..120)
        .map(|number| match number % 4 {
            0 => (false, spawn(Arc::clone(&host), bad[number / 4 % bad.len()])),
            _ => (true, spawn(Arc::clone(&host), "hello")),
        })
        .collect();
    for (good, call) in calls {
        let report = call.await.unwrap();
        let accepted = matches!(report.outcome, Outcome::Accepted(_));
        assert_eq!(accepted, good, "{:?}", report.outcome);
    }
    assert_eq!(host.engine.free_slots(), 8);
}
