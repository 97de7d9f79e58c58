//! What OneRouter is about, without any I/O: ids, statuses and how they may change, checked texts,
//! costs, error codes. No async, no clock, no randomness.
//!
//! - [`id`]: prefixed, time-ordered ids
//! - [`environment`]: `test` or `live`
//! - [`message`], [`payment`]: statuses of everything, and [`status`], how they merge
//! - [`event`]: what events are called, and who wants to hear of them
//! - [`money`]: exact amounts with their currency
//! - [`failure`], [`cost`]: why something failed, what it cost
//! - [`address`], [`metadata`], [`idempotency`]: texts that keep their promises
//! - [`code`]: the stable error codes of the API
//! - [`time`]: times cut to microseconds
//!
//! ```
//! use onerouter_domain::message::SmsStatus;
//! // A late "sent" does not undo "delivered".
//! assert_eq!(SmsStatus::Delivered.merge(SmsStatus::Sent), SmsStatus::Delivered);
//! ```
#![warn(missing_docs)]
#![warn(clippy::float_arithmetic, clippy::arithmetic_side_effects)]

pub mod address;
pub mod code;
pub mod cost;
pub mod environment;
pub mod event;
pub mod failure;
pub mod id;
pub mod idempotency;
pub mod message;
pub mod metadata;
pub mod money;
pub mod payment;
pub mod status;
pub mod time;
