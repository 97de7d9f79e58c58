//! What a message cost: an exact decimal, never a float.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Decimals that a cost may have.
pub const COST_SCALE_MAX: u32 = 6;

/// Who named the cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// From the adapter's price table.
    Estimate,
    /// From the provider.
    Provider,
}

/// An amount that is not negative, with at most six decimals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    amount: Decimal,
    currency: String,
    source: CostSource,
}

/// Why a text is no cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// Not a decimal, negative, or too fine.
    #[error("the amount is not a decimal of 0 or more with at most 6 decimals")]
    Amount,
    /// Not three capital letters.
    #[error("the currency is not an ISO 4217 code")]
    Currency,
}

impl Cost {
    /// Reads an amount of plain digits with an optional point.
    ///
    /// # Errors
    /// Signs, exponents, more than six decimals, or a currency that is not three capitals.
    pub fn parse(amount: &str, currency: &str, source: CostSource) -> Result<Self, CostError> {
        let plain = !amount.is_empty()
            && amount
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
            && amount.starts_with(|first: char| first.is_ascii_digit())
            && amount.ends_with(|last: char| last.is_ascii_digit());
        let amount: Decimal = amount
            .parse()
            .ok()
            .filter(|_| plain)
            .ok_or(CostError::Amount)?;
        if amount.normalize().scale() > COST_SCALE_MAX {
            return Err(CostError::Amount);
        }
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(CostError::Currency);
        }
        Ok(Self {
            amount,
            currency: currency.to_owned(),
            source,
        })
    }

    /// The same cost for `count` of the thing; none where it does not fit a decimal.
    #[must_use]
    pub fn times(&self, count: u32) -> Option<Self> {
        let amount = self.amount.checked_mul(Decimal::from(count))?;
        Some(Self {
            amount,
            ..self.clone()
        })
    }

    /// Exact decimal text.
    #[must_use]
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// ISO 4217.
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// Who named it.
    #[must_use]
    pub const fn source(&self) -> CostSource {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_decimals_are_costs_and_nothing_else_is() {
        for good in ["0", "0.0075", "12", "1.000000", "0.0075000"] {
            assert!(
                Cost::parse(good, "USD", CostSource::Provider).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "",
            "-1",
            "+1",
            "1e3",
            ".5",
            "5.",
            "0.0000001",
            "1,5",
            "NaN",
            "٣",
        ] {
            let refused = Cost::parse(bad, "USD", CostSource::Provider);
            assert_eq!(refused, Err(CostError::Amount), "{bad}");
        }
        for bad in ["", "usd", "US", "USDT"] {
            let refused = Cost::parse("1", bad, CostSource::Provider);
            assert_eq!(refused, Err(CostError::Currency), "{bad}");
        }
    }

    #[test]
    fn segments_multiply_exactly() {
        let one = Cost::parse("0.0079", "USD", CostSource::Estimate).unwrap();
        assert_eq!(one.times(3).unwrap().amount().to_string(), "0.0237");
    }
}
