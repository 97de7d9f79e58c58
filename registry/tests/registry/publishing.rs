//! From a component to a version: what a publisher does, and everything that is refused.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use chrono::TimeDelta;
use onerouter_registry::server::{CheckFailed, PublishCheck, Submission};
use onerouter_registry::{Digest, KeyPair};
use reqwest::{Response, StatusCode};
use serde_json::json;

use crate::server::{Publisher, Server, json_of, reason, refusal};
use crate::support::{SMS, at, component, component_of, manifest, statement};

const CANCEL: &str = "onerouter:sms/sms-cancel@1.0.0";

async fn publish_pushed(acme: &Publisher<'_>, version: &str) -> Response {
    acme.post_json("/plugins/acme-texts/versions", &json!({"version": version}))
        .await
}

fn digest_of(response: &Response) -> Digest {
    response.headers()["docker-content-digest"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn what_an_oci_client_pushed_is_published() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        assert_eq!(
            acme.add_key("acme-texts").await.status(),
            StatusCode::CREATED
        );
        let component = component("acme-texts", "1.0.0");
        let pushed = acme.push_image("acme-texts", "1.0.0", &component).await;
        let image = digest_of(&pushed);
        let unsigned = publish_pushed(&acme, "1.0.0").await;
        assert_eq!(
            refusal(unsigned).await,
            (422, "signature_refused".to_owned())
        );
        let sidecar = acme.sign("acme-texts", "1.0.0", &component);
        acme.push_statement("acme-texts", image, &sidecar).await;
        let published = publish_pushed(&acme, "1.0.0").await;
        assert_eq!(published.status(), StatusCode::CREATED);
        let version = json_of(published).await;
        assert_eq!(version["component"], Digest::of(&component).to_string());
        assert_eq!(version["capabilities"], json!(["sms"]));
        assert_eq!(version["statement"], String::from_utf8(sidecar).unwrap());
        let again = publish_pushed(&acme, "1.0.0").await;
        assert_eq!(refusal(again).await, (409, "immutable".to_owned()));
    }
}

#[tokio::test]
async fn a_component_is_published_in_one_request_and_pulled_by_oci_clients() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        acme.add_key("acme-texts").await;
        let component = acme.publish("acme-texts", "1.0.0").await;
        let image = server.get("/v2/acme-texts/manifests/1.0.0").await;
        let digest = digest_of(&image);
        let image = json_of(image).await;
        assert_eq!(
            image["layers"][0]["digest"],
            Digest::of(&component).to_string()
        );
        let referrers = server
            .get_json(&format!("/v2/acme-texts/referrers/{digest}"))
            .await;
        assert_eq!(
            referrers["manifests"][0]["artifactType"],
            onerouter_registry::STATEMENT_TYPE
        );
    }
}

#[tokio::test]
async fn a_statement_that_does_not_hold_publishes_nothing() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        acme.add_key("acme-texts").await;
        let good = component("acme-texts", "1.0.0");
        let signed = |key: &KeyPair, name: &str, version: &str, component: &[u8]| {
            statement(key, name, version, component)
                .sign(key)
                .unwrap()
                .to_json()
        };
        let stranger = KeyPair::generate();
        let mut expired = statement(&acme.key, "acme-texts", "1.0.0", &good);
        expired.issued = at(-10);
        expired.expires = at(-1);
        let mut flipped = acme.sign("acme-texts", "1.0.0", &good);
        let end = flipped.len() - 10;
        flipped[end] ^= 1;
        for (sidecar, why) in [
            (
                signed(&acme.key, "acme-texts", "1.0.0", b"other"),
                "swapped",
            ),
            (
                signed(&acme.key, "acme-mails", "1.0.0", &good),
                "acme-mails",
            ),
            (signed(&acme.key, "acme-texts", "1.0.1", &good), "1.0.1"),
            (
                signed(&stranger, "acme-texts", "1.0.0", &good),
                "not listed",
            ),
            (expired.sign(&acme.key).unwrap().to_json(), "ended"),
            (flipped, "signature"),
            (b"{}".to_vec(), "cannot be used"),
        ] {
            let refused = acme.send_version("acme-texts", &good, &sidecar).await;
            assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{why}");
            let said = reason(refused).await;
            assert!(said.contains(why), "{why}: {said}");
        }
        let nothing = server
            .get_json("/registry/v1/plugins/acme-texts/versions")
            .await;
        assert_eq!(nothing["data"], json!([]));
        let tags = server.get_json("/v2/acme-texts/tags/list").await;
        assert_eq!(tags["tags"], json!([]), "and no version is used up");
    }
}

