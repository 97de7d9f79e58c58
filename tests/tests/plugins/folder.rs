//! The watched folder of a running gateway.

use std::path::Path;

use onerouter_registry::KeyPair;
use onerouter_registry::client::sidecar_of;
use onerouter_tests::acme;
use onerouter_tests::harness::{Client, Harness};
use onerouter_tests::node::{Node, NodeSetup};
use onerouter_tests::write_path::eventually;
use serde_json::{Value, json};

/// The program, watching a folder.
struct Watching {
    node: Node,
    folder: tempfile::TempDir,
    http: reqwest::Client,
}

impl Watching {
    fn start(settings: Vec<(&'static str, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        let data_dir = folder.path().join("data");
        let mut settings = settings;
        settings.push(("ONEROUTER_PLUGINS_DIR", plugins.display().to_string()));
        let node = Node::start(&NodeSetup {
            database_url: format!("sqlite://{}", folder.path().join("rows.db").display()),
            data_dir,
            upstreams: Vec::new(),
            port: 0,
            settings,
        });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { node, folder, http }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("plugins").join(name)
    }

    async fn list(&self) -> Value {
        let operator = Client::at(
            &self.node.base,
            onerouter_tests::harness::ADMIN_TOKEN,
            &self.http,
        );
        let list = operator.get("/api/plugins").await;
        assert_eq!(list.status, 200, "{list:?}");
        list.json
    }

    /// The version that serves.
    async fn active(&self) -> Option<String> {
        let list = self.list().await;
        let versions = list["data"].get(0)?["installations"].as_array()?.clone();
        let active = versions.iter().find(|one| one["state"] == "active")?;
        Some(active["version"].as_str()?.to_owned())
    }

    async fn until_active(&self, version: &str) {
        eventually(&format!("{version} serves"), async || {
            self.active().await.as_deref() == Some(version)
        })
        .await;
    }

    async fn until_refused(&self, words: &str) {
        eventually(&format!("refused: {words}"), async || {
            let list = self.list().await;
            let refused = list["refused"].as_array().unwrap().iter();
            let mut reasons = refused.map(|one| one["reason"].as_str().unwrap());
            reasons.any(|reason| reason.contains(words))
        })
        .await;
    }
}

/// In one piece, as a careful copy does it.
fn put(path: &Path, bytes: &[u8]) {
    let part = path.with_extension("part");
    std::fs::write(&part, bytes).unwrap();
    std::fs::rename(&part, path).unwrap();
}

#[tokio::test]
async fn what_is_put_into_the_folder_serves_without_a_restart() {
    let allow = ("ONEROUTER_UNSIGNED_PLUGINS", "allow".to_owned());
    let watching = Watching::start(vec![allow]);
    let file = watching.path("acme.wasm");
    // Nobody's plugins: an editor's files, half a copy under another name, a folder.
    for name in [".acme.wasm.swp", "acme.wasm~", ".hidden.wasm", "acme.part"] {
        std::fs::write(watching.path(name), b"half").unwrap();
    }
    // A copy that is slow: what is there so far is no component.
    let same = |version: &str| {
        acme::of_fixture("acme-texts", version, |manifest| {
            manifest["auth"]["token"] = json!({"scheme": "bearer", "token": "token"});
        })
    };
    let first = same("1.0.0");
    std::fs::write(&file, &first[..first.len() / 2]).unwrap();
    watching.until_refused("component").await;
    std::fs::write(&file, &first).unwrap();
    watching.until_active("1.0.0").await;
    eventually("nothing is refused", async || {
        watching.list().await["refused"] == json!([])
    })
    .await;

    // Written again and again, fast; the last one counts.
    for version in ["1.0.1", "1.0.2", "1.0.3", "1.1.0"] {
        put(&file, &same(version));
    }
    watching.until_active("1.1.0").await;
    // An older one waits, whatever its file is called; one that wants more waits too.
    put(&watching.path("older.wasm"), &same("1.0.9"));
    let more = acme::of_fixture("acme-texts", "1.2.0", |manifest| {
        manifest["outbound"][0]["path_prefix"] = json!("/");
    });
    put(&watching.path("more.wasm"), &more);
    eventually("both are there", async || {
        let list = watching.list().await;
        let versions = list["data"][0]["installations"].as_array().unwrap().clone();
        let waits = |version: &str| {
            versions
                .iter()
                .any(|one| one["version"] == version && one["state"] == "staged")
        };
        waits("1.0.9") && waits("1.2.0")
    })
    .await;
    assert_eq!(watching.active().await.as_deref(), Some("1.1.0"));
    // An author builds the same version again: what was built last serves.
    let rebuilt = acme::of_fixture("acme-texts", "1.1.0", |manifest| {
        manifest["name"] = json!("Rebuilt");
    });
    put(&file, &rebuilt);
    eventually("the rebuilt one serves", async || {
        let list = watching.list().await;
        let versions = list["data"][0]["installations"].as_array().unwrap().clone();
        versions
            .iter()
            .any(|one| one["title"] == "Rebuilt" && one["state"] == "active")
    })
    .await;
}

#[tokio::test]
async fn a_file_waits_for_its_signature() {
    let key = KeyPair::generate();
    let trusted = (
        "ONEROUTER_PUBLISHER_KEYS",
        format!("acme-texts={}", key.public().id()),
    );
    let refuse = ("ONEROUTER_UNSIGNED_PLUGINS", "refuse".to_owned());
    let watching = Watching::start(vec![refuse, trusted]);
    let component = acme::component("1.0.0");
    let file = watching.path("acme.wasm");
    put(&file, &component);
    watching.until_refused("is not signed").await;
    let signed = acme::write_signed(
        &watching.folder.path().join("signed.wasm"),
        &component,
        &key,
    );
    std::fs::rename(sidecar_of(&signed), sidecar_of(&file)).unwrap();
    watching.until_active("1.0.0").await;
    // It serves a moment before the look that has found it ends.
    eventually("nothing is refused", async || {
        watching.list().await["refused"] == json!([])
    })
    .await;
    let operator = Client::at(
        &watching.node.base,
        onerouter_tests::harness::ADMIN_TOKEN,
        &watching.http,
    );
    // Removed, its file does not bring it back, until somebody asks for it.
    let removed = operator.delete("/api/plugins/acme-texts").await;
    assert_eq!(removed.status, 200, "{removed:?}");
    put(&watching.path("again.wasm"), &component);
    let other = acme::of_fixture("acme-post", "1.0.0", |_| {});
    put(&watching.path("later.wasm"), &other);
    // What came later was looked at.
    watching.until_refused("is not signed").await;
    assert_eq!(watching.list().await["data"], json!([]));
    let wanted = json!({"source": file});
    let back = operator.post("/api/plugins/install", wanted).await;
    assert_eq!(
        (back.status, back.text("state")),
        (201, "active"),
        "{back:?}"
    );
}

#[tokio::test]
async fn production_runs_nothing_that_nobody_has_signed() {
    let folder = tempfile::tempdir().unwrap();
    let setup = NodeSetup {
        database_url: format!("sqlite://{}", folder.path().join("rows.db").display()),
        data_dir: folder.path().join("data"),
        upstreams: Vec::new(),
        port: 0,
        settings: vec![
            ("ENVIRONMENT", "production".to_owned()),
            ("ENCRYPTION_KEY", "0a".repeat(32)),
            ("ONEROUTER_UNSIGNED_PLUGINS", "allow".to_owned()),
        ],
    };
    let output = setup.command(&["serve"]).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("ONEROUTER_UNSIGNED_PLUGINS"), "{said}");
}

#[tokio::test]
async fn a_harness_without_signatures_is_no_gateway_for_strangers() {
    // The same folder, once allowed and once not: what was installed unsigned does not serve there.
    let host = Harness::start().await;
    let folder = host.stop().await;
    let host = Harness::with(onerouter_tests::harness::Setup {
        plugin_trust: Some(onerouter::config::PluginTrust::default()),
        data_dir: Some(folder.path().join("data")),
        ..Default::default()
    })
    .await;
    assert_eq!(host.gateway.parts().adapters.list().len(), 0);
    let list = host.operator().get("/api/plugins").await;
    let node = &list.json["data"][0]["nodes"][0]["versions"][0];
    assert_eq!(node["state"], "failed", "{node}");
    assert!(
        node["reason"].as_str().unwrap().contains("not signed"),
        "{node}"
    );
}
