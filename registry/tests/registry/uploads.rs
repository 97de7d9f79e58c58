//! Uploading blobs, and reading them.

use chrono::TimeDelta;
use onerouter_registry::Digest;
use reqwest::{Method, StatusCode};

use crate::server::{Server, refusal};
use crate::support::at;

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
    count(&server.folder.path().join("blobs/objects"))
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
async fn what_a_node_left_behind_that_died_is_collected() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        acme.push_image("acme-texts", "latest", b"used").await;
        let started = acme.send(Method::POST, UPLOADS, "").await;
        let place = started.headers()["location"].to_str().unwrap().to_owned();
        acme.send(Method::PATCH, &place, "a piece").await;
        let folder = server.folder.path().join("blobs/objects");
        // Version 7, of the time at which all tests begin.
        let stray = format!("{:012x}70008000000000000000", at(0).timestamp_millis());
        std::fs::create_dir_all(folder.join("00")).unwrap();
        std::fs::write(folder.join("00").join(stray), "stray").unwrap();
        std::fs::write(folder.join("00").join("somebody-elses"), "other").unwrap();
        assert_eq!(
            server.registry.collect_orphans().await.unwrap(),
            0,
            "it may get its row yet"
        );
        server.clock.advance(TimeDelta::days(2));
        assert_eq!(server.registry.collect_orphans().await.unwrap(), 1);
        assert_eq!(
            objects(&server),
            4,
            "two blobs, a piece, and what is not ours"
        );
    }
}

#[tokio::test]
async fn quotas_hold_for_uploads_in_pieces_and_at_the_same_time() {
    for database in Server::databases().await {
        let limits = onerouter_registry::server::Limits {
            account_bytes_max: 1_000,
            ..Default::default()
        };
        let server = Server::start_on(database, Server::limits(limits)).await;
        let acme = server.publisher("acme").await;
        let started = acme.send(Method::POST, UPLOADS, "").await;
        let place = started.headers()["location"].to_str().unwrap().to_owned();
        let whole = vec![b'x'; 800];
        let piece = acme.send(Method::PATCH, &place, whole.clone()).await;
        assert_eq!(piece.status(), StatusCode::ACCEPTED);
        let path = format!("{place}?digest={}", Digest::of(&whole));
        let done = acme.send(Method::PUT, &path, "").await;
        assert_eq!(done.status(), StatusCode::CREATED, "it is counted once");
        let uploads = (0..8_u8).map(|number| {
            let bytes = vec![number; 150];
            let path = format!("{UPLOADS}?digest={}", Digest::of(&bytes));
            let acme = &acme;
            async move { acme.send(Method::POST, &path, bytes).await.status() }
        });
        let kept = futures_util::future::join_all(uploads).await;
        let kept = kept.iter().filter(|status| status.is_success()).count();
        assert_eq!(kept, 1);
    }
}

#[tokio::test]
async fn what_a_client_hangs_up_on_is_kept_or_gone() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    acme.put_blob("acme-texts", b"first").await;
    for number in 0..40_u8 {
        let bytes = vec![number; 100_000];
        let path = format!("{UPLOADS}?digest={}", Digest::of(&bytes));
        let upload = acme.send(Method::POST, &path, bytes);
        let wait = std::time::Duration::from_micros(u64::from(number) * 300);
        drop(tokio::time::timeout(wait, upload).await);
    }
    server.registry.close().await.unwrap();
    let rows = server.count("select count(*) from registry_blobs").await;
    assert_eq!(objects(&server), usize::try_from(rows).unwrap());
}

#[tokio::test]
async fn a_push_replaces_a_damaged_blob() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    let digest = acme.put_blob("acme-texts", b"whole").await;
    let kept = files(&server.folder.path().join("blobs/objects"));
    std::fs::write(&kept[0], b"").unwrap();
    acme.put_blob("acme-texts", b"whole").await;
    let read = server.get(&format!("/v2/acme-texts/blobs/{digest}")).await;
    assert_eq!(read.bytes().await.unwrap(), "whole");
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir(folder).unwrap();
    folders
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|object| object.unwrap().path())
        .collect()
}
