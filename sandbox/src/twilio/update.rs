//! Cancelling, redacting and deleting; and the control API's way to set a status.

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{
    State, callback,
    error::TwilioError,
    form::Form,
    message::{Forced, Message},
    status::Status,
};
use crate::{call::Call, core::Core, lock, reply::Reply};

/// `POST …/Messages/{Sid}.json` with `Status=canceled` or an empty `Body`.
pub(super) fn update(state: &State, sid: &str, call: &Call) -> Result<Reply, TwilioError> {
    let form = Form::of(call);
    let now = state.core.clock.now();
    let mut messages = lock(&state.messages);
    let message = messages
        .find_mut(sid)
        .ok_or_else(|| TwilioError::about(20404, call.path()))?;
    match (form.get("Status"), form.get("Body")) {
        // The error's own page knows only `scheduled` messages as ones that can be cancelled; the
        // Message resource speaks of "not-yet-sent messages", which this follows.
        (Some("canceled"), _) if message.status(now).0.is_waiting() => {
            message.cancel(now);
            callback::tell(&state.core, message, Status::Canceled, now);
        }
        (Some("canceled"), _) => return Err(TwilioError::of(30409)),
        (Some(_), _) => return Err(TwilioError::about(20422, "Status")),
        (None, Some("")) => message.redact(now),
        (None, _) => return Err(TwilioError::about(20422, "Body")),
    }
    Ok(Reply::json(StatusCode::OK, &message.view(now)))
}

/// `DELETE …/Messages/{Sid}.json`
pub(super) fn delete(state: &State, sid: &str, call: &Call) -> Result<Reply, TwilioError> {
    let now = state.core.clock.now();
    let mut messages = lock(&state.messages);
    let message = messages
        .find(sid)
        .ok_or_else(|| TwilioError::about(20404, call.path()))?;
    if !message.status(now).0.is_final() {
        return Err(TwilioError::of(20009));
    }
    messages.remove(sid);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusChange {
    status: Status,
    error_code: Option<u32>,
    error_message: Option<String>,
}

pub(super) fn force(
    core: &Core,
    message: &mut Message,
    change: &Value,
    now: DateTime<Utc>,
) -> Result<Value, String> {
    let change = StatusChange::deserialize(change).map_err(|error| error.to_string())?;
    message.force(Forced {
        status: change.status,
        error_code: change.error_code,
        error_message: change.error_message,
        at: now,
    });
    callback::tell(core, message, change.status, now);
    serde_json::to_value(message.view(now)).map_err(|error| error.to_string())
}
