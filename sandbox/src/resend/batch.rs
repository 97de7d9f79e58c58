//! `POST /emails/batch`: all or nothing, unless asked to be permissive.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{
    State,
    draft::{Draft, Origin},
    error::ResendError,
    send::{Accepted, accept, check_quota, parse_json},
};
use crate::{call::Call, reply::Reply};

const EMAILS_MAX: usize = 100;

#[derive(Serialize)]
struct BatchAnswer {
    data: Vec<Accepted>,
    /// Only there in permissive mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<BatchError>>,
}

#[derive(Serialize)]
struct BatchError {
    index: usize,
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Strict,
    Permissive,
}

pub(super) fn send(state: &State, call: &Call) -> Result<Reply, ResendError> {
    check_quota(state)?;
    let mode = Mode::of(call)?;
    let Value::Array(bodies) = parse_json(&call.body)? else {
        return Err(ResendError::validation(
            "The request body must be an array.",
        ));
    };
    if bodies.is_empty() || bodies.len() > EMAILS_MAX {
        return Err(ResendError::validation(
            "The batch must have between 1 and 100 emails.",
        ));
    }
    let now = state.core.clock.now();
    let mut drafts = Vec::new();
    let mut errors = Vec::new();
    for (index, body) in bodies.iter().enumerate() {
        match (Draft::parse(body, Origin::Batch, now), mode) {
            (Ok(draft), _) => drafts.push((draft, Bytes::from(body.to_string()))),
            (Err(error), Mode::Permissive) => {
                errors.push(BatchError {
                    index,
                    message: error.message().to_owned(),
                });
            }
            // Nothing has happened yet: the whole batch is refused.
            (Err(error), Mode::Strict) => return Err(error),
        }
    }
    let data = drafts
        .into_iter()
        .map(|(draft, body)| accept(state, draft, call, body, now))
        .collect();
    let errors = (mode == Mode::Permissive).then_some(errors);
    Ok(Reply::json(StatusCode::OK, &BatchAnswer { data, errors }))
}

impl Mode {
    fn of(call: &Call) -> Result<Mode, ResendError> {
        match call.header("x-batch-validation") {
            None | Some("strict") => Ok(Mode::Strict),
            Some("permissive") => Ok(Mode::Permissive),
            Some(_) => Err(ResendError::validation(
                "The `x-batch-validation` header must be `strict` or `permissive`.",
            )),
        }
    }
}
