//! Clients and registries that others wrote.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{OciDescriptor, OciImageManifest, OciManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use onerouter_registry::client::{self, Source};
use onerouter_registry::{Digest, KeyPair, Listing, STATEMENT_TYPE, Trust};
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::server::{IMAGE, Publisher, Server};
use crate::support::{at, component, statement};

/// What else is needed is named by the environment; `cargo xtask` sets it.
fn program(variable: &str) -> Option<OsString> {
    env::var_os(variable)
}

async fn publish(acme: &Publisher<'_>) {
    let version = json!({"version": "1.0.0"});
    let published = acme
        .post_json("/plugins/acme-texts/versions", &version)
        .await;
    assert_eq!(published.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn the_oci_client_of_the_rust_world_pushes_pulls_and_finds_referrers() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    let config = ClientConfig {
        protocol: ClientProtocol::Http,
        ..ClientConfig::default()
    };
    let client = Client::new(config);
    let auth = RegistryAuth::Basic("acme".to_owned(), acme.token.clone());
    let image: Reference = format!("{}/acme-texts:1.0.0", server.address)
        .parse()
        .unwrap();
    let component = component("acme-texts", "1.0.0");
    let layer = ImageLayer::new(component.clone(), "application/wasm".to_owned(), None);
    let config = Config::new(
        b"{}".to_vec(),
        "application/vnd.wasm.config.v0+json".to_owned(),
        None,
    );
    client
        .push(&image, &[layer], config, &auth, None)
        .await
        .unwrap();
    let (_, digest) = client
        .pull_manifest(&image, &RegistryAuth::Anonymous)
        .await
        .unwrap();

    let sidecar = acme.sign("acme-texts", "1.0.0", &component);
    let descriptor = |media_type: &str, digest: &str, size: usize| OciDescriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_owned(),
        size: i64::try_from(size).unwrap(),
        ..OciDescriptor::default()
    };
    let (statement, empty) = (
        Digest::of(&sidecar).to_string(),
        Digest::of(b"{}").to_string(),
    );
    client
        .push_blob(&image, sidecar.clone(), &statement)
        .await
        .unwrap();
    let referrer = OciImageManifest {
        artifact_type: Some(STATEMENT_TYPE.to_owned()),
        config: descriptor("application/vnd.oci.empty.v1+json", &empty, 2),
        layers: vec![descriptor(STATEMENT_TYPE, &statement, sidecar.len())],
        subject: Some(descriptor(IMAGE, &digest, 1)),
        media_type: Some(IMAGE.to_owned()),
        ..OciImageManifest::default()
    };
    let tag: Reference = format!("{}/acme-texts:statement", server.address)
        .parse()
        .unwrap();
    client
        .push_manifest(&tag, &OciManifest::Image(referrer))
        .await
        .unwrap();
    publish(&acme).await;

    let pulled = client
        .pull(&image, &RegistryAuth::Anonymous, vec!["application/wasm"])
        .await
        .unwrap();
    assert_eq!(pulled.layers[0].data, component);
    let referrers = client
        .pull_referrers(&image.clone_with_digest(digest), Some(STATEMENT_TYPE))
        .await
        .unwrap();
    assert_eq!(referrers.manifests.len(), 1);
    let tags = client
        .list_tags(&image, &RegistryAuth::Anonymous, None, None)
        .await
        .unwrap();
    assert_eq!(tags.tags, ["1.0.0", "statement"]);
}

/// With `ONEROUTER_TEST_ORAS_PYTHON`: a Python that has `oras`.
#[tokio::test]
async fn the_oras_client_of_pypi_pushes_what_is_then_published() {
    let Some(python) = program("ONEROUTER_TEST_ORAS_PYTHON") else {
        return;
    };
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    let folder = server.folder.path().join("oras");
    std::fs::create_dir(&folder).unwrap();
    let good = component("acme-texts", "1.0.0");
    std::fs::write(folder.join("plugin.wasm"), &good).unwrap();
    let sidecar = acme.sign("acme-texts", "1.0.0", &good);
    std::fs::write(folder.join("plugin.wasm.sig"), &sidecar).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oras/push_and_pull.py");
    let output = Command::new(python)
        .arg(script)
        .args([
            &server.address.to_string(),
            &acme.token,
            "acme-texts",
            "1.0.0",
        ])
        .args(["plugin.wasm", "plugin.wasm.sig", "pulled"])
        .current_dir(&folder)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    publish(&acme).await;
    let source =
        Source::parse(&format!("oci://{}/acme-texts:1.0.0", server.address), None).unwrap();
    let client = client::Client::new(client::ClientConfig::default()).unwrap();
    let fetched = client.fetch(&source, None, &|_progress| {}).await.unwrap();
    let trust = Trust::nobody().key(acme.key.public().id());
    assert!(fetched.verify(at(0), Listing::NoRegistry, &trust).is_ok());
}

/// With `ONEROUTER_TEST_DOCKER_REGISTRY`: the program of Debian's `docker-registry`, which does not
/// know referrers.
#[tokio::test]
async fn a_registry_without_referrers_is_pushed_to_and_pulled_from() {
    let Some(program) = program("ONEROUTER_TEST_DOCKER_REGISTRY") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (_running, address) = docker_registry(program, folder.path()).await;
    let key = KeyPair::generate();
    let good = component("acme-texts", "1.0.0");
    let sidecar = statement(&key, "acme-texts", "1.0.0", &good)
        .sign(&key)
        .unwrap()
        .to_json();
    let client = client::Client::new(client::ClientConfig::default()).unwrap();
    let text = format!("oci://{address}/acme/texts:1.0.0");
    let source = Source::parse(&text, None).unwrap();
    client
        .push(&text.parse().unwrap(), &good, None)
        .await
        .unwrap();
    let unsigned = client.fetch(&source, None, &|_progress| {}).await.unwrap();
    assert_eq!(unsigned.statement, None);
    client
        .push(&text.parse().unwrap(), &good, Some(&sidecar))
        .await
        .unwrap();
    let fetched = client.fetch(&source, None, &|_progress| {}).await.unwrap();
    assert_eq!(fetched.component, good);
    let trust = Trust::nobody().key(key.public().id());
    assert!(fetched.verify(at(0), Listing::NoRegistry, &trust).is_ok());
}

/// Listens on a port that it picks itself, and says in its log which one.
async fn docker_registry(program: OsString, folder: &Path) -> (Child, String) {
    const LISTENS: &str = "listening on ";
    let config = folder.join("config.yml");
    let root = folder.join("root");
    let text = json!({
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": root}},
        "http": {"addr": "127.0.0.1:0"},
    });
    // JSON is YAML.
    std::fs::write(&config, text.to_string()).unwrap();
    let mut child = Command::new(program)
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(LISTENS) {
        line.clear();
        let length = log.read_line(&mut line).await.unwrap();
        assert_ne!(length, 0, "docker-registry does not listen");
    }
    // Whoever closes it ends the program; what it says in a test fits into a pipe.
    child.stderr = Some(log.into_inner());
    let (_, address) = line.split_once(LISTENS).unwrap();
    let address = address.split('"').next().unwrap().to_owned();
    (child, address)
}
