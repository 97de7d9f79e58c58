//! Guests that break down: before, during and after a request that changes something.
//!
//! Nothing left before it: a fault of the plugin. Something left: nobody knows.

use onerouter_engine::FaultKind;

use crate::guests::{Guest, manifest, packed};
use crate::neighbours::{Neighbours, not_sent, unknown};
use crate::provider::{Received, Reply};

fn created(_: &Received) -> Reply {
    Reply::created()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breakdown_before_a_request_is_a_fault_of_the_plugin() {
    let neighbours = Neighbours::of_saboteur().await;
    for (text, kind, says) in [
        ("trap-before", FaultKind::Trap, "unreachable"),
        ("panic-before", FaultKind::Panic, "the plugin panicked at"),
        ("read-then-trap", FaultKind::Trap, "unreachable"),
        ("search-then-trap", FaultKind::Trap, "unreachable"),
    ] {
        let ended = neighbours.call(text).await;
        let fault = not_sent(&ended.report);
        assert_eq!(fault.kind, kind, "{text}");
        assert!(fault.detail.contains(says), "{text}: {}", fault.detail);
        assert!(
            ended
                .report
                .ledger
                .iter()
                .all(|entry| !entry.state_changing)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breakdown_after_a_request_leaves_the_outcome_unknown() {
    let neighbours = Neighbours::of_saboteur().await;
    for (text, kind) in [
        ("trap-after", FaultKind::Trap),
        ("malformed", FaultKind::Malformed),
        ("empty-id", FaultKind::Malformed),
    ] {
        let ended = neighbours.call(text).await;
        assert_eq!(unknown(&ended.report).kind, kind, "{text}");
        assert_eq!(ended.report.ledger.len(), 1);
    }
    assert_eq!(neighbours.hostile_requests().len(), 3);
}

/// The answer is there, and the guest breaks down where the host puts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breakdown_during_a_request_leaves_the_outcome_unknown() {
    for (mood, says) in [
        (1, "unreachable"),
        (2, "beyond end of memory"),
        (3, "not aligned"),
    ] {
        let component = Guest::sending(&format!(
            "(global.set $mood (i32.const {mood})) (call $post) (call $ok)"
        ));
        let neighbours = Neighbours::of(component, |_| {
            let body = r#"{"id":"m1","state":"queued"}"#.to_owned();
            Reply::AnswerWith(201, ("retry-after", "1".to_owned()), body)
        })
        .await;
        let ended = neighbours.call("hello").await;
        let fault = unknown(&ended.report);
        assert!(fault.detail.contains(says), "{mood}: {fault:?}");
        let [entry] = ended.report.ledger.as_slice() else {
            panic!("{:?}", ended.report.ledger);
        };
        assert!(entry.left && entry.answer.is_some());
    }
}

/// The request itself cannot be read: nothing leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_read_is_a_fault_of_the_plugin() {
    let send = |method: &str, url: &str, headers: &str, body: &str| {
        format!(
            "(call $http {method} {url} {headers} {body} (i32.const 1) (i32.const 1100) (i32.const 5)
               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048)) (call $ok)"
        )
    };
    let (post, url) = ("(i32.const 2)", "(i32.const 1024) (i32.const 40)");
    let (none, empty) = (
        "(i32.const 0) (i32.const 0)",
        "(i32.const 0) (i32.const 0) (i32.const 0)",
    );
    for (name, instructions) in [
        ("a seventh method", send("(i32.const 7)", url, none, empty)),
        (
            "a URL outside",
            send(post, "(i32.const 0x7ffffff0) (i32.const 40)", none, empty),
        ),
        (
            "a URL of 2 GiB",
            send(post, "(i32.const 1024) (i32.const 0x7fffffff)", none, empty),
        ),
        (
            "a URL that is no text",
            send(post, "(i32.const 1140) (i32.const 3)", none, empty),
        ),
        (
            "headers at an odd address",
            send(post, url, "(i32.const 1025) (i32.const 1)", empty),
        ),
        (
            "a billion headers",
            send(post, url, "(i32.const 1024) (i32.const 1000000000)", empty),
        ),
        (
            "a fifth kind of body",
            send(
                post,
                url,
                none,
                "(i32.const 5) (i32.const 1110) (i32.const 2)",
            ),
        ),
    ] {
        let neighbours = Neighbours::of(Guest::sending(&instructions), created).await;
        let ended = neighbours.call("hello").await;
        not_sent(&ended.report);
        assert!(neighbours.hostile_requests().is_empty(), "{name}");
    }
}

