//! The OCI distribution specification, as a client sees it.

use chrono::TimeDelta;
use onerouter_registry::Digest;
use onerouter_registry::server::Limits;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::server::{INDEX, Server, image, json_of, reason, refusal};
use crate::support::component;

const UPLOADS: &str = "/v2/acme-texts/blobs/uploads/";

#[tokio::test]
async fn a_blob_is_uploaded_at_once_and_read_back() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        let digest = acme.put_blob("acme-texts", b"0123456789").await;
        let path = format!("/v2/acme-texts/blobs/{digest}");
        let head = server.request(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers()["content-length"], "10");
        assert_eq!(head.headers()["docker-content-digest"], digest.to_string());
        let whole = server.get(&path).await;
        assert_eq!(whole.bytes().await.unwrap(), "0123456789");
        let part = server
            .request(Method::GET, &path)
            .header("range", "bytes=2-4")
            .send()
            .await
            .unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()["content-range"], "bytes 2-4/10");
        assert_eq!(part.bytes().await.unwrap(), "234");
        let beyond = server
            .request(Method::GET, &path)
            .header("range", "bytes=10-")
            .send()
            .await
            .unwrap();
        assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        let other = format!("/v2/acme-texts/blobs/{}", Digest::of(b"other"));
        assert_eq!(
            refusal(server.get(&other).await).await,
            (404, "BLOB_UNKNOWN".to_owned())
        );
    }
}

#[tokio::test]
async fn a_blob_is_uploaded_in_pieces_that_must_follow_each_other() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        let started = acme.send(Method::POST, UPLOADS, "").await;
        assert_eq!(started.status(), StatusCode::ACCEPTED);
        let place = started.headers()["location"].to_str().unwrap().to_owned();
        let piece = |range: &'static str, bytes: &'static str| {
            acme.request(Method::PATCH, &place)
                .header("content-range", range)
                .body(bytes)
                .send()
        };
        let first = piece("0-4", "01234").await.unwrap();
        assert_eq!(first.status(), StatusCode::ACCEPTED);
        assert_eq!(first.headers()["range"], "0-4");
        for range in ["0-4", "6-9", "bytes 9-3/*", "nonsense"] {
            let refused = piece(range, "56789").await.unwrap();
            assert_eq!(
                refused.status(),
                StatusCode::RANGE_NOT_SATISFIABLE,
                "{range}"
            );
        }
        assert_eq!(
            piece("5-7", "567").await.unwrap().status(),
            StatusCode::ACCEPTED
        );
        let status = acme.send(Method::GET, &place, "").await;
        assert_eq!(
            (status.status(), &status.headers()["range"]),
            (StatusCode::NO_CONTENT, &"0-7".parse().unwrap())
        );
        let wrong = acme
            .send(
                Method::PUT,
                &format!("{place}?digest={}", Digest::of(b"x")),
                "89",
            )
            .await;
        assert_eq!(refusal(wrong).await, (400, "DIGEST_INVALID".to_owned()));
        let digest = Digest::of(b"0123456789");
        let done = acme
            .send(Method::PUT, &format!("{place}?digest={digest}"), "89")
            .await;
        assert_eq!(done.status(), StatusCode::CREATED);
        let path = done.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(server.get(&path).await.bytes().await.unwrap(), "0123456789");
        let again = acme
            .send(Method::PUT, &format!("{place}?digest={digest}"), "")
            .await;
        assert_eq!(
            refusal(again).await,
            (404, "BLOB_UPLOAD_UNKNOWN".to_owned())
        );
    }
}

#[tokio::test]
async fn an_upload_can_be_cancelled_and_belongs_to_who_began_it() {
    let server = Server::start().await;
    let (acme, other) = (
        server.publisher("acme").await,
        server.publisher("other").await,
    );
    let started = acme.send(Method::POST, UPLOADS, "").await;
    let place = started.headers()["location"].to_str().unwrap().to_owned();
    let stranger = other.send(Method::PATCH, &place, "x").await;
    assert_eq!(
        refusal(stranger).await,
        (404, "BLOB_UPLOAD_UNKNOWN".to_owned())
    );
    let cancelled = acme.send(Method::DELETE, &place, "").await;
    assert_eq!(cancelled.status(), StatusCode::NO_CONTENT);
    let gone = acme.send(Method::PATCH, &place, "x").await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn abandoned_uploads_and_unused_blobs_are_cleared_away() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        let started = acme.send(Method::POST, UPLOADS, "").await;
        let place = started.headers()["location"].to_str().unwrap().to_owned();
        acme.send(Method::PATCH, &place, "0123").await;
        let unused = acme.put_blob("acme-texts", b"unused").await;
        assert_eq!(
            acme.push_image("acme-texts", "latest", b"used")
                .await
                .status(),
            StatusCode::CREATED
        );
        let used = format!("/v2/acme-texts/blobs/{}", Digest::of(b"used"));
        assert_eq!(objects(&server), 4, "a piece, and three blobs");
        server.registry.maintain().await.unwrap();
        assert_eq!(objects(&server), 4, "nothing is old yet");
        server.clock.advance(TimeDelta::days(2));
        assert_eq!(
            acme.send(Method::PATCH, &place, "4").await.status(),
            StatusCode::NOT_FOUND
        );
        server.registry.maintain().await.unwrap();
        assert_eq!(objects(&server), 2, "the image and its configuration");
        let gone = server.get(&format!("/v2/acme-texts/blobs/{unused}")).await;
        assert_eq!(gone.status(), StatusCode::NOT_FOUND);
        assert_eq!(server.get(&used).await.status(), StatusCode::OK);
    }
}

