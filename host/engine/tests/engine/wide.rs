//! Components that bring more along than a translator: they get places of their own, few and wide, under
//! the same rules as everybody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use onerouter_engine::{CallContext, EngineConfig, FaultKind, NotSent, Outcome};
use tokio::time::Instant;

use crate::guests::{Guest, manifest, packed};
use crate::host::{Host, TOKEN, config, fixture, request};
use crate::neighbours::{Neighbours, not_sent, unknown};
use crate::packing::repacked;
use crate::provider::{Received, Reply};

/// More than a small place has.
const MEMORY_BYTES: u64 = 96 << 20;

fn created(_: &Received) -> Reply {
    Reply::created()
}

/// The saboteur, which asks for so much that it gets a wide place.
fn saboteur() -> Bytes {
    repacked(&fixture("saboteur"), |manifest| {
        manifest.limits.memory_bytes = MEMORY_BYTES;
        manifest.limits.wall_ms = 60_000;
    })
}

fn few(slots: u32) -> EngineConfig {
    EngineConfig {
        wide_slots: slots,
        wide_slots_per_adapter: slots,
        wait_max: Duration::ZERO,
        ..config()
    }
}

#[tokio::test]
async fn what_fits_a_small_place_gets_one() {
    let host = Host::new("saboteur", created).await;
    assert!(!host.adapter.is_wide());
    let wide = host.engine.load(saboteur()).await.unwrap();
    assert!(wide.is_wide());
}

#[tokio::test]
async fn a_component_of_many_parts_is_served() {
    let parts = format!(
        "(core module $I) {}",
        "(core instance (instantiate $I)) ".repeat(200)
    );
    let guest = Guest {
        heart: r#"(func (export "send") (param i32) (result i32) (call $post) (call $ok))"#,
        parts: &parts,
        ..Guest::default()
    };
    let host = Host::loading(config(), guest.packed(), created).await;
    assert!(host.adapter.is_wide());
    for _ in 0..20 {
        let report = host.send("hello").await;
        assert!(
            matches!(report.outcome, Outcome::Accepted(_)),
            "{:?}",
            report.outcome
        );
    }
}

/// A component of more bytes than a translator has is wide, whatever it asks for.
#[tokio::test]
async fn a_large_component_is_served() {
    let text =
        Guest::new(r#"(func (export "send") (param i32) (result i32) (call $post) (call $ok))"#)
            .text();
    let (head, end) = text.trim_end().split_at(text.trim_end().len() - 1);
    let padding = "x".repeat(5 << 20);
    let text = format!("{head} (@custom \"padding\" \"{padding}\") {end}");
    let host = Host::loading(config(), packed(&text, manifest()), created).await;
    assert!(host.adapter.is_wide());
    let report = host.send("hello").await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
}

#[tokio::test]
async fn a_wide_memory_may_be_filled_and_no_more() {
    let grow = |pages: u32| {
        let text = Guest::new(&format!(
            r#"(func (export "send") (param i32) (result i32)
              (if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable))
              (memory.fill (i32.const 131072) (i32.const 7) (i32.const {}))
              (call $post) (call $ok))"#,
            pages * 65_536
        ))
        .text();
        let mut manifest = manifest();
        manifest.limits.memory_bytes = MEMORY_BYTES;
        packed(&text, manifest)
    };
    let host = Host::loading(config(), grow(1_500), created).await;
    let report = host.send("hello").await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
    assert!(report.memory_peak > 64 << 20, "{}", report.memory_peak);

    let greedy = host.engine.load(grow(1_600)).await.unwrap();
    let report = greedy.sms_send(&host.context(), &request("hello")).await;
    assert_eq!(not_sent(&report).kind, FaultKind::Memory);
    assert!(report.memory_peak <= MEMORY_BYTES, "{}", report.memory_peak);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wide_loop_ends_with_its_cpu_budget() {
    let neighbours = Neighbours::of(saboteur(), created).await;
    let ended = neighbours.call("loop").await;
    assert_eq!(not_sent(&ended.report).kind, FaultKind::CpuBudget);
    assert!(ended.meanwhile > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_breaks_in_a_wide_place_is_judged_by_what_left() {
    let neighbours = Neighbours::of(saboteur(), created).await;
    for (trick, kind) in [
        ("trap-before", FaultKind::Trap),
        ("recursion", FaultKind::Trap),
    ] {
        let ended = neighbours.call(trick).await;
        assert_eq!(not_sent(&ended.report).kind, kind, "{trick}");
    }
    let ended = neighbours.call("trap-after").await;
    assert_eq!(unknown(&ended.report).kind, FaultKind::Trap);
}

#[tokio::test]
async fn wide_places_are_counted_apart() {
    let host = Arc::new(Host::loading(few(1), saboteur(), hangs_for_the_saboteur).await);
    let small = host.engine.load(fixture("acme-texts")).await.unwrap();
    let parked = spawn(Arc::clone(&host));
    host.provider.wait_for(1).await;
    assert_eq!(
        (host.engine.free_wide_slots(), host.engine.free_slots()),
        (0, 8)
    );
    let report = host.send("hello").await;
    assert_eq!(report.outcome, Outcome::NotSent(NotSent::Overloaded));
    let report = small.sms_send(&host.context(), &request("hello")).await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
    parked.abort();
    assert!(parked.await.unwrap_err().is_cancelled());
    assert_eq!(host.engine.free_wide_slots(), 1);
}

fn hangs_for_the_saboteur(received: &Received) -> Reply {
    if received.header("host") == Some("api.saboteur.example") {
        Reply::Hang
    } else {
        Reply::Answer(201, r#"{"id":"m1","state":"waiting"}"#.to_owned())
    }
}

#[expect(clippy::disallowed_methods, reason = "the test waits for the task")]
fn spawn(host: Arc<Host>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { drop(host.send("hello").await) })
}

#[tokio::test]
async fn a_wide_call_that_waits_ends_with_its_time() {
    let host = Host::loading(few(2), saboteur(), |_| Reply::Hang).await;
    let context = CallContext {
        deadline: Instant::now() + Duration::from_millis(100),
        ..host.context()
    };
    let report = host.adapter.sms_send(&context, &request("hello")).await;
    assert!(
        matches!(report.outcome, Outcome::Unknown(_)),
        "{:?}",
        report.outcome
    );
    assert_eq!(host.engine.free_wide_slots(), 2);
}

/// The token is attached outside, here as there.
#[tokio::test]
async fn a_wide_guest_sees_no_secret() {
    let host = Host::loading(few(2), saboteur(), created).await;
    let report = host.send("hello").await;
    assert!(matches!(report.outcome, Outcome::Accepted(_)));
    let received = host.provider.only();
    assert_eq!(
        received.header("authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );
    assert!(!format!("{report:?}").contains(TOKEN));
}

/// What one place compiles runs in the other: there is one entry for both.
#[tokio::test]
async fn compiled_code_is_kept_for_wide_components_too() {
    let folder = tempfile::tempdir().unwrap();
    let caching = || EngineConfig {
        cache_dir: Some(folder.path().to_owned()),
        ..config()
    };
    for _ in 0..2 {
        let host = Host::loading(caching(), saboteur(), created).await;
        assert!(host.adapter.is_wide());
        let report = host.send("hello").await;
        assert!(matches!(report.outcome, Outcome::Accepted(_)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
