//! What is bought: prices, taxes, categories.

use serde_json::{Map, Value};

use super::{
    super::{error::PaypalError, fields::Fields, money::Money},
    unit::Breakdown,
};

const DONATION: &str = "DONATION";
const CATEGORIES: [&str; 3] = ["DIGITAL_GOODS", "PHYSICAL_GOODS", DONATION];

pub(super) fn check(unit: &Fields<'_>, breakdown: &Breakdown) -> Result<(), PaypalError> {
    let Some(items) = unit.objects("items", 0..=usize::MAX)? else {
        return Ok(());
    };
    if items.is_empty() {
        return Ok(());
    }
    let (mut prices, mut taxes) = (Vec::new(), Vec::new());
    for item in &items {
        item.required_text("name", 1..=127)?;
        item.text("description", 0..=127)?;
        item.text("sku", 0..=127)?;
        item.check_choice("category", &CATEGORIES)?;
        let quantity = quantity(item)?;
        let price = item
            .money_from_zero("unit_amount")?
            .ok_or_else(|| item.missing("unit_amount"))?;
        prices.push(price.times(quantity));
        if let Some(tax) = item.money_from_zero("tax")? {
            taxes.push(tax.times(quantity));
        }
    }
    let field = |name: &str| format!("{}/breakdown/{name}", unit.path("amount"));
    check_total(breakdown.item_total, &prices, || {
        (
            PaypalError::issue("ITEM_TOTAL_REQUIRED").at(field("item_total")),
            PaypalError::issue("ITEM_TOTAL_MISMATCH").at(field("item_total")),
        )
    })?;
    check_total(breakdown.tax_total, &taxes, || {
        (
            PaypalError::issue("TAX_TOTAL_REQUIRED").at(field("tax_total")),
            PaypalError::issue("TAX_TOTAL_MISMATCH").at(field("tax_total")),
        )
    })?;
    let donations = unit.map().get("items").map_or(0, count_donations);
    if donations > 0 && donations < items.len() {
        return Err(unit.wrong("MULTIPLE_ITEM_CATEGORIES", "items"));
    }
    Ok(())
}

pub(super) fn have_donations(unit: &Map<String, Value>) -> bool {
    unit.get("items")
        .is_some_and(|items| count_donations(items) > 0)
}

fn count_donations(items: &Value) -> usize {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let of_item = |item: &&Value| item.get("category").and_then(Value::as_str) == Some(DONATION);
    items.iter().filter(of_item).count()
}

/// A whole number from 1, as text.
fn quantity(item: &Fields<'_>) -> Result<i128, PaypalError> {
    let text = item.required_text("quantity", 1..=10)?;
    let number = text
        .parse()
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
    number.ok_or_else(|| item.wrong("INVALID_PARAMETER_SYNTAX", "quantity"))
}

/// `errors` are for a total that is missing and for one that is wrong.
fn check_total(
    total: Option<Money>,
    parts: &[Money],
    errors: impl FnOnce() -> (PaypalError, PaypalError),
) -> Result<(), PaypalError> {
    let Some(first) = parts.first() else {
        return Ok(());
    };
    let (missing, wrong) = errors();
    let total = total.ok_or(missing)?;
    if parts.iter().any(|part| part.currency != total.currency) {
        return Err(PaypalError::issue("MULTI_CURRENCY_ORDER").at("/purchase_units"));
    }
    if first.zero().sum(parts.iter().copied()) == total {
        Ok(())
    } else {
        Err(wrong.value(total.value()))
    }
}
