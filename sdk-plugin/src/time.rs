//! The date formats of providers, to and from milliseconds since 1970-01-01T00:00:00Z.
//!
//! Nothing before 1970 and nothing after 9999 has a reading here.

use alloc::string::String;

const DAY_MS: u64 = 86_400_000;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// From a Thursday, as 1970-01-01 was.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Reads `Thu, 24 Aug 2023 05:01:45 +0000` (RFC 2822, with `GMT` and `UTC` besides).
///
/// The weekday may be missing and is not checked.
#[must_use]
pub fn parse_rfc2822(text: &str) -> Option<u64> {
    let date = text.split_once(',').map_or(text, |(_, date)| date);
    let mut parts = date.split_ascii_whitespace();
    let day = number(parts.next()?, 1, 2)?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year = number(parts.next()?, 4, 4)?;
    let time = parts.next()?;
    let zone = parts.next().unwrap_or("GMT");
    if parts.next().is_some() {
        return None;
    }
    let mut clock = time.split(':');
    let moment = Moment {
        year,
        month: u64::try_from(month).ok()?.checked_add(1)?,
        day,
        hour: number(clock.next()?, 2, 2)?,
        minute: number(clock.next()?, 2, 2)?,
        second: clock
            .next()
            .map_or(Some(0), |second| number(second, 2, 2))?,
        millisecond: 0,
    };
    if clock.next().is_some() {
        return None;
    }
    let east = match zone {
        "GMT" | "UTC" | "UT" | "Z" => Offset::NONE,
        _ => Offset::parse(zone)?,
    };
    east.apply(moment.as_ms()?)
}

/// Writes `Thu, 24 Aug 2023 05:01:45 +0000`. Parts of a second are left out.
#[must_use]
pub fn format_rfc2822(ms: u64) -> String {
    let moment = Moment::from_ms(ms);
    let weekday = usize::try_from(ms / DAY_MS % 7)
        .ok()
        .and_then(|day| WEEKDAYS.get(day));
    let month = usize::try_from(moment.month.saturating_sub(1))
        .ok()
        .and_then(|month| MONTHS.get(month));
    let mut out = String::with_capacity(31);
    out.extend(weekday.copied());
    out.push_str(", ");
    push(&mut out, moment.day, 2);
    out.push(' ');
    out.extend(month.copied());
    out.push(' ');
    push(&mut out, moment.year, 4);
    out.push(' ');
    push_clock(&mut out, &moment);
    out.push_str(" +0000");
    out
}

/// Reads `2023-08-24T05:01:45.123+02:00` (RFC 3339).
///
/// Some providers write a space for the `T`, or an offset of hours only (`+00`); both are taken.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut date = date.split('-');
    let year = number(date.next()?, 4, 4)?;
    let month = number(date.next()?, 2, 2)?;
    let day = number(date.next()?, 2, 2)?;
    let (clock, zone) = rest.split_at_checked(rest.find(['Z', 'z', '+', '-'])?)?;
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, milliseconds(fraction)?),
        None => (clock, 0),
    };
    let mut clock = clock.split(':');
    let moment = Moment {
        year,
        month,
        day,
        hour: number(clock.next()?, 2, 2)?,
        minute: number(clock.next()?, 2, 2)?,
        second: number(clock.next()?, 2, 2)?,
        millisecond: fraction,
    };
    if date.next().is_some() || clock.next().is_some() {
        return None;
    }
    let east = match zone {
        "Z" | "z" => Offset::NONE,
        _ => Offset::parse(zone)?,
    };
    east.apply(moment.as_ms()?)
}

/// Writes `2023-08-24T05:01:45.123Z`, without the milliseconds where they are 0.
#[must_use]
pub fn format_rfc3339(ms: u64) -> String {
    let moment = Moment::from_ms(ms);
    let mut out = String::with_capacity(24);
    push(&mut out, moment.year, 4);
    out.push('-');
    push(&mut out, moment.month, 2);
    out.push('-');
    push(&mut out, moment.day, 2);
    out.push('T');
    push_clock(&mut out, &moment);
    if moment.millisecond > 0 {
        out.push('.');
        push(&mut out, moment.millisecond, 3);
    }
    out.push('Z');
    out
}

