//! The engine with real components against a fake provider on loopback.
//!
//! The components are the fixtures of `plugins/fixtures/`: one that behaves, one that does what the
//! first word of a message's text asks it to, and one that uses the standard library. What no compiler
//! would write comes from `guests`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod answers;
mod appetite;
mod breakdowns;
mod bypass;
mod email;
mod environments;
mod files;
mod guests;
mod host;
mod keys;
mod lies;
mod limits;
mod loading;
mod loops;
mod names;
mod neighbours;
mod oauth;
mod outcomes;
mod packing;
mod provider;
mod recordings;
mod requests;
mod secrets;
mod signature;
mod standard;
mod wide;
