//! Amounts: major units as text, in PayPal's currencies.

use serde_json::{Value, json};

/// PayPal's currencies with their decimals. Unlike in ISO 4217, HUF and TWD have none.
const CURRENCIES: &[(&str, u32)] = &[
    ("AUD", 2),
    ("BRL", 2),
    ("CAD", 2),
    ("CHF", 2),
    ("CNY", 2),
    ("CZK", 2),
    ("DKK", 2),
    ("EUR", 2),
    ("GBP", 2),
    ("HKD", 2),
    ("HUF", 0),
    ("ILS", 2),
    ("JPY", 0),
    ("MXN", 2),
    ("MYR", 2),
    ("NOK", 2),
    ("NZD", 2),
    ("PHP", 2),
    ("PLN", 2),
    ("SEK", 2),
    ("SGD", 2),
    ("THB", 2),
    ("TWD", 0),
    ("USD", 2),
];

const CHARACTERS_MAX: usize = 32;
/// 999999999999999.99
const HUNDREDTHS_MAX: i128 = 99_999_999_999_999_999;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Currency {
    pub(super) code: &'static str,
    decimals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Money {
    pub(super) currency: Currency,
    pub(super) minor: i128,
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadValue {
    Length,
    Syntax,
    /// A decimal point in a currency without decimals.
    Decimals,
    Precision,
    TooLarge,
}

impl Currency {
    pub(super) fn find(code: &str) -> Option<Currency> {
        let (code, decimals) = CURRENCIES.iter().find(|(known, _)| *known == code)?;
        Some(Currency {
            code,
            decimals: *decimals,
        })
    }

    pub(super) fn all() -> impl Iterator<Item = &'static str> {
        CURRENCIES.iter().map(|(code, _)| *code)
    }
}

impl Money {
    pub(super) fn parse(value: &str, currency: Currency) -> Result<Money, BadValue> {
        if value.is_empty() || value.len() > CHARACTERS_MAX {
            return Err(BadValue::Length);
        }
        let (negative, digits) = match value.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, value),
        };
        let (whole, fraction) = match digits.split_once('.') {
            // A point has digits after it, though not always before it.
            Some((_, "")) => return Err(BadValue::Syntax),
            Some((whole, fraction)) => (whole, Some(fraction)),
            None if digits.is_empty() => return Err(BadValue::Syntax),
            None => (digits, None),
        };
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !fraction.is_none_or(is_number) {
            return Err(BadValue::Syntax);
        }
        let decimals = usize::try_from(currency.decimals).unwrap_or_default();
        let fraction = fraction.unwrap_or_default();
        if decimals == 0 && !fraction.is_empty() {
            return Err(BadValue::Decimals);
        }
        if fraction.len() > decimals {
            return Err(BadValue::Precision);
        }
        let minor: i128 = format!("0{whole}{fraction:0<decimals$}")
            .parse()
            .map_err(|_too_long| BadValue::TooLarge)?;
        let hundredths = minor.saturating_mul(if decimals == 0 { 100 } else { 1 });
        if hundredths > HUNDREDTHS_MAX {
            return Err(BadValue::TooLarge);
        }
        let minor = if negative { -minor } else { minor };
        Ok(Money { currency, minor })
    }

    pub(super) fn zero(self) -> Money {
        Money { minor: 0, ..self }
    }

    pub(super) fn plus(self, other: Money) -> Money {
        self.of(self.minor.saturating_add(other.minor))
    }

    pub(super) fn minus(self, other: Money) -> Money {
        self.of(self.minor.saturating_sub(other.minor))
    }

    pub(super) fn times(self, factor: i128) -> Money {
        self.of(self.minor.saturating_mul(factor))
    }

    /// `parts` of a million of it, half rounded up.
    pub(super) fn millionths(self, parts: i128) -> Money {
        self.of(self.minor.saturating_mul(parts).saturating_add(500_000) / 1_000_000)
    }

    fn of(self, minor: i128) -> Money {
        Money { minor, ..self }
    }

    /// The part before the decimal point.
    pub(super) fn whole(self) -> i128 {
        self.minor / 10_i128.pow(self.currency.decimals)
    }

    pub(super) fn sum(self, others: impl IntoIterator<Item = Money>) -> Money {
        others.into_iter().fold(self, Money::plus)
    }

    pub(super) fn is_positive(self) -> bool {
        self.minor > 0
    }

    pub(super) fn value(self) -> String {
        let digits = usize::try_from(self.currency.decimals).unwrap_or_default();
        let sign = if self.minor < 0 { "-" } else { "" };
        let unit = 10_u128.pow(self.currency.decimals);
        let minor = self.minor.unsigned_abs();
        match digits {
            0 => format!("{sign}{minor}"),
            _ => format!("{sign}{}.{:0digits$}", minor / unit, minor % unit),
        }
    }

    pub(super) fn view(self) -> Value {
        json!({ "currency_code": self.currency.code, "value": self.value() })
    }

    /// What PayPal keeps: 3.49 % and a fixed part (ours, no published price of any country).
    pub(super) fn fee(self) -> Money {
        let fixed = if self.currency.decimals == 0 { 40 } else { 49 };
        let fee = self.millionths(34_900).minor.saturating_add(fixed);
        self.of(fee.min(self.minor))
    }

    /// How much of an authorized amount may be captured in all: 115 % of it, and in US dollars no more
    /// than 75.00 above it.
    pub(super) fn capture_limit(self) -> Money {
        let limit = self.minor.saturating_mul(115) / 100;
        match self.currency.code {
            "USD" => self.of(limit.min(self.minor.saturating_add(7_500))),
            _ => self.of(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(value: &str, currency: &str) -> Result<Money, BadValue> {
        Money::parse(value, Currency::find(currency).unwrap())
    }

    #[test]
    fn a_value_is_read_by_the_currency_s_decimals_and_shown_with_all_of_them() {
        for (value, currency, shown) in [
            ("100", "USD", "100.00"),
            ("100.0", "USD", "100.00"),
            (".5", "EUR", "0.50"),
            ("-0.05", "GBP", "-0.05"),
            ("007.10", "USD", "7.10"),
            ("0.0", "USD", "0.00"),
            ("1500", "JPY", "1500"),
            ("1500", "HUF", "1500"),
            ("999999999999999.99", "USD", "999999999999999.99"),
        ] {
            assert_eq!(money(value, currency).unwrap().value(), shown);
        }
    }

    #[test]
    fn what_is_no_value_says_why() {
        for (value, currency, why) in [
            ("", "USD", BadValue::Length),
            ("000000000000000000000000000000001", "USD", BadValue::Length),
            ("1,00", "USD", BadValue::Syntax),
            ("1.", "USD", BadValue::Syntax),
            ("-", "USD", BadValue::Syntax),
            ("+1", "USD", BadValue::Syntax),
            ("1e3", "USD", BadValue::Syntax),
            ("1.2.3", "USD", BadValue::Syntax),
            ("1.005", "USD", BadValue::Precision),
            ("1.0", "JPY", BadValue::Decimals),
            ("1.00", "HUF", BadValue::Decimals),
            ("1.00", "TWD", BadValue::Decimals),
            ("1000000000000000.00", "USD", BadValue::TooLarge),
            ("1000000000000000", "JPY", BadValue::TooLarge),
        ] {
            assert_eq!(money(value, currency), Err(why), "{value} {currency}");
        }
    }

    #[test]
    fn more_may_be_captured_than_was_authorized_but_not_much() {
        let limit = |value, currency| money(value, currency).unwrap().capture_limit().value();
        assert_eq!(limit("100.00", "USD"), "115.00");
        assert_eq!(limit("1000.00", "USD"), "1075.00");
        assert_eq!(limit("1000.00", "EUR"), "1150.00");
    }
}
