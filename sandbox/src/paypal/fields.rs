//! Reading JSON bodies field by field, with the issue and the JSON pointer of what is wrong.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use url::Url;

use super::{
    error::PaypalError,
    money::{BadValue, Currency, Money},
};
use crate::call::Call;

/// The APIs name the same mistakes differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Orders,
    Payments,
    /// Products, plans, subscriptions.
    Billing,
}

/// An object of the body and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    at: String,
    dialect: Dialect,
}

/// The body as JSON; an empty one counts as `{}`.
pub(super) fn body(call: &Call) -> Result<Value, PaypalError> {
    if call.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(&call.body)
        .map_err(|_no_json| PaypalError::issue("MALFORMED_REQUEST_JSON").at("/"))
}

impl<'a> Fields<'a> {
    pub(super) fn of(body: &'a Value, dialect: Dialect) -> Result<Fields<'a>, PaypalError> {
        Fields::below(body, String::new(), dialect)
    }

    /// The object that stands at the pointer `at`.
    pub(super) fn below(
        value: &'a Value,
        at: String,
        dialect: Dialect,
    ) -> Result<Fields<'a>, PaypalError> {
        match value {
            Value::Object(map) => Ok(Fields { map, at, dialect }),
            _ => Err(PaypalError::issue("INVALID_PARAMETER_SYNTAX").at(at)),
        }
    }

    pub(super) fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    /// `null` counts as absent.
    pub(super) fn present(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }

    pub(super) fn wrong(&self, issue: &'static str, name: &str) -> PaypalError {
        let error = PaypalError::issue(issue).at(self.path(name));
        match self.present(name) {
            Some(Value::String(text)) => error.value(text.clone()),
            _ => error,
        }
    }

    pub(super) fn missing(&self, name: &str) -> PaypalError {
        self.wrong("MISSING_REQUIRED_PARAMETER", name)
    }

    pub(super) fn text(
        &self,
        name: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<&'a str>, PaypalError> {
        let text = match self.present(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(self.wrong("INVALID_PARAMETER_SYNTAX", name)),
        };
        let characters = text.chars().count();
        if length.contains(&characters) {
            return Ok(Some(text));
        }
        let issue = match self.dialect {
            Dialect::Orders | Dialect::Payments => "INVALID_STRING_LENGTH",
            Dialect::Billing if characters < *length.start() => "INVALID_STRING_MIN_LENGTH",
            Dialect::Billing => "INVALID_STRING_MAX_LENGTH",
        };
        Err(self.wrong(issue, name))
    }

