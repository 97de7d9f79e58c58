//! Components whose manifest is not the truth, and components whose exports are not what they are
//! called.

use onerouter_engine::{Engine, LoadError, Outcome};
use serde_json::{Value, json};

use crate::guests::{Guest, manifest, packed};
use crate::host::{Host, config, egress, fixture};
use crate::packing::{manifest_json, with_section, without_manifest};
use crate::provider::Reply;

fn engine() -> Engine {
    Engine::new(config(), egress("http://127.0.0.1:9")).unwrap()
}

/// Puts a value at a place of the manifest; none takes it away.
fn change(manifest: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = manifest.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Array(list), value) => {
            *list.get_mut(name.parse::<usize>().unwrap()).unwrap() = value;
        }
        (Value::Object(map), Value::Null) => {
            map.remove(name).unwrap();
        }
        (Value::Object(map), value) => {
            map.insert(name.to_owned(), value);
        }
        (other, _) => panic!("{other}"),
    }
}

/// What is changed in an honest manifest, and what the refusal says of it.
fn lies() -> Vec<(&'static str, Value, &'static str)> {
    let sms = "onerouter:sms/sms@1.0.0";
    vec![
        // Imports and exports.
        (
            "/imports",
            json!([]),
            "but it imports [onerouter:host/context@1.0.0",
        ),
        (
            "/imports",
            Value::Null,
            "says that the component imports []",
        ),
        (
            "/imports/3",
            json!("wasi:sockets/tcp@0.2.6"),
            "wasi:sockets/tcp@0.2.6], but it imports",
        ),
        (
            "/exports",
            json!([]),
            "but it exports [onerouter:sms/sms@1.0.0]",
        ),
        (
            "/exports",
            json!([sms, "onerouter:email/email@1.0.0"]),
            "but it exports [onerouter:sms/sms@1.0.0]",
        ),
        (
            "/exports",
            json!(["onerouter:email/email@1.0.0"]),
            "but it exports [onerouter:sms/sms@1.0.0]",
        ),
        // Hosts.
        (
            "/outbound/0/host",
            json!("127.0.0.1"),
            "outbound[0].host: \"127.0.0.1\" is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("[::1]"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("2130706433"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("0x7f.1"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("localhost"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("API.acme.example"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("acme.example."),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("*"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("*.example"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("*.*.acme.example"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("api.*.example"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("acme.example/v1"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("user@acme.example"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("acme.example:443"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/host",
            json!("\u{430}cme.example"),
            "is not a lower-case host name",
        ),
        (
            "/outbound/0/scheme",
            json!("http"),
            "outbound[0].scheme: must be https",
        ),
        (
            "/outbound/0/port",
            json!(0),
            "outbound[0].port: must be 1 to 65535",
        ),
        (
            "/outbound/0/port",
            json!(65_536),
            "the manifest cannot be read",
        ),
        (
            "/outbound/0/path_prefix",
            json!("v1"),
            "outbound[0].path_prefix: must start with /",
        ),
        (
            "/outbound/0/path_prefix",
            json!("/v1/.."),
            "outbound[0].path_prefix",
        ),
        (
            "/outbound/0/path_prefix",
            json!("/%2e%2e"),
            "outbound[0].path_prefix",
        ),
        (
            "/outbound/0/path_prefix",
            json!("/v1?a"),
            "outbound[0].path_prefix",
        ),
        (
            "/outbound/0/methods",
            json!(["CONNECT"]),
            "\"CONNECT\" is not one of GET",
        ),
        (
            "/outbound/0/methods",
            json!([]),
            "outbound[0].methods: names no method",
        ),
        (
            "/outbound/0/auth",
            json!(["other"]),
            "\"other\" does not stand under auth",
        ),
        (
            "/auth/token",
            json!({"scheme": "header", "name": "Host", "value": "token"}),
            "\"Host\" is not a header that a credential may use",
        ),
        (
            "/auth/token",
            json!({"scheme": "bearer", "token": "nobody"}),
            "names the credential \"nobody\", which is not declared",
        ),
        (
            "/credentials/0/kind",
            json!("public"),
            "auth.token: attaches no secret",
        ),
        // Answers.
        (
            "/not_processed/0/status",
            json!(200),
            "not_processed[0].status: must be 400 to 499",
        ),
        (
            "/not_processed/0/status",
            json!(500),
            "not_processed[0].status",
        ),
        // Limits.
        (
            "/limits",
            json!({"memory_bytes": 10_u64 << 30}),
            "limits.memory_bytes: must be 1 to 268435456",
        ),
        ("/limits", json!({"memory_bytes": 0}), "limits.memory_bytes"),
        (
            "/limits",
            json!({"memory_bytes": 1 << 16}),
            "bytes of memory to start; its manifest asks for 65536",
        ),
        (
            "/limits",
            json!({"cpu_ms": 3_600_000}),
            "limits.cpu_ms: must be 1 to 2000",
        ),
        (
            "/limits",
            json!({"wall_ms": 86_400_000}),
            "limits.wall_ms: must be 1 to 60000",
        ),
        (
            "/limits",
            json!({"requests": 65}),
            "limits.requests: must be 1 to 64",
        ),
        (
            "/limits",
            json!({"response_bytes": 1_u64 << 40}),
            "limits.response_bytes",
        ),
        ("/limits", json!({"log_bytes": 1 << 30}), "limits.log_bytes"),
        (
            "/limits",
            json!({"cpu_ms": -1}),
            "the manifest cannot be read",
        ),
        // Itself.
        ("/manifest", json!(2), "manifest: must be 1"),
        ("/id", json!("Acme Texts"), "is not a plugin id"),
        ("/version", json!("one"), "the manifest cannot be read"),
        ("/trusted", json!(true), "unknown field `trusted`"),
        ("/name", Value::Null, "missing field `name`"),
    ]
}

