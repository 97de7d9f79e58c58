//! Idempotency keys as providers keep them: which key belongs to which payload, and what was answered.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use crate::{call::Call, lock, reply::Reply, shelf::Shelf};

#[derive(Debug)]
pub(crate) struct IdempotencyKeys(Arc<Mutex<Shelf<Slot>>>);

#[derive(Debug)]
struct Slot {
    fingerprint: [u8; 32],
    claimed_at: DateTime<Utc>,
    /// `None` while the first request runs.
    answer: Option<Reply>,
}

pub(crate) enum Claimed {
    New(Claim),
    /// The stored answer of the first request.
    Answered(Reply),
    /// The key belongs to another payload.
    Different,
    /// The first request is not over.
    Running,
}

/// A key in use. Its answer is stored when it is dropped, that is when the first request is over.
/// Without an answer to keep the key is free again: a refused request may be corrected and sent with it.
#[derive(Debug)]
pub(crate) struct Claim {
    keys: Arc<Mutex<Shelf<Slot>>>,
    key: String,
    claimed_at: DateTime<Utc>,
    answer: Mutex<Option<Reply>>,
}

impl IdempotencyKeys {
    pub(crate) fn new(max: usize) -> IdempotencyKeys {
        IdempotencyKeys(Arc::new(Mutex::new(Shelf::new(max))))
    }

    /// `kept` is how long a key stays known.
    pub(crate) fn claim(
        &self,
        key: String,
        call: &Call,
        now: DateTime<Utc>,
        kept: TimeDelta,
    ) -> Claimed {
        let fingerprint = fingerprint(call);
        let mut slots = lock(&self.0);
        let current = slots
            .find(&key)
            .filter(|slot| now.signed_duration_since(slot.claimed_at) < kept);
        if let Some(slot) = current {
            return match &slot.answer {
                _ if slot.fingerprint != fingerprint => Claimed::Different,
                Some(answer) => Claimed::Answered(answer.clone()),
                None => Claimed::Running,
            };
        }
        slots.push(
            key.clone(),
            Slot {
                fingerprint,
                claimed_at: now,
                answer: None,
            },
        );
        Claimed::New(Claim {
            keys: Arc::clone(&self.0),
            key,
            claimed_at: now,
            answer: Mutex::default(),
        })
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

impl Claim {
    pub(crate) fn keep(&self, answer: &Reply) {
        *lock(&self.answer) = Some(answer.clone());
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut slots = lock(&self.keys);
        // Ours, not one of the same name made after a reset.
        let Some(slot) = slots
            .find_mut(&self.key)
            .filter(|slot| slot.claimed_at == self.claimed_at)
        else {
            return;
        };
        match lock(&self.answer).take() {
            Some(answer) => slot.answer = Some(answer),
            None => {
                slots.remove(&self.key);
            }
        }
    }
}

/// Of the endpoint and the payload's bytes.
fn fingerprint(call: &Call) -> [u8; 32] {
    Sha256::new()
        .chain_update(call.path())
        .chain_update([0])
        .chain_update(&call.body)
        .finalize()
        .into()
}
