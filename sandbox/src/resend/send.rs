//! `POST /emails`, and taking an e-mail in.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{
    NAME, State, TEAM, address,
    draft::{Draft, Origin},
    email::Email,
    error::ResendError,
    idempotency,
};
use crate::{call::Call, config::Quota, ledger::Effect, reply::Reply};

#[derive(Debug, Serialize)]
pub(super) struct Accepted {
    id: String,
}

pub(super) fn send(state: &State, call: &Call) -> Result<Reply, ResendError> {
    check_quota(state)?;
    let now = state.core.clock.now();
    let draft = Draft::parse(&parse_json(&call.body)?, Origin::Single, now)?;
    Ok(Reply::json(
        StatusCode::OK,
        &accept(state, draft, call, call.body.clone(), now),
    ))
}

pub(super) fn check_quota(state: &State) -> Result<(), ResendError> {
    match state.core.settings().resend_quota {
        Quota::Free => Ok(()),
        Quota::DailyExceeded => Err(ResendError::named("daily_quota_exceeded")),
        Quota::MonthlyExceeded => Err(ResendError::named("monthly_quota_exceeded")),
    }
}

/// What is no JSON at all is 400; what is wrong in it is 422.
pub(super) fn parse_json(body: &[u8]) -> Result<Value, ResendError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("The request body is not valid JSON: {error}");
        ResendError::validation(message).with_status(StatusCode::BAD_REQUEST)
    })
}

/// From here on the e-mail exists.
pub(super) fn accept(
    state: &State,
    draft: Draft,
    call: &Call,
    body: Bytes,
    now: DateTime<Utc>,
) -> Accepted {
    let email = Email::new(draft, now, state.core.settings().delivery());
    let id = email.id.clone();
    state.core.ledger.record(Effect {
        kind: "email",
        provider: NAME,
        account: TEAM.to_owned(),
        id: id.clone(),
        object: None,
        amount: None,
        currency: None,
        to: email.to().to_vec(),
        idempotency_key: call.header(idempotency::HEADER).map(str::to_owned),
        at: now,
        body,
    });
    state.take_in(email, now);
    Accepted { id }
}

/// Every `to` of one e-mail or of a batch, as bare addresses.
pub(super) fn recipients(body: &[u8]) -> Vec<String> {
    let texts = |to: Option<&Value>| match to {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    let found = match serde_json::from_slice(body) {
        Ok(Value::Array(emails)) => emails
            .iter()
            .flat_map(|email| texts(email.get("to")))
            .collect(),
        Ok(email) => texts(email.get("to")),
        Err(_) => Vec::new(),
    };
    found
        .iter()
        .filter_map(|text| address::bare(text).map(str::to_owned))
        .collect()
}
