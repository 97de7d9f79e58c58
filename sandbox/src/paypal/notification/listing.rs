//! `/v1/notifications/webhooks-events`: reading events and having them sent again.

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    super::{
        State,
        error::PaypalError,
        fields::{self, Dialect, Fields},
        list::Query,
        outcome::{Outcome, link},
    },
    event::PATH,
};
use crate::{call::Call, lock};

const SIZE_DEFAULT: usize = 10;
const SIZE_MAX: usize = 300;

/// Newest first.
pub(in super::super) fn list(state: &State, call: &Call) -> Result<Outcome, PaypalError> {
    let query = Query::of(call);
    let size = query.number("page_size", SIZE_MAX)?.unwrap_or(SIZE_DEFAULT);
    let (start, end) = (time(&query, "start_time")?, time(&query, "end_time")?);
    let event_type = query.get("event_type");
    let object = query.get("transaction_id");
    let notifications = lock(&state.notifications);
    let newest_first = notifications.events.iter().rev().map(|(_, event)| event);
    let found = newest_first.filter(|event| {
        start.is_none_or(|start| start <= event.created_at)
            && end.is_none_or(|end| event.created_at <= end)
            && event_type.is_none_or(|wanted| wanted == event.event_type)
            && object.is_none_or(|wanted| wanted == event.object)
    });
    let events: Vec<Value> = found.take(size).map(|event| event.view.clone()).collect();
    let path = format!("{PATH}?{}", call.query());
    Ok(Outcome::Shown(json!({
        "count": events.len(),
        "events": events,
        "links": [link(path.trim_end_matches('?'), "self", "GET")],
    })))
}

pub(in super::super) fn get(state: &State, id: &str) -> Result<Outcome, PaypalError> {
    let notifications = lock(&state.notifications);
    let event = notifications.events.find(id).ok_or_else(unknown)?;
    Ok(Outcome::Shown(event.view.clone()))
}

/// The same event with the same id, to the webhooks named or to all that want it.
pub(in super::super) fn resend(
    state: &State,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Billing)?;
    let ids = match body.present("webhook_ids") {
        None => None,
        Some(Value::Array(ids)) => Some(ids.iter().filter_map(Value::as_str).collect::<Vec<_>>()),
        Some(_) => return Err(body.wrong("INVALID_PARAMETER_SYNTAX", "webhook_ids")),
    };
    let notifications = lock(&state.notifications);
    let event = notifications.events.find(id).ok_or_else(unknown)?;
    let mut ids_known = ids.iter().flatten();
    if !ids_known.all(|id| notifications.webhooks.has(id)) {
        return Err(body.wrong("INVALID_PARAMETER_VALUE", "webhook_ids"));
    }
    let webhooks = &notifications.webhooks;
    webhooks.post_again(state, event, ids.as_deref());
    Ok(Outcome::Answered(StatusCode::ACCEPTED, event.view.clone()))
}

fn unknown() -> PaypalError {
    PaypalError::issue("INVALID_RESOURCE_ID").in_path("event_id")
}

fn time(query: &Query<'_>, name: &str) -> Result<Option<DateTime<Utc>>, PaypalError> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    let time = DateTime::parse_from_rfc3339(text).map(|time| Some(time.to_utc()));
    time.map_err(|_no_time| {
        PaypalError::issue("INVALID_PARAMETER_SYNTAX")
            .in_query(name)
            .value(text)
    })
}
