//! Providers whose answers are giant, endless, trickling, or framed in a way of their own.

use std::time::Duration;

use onerouter_engine::wit::sms::Message;
use onerouter_engine::{CallReport, Outcome, UnknownReason};
use tokio::time::Instant;

use crate::host::sabotage;
use crate::neighbours::{Neighbours, saboteur};
use crate::provider::Reply;

/// The adapter was told that no complete answer came, and says so; so does the ledger.
#[track_caller]
fn is_open(name: &str, report: &CallReport<Message>) {
    let [entry] = report.ledger.as_slice() else {
        panic!("{name}: {:?}", report.ledger);
    };
    assert!(entry.left && entry.answer.is_none(), "{name}: {entry:?}");
    match &report.outcome {
        Outcome::Unknown(unknown) => {
            assert_eq!(unknown.reason, UnknownReason::Adapter);
            assert!(!unknown.failure.as_ref().unwrap().message.is_empty());
        }
        other => panic!("{name}: {other:?}"),
    }
}

/// The manifest allows 262,144 bytes.
#[tokio::test]
async fn an_answer_that_is_giant_or_endless_is_cut_at_the_limit() {
    const OK: &str = "HTTP/1.1 201 Created\r\n";
    for (reply, name) in [
        (
            || Reply::Cut("HTTP/1.1 201 Created\r\ncontent-length: 10737418240\r\n\r\n{"),
            "a length of 10 GiB",
        ),
        (
            || {
                Reply::Endless(
                    "HTTP/1.1 201 Created\r\ncontent-length: 10737418240\r\n\r\n",
                    " ",
                )
            },
            "a length of 10 GiB, and the bytes",
        ),
        (
            || {
                Reply::Cut(
                    "HTTP/1.1 201 Created\r\ncontent-length: 99999999999999999999999\r\n\r\n{",
                )
            },
            "a length beyond 64 bits",
        ),
        (
            || {
                Reply::Endless(
                    "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n",
                    "4\r\n    \r\n",
                )
            },
            "chunks for ever",
        ),
        (
            || {
                Reply::Cut(
                    "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                )
            },
            "a chunk of 16 EiB",
        ),
        (
            || {
                Reply::Endless(
                    "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n1;",
                    "a=b;",
                )
            },
            "a chunk's extensions for ever",
        ),
        (
            || Reply::Endless(OK, "x-name: value\r\n"),
            "headers for ever",
        ),
        (|| Reply::Endless(OK, "x"), "a header's name for ever"),
        (
            || Reply::Endless("HTTP/1.1 201 Created\r\nx: ", "x"),
            "a header's value for ever",
        ),
        (|| Reply::Endless("HTTP/1.1 201 ", "x"), "a reason for ever"),
        (|| Reply::Endless("", "\r\n"), "empty lines for ever"),
    ] as [(fn() -> Reply, &str); 11]
    {
        let neighbours = Neighbours::of(saboteur(), move |_| reply()).await;
        let call = neighbours.start("hello");
        neighbours.serve_some().await;
        let report = call.await.unwrap();
        is_open(name, &report);
        assert!(
            report.memory_peak < 4 << 20,
            "{name}: {}",
            report.memory_peak
        );
        neighbours.at_peace().await;
    }
}

/// An answer that is no answer yet, again and again: only the deadline ends this.
#[tokio::test]
async fn endless_informational_answers_end_with_the_deadline() {
    let neighbours = Neighbours::of(saboteur(), |_| {
        Reply::Endless("", "HTTP/1.1 100 Continue\r\n\r\n")
    })
    .await;
    is_open(
        "hello",
        &neighbours.call_until_time_is_over("hello", 1).await,
    );
}

#[tokio::test]
async fn a_provider_that_hangs_ends_with_the_deadline() {
    let neighbours = Neighbours::of(saboteur(), |_| Reply::Hang).await;
    is_open(
        "hello",
        &neighbours.call_until_time_is_over("hello", 1).await,
    );
}

/// One byte a second is not silence, and helps nothing.
#[tokio::test]
async fn a_trickling_answer_ends_with_the_deadline() {
    for head in [
        "HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\n",
        "HTTP/1.1 201 Created\r\nx-slow:",
        "HTTP/1.1 201 Slow",
    ] {
        let neighbours = Neighbours::of(saboteur(), move |_| Reply::Trickle(head)).await;
        let before = Instant::now();
        let call = neighbours.start("hello");
        neighbours.wait_for(1).await;
        neighbours.serve_some().await;
        // From here on time moves by itself, to the provider's next byte or to the deadline.
        tokio::time::pause();
        let report = call.await.unwrap();
        // All of the manifest's minute, but for what is kept back so that the adapter can speak.
        assert!(before.elapsed() >= Duration::from_millis(59_700), "{head}");
        tokio::time::resume();
        is_open(head, &report);
        neighbours.at_peace().await;
    }
}

/// What cannot be searched for secrets, or ends where two readers may disagree, is no answer.
#[tokio::test]
async fn only_chunks_and_a_length_say_where_an_answer_ends() {
    for headers in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: x-chunked",
        "transfer-encoding: identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: gzip",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "transfer-encoding: compress, chunked",
        "content-encoding: gzip\r\ncontent-length: 5",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: -5",
        "content-length: 5, 6",
    ] {
        let answer: &'static str =
            format!("HTTP/1.1 201 Created\r\n{headers}\r\n\r\n5\r\n{{\"id\"\r\n0\r\n\r\n").leak();
        let (report, host) = sabotage("hello", move |_| Reply::Cut(answer)).await;
        assert!(
            matches!(report.outcome, Outcome::Unknown(_)),
            "{headers}: {:?}",
            report.outcome
        );
        is_open(headers, &report);
        host.provider.only();
    }
}
