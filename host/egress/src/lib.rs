//! The one outbound HTTP client of the gateway: HTTP/1.1 over pooled connections, address guards,
//! bounded answers, and an exact record of whether a request left.
//!
//! - [`Egress`], [`EgressConfig`]: the client
//! - [`OutboundRequest`], [`Origin`], [`Answer`], [`SendError`]: what goes in and comes out
//! - [`Written`]: whether the first byte of a request was written; readable even after the future
//!   of [`Egress::send`] was dropped
//! - [`Upstreams`]: where requests for a host go instead, for sandboxes and tests
//! - [`Resolve`]: names to addresses; [`is_public`] is the guard behind it
//!
//! Four guards keep requests out of the inside: answers of the resolver are filtered, literal
//! addresses are refused, redirects are not followed, and no proxy is used. The address that was
//! checked is the one that is dialled.
//!
//! Nothing is repeated, with one exception: when a pooled connection turns out to be dead before
//! the first byte of a request was written to it, a fresh one is taken.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use onerouter_egress::{Egress, EgressConfig, Origin, OutboundRequest, Written};
//!
//! let egress = Egress::new(EgressConfig::default())?;
//! let written = Written::default();
//! let request = OutboundRequest {
//!     method: http::Method::GET,
//!     origin: Origin::https("api.example.com"),
//!     target: "/v1/things".parse()?,
//!     headers: http::HeaderMap::new(),
//!     body: bytes::Bytes::new(),
//!     answer_bytes_max: 1 << 20,
//!     written: written.clone(),
//! };
//! let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
//! let answer = egress.send(request, deadline).await?;
//! # Ok(())
//! # }
//! ```

mod address;
mod client;
mod config;
mod connection;
mod dial;
mod message;
mod pool;
mod resolve;
mod stream;
mod upstreams;
mod written;

pub use address::is_public;
pub use client::{Egress, EgressError};
pub use config::{Addresses, EgressConfig};
pub use message::{Answer, Interruption, Origin, OutboundRequest, SendError, Unreachable};
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use upstreams::{Upstreams, UpstreamsError};
pub use written::Written;
