//! `Idempotency-Key`: <https://resend.com/docs/dashboard/emails/idempotency-keys>.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::error::ResendError;
use crate::{call::Call, lock, reply::Reply, shelf::Shelf};

const KEPT: TimeDelta = TimeDelta::hours(24);
const LENGTH: std::ops::RangeInclusive<usize> = 1..=256;

pub(super) const HEADER: &str = "idempotency-key";

/// The team's keys: which key belongs to which payload, and what was answered.
#[derive(Debug)]
pub(super) struct IdempotencyKeys(Arc<Mutex<Shelf<Slot>>>);

#[derive(Debug)]
struct Slot {
    fingerprint: [u8; 32],
    claimed_at: DateTime<Utc>,
    /// `None` while the first request runs.
    answer: Option<Reply>,
}

pub(super) enum Claimed {
    /// No key, or an endpoint that takes none.
    None,
    New(Claim),
    /// The stored answer of the first request.
    Answered(Reply),
}

/// A key in use. Its answer is stored when it is dropped, that is when the first request is over.
/// Without an answer to keep the key is free again: a refused request may be corrected and sent with it.
#[derive(Debug)]
pub(super) struct Claim {
    keys: Arc<Mutex<Shelf<Slot>>>,
    key: String,
    claimed_at: DateTime<Utc>,
    answer: Mutex<Option<Reply>>,
}

impl IdempotencyKeys {
    pub(super) fn new(max: usize) -> IdempotencyKeys {
        IdempotencyKeys(Arc::new(Mutex::new(Shelf::new(max))))
    }

    pub(super) fn claim(
        &self,
        call: &Call,
        sends: bool,
        now: DateTime<Utc>,
    ) -> Result<Claimed, ResendError> {
        let Some(header) = call.headers.get(HEADER).filter(|_| sends) else {
            return Ok(Claimed::None);
        };
        let key = String::from_utf8_lossy(header.as_bytes()).into_owned();
        if !LENGTH.contains(&key.chars().count()) {
            return Err(ResendError::named("invalid_idempotency_key"));
        }
        let fingerprint = fingerprint(call);
        let mut slots = lock(&self.0);
        let current = slots
            .find(&key)
            .filter(|slot| now.signed_duration_since(slot.claimed_at) < KEPT);
        if let Some(slot) = current {
            return match &slot.answer {
                _ if slot.fingerprint != fingerprint => {
                    Err(ResendError::named("invalid_idempotent_request"))
                }
                Some(answer) => Ok(Claimed::Answered(answer.clone())),
                None => Err(ResendError::named("concurrent_idempotent_requests")),
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
        Ok(Claimed::New(Claim {
            keys: Arc::clone(&self.0),
            key,
            claimed_at: now,
            answer: Mutex::default(),
        }))
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}

impl Claim {
    pub(super) fn keep(&self, answer: &Reply) {
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
