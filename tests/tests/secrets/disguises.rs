//! Where the promise ends: a provider that knows a secret can write it so that nobody recognises it.

use onerouter_tests::harness::{Harness, Setup};
use serde_json::json;

use crate::canaries::{CANARIES, credentials};
use crate::echo::{Echo, HOST};
use crate::encodings::disguised;
use crate::search::count;

#[tokio::test]
async fn an_echo_in_pieces_or_in_disguise_is_not_recognised() {
    let echo = Echo::start().await;
    let host = spied_on(&echo).await;
    let acme = host.key("test").await;
    for canary in CANARIES {
        let forms = disguised(canary.secret);
        let text = format!("listen {} disguised {} sent", canary.scheme, forms.len());
        let sent = acme.post(
            "/v1/sms",
            json!({"to": "+14155550123", "from_number": "+14155550100", "body": text}),
        );
        let sent = sent.await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let from = format!("{}/disguised", canary.scheme);
        let loot = echo.loot();
        let memory = &loot.iter().find(|loot| loot.from == from).unwrap().memory;
        assert_eq!(count(memory, canary.secret.as_bytes()), 0, "{from}");
        for (disguise, form) in forms {
            assert!(
                count(memory, form.as_bytes()) > 0,
                "{from}: {disguise} is recognised now; say so in the threat model"
            );
        }
    }
}

/// A gateway in this process with the spy connected to the echo.
pub async fn spied_on(echo: &Echo) -> Harness {
    let host = Harness::with(Setup {
        fixtures: vec!["spy"],
        upstreams: vec![(HOST.to_owned(), echo.url())],
        unconnected: true,
        ..Setup::default()
    })
    .await;
    let connect = json!({"environment": "test", "credentials": credentials()});
    let operator = host.operator();
    let connected = operator
        .post("/api/services/sms/spy/connect", connect)
        .await;
    assert_eq!(connected.status, 201, "{connected:?}");
    host
}
