//! `PayPal-Request-Id`: the same id brings the latest state of what the first call made.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};

use super::{error::PaypalError, outcome::Made, route::Route};
use crate::{call::Call, lock, shelf::Shelf};

pub(super) const HEADER: &str = "paypal-request-id";
const CHARACTERS_MAX: usize = 108;

pub(super) struct RequestIds {
    slots: Arc<Mutex<Shelf<Slot>>>,
    /// Payments that a void or a refund is at work on.
    busy: Arc<Mutex<HashSet<String>>>,
}

#[derive(Debug)]
struct Slot {
    claimed_at: DateTime<Utc>,
    /// `None` while the first call runs.
    made: Option<Made>,
}

#[derive(Debug)]
pub(super) enum Claimed {
    /// Nothing to hold: no id and no payment that only one call may be at.
    Free,
    New(Claim),
    /// The first call is over; this is what it made.
    Repeat(Made),
}

/// What one call holds until its answer is on its way. An id under which nothing was made is free again:
/// the documentation keeps results, and a refusal is none.
#[derive(Debug)]
pub(super) struct Claim {
    id: Option<IdClaim>,
    /// Only held.
    _payment: Option<PaymentClaim>,
}

#[derive(Debug)]
struct IdClaim {
    slots: Arc<Mutex<Shelf<Slot>>>,
    key: String,
    claimed_at: DateTime<Utc>,
    made: Mutex<Option<Made>>,
}

#[derive(Debug)]
struct PaymentClaim {
    busy: Arc<Mutex<HashSet<String>>>,
    id: String,
}

impl RequestIds {
    pub(super) fn new(max: usize) -> RequestIds {
        RequestIds {
            slots: Arc::new(Mutex::new(Shelf::new(max))),
            busy: Arc::default(),
        }
    }

    pub(super) fn claim(
        &self,
        call: &Call,
        route: Route<'_>,
        now: DateTime<Utc>,
    ) -> Result<Claimed, PaypalError> {
        let id = match self.claim_id(call, route, now)? {
            IdClaimed::None => None,
            IdClaimed::New(claim) => Some(claim),
            IdClaimed::Repeat(made) => return Ok(Claimed::Repeat(made)),
        };
        let payment = match route.exclusive() {
            None => None,
            Some(payment) if lock(&self.busy).insert(payment.to_owned()) => Some(PaymentClaim {
                busy: Arc::clone(&self.busy),
                id: payment.to_owned(),
            }),
            Some(_) => return Err(PaypalError::issue("PREVIOUS_REQUEST_IN_PROGRESS")),
        };
        Ok(match (&id, &payment) {
            (None, None) => Claimed::Free,
            _ => Claimed::New(Claim {
                id,
                _payment: payment,
            }),
        })
    }

    fn claim_id(
        &self,
        call: &Call,
        route: Route<'_>,
        now: DateTime<Utc>,
    ) -> Result<IdClaimed, PaypalError> {
        let (Some(kept), Some(id)) = (route.request_id_kept(), of(call)) else {
            return Ok(IdClaimed::None);
        };
        if !(1..=CHARACTERS_MAX).contains(&id.chars().count()) {
            return Err(PaypalError::issue("INVALID_STRING_LENGTH").value(id));
        }
        // A departure: it is not documented whether an id belongs to one endpoint. Here it does.
        let key = format!("{}\n{id}", call.path());
        let mut slots = lock(&self.slots);
        let current = slots
            .find(&key)
            .filter(|slot| now.signed_duration_since(slot.claimed_at) < kept);
        if let Some(slot) = current {
            return match &slot.made {
                Some(made) => Ok(IdClaimed::Repeat(made.clone())),
                None => Err(PaypalError::issue("PREVIOUS_REQUEST_IN_PROGRESS")),
            };
        }
        slots.push(
            key.clone(),
            Slot {
                claimed_at: now,
                made: None,
            },
        );
        Ok(IdClaimed::New(IdClaim {
            slots: Arc::clone(&self.slots),
            key,
            claimed_at: now,
            made: Mutex::default(),
        }))
    }

    /// Payments at work on stay: their calls are still running.
    pub(super) fn clear(&self) {
        lock(&self.slots).clear();
    }
}

enum IdClaimed {
    None,
    New(IdClaim),
    Repeat(Made),
}

/// The header of the request; one that is not text counts as absent.
pub(super) fn of(call: &Call) -> Option<&str> {
    call.header(HEADER)
}

impl Claim {
    /// What later calls with the same id will be shown.
    pub(super) fn keep(&self, made: Made) {
        if let Some(id) = &self.id {
            *lock(&id.made) = Some(made);
        }
    }
}

impl Drop for IdClaim {
    fn drop(&mut self) {
        let mut slots = lock(&self.slots);
        // Ours, not one of the same name made after a reset.
        let Some(slot) = slots
            .find_mut(&self.key)
            .filter(|slot| slot.claimed_at == self.claimed_at)
        else {
            return;
        };
        match lock(&self.made).take() {
            Some(made) => slot.made = Some(made),
            None => {
                slots.remove(&self.key);
            }
        }
    }
}

impl Drop for PaymentClaim {
    fn drop(&mut self) {
        lock(&self.busy).remove(&self.id);
    }
}
