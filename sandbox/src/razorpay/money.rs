//! Amounts in the smallest unit: <https://razorpay.com/docs/payments/international-payments/>,
//! table of supported currencies.

use super::{error::RazorpayError, fields::Fields};

const WITHOUT_DECIMALS: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV",
    "XAF", "XOF", "XPF",
];
const WITH_THREE_DECIMALS: &[&str] = &["BHD", "IQD", "JOD", "KWD", "OMR", "TND"];
const WITH_TWO_DECIMALS: &[&str] = &[
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

/// `currency`, which must be there.
pub(super) fn currency(fields: &Fields<'_>) -> Result<String, RazorpayError> {
    let currency = fields.required_text("currency", 3)?;
    check_currency(fields, currency)
}

pub(super) fn check_currency(
    fields: &Fields<'_>,
    currency: String,
) -> Result<String, RazorpayError> {
    if exponent(&currency).is_none() {
        return Err(fields.wrong("currency", "The currency provided is not supported"));
    }
    Ok(currency)
}

/// The field as an amount of that currency, which must be there and at least one major unit.
pub(super) fn amount(
    fields: &Fields<'_>,
    name: &'static str,
    currency: &str,
) -> Result<i64, RazorpayError> {
    let amount = fields.integer(name)?.ok_or_else(|| fields.missing(name))?;
    check_amount(fields, name, amount, currency)
}

pub(super) fn check_amount(
    fields: &Fields<'_>,
    name: &'static str,
    amount: i64,
    currency: &str,
) -> Result<i64, RazorpayError> {
    if amount < minimum(currency) {
        let label = name.replace('_', " ");
        let least = written(minimum(currency), currency);
        let text = format!("The {label} must be at least {currency} {least}");
        return Err(fields.wrong(name, text));
    }
    check_digits(fields, name, amount, currency)
}

/// An amount of any size, of which only the last digit can be wrong.
pub(super) fn check_digits(
    fields: &Fields<'_>,
    name: &'static str,
    amount: i64,
    currency: &str,
) -> Result<i64, RazorpayError> {
    if exponent(currency) == Some(3) && amount % 10 != 0 {
        let label = name.replace('_', " ");
        let text = format!("The last digit of the {label} must be 0 in {currency}");
        return Err(fields.wrong(name, text));
    }
    Ok(amount)
}

/// One major unit.
pub(super) fn minimum(currency: &str) -> i64 {
    match exponent(currency) {
        Some(0) => 1,
        Some(3) => 1_000,
        _ => 100,
    }
}

/// `500.00`, for people.
pub(super) fn written(amount: i64, currency: &str) -> String {
    let unit = minimum(currency);
    let places = unit.to_string().len().saturating_sub(1);
    let (major, minor) = (amount / unit, amount % unit);
    if places == 0 {
        return major.to_string();
    }
    format!("{major}.{minor:0places$}")
}

fn exponent(currency: &str) -> Option<u32> {
    if WITHOUT_DECIMALS.contains(&currency) {
        Some(0)
    } else if WITH_THREE_DECIMALS.contains(&currency) {
        Some(3)
    } else if WITH_TWO_DECIMALS.contains(&currency) {
        Some(2)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_with_the_decimals_of_its_currency() {
        let written = [(50_000, "INR"), (295, "JPY"), (99_990, "KWD"), (5, "USD")]
            .map(|(amount, currency)| written(amount, currency));
        assert_eq!(written, ["500.00", "295", "99.990", "0.05"]);
    }
}
