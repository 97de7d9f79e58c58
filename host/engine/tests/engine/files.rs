//! Files that are no adapter: each is refused with a reason that says what to do about it, and the
//! adapters that are there go on.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use onerouter_engine::{COMPONENT_BYTES_MAX, Engine, EngineConfig, LoadError, Outcome};
use onerouter_manifest::MANIFEST_BYTES_MAX;

use crate::guests::Guest;
use crate::host::{Host, config, egress, fixture};
use crate::packing::{manifest_json, section, with_section, without_manifest};
use crate::provider::Reply;

const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

const MALFORMED: &str = "the file is not a valid WebAssembly component";

struct File {
    name: &'static str,
    bytes: Bytes,
    reason: &'static str,
}

fn file(name: &'static str, bytes: impl Into<Bytes>, reason: &'static str) -> File {
    File {
        name,
        bytes: bytes.into(),
        reason,
    }
}

/// What is no WebAssembly at all.
fn strangers() -> Vec<File> {
    vec![
        file("nothing", Vec::new(), MALFORMED),
        file("one byte", vec![0], MALFORMED),
        file("the magic number", &b"\0asm"[..], MALFORMED),
        file("half a header", &b"\0asm\x0d\0"[..], MALFORMED),
        file("zeros", vec![0; 4_096], MALFORMED),
        file("ones", vec![0xff; 4_096], MALFORMED),
        file("text", &b"not wasm"[..], MALFORMED),
        file("a component as text", &b"(component)"[..], MALFORMED),
        file("a module as text", &b"(module (memory 1))"[..], MALFORMED),
        file(
            "a manifest",
            &b"manifest = 1\nid = \"acme\"\n"[..],
            MALFORMED,
        ),
        file("JSON", &b"{\"manifest\":1}"[..], MALFORMED),
        file(
            "a page",
            &b"<!doctype html><title>404</title>"[..],
            MALFORMED,
        ),
        file("a script", &b"#!/bin/sh\necho\n"[..], MALFORMED),
        file(
            "a zip archive",
            &b"PK\x03\x04\x14\0\0\0\x08\0"[..],
            MALFORMED,
        ),
        file(
            "a gzip archive",
            &b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..],
            MALFORMED,
        ),
        file(
            "a program",
            &b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"[..],
            MALFORMED,
        ),
        file("UTF-16", &b"\xff\xfe(\0m\0"[..], MALFORMED),
    ]
}

