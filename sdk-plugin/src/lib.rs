//! What a OneRouter plugin is written with.
//!
//! A plugin is one WebAssembly component. It exports interfaces of the `onerouter` WIT packages, one
//! per capability, and reaches its provider through the host: [`http`] sends, [`context`] tells
//! about the connection, [`log`] writes for the operator. There is nothing else to reach: no files,
//! no sockets, no clock of its own, and no secrets. A fresh instance serves every call, so nothing
//! needs to be kept or cleaned up.
//!
//! - [`adapter!`]: glue for the interfaces that a plugin exports
//! - [`prelude`]: what nearly every adapter uses
//! - [`http`], [`url`]: requests and answers
//! - [`json`]: reading answers field by field, writing bodies
//! - [`refusal`]: what a provider's error answers mean
//! - [`failure`]: how a call ended when it did not succeed
//! - [`money`]: amounts as providers write them
//! - [`time`]: the date formats of providers
//! - [`segments`]: in how many parts a text message travels
//! - [`webhook`]: what reading webhooks takes
//! - [`common`], [`context`], [`log`], [`outbound`], [`payments`], [`signature`]: the WIT interfaces
//!   themselves
//!
//! A plugin is a `cdylib` for the target `wasm32-wasip2`. It needs no standard library: with the
//! feature `runtime` and `#![cfg_attr(target_arch = "wasm32", no_std)]` it stays a third as large and
//! imports nothing from WASI, while its tests run on the machine that builds it. The linker argument
//! `-zstack-size=65536` keeps the memory that a call touches together.
//!
//! ```
//! use onerouter_plugin::json::Object;
//!
//! let answer = Object::read(br#"{"sid":"SM1","code":21211,"price":null}"#).unwrap();
//! assert_eq!(answer.text("sid").as_deref(), Some("SM1"));
//! assert_eq!(answer.number("code"), Some("21211"));
//! assert_eq!(answer.text("price"), None);
//! ```

#![no_std]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[doc(hidden)]
pub use onerouter_plugin_macros as macros;
#[doc(hidden)]
pub use wit_bindgen;

pub mod failure;
pub mod http;
pub mod json;
pub mod money;
pub mod prelude;
pub mod refusal;
pub mod segments;
pub mod time;
pub mod url;
pub mod webhook;

mod bindings;
#[cfg(all(feature = "runtime", target_arch = "wasm32"))]
mod runtime;

pub use bindings::onerouter::host::{context, log, signature};
pub use bindings::onerouter::outbound::http as outbound;
pub use bindings::onerouter::payments::types as payments;
pub use bindings::onerouter::types::common;
