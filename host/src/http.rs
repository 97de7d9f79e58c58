//! Routes, wire types, problems, the OpenAPI document. A handler parses, authorises, calls once and
//! answers.

mod answers;
mod api_keys;
mod audit;
mod body;
mod checkout;
mod client_address;
mod docs;
mod email;
mod envelope;
mod events;
mod fields;
mod guard;
mod health;
mod marketplace;
mod money;
mod objects;
mod openapi;
mod paths;
mod payment_links;
mod payments;
mod plans;
mod plugin_keys;
mod plugins;
pub(crate) mod problem;
mod query;
mod recordings;
mod refunds;
mod routes;
mod routing;
mod server;
mod services;
pub(crate) mod shadow;
mod sms;
pub(crate) mod state;
mod subscriptions;
mod tenants;
mod unsupported;
mod web_address;
mod webhook_endpoints;
mod webhooks;

pub(crate) use client_address::tell as tell_address;
pub use routes::document;
pub(crate) use routes::router;
pub(crate) use server::DRAIN_MAX;
pub use server::Listener;
