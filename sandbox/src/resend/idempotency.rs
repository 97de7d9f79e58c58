//! `Idempotency-Key`: <https://resend.com/docs/dashboard/emails/idempotency-keys>.

use chrono::{DateTime, TimeDelta, Utc};

use super::error::ResendError;
use crate::{
    call::Call,
    idempotency::{Claim, Claimed, IdempotencyKeys},
    reply::Reply,
};

const KEPT: TimeDelta = TimeDelta::hours(24);
const LENGTH: std::ops::RangeInclusive<usize> = 1..=256;

pub(super) const HEADER: &str = "idempotency-key";

pub(super) enum Repeat {
    /// No key, or an endpoint that takes none.
    Unkeyed,
    First(Claim),
    Again(Reply),
}

pub(super) fn claim(
    keys: &IdempotencyKeys,
    call: &Call,
    sends: bool,
    now: DateTime<Utc>,
) -> Result<Repeat, ResendError> {
    let Some(header) = call.headers.get(HEADER).filter(|_| sends) else {
        return Ok(Repeat::Unkeyed);
    };
    let key = String::from_utf8_lossy(header.as_bytes()).into_owned();
    if !LENGTH.contains(&key.chars().count()) {
        return Err(ResendError::named("invalid_idempotency_key"));
    }
    match keys.claim(key, call, now, KEPT) {
        Claimed::New(claim) => Ok(Repeat::First(claim)),
        Claimed::Answered(reply) => Ok(Repeat::Again(reply)),
        Claimed::Different => Err(ResendError::named("invalid_idempotent_request")),
        Claimed::Running => Err(ResendError::named("concurrent_idempotent_requests")),
    }
}
