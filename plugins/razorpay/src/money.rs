//! Amounts. On the border they are in the smallest unit by ISO 4217, and so Razorpay counts too:
//! <https://razorpay.com/docs/payments/international-payments/>, table of supported currencies.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};

use onerouter_plugin::common::{Cost, FieldError};
use onerouter_plugin::failure::field_error;
use onerouter_plugin::json::{Object, Writer};
use onerouter_plugin::money::with_point;
use onerouter_plugin::payments::Money;

/// No decimals.
const WITHOUT_DECIMALS: [&str; 16] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV",
    "XAF", "XOF", "XPF",
];

/// Three decimals, of which the last has to be 0.
const WITH_THREE_DECIMALS: [&str; 6] = ["BHD", "IQD", "JOD", "KWD", "OMR", "TND"];

/// Two decimals, HUF and TWD among them.
const WITH_TWO_DECIMALS: [&str; 106] = [
    "AED", "ALL", "AMD", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BMD", "BND", "BOB",
    "BRL", "BSD", "BTN", "BWP", "BZD", "CAD", "CHF", "CNY", "COP", "CRC", "CUP", "CVE", "CZK",
    "DKK", "DOP", "DZD", "EGP", "ETB", "EUR", "FJD", "GBP", "GHS", "GIP", "GMD", "GTQ", "GYD",
    "HKD", "HNL", "HRK", "HTG", "HUF", "IDR", "ILS", "INR", "JMD", "KES", "KGS", "KHR", "KYD",
    "KZT", "LAK", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MUR",
    "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "PEN", "PGK",
    "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB", "SAR", "SCR", "SEK", "SGD", "SLL", "SOS",
    "SVC", "SZL", "THB", "TRY", "TTD", "TWD", "TZS", "UAH", "USD", "UYU", "UZS", "XCD", "YER",
    "ZAR", "ZMW",
];

/// One rupee for a buyer to pay. What is least in other currencies is not documented.
const LEAST_IN_INR: u64 = 100;

fn decimals(code: &str) -> Option<usize> {
    if WITHOUT_DECIMALS.contains(&code) {
        Some(0)
    } else if WITH_THREE_DECIMALS.contains(&code) {
        Some(3)
    } else if WITH_TWO_DECIMALS.contains(&code) {
        Some(2)
    } else {
        None
    }
}

/// The amount as Razorpay wants it: a whole number.
///
/// # Errors
/// What Razorpay would refuse, under the names of the caller's fields.
pub(crate) fn units(money: &Money) -> Result<String, FieldError> {
    let Some(decimals) = decimals(&money.currency) else {
        return Err(field_error(
            "/currency",
            "unsupported",
            "Razorpay does not take this currency.",
        ));
    };
    let wrong = |code, detail| Err(field_error("/amount", code, detail));
    if money.minor_units == 0 {
        return wrong("out_of_range", "Razorpay takes amounts above zero only.");
    }
    if i64::try_from(money.minor_units).is_err() {
        return wrong("out_of_range", "Razorpay does not take as much.");
    }
    if decimals == 3 && money.minor_units.checked_rem(10) != Some(0) {
        return wrong(
            "invalid",
            "The third decimal has to be 0 at Razorpay in this currency.",
        );
    }
    Ok(money.minor_units.to_string())
}

/// As [`units`], of what a buyer is to pay.
///
/// # Errors
/// As [`units`], and for less than Razorpay lets a buyer pay.
pub(crate) fn payable(money: &Money) -> Result<String, FieldError> {
    let units = units(money)?;
    if money.currency == "INR" && money.minor_units < LEAST_IN_INR {
        return Err(field_error(
            "/amount",
            "out_of_range",
            "Razorpay takes at least INR 1.00.",
        ));
    }
    Ok(units)
}

/// Writes `amount` and `currency` of what a buyer is to pay.
///
/// # Errors
/// As [`payable`].
pub(crate) fn write(body: &mut Writer, money: &Money) -> Result<(), FieldError> {
    body.raw("amount", &payable(money)?)
        .text("currency", &money.currency);
    Ok(())
}

/// `amount` and `currency` of an object; none where there are none that make sense.
pub(crate) fn read(object: &Object<'_>) -> Option<Money> {
    let currency = object.text("currency")?;
    decimals(&currency)?;
    Some(Money {
        minor_units: object.number("amount")?.parse().ok()?,
        currency,
    })
}

