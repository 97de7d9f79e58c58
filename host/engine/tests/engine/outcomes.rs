//! Every row of the judgement, from the provider's behaviour to the outcome.

use std::time::Duration;

use onerouter_engine::wit::sms::Message;
use onerouter_engine::{
    CallReport, FaultKind, LedgerAnswer, NotSent, Outcome, RefusalKind, UnknownReason,
};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::host::{Host, TOKEN, config, connection, egress, fixture, request, sabotage};
use crate::provider::{Received, Reply};

fn created(_: &Received) -> Reply {
    Reply::created()
}

/// Acme has words of its own for the states.
fn waiting(_: &Received) -> Reply {
    Reply::Answer(201, r#"{"id":"m1","state":"waiting"}"#.to_owned())
}

#[track_caller]
fn accepted(report: CallReport<Message>) -> Message {
    match report.outcome {
        Outcome::Accepted(message) => message,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn not_sent(report: CallReport<Message>) -> NotSent {
    match report.outcome {
        Outcome::NotSent(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn not_sent_fault(report: CallReport<Message>) -> FaultKind {
    match not_sent(report) {
        NotSent::Fault(fault) => fault.kind,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unknown(report: CallReport<Message>) -> UnknownReason {
    match report.outcome {
        Outcome::Unknown(unknown) => unknown.reason,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unknown_fault(report: CallReport<Message>) -> FaultKind {
    match unknown(report) {
        UnknownReason::Fault(fault) => fault.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_that_the_provider_takes_is_accepted() {
    let host = Host::new("acme-texts", waiting).await;
    let report = host.send("hello").await;

    let [entry] = report.ledger.as_slice() else {
        panic!("{:?}", report.ledger);
    };
    assert_eq!(
        (entry.method, entry.path.as_str()),
        ("POST", "/v1/messages")
    );
    assert_eq!(entry.host, "api.acme-texts.example");
    assert!(entry.state_changing && entry.left);
    let answer = LedgerAnswer {
        status: 201,
        not_processed: false,
    };
    assert_eq!(entry.answer, Some(answer));
    assert!(report.memory_peak > 0);
    let message = accepted(report);
    assert_eq!(
        (message.provider_id.as_str(), message.status.as_str()),
        ("m1", "queued")
    );

    let received = host.provider.only();
    assert_eq!(
        (received.method.as_str(), received.target.as_str()),
        ("POST", "/v1/messages")
    );
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(received.header("authorization"), Some(bearer.as_str()));
    assert_eq!(received.header("host"), Some("api.acme-texts.example"));
    assert_eq!(received.header("accept-encoding"), Some("identity"));
    assert_eq!(received.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_breakdown_before_any_request_sends_nothing() {
    for (text, kind) in [
        ("trap-before", FaultKind::Trap),
        ("panic-before", FaultKind::Panic),
    ] {
        let (report, host) = sabotage(text, created).await;
        assert_eq!(not_sent_fault(report), kind, "{text}");
        assert!(host.provider.received().is_empty());
    }
}

#[tokio::test]
async fn a_breakdown_after_reading_sends_nothing() {
    for text in ["read-then-trap", "search-then-trap"] {
        let (report, host) = sabotage(text, created).await;
        assert_eq!(report.ledger.len(), 1);
        assert!(!report.ledger[0].state_changing, "{text}");
        assert_eq!(not_sent_fault(report), FaultKind::Trap, "{text}");
        host.provider.only();
    }
}

#[tokio::test]
async fn a_breakdown_after_a_request_is_unknown() {
    for (text, kind) in [
        ("trap-after", FaultKind::Trap),
        ("malformed", FaultKind::Malformed),
        ("empty-id", FaultKind::Malformed),
    ] {
        let (report, host) = sabotage(text, created).await;
        assert_eq!(unknown_fault(report), kind, "{text}");
        host.provider.only();
    }
}

#[tokio::test]
async fn a_breakdown_after_a_request_that_was_not_processed_is_unknown_too() {
    let (report, _host) = sabotage("trap-after", |_| Reply::Answer(429, String::new())).await;
    assert_eq!(unknown_fault(report), FaultKind::Trap);
}

#[tokio::test]
async fn a_raw_answer_that_is_too_large_is_dropped_and_the_message_counts() {
    let (report, _host) = sabotage("large-raw", created).await;
    assert!(
        report
            .logs
            .iter()
            .any(|line| line.message.contains("dropped"))
    );
    assert_eq!(accepted(report).raw, None);
}

#[tokio::test]
async fn a_claim_that_nothing_was_sent_is_held_against_the_ledger() {
    let maintenance = r#"{"code":"maintenance"}"#;
    let (report, _host) = sabotage("claim-not-sent", created).await;
    assert_eq!(unknown(report), UnknownReason::Contradicted);

    for (status, body, believed) in [
        (429, "", true),
        (503, maintenance, true),
        (503, r#"{"code":"crash"}"#, false),
        (500, "", false),
        (400, "", false),
    ] {
        let script = move |_: &Received| Reply::Answer(status, body.to_owned());
        let (report, _host) = sabotage("claim-not-sent", script).await;
        let is_believed = matches!(report.outcome, Outcome::NotSent(NotSent::Adapter(_)));
        assert_eq!(
            is_believed, believed,
            "{status} {body}: {:?}",
            report.outcome
        );
    }
}

#[tokio::test]
async fn a_claim_that_the_provider_refused_needs_a_complete_answer() {
    for status in [400, 500, 201] {
        let script = move |_: &Received| Reply::Answer(status, "{}".to_owned());
        let (report, _host) = sabotage("claim-declined", script).await;
        assert!(
            matches!(report.outcome, Outcome::Declined(_)),
            "{:?}",
            report.outcome
        );
    }
    let cut = |_: &Received| Reply::Cut("HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n{}");
    let (report, _host) = sabotage("claim-declined", cut).await;
    assert_eq!(unknown(report), UnknownReason::Unanswered);
}

#[tokio::test]
async fn what_a_decent_adapter_says_of_complete_answers_counts() {
    let limited =
        |_: &Received| Reply::AnswerWith(429, ("retry-after", "7".to_owned()), "{}".to_owned());
    let (report, _host) = sabotage("hello", limited).await;
    match not_sent(report) {
        NotSent::Adapter(failure) => assert_eq!(failure.retry_after_ms, Some(7_000)),
        other => panic!("{other:?}"),
    }
    for (status, kind) in [
        (400, RefusalKind::Declined),
        (401, RefusalKind::Unauthorized),
    ] {
        let script = move |_: &Received| Reply::Answer(status, "{}".to_owned());
        let (report, _host) = sabotage("hello", script).await;
        match report.outcome {
            Outcome::Declined(refusal) => assert_eq!(refusal.kind, kind),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_anywhere_is_unknown() {
    for cut in [
        "",
        "HTTP/1.1 201 Cre",
        "HTTP/1.1 201 Created\r\ncontent-length: 28\r\n\r\n{\"id\":\"m1\"",
        "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"id\"\r\n",
        "HTTP/1.1 201 Created\r\n\r\n{\"id\":\"m1\",\"state\":\"queued\"}",
        "HTTP/1.1 201 Created\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let (report, host) = sabotage("hello", move |_| Reply::Cut(cut)).await;
        let entry = &report.ledger[0];
        assert!(entry.left && entry.answer.is_none(), "{cut:?}");
        unknown(report);
        host.provider.only();
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_unknown() {
    let large = |_: &Received| Reply::Answer(201, "x".repeat(262_145));
    let (report, _host) = sabotage("hello", large).await;
    unknown(report);
}

#[tokio::test]
async fn a_second_request_without_an_answer_makes_the_call_unknown() {
    let (report, host) = sabotage("two-posts", |received| {
        if received.body.is_empty() {
            Reply::Hang
        } else {
            Reply::created()
        }
    })
    .await;
    accepted(report);
    assert_eq!(host.provider.received().len(), 2);

    let count = std::sync::atomic::AtomicUsize::new(0);
    let (report, _host) = sabotage("two-posts", move |_| {
        match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::created(),
            _ => Reply::Cut(""),
        }
    })
    .await;
    assert_eq!(report.ledger.len(), 2);
    unknown(report);
}

#[tokio::test]
async fn nobody_to_connect_to_means_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let engine = onerouter_engine::Engine::new(config(), egress(&base)).unwrap();
    let adapter = engine.load(fixture("acme-texts")).await.unwrap();
    let context = onerouter_engine::CallContext {
        connection: connection(),
        deadline: Instant::now() + Duration::from_secs(20),
    };
    let report = adapter.sms_send(&context, &request("hello")).await;
    assert!(!report.ledger[0].left);
    assert!(matches!(not_sent(report), NotSent::Unreachable(Some(_))));
}

#[tokio::test]
async fn a_provider_that_hangs_leaves_a_call_unknown() {
    let host = Host::new("saboteur", |_| Reply::Hang).await;
    let context = host.context_for(Duration::from_millis(300));
    let report = host.adapter.sms_send(&context, &request("hello")).await;
    assert!(report.ledger[0].left);
    // The adapter had time to say so itself.
    assert_eq!(unknown(report), UnknownReason::Adapter);
}

#[tokio::test]
async fn a_provider_that_hangs_while_it_is_read_is_only_an_error() {
    let host = Host::new("saboteur", |_| Reply::Hang).await;
    let context = host.context_for(Duration::from_millis(300));
    let report = host.adapter.sms_get(&context, "m1").await;
    assert!(report.ledger[0].left);
    not_sent(report);
    host.provider.only();
}

#[tokio::test]
async fn reading_tells_what_the_provider_says() {
    let host = Host::new("acme-texts", |received| {
        if received.target == "/v1/messages/m1" {
            Reply::Answer(200, r#"{"id":"m1","state":"arrived"}"#.to_owned())
        } else {
            Reply::Answer(404, "{}".to_owned())
        }
    })
    .await;
    let found = host.adapter.sms_get(&host.context(), "m1").await;
    assert_eq!(accepted(found).status, "delivered");
    let absent = host.adapter.sms_get(&host.context(), "m2").await;
    match absent.outcome {
        Outcome::Declined(refusal) => assert_eq!(refusal.kind, RefusalKind::NotFound),
        other => panic!("{other:?}"),
    }
    let cut = host.adapter.sms_get(&host.context(), "../admin").await;
    assert!(!matches!(cut.outcome, Outcome::Accepted(_)));
    assert!(
        host.provider
            .received()
            .iter()
            .all(|received| received.target.starts_with("/v1/messages/"))
    );
}

#[tokio::test]
async fn a_capability_that_is_not_there_is_unsupported() {
    let host = Host::new("acme-texts", created).await;
    let report = host.adapter.email_get(&host.context(), "m1").await;
    assert!(matches!(
        report.outcome,
        Outcome::NotSent(NotSent::Unsupported(_))
    ));
}

#[tokio::test]
async fn a_deadline_in_the_past_cancels_before_the_adapter_runs() {
    let host = Host::new("acme-texts", created).await;
    let context = host.context_for(Duration::ZERO);
    let report = host.adapter.sms_send(&context, &request("hello")).await;
    assert_eq!(not_sent(report), NotSent::Cancelled);
    assert!(host.provider.received().is_empty());
}
