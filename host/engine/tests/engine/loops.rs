//! Guests that do not end: computing, asking, sleeping, waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use onerouter_engine::FaultKind;

use crate::guests::{Guest, polling};
use crate::neighbours::{Neighbours, not_sent, unknown};
use crate::provider::Reply;

/// 100 ms in ticks of 5 ms, and the one that was too many.
const TICKS: u32 = 21;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loop_ends_with_its_cpu_budget() {
    let neighbours = Neighbours::of_saboteur().await;
    let ended = neighbours.call("loop").await;
    let fault = not_sent(&ended.report);
    assert_eq!(fault.kind, FaultKind::CpuBudget);
    assert!(
        fault.detail.starts_with("the CPU budget is used up"),
        "{}",
        fault.detail
    );
    assert_eq!(ended.report.guest_cpu_ticks, TICKS);
    assert!(ended.meanwhile >= TICKS as usize, "{}", ended.meanwhile);
    assert!(neighbours.hostile_requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loop_between_host_calls_ends_with_its_cpu_budget() {
    let neighbours = Neighbours::of_saboteur().await;
    let ended = neighbours.call("busy").await;
    assert_eq!(not_sent(&ended.report).kind, FaultKind::CpuBudget);
    assert_eq!(ended.report.guest_cpu_ticks, TICKS);
    assert!(ended.meanwhile >= TICKS as usize, "{}", ended.meanwhile);
}

/// Each wait is over at once, so that the guest is never seen to compute for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loop_that_yields_ends_with_its_cpu_budget() {
    let heart = "(func (export \"send\") (param i32) (result i32) (local $timer i32)
          (loop $for-ever
            (local.set $timer (call $subscribe (i64.const 0)))
            (call $block (local.get $timer))
            (call $drop (local.get $timer))
            (br $for-ever))
          (call $ok))";
    let neighbours = Neighbours::of(polling(heart).packed(), |_| Reply::created()).await;
    let ended = neighbours.call("hello").await;
    assert_eq!(not_sent(&ended.report).kind, FaultKind::CpuBudget);
    assert_eq!(ended.report.guest_cpu_ticks, TICKS);
    assert!(ended.meanwhile >= TICKS as usize, "{}", ended.meanwhile);
}

/// A tick that passes while a guest waits for its provider is forgiven, once for each request: the
/// budget comes to its end all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loop_after_a_wait_ends_with_its_cpu_budget() {
    let neighbours = Neighbours::of_saboteur().await;
    let ended = neighbours.call("loop-between").await;
    assert_eq!(not_sent(&ended.report).kind, FaultKind::CpuBudget);
    assert_eq!(ended.report.guest_cpu_ticks, TICKS);
    assert!(ended.meanwhile > TICKS as usize, "{}", ended.meanwhile);
    assert_eq!(neighbours.hostile_requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loop_after_a_request_that_changes_something_leaves_the_outcome_unknown() {
    let neighbours = Neighbours::of_saboteur().await;
    let ended = neighbours.call("loop-after").await;
    assert_eq!(unknown(&ended.report).kind, FaultKind::CpuBudget);
    assert_eq!(neighbours.hostile_requests().len(), 1);
}

/// Code that runs before the first function is called.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loop_while_the_sandbox_is_made_ends_with_its_cpu_budget() {
    let guest = Guest {
        heart: r#"(func (export "send") (param i32) (result i32) (call $ok))"#,
        parts: "(core module $Start (func $start (loop $for-ever (br $for-ever))) (start $start))
                (core instance (instantiate $Start))",
        ..Guest::default()
    };
    let neighbours = Neighbours::of(guest.packed(), |_| Reply::created()).await;
    let ended = neighbours.call("hello").await;
    assert_eq!(not_sent(&ended.report).kind, FaultKind::CpuBudget);
    assert_eq!(ended.report.guest_cpu_ticks, TICKS);
}

/// The guest's clock ticks, but so slowly that the call's time is over first.
#[tokio::test]
async fn a_loop_ends_with_its_wall_clock_time() {
    let neighbours = Neighbours::of_saboteur().await;
    tokio::time::pause();
    let call = neighbours.start("loop");
    // The guest has this thread to itself until the next tick, which therefore comes from another.
    let (engine, over) = (neighbours.engine(), Arc::new(AtomicBool::new(false)));
    let ticker = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(Ordering::SeqCst) {
                engine.tick();
                std::thread::yield_now();
            }
        }
    });
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(61)).await;
    let report = call.await.unwrap();
    over.store(true, Ordering::SeqCst);
    ticker.join().unwrap();
    assert_eq!(not_sent(&report).kind, FaultKind::WallTimeout);
    // The budget was not used up: one tick before time moved, and those until that was seen.
    assert!(
        (1..TICKS).contains(&report.guest_cpu_ticks),
        "{}",
        report.guest_cpu_ticks
    );
    tokio::time::resume();
    neighbours.at_peace().await;
}

/// Nobody ticks while a guest sleeps, and no network is involved: the deadline alone ends it.
#[tokio::test]
async fn a_guest_that_sleeps_beyond_its_deadline_is_ended_by_it() {
    let heart = "(func (export \"send\") (param i32) (result i32)
          (call $get)
          (call $block (call $subscribe (i64.const 0x7fffffffffffff)))
          (call $ok))";
    let neighbours = Neighbours::of(polling(heart).packed(), |_| Reply::created()).await;
    let report = neighbours.call_until_time_is_over("hello", 1).await;
    assert_eq!(not_sent(&report).kind, FaultKind::WallTimeout);
    assert_eq!(report.guest_cpu_ticks, 0);
}

#[tokio::test]
async fn a_guest_that_sleeps_after_a_request_that_changes_something_leaves_the_outcome_unknown() {
    let heart = "(func (export \"send\") (param i32) (result i32)
          (call $post)
          (call $block (call $subscribe (i64.const 0x7fffffffffffff)))
          (call $ok))";
    let neighbours = Neighbours::of(polling(heart).packed(), |_| Reply::created()).await;
    let report = neighbours.call_until_time_is_over("hello", 1).await;
    assert_eq!(unknown(&report).kind, FaultKind::WallTimeout);
}
