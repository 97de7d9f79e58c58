//! Results of adapters, held against the contract before anybody believes them.
//!
//! What identifies or moves an object must be right, or the whole result counts as malformed.
//! What only informs is cut, cleaned or dropped, with a remark for the operator.

pub(crate) mod payments;
mod webhooks;

use std::collections::HashMap;

use rust_decimal::Decimal;

use crate::scrub::Scrubber;
use crate::wit::common::{CallError, Cost, Failure, FieldError};
use crate::wit::{account, email, sms};

const PROVIDER_ID_BYTES_MAX: usize = 255;
const RAW_BYTES_MAX: usize = 64 << 10;
const RAW_DEPTH_MAX: usize = 64;
const CODE_BYTES_MAX: usize = 64;
const MESSAGE_BYTES_MAX: usize = 500;
const PROVIDER_CODE_BYTES_MAX: usize = 100;
const PROVIDER_MESSAGE_BYTES_MAX: usize = 1_000;
const DETAIL_BYTES_MAX: usize = 1_000;
const SENDER_BYTES_MAX: usize = 320;
const EXTRA_MAX: usize = 32;
const EXTRA_NAME_BYTES_MAX: usize = 64;
const EXTRA_VALUE_BYTES_MAX: usize = 1_000;
const FIELD_ERRORS_MAX: usize = 32;
const POINTER_BYTES_MAX: usize = 200;
const WARNINGS_MAX: usize = 16;
const SEGMENTS_MAX: u32 = 1_000;
/// More than a day is no "try again later".
const RETRY_AFTER_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Messages that a search may return.
const FOUND_MAX: usize = 1_000;

const SMS_STATUSES: [&str; 9] = [
    "queued",
    "scheduled",
    "sending",
    "sent",
    "delivered",
    "undelivered",
    "failed",
    "canceled",
    "received",
];

const EMAIL_STATUSES: [&str; 9] = [
    "queued",
    "scheduled",
    "sent",
    "delivered",
    "delayed",
    "bounced",
    "complained",
    "failed",
    "canceled",
];

/// A result that breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// Checks results, removes secrets, and collects remarks.
pub(crate) struct Checker<'c> {
    scrubber: &'c Scrubber,
    remarks: Vec<String>,
}

/// A result that can be checked.
pub(crate) trait Checked: Sized {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed>;
}

impl<'c> Checker<'c> {
    pub(crate) fn new(scrubber: &'c Scrubber) -> Self {
        Self {
            scrubber,
            remarks: Vec::new(),
        }
    }

    pub(crate) fn into_remarks(self) -> Vec<String> {
        self.remarks
    }

    /// An error is never malformed: what is wrong with it is put right, because it must be heard.
    pub(crate) fn error(&mut self, error: CallError) -> CallError {
        match error {
            CallError::Declined(failure) => CallError::Declined(self.failure(failure)),
            CallError::Unauthorized(failure) => CallError::Unauthorized(self.failure(failure)),
            CallError::NotSent(failure) => CallError::NotSent(self.failure(failure)),
            CallError::NotFound(failure) => CallError::NotFound(self.failure(failure)),
            CallError::InvalidState(failure) => CallError::InvalidState(self.failure(failure)),
            CallError::Unknown(failure) => CallError::Unknown(self.failure(failure)),
            CallError::Unsupported(text) => {
                CallError::Unsupported(self.text(text, MESSAGE_BYTES_MAX))
            }
            CallError::Other(text) => CallError::Other(self.text(text, DETAIL_BYTES_MAX)),
            CallError::Invalid(errors) => CallError::Invalid(self.field_errors(errors)),
        }
    }

    /// Text for people: without secrets and control characters, cut at a character's border.
    pub(crate) fn text(&self, text: String, bytes_max: usize) -> String {
        clean_text(self.scrubber, text, bytes_max)
    }

    fn failure(&mut self, failure: Failure) -> Failure {
        let code = if is_snake_case(&failure.code) {
            failure.code
        } else {
            self.remarks
                .push("the code of a failure is not snake case".to_owned());
            "unknown_failure".to_owned()
        };
        Failure {
            code,
            message: self.text(failure.message, MESSAGE_BYTES_MAX),
            retryable: failure.retryable,
            provider_code: failure
                .provider_code
                .map(|code| self.text(code, PROVIDER_CODE_BYTES_MAX)),
            provider_message: failure
                .provider_message
                .map(|message| self.text(message, PROVIDER_MESSAGE_BYTES_MAX)),
            http_status: failure
                .http_status
                .filter(|status| (100..600).contains(status)),
            retry_after_ms: failure
                .retry_after_ms
                .map(|wait| wait.min(RETRY_AFTER_MS_MAX)),
        }
    }

