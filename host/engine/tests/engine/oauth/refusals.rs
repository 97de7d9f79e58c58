//! Token endpoints that give no token: nothing is sent then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use onerouter_engine::wit::sms::Message;
use onerouter_engine::{CallReport, NotSent, Outcome, RefusalKind};

use super::{accepted, crowd, granting, host, is_token_request};
use crate::host::{Host, TOKEN, request};
use crate::provider::{Received, Reply};

/// Nobody was reached, as far as the outcome goes.
#[track_caller]
fn unreachable(report: &CallReport<Message>) {
    let Outcome::NotSent(NotSent::Unreachable(Some(failure))) = &report.outcome else {
        panic!("{:?}", report.outcome);
    };
    assert!(failure.retryable, "{failure:?}");
    let [entry] = report.ledger.as_slice() else {
        panic!("{:?}", report.ledger);
    };
    assert!(!entry.left && entry.answer.is_none());
    let told = report
        .logs
        .iter()
        .any(|line| line.message.starts_with("no access token: "));
    assert!(told, "{:?}", report.logs);
}

/// The endpoint answers so, once; the second time well.
async fn answering(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Host {
    let asked = AtomicUsize::new(0);
    host(move |received| {
        if !is_token_request(received) {
            return Reply::created();
        }
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => reply(),
            _ => granting("access-token-2"),
        }
    })
    .await
}

