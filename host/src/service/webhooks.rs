//! Outbound webhooks: where tenants want to hear of events, and what is told to them.
//!
//! - [`secrets`]: what an endpoint's deliveries are signed and sent with

pub mod secrets;