    fn field_errors(&mut self, mut errors: Vec<FieldError>) -> Vec<FieldError> {
        errors.truncate(FIELD_ERRORS_MAX);
        errors
            .into_iter()
            .map(|error| FieldError {
                pointer: if error.pointer.starts_with('/') {
                    self.text(error.pointer, POINTER_BYTES_MAX)
                } else {
                    String::new()
                },
                code: if is_snake_case(&error.code) {
                    error.code
                } else {
                    "invalid".to_owned()
                },
                detail: self.text(error.detail, MESSAGE_BYTES_MAX),
            })
            .collect()
    }

    fn provider_id(&self, id: &str) -> Result<(), Malformed> {
        let printable = id.bytes().all(|b| b.is_ascii_graphic());
        if id.is_empty() || id.len() > PROVIDER_ID_BYTES_MAX || !printable {
            return Err(Malformed(format!(
                "a provider-id needs 1 to {PROVIDER_ID_BYTES_MAX} visible ASCII characters"
            )));
        }
        if self.scrubber.scrub(id.as_bytes()).is_some() {
            return Err(Malformed("a provider-id holds a secret".to_owned()));
        }
        Ok(())
    }

    fn cost(&self, cost: &Cost) -> Result<(), Malformed> {
        let (whole, decimals) = cost.amount.split_once('.').unwrap_or((&cost.amount, "0"));
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        // Twelve digits before the point are more than any message costs and fit everywhere.
        let exact = digits(whole, 12) && digits(decimals, 6);
        if !exact || cost.amount.parse::<Decimal>().is_err() {
            return Err(Malformed(
                "a cost's amount is not a decimal of at most 6 places".to_owned(),
            ));
        }
        if cost.currency.len() != 3 || !cost.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Malformed(
                "a cost's currency is not three upper-case letters".to_owned(),
            ));
        }
        Ok(())
    }

    /// The provider's answer, if it is what it should be.
    fn raw(&mut self, raw: Option<String>) -> Option<String> {
        let mut raw = raw?;
        if raw.len() > RAW_BYTES_MAX {
            self.remarks
                .push(format!("a raw answer of {} bytes was dropped", raw.len()));
            return None;
        }
        self.scrubber.string(&mut raw);
        if serde_json::from_str::<serde::de::IgnoredAny>(&raw).is_err() {
            self.remarks
                .push("a raw answer that is not JSON was dropped".to_owned());
            return None;
        }
        if depth(&raw) > RAW_DEPTH_MAX {
            self.remarks
                .push("a raw answer that is nested too deeply was dropped".to_owned());
            return None;
        }
        // JSON may write U+0000 as an escape, which databases refuse in text.
        if raw.contains("\\u0000") {
            self.remarks
                .push("a raw answer with a NUL was dropped".to_owned());
            return None;
        }
        Some(raw)
    }

    fn extra(&mut self, mut extra: Vec<(String, String)>) -> Vec<(String, String)> {
        if extra.len() > EXTRA_MAX {
            self.remarks
                .push(format!("more than {EXTRA_MAX} extra pairs"));
            extra.truncate(EXTRA_MAX);
        }
        extra
            .into_iter()
            .map(|(name, value)| {
                (
                    self.text(name, EXTRA_NAME_BYTES_MAX),
                    self.text(value, EXTRA_VALUE_BYTES_MAX),
                )
            })
            .collect()
    }
}

/// Bytes of one character in its longest escape: `\u0041`.
const ESCAPED_LENGTH_MAX: usize = 6;

/// Text for people: without secrets and control characters, cut at a character's border.
pub(crate) fn clean_text(scrubber: &Scrubber, mut text: String, bytes_max: usize) -> String {
    // A secret that the cut would tear is still whole here, also with each character escaped, and a
    // flood costs no more than this.
    let spare = scrubber.longest().saturating_mul(ESCAPED_LENGTH_MAX);
    truncate(&mut text, bytes_max.saturating_add(spare));
    scrubber.string(&mut text);
    truncate(&mut text, bytes_max);
    if text.contains(char::is_control) {
        text = text.replace(char::is_control, " ");
    }
    text
}

fn truncate(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}

