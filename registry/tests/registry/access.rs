//! Who may push, how much, and how often.

use std::io;
use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::{StreamExt as _, stream};
use onerouter_registry::Digest;
use onerouter_registry::server::Limits;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::sync::Notify;

use crate::server::{INDEX, Server, json_of, reason, refusal};

const UPLOADS: &str = "/v2/acme-texts/blobs/uploads/";

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
    let files = std::fs::read_dir(server.folder.path()).unwrap();
    for file in files
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file())
    {
        let bytes = std::fs::read(&file).unwrap();
        let secret = secret.expose().as_bytes();
        let found = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "a token is kept in {}", file.display());
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
    let pieces = stream::iter((0..11).map(|_| Ok::<_, io::Error>(vec![b'x'; 100])));
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
async fn one_account_does_not_take_every_place() {
    const PIECE: &[u8] = &[0; 64 << 10];
    /// More than what lies between client and server: so much is sent only when somebody reads.
    const PIECES: usize = 256;

    let limits = Limits {
        bodies_at_once: 2,
        account_bodies_at_once: 1,
        ..Limits::default()
    };
    let server = Server::start_with(Server::limits(limits)).await;
    let (acme, other) = (
        server.publisher("acme").await,
        server.publisher("other").await,
    );
    let path = format!("{UPLOADS}?digest={}", Digest::of(b"x"));
    let is_read = Arc::new(Notify::new());
    let slow = || {
        let is_read = Arc::clone(&is_read);
        let pieces = stream::iter(std::iter::repeat_n(PIECE, PIECES)).map(Ok::<_, io::Error>);
        let rest = stream::once(async move {
            is_read.notify_one();
            std::future::pending().await
        });
        let body = reqwest::Body::wrap_stream(pieces.chain(rest));
        acme.send(Method::POST, &path, body)
    };
    let others = async {
        is_read.notified().await;
        other.put_blob("other-texts", b"y").await;
        let added = acme.add_key("acme-texts").await;
        assert_eq!(added.status(), StatusCode::CREATED, "that is small");
    };
    let slow_ones = async { tokio::join!(slow(), slow()) };
    tokio::select! {
        () = others => {}
        ended = slow_ones => panic!("they were waited for: {ended:?}"),
    }
}

#[tokio::test]
async fn guesses_of_tokens_are_counted_before_they_are_looked_up() {
    let limits = Limits {
        address_per_minute: 3,
        ..Limits::default()
    };
    let server = Server::start_with(Server::limits(limits)).await;
    let guess = || async {
        let request = server.request(Method::GET, "/registry/v1");
        let guessed = request.bearer_auth("orr_guess").send().await;
        guessed.unwrap().status().as_u16()
    };
    for expected in [401, 401, 401, 429] {
        assert_eq!(guess().await, expected);
    }
    assert_eq!(server.get("/v2/").await.status(), StatusCode::OK);
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
    // A socket for both families writes addresses of IPv4 so; they are as many as otherwise.
    let from = async |address: &str| {
        let request = server.request(Method::GET, "/v2/");
        let request = request.header("test-address", address);
        request.send().await.unwrap().status()
    };
    for _ in 0..3 {
        assert_eq!(from("::ffff:192.0.2.1").await, StatusCode::OK);
        assert_eq!(from("2001:db8:0:100::1").await, StatusCode::OK);
    }
    assert_eq!(from("192.0.2.1").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(from("::ffff:192.0.2.2").await, StatusCode::OK);
    let neighbour = from("2001:db8:0:1ff::1").await;
    assert_eq!(neighbour, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(from("2001:db8:0:200::1").await, StatusCode::OK);
    let acme = server.publisher("acme").await;
    for expected in [200, 200, 429] {
        assert_eq!(acme.send(Method::GET, "/v2/", "").await.status(), expected);
    }
}