fn objects(server: &Server) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .map(|path| if path.is_dir() { count(&path) } else { 1 })
            .sum()
    }
    count(&server.folder.path().join("blobs"))
}

#[tokio::test]
async fn a_blob_of_another_repository_is_mounted() {
    let server = Server::start().await;
    let (acme, other) = (
        server.publisher("acme").await,
        server.publisher("other").await,
    );
    let digest = acme.put_blob("acme-texts", b"shared").await;
    let mount = |from: &str| format!("/v2/other-mails/blobs/uploads/?mount={digest}&from={from}");
    let mounted = other.send(Method::POST, &mount("acme-texts"), "").await;
    assert_eq!(mounted.status(), StatusCode::CREATED);
    let read = server.get(&format!("/v2/other-mails/blobs/{digest}")).await;
    assert_eq!(read.bytes().await.unwrap(), "shared");
    let nothing = mount("acme-mails").replace(&digest.to_string(), &Digest::of(b"x").to_string());
    for path in [
        nothing,
        mount("../etc").replace(&digest.to_string(), &Digest::of(b"y").to_string()),
    ] {
        let upload = other.send(Method::POST, &path, "").await;
        assert_eq!(upload.status(), StatusCode::ACCEPTED, "upload it yourself");
    }
}

#[tokio::test]
async fn only_the_publisher_of_a_name_pushes_to_it_and_everybody_pulls() {
    let server = Server::start().await;
    let (acme, other) = (
        server.publisher("acme").await,
        server.publisher("other").await,
    );
    acme.put_blob("acme-texts", b"x").await;
    let anonymous = server.request(Method::POST, UPLOADS).send().await.unwrap();
    assert!(
        anonymous.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Basic ")
    );
    assert_eq!(refusal(anonymous).await, (401, "UNAUTHORIZED".to_owned()));
    let wrong = server
        .request(Method::GET, "/v2/")
        .bearer_auth("orr_wrong")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        refusal(other.send(Method::POST, UPLOADS, "").await).await,
        (403, "DENIED".to_owned())
    );
    let stranger = other
        .put_manifest("acme-texts", "latest", &json!({"mediaType": INDEX}))
        .await;
    assert_eq!(refusal(stranger).await, (403, "DENIED".to_owned()));
    let basic = server
        .request(Method::POST, UPLOADS)
        .basic_auth("anything", Some(&acme.token))
        .send()
        .await
        .unwrap();
    assert_eq!(basic.status(), StatusCode::ACCEPTED);
    let open = server.get("/v2/").await;
    assert_eq!(open.status(), StatusCode::OK);
    assert!(
        open.headers().contains_key("www-authenticate"),
        "clients learn here how to log in"
    );
}

