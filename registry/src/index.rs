//! The registry's append-only log: who may publish under a name, and what was published.
//!
//! Every entry is chained to the one before it by its hash; the registry signs the *head*: how
//! many entries there are, the last hash, and when it said so. A client keeps the log that it has
//! seen. What it is shown next must go on from there:
//!
//! | it is shown … | is | error |
//! | --- | --- | --- |
//! | a smaller log than before | a rollback | [`IndexError::Rollback`] |
//! | another hash at a place that it knows | a fork: somebody else sees another history | [`IndexError::Fork`] |
//! | an old head | a freeze: news (a revoked key, a yank) is kept from it | [`IndexError::Frozen`] |
//! | entries that do not lead to the head | forged | [`IndexError::Forged`] |
//!
//! - [`Entry`], [`Event`]: what stands in the log, and [`chain`]
//! - [`Head`], [`SignedHead`]: what the registry signs
//! - [`Index`]: a client's copy, which only moves forward
//! - [`View`]: what the log says, by plugin
//! - [`Wanted`], [`View::resolve`]: which version `NAME@RANGE` is

mod copy;
mod entries;
mod entry;
mod error;
mod head;
mod resolve;
mod view;

pub use copy::{COPY_BYTES_MAX, Freshness, Index, Seen};
pub(crate) use entries::{Entries, kept_bytes};
pub use entry::{ENTRY_BYTES_MAX, Entry, Event, GENESIS, TEXT_CHARACTERS_MAX, chain};
pub use error::{IndexError, ResolveError, ViewError};
pub use head::{HEAD_BYTES_MAX, HEAD_TYPE, Head, SignedHead};
pub(crate) use resolve::affects;
pub use resolve::{Resolved, Wanted};
pub use view::{Advisory, ListedKey, PluginEntry, PublishedVersion, Revocation, View};
