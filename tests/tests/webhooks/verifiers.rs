//! The official libraries accept what is sent, unmodified.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use chrono::TimeDelta;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::rig::Rig;

/// The interpreter, as `cargo xtask` has installed it.
const PYTHON: &str = "ONEROUTER_TEST_WEBHOOK_VERIFIERS_PYTHON";
/// The folder of the packages, as `cargo xtask` has installed them.
const NODE: &str = "ONEROUTER_TEST_WEBHOOK_VERIFIERS_NODE";

/// Deliveries, and what to verify them with.
async fn given(signing: &str) -> Value {
    let ground = Ground::sqlite().await;
    let rig = Rig::new(&ground).await;
    let endpoint = rig.endpoint("/hooks", json!({ "signing": signing })).await;
    rig.happens(1, 1).await;
    rig.host.deliver().await;
    // Signed with both from here on.
    let path = format!("/v1/webhook-endpoints/{}/rotate-secret", endpoint.id);
    let rotated = rig.acme.post(&path, json!({})).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    rig.host.clock.advance(TimeDelta::seconds(1));
    rig.happens(1, 2).await;
    rig.host.deliver().await;
    let deliveries: Vec<_> = rig
        .receiver
        .received("/hooks")
        .iter()
        .map(|one| {
            let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
            let headers: serde_json::Map<_, _> = headers
                .into_iter()
                .map(|name| (name.to_owned(), json!(one.header(name))))
                .collect();
            json!({"headers": headers, "body": String::from_utf8(one.body.to_vec()).unwrap()})
        })
        .collect();
    assert_eq!(deliveries.len(), 2);
    let verifier = [endpoint.secret];
    match signing {
        "hmac" => json!({"secrets": verifier, "public_keys": [], "deliveries": deliveries}),
        _ => json!({"secrets": [], "public_keys": verifier, "deliveries": deliveries}),
    }
}

fn provided(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable} is not set; run cargo xtask test"))
        .into()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("webhook_verifiers")
        .join(name)
}

async fn accepts(command: &mut Command, given: &Value) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(given.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_libraries_of_python_accept_deliveries() {
    let python = provided(PYTHON);
    let given = given("hmac").await;
    accepts(Command::new(python).arg(script("verify.py")), &given).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_libraries_of_node_accept_deliveries() {
    let packages = provided(NODE);
    // They know no `v1a`; Node itself does.
    for signing in ["hmac", "ed25519"] {
        let given = given(signing).await;
        let mut node = Command::new("node");
        node.arg(script("verify.mjs")).arg(&packages);
        accepts(&mut node, &given).await;
    }
}
