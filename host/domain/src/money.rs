//! Money: integer minor units with their currency, read from and written as exact decimal text.

use std::fmt;
use std::str::FromStr;

use iso_currency::IntoEnumIterator as _;
use serde::{Deserialize, Serialize};

/// A currency of ISO 4217 that people pay with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Currency(iso_currency::Currency);

/// A text that names no currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 4217 currency code, such as USD")]
pub struct ParseCurrencyError;

impl Currency {
    /// Every currency, by its code.
    pub fn all() -> impl Iterator<Item = Self> {
        iso_currency::Currency::iter().filter_map(|currency| currency.code().parse().ok())
    }

    /// The code: three upper-case letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Digits after the point: 2 for USD, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = ParseCurrencyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        iso_currency::Currency::from_code(text)
            // Gold, test codes and the like have no minor unit, and nobody is charged in them.
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or(ParseCurrencyError)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The largest amount, in minor units: what every database and every provider can hold, and more than
/// anybody pays.
pub const MINOR_UNITS_MAX: i64 = 1_000_000_000_000_000;

/// An amount that is not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    minor_units: i64,
    currency: Currency,
}

/// Why a text is no amount of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseMoneyError {
    /// Signs, exponents, letters, several points, nothing.
    #[error("must be a plain decimal number in major units, such as 500.00")]
    Syntax,
    /// Below zero.
    #[error("must be greater than 0")]
    Negative,
    /// More decimals than the currency has, not all of them zero.
    #[error("may have at most {decimals} decimals: {currency} has no smaller unit")]
    TooFine {
        /// Which currency.
        currency: Currency,
        /// How many it has.
        decimals: u32,
    },
    /// More than [`MINOR_UNITS_MAX`].
    #[error("is too large")]
    TooLarge,
}

impl Money {
    /// An amount in the currency's smallest unit; a negative one is zero, and one beyond
    /// [`MINOR_UNITS_MAX`] is that.
    #[must_use]
    pub fn from_minor_units(minor_units: i64, currency: Currency) -> Self {
        Self {
            minor_units: minor_units.clamp(0, MINOR_UNITS_MAX),
            currency,
        }
    }

    /// Reads major units from plain digits with an optional point. Zeros behind the currency's last
    /// decimal are no decimals.
    ///
    /// # Errors
    /// Anything else; nothing is rounded.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, ParseMoneyError> {
        let (text, is_negative) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (whole, decimals) = match text.split_once('.') {
            Some((_, "")) => return Err(ParseMoneyError::Syntax),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) {
            return Err(ParseMoneyError::Syntax);
        }
        let decimals = decimals.trim_end_matches('0');
        let places = usize::try_from(currency.decimals()).unwrap_or_default();
        let missing = places
            .checked_sub(decimals.len())
            .ok_or(ParseMoneyError::TooFine {
                currency,
                decimals: currency.decimals(),
            })?;
        let zeros = std::iter::repeat_n(b'0', missing);
        let units = whole
            .bytes()
            .chain(decimals.bytes())
            .chain(zeros)
            .try_fold(0_i64, |units, digit| {
                let digit = i64::from(digit.wrapping_sub(b'0'));
                units
                    .checked_mul(10)?
                    .checked_add(digit)
                    .filter(|units| *units <= MINOR_UNITS_MAX)
            })
            .ok_or(ParseMoneyError::TooLarge)?;
        if is_negative && units > 0 {
            return Err(ParseMoneyError::Negative);
        }
        Ok(Self {
            minor_units: units,
            currency,
        })
    }

    /// In the currency's smallest unit.
    #[must_use]
    pub const fn minor_units(self) -> i64 {
        self.minor_units
    }

    /// Of which currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Major units with exactly the currency's decimals: `500.00`, `500` for JPY.
    #[must_use]
    pub fn major_units(self) -> String {
        let places = usize::try_from(self.currency.decimals()).unwrap_or_default();
        let digits = self.minor_units.to_string();
        if places == 0 {
            return digits;
        }
        // At least one digit before the point.
        let digits = format!("{digits:0>width$}", width = places.saturating_add(1));
        let point = digits.len().saturating_sub(places);
        let (whole, decimals) = digits.split_at_checked(point).unwrap_or((&digits, ""));
        format!("{whole}.{decimals}")
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.major_units(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    fn units(text: &str, code: &str) -> Result<i64, ParseMoneyError> {
        Money::parse(text, currency(code)).map(Money::minor_units)
    }

    #[test]
    fn currencies_are_those_of_iso_4217() {
        for (code, decimals) in [
            ("USD", 2),
            ("INR", 2),
            ("JPY", 0),
            ("KWD", 3),
            ("HUF", 2),
            ("TWD", 2),
        ] {
            assert_eq!(currency(code).decimals(), decimals, "{code}");
        }
        assert!(Currency::all().count() > 150);
        for code in ["", "usd", "US", "USDT", "XXX", "XAU", "ABC", "U\u{15e}D"] {
            assert_eq!(code.parse::<Currency>(), Err(ParseCurrencyError), "{code}");
        }
    }

    #[test]
    fn amounts_are_read_digit_by_digit() {
        for (text, code, expected) in [
            ("500.00", "INR", 50_000),
            ("500", "INR", 50_000),
            ("500.5", "USD", 50_050),
            ("0.01", "USD", 1),
            ("500.000000", "USD", 50_000),
            ("0", "USD", 0),
            ("-0", "USD", 0),
            ("500", "JPY", 500),
            ("500.00", "JPY", 500),
            ("5.25", "KWD", 5_250),
            ("5.251", "KWD", 5_251),
            ("007", "USD", 700),
        ] {
            assert_eq!(units(text, code), Ok(expected), "{text} {code}");
        }
    }

    #[test]
    fn whatever_is_no_amount_is_refused() {
        for text in [
            "", ".", ".5", "5.", "5e2", "+5", "1,000", "0x10", "NaN", "Infinity", " 5", "5 ",
            "1.2.3", "--5", "٣",
        ] {
            assert_eq!(units(text, "USD"), Err(ParseMoneyError::Syntax), "{text:?}");
        }
        assert_eq!(units("-5", "USD"), Err(ParseMoneyError::Negative));
        assert_eq!(
            units("10000000000000.01", "USD"),
            Err(ParseMoneyError::TooLarge)
        );
        assert_eq!(
            units(&"9".repeat(400), "USD"),
            Err(ParseMoneyError::TooLarge)
        );
        for (text, code, decimals) in [("5.001", "USD", 2), ("5.1", "JPY", 0), ("5.2505", "KWD", 3)]
        {
            let too_fine = ParseMoneyError::TooFine {
                currency: currency(code),
                decimals,
            };
            assert_eq!(units(text, code), Err(too_fine), "{text} {code}");
        }
    }

    proptest! {
        #[test]
        fn text_and_minor_units_are_the_same(units in 0..=MINOR_UNITS_MAX, code in prop::sample::select(vec!["INR", "USD", "JPY", "KWD", "HUF", "TWD"])) {
            let money = Money::from_minor_units(units, currency(code));
            prop_assert_eq!(Money::parse(&money.major_units(), money.currency()), Ok(money));
            let decimals = money.major_units().split_once('.').map_or(0, |(_, decimals)| decimals.len());
            prop_assert_eq!(u32::try_from(decimals).unwrap(), money.currency().decimals());
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eE ]{0,30}", code in prop::sample::select(vec!["USD", "JPY", "KWD"])) {
            if let Ok(money) = Money::parse(&text, currency(code)) {
                prop_assert!((0..=MINOR_UNITS_MAX).contains(&money.minor_units()));
            }
        }
    }
}
