//! `scheduled_at`: ISO 8601, or English such as "in 1 min".

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::error::ResendError;
use crate::clock::later;

/// <https://resend.com/docs/dashboard/emails/schedule-email>
const AHEAD_MAX: TimeDelta = TimeDelta::days(30);

pub(super) fn parse(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, ResendError> {
    let at = parse_iso(text)
        .or_else(|| parse_english(text, now))
        .ok_or_else(|| {
            ResendError::validation(
                "The `scheduled_at` field must be a valid ISO 8601 date or natural language.",
            )
        })?;
    if at < now {
        return Err(ResendError::validation(
            "The `scheduled_at` field must be in the future.",
        ));
    }
    if at.signed_duration_since(now) > AHEAD_MAX {
        return Err(ResendError::validation(
            "The `scheduled_at` field must be at most 30 days in the future.",
        ));
    }
    Ok(at)
}

fn parse_iso(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    // ISO 8601 allows a time without an offset; it is read as UTC.
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .ok()
        .map(|at| at.and_utc())
}

/// `in 5 minutes` and its kind; of the rest of the language ("tomorrow at 9am") the sandbox knows nothing.
fn parse_english(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let text = text.trim().to_ascii_lowercase();
    let mut words = text.split_whitespace();
    if words.next()? != "in" {
        return None;
    }
    let count: i64 = words.next()?.parse().ok().filter(|count| *count >= 0)?;
    let unit = match words.next()?.trim_end_matches('s') {
        "second" | "sec" => TimeDelta::try_seconds(count),
        "minute" | "min" => TimeDelta::try_minutes(count),
        "hour" | "hr" | "h" => TimeDelta::try_hours(count),
        "day" => TimeDelta::try_days(count),
        "week" => TimeDelta::try_weeks(count),
        _ => None,
    };
    words.next().is_none().then_some(())?;
    Some(later(now, unit?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_understood_within_thirty_days() {
        let now = DateTime::UNIX_EPOCH;
        let seconds = |text| parse(text, now).ok().map(|at| at.timestamp());
        for (text, expected) in [
            ("1970-01-01T00:01:00Z", Some(60)),
            ("1970-01-01T01:01:00+01:00", Some(60)),
            ("1970-01-01T00:01:00.5", Some(60)),
            ("in 1 min", Some(60)),
            ("in 2 hours", Some(7200)),
            ("in 30 days", Some(30 * 86_400)),
            ("in 31 days", None),
            ("1969-12-31T00:00:00Z", None),
            ("tomorrow", None),
            ("in 1 min or so", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