/// How deeply valid JSON is nested: readers further on have a stack.
fn depth(json: &str) -> usize {
    let (mut deepest, mut open) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn is_snake_case(code: &str) -> bool {
    code.len() <= CODE_BYTES_MAX
        && code.starts_with(|c: char| c.is_ascii_lowercase())
        && code
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn status(status: &str, allowed: &[&str]) -> Result<(), Malformed> {
    if allowed.contains(&status) {
        return Ok(());
    }
    Err(Malformed(format!(
        "a status is none of {}",
        allowed.join(", ")
    )))
}

impl Checked for sms::Message {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        checker.provider_id(&self.provider_id)?;
        status(&self.status, &SMS_STATUSES)?;
        if let Some(cost) = &self.cost {
            checker.cost(cost)?;
        }
        Ok(Self {
            provider_id: self.provider_id,
            status: self.status,
            segments: self.segments.filter(|segments| *segments <= SEGMENTS_MAX),
            cost: self.cost,
            sender: self
                .sender
                .map(|sender| checker.text(sender, SENDER_BYTES_MAX)),
            failure: self.failure.map(|failure| checker.failure(failure)),
            raw: checker.raw(self.raw),
            extra: checker.extra(self.extra),
        })
    }
}

impl Checked for email::Message {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        checker.provider_id(&self.provider_id)?;
        status(&self.status, &EMAIL_STATUSES)?;
        if let Some(cost) = &self.cost {
            checker.cost(cost)?;
        }
        Ok(Self {
            provider_id: self.provider_id,
            status: self.status,
            cost: self.cost,
            failure: self.failure.map(|failure| checker.failure(failure)),
            raw: checker.raw(self.raw),
            extra: checker.extra(self.extra),
        })
    }
}

impl Checked for Vec<sms::Message> {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        if self.len() > FOUND_MAX {
            return Err(Malformed(format!("more than {FOUND_MAX} messages")));
        }
        self.into_iter()
            .map(|message| message.checked(checker))
            .collect()
    }
}

/// Each e-mail of a batch stands for itself: one that breaks the contract is unknown, and the
/// others count. An id that stands for two of them says nothing about either.
impl Checked for Vec<Result<email::Message, CallError>> {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        let mut seen = HashMap::with_capacity(self.len());
        for message in self.iter().flatten() {
            *seen.entry(message.provider_id.clone()).or_insert(0_usize) += 1;
        }
        let check = |result: Result<email::Message, CallError>| {
            let message = result.map_err(|error| checker.error(error))?;
            let malformed = if seen
                .get(&message.provider_id)
                .is_some_and(|count| *count > 1)
            {
                Malformed("a provider-id stands for two e-mails".to_owned())
            } else {
                match message.checked(checker) {
                    Ok(message) => return Ok(message),
                    Err(malformed) => malformed,
                }
            };
            checker.remarks.push(format!("in a batch: {}", malformed.0));
            Err(CallError::Unknown(unexpected_answer()))
        };
        Ok(self.into_iter().map(check).collect())
    }
}

fn unexpected_answer() -> Failure {
    Failure {
        code: "unexpected_answer".to_owned(),
        message: "What the plugin says about this e-mail cannot be used.".to_owned(),
        retryable: false,
        provider_code: None,
        provider_message: None,
        http_status: None,
        retry_after_ms: None,
    }
}

