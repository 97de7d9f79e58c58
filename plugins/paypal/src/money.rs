//! Amounts. On the border they are in the smallest unit by ISO 4217; PayPal writes major units as text,
//! with decimals of its own: <https://developer.paypal.com/api/rest/reference/currency-codes/>.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};

use onerouter_plugin::common::{Cost, FieldError};
use onerouter_plugin::failure::field_error;
use onerouter_plugin::json::{Object, Writer};
use onerouter_plugin::payments::Money;

struct Currency {
    code: &'static str,
    /// By ISO 4217.
    decimals: usize,
    /// PayPal refuses a decimal point.
    is_whole: bool,
}

const fn fractional(code: &'static str) -> Currency {
    Currency {
        code,
        decimals: 2,
        is_whole: false,
    }
}

const fn whole(code: &'static str, decimals: usize) -> Currency {
    Currency {
        code,
        decimals,
        is_whole: true,
    }
}

/// All that PayPal takes. None of them has three decimals.
const CURRENCIES: [Currency; 24] = [
    fractional("AUD"),
    fractional("BRL"),
    fractional("CAD"),
    fractional("CHF"),
    fractional("CNY"),
    fractional("CZK"),
    fractional("DKK"),
    fractional("EUR"),
    fractional("GBP"),
    fractional("HKD"),
    whole("HUF", 2),
    fractional("ILS"),
    whole("JPY", 0),
    fractional("MXN"),
    fractional("MYR"),
    fractional("NOK"),
    fractional("NZD"),
    fractional("PHP"),
    fractional("PLN"),
    fractional("SEK"),
    fractional("SGD"),
    fractional("THB"),
    whole("TWD", 2),
    fractional("USD"),
];

/// "Should be less than or equal to 999999999999999.99".
const WHOLE_DIGITS_MAX: usize = 15;
const CHARACTERS_MAX: usize = 32;

fn currency(code: &str) -> Option<&'static Currency> {
    CURRENCIES.iter().find(|currency| currency.code == code)
}

/// The amount as PayPal wants it.
///
/// # Errors
/// What PayPal would refuse, under the names of the caller's fields.
pub(crate) fn text(money: &Money) -> Result<String, FieldError> {
    let Some(currency) = currency(&money.currency) else {
        return Err(field_error(
            "/currency",
            "unsupported",
            "PayPal does not take this currency.",
        ));
    };
    let wrong = |detail| Err(field_error("/amount", "out_of_range", detail));
    if money.minor_units == 0 {
        return wrong("PayPal takes amounts above zero only.");
    }
    let digits = money.minor_units.to_string();
    let (before, after) = match digits.len().checked_sub(currency.decimals) {
        Some(point) => digits.split_at_checked(point).unwrap_or((&digits, "")),
        None => ("", digits.as_str()),
    };
    if before.len() > WHOLE_DIGITS_MAX {
        return wrong("PayPal takes at most 999999999999999.99.");
    }
    let mut text = if before.is_empty() { "0" } else { before }.to_owned();
    if currency.is_whole {
        return if after.bytes().all(|digit| digit == b'0') && !before.is_empty() {
            Ok(text)
        } else {
            Err(field_error(
                "/amount",
                "invalid",
                "PayPal takes only whole amounts in this currency.",
            ))
        };
    }
    text.push('.');
    for _ in after.len()..currency.decimals {
        text.push('0');
    }
    text.push_str(after);
    Ok(text)
}

/// Writes a field with the amount.
///
/// # Errors
/// As [`text`].
pub(crate) fn write(body: &mut Writer, name: &str, money: &Money) -> Result<(), FieldError> {
    let value = text(money)?;
    body.object(name, |amount| {
        amount
            .text("currency_code", &money.currency)
            .text("value", &value);
    });
    Ok(())
}

/// The amount in a field; none where there is none, or one that is negative or not exact.
pub(crate) fn read(object: &Object<'_>, name: &str) -> Option<Money> {
    let amount = object.object(name)?;
    let code = amount.text("currency_code")?;
    let minor_units = parse(&amount.text("value")?, currency(&code)?)?;
    Some(Money {
        minor_units,
        currency: code,
    })
}

/// The amount in a field that may be absent.
///
/// None where something stands there that is no amount: the answer then makes no sense.
pub(crate) fn read_if_there(object: &Object<'_>, name: &str) -> Option<Option<Money>> {
    match object.raw(name) {
        None | Some("null") => Some(None),
        Some(_) => read(object, name).map(Some),
    }
}

