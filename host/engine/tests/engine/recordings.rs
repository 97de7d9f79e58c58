//! Calls that are recorded, and made again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use onerouter_engine::{
    CallContext, ConnectionContext, Credentials, FaultKind, Operation, Outcome, Recorder,
    Recording, ReplayError,
};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::host::{Host, OTHER, TOKEN, request};
use crate::provider::{Received, Reply};
use crate::secrets::echoes;

/// Keeps everything in memory.
#[derive(Debug, Default)]
struct Shelf {
    is_off: AtomicBool,
    asked: AtomicU32,
    kept: Mutex<Vec<Recording>>,
}

impl Recorder for Shelf {
    fn wants(&self, operation: &Operation) -> bool {
        assert_eq!(operation.to_string(), "sms.send");
        self.asked.fetch_add(1, Ordering::SeqCst);
        !self.is_off.load(Ordering::SeqCst)
    }

    fn keep(&self, recording: Recording) {
        self.kept.lock().unwrap().push(recording);
    }
}

impl Shelf {
    fn take(&self) -> Vec<Recording> {
        std::mem::take(&mut self.kept.lock().unwrap())
    }
}

/// The saboteur, whose calls are recorded.
async fn recorded(
    script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> (Host, CallContext, Arc<Shelf>) {
    let host = Host::new("saboteur", script).await;
    let shelf = Arc::new(Shelf::default());
    let before = &host.connection;
    let public = [("user".to_owned(), "user-1".to_owned())];
    let secret = [("token", TOKEN), ("other", OTHER)];
    let secret = secret.map(|(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned())));
    let connection = ConnectionContext {
        environment: before.environment,
        credentials: Credentials::new(public.into(), secret.into()).unwrap(),
        settings: before.settings.clone(),
        recorder: Some(Arc::clone(&shelf) as _),
    };
    let context = CallContext {
        connection: Arc::new(connection),
        ..host.context()
    };
    (host, context, shelf)
}

#[tokio::test]
async fn no_secret_is_in_a_recording() {
    for echo in echoes(TOKEN) {
        let body = format!(r#"{{"id":"m1","state":"queued","debug":"<{echo}>"}}"#);
        let (host, context, shelf) = recorded(move |_| Reply::Answer(201, body.clone())).await;
        let report = host.adapter.sms_send(&context, &request("echo")).await;
        assert!(matches!(report.outcome, Outcome::Accepted(_)), "{report:?}");
        let kept = shelf.take();
        let json = serde_json::to_value(&kept[0]).unwrap();
        let answer = json.pointer("/exchanges/0/told/answer/body").unwrap();
        let answer = STANDARD.decode(answer.as_str().unwrap()).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("<[redacted]>"), "{answer}");
        for text in [answer, json.to_string()] {
            assert!(
                !text.contains(&echo) && !text.contains(OTHER),
                "{echo}: {text}"
            );
        }
        // It is not shown by accident either.
        assert!(!format!("{:?}", kept[0]).contains("+15550002222"));
    }
}

#[tokio::test]
async fn a_recorded_call_is_made_again_without_the_provider() {
    let (host, context, shelf) = recorded(|_| Reply::created()).await;
    let report = host.adapter.sms_send(&context, &request("echo")).await;
    assert!(matches!(report.outcome, Outcome::Accepted(_)), "{report:?}");
    let sent = host.provider.received().len();
    assert_eq!(sent, 1);
    let recording = shelf.take().remove(0);
    assert_eq!(recording.operation, "sms.send");
    assert_eq!(recording.sha256, host.adapter.digest());
    let before = host.adapter.calls();
    let replay = host.adapter.replay(&recording).await.unwrap();
    assert_eq!((replay.differences, replay.fault), (Vec::new(), None));
    assert_eq!(host.provider.received().len(), sent);
    assert_eq!(host.adapter.calls(), before, "it counts for nothing");
    assert_eq!(shelf.take(), [], "nothing is recorded of it");

    // By way of text, as it is kept; and with another text, which the adapter sends on.
    let mut json = serde_json::to_value(&recording).unwrap();
    let mut params: Value = serde_json::from_str(json["params"].as_str().unwrap()).unwrap();
    params[0]["body"] = Value::from("panic-before");
    json["params"] = Value::from(params.to_string());
    let altered: Recording = serde_json::from_value(json.clone()).unwrap();
    let replay = host.adapter.replay(&altered).await.unwrap();
    assert_eq!(replay.fault.unwrap().kind, FaultKind::Panic);
    assert_eq!(replay.differences.len(), 2, "no request, and no result");
    params[0]["body"] = Value::from(7);
    json["params"] = Value::from(params.to_string());
    let altered: Recording = serde_json::from_value(json.clone()).unwrap();
    let unreadable = host.adapter.replay(&altered).await.unwrap_err();
    assert!(
        matches!(unreadable, ReplayError::Unreadable(_)),
        "{unreadable}"
    );
    json["operation"] = Value::from("sms.shout");
    let altered: Recording = serde_json::from_value(json).unwrap();
    let unreadable = host.adapter.replay(&altered).await.unwrap_err();
    assert!(unreadable.to_string().contains("sms.shout"), "{unreadable}");
}

#[tokio::test]
async fn what_is_too_large_breaks_down_or_is_not_wanted_is_not_recorded() {
    let large = format!(
        r#"{{"id":"m1","state":"queued","pad":"{}"}}"#,
        "x".repeat(200 << 10)
    );
    let (host, context, shelf) = recorded(move |_| Reply::Answer(201, large.clone())).await;
    let report = host.adapter.sms_send(&context, &request("plain")).await;
    assert!(!report.ledger.is_empty(), "{report:?}");
    assert_eq!(shelf.take(), []);

    let (host, context, shelf) = recorded(|_| Reply::created()).await;
    // A text of a megabyte is no parameter to be kept, though the call is made.
    let long = format!("plain {}", "x".repeat(1 << 20));
    let report = host.adapter.sms_send(&context, &request(&long)).await;
    assert!(!report.ledger.is_empty(), "{:?}", report.outcome);
    assert_eq!(shelf.take(), []);
    host.adapter
        .sms_send(&context, &request("trap-after"))
        .await;
    assert_eq!(shelf.take(), []);
    shelf.is_off.store(true, Ordering::SeqCst);
    host.adapter.sms_send(&context, &request("plain")).await;
    assert_eq!(shelf.take(), []);
    assert_eq!(shelf.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_version_that_does_not_offer_the_operation_any_more_says_so_in_few_words() {
    let (host, context, shelf) = recorded(|_| Reply::created()).await;
    host.adapter.sms_send(&context, &request("echo")).await;
    let mut json = serde_json::to_value(shelf.take().remove(0)).unwrap();
    let long = Value::from("x".repeat(10_000)).to_string();
    json["result"] = Value::from(long);
    let recording: Recording = serde_json::from_value(json).unwrap();
    let other = Host::new("acme-post", |_| Reply::created()).await;
    let replay = other.adapter.replay(&recording).await.unwrap();
    assert_eq!(replay.differences.len(), 1);
    let recorded = replay.differences[0].recorded.as_deref().unwrap();
    assert!(recorded.chars().count() < 400, "{}", recorded.len());
}
