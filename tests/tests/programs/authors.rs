//! The commands for authors, without a compiler: a project whose component is copied is built at once.

use std::path::PathBuf;

use onerouter_tests::component::{with_manifest, without_manifest};
use onerouter_tests::harness::built;
use serde_json::Value;

use crate::program::{Program, Running};

fn fixture() -> PathBuf {
    built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures").join("acme-texts.wasm")
}

fn manifest() -> String {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../plugins/fixtures/acme-texts/plugin.toml"
    );
    std::fs::read_to_string(path).unwrap()
}

/// A project of another language, in the program's folder.
fn project() -> Program {
    let program = Program::new().set("PATH", std::env::var("PATH").unwrap());
    program.write(
        "compiled.wasm",
        without_manifest(&std::fs::read(fixture()).unwrap()),
    );
    program.write("plugin.toml", manifest());
    program.write(
        "build.toml",
        "command = [\"cp\", \"compiled.wasm\", \"built.wasm\"]\ncomponent = \"built.wasm\"\n",
    );
    program
}

#[test]
fn a_project_of_any_language_is_built_by_its_own_command() {
    let program = project();
    let built = program.run(&["plugin", "build", "--json"]).well().json();
    assert_eq!(built["id"], "acme-texts");
    assert_eq!(built["path"], "target/acme-texts.wasm");
    let shown = ["plugin", "inspect", "target/acme-texts.wasm", "--json"];
    let shown = program.run(&shown).well().json();
    assert_eq!(shown["sha256"], built["sha256"]);
    assert_eq!(shown["size_bytes"], built["size_bytes"]);
    let elsewhere = program
        .run(&["plugin", "build", ".", "--output", "out/acme.wasm"])
        .well();
    assert_eq!(
        elsewhere.data.trim(),
        format!("sha256:{}", built["sha256"].as_str().unwrap())
    );
    assert!(program.path("out/acme.wasm").exists());
}

#[test]
fn a_build_that_fails_says_why_and_writes_nothing() {
    let program = project();
    for (recipe, reason) in [
        (
            "command = [\"false\"]\ncomponent = \"built.wasm\"",
            "`false` failed",
        ),
        (
            "command = [\"no-such-program\"]\ncomponent = \"built.wasm\"",
            "not installed",
        ),
        (
            "command = [\"true\"]\ncomponent = \"never.wasm\"",
            "never.wasm",
        ),
        ("command = []\ncomponent = \"built.wasm\"", "command"),
        ("run = \"make\"", "build.toml"),
        (
            "command = [\"true\"]\ncomponent = \"plugin.toml\"",
            "cannot pack",
        ),
    ] {
        program.write("build.toml", recipe);
        let refused = program.run(&["plugin", "build"]).badly();
        assert_eq!(refused.data, "");
        assert!(refused.talk.contains(reason), "{reason} in {refused:?}");
    }
    std::fs::remove_file(program.path("build.toml")).unwrap();
    let refused = program.run(&["plugin", "build"]).badly();
    assert!(refused.talk.contains("Cargo.toml"), "{refused:?}");
    program.write("plugin.toml", "manifest = 1\nid = \"X\"\n");
    let refused = program.run(&["plugin", "build"]).badly();
    assert!(refused.talk.contains("plugin.toml"), "{refused:?}");
    let refused = program.run(&["plugin", "build", "absent"]).badly();
    assert!(refused.talk.contains("plugin new"), "{refused:?}");
    assert!(!program.path("target").exists());
}

