//! Phone numbers: the E.164 form, Twilio's magic numbers, and the sandbox's own.

use super::error;

/// The magic sender that passes all validation.
pub(super) const VALID_FROM: &str = "+15005550006";

/// <https://www.twilio.com/docs/iam/test-credentials>
const MAGIC_FROM: &[(&str, u32)] = &[
    ("+15005550001", 21212),
    ("+15005550007", 21606),
    ("+15005550008", 21611),
];
const MAGIC_TO: &[(&str, u32)] = &[
    ("+15005550001", 21211),
    ("+15005550002", 21612),
    ("+15005550003", 21408),
    ("+15005550004", 21610),
    ("+15005550009", 21614),
];

/// What becomes of an accepted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Delivered,
    Undelivered(u32),
    Failed(u32),
    StaysQueued,
    StaysSending,
    StaysSent,
}

/// `+` and 7 to 15 digits; behind `+1` exactly ten, of which the first is no 0 or 1.
pub(super) fn is_e164(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else {
        return false;
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.starts_with('0') {
        return false;
    }
    match digits.strip_prefix('1') {
        Some(national) => national.len() == 10 && !national.starts_with(['0', '1']),
        None => (7..=15).contains(&digits.len()),
    }
}

/// Twilio's id of a number.
pub(super) fn sid(number: &str) -> String {
    let digits = number.trim_start_matches('+');
    format!("PN{digits:0>32}")
}

/// The error of a magic sender.
pub(super) fn magic_from(number: &str) -> Option<u32> {
    MAGIC_FROM
        .iter()
        .find(|(magic, _)| *magic == number)
        .map(|(_, code)| *code)
}

/// What a recipient brings about: a refusal of the request, or the course of the message.
///
/// Beyond Twilio's own magic numbers (a departure, in the same unassigned area code 500):
/// `+15005` `5` and a code: ends `undelivered` with it; `6` and a code: ends `failed`; `8` and a code:
/// the request is refused with it; `7` and `00001`, `00002`, `00003`: stays `queued`, `sending`, `sent`.
pub(super) fn course(to: &str) -> Result<Course, u32> {
    if let Some((_, code)) = MAGIC_TO.iter().find(|(magic, _)| *magic == to) {
        return Err(*code);
    }
    let Some(special) = to.strip_prefix("+15005") else {
        return Ok(Course::Delivered);
    };
    let Some((kind, code)) = special.split_at_checked(1) else {
        return Ok(Course::Delivered);
    };
    let code = code.parse::<u32>().unwrap_or_default();
    // Delivery codes are 3xxxx for SMS and 63xxx for channels.
    let is_delivery_code = matches!(code, 30_000..=39_999 | 63_000..=63_999);
    match kind {
        "5" if is_delivery_code => Ok(Course::Undelivered(code)),
        "6" if is_delivery_code => Ok(Course::Failed(code)),
        "7" if code == 1 => Ok(Course::StaysQueued),
        "7" if code == 2 => Ok(Course::StaysSending),
        "7" if code == 3 => Ok(Course::StaysSent),
        "8" if error::is_known(code) => Err(code),
        _ => Ok(Course::Delivered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e164_is_checked_as_far_as_a_form_can_tell() {
        for good in [
            "+14155550123",
            "+15005550006",
            "+442071838750",
            "+4915112345678",
        ] {
            assert!(is_e164(good), "{good}");
        }
        for bad in [
            "",
            "+",
            "14155550123",
            "+1415555012",
            "+141555501234",
            "+04155550123",
            "+1 4155550123",
            "+10155550123",
            "+49151123456789012",
        ] {
            assert!(!is_e164(bad), "{bad}");
        }
    }

    #[test]
    fn the_recipient_decides_the_course() {
        for (to, course_of_it) in [
            ("+14155550123", Ok(Course::Delivered)),
            ("+15005550006", Ok(Course::Delivered)),
            ("+15005550004", Err(21610)),
            ("+15005530003", Ok(Course::Undelivered(30003))),
            ("+15005563016", Ok(Course::Undelivered(63016))),
            ("+15005630007", Ok(Course::Failed(30007))),
            ("+15005700001", Ok(Course::StaysQueued)),
            ("+15005821610", Err(21610)),
            ("+15005899999", Ok(Course::Delivered)),
        ] {
            assert_eq!(course(to), course_of_it, "{to}");
        }
    }
}
