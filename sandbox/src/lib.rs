//! The provider sandbox: an HTTP emulator of the outside providers, written from their
//! documentation and never bent to what a client happens to send.
//!
//! One listening port serves every provider under a path prefix (`/twilio/…`, `/resend/…`); requests
//! without a prefix are routed by their `Host` header. `/_sandbox/…` steers it: a clock that can be
//! moved, faults on demand, a ledger of effects, a log of requests. `README.md` is the manual.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`Sandbox`], [`SandboxConfig`] | starting and stopping one |
//! | `server` | sockets, routing by prefix or host, how a fault reaches the wire |
//! | `provider` | what each provider implements; `twilio/`, `resend/`, `razorpay/` and `paypal/` do |
//! | `control` | everything below `/_sandbox/` |
//! | `core`, `ledger`, `requests`, `faults`, `clock`, `idempotency`, `rate` | what the providers share |
//! | `webhooks` | what the providers send to the merchant, when, and what came of it |
//! | `buyer`, `page`, `subscription` | what payment providers share: who pays, where, and how often |
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! let sandbox = onerouter_sandbox::Sandbox::start(Default::default()).await?;
//! for (host, upstream) in sandbox.upstreams() {
//!     // Send what is meant for `host` to `upstream` instead.
//!     assert!(upstream.starts_with(&sandbox.url()), "{host}");
//! }
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod buyer;
mod call;
mod clock;
mod config;
mod connection;
mod control;
mod core;
mod faults;
mod idempotency;
mod ledger;
mod page;
pub mod paypal;
mod provider;
mod rate;
pub mod razorpay;
mod reply;
mod requests;
pub mod resend;
mod sandbox;
mod server;
mod shelf;
mod subscription;
mod timeline;
pub mod twilio;
mod webhooks;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::SandboxConfig;
pub use connection::SandboxConnection;
pub use sandbox::Sandbox;
pub use webhooks::{
    NewWebhook, Webhook, WebhookAttempt, WebhookChange, WebhookError, WebhookTargets,
};

/// Locks, also after a panic elsewhere: every critical section here leaves whole values behind.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
