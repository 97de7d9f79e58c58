//! A guest that asks a token endpoint itself: what is answered there would be no secret to anybody.

use onerouter_engine::{Denial, NotSent, Outcome};

use super::{component_with, numbering};
use crate::host::{Host, config};

#[tokio::test]
async fn an_adapter_may_not_ask_a_token_endpoint_itself() {
    let component = component_with(|manifest| {
        for rule in &mut manifest.outbound {
            "/".clone_into(&mut rule.path_prefix);
        }
        let mut elsewhere = manifest.outbound[0].clone();
        "elsewhere.example".clone_into(&mut elsewhere.host);
        manifest.outbound.push(elsewhere);
    });
    let host = Host::loading(config(), component, numbering()).await;
    let api = "https://api.saboteur.example";
    let mut wrong = Vec::new();
    for (method, auth, url) in [
        ("POST", "basic", format!("{api}/oauth2/token")),
        ("POST", "token", format!("{api}/oauth2/token")),
        ("POST", "", format!("{api}/oauth2/token")),
        ("GET", "basic", format!("{api}/oauth2/token")),
        ("POST", "basic", format!("{api}/oauth2/token/")),
        (
            "POST",
            "basic",
            format!("{api}/oauth2/token?grant_type=client_credentials"),
        ),
        ("POST", "basic", format!("{api}/oauth2/token/?a=b")),
        ("POST", "basic", format!("{api}/OAuth2/Token")),
        ("POST", "basic", format!("{api}/OAUTH2/TOKEN/")),
        ("POST", "basic", format!("{api}/oauth2/token;a=b")),
        ("POST", "basic", format!("{api}/oauth2;a/token;b")),
        ("POST", "basic", format!("{api}/oauth2/token%3Ba")),
        ("POST", "basic", format!("{api}/oauth2/token%20")),
        ("POST", "basic", format!("{api}/oauth2/token.")),
        (
            "POST",
            "basic",
            "https://elsewhere.example/oauth2/token".to_owned(),
        ),
        (
            "POST",
            "basic",
            "https://unheard-of.example/oauth2/token".to_owned(),
        ),
    ] {
        let report = host
            .send(&["request ", method, auth, &url, "empty", ""].join("\u{1f}"))
            .await;
        let expected = Denial::TokenEndpoint.code();
        match &report.outcome {
            Outcome::NotSent(NotSent::Fault(fault)) if fault.detail.starts_with(expected) => {}
            other => wrong.push((method, auth, url, format!("{other:?}"))),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The spellings that no URL may have anyway.
    for path in [
        "/oauth2//token",
        "/oauth2/./token",
        "/oauth2/x/../token",
        "/oauth2/%74oken",
        "/oauth2%2Ftoken",
        "/oauth2/token%00",
        "/oauth2\\token",
    ] {
        let url = format!("{api}{path}");
        let text = ["request ", "POST", "basic", &url, "empty", ""].join("\u{1f}");
        let report = host.send(&text).await;
        let refused = matches!(report.outcome, Outcome::NotSent(NotSent::Fault(_)));
        assert!(refused && report.ledger.is_empty(), "{path}: {report:?}");
    }
    assert!(host.provider.received().is_empty());

    let text = [
        "request ",
        "POST",
        "token",
        &format!("{api}/oauth2/tokens"),
        "empty",
        "",
    ];
    host.send(&text.join("\u{1f}")).await;
    assert_eq!(host.provider.received()[1].target, "/oauth2/tokens");
}
