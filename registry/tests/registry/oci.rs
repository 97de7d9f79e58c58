//! The OCI distribution specification, as a client sees it.

use onerouter_registry::Digest;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::server::{INDEX, Server, image, json_of, reason, refusal};
use crate::support::component;

#[tokio::test]
async fn manifests_are_put_read_and_deleted_by_tag_and_digest() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        let put = acme.push_image("acme-texts", "latest", b"layer").await;
        assert_eq!(put.status(), StatusCode::CREATED);
        let digest = put.headers()["docker-content-digest"]
            .to_str()
            .unwrap()
            .to_owned();
        for reference in ["latest", &digest] {
            let path = format!("/v2/acme-texts/manifests/{reference}");
            let read = server.get(&path).await;
            assert_eq!(read.headers()["content-type"], crate::server::IMAGE);
            let body = read.bytes().await.unwrap();
            assert_eq!(Digest::of(&body).to_string(), digest);
            let head = server.request(Method::HEAD, &path).send().await.unwrap();
            assert_eq!(head.headers()["content-length"], body.len().to_string());
        }
        let untag = acme
            .send(Method::DELETE, "/v2/acme-texts/manifests/latest", "")
            .await;
        assert_eq!(untag.status(), StatusCode::ACCEPTED);
        let gone = server.get("/v2/acme-texts/manifests/latest").await;
        assert_eq!(refusal(gone).await, (404, "MANIFEST_UNKNOWN".to_owned()));
        let path = format!("/v2/acme-texts/manifests/{digest}");
        assert_eq!(
            acme.send(Method::DELETE, &path, "").await.status(),
            StatusCode::ACCEPTED
        );
        assert_eq!(server.get(&path).await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_manifest_must_be_one_and_name_only_what_is_there() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    let config = acme.put_blob("acme-texts", b"{}").await;
    let absent = Digest::of(b"absent");
    let put = |reference: String, manifest| {
        let acme = &acme;
        async move { refusal(acme.put_manifest("acme-texts", &reference, &manifest).await).await }
    };
    let missing = image(config, 2, ("application/wasm", absent, 6), None);
    assert_eq!(
        put("latest".into(), missing).await,
        (404, "MANIFEST_BLOB_UNKNOWN".to_owned())
    );
    let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": crate::server::IMAGE, "digest": absent, "size": 6}]});
    assert_eq!(
        put("latest".into(), list).await,
        (404, "MANIFEST_BLOB_UNKNOWN".to_owned())
    );
    let good = image(config, 2, ("text/plain", config, 2), None);
    assert_eq!(
        put(absent.to_string(), good).await,
        (400, "DIGEST_INVALID".to_owned())
    );
    for wrong in [
        json!({"mediaType": "application/vnd.docker.distribution.manifest.v2+json"}),
        json!({"mediaType": INDEX, "schemaVersion": 1, "manifests": []}),
        json!({"schemaVersion": 2, "config": {}, "layers": []}),
        json!([1, 2]),
    ] {
        assert_eq!(
            put("latest".into(), wrong).await,
            (400, "MANIFEST_INVALID".to_owned())
        );
    }
}

#[tokio::test]
async fn tags_are_listed_in_pages() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        for tag in ["b", "a", "C", "d"] {
            acme.push_image("acme-texts", tag, b"layer").await;
        }
        let all = server.get_json("/v2/acme-texts/tags/list").await;
        assert_eq!(
            all,
            json!({"name": "acme-texts", "tags": ["C", "a", "b", "d"]})
        );
        let page = server.get("/v2/acme-texts/tags/list?n=2").await;
        assert_eq!(
            page.headers()["link"],
            "</v2/acme-texts/tags/list?n=2&last=a>; rel=\"next\""
        );
        assert_eq!(json_of(page).await["tags"], json!(["C", "a"]));
        let rest = server.get("/v2/acme-texts/tags/list?n=2&last=a").await;
        assert!(!rest.headers().contains_key("link"));
        assert_eq!(json_of(rest).await["tags"], json!(["b", "d"]));
        let unknown = server.get("/v2/acme-mails/tags/list").await;
        assert_eq!(refusal(unknown).await, (404, "NAME_UNKNOWN".to_owned()));
    }
}

