//! A provider that nobody thought of, from its folder in `examples/` to a delivered message.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chrono::TimeDelta;
use onerouter_tests::harness::{Harness, Setup, built};
use onerouter_tests::write_path::advance;
use serde_json::json;

use crate::program::Program;

/// Textbelt in a few lines of Python.
struct Mock {
    child: Child,
    base: String,
}

impl Mock {
    fn start(example: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["mock.py", "0"])
            .current_dir(example)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut base = String::new();
        let data = child.stdout.take().unwrap();
        BufReader::new(data).read_line(&mut base).unwrap();
        Self {
            child,
            base: base.trim().to_owned(),
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_fifth_provider_delivers_a_message() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/textbelt");
    let fixtures = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures");
    let place = fixtures.canonicalize().unwrap().with_file_name("authors");
    let plugin = place.join("textbelt.wasm");
    std::fs::create_dir_all(&place).unwrap();
    let output = Command::new(Program::binary().canonicalize().unwrap())
        .args(["plugin", "build", "--output"])
        .arg(&plugin)
        .current_dir(&example)
        .env("CARGO_TARGET_DIR", place.join("target"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");

    let mock = Mock::start(&example);
    let host = Harness::with(Setup {
        components: vec![plugin],
        upstreams: vec![("textbelt.com".to_owned(), mock.base.clone())],
        unconnected: true,
        ..Setup::default()
    })
    .await;
    let operator = host.operator();
    let connect = async |key: &str| {
        let body = json!({
            "environment": "test", "credentials": {"key": key},
            "settings": {"sender_name": "Chairs"},
        });
        let path = "/api/services/sms/textbelt/connect";
        operator.post(path, body).await.status
    };
    assert_eq!(connect("textbelt-key-1").await, 201);
    let client = host.key("test").await;
    let message = |to: &str| json!({"to": to, "body": "Grüße"});
    let sent = client.post("/v1/sms", message("+4915187654321")).await;
    assert_eq!(
        (sent.status, sent.text("status")),
        (201, "queued"),
        "{sent:?}"
    );
    for status in ["sent", "delivered"] {
        advance(&host, TimeDelta::seconds(3));
        let read = client.get(&format!("/v1/sms/{}", sent.text("id"))).await;
        assert_eq!(read.text("status"), status, "{read:?}");
    }
    let refused = client.post("/v1/sms", message("+4915187654000")).await;
    assert_eq!(
        (refused.status, refused.code()),
        (422, "provider_rejected"),
        "{refused:?}"
    );
    assert_eq!(connect("textbelt-key-2").await, 200);
    let unknown = client.post("/v1/sms", message("+4915187654321")).await;
    assert_eq!(
        (unknown.status, unknown.code()),
        (422, "provider_auth_failed"),
        "{unknown:?}"
    );
}