/// Results that no compiler would make: the address of an answer, or what stands there.
fn malformed_results() -> Vec<(&'static str, &'static str)> {
    vec![
        ("neither ok nor an error", "(call $ok) (i32.store8 (i32.const 4096) (i32.const 7))"),
        ("an answer outside", "(i32.const 0x7ffffff0)"),
        ("an answer at the end of memory", "(i32.const 131064)"),
        ("an answer at an odd address", "(drop (call $ok)) (i32.const 4097)"),
        ("an id outside", "(call $ok) (i32.store (i32.const 4104) (i32.const 0x7ffffff0))"),
        ("an id of 2 GiB", "(call $ok) (i32.store (i32.const 4108) (i32.const 0x7fffffff))"),
        ("an id of 4 GiB", "(call $ok) (i32.store (i32.const 4108) (i32.const -1))"),
        (
            "an id that is no text",
            "(call $ok) (i32.store (i32.const 4104) (i32.const 1140))
             (i32.store (i32.const 4108) (i32.const 3))",
        ),
        ("neither some nor none", "(call $ok) (i32.store8 (i32.const 4120) (i32.const 9))"),
        (
            "pairs at an odd address",
            "(call $ok) (i32.store (i32.const 4244) (i32.const 1))
             (i32.store (i32.const 4248) (i32.const 1))",
        ),
        ("a billion pairs", "(call $ok) (i32.store (i32.const 4248) (i32.const 1000000000))"),
        ("more pairs than 32 bits count", "(call $ok) (i32.store (i32.const 4248) (i32.const -1))"),
        (
            "an error of a kind that there is not",
            "(call $ok) (i32.store8 (i32.const 4096) (i32.const 1))
             (i32.store8 (i32.const 4104) (i32.const 99))",
        ),
        (
            "an error whose text is no text",
            "(call $ok) (i32.store8 (i32.const 4096) (i32.const 1))
             (i32.store8 (i32.const 4104) (i32.const 8))
             (i32.store (i32.const 4112) (i32.const 1140)) (i32.store (i32.const 4116) (i32.const 3))",
        ),
        ("an empty id", "(call $ok) (i32.store (i32.const 4108) (i32.const 0))"),
        (
            "a status that there is not",
            "(call $ok) (i32.store (i32.const 4116) (i32.const 3))",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_result_without_a_request_is_a_fault_of_the_plugin() {
    for (name, result) in malformed_results() {
        // The first instruction may leave the address, and later ones change what stands there.
        let neighbours = Neighbours::of(Guest::sending(result), created).await;
        let fault = not_sent(&neighbours.call("hello").await.report).clone();
        assert_eq!(fault.kind, FaultKind::Malformed, "{name}: {}", fault.detail);
    }
    assert_eq!(malformed_results().len(), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_result_after_a_request_leaves_the_outcome_unknown() {
    for (name, result) in malformed_results() {
        let component = Guest::sending(&format!("(call $post) {result}"));
        let neighbours = Neighbours::of(component, created).await;
        let fault = unknown(&neighbours.call("hello").await.report).clone();
        assert_eq!(fault.kind, FaultKind::Malformed, "{name}: {}", fault.detail);
        assert_eq!(neighbours.hostile_requests().len(), 1, "{name}");
    }
}

/// A small memory in which the same text is listed over and over: 20,000 pairs of one mebibyte are
/// 40 GB for whoever reads them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_unfolds_beyond_all_bounds_is_malformed() {
    let heart = r#"
        (func (export "send") (param i32) (result i32) (local $at i32)
          (drop (memory.grow (i32.const 40)))
          (call $post)
          (drop (call $ok))
          (local.set $at (i32.const 131072))
          (loop $more
            (i32.store (local.get $at) (i32.const 1048576))
            (i32.store offset=4 (local.get $at) (i32.const 1048576))
            (i32.store offset=8 (local.get $at) (i32.const 1048576))
            (i32.store offset=12 (local.get $at) (i32.const 1048576))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br_if $more (i32.lt_u (local.get $at) (i32.const 451072))))
          (i32.store (i32.const 4244) (i32.const 131072))
          (i32.store (i32.const 4248) (i32.const 20000))
          (i32.const 4096))"#;
    let neighbours = Neighbours::of(packed(&Guest::new(heart).text(), manifest()), created).await;
    let fault = unknown(&neighbours.call("hello").await.report).clone();
    assert_eq!(fault.kind, FaultKind::Malformed);
    assert!(fault.detail.contains("fuel"), "{}", fault.detail);
}