#[tokio::test]
async fn a_manifest_that_lies_is_refused_with_the_lie() {
    let engine = engine();
    let honest = fixture("acme-texts");
    let component = without_manifest(&honest);
    for (pointer, value, reason) in lies() {
        let mut manifest = manifest_json(&honest);
        change(&mut manifest, pointer, value.clone());
        let bytes = with_section(&component, manifest.to_string().as_bytes());
        let error = engine.load(bytes).await.unwrap_err();
        assert!(
            matches!(error, LoadError::Unpack(_) | LoadError::TooDemanding(_)),
            "{error:?}"
        );
        assert!(
            error.to_string().contains(reason),
            "{pointer} = {value}: {error}"
        );
    }
    assert_eq!(lies().len(), 50);
}

#[tokio::test]
async fn an_honest_manifest_is_accepted_in_the_same_way() {
    let honest = fixture("acme-texts");
    let json = manifest_json(&honest).to_string();
    let bytes = with_section(&without_manifest(&honest), json.as_bytes());
    engine().load(bytes).await.unwrap();
}

/// Functions that have the right name and are something else.
#[tokio::test]
async fn exports_and_imports_of_other_types_are_refused() {
    let engine = engine();
    let honest = Guest::new(r#"(func (export "send") (param i32) (result i32) (call $ok))"#).text();
    engine.load(packed(&honest, manifest())).await.unwrap();
    for (from, to, reason) in [
        (
            r#"(field "segments" (option u32))"#,
            r#"(field "segments" (option u64))"#,
            "the function send of onerouter:sms/sms is not as the interface says",
        ),
        (
            r#"(field "idempotency-key" string)"#,
            "",
            "the function send of onerouter:sms/sms is not as the interface says",
        ),
        (
            r#"(case "unknown" $"#,
            r#"(case "unheard-of" $"#,
            "the function send of onerouter:sms/sms is not as the interface says",
        ),
        (
            r#"(field "timeout-ms" $maybe-u32)"#,
            r#"(field "timeout-s" $maybe-u32)"#,
            "the component cannot be linked",
        ),
        (
            r#"(case "json" string)"#,
            r#"(case "raw" string)"#,
            "the component cannot be linked",
        ),
        (
            r#"(export "get" (func $get) (func (param "provider-id" string) (result $Answer)))"#,
            "",
            "the function get of onerouter:sms/sms is not as the interface says: the function is not there",
        ),
    ] {
        let text = honest.replace(from, to);
        assert_ne!(text, honest, "{from} does not stand there");
        let error = engine.load(packed(&text, manifest())).await.unwrap_err();
        assert!(
            matches!(error, LoadError::Export { .. } | LoadError::Link(_)),
            "{error:?}"
        );
        assert!(error.to_string().contains(reason), "{from}: {error}");
    }
}

/// Interfaces that the host does not offer, or knows in another major version only.
#[tokio::test]
async fn imports_and_exports_beyond_the_contract_are_refused() {
    let engine = engine();
    let heart = r#"(func (export "send") (param i32) (result i32) (call $ok))"#;
    for name in [
        "wasi:sockets/tcp@0.2.6",
        "wasi:sockets/ip-name-lookup@0.2.6",
        "wasi:filesystem/preopens@0.2.6",
        "wasi:http/outgoing-handler@0.2.6",
        "wasi:clocks/wall-clock@0.2.6",
        "wasi:random/random@0.2.6",
        "wasi:cli/run@0.2.6",
        "onerouter:host/vault@1.0.0",
    ] {
        let imports = format!("(import \"{name}\" (instance))");
        let text = Guest {
            heart,
            imports: &imports,
            ..Guest::default()
        }
        .text();
        let component = wat::parse_str(&text).unwrap();
        assert!(onerouter_manifest::pack(&component, manifest()).is_err());
        let mut json = manifest_json(&fixture("acme-texts"));
        let mut imports = vec![
            "onerouter:host/context@1.0.0",
            "onerouter:host/log@1.0.0",
            "onerouter:outbound/http@1.0.0",
            name,
        ];
        imports.sort_unstable();
        change(&mut json, "/imports", json!(imports));
        let bytes = with_section(&component, json.to_string().as_bytes());
        let error = engine.load(bytes).await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("the component imports {name}, which")),
            "{error}"
        );
    }
    for (name, reason) in [
        ("onerouter:sms/sms@2.0.0", "is no capability of this host"),
        (
            "onerouter:sms/sms@1.0.0-rc.1",
            "is no capability of this host",
        ),
        (
            "onerouter:voice/voice@1.0.0",
            "is no capability of this host",
        ),
        (
            "onerouter:sms/sms-cancel@1.0.0",
            "exports sms-cancel without sms",
        ),
    ] {
        let text = Guest::new(heart).text().replace(
            "(export \"onerouter:sms/sms@1.0.0\"",
            &format!("(export \"{name}\""),
        );
        let component = wat::parse_str(&text).unwrap();
        let mut json = manifest_json(&fixture("acme-texts"));
        let imports = [
            "onerouter:host/context@1.0.0",
            "onerouter:host/log@1.0.0",
            "onerouter:outbound/http@1.0.0",
        ];
        change(&mut json, "/imports", json!(imports));
        change(&mut json, "/exports", json!([name]));
        let bytes = with_section(&component, json.to_string().as_bytes());
        let error = engine.load(bytes).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

/// What componentize-py sets its interpreter up by is still there when the component is done. The host
/// calls what it knows, so this is never called, whatever is behind it.
#[tokio::test]
async fn what_a_compiler_leaves_behind_is_no_reason_to_refuse() {
    let sends = r#"(func (export "send") (param i32) (result i32) (call $post) (call $ok))"#;
    let text = Guest::new(sends).text();
    let exports = |more: &str| {
        let at = text.rfind("(export \"onerouter:sms/sms").unwrap();
        let (head, tail) = text.split_at(at);
        wat::parse_str(format!("{head}{more}{tail}")).unwrap()
    };
    let component = exports("(instance $left-behind) (export \"exports\" (instance $left-behind))");
    let packed = onerouter_manifest::pack(&component, manifest()).unwrap();
    let host = Host::loading(config(), packed.into(), |_| Reply::created()).await;
    assert_eq!(host.adapter.manifest().exports, ["onerouter:sms/sms@1.0.0"]);
    let report = host.send("hello").await;
    assert!(
        matches!(report.outcome, Outcome::Accepted(_)),
        "{:?}",
        report.outcome
    );

    let other = exports("(instance $other) (export \"more-exports\" (instance $other))");
    assert!(onerouter_manifest::pack(&other, manifest()).is_err());
}
