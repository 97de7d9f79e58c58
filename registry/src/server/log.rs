//! The index: appending to it, and showing it.

use std::time::Duration;

use chrono::NaiveTime;

use super::Registry;
use super::refusal::{Kind, Refusal};
use super::store::{AccountRow, Tx};
use crate::digest::Digest;
use crate::index::{Entry, Event, GENESIS, Head, ViewError, chain};

/// Entries of one answer.
pub(super) const ENTRIES_MAX: u64 = 500;

/// Who does something that the log keeps.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    Publisher(&'a AccountRow),
    /// Whoever runs the registry: may do it to every name, and without a bound.
    Operator,
}

impl Registry {
    /// Appends to the log within a transaction, which other writers wait for. Nothing of it ever goes
    /// away, and every client reads all of it: so an account may only append so much on a day.
    pub(super) async fn append(
        &self,
        tx: &mut Tx,
        by: By<'_>,
        event: Event,
    ) -> Result<(), Refusal> {
        let end = tx.lock_log().await?;
        let entry = Entry {
            at: self.now(),
            event,
        };
        let text = entry.to_text().map_err(|error| match error {
            ViewError::TooLarge(_) => Refusal::new(Kind::Invalid, error),
            other => Refusal::internal("write an entry of the index", &other),
        })?;
        if let By::Publisher(account) = by {
            self.within_day(tx, account, &text).await?;
        }
        tx.append_entry(end, &text, chain(end.hash, &text)).await?;
        Ok(())
    }

    async fn within_day(
        &self,
        tx: &mut Tx,
        account: &AccountRow,
        text: &str,
    ) -> Result<(), Refusal> {
        let now = self.now();
        let day = now.format("%Y-%m-%d").to_string();
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let most = self.limits().log_bytes_per_day;
        if tx.add_log_use(account.id, &day, bytes).await? <= most {
            return Ok(());
        }
        let tomorrow = now
            .date_naive()
            .succ_opt()
            .map(|day| day.and_time(NaiveTime::MIN).and_utc());
        let wait = tomorrow
            .and_then(|tomorrow| (tomorrow - now).to_std().ok())
            .unwrap_or(Duration::ZERO);
        let reason = format!("an account may add {most} bytes to the index on a day");
        Err(Refusal::new(Kind::RateLimited, reason).after(wait))
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
