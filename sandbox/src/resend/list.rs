//! `GET /emails`: newest first, by cursor.

use http::StatusCode;
use serde::Serialize;

use super::{
    State,
    email::{Email, EmailView, check_id, not_found},
    error::ResendError,
};
use crate::{call::Call, lock, reply::Reply};

const LIMIT_DEFAULT: usize = 20;
const LIMITS: std::ops::RangeInclusive<usize> = 1..=100;

#[derive(Serialize)]
struct Page<'a> {
    object: &'static str,
    has_more: bool,
    data: Vec<EmailView<'a>>,
}

pub(super) fn list(state: &State, call: &Call) -> Result<Reply, ResendError> {
    let (mut limit, mut after, mut before) = (LIMIT_DEFAULT, None, None);
    for (name, value) in url::form_urlencoded::parse(call.query().as_bytes()) {
        match name.as_ref() {
            "limit" => {
                let number = value.parse().ok().filter(|limit| LIMITS.contains(limit));
                limit = number.ok_or(ResendError::validation(
                    "The `limit` field must be a number between 1 and 100.",
                ))?;
            }
            "after" => after = Some(value.into_owned()),
            "before" => before = Some(value.into_owned()),
            _ => {}
        }
    }
    let now = state.core.clock.now();
    let emails = lock(&state.emails);
    let place = |id: &String| {
        check_id(id)?;
        emails.index_of(id).ok_or_else(not_found)
    };
    let newest_first = emails.iter().rev();
    // One more than fits tells whether there are more in the direction of travel.
    let enough = limit.saturating_add(1);
    let (found, has_more): (Vec<&Email>, bool) = match (&after, &before) {
        (Some(_), Some(_)) => {
            return Err(ResendError::validation(
                "`after` and `before` cannot be used together.",
            ));
        }
        (None, Some(before)) => {
            let last = place(before)?;
            let mut newer: Vec<&Email> = newest_first
                .filter(|(at, _)| *at > last)
                .map(|(_, email)| email)
                .collect();
            let has_more = newer.len() > limit;
            (newer.split_off(newer.len().saturating_sub(limit)), has_more)
        }
        (after, None) => {
            let first = after.as_ref().map(place).transpose()?;
            let older = newest_first.filter(|(at, _)| first.is_none_or(|first| *at < first));
            let mut older: Vec<&Email> = older.map(|(_, email)| email).take(enough).collect();
            let has_more = older.len() > limit;
            older.truncate(limit);
            (older, has_more)
        }
    };
    let data = found.into_iter().map(|email| email.view(now)).collect();
    Ok(Reply::json(
        StatusCode::OK,
        &Page {
            object: "list",
            has_more,
            data,
        },
    ))
}
