//! Times are UTC and cut to microseconds: what PostgreSQL keeps, so that every store gives back what
//! it was given.

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};

/// `time`, cut to microseconds.
#[must_use]
pub fn cut(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}

/// RFC 3339 with `Z` and exactly six decimals.
#[must_use]
pub fn to_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Milliseconds since 1970; 0 for anything earlier.
#[must_use]
pub fn to_millis(time: DateTime<Utc>) -> u64 {
    u64::try_from(time.timestamp_millis()).unwrap_or_default()
}

/// The time of so many milliseconds since 1970, where a date can hold it.
#[must_use]
pub fn from_millis(millis: u64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(i64::try_from(millis).ok()?)
}
