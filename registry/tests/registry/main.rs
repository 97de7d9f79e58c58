//! The crate at its boundaries: signed statements, the index, the service over HTTP, the client
//! against good and hostile registries.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helper functions are not test code in Clippy's eyes, and may unwrap"
)]

mod access;
mod answers;
mod catalogue;
mod evolution;
mod fetching;
mod hostile;
mod index;
mod log;
mod oci;
mod offline;
mod publishing;
mod resolution;
mod server;
mod statements;
mod strangers;
mod support;
mod uploads;