#[tokio::test]
async fn tokens_end() {
    let server = Server::start().await;
    let account = server.registry.create_account("acme").await.unwrap();
    let new = onerouter_registry::server::NewToken {
        label: "ci".to_owned(),
        lifetime: Some(TimeDelta::hours(1)),
    };
    let (token, secret) = server.registry.create_token(account.id, new).await.unwrap();
    let status = || async {
        let request = server.request(Method::GET, "/registry/v1/account");
        request
            .bearer_auth(secret.expose())
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(status().await, StatusCode::OK);
    server.clock.advance(TimeDelta::hours(1));
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
    server.clock.advance(TimeDelta::hours(-1));
    assert!(server.registry.revoke_token(token.id).await.unwrap());
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
    assert!(!server.registry.revoke_token(token.id).await.unwrap());
}

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
async fn a_tag_that_is_a_version_neither_moves_nor_goes_nor_lies() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        let good = component("acme-texts", "1.0.0");
        let first = acme.push_image("acme-texts", "1.0.0", &good).await;
        assert_eq!(first.status(), StatusCode::CREATED);
        let digest = first.headers()["docker-content-digest"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            acme.push_image("acme-texts", "1.0.0", &good).await.status(),
            StatusCode::CREATED
        );
        let mut changed = good.clone();
        changed.extend_from_slice(&[0, 2, 1, b'x']);
        let moved = acme.push_image("acme-texts", "1.0.0", &changed).await;
        assert_eq!(refusal(moved).await, (409, "DENIED".to_owned()));
        for reference in ["1.0.0", &digest] {
            let deleted = acme
                .send(
                    Method::DELETE,
                    &format!("/v2/acme-texts/manifests/{reference}"),
                    "",
                )
                .await;
            assert_eq!(deleted.status(), StatusCode::CONFLICT);
        }
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

#[tokio::test]
async fn there_is_no_way_around_a_name() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    let digest = Digest::of(b"x");
    for name in [
        "..",
        "a%2F..%2Fb",
        "Acme",
        "acme%00",
        "acme-",
        "%2e%2e%2fetc",
        "acme_texts",
    ] {
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let status = acme.send(Method::POST, &path, "x").await.status();
        assert!(
            matches!(status.as_u16(), 400 | 404 | 405),
            "{name}: {status}"
        );
    }
    for path in [
        "/v2/acme-texts/blobs/sha256:..%2F..%2Fregistry.db",
        "/v2/acme-texts/manifests/..%2Fx",
        "/v2/acme-texts/blobs/uploads/..%2Fx",
        "/v2/a/b/c/manifests/latest",
    ] {
        let response = acme.send(Method::GET, path, "").await;
        let status = response.status();
        assert!(status.is_client_error(), "{path}: {status}");
        let body = json_of(response).await;
        assert!(body["errors"][0]["code"].is_string(), "{path}: {body}");
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused() {
    let limits = Limits {
        blob_bytes_max: 1_000,
        manifest_bytes_max: 500,
        account_bytes_max: 1_800,
        account_uploads_max: 2,
        account_names_max: 2,
        ..Limits::default()
    };
    let server = Server::start_with(Server::limits(limits)).await;
    let acme = server.publisher("acme").await;
    let large = vec![b'x'; 1_001];
    let path = format!("{UPLOADS}?digest={}", Digest::of(&large));
    assert_eq!(
        refusal(acme.send(Method::POST, &path, large.clone()).await).await,
        (413, "SIZE_INVALID".to_owned())
    );
    // Without a length, it is counted while it comes.
    let pieces =
        futures_util::stream::iter((0..11).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100])));
    let endless = acme
        .send(Method::POST, &path, reqwest::Body::wrap_stream(pieces))
        .await;
    assert_eq!(refusal(endless).await, (413, "SIZE_INVALID".to_owned()));
    let started = acme.send(Method::POST, UPLOADS, "").await;
    let place = started.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(
        acme.send(Method::PATCH, &place, vec![b'x'; 600])
            .await
            .status(),
        StatusCode::ACCEPTED
    );
    assert_eq!(
        acme.send(Method::PATCH, &place, vec![b'x'; 600])
            .await
            .status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let manifest = json!({"mediaType": INDEX, "schemaVersion": 2, "manifests": [], "annotations": {"x": "y".repeat(500)}});
    assert_eq!(
        refusal(acme.put_manifest("acme-texts", "latest", &manifest).await).await,
        (413, "SIZE_INVALID".to_owned())
    );
    acme.put_blob("acme-texts", &[b'y'; 1_000]).await;
    let over = vec![b'z'; 300];
    let path = format!("{UPLOADS}?digest={}", Digest::of(&over));
    assert_eq!(
        reason(acme.send(Method::POST, &path, over).await).await,
        "the account keeps 1600 bytes and may keep 1800; 300 more do not fit"
    );
    assert_eq!(
        acme.send(Method::POST, UPLOADS, "").await.status(),
        StatusCode::ACCEPTED
    );
    assert_eq!(
        refusal(acme.send(Method::POST, UPLOADS, "").await).await,
        (429, "TOOMANYREQUESTS".to_owned())
    );
    acme.send(Method::DELETE, &place, "").await;
    assert_eq!(
        acme.send(Method::POST, "/v2/acme-mails/blobs/uploads/", "")
            .await
            .status(),
        StatusCode::ACCEPTED
    );
    assert_eq!(
        refusal(
            acme.send(Method::POST, "/v2/postbox/blobs/uploads/", "")
                .await
        )
        .await,
        (403, "DENIED".to_owned())
    );
}

#[tokio::test]
async fn who_asks_too_often_waits() {
    let limits = Limits {
        anonymous_per_minute: 3,
        account_per_minute: 2,
        ..Limits::default()
    };
    let server = Server::start_with(Server::limits(limits)).await;
    for _ in 0..3 {
        assert_eq!(server.get("/v2/").await.status(), StatusCode::OK);
    }
    let refused = server.get("/v2/").await;
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refusal(refused).await, (429, "TOOMANYREQUESTS".to_owned()));
    let guess = server
        .request(Method::GET, "/registry/v1")
        .bearer_auth("orr_guess")
        .send()
        .await
        .unwrap();
    assert_eq!(refusal(guess).await, (429, "rate_limited".to_owned()));
    let acme = server.publisher("acme").await;
    for expected in [200, 200, 429] {
        assert_eq!(acme.send(Method::GET, "/v2/", "").await.status(), expected);
    }
}
