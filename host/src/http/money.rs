//! Money on the wire.

use std::borrow::Cow;

use onerouter_domain::money::{Currency, Money};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::fields::Fields;

/// The schema of a currency: every code that is accepted.
#[derive(Debug)]
pub(crate) struct CurrencyCode;

impl PartialSchema for CurrencyCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A currency code of ISO 4217."))
            .enum_values(Some(Currency::all().map(Currency::code)))
            .build()
            .into()
    }
}

impl ToSchema for CurrencyCode {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Currency")
    }
}

/// The schema of an amount in a request.
#[derive(Debug)]
pub(crate) struct Amount;

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Number)
            .exclusive_minimum(Some(0))
            .maximum(Some(1_000_000_000_000_f64))
            .build();
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^[1-9][0-9]{0,11}$"))
            .build();
        let either = OneOfBuilder::new()
            .item(number)
            .item(text)
            .description(Some(
                "In major units, such as 500.00: a number, or a text where the client's numbers are \
                 not exact. It is read digit by digit. Exponents are refused, and so are more \
                 decimals than the currency has. A text may have decimals too.",
            ))
            .build();
        RefOr::T(Schema::OneOf(either))
    }
}

impl ToSchema for Amount {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Amount")
    }
}

impl Fields<'_> {
    /// An amount as it was written, a number or a text.
    pub(crate) fn amount_text(&mut self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        let text = value.get();
        if text.starts_with('"') {
            return match serde_json::from_str(text) {
                Ok(text) => Some(text),
                Err(_not_unicode) => {
                    self.mistake(name, "invalid", "is not valid Unicode text");
                    None
                }
            };
        }
        if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Some(text.to_owned());
        }
        self.mistake(name, "invalid_type", "must be a number or a text");
        None
    }

    /// An amount of a currency that must be there.
    pub(crate) fn required_money(
        &mut self,
        name: &str,
        currency: Option<Currency>,
    ) -> Option<Money> {
        if !self.has(name) {
            // Notes that it is missing.
            return self.required_text(name).and(None);
        }
        self.money(name, currency)
    }

    /// An amount of a currency. Without the currency it cannot be read, and that is said elsewhere.
    pub(crate) fn money(&mut self, name: &str, currency: Option<Currency>) -> Option<Money> {
        let text = self.amount_text(name)?;
        match Money::parse(&text, currency?) {
            Ok(money) if money.minor_units() == 0 => {
                self.mistake(name, "out_of_range", "must be greater than 0");
                None
            }
            Ok(money) => Some(money),
            Err(error) => {
                self.mistake(name, "invalid", error.to_string());
                None
            }
        }
    }
}
