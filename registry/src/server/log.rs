//! The index: appending to it, and showing it.

use super::Registry;
use super::refusal::Refusal;
use super::store::Tx;
use crate::digest::Digest;
use crate::index::{Entry, Event, GENESIS, Head, chain};

/// Entries of one answer.
pub(super) const ENTRIES_MAX: u64 = 500;

impl Registry {
    /// Appends to the log within a transaction, which other writers wait for.
    pub(super) async fn append(&self, tx: &mut Tx, event: Event) -> Result<(), Refusal> {
        let end = tx.lock_log().await?;
        let entry = Entry {
            at: self.now(),
            event,
        };
        let text = entry
            .to_text()
            .map_err(|error| Refusal::internal("write an entry of the index", &error))?;
        tx.append_entry(end, &text, chain(end.hash, &text)).await?;
        Ok(())
    }

    /// The end of the log, signed now.
    pub(super) async fn signed_head(&self) -> Result<Vec<u8>, Refusal> {
        let end = self.0.store.read().await?.log_end().await?;
        let now = self.now();
        let head = Head {
            size: end.size,
            hash: end.hash.unwrap_or_else(|| Digest::of(GENESIS.as_bytes())),
            time: now,
            expires: now + self.limits().head_lifetime,
        };
        Ok(head.sign(&self.0.config.key).to_json())
    }

    /// Entries from one on, as many as one answer holds.
    pub(super) async fn entries(&self, from: u64, limit: u64) -> Result<Vec<String>, Refusal> {
        let mut tx = self.0.store.read().await?;
        Ok(tx.list_entries(from, limit.min(ENTRIES_MAX)).await?)
    }
}
