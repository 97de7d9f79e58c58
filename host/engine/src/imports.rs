//! The host's side of what an adapter imports.

mod context;
mod http;
mod log;
pub(crate) mod signature;
