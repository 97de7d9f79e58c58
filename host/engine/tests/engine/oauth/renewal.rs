//! Tokens that the provider does not accept any more.

use std::sync::atomic::{AtomicUsize, Ordering};

use onerouter_engine::{LedgerAnswer, NotSent, Outcome, RefusalKind, UnknownReason};

use super::{accepted, component_with, crowd, granting, heard, host, is_token_request, numbering};
use crate::host::{Host, config};
use crate::provider::{Received, Reply};

/// As [`numbering`], but messages with the first token are refused.
fn revoking() -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    let numbering = numbering();
    move |received| match received.header("authorization") {
        Some("Bearer access-token-1") => Reply::Answer(401, "{}".to_owned()),
        _ => numbering(received),
    }
}

fn not_processed(status: u16) -> Option<LedgerAnswer> {
    Some(LedgerAnswer {
        status,
        not_processed: true,
    })
}

#[tokio::test]
async fn a_write_whose_token_is_refused_is_sent_again_with_a_fresh_one() {
    let component = component_with(|manifest| {
        let rule = onerouter_manifest::OperationRule {
            idempotency: Some(onerouter_manifest::IdempotencyRule {
                header: "Idempotency-Key".to_owned(),
                window_s: 3_600,
            }),
        };
        manifest.operations.insert("sms.send".to_owned(), rule);
    });
    let host = Host::loading(config(), component, revoking()).await;
    let report = host.send("with-key").await;
    let [refused, sent] = report.ledger.as_slice() else {
        panic!("{:?}", report.ledger);
    };
    assert!(refused.state_changing && refused.left);
    assert_eq!(refused.answer, not_processed(401));
    assert!(sent.state_changing && sent.left);
    assert_eq!(sent.answer.unwrap().status, 201);
    assert!(
        report.logs[0].message.contains("it is renewed"),
        "{:?}",
        report.logs
    );
    accepted(report);

    let [first, second] = ["Bearer access-token-1", "Bearer access-token-2"];
    assert_eq!(heard(&host), ["token", first, "token", second]);
    let received = host.provider.received();
    assert_eq!(received[1].body, received[3].body);
    assert_eq!(received[1].target, received[3].target);
    let keys = [1, 3].map(|at| received[at].header("idempotency-key"));
    assert_eq!(keys, [Some("key-1"); 2]);

    // The fresh one stays.
    accepted(host.send("with-key").await);
    assert_eq!(heard(&host)[4..], [second]);
}

#[tokio::test]
async fn a_second_refusal_is_the_adapters() {
    let numbering = numbering();
    let host = host(move |received| match is_token_request(received) {
        true => numbering(received),
        false => Reply::Answer(401, "{}".to_owned()),
    })
    .await;
    let report = host.send("hello").await;
    assert_eq!(report.ledger.len(), 2);
    assert_eq!(report.ledger[0].answer, not_processed(401));
    let last = report.ledger[1].answer.unwrap();
    assert_eq!((last.status, last.not_processed), (401, false));
    match report.outcome {
        Outcome::Declined(refusal) => assert_eq!(refusal.kind, RefusalKind::Unauthorized),
        other => panic!("{other:?}"),
    }
    let [first, second] = ["Bearer access-token-1", "Bearer access-token-2"];
    assert_eq!(heard(&host), ["token", first, "token", second]);
}

#[tokio::test]
async fn a_repetition_without_an_answer_leaves_the_outcome_unknown() {
    let revoking = revoking();
    let host = host(move |received| match received.header("authorization") {
        Some("Bearer access-token-2") => Reply::Cut(""),
        _ => revoking(received),
    })
    .await;
    let report = host.send("hello").await;
    assert_eq!(report.ledger[0].answer, not_processed(401));
    assert!(report.ledger[1].left && report.ledger[1].answer.is_none());
    match report.outcome {
        Outcome::Unknown(unknown) => assert_eq!(unknown.reason, UnknownReason::Adapter),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_fresh_token_means_that_nothing_was_processed() {
    let asked = AtomicUsize::new(0);
    let host = host(move |received| {
        if !is_token_request(received) {
            return Reply::Answer(401, "{}".to_owned());
        }
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => granting("access-token-1"),
            _ => Reply::Answer(503, String::new()),
        }
    })
    .await;
    let report = host.send("hello").await;
    assert_eq!(report.ledger[0].answer, not_processed(401));
    assert!(!report.ledger[1].left);
    match report.outcome {
        Outcome::NotSent(NotSent::Adapter(failure)) => assert!(failure.retryable),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_without_a_token_is_left_alone() {
    let host = host(|_| Reply::Answer(401, "{}".to_owned())).await;
    let report = host.send("auth-header").await;
    assert_eq!(report.ledger.len(), 1);
    assert!(!report.ledger[0].answer.unwrap().not_processed);
    host.provider.only();
}

#[tokio::test]
async fn many_calls_with_a_refused_token_renew_it_once() {
    let revoking = revoking();
    let (reports, host) = crowd(20, move |received, may| {
        match received.header("authorization") {
            Some("Bearer access-token-1") => Reply::Later(may, 401, "{}".to_owned()),
            _ => revoking(received),
        }
    })
    .await;
    for report in reports {
        accepted(report);
    }
    let heard = heard(&host);
    let count = |what: &str| heard.iter().filter(|heard| *heard == what).count();
    assert_eq!(count("token"), 2);
    assert_eq!(count("Bearer access-token-1"), 20);
    assert_eq!(count("Bearer access-token-2"), 20);
}