impl Checked for account::Account {
    fn checked(mut self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        if let Some(id) = &self.provider_id {
            checker.provider_id(id)?;
        }
        self.warnings.truncate(WARNINGS_MAX);
        Ok(Self {
            provider_id: self.provider_id,
            name: self
                .name
                .map(|name| checker.text(name, PROVIDER_ID_BYTES_MAX)),
            warnings: self
                .warnings
                .into_iter()
                .map(|warning| checker.text(warning, MESSAGE_BYTES_MAX))
                .collect(),
            extra: checker.extra(self.extra),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Checked, Checker, Malformed, clean_text};
    use crate::scrub::Scrubber;
    use crate::wit::common::{CallError, Cost, Failure, FieldError};
    use crate::wit::{email, sms};

    const SECRET: &str = "secret-0123456789";

    fn scrubber() -> Scrubber {
        Scrubber::new([SECRET].into_iter())
    }

    fn message() -> sms::Message {
        sms::Message {
            provider_id: "SM1".to_owned(),
            status: "queued".to_owned(),
            segments: Some(1),
            cost: Some(Cost {
                amount: "0.0075".to_owned(),
                currency: "USD".to_owned(),
            }),
            sender: None,
            failure: None,
            raw: Some("{\"a\":1}".to_owned()),
            extra: Vec::new(),
        }
    }

    fn check(message: sms::Message) -> Result<sms::Message, Malformed> {
        message.checked(&mut Checker::new(&scrubber()))
    }

    #[test]
    fn a_message_that_keeps_the_contract_passes_unchanged() {
        assert_eq!(check(message()), Ok(message()));
    }

    #[test]
    fn an_id_that_cannot_be_stored_makes_a_message_malformed() {
        for id in ["", "a b", "a\nb", "\u{e9}", &"a".repeat(256), SECRET] {
            let message = sms::Message {
                provider_id: id.to_owned(),
                ..message()
            };
            assert!(check(message).is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_status_outside_the_list_makes_a_message_malformed() {
        for status in ["", "Queued", "opened", "unknown", "bounced"] {
            let message = sms::Message {
                status: status.to_owned(),
                ..message()
            };
            assert!(check(message).is_err(), "{status:?}");
        }
        let email = email::Message {
            provider_id: "em1".to_owned(),
            status: "undelivered".to_owned(),
            cost: None,
            failure: None,
            raw: None,
            extra: Vec::new(),
        };
        assert!(email.checked(&mut Checker::new(&scrubber())).is_err());
    }

    #[test]
    fn a_cost_is_an_exact_decimal_and_a_currency() {
        for (amount, currency) in [
            ("-0.0075", "USD"),
            ("0.0000001", "USD"),
            ("1e3", "USD"),
            ("", "USD"),
            (".5", "USD"),
            ("5.", "USD"),
            ("0x10", "USD"),
            ("1_000", "USD"),
            ("1234567890123", "USD"),
            ("1", "usd"),
            ("1", "US"),
            ("1", "USDT"),
        ] {
            let message = sms::Message {
                cost: Some(Cost {
                    amount: amount.to_owned(),
                    currency: currency.to_owned(),
                }),
                ..message()
            };
            assert!(check(message).is_err(), "{amount} {currency}");
        }
    }

    #[test]
    fn a_raw_answer_is_json_of_a_bounded_size_or_nothing() {
        for raw in [
            "not json".to_owned(),
            "{\"a\":".to_owned(),
            "{\"a\":\"\\u0000\"}".to_owned(),
            format!("\"{}\"", "a".repeat(64 << 10)),
            format!("{}{}", "[".repeat(65), "]".repeat(65)),
        ] {
            let checked = check(sms::Message {
                raw: Some(raw.clone()),
                ..message()
            });
            assert_eq!(checked.unwrap().raw, None, "{}", raw.len());
        }
        let raw = format!("{{\"token\":\"{SECRET}\"}}");
        let checked = check(sms::Message {
            raw: Some(raw),
            ..message()
        });
        assert_eq!(
            checked.unwrap().raw.as_deref(),
            Some("{\"token\":\"[redacted]\"}")
        );
    }

    #[test]
    fn a_failure_is_cut_at_a_characters_border_and_cleaned() {
        let failure = Failure {
            code: "Not Snake".to_owned(),
            message: "\u{e9}".repeat(300),
            retryable: true,
            provider_code: Some("a\u{0}b".to_owned()),
            provider_message: Some(format!("bad key {SECRET}")),
            http_status: Some(42),
            retry_after_ms: Some(u64::MAX),
        };
        let scrubber = scrubber();
        let mut checker = Checker::new(&scrubber);
        let CallError::Declined(failure) = checker.error(CallError::Declined(failure)) else {
            panic!("another error came back");
        };
        assert_eq!(failure.code, "unknown_failure");
        assert_eq!(failure.message.len(), 500);
        assert_eq!(failure.provider_code.as_deref(), Some("a b"));
        assert_eq!(
            failure.provider_message.as_deref(),
            Some("bad key [redacted]")
        );
        assert_eq!(failure.http_status, None);
        assert_eq!(failure.retry_after_ms, Some(86_400_000));
        assert_eq!(checker.into_remarks().len(), 1);
    }

    #[test]
    fn field_errors_are_bounded() {
        let error = FieldError {
            pointer: "send_at".to_owned(),
            code: "Too Late!".to_owned(),
            detail: "d".repeat(1_000),
        };
        let scrubber = scrubber();
        let errors = CallError::Invalid(vec![error; 50]);
        let CallError::Invalid(errors) = Checker::new(&scrubber).error(errors) else {
            panic!("another error came back");
        };
        assert_eq!(errors.len(), 32);
        assert_eq!(errors[0].pointer, "");
        assert_eq!(errors[0].code, "invalid");
        assert_eq!(errors[0].detail.len(), 500);
    }

    #[test]
    fn a_cut_does_not_tear_a_secret() {
        let text = format!("12345{SECRET}");
        assert_eq!(clean_text(&scrubber(), text, 10), "12345[reda");
    }

    #[test]
    fn extra_pairs_are_bounded() {
        let pair = ("n".repeat(100), "v".repeat(2_000));
        let checked = check(sms::Message {
            extra: vec![pair; 40],
            ..message()
        });
        let extra = checked.unwrap().extra;
        assert_eq!(
            (extra.len(), extra[0].0.len(), extra[0].1.len()),
            (32, 64, 1_000)
        );
    }
}
