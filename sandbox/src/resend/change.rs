//! Rescheduling and cancelling; and the control API's way to set the last event.

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    State,
    email::{self, Email, Event},
    error::ResendError,
    schedule,
    send::parse_json,
};
use crate::{call::Call, lock, reply::Reply};

/// `PATCH /emails/{id}`
pub(super) fn reschedule(state: &State, id: &str, call: &Call) -> Result<Reply, ResendError> {
    let body = parse_json(&call.body)?;
    let at = match body.get("scheduled_at") {
        None | Some(Value::Null) => return Err(ResendError::missing("scheduled_at")),
        Some(Value::String(text)) => schedule::parse(text, state.core.clock.now())?,
        Some(_) => {
            return Err(ResendError::validation(
                "The `scheduled_at` field must be a `string`.",
            ));
        }
    };
    let changed = change(state, id, |email| email.reschedule(at))?;
    state.schedule(at, id.to_owned());
    Ok(changed)
}

/// `POST /emails/{id}/cancel`
pub(super) fn cancel(state: &State, id: &str) -> Result<Reply, ResendError> {
    change(state, id, Email::cancel)
}

/// Only what still waits for its time can be changed; the refusal's status and name are not documented.
fn change(state: &State, id: &str, apply: impl FnOnce(&mut Email)) -> Result<Reply, ResendError> {
    email::check_id(id)?;
    let now = state.core.clock.now();
    let mut emails = lock(&state.emails);
    let email = emails.find_mut(id).ok_or_else(email::not_found)?;
    match email.last_event(now) {
        Event::Scheduled => apply(email),
        Event::Canceled => {
            return Err(ResendError::validation(
                "The email has already been canceled.",
            ));
        }
        Event::Queued
        | Event::Sent
        | Event::Delivered
        | Event::DeliveryDelayed
        | Event::Bounced
        | Event::Complained
        | Event::Opened
        | Event::Clicked
        | Event::Failed
        | Event::Suppressed => return Err(ResendError::validation("The email is not scheduled.")),
    }
    Ok(Reply::json(
        StatusCode::OK,
        &json!({ "object": "email", "id": id }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventChange {
    last_event: Event,
}

pub(super) fn force(
    state: &State,
    email: &mut Email,
    change: &Value,
    now: DateTime<Utc>,
) -> Result<Value, String> {
    let change = EventChange::deserialize(change).map_err(|error| error.to_string())?;
    email.force(change.last_event);
    state.tell(email, change.last_event, now);
    serde_json::to_value(email.view(now)).map_err(|error| error.to_string())
}