fn findings(check: &Value, severity: &str) -> Vec<String> {
    let all = check["findings"].as_array().unwrap().iter();
    all.filter(|one| one["severity"] == severity)
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_would_not_load_is_an_error_and_what_is_careless_a_warning() {
    let program = project();
    let checked = program.run(&["plugin", "check", "--json"]).badly().json();
    assert_eq!(findings(&checked, "error"), ["not_built"]);
    program.run(&["plugin", "build"]).well();
    let checked = program.run(&["plugin", "check", "--json"]).well().json();
    assert_eq!(checked["fit"], true);
    assert_eq!(checked["id"], "acme-texts");
    assert_eq!(findings(&checked, "error"), [""; 0]);
    // The fixture honours no key, and its host is one that nobody has.
    assert_eq!(
        findings(&checked, "warning"),
        ["reserved_host", "no_idempotency"]
    );
    let notes = findings(&checked, "note");
    assert!(notes.contains(&"no_webhooks".to_owned()), "{notes:?}");
    let people = program.run(&["plugin", "check"]).well();
    assert!(
        people
            .data
            .contains("warning[reserved_host] outbound[0].host: "),
        "{people:?}"
    );
    assert!(people.talk.contains("0 errors, 2 warnings"), "{people:?}");

    program.write("plugin.toml", manifest().replace("1.0.0", "1.0.1"));
    let checked = program.run(&["plugin", "check", "--json"]).well().json();
    assert!(findings(&checked, "warning").contains(&"stale".to_owned()));
    program.write(
        "plugin.toml",
        manifest().replace("\"/v1/messages\"", "\"v1\""),
    );
    let checked = program.run(&["plugin", "check", "--json"]).badly().json();
    assert_eq!(checked["fit"], false);
    assert_eq!(checked["findings"][0]["code"], "manifest");
    assert_eq!(checked["findings"][0]["place"], "outbound[0].path_prefix");
}

#[test]
fn a_file_that_no_gateway_takes_is_an_error() {
    let program = Program::new();
    let honest = std::fs::read(fixture()).unwrap();
    let packed = onerouter_manifest::unpack(&honest).unwrap().manifest;
    let mut lying = serde_json::to_value(&packed).unwrap();
    lying["imports"] = serde_json::json!([]);
    let lying = with_manifest(&honest, lying.to_string().as_bytes());
    for (name, bytes) in [
        ("garbage.wasm", b"not a component".to_vec()),
        ("empty.wasm", Vec::new()),
        ("cut.wasm", honest[..honest.len() / 2].to_vec()),
        ("naked.wasm", without_manifest(&honest)),
        ("lying.wasm", lying),
    ] {
        program.write(name, bytes);
        let checked = program.run(&["plugin", "check", name, "--json"]).badly();
        let checked = checked.json();
        assert_eq!(checked["fit"], false, "{name}");
        assert_eq!(findings(&checked, "error"), ["component"], "{name}");
    }
    program.run(&["plugin", "check", "absent.wasm"]).badly();
    program.run(&["plugin", "check", "."]).badly();
}

#[test]
fn the_bundled_plugins_are_fit() {
    let program = Program::new();
    let plugins = built("ONEROUTER_TEST_PLUGINS_DIR", "plugins");
    let plugins = plugins.canonicalize().unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(plugins).unwrap() {
        let path = entry.unwrap().path();
        let args = ["plugin", "check", path.to_str().unwrap(), "--json"];
        let checked = program.run(&args).well().json();
        let warnings = findings(&checked, "warning");
        assert!(
            warnings.iter().all(|code| code == "limits"),
            "{path:?}: {warnings:?}"
        );
        count += 1;
    }
    assert!(count >= 4);
}

#[test]
fn a_project_starts_in_a_folder_of_its_own() {
    let program = Program::new();
    let new = |args: &[&str]| program.run(&[&["plugin", "new"], args].concat());
    for args in [
        &["--category", "sms", "Acme"][..],
        &["--category", "sms", "../acme"],
        &["--category", "fax", "acme"],
        &["acme"],
        &["--category", "sms", "acme", "--path", "none/acme"],
    ] {
        let refused = new(args).badly();
        assert_eq!(refused.data, "");
    }
    assert_eq!(std::fs::read_dir(program.folder.path()).unwrap().count(), 0);
    let made = new(&["--category", "sms", "acme"]).well();
    assert_eq!(made.data, "");
    assert!(made.talk.contains("cd acme"), "{made:?}");
    let lib = std::fs::read(program.path("acme/src/lib.rs")).unwrap();
    program.write("acme/src/lib.rs", "mine");
    let refused = new(&["--category", "sms", "acme"]).badly();
    assert!(refused.talk.contains("not empty"), "{refused:?}");
    let kept = std::fs::read(program.path("acme/src/lib.rs")).unwrap();
    assert_eq!(kept, b"mine");
    // The folder in which one stands, too.
    std::fs::create_dir(program.path("here")).unwrap();
    new(&["--category", "sms", "acme", "--path", "here"]).well();
    let same = std::fs::read(program.path("here/src/lib.rs")).unwrap();
    assert_eq!(same, lib);
}

/// Goes on until a build of this version is told.
fn until(dev: &mut Running, version: &str) -> Value {
    loop {
        let line: Value = serde_json::from_str(&dev.next_line()).unwrap();
        if line["version"] == version {
            return line;
        }
    }
}

#[test]
fn what_an_author_writes_is_in_the_gateways_folder_a_moment_later() {
    let program = project();
    let args = ["plugin", "dev", ".", "--into", "plugins", "--json"];
    let mut dev = program.start(&args, false);
    let first: Value = serde_json::from_str(&dev.first_line).unwrap();
    assert_eq!(first["outcome"], "written", "{first}");
    assert_eq!(first["path"], "plugins/acme-texts.wasm");
    let version = || {
        let bytes = std::fs::read(program.path("plugins/acme-texts.wasm")).unwrap();
        let unpacked = onerouter_manifest::unpack(&bytes).unwrap();
        unpacked.manifest.version.to_string()
    };
    assert_eq!(version(), "1.0.0");

    program.write("plugin.toml", manifest().replace("1.0.0", "1.1.0"));
    assert_eq!(until(&mut dev, "1.1.0")["outcome"], "written");
    assert_eq!(version(), "1.1.0");

    // What fails leaves what runs.
    program.write("plugin.toml", "half a man");
    let failed: Value = serde_json::from_str(&dev.next_line()).unwrap();
    assert_eq!(failed["outcome"], "failed", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("plugin.toml"));
    assert_eq!(version(), "1.1.0");

    // As editors write: beside it, several times, and then by its name.
    for patch in 0..20 {
        let text = manifest().replace("1.0.0", &format!("1.2.{patch}"));
        program.write("plugin.toml.tmp", &text);
        program.write(".plugin.toml.swp", &text);
        std::fs::rename(program.path("plugin.toml.tmp"), program.path("plugin.toml")).unwrap();
    }
    assert_eq!(until(&mut dev, "1.2.19")["outcome"], "written");
    assert_eq!(version(), "1.2.19");

    // A new folder is a part of the project, and no news to the gateway.
    std::fs::create_dir(program.path("src")).unwrap();
    program.write("src/more.py", "more");
    assert_eq!(until(&mut dev, "1.2.19")["outcome"], "unchanged");

    let (status, rest, talk) = dev.stop();
    assert!(status.success(), "{talk}");
    assert!(!rest.contains("failed"), "{rest}");
    let left = std::fs::read_dir(program.path("plugins")).unwrap();
    assert_eq!(left.count(), 1);
}

#[test]
fn plugins_go_to_the_folder_of_the_settings() {
    let program = project();
    let args = ["plugin", "dev", "--json", "--data-dir", "data"];
    let dev = program.start(&args, false);
    let first: Value = serde_json::from_str(&dev.first_line).unwrap();
    assert_eq!(first["path"], "data/plugins/acme-texts.wasm");
    assert!(program.path("data/plugins/acme-texts.wasm").exists());
    assert!(dev.stop().0.success());
}
