//! The crate at its boundaries: signed statements, the index, the service over HTTP, the client
//! against good and hostile registries.

#![expect(
    clippy::unwrap_used,
    reason = "helper functions are not test code in Clippy's eyes, and may unwrap"
)]

mod evolution;
mod index;
mod oci;
mod publishing;
mod server;
mod statements;
mod support;
