//! Purchase units: amount, breakdown, references.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    super::{
        MERCHANT_EMAIL, MERCHANT_ID, books::Books, error::PaypalError, fields::Fields, money::Money,
    },
    Intent,
    experience::Preference,
    items, shipping,
};

pub(in super::super) const UNITS: std::ops::RangeInclusive<usize> = 1..=10;
pub(super) const DEFAULT_REFERENCE: &str = "default";

#[derive(Debug, Clone)]
pub(in super::super) struct Unit {
    pub(in super::super) reference_id: String,
    pub(in super::super) amount: Money,
    pub(in super::super) custom_id: Option<String>,
    pub(in super::super) invoice_id: Option<String>,
    pub(in super::super) description: Option<String>,
    /// As it was sent, with what PayPal fills in.
    pub(super) details: Map<String, Value>,
    pub(in super::super) authorizations: Vec<String>,
    pub(in super::super) captures: Vec<String>,
}

impl Unit {
    pub(super) fn parse(unit: &Fields<'_>, preference: Preference) -> Result<Unit, PaypalError> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let amount = unit
            .money_above_zero("amount")?
            .ok_or_else(|| unit.missing("amount"))?;
        let reference_id = unit
            .text("reference_id", 1..=256)?
            .unwrap_or(DEFAULT_REFERENCE);
        let parsed = Unit {
            reference_id: reference_id.to_owned(),
            amount,
            custom_id: owned(unit.text("custom_id", 1..=127)?),
            invoice_id: owned(unit.text("invoice_id", 1..=127)?),
            description: owned(unit.text("description", 1..=127)?),
            details: unit.map().clone(),
            authorizations: Vec::new(),
            captures: Vec::new(),
        };
        unit.text("soft_descriptor", 1..=22)?;
        check_payee(unit)?;
        check_fees(unit)?;
        let breakdown = check_breakdown(unit, amount)?;
        items::check(unit, &breakdown)?;
        shipping::check(unit, preference, &breakdown)?;
        Ok(parsed)
    }

    pub(super) fn view(&self, books: &Books) -> Value {
        let mut view = self.details.clone();
        view.insert("reference_id".to_owned(), self.reference_id.clone().into());
        let mut amount = self.amount.view();
        let breakdown = self
            .details
            .get("amount")
            .and_then(|amount| amount.get("breakdown"));
        if let (Value::Object(amount), Some(breakdown)) = (&mut amount, breakdown) {
            amount.insert("breakdown".to_owned(), breakdown.clone());
        }
        view.insert("amount".to_owned(), amount);
        let payee = json!({ "email_address": MERCHANT_EMAIL, "merchant_id": MERCHANT_ID });
        view.insert("payee".to_owned(), payee);
        if !self.authorizations.is_empty() || !self.captures.is_empty() {
            view.insert("payments".to_owned(), self.payments(books));
        }
        Value::Object(view)
    }