/// Razorpay's fee. In which currency it is taken of payments in others than INR is not documented.
pub(crate) fn fee(object: &Object<'_>) -> Option<Cost> {
    if object.text("currency").as_deref() != Some("INR") {
        return None;
    }
    let fee: u64 = object.number("fee")?.parse().ok()?;
    Some(Cost {
        amount: with_point(fee, 2),
        currency: "INR".to_owned(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    pub(crate) fn money(minor_units: u64, currency: &str) -> Money {
        Money {
            minor_units,
            currency: currency.into(),
        }
    }

    fn back(units: &str, currency: &str) -> Option<Money> {
        let body = format!(r#"{{"amount":{units},"currency":"{currency}"}}"#);
        read(&Object::parse(&body).unwrap())
    }

    #[test]
    fn what_razorpay_would_refuse_is_refused_first() {
        for (minor_units, currency, pointer, code) in [
            (0, "INR", "/amount", "out_of_range"),
            (99, "INR", "/amount", "out_of_range"),
            (0, "JPY", "/amount", "out_of_range"),
            (u64::MAX, "USD", "/amount", "out_of_range"),
            (99_991, "KWD", "/amount", "invalid"),
            (1, "BHD", "/amount", "invalid"),
            (100, "KPW", "/currency", "unsupported"),
            (100, "inr", "/currency", "unsupported"),
        ] {
            let error = payable(&money(minor_units, currency)).unwrap_err();
            let found = (error.pointer.as_str(), error.code.as_str());
            assert_eq!(found, (pointer, code), "{minor_units} {currency}");
        }
        for (minor_units, currency) in [(100, "INR"), (1, "JPY"), (99_990, "KWD"), (1, "HUF")] {
            let units = payable(&money(minor_units, currency)).unwrap();
            assert_eq!(units, minor_units.to_string());
        }
    }

    #[test]
    fn what_goes_back_may_be_less_than_what_is_paid() {
        let rest = money(50, "INR");
        assert_eq!(units(&rest).unwrap(), "50");
        assert_eq!(payable(&rest).unwrap_err().pointer, "/amount");
        for odd in [money(0, "INR"), money(5, "KWD"), money(50, "KPW")] {
            assert!(units(&odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for units in [
            "-1",
            "1.5",
            "1e3",
            "\"100\"",
            "null",
            "99999999999999999999",
        ] {
            assert!(back(units, "INR").is_none(), "{units}");
        }
        assert!(back("100", "XXX").is_none());
    }

    #[test]
    fn the_fee_is_known_in_rupees_only() {
        let cost = |body: &str| fee(&Object::parse(body).unwrap()).map(|cost| cost.amount);
        let of = |fee: &str| cost(&format!(r#"{{"currency":"INR","fee":{fee}}}"#));
        assert_eq!(of("1180").as_deref(), Some("11.80"));
        assert_eq!(of("5").as_deref(), Some("0.05"));
        assert_eq!(of("0").as_deref(), Some("0.00"));
        assert_eq!(of("null"), None);
        assert_eq!(cost(r#"{"currency":"USD","fee":100}"#), None);
    }

    #[test]
    fn the_manifest_names_the_same_currencies() {
        let mut codes: Vec<_> = [
            &WITHOUT_DECIMALS[..],
            &WITH_THREE_DECIMALS,
            &WITH_TWO_DECIMALS,
        ]
        .concat();
        codes.sort_unstable();
        let listed: Vec<_> = codes.iter().map(|code| format!("\"{code}\"")).collect();
        let line = format!("payments = [{}]\n", listed.join(", "));
        assert!(include_str!("../plugin.toml").contains(&line), "{line}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(minor_units in any::<u64>(), place in 0..6_usize) {
            let code = ["INR", "USD", "JPY", "KWD", "HUF", "TWD"][place];
            let money = money(minor_units, code);
            match payable(&money) {
                Ok(units) => {
                    let back = back(&units, code).unwrap();
                    prop_assert_eq!((back.minor_units, back.currency), (minor_units, money.currency));
                }
                Err(_) => {
                    let is_odd = code == "KWD" && minor_units % 10 != 0;
                    let is_small = minor_units == 0 || (code == "INR" && minor_units < 100);
                    prop_assert!(is_odd || is_small || minor_units > i64::MAX as u64);
                }
            }
        }

        #[test]
        fn a_fee_is_exact(fee in any::<u64>()) {
            let text = with_point(fee, 2);
            let (whole, cents) = text.split_once('.').unwrap();
            prop_assert_eq!(cents.len(), 2);
            let digits: u128 = [whole, cents].concat().parse().unwrap();
            prop_assert_eq!(digits, u128::from(fee));
        }
    }
}
