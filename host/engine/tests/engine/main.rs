//! The engine with real components against a fake provider on loopback.
//!
//! The components are the fixtures of `plugins/fixtures/`: one that behaves, and one that does what
//! the first word of a message's text asks it to.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod host;
mod limits;
mod loading;
mod outcomes;
mod provider;
mod requests;
mod secrets;