    fn payments(&self, books: &Books) -> Value {
        let authorizations = self
            .authorizations
            .iter()
            .filter_map(|id| books.authorizations.find(id))
            .map(|authorization| authorization.view());
        let captures = self
            .captures
            .iter()
            .filter_map(|id| books.captures.find(id));
        let refunds = captures
            .clone()
            .flat_map(|capture| &capture.refunds)
            .filter_map(|id| books.refunds.find(id))
            .map(|refund| refund.view(books));
        let lists: [(&str, Vec<Value>); 3] = [
            ("authorizations", authorizations.collect()),
            (
                "captures",
                captures.map(|capture| capture.view(books)).collect(),
            ),
            ("refunds", refunds.collect()),
        ];
        lists
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| (name.to_owned(), Value::Array(list)))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// What the units must be together.
pub(super) fn check_together(units: &[Unit], intent: Intent) -> Result<(), PaypalError> {
    let currencies: HashSet<_> = units.iter().map(|unit| unit.amount.currency.code).collect();
    if currencies.len() > 1 {
        return Err(PaypalError::issue("MULTI_CURRENCY_ORDER").at("/purchase_units"));
    }
    if units.len() < 2 {
        return Ok(());
    }
    if intent == Intent::Authorize {
        return Err(PaypalError::issue("UNSUPPORTED_INTENT").at("/intent"));
    }
    let mut seen = HashSet::new();
    for (index, unit) in units.iter().enumerate() {
        let field = format!("/purchase_units/{index}/reference_id");
        if !unit.details.contains_key("reference_id") {
            return Err(PaypalError::issue("REFERENCE_ID_REQUIRED").at(field));
        }
        if !seen.insert(&unit.reference_id) {
            return Err(PaypalError::issue("DUPLICATE_REFERENCE_ID")
                .at(field)
                .value(&unit.reference_id));
        }
        if items::have_donations(&unit.details) {
            let field = format!("/purchase_units/{index}/items");
            return Err(PaypalError::issue("DONATION_ITEMS_NOT_SUPPORTED").at(field));
        }
    }
    Ok(())
}

/// Nobody but the merchant himself can be paid here.
fn check_payee(unit: &Fields<'_>) -> Result<(), PaypalError> {
    let Some(payee) = unit.object("payee")? else {
        return Ok(());
    };
    let is = |field: Option<&str>, own: &str| field.is_none_or(|value| value == own);
    let email = payee.text("email_address", 3..=254)?;
    let merchant = payee.text("merchant_id", 13..=13)?;
    if (email.is_none() && merchant.is_none())
        || !is(email, MERCHANT_EMAIL)
        || !is(merchant, MERCHANT_ID)
    {
        return Err(unit.wrong("PAYEE_ACCOUNT_INVALID", "payee"));
    }
    Ok(())
}

fn check_fees(unit: &Fields<'_>) -> Result<(), PaypalError> {
    let Some(instruction) = unit.object("payment_instruction")? else {
        return Ok(());
    };
    instruction.check_choice("disbursement_mode", &["INSTANT", "DELAYED"])?;
    match instruction.objects("platform_fees", 0..=1)? {
        Some(fees) if !fees.is_empty() => {
            Err(instruction.wrong("PLATFORM_FEES_NOT_SUPPORTED", "platform_fees"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The parts of an amount, where they are given.
#[derive(Debug, Default)]
pub(super) struct Breakdown {
    pub(super) item_total: Option<Money>,
    pub(super) tax_total: Option<Money>,
    pub(super) shipping: Option<Money>,
}

fn check_breakdown(unit: &Fields<'_>, amount: Money) -> Result<Breakdown, PaypalError> {
    let Some(fields) = unit.object("amount")? else {
        return Ok(Breakdown::default());
    };
    let Some(parts) = fields.object("breakdown")? else {
        return Ok(Breakdown::default());
    };
    let part = |name: &str| -> Result<Option<Money>, PaypalError> {
        let part = parts.money_from_zero(name)?;
        match part {
            Some(part) if part.currency != amount.currency => {
                Err(parts.wrong("MULTI_CURRENCY_ORDER", name))
            }
            _ => Ok(part),
        }
    };
    let breakdown = Breakdown {
        item_total: part("item_total")?,
        tax_total: part("tax_total")?,
        shipping: part("shipping")?,
    };
    let added = [
        breakdown.item_total,
        breakdown.tax_total,
        breakdown.shipping,
        part("handling")?,
        part("insurance")?,
    ];
    let taken = [part("shipping_discount")?, part("discount")?];
    let sum = amount.zero().sum(added.into_iter().flatten());
    let sum = taken.into_iter().flatten().fold(sum, Money::minus);
    if sum != amount {
        return Err(PaypalError::issue("AMOUNT_MISMATCH")
            .at(fields.path("value"))
            .value(amount.value()));
    }
    Ok(breakdown)
}
