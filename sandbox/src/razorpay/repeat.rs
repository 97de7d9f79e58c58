//! `X-Refund-Idempotency`, which refunds alone have. How long a key is remembered is not documented:
//! here as long as there is room for it.

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;

use super::{
    error::{RazorpayError, Shape},
    refund::IDEMPOTENCY_HEADER,
};
use crate::{
    call::Call,
    idempotency::{Claim, Claimed, IdempotencyKeys},
    reply::Reply,
};

const LENGTH_MIN: usize = 10;

pub(super) enum Repeat {
    Unkeyed,
    First(Claim),
    Again(Reply),
}

pub(super) fn claim(
    keys: &IdempotencyKeys,
    call: &Call,
    now: DateTime<Utc>,
) -> Result<Repeat, RazorpayError> {
    let Some(header) = call.headers.get(IDEMPOTENCY_HEADER) else {
        return Ok(Repeat::Unkeyed);
    };
    let refuse = |text: &'static str| RazorpayError::bad(Shape::NotApplicable, text);
    let key = String::from_utf8_lossy(header.as_bytes()).into_owned();
    if key.chars().count() < LENGTH_MIN {
        return Err(refuse(
            "The idempotency key must be at least 10 characters long.",
        ));
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.bytes().all(is_allowed) {
        return Err(refuse(
            "The idempotency key must only contain alphanumeric characters, underscores, and hyphens",
        ));
    }
    match keys.claim(key, call, now, TimeDelta::MAX) {
        Claimed::New(claim) => Ok(Repeat::First(claim)),
        Claimed::Answered(reply) => Ok(Repeat::Again(reply)),
        Claimed::Different => Err(refuse(
            "Different request with the same idempotency key has already been processed.",
        )
        .with_status(StatusCode::CONFLICT)),
        Claimed::Running => Err(refuse(
            "Another request with the same idempotency key is still in progress.",
        )
        .with_status(StatusCode::CONFLICT)),
    }
}
