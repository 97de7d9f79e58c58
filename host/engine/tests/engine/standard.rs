//! A guest with a standard library: what of WASI it finds, and what it may do with it.

use std::time::Duration;

use onerouter_engine::wit::email::{Message, SendRequest};
use onerouter_engine::{CallReport, FaultKind, LogSource, Outcome};

use crate::host::Host;
use crate::neighbours::{not_sent, unknown};
use crate::provider::{Received, Reply};

fn created(_: &Received) -> Reply {
    Reply::Answer(201, r#"{"id":"m1"}"#.to_owned())
}

pub(crate) fn email(subject: &str) -> SendRequest {
    SendRequest {
        object_id: "em_1".to_owned(),
        attempt_id: "att_1".to_owned(),
        idempotency_key: "key-1".to_owned(),
        sender: Some("a@example.com".to_owned()),
        to: vec!["b@example.com".to_owned()],
        cc: Vec::new(),
        bcc: Vec::new(),
        reply_to: Vec::new(),
        subject: subject.to_owned(),
        html: None,
        text: Some("text".to_owned()),
        attachments: Vec::new(),
        headers: Vec::new(),
        tags: Vec::new(),
        send_at: None,
        extra: Vec::new(),
    }
}

async fn send(subject: &str) -> (CallReport<Message>, Host) {
    let host = Host::new("acme-post", created).await;
    let report = host
        .adapter
        .email_send(&host.context(), &email(subject))
        .await;
    (report, host)
}

#[tokio::test]
async fn there_is_nothing_around_a_guest() {
    let (report, _host) = send("surroundings").await;
    let Outcome::Accepted(message) = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    let expected = [
        ("variables", "0"),
        ("arguments", "0"),
        ("input", "Some(0) 0"),
        ("folder", "Some(\"/\")"),
    ];
    assert_eq!(
        message.extra,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

/// 2,000 lines are printed, and the first 8 KiB kept.
#[tokio::test]
async fn a_flood_of_printed_lines_is_cut() {
    let (report, host) = send("print").await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
    let printed = report
        .logs
        .iter()
        .filter(|line| line.source == LogSource::Stdio);
    let bytes: usize = printed.map(|line| line.message.len() + 1).sum();
    assert!((8_000..=(8 << 10) + 1).contains(&bytes), "{bytes}");
    host.provider.only();
}

#[tokio::test]
async fn a_panic_is_told_in_the_guests_own_words() {
    let (report, host) = send("panic").await;
    let fault = not_sent(&report);
    assert_eq!(fault.kind, FaultKind::Panic);
    assert!(
        fault.detail.contains("panicked at") && fault.detail.contains("as asked"),
        "{}",
        fault.detail
    );
    assert!(host.provider.received().is_empty());

    let (report, host) = send("panic-after").await;
    assert_eq!(unknown(&report).kind, FaultKind::Panic);
    host.provider.only();
}

#[tokio::test]
async fn to_exit_is_no_way_to_end_a_call() {
    let (report, host) = send("exit").await;
    let fault = not_sent(&report);
    assert_eq!(
        (
            fault.kind,
            fault.detail.starts_with("the guest called exit")
        ),
        (FaultKind::Trap, true)
    );
    assert!(host.provider.received().is_empty());

    let (report, host) = send("exit-after").await;
    assert_eq!(unknown(&report).kind, FaultKind::Trap);
    host.provider.only();
}

/// A year is longer than any call. Time moves by itself as soon as everybody waits for it.
#[tokio::test]
async fn a_guest_that_sleeps_is_ended_by_its_deadline() {
    let host = Host::new("acme-post", created).await;
    tokio::time::pause();
    let context = host.context_for(Duration::from_secs(3_600));
    let report = host.adapter.email_send(&context, &email("sleep")).await;
    assert_eq!(not_sent(&report).kind, FaultKind::WallTimeout);
    assert!(report.ledger.is_empty());
    assert_eq!(host.engine.free_slots(), 8);
}

#[tokio::test]
async fn a_guest_that_sleeps_after_a_request_leaves_the_outcome_unknown() {
    let host = std::sync::Arc::new(Host::new("acme-post", created).await);
    #[expect(clippy::disallowed_methods, reason = "the test waits for the task")]
    let call = tokio::spawn({
        let host = std::sync::Arc::clone(&host);
        async move {
            let context = host.context_for(Duration::from_secs(3_600));
            host.adapter
                .email_send(&context, &email("sleep-after"))
                .await
        }
    });
    host.provider.wait_for(1).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(unknown(&call.await.unwrap()).kind, FaultKind::WallTimeout);
}