/// Texts differ in their zeros (`10`, `10.0`, `10.00`), amounts do not.
fn parse(value: &str, currency: &Currency) -> Option<u64> {
    let (before, after) = match value.split_once('.') {
        // PayPal's own pattern wants digits behind a point, not before it.
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (value, ""),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if value.is_empty() || value.len() > CHARACTERS_MAX || !is_number(before) || !is_number(after) {
        return None;
    }
    let kept = if currency.is_whole {
        0
    } else {
        currency.decimals
    };
    let (fraction, rest) = after.split_at_checked(kept).unwrap_or((after, ""));
    if rest.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let mut digits = before.to_owned();
    digits.push_str(fraction);
    for _ in fraction.len()..currency.decimals {
        digits.push('0');
    }
    if digits.is_empty() {
        None
    } else {
        digits.parse().ok()
    }
}

/// What was paid for something, as the border has it.
pub(crate) fn cost(money: &Money) -> Option<Cost> {
    let amount = match text(money) {
        Ok(text) => text,
        Err(_) if money.minor_units == 0 => "0".to_owned(),
        Err(_) => return None,
    };
    Some(Cost {
        amount,
        currency: money.currency.clone(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    pub(crate) fn money(minor_units: u64, currency: &str) -> Money {
        Money {
            minor_units,
            currency: currency.into(),
        }
    }

    fn parsed(value: &str, code: &str) -> Option<u64> {
        let object = format!(r#"{{"a":{{"currency_code":"{code}","value":"{value}"}}}}"#);
        let object = Object::parse(&object).unwrap();
        read(&object, "a").map(|money| money.minor_units)
    }

    fn refused(minor_units: u64, currency: &str) -> (String, String) {
        let error = text(&money(minor_units, currency)).unwrap_err();
        (error.pointer, error.code)
    }

    #[test]
    fn amounts_are_written_with_the_decimals_that_paypal_wants() {
        for (minor_units, currency, value) in [
            (1, "USD", "0.01"),
            (10, "EUR", "0.10"),
            (100, "GBP", "1.00"),
            (123_456, "BRL", "1234.56"),
            (1_500, "JPY", "1500"),
            (150_000, "HUF", "1500"),
            (100, "TWD", "1"),
            (99_999_999_999_999_999, "USD", "999999999999999.99"),
            (999_999_999_999_999, "JPY", "999999999999999"),
            (99_999_999_999_999_900, "HUF", "999999999999999"),
        ] {
            assert_eq!(text(&money(minor_units, currency)).unwrap(), value);
            assert_eq!(
                parsed(value, currency),
                Some(minor_units),
                "{value} {currency}"
            );
        }
    }

    #[test]
    fn what_paypal_would_refuse_is_refused_first() {
        for (minor_units, currency, pointer, code) in [
            (0, "USD", "/amount", "out_of_range"),
            (0, "JPY", "/amount", "out_of_range"),
            (100_000_000_000_000_000, "USD", "/amount", "out_of_range"),
            (1_000_000_000_000_000, "JPY", "/amount", "out_of_range"),
            (u64::MAX, "USD", "/amount", "out_of_range"),
            (150_050, "HUF", "/amount", "invalid"),
            (5, "TWD", "/amount", "invalid"),
            (50, "TWD", "/amount", "invalid"),
            (5_000, "KWD", "/currency", "unsupported"),
            (500, "INR", "/currency", "unsupported"),
            (500, "usd", "/currency", "unsupported"),
        ] {
            assert_eq!(
                refused(minor_units, currency),
                (pointer.into(), code.into()),
                "{minor_units} {currency}"
            );
        }
    }

    #[test]
    fn zeros_do_not_matter_and_what_is_not_exact_is_no_amount() {
        for (value, currency, minor_units) in [
            ("10", "USD", 1_000),
            ("10.0", "USD", 1_000),
            ("10.000", "USD", 1_000),
            ("0.0", "USD", 0),
            (".5", "USD", 50),
            ("007.10", "USD", 710),
            ("1500.0", "JPY", 1_500),
            ("1500.00", "HUF", 150_000),
        ] {
            assert_eq!(parsed(value, currency), Some(minor_units), "{value}");
        }
        for (value, currency) in [
            ("", "USD"),
            (".", "USD"),
            ("1.", "USD"),
            ("-1.00", "USD"),
            ("+1", "USD"),
            ("1e3", "USD"),
            ("1,00", "USD"),
            ("1.2.3", "USD"),
            (" 1", "USD"),
            ("1.005", "USD"),
            ("1.5", "JPY"),
            ("1.5", "HUF"),
            ("1.00", "KWD"),
            ("1.00", "XXX"),
            ("99999999999999999999999999999999", "USD"),
            ("0.000000000000000000000000000000000", "USD"),
        ] {
            assert_eq!(parsed(value, currency), None, "{value} {currency}");
        }
        let number = Object::parse(r#"{"a":{"currency_code":"USD","value":1.5}}"#).unwrap();
        assert!(read(&number, "a").is_none());
        assert!(read_if_there(&number, "a").is_none());
        assert!(matches!(read_if_there(&number, "b"), Some(None)));
    }

    #[test]
    fn the_manifest_names_the_same_currencies() {
        let manifest = include_str!("../plugin.toml");
        let listed = CURRENCIES.map(|currency| format!("\"{}\"", currency.code));
        let line = format!("payments = [{}]\n", listed.join(", "));
        assert!(manifest.contains(&line), "{line}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            minor_units in 0..200_000_000_000_000_000_u64,
            place in 0..CURRENCIES.len(),
        ) {
            let code = CURRENCIES[place].code;
            if let Ok(value) = text(&money(minor_units, code)) {
                prop_assert!(value.len() <= CHARACTERS_MAX);
                prop_assert_eq!(parsed(&value, code), Some(minor_units));
            }
        }

        #[test]
        fn what_is_read_is_written_as_the_same_amount(
            before in "[0-9]{1,15}",
            after in "[0-9]{0,2}0{0,3}",
            place in 0..CURRENCIES.len(),
        ) {
            let code = CURRENCIES[place].code;
            let value = if after.is_empty() { before } else { [before, after].join(".") };
            if let Some(minor_units) = parsed(&value, code).filter(|minor_units| *minor_units > 0) {
                let written = text(&money(minor_units, code)).unwrap();
                prop_assert_eq!(plain(&written), plain(&value));
            }
        }

        #[test]
        fn no_text_is_too_strange(value in ".*", place in 0..CURRENCIES.len()) {
            let known = parse(&value, &CURRENCIES[place]);
            let looks_right = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            prop_assert!(known.is_none() || looks_right);
        }
    }

    /// Without zeros that mean nothing.
    fn plain(value: &str) -> String {
        let value = value.trim_start_matches('0');
        let value = match value.split_once('.') {
            Some((before, after)) => [before, after.trim_end_matches('0')].join("."),
            None => value.into(),
        };
        value.trim_end_matches('.').into()
    }
}