/// The same time of day so many months later; of a day that the month does not have, its last one.
#[must_use]
pub fn add_months(ms: u64, months: u32) -> Option<u64> {
    let moment = Moment::from_ms(ms);
    let month = (moment.month - 1).checked_add(months.into())?;
    let (year, month) = (moment.year.checked_add(month / 12)?, month % 12 + 1);
    let day = moment.day.min(days_in(year, month));
    let later = Moment {
        year,
        month,
        day,
        ..moment
    };
    later.as_ms()
}

/// The same time of day so many days later.
#[must_use]
pub fn add_days(ms: u64, days: u32) -> Option<u64> {
    ms.checked_add(u64::from(days) * DAY_MS)
}

/// A moment in UTC, taken apart.
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millisecond: u64,
}

impl Moment {
    fn from_ms(ms: u64) -> Self {
        let (year, month, day) = civil_from_days(ms / DAY_MS);
        Self {
            year,
            month,
            day,
            hour: ms / 3_600_000 % 24,
            minute: ms / 60_000 % 60,
            second: ms / 1_000 % 60,
            millisecond: ms % 1_000,
        }
    }

    fn as_ms(&self) -> Option<u64> {
        // A leap second is taken for the second before it.
        let second = self.second.min(59);
        if self.hour > 23 || self.minute > 59 || self.second > 60 {
            return None;
        }
        let hours = days_from_civil(self.year, self.month, self.day)?
            .checked_mul(24)?
            .checked_add(self.hour)?;
        let seconds = hours
            .checked_mul(3_600)?
            .checked_add(self.minute.checked_mul(60)?)?
            .checked_add(second)?;
        seconds.checked_mul(1_000)?.checked_add(self.millisecond)
    }
}

/// How far a local time is ahead of UTC.
struct Offset {
    ms: u64,
    is_west: bool,
}

impl Offset {
    const NONE: Self = Self {
        ms: 0,
        is_west: false,
    };

    /// `+0200`, `+02:00` or `+02`.
    fn parse(text: &str) -> Option<Self> {
        let (sign, rest) = text.split_at_checked(1)?;
        let (hours, minutes) = rest.split_at_checked(2)?;
        let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
        let minutes = match minutes {
            "" => 0,
            minutes => number(minutes, 2, 2)?,
        };
        let hours = number(hours, 2, 2)?;
        if hours > 23 || minutes > 59 {
            return None;
        }
        Some(Self {
            ms: hours
                .checked_mul(60)?
                .checked_add(minutes)?
                .checked_mul(60_000)?,
            is_west: match sign {
                "+" => false,
                "-" => true,
                _ => return None,
            },
        })
    }

    fn apply(&self, local_ms: u64) -> Option<u64> {
        if self.is_west {
            local_ms.checked_add(self.ms)
        } else {
            local_ms.checked_sub(self.ms)
        }
    }
}

/// Days since 1970-01-01, after Howard Hinnant's "chrono-compatible low-level date algorithms"; the
/// year begins in March, so that the leap day is its last.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
    {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year % 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    (year / 400 * 146_097 + day_of_era).checked_sub(719_468)
}

