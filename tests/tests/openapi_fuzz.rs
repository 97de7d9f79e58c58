//! The gateway held against its own OpenAPI document: Schemathesis sends what the document allows
//! and what it forbids, follows its links, and compares every answer with what is promised.
//!
//! The configuration stands in `tests/schemathesis`. Without further variables the run is seeded
//! and bounded; `cargo xtask soak` gives it more time and another seed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use onerouter::store::DEFAULT_TENANT;
use onerouter_sandbox::twilio::MESSAGING_SERVICE_SID;
use onerouter_tests::harness::{ADMIN_TOKEN, Client, Harness};
use serde_json::{Value, json};

/// The program, as `cargo xtask` has installed it.
const PROGRAM: &str = "ONEROUTER_TEST_SCHEMATHESIS";
/// Go on for so many seconds.
const SECONDS: &str = "ONEROUTER_FUZZ_SECONDS";
/// Begin elsewhere.
const SEED: &str = "ONEROUTER_FUZZ_SEED";
/// Inputs per operation and phase, where no time is given.
const EXAMPLES: &str = "12";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_the_document_allows_or_forbids_gets_another_answer_than_it_says() {
    let host = Harness::start().await;
    // Operators act on the default tenant: what they disconnect and revoke there is not what clients
    // stand on.
    let clients = host.tenant("Clients").await;
    host.connect_sandbox_of(&clients).await;
    schedule_texts(&host, &clients).await;
    let key = host.key_of(&clients, "test").await;

    // Naming the tenant that they act on without a header changes nothing.
    let default = DEFAULT_TENANT.to_string();
    let output = schemathesis(&host, &key, &default).await;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    println!("{text}");

    // Had the key been revoked or a provider been lost, most of the run would have shown nothing.
    for (path, body) in [
        ("/v1/sms", json!({"to": "+14155550123", "body": "Hi"})),
        (
            "/v1/email",
            json!({"to": "ada@example.com", "subject": "Hi", "text_body": "Hi"}),
        ),
    ] {
        let sent = key.post(path, body).await;
        assert_eq!(sent.status, 201, "{sent:?}");
    }
    let sent = host.provider_requests("method=POST").await.len();
    assert!(sent > 20, "only {sent} requests reached the providers");
}

/// Times to send at are taken only where the connection has a messaging service.
async fn schedule_texts(host: &Harness, operator: &Client) {
    let texts = host.sandbox.connections();
    let texts = texts.iter().find(|one| one.service == "sms").unwrap();
    let mut settings = texts.settings.clone();
    settings.insert("messaging_service_sid", MESSAGING_SERVICE_SID.to_owned());
    let path = format!("/api/services/sms/{}/connect", texts.provider);
    let body = json!({
        "environment": texts.environment,
        "credentials": texts.credentials,
        "settings": settings,
    });
    let replaced = operator.post(&path, body).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
}

async fn schemathesis(host: &Harness, key: &Client, tenant: &str) -> std::process::Output {
    let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis");
    let connections: Vec<Value> = host
        .sandbox
        .connections()
        .iter()
        .map(|connection| {
            json!({
                "service": connection.service,
                "provider": connection.provider,
                "credentials": connection.credentials,
                "settings": connection.settings,
            })
        })
        .collect();
    let mut command = tokio::process::Command::new(program());
    command
        .arg("--no-color")
        .arg("--config-file")
        .arg(configuration.join("schemathesis.toml"))
        .arg("run")
        .args(["--generation-database", "none"])
        .args(["--seed", &variable(SEED).unwrap_or_else(|| "1".to_owned())]);
    match variable(SECONDS) {
        Some(seconds) => command.args(["--max-time", &seconds, "--max-examples", "200"]),
        None => command.args(["--max-examples", EXAMPLES]),
    };
    command
        .arg(format!("{}/openapi.json", host.gateway.url()))
        .env("ONEROUTER_FUZZ_API_KEY", &key.token)
        .env("ONEROUTER_FUZZ_OPERATOR_TOKEN", ADMIN_TOKEN)
        .env("ONEROUTER_FUZZ_TENANT", tenant)
        .env(
            "ONEROUTER_FUZZ_CONNECTIONS",
            Value::from(connections).to_string(),
        )
        .env("PYTHONPATH", &configuration)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1")
        // It leaves a folder of its own where it runs.
        .current_dir(host.folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command.output().await.unwrap()
}

fn program() -> PathBuf {
    variable(PROGRAM).map_or_else(
        || panic!("{PROGRAM} is not set: run `cargo xtask test`, which installs Schemathesis"),
        PathBuf::from,
    )
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
