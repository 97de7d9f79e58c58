//! Amounts as providers write them. On the border they are in the smallest unit by ISO 4217; some
//! providers count so too, others write major units, a few have decimals of their own.
//!
//! Nothing here rounds, and nothing is a float.

use alloc::string::{String, ToString as _};

use crate::payments::Money;

/// Currencies whose smallest unit is the major one.
const WITHOUT_DECIMALS: [&str; 17] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
];
const WITH_THREE_DECIMALS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
const WITH_FOUR_DECIMALS: [&str; 2] = ["CLF", "UYW"];

/// Digits after the point by ISO 4217. A code that is not there has two, as most have.
///
/// ```
/// use onerouter_plugin::money::decimals;
///
/// assert_eq!(["JPY", "USD", "KWD"].map(decimals), [0, 2, 3]);
/// ```
#[must_use]
pub fn decimals(currency: &str) -> usize {
    if WITHOUT_DECIMALS.contains(&currency) {
        0
    } else if WITH_THREE_DECIMALS.contains(&currency) {
        3
    } else if WITH_FOUR_DECIMALS.contains(&currency) {
        4
    } else {
        2
    }
}

/// The amount in major units, with exactly the currency's decimals.
///
/// ```
/// use onerouter_plugin::money::major;
/// use onerouter_plugin::payments::Money;
///
/// let money = |minor_units, currency: &str| Money { minor_units, currency: currency.into() };
/// assert_eq!(major(&money(50_000, "INR")), "500.00");
/// assert_eq!(major(&money(500, "JPY")), "500");
/// assert_eq!(major(&money(5, "KWD")), "0.005");
/// ```
#[must_use]
pub fn major(money: &Money) -> String {
    with_point(money.minor_units, decimals(&money.currency))
}

/// A count of smallest units, written with so many decimals.
#[must_use]
pub fn with_point(minor_units: u64, decimals: usize) -> String {
    let digits = minor_units.to_string();
    let mut text = String::with_capacity(digits.len().max(decimals).saturating_add(2));
    for _ in digits.len()..decimals.saturating_add(1) {
        text.push('0');
    }
    text.push_str(&digits);
    if decimals > 0 {
        text.insert(text.len().saturating_sub(decimals), '.');
    }
    text
}

/// The amount that a provider writes in major units; none where the text is no plain decimal, is
/// negative, or has more decimals than the currency and not all of them zero.
///
/// ```
/// use onerouter_plugin::money::read;
///
/// assert_eq!(read("500.00", "INR").unwrap().minor_units, 50_000);
/// assert_eq!(read("500.0", "JPY").unwrap().minor_units, 500);
/// assert!(read("0.001", "USD").is_none());
/// ```
#[must_use]
pub fn read(major: &str, currency: &str) -> Option<Money> {
    Some(Money {
        minor_units: without_point(major, decimals(currency))?,
        currency: currency.to_string(),
    })
}

/// A decimal text as a count of units of which `decimals` make up a major one.
#[must_use]
pub fn without_point(text: &str, decimals: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_decimal = !whole.is_empty() && are_digits(whole) && are_digits(part);
    if !is_decimal || text.ends_with('.') {
        return None;
    }
    let (kept, rest) = part.split_at_checked(decimals).unwrap_or((part, ""));
    if rest.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let mut units: u64 = whole.parse().ok()?;
    let padding = (kept.len()..decimals).map(|_| b'0');
    for digit in kept.bytes().chain(padding) {
        let digit = u64::from(digit.saturating_sub(b'0'));
        units = units.checked_mul(10)?.checked_add(digit)?;
    }
    Some(units)
}

#[cfg(test)]
mod tests {
    use iso_currency::{Currency, IntoEnumIterator as _};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_those_that_the_gateway_counts_with() {
        for currency in Currency::iter() {
            if let Some(exponent) = currency.exponent() {
                assert_eq!(
                    decimals(currency.code()),
                    usize::from(exponent),
                    "{currency}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_exact_amount_is_none() {
        for odd in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1,5",
            "1e2",
            "1.2.3",
            " 1",
            "1.005",
            "٣",
            "184467440737095516.16",
        ] {
            assert_eq!(without_point(odd, 2), None, "{odd}");
        }
        assert_eq!(without_point("007.5", 2), Some(750));
        assert_eq!(without_point("184467440737095516.15", 2), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(units: u64, decimals in 0_usize..6) {
            let text = with_point(units, decimals);
            prop_assert_eq!(without_point(&text, decimals), Some(units));
        }
    }
}