/// The other way; years past 9999 are written with as many digits as they have.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let of_year = day_of_era - (365 * of_era + of_era / 4 - of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn days_in(year: u64, month: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Digits only, so many of them.
fn number(text: &str, least: usize, most: usize) -> Option<u64> {
    let fits = (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// The digits after the point, cut to milliseconds.
fn milliseconds(fraction: &str) -> Option<u64> {
    let digits = number(fraction, 1, 18)?;
    let exponent = u32::try_from(fraction.len()).ok()?;
    match 10_u64.checked_pow(exponent.abs_diff(3)) {
        Some(factor) if exponent <= 3 => digits.checked_mul(factor),
        Some(factor) => Some(digits / factor),
        None => None,
    }
}

fn push_clock(out: &mut String, moment: &Moment) {
    push(out, moment.hour, 2);
    out.push(':');
    push(out, moment.minute, 2);
    out.push(':');
    push(out, moment.second, 2);
}

/// Appends a number with at least so many digits.
pub(crate) fn push(out: &mut String, number: u64, digits: u32) {
    let mut digits = digits.max(number.checked_ilog10().unwrap_or(0) + 1);
    while digits > 0 {
        digits -= 1;
        let digit = number / 10_u64.pow(digits) % 10;
        out.extend(
            u32::try_from(digit)
                .ok()
                .and_then(|digit| char::from_digit(digit, 10)),
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2023-08-24T05:01:45Z.
    const MOMENT: u64 = 1_692_853_305_000;
    /// 9999-12-31T23:59:59.999Z.
    const LAST: u64 = 253_402_300_799_999;

    #[test]
    fn later_moments_keep_their_time_of_day() {
        let add = |text: &str, months| add_months(parse_rfc3339(text)?, months).map(format_rfc3339);
        for (from, months, to) in [
            ("2026-01-15T12:00:00Z", 1, "2026-02-15T12:00:00Z"),
            ("2026-01-31T12:00:00.5Z", 1, "2026-02-28T12:00:00.500Z"),
            ("2024-01-31T00:00:00Z", 1, "2024-02-29T00:00:00Z"),
            ("2024-02-29T00:00:00Z", 12, "2025-02-28T00:00:00Z"),
            ("2026-12-01T23:59:59Z", 1, "2027-01-01T23:59:59Z"),
            ("2026-03-31T08:00:00Z", 0, "2026-03-31T08:00:00Z"),
        ] {
            assert_eq!(add(from, months).as_deref(), Some(to), "{from} {months}");
        }
        assert_eq!(add_months(LAST, 1), None);
        assert_eq!(add_days(MOMENT, 7), Some(MOMENT + 604_800_000));
        assert_eq!(add_days(u64::MAX, 1), None);
    }

    #[test]
    fn known_moments() {
        assert_eq!(
            parse_rfc2822("Thu, 24 Aug 2023 05:01:45 +0000"),
            Some(MOMENT)
        );
        assert_eq!(parse_rfc2822("24 Aug 2023 07:01:45 +0200"), Some(MOMENT));
        assert_eq!(
            parse_rfc2822("Wed, 23 Aug 2023 22:01:45 -0700"),
            Some(MOMENT)
        );
        assert_eq!(parse_rfc2822("Thu, 24 Aug 2023 05:01:45 GMT"), Some(MOMENT));
        assert_eq!(format_rfc2822(MOMENT), "Thu, 24 Aug 2023 05:01:45 +0000");
        assert_eq!(parse_rfc3339("2023-08-24T05:01:45Z"), Some(MOMENT));
        assert_eq!(
            parse_rfc3339("2023-08-24T07:01:45.5+02:00"),
            Some(MOMENT + 500)
        );
        assert_eq!(
            parse_rfc3339("2023-04-03 22:13:42.674981+00"),
            Some(1_680_560_022_674)
        );
        assert_eq!(format_rfc3339(MOMENT), "2023-08-24T05:01:45Z");
        assert_eq!(format_rfc3339(MOMENT + 7), "2023-08-24T05:01:45.007Z");
        assert_eq!(format_rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(format_rfc2822(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(format_rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(parse_rfc3339("9999-12-31T23:59:59.999Z"), Some(LAST));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "Thu",
            "Thu, 24 Foo 2023 05:01:45 +0000",
            "Thu, 31 Feb 2023 05:01:45 +0000",
            "Thu, 24 Aug 1969 05:01:45 +0000",
            "Thu, 24 Aug 2023 25:01:45 +0000",
            "Thu, 24 Aug 2023 05:01:45 +9900",
            "Thu, 24 Aug 2023 05:01:45 +0000 x",
            "Thu, 24 Aug 2023 05:01:45:00 +0000",
        ] {
            assert_eq!(parse_rfc2822(text), None, "{text}");
        }
        for text in [
            "",
            "2023-08-24",
            "2023-08-24T05:01Z",
            "2023-08-24T05:01:45",
            "2023-13-24T05:01:45Z",
            "2023-02-29T05:01:45Z",
            "2023-08-24T05:01:45.Z",
            "2023-08-24T05:01:45+2:00",
            "2023-08-24T05:61:45Z",
            "+023-08-24T05:01:45Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_formatted_moment_is_read_back(ms in 0..=LAST) {
            prop_assert_eq!(parse_rfc3339(&format_rfc3339(ms)), Some(ms));
            prop_assert_eq!(parse_rfc2822(&format_rfc2822(ms)), Some(ms - ms % 1_000));
        }

        #[test]
        fn nothing_panics(text in ".*", ms in any::<u64>()) {
            let _ = parse_rfc2822(&text);
            let _ = parse_rfc3339(&text);
            let _ = format_rfc2822(ms);
            let _ = format_rfc3339(ms);
        }

        #[test]
        fn days_follow_one_another(days in 0..2_932_896_u64) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, month, day), Some(days));
            let next = civil_from_days(days + 1);
            let expected = if day < days_in(year, month) {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
            prop_assert_eq!(next, expected);
        }
    }
}