#[tokio::test]
async fn referrers_are_listed_by_type() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        let pushed = acme.push_image("acme-texts", "latest", b"layer").await;
        let subject: Digest = pushed.headers()["docker-content-digest"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let referrer = acme
            .push_statement("acme-texts", subject, b"statement")
            .await;
        assert_eq!(referrer.status(), StatusCode::CREATED);
        assert_eq!(referrer.headers()["oci-subject"], subject.to_string());
        let path = format!("/v2/acme-texts/referrers/{subject}");
        let all = server.get(&path).await;
        assert_eq!(all.headers()["content-type"], INDEX);
        assert!(!all.headers().contains_key("oci-filters-applied"));
        let found = json_of(all).await;
        assert_eq!(
            found["manifests"][0]["artifactType"],
            onerouter_registry::STATEMENT_TYPE
        );
        let filtered = server
            .get(&format!("{path}?artifactType=application/other"))
            .await;
        assert_eq!(filtered.headers()["oci-filters-applied"], "artifactType");
        assert_eq!(json_of(filtered).await["manifests"], json!([]));
        let none = server
            .get_json(&format!("/v2/acme-texts/referrers/{}", Digest::of(b"x")))
            .await;
        assert_eq!(none["manifests"], json!([]));
    }
}

#[tokio::test]
async fn a_version_that_is_published_neither_moves_nor_goes_and_no_tag_lies() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        let good = component("acme-texts", "1.0.0");
        let mut changed = good.clone();
        changed.extend_from_slice(&[0, 2, 1, b'x']);
        // Until it is published it may be mended.
        for attempt in [&changed, &good] {
            let pushed = acme.push_image("acme-texts", "1.0.0", attempt).await;
            assert_eq!(pushed.status(), StatusCode::CREATED);
        }
        let delete = async |reference: &str| {
            let path = format!("/v2/acme-texts/manifests/{reference}");
            acme.send(Method::DELETE, &path, "").await.status()
        };
        assert_eq!(delete("1.0.0").await, StatusCode::ACCEPTED);
        let first = acme.push_image("acme-texts", "1.0.0", &good).await;
        let digest = first.headers()["docker-content-digest"]
            .to_str()
            .unwrap()
            .to_owned();
        acme.add_key("acme-texts").await;
        let sidecar = acme.sign("acme-texts", "1.0.0", &good);
        acme.push_statement("acme-texts", digest.parse().unwrap(), &sidecar)
            .await;
        let body = json!({"version": "1.0.0"});
        let published = acme.post_json("/plugins/acme-texts/versions", &body).await;
        assert_eq!(published.status(), StatusCode::CREATED);
        assert_eq!(
            acme.push_image("acme-texts", "1.0.0", &good).await.status(),
            StatusCode::CREATED
        );
        let moved = acme.push_image("acme-texts", "1.0.0", &changed).await;
        assert_eq!(refusal(moved).await, (409, "DENIED".to_owned()));
        for reference in ["1.0.0", &digest] {
            assert_eq!(delete(reference).await, StatusCode::CONFLICT);
        }
        let config = acme.put_blob("acme-texts", b"{}").await;
        let layer = ("application/wasm", Digest::of(&good), good.len() - 1);
        let short = image(config, 2, layer, None);
        let short = acme.put_manifest("acme-texts", "short", &short).await;
        assert_eq!(refusal(short).await, (400, "MANIFEST_INVALID".to_owned()));
        let other = component("acme-mails", "1.0.0");
        for (tag, layer) in [
            ("1.0.1", &good),
            ("1.0.0-rc.1", &good),
            ("2.0.0", &other),
            ("2.0.0", &b"no component".to_vec()),
        ] {
            let refused = acme.push_image("acme-texts", tag, layer).await;
            assert!(matches!(refused.status().as_u16(), 400 | 422), "{tag}");
            assert!(reason(refused).await.contains("component"), "{tag}");
        }
    }
}
