//! `GET /emails`: newest first, by cursor.

use http::StatusCode;
use serde::Serialize;

use super::{
    State,
    email::{EmailView, check_id, not_found},
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

/// Which page is asked for.
pub(super) struct Cursor {
    limit: usize,
    after: Option<String>,
    before: Option<String>,
}

pub(super) fn list(state: &State, call: &Call) -> Result<Reply, ResendError> {
    let cursor = Cursor::of(call)?;
    let now = state.core.clock.now();
    let emails = lock(&state.emails);
    let place = |id: &str| {
        check_id(id)?;
        emails.index_of(id).ok_or_else(not_found)
    };
    let (found, has_more) = cursor.page(emails.iter().rev(), place)?;
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

impl Cursor {
    pub(super) fn of(call: &Call) -> Result<Cursor, ResendError> {
        let mut cursor = Cursor {
            limit: LIMIT_DEFAULT,
            after: None,
            before: None,
        };
        for (name, value) in url::form_urlencoded::parse(call.query().as_bytes()) {
            match name.as_ref() {
                "limit" => {
                    let number = value.parse().ok().filter(|limit| LIMITS.contains(limit));
                    cursor.limit = number.ok_or(ResendError::validation(
                        "The `limit` field must be a number between 1 and 100.",
                    ))?;
                }
                "after" => cursor.after = Some(value.into_owned()),
                "before" => cursor.before = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(cursor)
    }

    /// What is on it, and whether there is more in the direction of travel.
    pub(super) fn page<'a, T>(
        &self,
        newest_first: impl Iterator<Item = (usize, &'a T)>,
        place: impl Fn(&str) -> Result<usize, ResendError>,
    ) -> Result<(Vec<&'a T>, bool), ResendError> {
        let limit = self.limit;
        match (&self.after, &self.before) {
            (Some(_), Some(_)) => Err(ResendError::validation(
                "`after` and `before` cannot be used together.",
            )),
            (None, Some(before)) => {
                let last = place(before)?;
                let mut newer: Vec<&T> = newest_first
                    .filter(|(at, _)| *at > last)
                    .map(|(_, item)| item)
                    .collect();
                let has_more = newer.len() > limit;
                Ok((newer.split_off(newer.len().saturating_sub(limit)), has_more))
            }
            (after, None) => {
                let first = after.as_deref().map(place).transpose()?;
                let older = newest_first.filter(|(at, _)| first.is_none_or(|first| *at < first));
                // One more than fits tells whether there are more.
                let enough = limit.saturating_add(1);
                let mut older: Vec<&T> = older.map(|(_, item)| item).take(enough).collect();
                let has_more = older.len() > limit;
                older.truncate(limit);
                Ok((older, has_more))
            }
        }
    }
}
