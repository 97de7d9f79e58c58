//! `from`, `to`, `count`, `skip`; newest first.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use super::error::{RazorpayError, Shape};
use crate::{call::Call, reply::Reply};

const COUNT_DEFAULT: usize = 10;
const COUNT_MAX: usize = 100;
const TIMES: std::ops::RangeInclusive<i64> = 946_684_800..=4_765_046_400;
const RANGE: [&str; 4] = ["from", "to", "count", "skip"];

#[derive(Debug)]
pub(super) struct Listing {
    from: i64,
    to: i64,
    count: usize,
    skip: usize,
    others: HashMap<String, String>,
    pub(super) expand: Vec<String>,
}

impl Listing {
    /// `known` are the parameters beside the range and `expand[]`.
    pub(super) fn of(call: &Call, shape: Shape, known: &[&str]) -> Result<Listing, RazorpayError> {
        let mut others = HashMap::new();
        let mut expand = Vec::new();
        for (name, value) in url::form_urlencoded::parse(call.query().as_bytes()) {
            if name == "expand[]" {
                expand.push(value.into_owned());
            } else if RANGE.contains(&name.as_ref()) || known.contains(&name.as_ref()) {
                others.insert(name.into_owned(), value.into_owned());
            } else {
                let text = format!("{name} is/are not required and should not be sent");
                return Err(RazorpayError::bad(shape, text));
            }
        }
        let number = |name: &str| match others.get(name) {
            None => Ok(None),
            Some(text) => match text.parse::<i64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(
                    RazorpayError::bad(shape, format!("The {name} must be an integer."))
                        .about(name),
                ),
            },
        };
        let time = |name: &str, default: i64| {
            let time = number(name)?.unwrap_or(default);
            if TIMES.contains(&time) {
                return Ok(time);
            }
            let (first, last) = (TIMES.start(), TIMES.end());
            let text = format!("{name} must be between {first} and {last}");
            Err(RazorpayError::bad(shape, text).about(name))
        };
        let size = |name: &str, default: usize, max: usize| match number(name)? {
            None => Ok(default),
            Some(number) => match usize::try_from(number) {
                Ok(number) if number <= max => Ok(number),
                Ok(_) => Err(RazorpayError::bad(
                    shape,
                    format!("The {name} may not be greater than {max}."),
                )
                .about(name)),
                Err(_) => Err(
                    RazorpayError::bad(shape, format!("The {name} must be at least 0."))
                        .about(name),
                ),
            },
        };
        Ok(Listing {
            from: time("from", *TIMES.start())?,
            to: time("to", *TIMES.end())?,
            count: size("count", COUNT_DEFAULT, COUNT_MAX)?,
            skip: size("skip", 0, usize::MAX)?,
            others,
            expand,
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.others.get(name).map(String::as_str)
    }

    pub(super) fn covers(&self, at: DateTime<Utc>) -> bool {
        (self.from..=self.to).contains(&at.timestamp())
    }

    /// The page of what is found.
    pub(super) fn page<T>(&self, found: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        found.skip(self.skip).take(self.count)
    }
}

/// `count` is the number of items here, not of all there are.
pub(super) fn collection(items: impl Iterator<Item = Value>) -> Value {
    let items: Vec<Value> = items.collect();
    json!({ "entity": "collection", "count": items.len(), "items": items })
}

pub(super) fn reply(items: impl Iterator<Item = Value>) -> Reply {
    Reply::json(StatusCode::OK, &collection(items))
}
