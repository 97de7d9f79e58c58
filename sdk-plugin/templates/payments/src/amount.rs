//! Amounts. On the border they are in the smallest unit by ISO 4217; the provider writes major units as
//! text: `"amount": "500.00", "currency": "INR"`.

use onerouter_plugin::payments::Money;
use onerouter_plugin::prelude::*;

/// Writes amount and currency.
///
/// # Errors
/// What the provider would refuse, under the names of the caller's fields.
pub(crate) fn write(body: &mut Writer, amount: &Money) -> Result<(), FieldError> {
    if amount.minor_units == 0 {
        let detail = "The provider takes amounts above zero only.";
        return Err(field_error("/amount", "out_of_range", detail));
    }
    body.text("amount", &money::major(amount))
        .text("currency", &amount.currency);
    Ok(())
}

/// Amount and currency of an object; none where there are none that make sense.
pub(crate) fn read(object: &Object<'_>) -> Option<Money> {
    money::read(&object.text("amount")?, &object.text("currency")?)
}

/// A part of an object's amount, in its smallest unit; none where the field is missing or makes no sense.
pub(crate) fn part(object: &Object<'_>, field: &str) -> Option<u64> {
    let part = money::read(&object.text(field)?, &object.text("currency")?)?;
    Some(part.minor_units)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn money(minor_units: u64, currency: &str) -> Money {
        Money {
            minor_units,
            currency: currency.into(),
        }
    }

    #[test]
    fn an_amount_is_the_same_when_it_comes_back() {
        for (minor_units, currency, text) in [
            (50_000, "INR", "500.00"),
            (500, "JPY", "500"),
            (5_250, "KWD", "5.250"),
        ] {
            let mut body = Writer::new();
            write(&mut body, &money(minor_units, currency)).unwrap();
            let body = body.finish();
            assert_eq!(
                body,
                [
                    r#"{"amount":""#,
                    text,
                    r#"","currency":""#,
                    currency,
                    r#""}"#
                ]
                .concat()
            );
            let read = read(&Object::parse(&body).unwrap()).unwrap();
            assert_eq!(
                (read.minor_units, read.currency.as_str()),
                (minor_units, currency)
            );
        }
        let nothing = write(&mut Writer::new(), &money(0, "INR")).unwrap_err();
        assert_eq!(nothing.pointer, "/amount");
    }
}
