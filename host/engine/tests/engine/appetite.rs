//! Guests that want more than their share: memory, tables, stack, handles, log lines, requests.

use onerouter_engine::{FaultKind, LoadError, LogSource, Outcome};

use crate::guests::{Guest, polling};
use crate::host::{Host, config};
use crate::neighbours::{Neighbours, not_sent};
use crate::provider::{Received, Reply};

/// What the manifest of the fixtures asks for.
const MEMORY_BYTES: u64 = 16 << 20;

fn created(_: &Received) -> Reply {
    Reply::created()
}

/// Ends in the memory limit, and never has more than that.
async fn hits_the_memory_limit(guest: &Guest<'_>) {
    let neighbours = Neighbours::of(guest.packed(), created).await;
    let ended = neighbours.call("hello").await;
    let fault = not_sent(&ended.report);
    assert_eq!(fault.kind, FaultKind::Memory, "{}", fault.detail);
    assert!(
        fault.detail.starts_with("the memory limit was hit"),
        "{}",
        fault.detail
    );
    let peak = ended.report.memory_peak;
    assert!((1..=MEMORY_BYTES).contains(&peak), "{peak}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_gibibytes_at_once_are_refused() {
    hits_the_memory_limit(&Guest::new(
        r#"(func (export "send") (param i32) (result i32)
          (if (i32.eq (memory.grow (i32.const 163840)) (i32.const -1)) (then unreachable))
          (call $ok))"#,
    ))
    .await;
}

/// Refused again and again, the guest goes on asking: 640 steps of 16 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_gibibytes_in_steps_are_refused() {
    hits_the_memory_limit(&Guest::new(
        r#"(func (export "send") (param i32) (result i32) (local $step i32)
          (loop $more
            (drop (memory.grow (i32.const 256)))
            (local.set $step (i32.add (local.get $step) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $step) (i32.const 640))))
          unreachable)"#,
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allocator_that_never_stops_is_refused() {
    let neighbours = Neighbours::of_saboteur().await;
    let ended = neighbours.call("alloc").await;
    assert_eq!(not_sent(&ended.report).kind, FaultKind::Memory);
    let peak = ended.report.memory_peak;
    assert!((1..=MEMORY_BYTES).contains(&peak), "{peak}");
}

