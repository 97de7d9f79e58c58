//! `onerouter plugin test`.

use std::path::Path;

use onerouter_tests::component::without_manifest;
use onerouter_tests::harness::built;

use crate::program::Program;

/// A project whose plugin was built, with recorded answers.
fn project() -> Program {
    let program = Program::new();
    let fixtures = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures");
    let plugin = std::fs::read(fixtures.join("acme-texts.wasm")).unwrap();
    program.write("acme-texts.wasm", plugin);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/fixtures/acme-texts");
    program.write(
        "plugin.toml",
        std::fs::read(source.join("plugin.toml")).unwrap(),
    );
    for operation in ["sms.send", "sms.get"] {
        let folder = format!("cassettes/{operation}");
        std::fs::create_dir_all(program.path(&folder)).unwrap();
        for file in std::fs::read_dir(source.join(&folder)).unwrap() {
            let file = file.unwrap();
            let name = format!("{folder}/{}", file.file_name().to_str().unwrap());
            program.write(&name, std::fs::read(file.path()).unwrap());
        }
    }
    program
}

#[test]
fn a_project_is_tested_in_place_and_the_report_comes_in_three_forms() {
    let program = project();
    let text = program.run(&["plugin", "test", ".", "--strict"]).well();
    assert!(text.data.contains("sms.send  cut_off"), "{text:?}");
    assert!(text.data.contains("0 failed"), "{text:?}");
    assert!(text.talk.contains("acme-texts.wasm"), "{text:?}");

    let json = ["plugin", "test", "acme-texts.wasm", "--json"];
    let report = program.run(&json).well().json();
    assert_eq!(report["object"], "conformance_report");
    assert_eq!(report["totals"]["failed"], 0);
    assert_eq!(report["plugin"]["id"], "acme-texts");
    let case = &report["cases"][0];
    assert_eq!(
        (&case["operation"], &case["verdict"]),
        (&"sms.send".into(), &"passed".into())
    );
    assert!(
        case["metered"]["cpu_ms"]["limit"].as_u64().unwrap() > 0,
        "{case}"
    );

    let html = [
        "plugin",
        "test",
        ".",
        "--format",
        "html",
        "--output",
        "report.html",
    ];
    let written = program.run(&html).well();
    assert_eq!(written.data, "");
    let page = std::fs::read_to_string(program.path("report.html")).unwrap();
    assert!(
        page.starts_with("<!doctype html>") && page.ends_with("</html>\n"),
        "{page}"
    );
    assert!(
        !page.contains("<script") && !page.contains("http://"),
        "{page}"
    );
}

/// As of a language whose compiler knows nothing of plugins: the component is where `build.toml` says, and
/// has no manifest in it.
#[test]
fn a_component_is_found_where_the_recipe_of_its_project_says() {
    let program = project();
    std::fs::create_dir(program.path("build")).unwrap();
    let raw = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures").join("acme-texts.wasm");
    program.write(
        "build/component.wasm",
        without_manifest(&std::fs::read(raw).unwrap()),
    );
    std::fs::remove_file(program.path("acme-texts.wasm")).unwrap();
    let missing = program.run(&["plugin", "test", "."]).badly();
    assert!(missing.talk.contains("build it first"), "{missing:?}");
    program.write(
        "build.toml",
        "command = [\"true\"]\ncomponent = \"build/component.wasm\"\n",
    );
    let tested = program.run(&["plugin", "test", ".", "--strict"]).well();
    assert!(tested.talk.contains("build/component.wasm"), "{tested:?}");
    program.write("build.toml", "component = \"build/component.wasm\"\n");
    let broken = program.run(&["plugin", "test", "."]).badly();
    assert!(broken.talk.contains("build.toml"), "{broken:?}");
}

#[test]
fn what_is_missing_fails_only_where_it_is_asked_for() {
    let program = project();
    let file = program.path("cassettes/sms.send/declined.json");
    std::fs::remove_file(file).unwrap();
    let lenient = program.run(&["plugin", "test", "."]).well();
    assert!(
        lenient.data.contains("cassettes/sms.send/declined.json"),
        "{lenient:?}"
    );
    let strict = program.run(&["plugin", "test", ".", "--strict"]).badly();
    assert!(strict.talk.contains("not covered"), "{strict:?}");
}

#[test]
fn a_failure_says_what_to_do_and_is_no_success() {
    let program = project();
    program.write(
        "cassettes/sms.get/success.json",
        r#"{"cassette":1,"input":{"provider_id":"m-1"},"exchanges":[{"request":{"method":"GET","host":"api.acme-texts.example","path":"/v1/messages/m-1"},"answer":{"status":200,"json":{"id":"m-1","state":"dreaming"}}}]}"#,
    );
    let failed = program.run(&["plugin", "test", "."]).badly();
    assert!(
        failed.data.contains("wrong_outcome") && failed.data.contains("do: "),
        "{failed:?}"
    );
    assert!(failed.talk.contains("failed"), "{failed:?}");
    program.write("cassettes/sms.get/success.json", "{");
    let broken = program.run(&["plugin", "test", "."]).badly();
    assert!(broken.talk.contains("success.json"), "{broken:?}");
    assert_eq!(broken.data, "");
}

#[test]
fn credentials_are_not_repeated_by_a_complaint_about_them() {
    let program = project();
    for content in [
        r#"{"credentials": "hunter2-is-secret"}"#,
        r#"{"credentials": {"token": 5, "x": "hunter2-is-secret"}}"#,
        r#"{"credentials": {"token": "hunter2 is secret"}}"#,
    ] {
        program.write("credentials.json", content);
        let upstream = "api.acme-texts.example=http://127.0.0.1:9";
        let refused = program
            .run(&[
                "plugin",
                "test",
                ".",
                "--upstream",
                upstream,
                "--credentials",
                "credentials.json",
            ])
            .badly();
        assert!(!refused.talk.contains("hunter2"), "{refused:?}");
        assert!(refused.talk.contains("credential"), "{refused:?}");
    }
    program.run(&["plugin", "test", ".", "--record"]).badly();
    program
        .run(&["plugin", "test", ".", "--buyer", "buyer.json"])
        .badly();
}

#[test]
fn a_buyer_who_cannot_be_played_is_refused_before_anything_is_tried() {
    let program = project();
    program.write(
        "sandbox.json",
        r#"{"credentials": {"token": "acme-token-1"}}"#,
    );
    for (buyer, words) in [
        (r#"{"link": "http://127.0.0.1:9"}"#, "buyer.json"),
        (r#"{"url": "somewhere"}"#, "not an http"),
    ] {
        program.write("buyer.json", buyer);
        let upstream = "api.acme-texts.example=http://127.0.0.1:9";
        let live = ["--upstream", upstream, "--credentials", "sandbox.json"];
        let test = ["plugin", "test", ".", "--buyer", "buyer.json"];
        let refused = program.run(&[&test[..], &live].concat()).badly();
        assert!(refused.talk.contains(words), "{refused:?}");
        assert_eq!(refused.data, "");
    }
}
