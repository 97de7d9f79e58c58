//! Components that no compiler would write: a core module by hand, inside the shell of `shell.wat`.
//!
//! The module sends with `$post` and `$get`, answers well with `$ok`, and has the rest of its tricks
//! from the test.

use bytes::Bytes;
use onerouter_manifest::{Manifest, unpack};

use crate::host::fixture;

const SHELL: &str = include_str!("guests/shell.wat");

/// What goes into the places of the shell.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Guest<'t> {
    /// Functions of the core module; `send` takes the address of a request.
    pub(crate) heart: &'t str,
    /// Imports of the component besides the host's own.
    pub(crate) imports: &'t str,
    /// Core functions made of them.
    pub(crate) functions: &'t str,
    /// The same as imports of the core module, from `host`.
    pub(crate) core_imports: &'t str,
    /// The same as what the core module is given.
    pub(crate) core_exports: &'t str,
    /// More core modules and instances.
    pub(crate) parts: &'t str,
}

impl<'t> Guest<'t> {
    pub(crate) fn new(heart: &'t str) -> Self {
        Self {
            heart,
            ..Self::default()
        }
    }

    /// One whose `send` is this: instructions that leave the address of an answer.
    pub(crate) fn sending(instructions: &str) -> Bytes {
        let heart =
            format!(r#"(func (export "send") (param $request i32) (result i32) {instructions})"#);
        Guest::new(&heart).packed()
    }

    pub(crate) fn text(&self) -> String {
        SHELL
            .replace("{{imports}}", self.imports)
            .replace("{{functions}}", self.functions)
            .replace("{{core-imports}}", self.core_imports)
            .replace("{{core-exports}}", self.core_exports)
            .replace("{{parts}}", self.parts)
            .replace("{{heart}}", self.heart)
    }

    pub(crate) fn packed(&self) -> Bytes {
        packed(&self.text(), manifest())
    }
}

/// The component of this text, with a manifest that fits its imports and exports.
pub(crate) fn packed(text: &str, manifest: Manifest) -> Bytes {
    let component = wat::parse_str(text).unwrap();
    onerouter_manifest::pack(&component, manifest)
        .unwrap()
        .into()
}

/// The manifest of the saboteur, for the same provider, with as much wall-clock time as there is: the
/// clock of these tests is the one that they wind up themselves.
pub(crate) fn manifest() -> Manifest {
    let mut manifest = unpack(&fixture("saboteur")).unwrap().manifest;
    manifest.limits.wall_ms = 60_000;
    manifest
}

/// A guest that has the part of WASI by which one waits: `$subscribe` makes a timer of so many
/// nanoseconds, `$block` waits for it, `$drop` gives it back.
pub(crate) fn polling(heart: &str) -> Guest<'_> {
    Guest {
        heart,
        imports: r#"
            (import "wasi:io/poll@0.2.6" (instance $poll
              (export "pollable" (type $pollable (sub resource)))
              (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
            (alias export $poll "pollable" (type $pollable))
            (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock
              (export "pollable" (type $timer (eq $pollable)))
              (export "subscribe-duration" (func (param "when" u64) (result (own $timer))))))"#,
        functions: r#"
            (core func $subscribe (canon lower (func $clock "subscribe-duration")))
            (core func $block (canon lower (func $poll "[method]pollable.block")))
            (core func $drop (canon resource.drop $pollable))"#,
        core_imports: r#"
            (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
            (import "host" "block" (func $block (param i32)))
            (import "host" "drop" (func $drop (param i32)))"#,
        core_exports: r#"
            (export "subscribe" (func $subscribe)) (export "block" (func $block))
            (export "drop" (func $drop))"#,
        parts: "",
    }
}
