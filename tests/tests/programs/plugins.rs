//! Plugins, looked at without running them.

use onerouter_tests::component::without_manifest;
use onerouter_tests::harness::built;

use crate::program::Program;

fn fixture() -> String {
    let folder = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures")
        .canonicalize()
        .unwrap();
    folder.join("acme-texts.wasm").display().to_string()
}

#[test]
fn a_plugin_is_shown_to_people_and_to_programs() {
    let program = Program::new();
    let people = program.run(&["plugin", "inspect", &fixture()]).well();
    for part in [
        "Acme Texts 1.0.0",
        "token",
        "secret",
        "https://api.acme-texts.example",
        "sms",
        "MIT",
        "sha256",
    ] {
        assert!(people.data.contains(part), "{part} in {}", people.data);
    }
    let document = program
        .run(&["plugin", "inspect", &fixture(), "--json"])
        .well()
        .json();
    assert_eq!(document["id"], "acme-texts");
    assert_eq!(document["categories"], serde_json::json!(["sms"]));
    assert_eq!(document["capabilities"], serde_json::json!(["sms"]));
    for field in [
        "version",
        "publisher",
        "credentials",
        "settings",
        "outbound",
        "limits",
        "prices",
        "license",
        "not_processed",
        "sha256",
        "size_bytes",
    ] {
        assert!(!document[field].is_null(), "{field} in {document}");
    }
}

#[test]
fn what_is_no_plugin_is_refused() {
    let program = Program::new();
    let garbage = program.write("garbage.wasm", "not a component");
    let bare = program.write("bare.wasm", b"\0asm\x0d\0\x01\0");
    for path in [
        garbage.to_str().unwrap(),
        bare.to_str().unwrap(),
        "absent.wasm",
        ".",
    ] {
        let refused = program.run(&["plugin", "inspect", path]).badly();
        assert_eq!(refused.data, "");
        assert!(refused.talk.starts_with("error: "), "{refused:?}");
        let packed = program
            .run(&["plugin", "pack", path, "--output", "out.wasm"])
            .badly();
        assert!(packed.talk.starts_with("error: "), "{packed:?}");
        assert!(!program.path("out.wasm").exists());
    }
}

#[test]
fn a_component_and_a_manifest_make_a_plugin() {
    let manifest = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../plugins/fixtures/acme-texts/plugin.toml"
    );
    let text = std::fs::read_to_string(manifest).unwrap();
    let program = Program::new();
    let bare = without_manifest(&std::fs::read(fixture()).unwrap());
    program.write("bare.wasm", bare);
    program.write("plugin.toml", text.replace("1.0.0", "1.2.3"));
    let pack = |component: &str, output: &str| {
        program.run(&["plugin", "pack", component, "--output", output])
    };
    let packed = pack("bare.wasm", "out.wasm").well();
    assert_eq!(packed.data, "");
    let shown = program
        .run(&["plugin", "inspect", "out.wasm", "--json"])
        .well()
        .json();
    assert_eq!(shown["version"], "1.2.3");
    // One manifest is enough.
    pack("out.wasm", "again.wasm").badly();
    program.write("plugin.toml", "manifest = 1\nid = \"X\"\n");
    pack("bare.wasm", "bad.wasm").badly();
    for name in ["again.wasm", "bad.wasm"] {
        assert!(!program.path(name).exists());
    }
}

/// The gateway starts itself once more to compile: nothing comes of it for anybody else.
#[test]
fn what_compiles_for_the_gateway_is_no_command_for_people() {
    let program = Program::new();
    for arguments in [
        &["__compile-adapter"][..],
        &["__compile-adapter", "--help"],
        &["__compile-adapter", "much", "more"],
        // Nothing comes in.
        &["__compile-adapter", "10", "4294967296"],
    ] {
        let refused = program.run(arguments).badly();
        assert_eq!(refused.data, "");
        assert!(!refused.talk.is_empty(), "{arguments:?}");
    }
}
