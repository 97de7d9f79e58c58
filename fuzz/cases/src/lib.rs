//! What each fuzz target does with its input: reads it as the gateway would, and holds the result
//! against what must be true of it. A target that returns has passed.
//!
//! One text serves two runs: cargo-fuzz looks for inputs (`cargo xtask soak`), and the tests repeat
//! the ones that are kept in `fuzz/corpus` and `fuzz/crashes`, on the stable toolchain.
//!
//! Where a parser is private to a crate that would bring wasmtime and a database, its source file is
//! included here: compiled with sanitizers, those take a quarter of an hour and are not what is
//! looked at.

// The included files' own tests run where they belong.
#![cfg(not(test))]
#![expect(
    clippy::panic,
    reason = "a property that does not hold is told by a panic, here as in a test"
)]

extern crate alloc;

mod answers;
mod bodies;
mod components;
mod outbound;
mod texts;

/// API keys.
#[path = "../../../host/src/api_key.rs"]
#[expect(dead_code, unreachable_pub, reason = "only the parser is a target")]
mod api_key;

/// The gateway's own modules, under their own names.
#[path = "../../../host/src/http"]
mod http_body {
    #[expect(dead_code, reason = "the routes are not here")]
    pub(crate) mod fields;
    #[expect(dead_code, reason = "the routes are not here")]
    pub(crate) mod query;
}

#[path = "../../../host/src/service"]
mod service {
    #[expect(dead_code, unreachable_pub, reason = "the services are not here")]
    pub(crate) mod refusal;
}

/// What a target does with one input.
pub type Target = fn(&[u8]);

/// Every target, by the name of its program and its corpus.
pub const TARGETS: [(&str, Target); 9] = [
    ("answer_head", answers::head),
    ("answer_json", answers::json),
    ("answer_scrub", answers::scrub),
    ("answer_time", answers::time),
    ("body", bodies::body),
    ("component", components::component),
    ("manifest", components::manifest),
    ("outbound", outbound::outbound),
    ("texts", texts::texts),
];

/// Runs the target of a name.
///
/// # Panics
/// There is no such target, or the input shows a bug.
pub fn run(name: &str, input: &[u8]) {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => target(input),
        None => panic!("no target is called {name}"),
    }
}