/// WebAssembly that is broken, or something else than a component.
fn damaged() -> Vec<File> {
    let good = fixture("acme-texts");
    let cut = |length: usize| good.slice(..length);
    let flipped = |at: usize| {
        let mut bytes = good.to_vec();
        *bytes.get_mut(at).unwrap() ^= 0xff;
        Bytes::from(bytes)
    };
    let then = |start: &[u8], rest: &[u8]| Bytes::from([start, rest].concat());
    vec![
        file(
            "an empty module",
            MODULE,
            "build for the target wasm32-wasip2",
        ),
        file(
            "an empty component",
            COMPONENT,
            "the component carries no manifest",
        ),
        file(
            "a module of the next version",
            &b"\0asm\x02\0\0\0"[..],
            MALFORMED,
        ),
        file(
            "a component of the next version",
            &b"\0asm\x0e\0\x01\0"[..],
            MALFORMED,
        ),
        file("a third kind of file", &b"\0asm\x0d\0\x02\0"[..], MALFORMED),
        file(
            "another magic number",
            then(b"\0ASM", &good.slice(4..)),
            MALFORMED,
        ),
        file(
            "a component behind a mark",
            then(b"\xef\xbb\xbf", &good),
            MALFORMED,
        ),
        file(
            "a component with an end of line",
            then(&good, b"\n"),
            MALFORMED,
        ),
        file("a component twice", then(&good, &good), MALFORMED),
        file("a component with zeros", then(&good, &[0; 64]), MALFORMED),
        file(
            "a section that there is not",
            then(COMPONENT, &[0x2a, 1, 0]),
            "the component carries no manifest",
        ),
        file(
            "a section without an end",
            then(COMPONENT, &[1, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            MALFORMED,
        ),
        file(
            "a length of six bytes",
            then(COMPONENT, &[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0]),
            MALFORMED,
        ),
        file(
            "a name that is no text",
            then(COMPONENT, &[0, 3, 2, 0xff, 0xfe]),
            MALFORMED,
        ),
        file(
            "a module that is none",
            then(COMPONENT, &[1, 4, 1, 2, 3, 4]),
            MALFORMED,
        ),
        file(
            "a billion imports",
            then(COMPONENT, &[10, 5, 0x80, 0x94, 0xeb, 0xdc, 0x03]),
            MALFORMED,
        ),
        file(
            "a header and no more",
            cut(8),
            "the component carries no manifest",
        ),
        file("9 bytes", cut(9), MALFORMED),
        file("a quarter", cut(good.len() / 4), MALFORMED),
        file("a half", cut(good.len() / 2), MALFORMED),
        file("all but the manifest's end", cut(good.len() - 1), MALFORMED),
        file("a flipped version", flipped(4), MALFORMED),
        file("a flipped section", flipped(8), MALFORMED),
        file(
            "a thousand components in each other",
            nested(1_000),
            "the component carries no manifest",
        ),
    ]
}

/// Each level is a component with one component in it.
fn nested(levels: usize) -> Bytes {
    let wrap = |inner: Vec<u8>, _| [COMPONENT, &section(4, &inner)].concat();
    (0..levels).fold(COMPONENT.to_vec(), wrap).into()
}

/// A good component with a manifest that is none.
fn mislabelled() -> Vec<File> {
    let good = fixture("acme-texts");
    let bare = without_manifest(&good);
    let json = manifest_json(&good).to_string();
    let labelled = |text: &[u8]| with_section(&bare, text);
    let unreadable = "the manifest cannot be read";
    vec![
        file(
            "no manifest",
            bare.clone(),
            "embed one with `onerouter plugin pack`",
        ),
        file(
            "two manifests",
            with_section(&good, json.as_bytes()),
            "more than one manifest",
        ),
        file("an empty manifest", labelled(b""), unreadable),
        file("a manifest of nothing", labelled(b"{}"), unreadable),
        file("a manifest that is a list", labelled(b"[]"), unreadable),
        file("a manifest as TOML", labelled(b"manifest = 1"), unreadable),
        file(
            "a manifest that is no text",
            labelled(b"\xff\xfe"),
            unreadable,
        ),
        file(
            "half a manifest",
            labelled(json.as_bytes().split_at(json.len() / 2).0),
            unreadable,
        ),
        file(
            "a manifest and more",
            labelled(format!("{json}{json}").as_bytes()),
            unreadable,
        ),
        file(
            "a manifest with a field twice",
            labelled(json.replacen('{', r#"{"manifest":1,"#, 1).as_bytes()),
            unreadable,
        ),
        file(
            "a manifest of 64 KiB",
            labelled(&vec![b' '; MANIFEST_BYTES_MAX + 1]),
            "65536 are allowed",
        ),
        file(
            "a manifest in deep brackets",
            labelled(&vec![b'['; 60_000]),
            unreadable,
        ),
    ]
}

/// Valid, and beyond what this host runs.
fn exotic() -> Vec<File> {
    let guest = |parts| {
        let heart = r#"(func (export "send") (param i32) (result i32) (call $ok))"#;
        Guest {
            heart,
            parts,
            ..Guest::default()
        }
        .packed()
    };
    let cannot = "the component cannot be compiled";
    vec![
        file(
            "invalid code",
            guest("(core module (func (result i32) (i64.const 1)))"),
            cannot,
        ),
        file(
            "a jump to nowhere",
            guest("(core module (func (br 5)))"),
            cannot,
        ),
        file(
            "memory of 64 bits",
            guest("(core module (memory i64 1))"),
            cannot,
        ),
        file(
            "shared memory",
            guest("(core module (memory 1 1 shared))"),
            cannot,
        ),
        file(
            "collected objects",
            guest("(core module (type (struct (field i32))))"),
            cannot,
        ),
        file("exceptions", guest("(core module (tag))"), cannot),
    ]
}

#[tokio::test]
async fn what_is_no_adapter_is_refused_with_a_reason() {
    let arrived = r#"{"id":"m1","state":"arrived"}"#;
    let host = Host::new("acme-texts", |_| Reply::Answer(200, arrived.to_owned())).await;
    let files: Vec<_> = [strangers(), damaged(), mislabelled(), exotic()]
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(files.len(), 59);
    let mut wrong = Vec::new();
    for file in files {
        match host.engine.load(file.bytes).await {
            Ok(_) => wrong.push(format!("{} was accepted", file.name)),
            Err(error) if error.to_string().contains(file.reason) => {
                assert!(
                    matches!(error, LoadError::Unpack(_) | LoadError::Compile(_)),
                    "{error:?}"
                );
            }
            Err(error) => wrong.push(format!("{}: {error}", file.name)),
        }
        let report = host.adapter.sms_get(&host.context(), "m1").await;
        assert!(
            matches!(report.outcome, Outcome::Accepted(_)),
            "{}: {:?}",
            file.name,
            report.outcome
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Deep nesting is unusual and harmless: whoever reads it does so without recursion.
#[tokio::test]
async fn a_thousand_components_in_each_other_are_no_trouble() {
    let engine = Engine::new(config(), egress("http://127.0.0.1:9")).unwrap();
    let good = fixture("acme-texts");
    let json = manifest_json(&good).to_string();
    let deeper = [without_manifest(&good), section(4, &nested(1_000))].concat();
    engine
        .load(with_section(&deeper, json.as_bytes()))
        .await
        .unwrap();
}

/// Cut anywhere: no length is taken for the whole.
#[tokio::test]
async fn a_truncated_component_is_refused_at_every_length() {
    let engine = Engine::new(config(), egress("http://127.0.0.1:9")).unwrap();
    let good = fixture("acme-texts");
    let mut refused = 0;
    for length in (0..64)
        .chain((64..good.len()).step_by(509))
        .chain(good.len() - 64..good.len())
    {
        let error = engine.load(good.slice(..length)).await.unwrap_err();
        assert!(matches!(error, LoadError::Unpack(_)), "{length}: {error}");
        refused += 1;
    }
    assert!(refused > 200, "{refused}");
}

/// A flipped bit is either refused, or was in a place that means nothing to the host.
#[tokio::test]
async fn a_component_with_a_flipped_bit_is_refused_or_runs() {
    let arrived = r#"{"id":"m1","state":"arrived"}"#;
    let host = Host::new("acme-texts", |_| Reply::Answer(200, arrived.to_owned())).await;
    let plain = Engine::new(
        EngineConfig {
            cache_dir: None,
            ..config()
        },
        egress("http://127.0.0.1:9"),
    )
    .unwrap();
    let good = fixture("acme-texts");
    let mut refused = 0;
    for at in (0..good.len()).step_by(good.len() / 40) {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1 << (at % 8);
        match plain.load(bytes.into()).await {
            Ok(adapter) => {
                // Whatever it does now, it is a report.
                let _ = adapter
                    .sms_get(&host.context_for(std::time::Duration::ZERO), "m1")
                    .await;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    assert!(refused >= 5, "{refused}");
}

#[tokio::test]
async fn an_oversized_file_is_refused_before_it_is_looked_at() {
    let engine = Engine::new(config(), egress("http://127.0.0.1:9")).unwrap();
    let good = fixture("acme-texts");
    let mut padded = good.to_vec();
    padded.resize(COMPONENT_BYTES_MAX + 1, 0);
    for bytes in [padded, vec![0; COMPONENT_BYTES_MAX + 1]] {
        let error = engine.load(bytes.into()).await.unwrap_err();
        assert!(matches!(error, LoadError::TooLarge), "{error}");
        assert_eq!(
            error.to_string(),
            "the component has more than 33554432 bytes"
        );
    }
    // As large as may be, and no component: looked at.
    let error = engine
        .load(vec![0; COMPONENT_BYTES_MAX].into())
        .await
        .unwrap_err();
    assert!(matches!(error, LoadError::Unpack(_)), "{error}");

    // In a folder no more than that is read.
    let folder = tempfile::tempdir().unwrap();
    let sparse = fs::File::create(folder.path().join("sparse.wasm")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    let loaded = engine.load_folder(folder.path()).await;
    assert!(
        matches!(loaded.as_slice(), [(_, Err(LoadError::TooLarge))]),
        "{loaded:?}"
    );
}

/// Compiled code would run without a check: only this host's own cache may hold it.
#[tokio::test]
async fn precompiled_code_is_refused_in_every_wrapping() {
    let folder = tempfile::tempdir().unwrap();
    let caching = |path: &Path| EngineConfig {
        cache_dir: Some(path.to_owned()),
        ..config()
    };
    let engine = Engine::new(caching(folder.path()), egress("http://127.0.0.1:9")).unwrap();
    engine.load(fixture("acme-texts")).await.unwrap();
    let entry = fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let sealed = fs::read(entry).unwrap();
    // Without the seal it is what wasmtime would load.
    let code = &sealed[40..];
    let json = manifest_json(&fixture("acme-texts")).to_string();
    let labelled = with_section(code, json.as_bytes());
    for (bytes, precompiled) in [
        (code.to_vec(), true),
        (code[..code.len() / 2].to_vec(), false),
        (labelled.to_vec(), true),
        (sealed.clone(), false),
        ([COMPONENT, code].concat(), false),
    ] {
        let error = engine.load(bytes.into()).await.unwrap_err();
        assert_eq!(
            matches!(error, LoadError::Precompiled),
            precompiled,
            "{error}"
        );
        if precompiled {
            assert!(
                error
                    .to_string()
                    .ends_with("give the WebAssembly component itself")
            );
        }
    }
}
