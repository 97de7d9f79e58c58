//! When a delivery is tried again, and what `Retry-After` may ask for.

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;

/// Seconds after each try that failed; after the last one it is given up. The example of Standard
/// Webhooks: 75.6 hours altogether.
const PAUSES_S: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// Tries of one delivery.
pub const TRIES_MAX: u32 = 10;
/// A pause is up to so many thousandths longer: what failed together does not come back together.
pub const JITTER_MAX: u32 = 200;
/// No endpoint can put its deliveries off for longer.
const RETRY_AFTER_MAX: TimeDelta = TimeDelta::hours(24);

/// How long after its `number`th try, the first being 1, a delivery is tried again: none where it is
/// given up. `jitter` is a random number up to [`JITTER_MAX`].
#[must_use]
pub fn pause_after(number: u32, jitter: u32) -> Option<TimeDelta> {
    let place = usize::try_from(number.checked_sub(1)?).ok()?;
    let pause_s = PAUSES_S.get(place)?;
    let jitter = i64::from(jitter.min(JITTER_MAX));
    // Milliseconds: seconds times thousandths.
    let more = TimeDelta::milliseconds(pause_s.saturating_mul(jitter));
    Some(TimeDelta::seconds(*pause_s) + more)
}

/// How long an answer asks to be left alone: seconds, or a date.
#[must_use]
pub fn retry_after(value: Option<&HeaderValue>, now: DateTime<Utc>) -> Option<TimeDelta> {
    let text = value?.to_str().ok()?.trim();
    let asked = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // So many digits that they are no number is a long time.
        let seconds = text.parse::<u32>().unwrap_or(u32::MAX);
        if text.is_empty() {
            return None;
        }
        TimeDelta::seconds(i64::from(seconds))
    } else {
        let at = DateTime::parse_from_rfc2822(text).ok()?;
        at.signed_duration_since(now)
    };
    Some(asked.clamp(TimeDelta::zero(), RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_those_of_the_contract_and_then_it_is_given_up() {
        let pauses: Vec<_> = (1..=TRIES_MAX)
            .map(|number| pause_after(number, 0).map(|pause| pause.num_seconds()))
            .collect();
        let (hour, minute) = (3_600, 60);
        let expected = [
            Some(5),
            Some(5 * minute),
            Some(30 * minute),
            Some(2 * hour),
            Some(5 * hour),
            Some(10 * hour),
            Some(14 * hour),
            Some(20 * hour),
            Some(24 * hour),
            None,
        ];
        assert_eq!(pauses, expected);
        assert_eq!(pause_after(0, 0), None);
        assert_eq!(pause_after(u32::MAX, 0), None);
    }

    #[test]
    fn jitter_makes_a_pause_longer_by_a_fifth_at_most() {
        let pause = |jitter| pause_after(2, jitter).unwrap();
        assert_eq!(pause(0), TimeDelta::seconds(300));
        assert_eq!(pause(1), TimeDelta::milliseconds(300_300));
        assert_eq!(pause(JITTER_MAX), TimeDelta::seconds(360));
        assert_eq!(pause(u32::MAX), TimeDelta::seconds(360));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_a_day() {
        let now = DateTime::parse_from_rfc2822("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let asked = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            retry_after(Some(&value), now.to_utc()).map(|asked| asked.num_seconds())
        };
        for (text, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("86401", Some(86_400)),
            ("99999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Fri, 01 Jan 2038 00:00:00 GMT", Some(86_400)),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(asked(text), expected, "{text:?}");
        }
        assert_eq!(retry_after(None, now.to_utc()), None);
    }
}
