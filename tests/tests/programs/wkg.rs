//! `wkg`, the client of the Bytecode Alliance, with our registry.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use onerouter_registry::client::{Client, ClientConfig, Source};
use onerouter_tests::harness::built;

use crate::program::{Program, Ran};
use crate::registry::{publisher, serve};

/// The program, and the registry that it may ask without TLS.
struct Wkg {
    program: PathBuf,
    /// Nothing of the user's own is read: neither settings nor the credentials of other registries.
    home: Program,
    address: String,
    token: String,
}

impl Wkg {
    fn run(&self, args: &[&str]) -> Ran {
        let output = Command::new(&self.program)
            .args(["oci", args[0], "--insecure", &self.address])
            .args(&args[1..])
            .env_clear()
            .env("HOME", self.home.folder.path())
            .current_dir(self.home.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran {
            success: output.status.success(),
            data: String::from_utf8(output.stdout).unwrap(),
            talk: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    fn pull(&self, image: &str) -> Vec<u8> {
        self.run(&["pull", "--output", "pulled.wasm", &self.image(image)])
            .well();
        std::fs::read(self.home.path("pulled.wasm")).unwrap()
    }

    fn push(&self, image: &str, file: &str) -> Ran {
        let login = ["-u", "acme", "-p", &self.token];
        let what = [&self.image(image), file];
        self.run(&[&["push"], &login[..], &what].concat())
    }
}

/// With `ONEROUTER_TEST_WKG`: the program. `cargo xtask soak --only wkg` installs it.
#[tokio::test]
async fn wkg_pulls_what_was_published_and_pushes_what_is_then_published() {
    let Some(program) = std::env::var_os("ONEROUTER_TEST_WKG") else {
        return;
    };
    let operator = Program::new();
    let (running, ready) = serve(&operator);
    let url = ready["url"].as_str().unwrap();
    operator
        .run(&["registry", "account", "create", "acme"])
        .well();
    let token = ["registry", "token", "create", "acme", "--label", "wkg"];
    let token = operator.run(&token).well().data;
    let acme = publisher(url);
    acme.write("token", &token);
    let login = ["registry", "login", url, "--token-file", "token"];
    acme.run(&login).well();
    let key = acme.run(&["plugin", "keygen", "acme.key", "--json"]);
    let key = key.well().json();
    let publish = |name: &str, file: &str| {
        let key = key["key"].as_str().unwrap();
        acme.run(&["registry", "key", "add", name, key]).well();
        let sign = ["plugin", "sign", file, "--key", "acme.key"];
        acme.run(&sign).well();
        acme.run(&["plugin", "publish", file])
    };
    let wkg = Wkg {
        program: program.into(),
        home: Program::new(),
        address: url.strip_prefix("http://").unwrap().to_owned(),
        token: token.trim().to_owned(),
    };

    publish("acme-texts", "acme.wasm").well();
    let published = std::fs::read(acme.path("acme.wasm")).unwrap();
    assert!(wkg.pull("acme-texts:1.0.0") == published);

    let plugins = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins");
    let pushed = std::fs::read(plugins.join("twilio.wasm")).unwrap();
    wkg.home.write("twilio.wasm", &pushed);
    let stranger = ["push", &wkg.image("twilio:1.0.0"), "twilio.wasm"];
    let refused = wkg.run(&stranger).badly();
    assert!(refused.talk.contains("publisher's token"), "{refused:?}");
    let refused = wkg.push("twilio:9.0.0", "twilio.wasm").badly();
    assert!(refused.talk.contains("twilio 1.0.0"), "{refused:?}");
    wkg.push("twilio:1.0.0", "twilio.wasm").well();
    assert!(wkg.pull("twilio:1.0.0") == pushed);

    // Its images have more in them than ours: a configuration of another shape, titles of files.
    let source = Source::parse(&format!("oci://{}", wkg.image("twilio:1.0.0")), None).unwrap();
    let client = Client::new(ClientConfig::default()).unwrap();
    let fetched = client.fetch(&source, None, &|_progress| {}).await.unwrap();
    assert!(fetched.component == pushed);

    acme.write("twilio.wasm", &pushed);
    publish("twilio", "twilio.wasm").well();
    // The same component, but another image: it says when it was made.
    let moved = wkg.push("twilio:1.0.0", "twilio.wasm").badly();
    assert!(moved.talk.contains("1.0.0"), "{moved:?}");
    assert!(wkg.pull("twilio:1.0.0") == pushed);

    let (status, _data, talk) = running.stop();
    assert_eq!(status.code(), Some(0), "{talk}");
    assert!(!talk.contains(&wkg.token), "{talk}");
}
