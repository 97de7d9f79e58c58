//! The OneRouter gateway.
//!
//! - [`config`]: defaults, file, environment, flags, with the origin of every value
//! - [`http`]: routes, wire types, problems, OpenAPI
//! - [`service`]: what happens, step by step
//! - [`store`], [`vault`], [`redis`]: rows, secrets, and what nodes share in passing
//! - [`gateway`]: the parts wired together, as a server that a test can start too
//! - [`cli`]: the commands of the `onerouter` program

pub mod api_key;
pub mod cli;
pub mod clock;
pub mod config;
pub mod gateway;
pub mod http;
pub(crate) mod ids;
pub mod keyfile;
pub(crate) mod network;
pub mod redis;
pub mod service;
pub mod store;
pub mod vault;
