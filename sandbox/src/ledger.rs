//! The ledger of effects: one entry for each thing that a real provider would have done.

use std::{collections::VecDeque, sync::Mutex};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::lock;

/// Enough to recognise a message; attachments would fill the memory.
const BODY_BYTES_KEPT: usize = 16 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct Effect {
    /// `sms`, `email`, `payment`, `refund`, …: an open set, each provider's kinds are in the manual.
    pub(crate) kind: &'static str,
    pub(crate) provider: &'static str,
    pub(crate) account: String,
    /// The provider's id of what came into being.
    pub(crate) id: String,
    /// The id of what was acted on: the payment of a refund, the subscription of a charge.
    pub(crate) object: Option<String>,
    /// As the provider writes it.
    pub(crate) amount: Option<String>,
    pub(crate) currency: Option<String>,
    pub(crate) to: Vec<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) at: DateTime<Utc>,
    /// What asked for it: the form, or the JSON of this one e-mail.
    pub(crate) body: Bytes,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    entries: Mutex<Entries>,
    max: usize,
}

#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<Entry>,
    /// Since the start or the last reset, dropped ones included.
    total: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    effect: Effect,
    body_sha256: [u8; 32],
}

/// What a reader asks for; absent fields match everything.
#[derive(Debug, Default)]
pub(crate) struct LedgerFilter {
    pub(crate) kind: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) object: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

/// One entry as the control API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct EntryView {
    number: u64,
    kind: &'static str,
    provider: &'static str,
    account: String,
    id: String,
    object: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    to: Vec<String>,
    idempotency_key: Option<String>,
    at: String,
    body: String,
    body_sha256: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct LedgerView {
    /// Matching entries that are still kept.
    count: usize,
    /// All effects since the start or the last reset.
    total: u64,
    /// In the order of happening.
    data: Vec<EntryView>,
}

impl Ledger {
    pub(crate) fn new(max: usize) -> Ledger {
        Ledger {
            entries: Mutex::default(),
            max: max.max(1),
        }
    }

    pub(crate) fn record(&self, mut effect: Effect) {
        let body_sha256 = Sha256::digest(&effect.body).into();
        let kept = effect.body.get(..BODY_BYTES_KEPT).unwrap_or(&effect.body);
        // A copy, because the original is a slice of the connection's read buffer and would keep it alive.
        effect.body = Bytes::copy_from_slice(kept);
        let mut entries = lock(&self.entries);
        if entries.kept.len() >= self.max {
            entries.kept.pop_front();
        }
        entries.total = entries.total.saturating_add(1);
        let number = entries.total;
        entries.kept.push_back(Entry {
            number,
            effect,
            body_sha256,
        });
    }

    pub(crate) fn read(&self, filter: &LedgerFilter, limit: usize) -> LedgerView {
        let entries = lock(&self.entries);
        let matching = || {
            entries
                .kept
                .iter()
                .filter(|entry| filter.matches(&entry.effect))
        };
        LedgerView {
            count: matching().count(),
            total: entries.total,
            data: matching().take(limit).map(EntryView::from).collect(),
        }
    }

    pub(crate) fn clear(&self) {
        *lock(&self.entries) = Entries::default();
    }
}

impl LedgerFilter {
    fn matches(&self, effect: &Effect) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.kind, effect.kind)
            && is(&self.provider, effect.provider)
            && is(&self.account, &effect.account)
            && is(&self.id, &effect.id)
            && is(&self.object, effect.object.as_deref().unwrap_or_default())
            && is(
                &self.idempotency_key,
                effect.idempotency_key.as_deref().unwrap_or_default(),
            )
            && self.to.as_ref().is_none_or(|to| effect.to.contains(to))
    }
}

impl From<&Entry> for EntryView {
    fn from(entry: &Entry) -> Self {
        let effect = entry.effect.clone();
        EntryView {
            number: entry.number,
            kind: effect.kind,
            provider: effect.provider,
            account: effect.account,
            id: effect.id,
            object: effect.object,
            amount: effect.amount,
            currency: effect.currency,
            to: effect.to,
            idempotency_key: effect.idempotency_key,
            at: effect.at.to_rfc3339(),
            body: String::from_utf8_lossy(&effect.body).into_owned(),
            body_sha256: hex(&entry.body_sha256),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