#[tokio::test]
async fn an_endpoint_that_is_down_or_busy_means_that_nothing_was_sent() {
    for status in [301, 302, 304, 408, 429, 500, 502, 503, 504, 599] {
        let host = answering(move || Reply::Answer(status, r#"{"error":"busy"}"#.to_owned())).await;
        unreachable(&host.send("hello").await);
        assert_eq!(host.provider.received().len(), 1, "{status}");
        // The next call asks anew.
        accepted(host.send("hello").await);
    }
}

#[tokio::test]
async fn an_endpoint_that_breaks_off_means_that_nothing_was_sent() {
    for cut in [
        "",
        "HTTP/1.1 200 O",
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"access_token\":\"access-token-1\"",
        "HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"access-token-1\",\"token_type\":\"bearer\"}",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        "nonsense\r\n\r\n",
    ] {
        let host = answering(move || Reply::Cut(cut)).await;
        unreachable(&host.send("hello").await);
        assert_eq!(host.provider.received().len(), 1, "{cut:?}");
        accepted(host.send("hello").await);
    }
}

#[tokio::test]
async fn an_answer_without_a_usable_token_means_that_nothing_was_sent() {
    let large = format!(
        r#"{{"access_token":"access-token-1","token_type":"bearer","a":"{}"}}"#,
        "x".repeat(64 << 10)
    );
    let long = format!(
        r#"{{"access_token":"{}","token_type":"bearer"}}"#,
        "t".repeat(4_097)
    );
    for body in [
        large.as_str(),
        &long,
        "",
        "<html>Sign in</html>",
        r#"{"error":"invalid_client"}"#,
        r#"{"access_token":"short","token_type":"bearer"}"#,
        r#"{"access_token":"tok\r\nX-Admin: yes","token_type":"bearer"}"#,
        r#"{"access_token":"tok\u0000tok\u0000tok","token_type":"bearer"}"#,
        r#"{"access_token":"tok tok tok tok","token_type":"bearer"}"#,
        r#"{"access_token":"töken-töken","token_type":"bearer"}"#,
        r#"{"access_token":1234567890,"token_type":"bearer"}"#,
        r#"{"access_token":["access-token-1"],"token_type":"bearer"}"#,
        r#"{"access_token":"access-token-1","token_type":"mac"}"#,
        r#"{"access_token":"access-token-1"}"#,
        r#"{"access_token":"access-token-1","token_type":"bearer","expires_in":-3600}"#,
        r#"{"access_token":"access-token-1","token_type":"bearer","expires_in":0}"#,
        r#"{"access_token":"access-token-1","token_type":"bearer","expires_in":"soon"}"#,
    ] {
        let answer = body.to_owned();
        let host = answering(move || Reply::Answer(200, answer.clone())).await;
        let report = host.send("hello").await;
        unreachable(&report);
        let printed = format!("{report:?}");
        assert!(!printed.contains("access-token-1"), "{printed}");
        assert_eq!(host.provider.received().len(), 1, "{body}");
        accepted(host.send("hello").await);
    }
}

#[tokio::test]
async fn a_refused_client_is_to_the_adapter_as_if_its_request_were_refused() {
    for (status, kind) in [
        (400, RefusalKind::Declined),
        (401, RefusalKind::Unauthorized),
        (403, RefusalKind::Declined),
    ] {
        let host = host(move |received| match is_token_request(received) {
            true => Reply::Answer(status, r#"{"error":"invalid_client"}"#.to_owned()),
            false => Reply::created(),
        })
        .await;
        let report = host.send("hello").await;
        match report.outcome {
            Outcome::Declined(refusal) => assert_eq!(refusal.kind, kind, "{status}"),
            other => panic!("{status}: {other:?}"),
        }
        assert!(report.ledger.is_empty(), "{:?}", report.ledger);
        assert!(
            report.logs[0].message.contains("refused the client"),
            "{:?}",
            report.logs
        );
        assert_eq!(host.provider.received().len(), 1);
    }
}

/// The endpoint repeats what it was sent: the secret as a form's field, within base64.
#[tokio::test]
async fn a_refusal_that_repeats_the_secret_reaches_the_adapter_without_it() {
    let host = host(|received| {
        let sent = received.header("authorization").unwrap();
        let body = format!(r#"{{"error":"invalid_client","seen":"<{sent}>","key":"<{TOKEN}>"}}"#);
        Reply::AnswerWith(400, ("x-echo", sent.to_owned()), body)
    })
    .await;
    let message = accepted(host.send("echo").await);
    assert_eq!(
        message.raw.as_deref(),
        Some(r#"{"error":"invalid_client","seen":"<Basic [redacted]>","key":"<[redacted]>"}"#)
    );
    assert_eq!(message.sender, None);
}

#[tokio::test]
async fn fifty_calls_at_the_same_time_share_one_failure() {
    for (status, is_declined) in [(503, false), (401, true)] {
        let (reports, host) = crowd(50, move |_, may| {
            Reply::Later(may, status, r#"{"error":"no"}"#.to_owned())
        })
        .await;
        assert_eq!(reports.len(), 50);
        for report in reports {
            if is_declined {
                let declined = matches!(report.outcome, Outcome::Declined(_));
                assert!(declined, "{:?}", report.outcome);
            } else {
                unreachable(&report);
            }
        }
        assert_eq!(host.provider.received().len(), 1, "{status}");
        // Who comes later asks anew.
        host.send("hello").await;
        assert_eq!(host.provider.received().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_takes_no_longer_than_the_call() {
    let host = host(|_| Reply::Hang).await;
    let context = host.context_for(Duration::from_millis(300));
    let report = host.adapter.sms_send(&context, &request("hello")).await;
    unreachable(&report);
}

/// The one who asks has little time; the other waits for it, and then asks itself.
#[tokio::test]
async fn a_call_whose_time_is_over_does_not_fail_the_others() {
    let host = answering(|| Reply::Hang).await;
    let short = host.context_for(Duration::from_millis(300));
    let long = host.context();
    let [hello, later] = [request("hello"), request("hello")];
    let first = host.adapter.sms_send(&short, &hello);
    let second = async {
        host.provider.wait_for(1).await;
        host.adapter.sms_send(&long, &later).await
    };
    let (first, second) = tokio::join!(first, second);
    unreachable(&first);
    accepted(second);
}

/// So does one that is dropped while it asks.
#[tokio::test]
async fn a_call_that_is_dropped_does_not_fail_the_others() {
    let host = answering(|| Reply::Hang).await;
    let context = host.context();
    let [hello, later] = [request("hello"), request("hello")];
    let dropped = async {
        tokio::select! {
            _ = host.adapter.sms_send(&context, &hello) => panic!("it hangs"),
            () = host.provider.wait_for(1) => {}
        }
    };
    let second = async {
        host.provider.wait_for(1).await;
        host.adapter.sms_send(&context, &later).await
    };
    let ((), second) = tokio::join!(dropped, second);
    accepted(second);
}

/// One endpoint that hangs is given up for all who wait, long before they have to end.
#[tokio::test]
async fn an_exchange_has_a_limit_of_its_own() {
    let host = answering(|| Reply::Hang).await;
    let context = host.context_for(Duration::from_secs(3_600));
    let hello = request("hello");
    let call = host.adapter.sms_send(&context, &hello);
    let advance = async {
        host.provider.wait_for(1).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(11)).await;
    };
    let (report, ()) = tokio::join!(call, advance);
    unreachable(&report);
    assert!(report.duration < Duration::from_secs(20), "{report:?}");
}

#[tokio::test]
async fn the_limit_of_requests_is_the_adapters_own() {
    let host = host(|received: &Received| match is_token_request(received) {
        true => granting("access-token-1"),
        false => Reply::Answer(200, "{}".to_owned()),
    })
    .await;
    // Eight of its own are allowed.
    host.send("many-requests").await;
    assert_eq!(host.provider.received().len(), 9);
}