    pub(super) fn required_text(
        &self,
        name: &str,
        length: RangeInclusive<usize>,
    ) -> Result<&'a str, PaypalError> {
        self.text(name, length)?.ok_or_else(|| self.missing(name))
    }

    /// One of the values of an enumeration.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, PaypalError> {
        let Some(text) = self.text(name, 0..=usize::MAX)? else {
            return Ok(None);
        };
        let chosen = choices.iter().find(|(known, _)| *known == text);
        chosen
            .map(|(_, value)| Some(*value))
            .ok_or_else(|| self.wrong("INVALID_PARAMETER_VALUE", name))
    }

    /// Only checks that it is one of these.
    pub(super) fn check_choice(&self, name: &str, choices: &[&str]) -> Result<(), PaypalError> {
        match self.text(name, 0..=usize::MAX)? {
            Some(text) if !choices.contains(&text) => {
                Err(self.wrong("INVALID_PARAMETER_VALUE", name))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, PaypalError> {
        match self.present(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong("INVALID_PARAMETER_SYNTAX", name)),
        }
    }

    pub(super) fn integer(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, PaypalError> {
        let Some(value) = self.present(name) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .ok_or_else(|| self.wrong("INVALID_PARAMETER_SYNTAX", name))?;
        match u32::try_from(number) {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ if number < i64::from(*range.start()) => {
                Err(self.wrong("INVALID_INTEGER_MIN_VALUE", name))
            }
            _ => Err(self.wrong("INVALID_INTEGER_MAX_VALUE", name)),
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Fields<'a>>, PaypalError> {
        self.present(name)
            .map(|value| Fields::below(value, self.path(name), self.dialect))
            .transpose()
    }

    pub(super) fn objects(
        &self,
        name: &str,
        count: RangeInclusive<usize>,
    ) -> Result<Option<Vec<Fields<'a>>>, PaypalError> {
        let items = match self.present(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.wrong("INVALID_PARAMETER_SYNTAX", name)),
        };
        if !count.contains(&items.len()) {
            // Products, plans and subscriptions have no issue for the number of items.
            let issue = match self.dialect {
                Dialect::Billing => "INVALID_PARAMETER_VALUE",
                _ if items.len() < *count.start() => "INVALID_ARRAY_MIN_ITEMS",
                _ => "INVALID_ARRAY_MAX_ITEMS",
            };
            return Err(self.wrong(issue, name));
        }
        items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                Fields::below(item, format!("{}/{index}", self.path(name)), self.dialect)
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(super) fn url(
        &self,
        name: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<&'a str>, PaypalError> {
        let Some(text) = self.text(name, length)? else {
            return Ok(None);
        };
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(text)),
            Ok(_) | Err(_) => Err(self.wrong("INVALID_PARAMETER_SYNTAX", name)),
        }
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, PaypalError> {
        let Some(text) = self.text(name, 20..=64)? else {
            return Ok(None);
        };
        DateTime::parse_from_rfc3339(text)
            .map(|time| Some(time.to_utc()))
            .map_err(|_no_time| self.wrong("INVALID_PARAMETER_SYNTAX", name))
    }

    /// `{currency_code, value}` of any sign.
    pub(super) fn money(&self, name: &str) -> Result<Option<Money>, PaypalError> {
        self.object(name)?
            .map(|fields| fields.as_money())
            .transpose()
    }

    pub(super) fn money_above_zero(&self, name: &str) -> Result<Option<Money>, PaypalError> {
        let money = self.money(name)?;
        match money {
            Some(money) if !money.is_positive() => {
                let issue = match self.dialect {
                    Dialect::Orders | Dialect::Payments => "CANNOT_BE_ZERO_OR_NEGATIVE",
                    Dialect::Billing => "INVALID_PARAMETER_VALUE",
                };
                Err(self.bad_money(issue, name, money))
            }
            _ => Ok(money),
        }
    }

    pub(super) fn money_from_zero(&self, name: &str) -> Result<Option<Money>, PaypalError> {
        let money = self.money(name)?;
        match money {
            Some(money) if money.minor < 0 => {
                let issue = match self.dialect {
                    Dialect::Orders | Dialect::Payments => "CANNOT_BE_NEGATIVE",
                    Dialect::Billing => "INVALID_PARAMETER_VALUE",
                };
                Err(self.bad_money(issue, name, money))
            }
            _ => Ok(money),
        }
    }

    fn bad_money(&self, issue: &'static str, name: &str, money: Money) -> PaypalError {
        PaypalError::issue(issue)
            .at(format!("{}/value", self.path(name)))
            .value(money.value())
    }

    /// This object read as an amount.
    fn as_money(&self) -> Result<Money, PaypalError> {
        let code = self.required_text("currency_code", 3..=3)?;
        let currency = Currency::find(code).ok_or_else(|| {
            let issue = match self.dialect {
                Dialect::Orders | Dialect::Payments => "INVALID_CURRENCY_CODE",
                Dialect::Billing => "CURRENCY_NOT_SUPPORTED_FOR_RECEIVER",
            };
            self.wrong(issue, "currency_code")
        })?;
        let value = self.required_text("value", 0..=usize::MAX)?;
        Money::parse(value, currency).map_err(|bad| {
            let issue = match (bad, self.dialect) {
                (BadValue::Syntax, _) => "INVALID_PARAMETER_SYNTAX",
                (BadValue::Length, Dialect::Orders | Dialect::Payments) => "INVALID_STRING_LENGTH",
                (BadValue::Length, Dialect::Billing) if value.is_empty() => {
                    "INVALID_STRING_MIN_LENGTH"
                }
                (BadValue::Length, Dialect::Billing) => "INVALID_STRING_MAX_LENGTH",
                (_, Dialect::Billing) => "INVALID_PARAMETER_VALUE",
                // The Orders API has one issue for both.
                (BadValue::Decimals, Dialect::Payments) => "DECIMALS_NOT_SUPPORTED",
                (BadValue::Decimals | BadValue::Precision, _) => "DECIMAL_PRECISION",
                (BadValue::TooLarge, _) => "MAX_VALUE_EXCEEDED",
            };
            self.wrong(issue, "value")
        })
    }
}
