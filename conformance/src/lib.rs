//! The conformance kit: holds a provider adapter against what the gateway relies on.
//!
//! For everything that a component exports it makes the calls that the gateway makes, by the engine that the
//! gateway uses: same limits, same rules for outbound requests, same last word of the host. The provider's
//! side comes from cassettes, which are answers that the author has recorded; from a live sandbox; and, for
//! the failures that every provider has, from the kit itself.
//!
//! - [`test`], [`Options`], [`Live`], [`Buyer`], [`CodeCache`]: running it
//! - [`Cassettes`]: recorded answers
//! - [`Report`], [`Case`], [`Finding`], [`Verdict`]: what came of it, as text, JSON or HTML
//!
//! Inside: `operation` names what is called and calls it, with the requests of `canonical`; `provider` is
//! the server that answers, by the script of a scenario; `fault`, `expectation`, `carried`, `webhook` and
//! `meter` judge; `kit` goes through all of it.
//!
//! ```no_run
//! # async fn example(component: bytes::Bytes) -> Result<(), Box<dyn std::error::Error>> {
//! use onerouter_conformance::{Cassettes, Options, test};
//!
//! let cassettes = Cassettes::read("cassettes".as_ref())?;
//! let report = test(component, &Options::new(cassettes), &|_| {}).await?;
//! println!("{}", report.to_text());
//! # Ok(())
//! # }
//! ```

mod buyer;
mod canonical;
mod carried;
mod cassette;
mod clock;
mod connection;
mod expectation;
mod fault;
mod finding;
mod forward;
mod input;
mod kit;
mod live;
mod meter;
mod operation;
mod pattern;
mod provider;
mod report;
mod run;
mod webhook;

pub use buyer::Buyer;
pub use cassette::{CassetteError, Cassettes};
pub use connection::{ConnectionError, GivenConnection};
pub use finding::{Finding, Severity, Verdict};
pub use kit::{CodeCache, KitError, Options, Progress, test};
pub use live::Live;
pub use meter::{Metered, Use};
pub use report::{Case, Plugin, Report, Source, Totals};
