//! What happens, step by step. No routes and no status codes of HTTP here, no SQL either.
//!
//! - [`objects`]: one write from claim to settlement, the same for every kind
//! - [`kind`], [`sms`], [`email`], [`message`], [`object`]: what the kinds are and where they differ
//! - [`payment`], [`refund`], [`plan`], [`subscription`], [`payment_link`], [`paying`]: money
//! - [`pages`]: what buyers get to see
//! - [`connections`]: credentials, from connect to call
//! - [`authentication`], [`caller`], [`keys`], [`tenants`], [`limits`]: who may do what, and how often
//! - [`recordings`]: calls that are kept, to try new versions of plugins with
//! - [`inbound`]: what providers tell of their own accord
//! - [`changes`]: what was changed on other nodes
//! - `outcome`, [`refusal`]: what a call's end means to a caller
//! - [`sweeper`]: what happens in the background
//! - [`webhooks`]: where tenants hear of events

pub mod audit;
pub mod authentication;
pub mod caller;
pub mod changes;
pub mod connections;
pub mod email;
pub mod inbound;
pub mod keys;
pub mod kind;
pub mod limits;
pub mod message;
pub mod object;
pub mod objects;
pub(crate) mod outcome;
pub mod pages;
pub mod paying;
pub mod payment;
pub mod payment_link;
pub mod plan;
pub mod plugins;
pub mod recordings;
pub mod refund;
pub mod refusal;
pub mod routing;
pub mod sms;
pub mod subscription;
pub mod sweeper;
pub mod tenants;
pub mod view;
pub mod webhooks;