#[tokio::test]
async fn a_damaged_or_mislabelled_component_is_refused() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    let good = component("acme-texts", "1.0.0");
    let mails = component("acme-mails", "1.0.0");
    for (component, why) in [
        (
            good[..good.len() - 20].to_vec(),
            "not a valid WebAssembly component",
        ),
        (b"\0asm\x01\0\0\0".to_vec(), "core WebAssembly module"),
        (b"hello".to_vec(), "not a valid WebAssembly component"),
        (mails, "says that it is acme-mails 1.0.0"),
    ] {
        let sidecar = acme.sign("acme-texts", "1.0.0", &component);
        let refused = acme.send_version("acme-texts", &component, &sidecar).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let said = reason(refused).await;
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[tokio::test]
async fn a_key_that_was_revoked_publishes_no_more() {
    for server in Server::start_on_each().await {
        let mut acme = server.publisher("acme").await;
        acme.add_key("acme-texts").await;
        acme.publish("acme-texts", "1.0.0").await;
        let path = format!("/plugins/acme-texts/keys/{}/revoke", acme.key.public().id());
        let revoked = acme.post_json(&path, &json!({"reason": "lost"})).await;
        assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
        let component = component("acme-texts", "1.0.1");
        let sidecar = acme.sign("acme-texts", "1.0.1", &component);
        let refused = acme.send_version("acme-texts", &component, &sidecar).await;
        assert!(
            reason(refused)
                .await
                .contains("may no longer publish acme-texts: lost")
        );
        assert_eq!(
            acme.add_key("acme-texts").await.status(),
            StatusCode::CONFLICT
        );
        server.clock.advance(TimeDelta::seconds(1));
        acme.key = KeyPair::generate();
        acme.add_key("acme-texts").await;
        acme.publish("acme-texts", "1.0.1").await;
        let keys = server
            .get_json("/registry/v1/plugins/acme-texts/keys")
            .await;
        assert_eq!(keys["data"][0]["revoked_reason"], "lost");
        assert_eq!(keys["data"][1]["revoked_at"], json!(null));
    }
}

#[tokio::test]
async fn a_version_that_breaks_what_it_follows_needs_a_major() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    let send = |version: &'static str, exports: &'static [&'static str]| {
        let acme = &acme;
        async move {
            let component = component_of(manifest("acme-texts", version), exports, "");
            let sidecar = acme.sign("acme-texts", version, &component);
            acme.send_version("acme-texts", &component, &sidecar).await
        }
    };
    assert_eq!(
        send("1.0.0", &[SMS, CANCEL]).await.status(),
        StatusCode::CREATED
    );
    let refused = send("1.1.0", &[SMS]).await;
    assert_eq!(
        reason(refused).await,
        "version 1.1.0 cannot follow 1.0.0: onerouter:sms/sms-cancel is no longer exported. Publish it as 2.0.0 or later, or keep what was there"
    );
    assert_eq!(send("2.0.0", &[SMS]).await.status(), StatusCode::CREATED);
    assert_eq!(
        send("1.0.1", &[SMS, CANCEL]).await.status(),
        StatusCode::CREATED,
        "a fix of an old major"
    );
}

#[derive(Debug)]
struct NoBetas;

impl PublishCheck for NoBetas {
    fn name(&self) -> &'static str {
        "stability"
    }

    fn check<'a>(
        &'a self,
        submission: Submission<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<(), CheckFailed>> + Send + 'a>> {
        Box::pin(async move {
            if submission.manifest.version.pre.is_empty() {
                return Ok(());
            }
            let previous = submission
                .previous
                .map(|previous| previous.version.to_string());
            Err(CheckFailed(format!("no betas after {previous:?}")))
        })
    }
}

#[tokio::test]
async fn a_check_of_the_operators_is_asked_before_anything_is_published() {
    let server = Server::start_with(|config| config.checks.push(Arc::new(NoBetas))).await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    acme.publish("acme-texts", "1.0.0").await;
    let beta = component("acme-texts", "2.0.0-beta.1");
    let sidecar = acme.sign("acme-texts", "2.0.0-beta.1", &beta);
    let refused = acme.send_version("acme-texts", &beta, &sidecar).await;
    assert_eq!(
        reason(refused).await,
        "stability: no betas after Some(\"1.0.0\")"
    );
}

#[tokio::test]
async fn publishers_of_one_version_at_the_same_moment_publish_it_once() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        acme.add_key("acme-texts").await;
        let component = component("acme-texts", "1.0.0");
        let sidecar = acme.sign("acme-texts", "1.0.0", &component);
        let tries = (0..8).map(|_| acme.send_version("acme-texts", &component, &sidecar));
        let answers = futures_util::future::join_all(tries).await;
        let created = answers
            .iter()
            .filter(|answer| answer.status() == StatusCode::CREATED)
            .count();
        let refused = answers
            .iter()
            .filter(|answer| answer.status() == StatusCode::CONFLICT)
            .count();
        assert_eq!((created, refused), (1, 7));
    }
}

#[tokio::test]
async fn a_version_must_fit_the_one_above_it_too() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        acme.add_key("acme-texts").await;
        acme.publish("acme-texts", "1.0.0").await;
        acme.publish("acme-texts", "1.2.0").await;
        let send = async |version: &str, exports: &[&str]| {
            let component = component_of(manifest("acme-texts", version), exports, "");
            let sidecar = acme.sign("acme-texts", version, &component);
            acme.send_version("acme-texts", &component, &sidecar).await
        };
        let more = send("1.1.0", &[SMS, CANCEL]).await;
        assert_eq!(
            refusal(more).await,
            (422, "incompatible_version".to_owned())
        );
        let same = send("1.1.0", &[SMS]).await;
        assert_eq!(same.status(), StatusCode::CREATED);
        let next = send("2.0.0-rc.1", &["onerouter:email/email@1.0.0"]).await;
        assert_eq!(next.status(), StatusCode::CREATED, "a breaking one, early");
    }
}
