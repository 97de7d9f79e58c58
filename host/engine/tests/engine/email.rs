//! E-mail, batches of e-mails and the check of an account, and the key that a manifest promises.

use onerouter_engine::{
    FaultKind, ItemRefusal, LedgerAnswer, NotSent, Outcome, RefusalKind, UnknownReason,
};

use crate::host::{Host, TOKEN, config, fixture};
use crate::neighbours::{not_sent, unknown};
use crate::packing::repacked;
use crate::provider::{Received, Reply};
use crate::standard::email;

fn answering(status: u16, body: &'static str) -> impl Fn(&Received) -> Reply + Send + Sync {
    move |_| Reply::Answer(status, body.to_owned())
}

async fn post(status: u16, body: &'static str) -> Host {
    Host::new("acme-post", answering(status, body)).await
}

#[tokio::test]
async fn an_email_that_the_provider_takes_is_accepted() {
    let host = post(201, r#"{"id":"m1"}"#).await;
    let report = host
        .adapter
        .email_send(&host.context(), &email("hello"))
        .await;
    let answer = LedgerAnswer {
        status: 201,
        not_processed: false,
    };
    assert_eq!(report.ledger[0].answer, Some(answer));
    assert!(report.ledger[0].state_changing);
    let Outcome::Accepted(message) = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    assert_eq!(
        (message.provider_id.as_str(), message.status.as_str()),
        ("m1", "queued")
    );
    let received = host.provider.only();
    assert_eq!(
        (received.method.as_str(), received.target.as_str()),
        ("POST", "/v1/emails")
    );
    assert_eq!(received.header("idempotency-key"), Some("key-1"));
    assert_eq!(
        received.header("authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );
}

#[tokio::test]
async fn an_email_is_read_and_canceled() {
    let host = post(200, r#"{"id":"m1"}"#).await;
    let report = host.adapter.email_get(&host.context(), "m1").await;
    assert!(!report.ledger[0].state_changing);
    let Outcome::Accepted(message) = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    assert_eq!(message.status, "delivered");

    let report = host.adapter.email_cancel(&host.context(), "m1").await;
    assert!(report.ledger[0].state_changing);
    let Outcome::Accepted(message) = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    assert_eq!(message.status, "canceled");
    let targets: Vec<_> = host
        .provider
        .received()
        .into_iter()
        .map(|received| received.target)
        .collect();
    assert_eq!(targets, ["/v1/emails/m1", "/v1/emails/m1/cancel"]);
}

#[tokio::test]
async fn each_refusal_of_an_email_has_its_kind() {
    for (status, kind) in [
        (400, RefusalKind::Declined),
        (401, RefusalKind::Unauthorized),
        (404, RefusalKind::NotFound),
        (409, RefusalKind::InvalidState),
    ] {
        let host = post(status, "{}").await;
        let context = host.context();
        let sent = host
            .adapter
            .email_send(&context, &email("hello"))
            .await
            .outcome;
        let read = host.adapter.email_get(&context, "m1").await.outcome;
        let canceled = host.adapter.email_cancel(&context, "m1").await.outcome;
        for outcome in [sent, read, canceled] {
            assert!(
                matches!(&outcome, Outcome::Declined(refusal) if refusal.kind == kind),
                "{status}: {outcome:?}"
            );
        }
    }
    let host = post(429, "").await;
    let report = host
        .adapter
        .email_send(&host.context(), &email("hello"))
        .await;
    assert!(
        matches!(report.outcome, Outcome::NotSent(NotSent::Adapter(_))),
        "{:?}",
        report.outcome
    );
}

#[tokio::test]
async fn an_email_without_a_complete_answer_is_unknown() {
    let host = Host::new("acme-post", |_| {
        Reply::Cut("HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{")
    })
    .await;
    let context = host.context();
    for outcome in [
        host.adapter
            .email_send(&context, &email("hello"))
            .await
            .outcome,
        host.adapter.email_cancel(&context, "m1").await.outcome,
    ] {
        assert!(
            matches!(&outcome, Outcome::Unknown(unknown) if unknown.reason == UnknownReason::Adapter),
            "{outcome:?}"
        );
    }
    let report = host
        .adapter
        .email_send_batch(&context, &[email("a"), email("b")], "key-2")
        .await;
    assert!(
        matches!(report.outcome, Outcome::Unknown(_)),
        "{:?}",
        report.outcome
    );
}

#[tokio::test]
async fn an_email_with_an_empty_id_is_malformed() {
    let host = post(201, "{}").await;
    let report = host
        .adapter
        .email_send(&host.context(), &email("hello"))
        .await;
    assert_eq!(unknown(&report).kind, FaultKind::Malformed);
    let report = host.adapter.email_get(&host.context(), "m1").await;
    assert_eq!(not_sent(&report).kind, FaultKind::Malformed);
}

#[tokio::test]
async fn each_email_of_a_batch_has_its_own_end() {
    let host = post(200, "m1\n\nm3\n").await;
    let emails = [email("a"), email("b"), email("c")];
    let report = host
        .adapter
        .email_send_batch(&host.context(), &emails, "key-2")
        .await;
    let Outcome::Accepted(results) = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    let [Ok(first), Err(ItemRefusal::Declined(refusal)), Ok(third)] = results.as_slice() else {
        panic!("{results:?}");
    };
    assert_eq!(
        (first.provider_id.as_str(), third.provider_id.as_str()),
        ("m1", "m3")
    );
    assert_eq!(refusal.kind, RefusalKind::Declined);
    let received = host.provider.only();
    assert_eq!(
        (received.target.as_str(), received.body.as_str()),
        ("/v1/batch", "a\nb\nc")
    );
    assert_eq!(received.header("idempotency-key"), Some("key-2"));
}

#[tokio::test]
async fn a_batch_with_a_result_too_few_is_unknown() {
    let host = post(200, "m1\nm2\n").await;
    let emails = [email("a"), email("short")];
    let report = host
        .adapter
        .email_send_batch(&host.context(), &emails, "key-2")
        .await;
    let fault = unknown(&report);
    assert_eq!(fault.kind, FaultKind::Malformed);
    assert!(
        fault.detail.contains("1 results for 2 e-mails"),
        "{}",
        fault.detail
    );
}

#[tokio::test]
async fn an_id_that_stands_for_two_emails_of_a_batch_says_nothing_about_either() {
    let host = post(200, "m1\nm2\n").await;
    let emails = [email("a"), email("twice")];
    let report = host
        .adapter
        .email_send_batch(&host.context(), &emails, "key-2")
        .await;
    let Outcome::Accepted(results) = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    assert!(
        matches!(
            results.as_slice(),
            [Err(ItemRefusal::Unknown(_)), Err(ItemRefusal::Unknown(_))]
        ),
        "{results:?}"
    );
}

#[tokio::test]
async fn an_account_is_checked_by_reading() {
    let host = post(200, r#"{"id":"account-1"}"#).await;
    let report = host.adapter.account_check(&host.context()).await;
    assert!(!report.ledger[0].state_changing);
    let Outcome::Accepted(account) = report.outcome else {
        panic!("{:?}", report.outcome);
    };
    assert_eq!(account.provider_id.as_deref(), Some("account-1"));
    assert_eq!(account.name.as_deref(), Some("Acme"));
    assert_eq!(host.provider.only().target, "/v1/account");
}

#[tokio::test]
async fn credentials_that_the_provider_refuses_are_unauthorized() {
    let host = post(401, "{}").await;
    let report = host.adapter.account_check(&host.context()).await;
    assert!(
        matches!(&report.outcome, Outcome::Declined(refusal) if refusal.kind == RefusalKind::Unauthorized),
        "{:?}",
        report.outcome
    );
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_no_verdict() {
    // Nothing was changed, so nothing is unknown.
    let host = Host::new("acme-post", |_| Reply::Cut("")).await;
    let report = host.adapter.account_check(&host.context()).await;
    assert!(
        matches!(report.outcome, Outcome::NotSent(_)),
        "{:?}",
        report.outcome
    );
    // An id that is no id.
    let host = post(200, "{}").await;
    let report = host.adapter.account_check(&host.context()).await;
    assert_eq!(not_sent(&report).kind, FaultKind::Malformed);
}

#[tokio::test]
async fn what_an_adapter_does_not_offer_is_unsupported() {
    let host = Host::new("acme-texts", answering(200, "{}")).await;
    let context = host.context();
    let check = host.adapter.account_check(&context).await.outcome.map(drop);
    let send = host
        .adapter
        .email_send(&context, &email("hello"))
        .await
        .outcome
        .map(drop);
    let batch = host
        .adapter
        .email_send_batch(&context, &[email("hello")], "key-2")
        .await
        .outcome
        .map(drop);
    for (outcome, lacks) in [
        (check, "account-check"),
        (send, "email"),
        (batch, "email-batch"),
    ] {
        let Outcome::NotSent(NotSent::Unsupported(text)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(text, format!("Acme Texts does not offer {lacks}"));
    }
    assert!(host.provider.received().is_empty());
}

/// A repetition relies on the key: a request that changes something does not leave without it.
#[tokio::test]
async fn a_request_without_the_promised_key_does_not_leave() {
    let host = post(201, r#"{"id":"m1"}"#).await;
    let context = host.context();
    let single = host.adapter.email_send(&context, &email("keyless")).await;
    let batch = host
        .adapter
        .email_send_batch(&context, &[email("a"), email("keyless")], "key-2")
        .await;
    for (fault, ledger) in [
        (not_sent(&single), &single.ledger),
        (not_sent(&batch), &batch.ledger),
    ] {
        assert_eq!(fault.kind, FaultKind::Other);
        assert!(fault.detail.starts_with("header_key: "), "{}", fault.detail);
        assert!(ledger.is_empty());
    }
    assert!(host.provider.received().is_empty());
}

/// The header must hold this operation's key and no other. Reading needs none, and neither does an
/// operation for which nothing was promised.
#[tokio::test]
async fn the_promised_key_is_that_of_the_operation() {
    let promising = repacked(&fixture("saboteur"), |manifest| {
        let acme = onerouter_manifest::unpack(&fixture("acme-post"))
            .unwrap()
            .manifest;
        let promise = acme.operations["email.send"].clone();
        manifest.operations.insert("sms.send".to_owned(), promise);
    });
    let host = Host::loading(config(), promising, |_| Reply::created()).await;
    for (text, leaves) in [
        ("with-key", true),
        ("hello", false),
        ("wrong-key", false),
        ("no-auth", false),
        ("auth-form", false),
    ] {
        let report = host.send(text).await;
        assert_eq!(
            matches!(report.outcome, Outcome::Accepted(_)),
            leaves,
            "{text}: {:?}",
            report.outcome
        );
        assert_eq!(report.ledger.len(), usize::from(leaves), "{text}");
        if !leaves {
            assert!(
                not_sent(&report).detail.contains("header_key"),
                "{text}: {:?}",
                report.outcome
            );
        }
    }
    assert_eq!(
        host.provider.only().header("idempotency-key"),
        Some("key-1")
    );
    // A read inside the same operation.
    let report = host.send("slow").await;
    assert_eq!(report.ledger.len(), 1);
    assert!(!report.ledger[0].state_changing && report.ledger[0].answer.is_some());
    // Another operation.
    let report = host.adapter.sms_cancel(&host.context(), "m1").await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );
}