/// The limit is one for all memories together: each of the two stays below it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_memories_share_one_limit() {
    hits_the_memory_limit(&Guest::new(
        r#"(memory $second 1)
          (func (export "send") (param i32) (result i32)
            (if (i32.eq (memory.grow 0 (i32.const 126)) (i32.const -1)) (then (return (i32.const 0))))
            (if (i32.eq (memory.grow $second (i32.const 200)) (i32.const -1)) (then unreachable))
            (call $ok))"#,
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_never_stops_growing_is_refused() {
    hits_the_memory_limit(&Guest::new(
        r#"(table $wide 1 funcref)
          (func (export "send") (param i32) (result i32)
            (loop $more
              (br_if $more (i32.ne
                (table.grow $wide (ref.null func) (i32.const 1000)) (i32.const -1))))
            unreachable)"#,
    ))
    .await;
}

/// A guest that is refused and does with less is served as any other.
#[tokio::test]
async fn a_guest_that_does_without_is_accepted() {
    let component =
        Guest::sending("(drop (memory.grow (i32.const 163840))) (call $post) (call $ok)");
    let host = Host::loading(config(), component, created).await;
    let report = host.send("hello").await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
}

/// What no slot has room for is refused when the file is loaded, not at each call.
#[tokio::test]
async fn demands_beyond_a_slot_are_refused_at_load() {
    let memories = "(core module $M (memory 1)) (core instance (instantiate $M))
                    (core instance (instantiate $M))";
    let tables = "(core module $T (table 1 funcref)) (core instance (instantiate $T))
                  (core instance (instantiate $T)) (core instance (instantiate $T))
                  (core instance (instantiate $T)) (core instance (instantiate $T))";
    let instances = format!(
        "(core module $I) {}",
        "(core instance (instantiate $I)) ".repeat(257)
    );
    let table = "(core module $T (table 20001 funcref)) (core instance (instantiate $T))";
    let memory = "(core module $M (memory 257)) (core instance (instantiate $M))";
    let huge = "(core module $M (memory 65536)) (core instance (instantiate $M))";
    let wide = "(core module $M (memory i64 1)) (core instance (instantiate $M))";
    let shared = "(core module $M (memory 1 1 shared)) (core instance (instantiate $M))";
    let objects = "(core module $M (type (struct (field i32)))) (core instance (instantiate $M))";
    let demands = [
        (
            memories,
            "3 Wasm linear memories, which exceeds the configured maximum of 2",
        ),
        (
            tables,
            "5 tables, which exceeds the configured maximum of 4",
        ),
        (instances.as_str(), "core instances; 256 are allowed"),
        (
            table,
            "a minimum element size of 20001 which exceeds the limit of 20000",
        ),
        (
            memory,
            "16842752 bytes of memory to start; its manifest asks for 16777216",
        ),
        (
            huge,
            "a minimum byte size of 4294967296 which exceeds the limit of",
        ),
        (wide, "memory64"),
        (shared, "threads"),
        (objects, "gc"),
    ];
    let host = Host::new("acme-texts", created).await;
    let mut wrong = Vec::new();
    for (parts, reason) in demands {
        let guest = Guest {
            heart: r#"(func (export "send") (param i32) (result i32) (call $ok))"#,
            parts,
            ..Guest::default()
        };
        match host.engine.load(guest.packed()).await {
            Err(LoadError::TooDemanding(said) | LoadError::Compile(said))
                if said.contains(reason) => {}
            other => wrong.push((parts, reason, other)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recursion_ends_with_the_stack() {
    let neighbours = Neighbours::of_saboteur().await;
    let ended = neighbours.call("recursion").await;
    assert_eq!(not_sent(&ended.report).kind, FaultKind::Trap);

    // Without data on a stack of its own, it is the host's that ends.
    let heart = r#"
        (func $deeper (param i64) (result i64)
          (i64.add (i64.const 1) (call $deeper (i64.add (local.get 0) (i64.const 1)))))
        (func (export "send") (param i32) (result i32)
          (drop (call $deeper (i64.const 0))) (call $ok))"#;
    let neighbours = Neighbours::of(Guest::new(heart).packed(), created).await;
    let ended = neighbours.call("hello").await;
    let fault = not_sent(&ended.report);
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(
        fault.detail.contains("call stack exhausted"),
        "{}",
        fault.detail
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_of_the_host_that_leak_are_counted() {
    let heart = r#"(func (export "send") (param i32) (result i32)
        (loop $more (drop (call $subscribe (i64.const 0))) (br $more)) (call $ok))"#;
    let neighbours = Neighbours::of(polling(heart).packed(), created).await;
    let ended = neighbours.call("hello").await;
    let fault = not_sent(&ended.report);
    assert_eq!(fault.kind, FaultKind::Memory, "{}", fault.detail);
    assert!(
        fault.detail.contains("too many handles"),
        "{}",
        fault.detail
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_of_its_own_that_leak_are_counted() {
    let guest = Guest {
        heart: r#"(func (export "send") (param i32) (result i32)
            (loop $more (drop (call $new (i32.const 1))) (br $more)) (call $ok))"#,
        functions: "(type $thing (resource (rep i32)))
                    (core func $new (canon resource.new $thing))",
        core_imports: r#"(import "host" "new" (func $new (param i32) (result i32)))"#,
        core_exports: r#"(export "new" (func $new))"#,
        ..Guest::default()
    };
    let neighbours = Neighbours::of(guest.packed(), created).await;
    let ended = neighbours.call("hello").await;
    let fault = not_sent(&ended.report);
    assert!(
        fault
            .detail
            .starts_with("cannot allocate another handle: store handle limit exceeded"),
        "{fault:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_log_lines_is_cut_and_counted() {
    let neighbours = Neighbours::of_saboteur().await;
    let report = neighbours.call("log-flood").await.report;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
    let lines = report
        .logs
        .iter()
        .filter(|line| line.source == LogSource::Adapter);
    let bytes: usize = lines.map(|line| line.message.len()).sum();
    assert_eq!(bytes, 16 << 10);
    assert_eq!(report.logs_dropped, 996);
}

/// 100,000 lines with nothing in them take no room, and are cut all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_empty_log_lines_is_cut_and_counted() {
    let component = Guest::sending(
        "(local $line i32)
         (loop $more
           (call $write (i32.const 1) (i32.const 0) (i32.const 0))
           (local.set $line (i32.add (local.get $line) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $line) (i32.const 100000))))
         (call $post) (call $ok)",
    );
    let neighbours = Neighbours::of(component, created).await;
    let call = neighbours.start("hello");
    neighbours.serve_some().await;
    let report = call.await.unwrap();
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
    assert_eq!(report.logs.len(), 256);
    assert_eq!(report.logs_dropped, 100_000 - 256);
    neighbours.at_peace().await;
}

/// 5,000 requests are asked for and eight are made, though the guest does not take no for an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_are_counted() {
    let neighbours = Neighbours::of(crate::neighbours::saboteur(), |_| {
        Reply::Answer(200, "{}".to_owned())
    })
    .await;
    let call = neighbours.start("insist");
    neighbours.serve_some().await;
    let report = call.await.unwrap();
    assert_eq!(report.ledger.len(), 8);
    assert_eq!(neighbours.hostile_requests().len(), 8);
    let fault = not_sent(&report);
    assert_eq!(fault.kind, FaultKind::Other);
    assert!(
        fault.detail.contains("the call's 8 requests are used up"),
        "{}",
        fault.detail
    );
    neighbours.at_peace().await;
}

#[tokio::test]
async fn a_guest_that_stops_at_the_first_refusal_has_made_as_many_requests() {
    let host = Host::new("saboteur", |_| Reply::Answer(200, "{}".to_owned())).await;
    let report = host.send("many-requests").await;
    assert_eq!(report.ledger.len(), 8);
    assert_eq!(host.provider.received().len(), 8);
    assert!(
        matches!(report.outcome, Outcome::NotSent(_)),
        "{:?}",
        report.outcome
    );
}

/// 100,000 calls of the host that wait for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_calls_of_the_host_disturb_nobody() {
    let component = Guest::sending(
        "(local $call i32)
         (loop $more
           (drop (call $now))
           (local.set $call (i32.add (local.get $call) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $call) (i32.const 100000))))
         unreachable",
    );
    let neighbours = Neighbours::of(component, created).await;
    let call = neighbours.start("hello");
    neighbours.serve_some().await;
    let report = call.await.unwrap();
    assert_eq!(not_sent(&report).kind, FaultKind::Trap);
    neighbours.at_peace().await;
}
