//! What is charged how often: billing cycles, set-up fee, taxes. Of a plan, and of a subscription to it.

use chrono::{DateTime, Days, Months, Utc};
use serde_json::{Value, json};

use super::{error::PaypalError, fields::Fields, money::Money};

const TRIALS_MAX: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tenure {
    Trial,
    Regular,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interval {
    Day,
    Week,
    Month,
    Year,
}

#[derive(Debug, Clone)]
pub(super) struct Cycle {
    pub(super) sequence: u32,
    pub(super) tenure: Tenure,
    interval: Interval,
    every: u32,
    /// 0 has no end.
    pub(super) total: u32,
    /// A free trial has none.
    pub(super) price: Option<Money>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taxes {
    /// Of a million: 10 % are 100,000.
    millionths: i128,
    inclusive: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// By sequence.
    pub(super) cycles: Vec<Cycle>,
    pub(super) setup_fee: Option<Money>,
    /// When the set-up fee cannot be charged: cancel the subscription, or go on.
    pub(super) cancels_without_fee: bool,
    /// 0: failed payments never suspend.
    pub(super) failures_max: u32,
    pub(super) bills_outstanding: bool,
    taxes: Option<Taxes>,
}

const TENURES: [(&str, Tenure); 2] = [("REGULAR", Tenure::Regular), ("TRIAL", Tenure::Trial)];
const INTERVALS: [(&str, Interval); 4] = [
    ("DAY", Interval::Day),
    ("WEEK", Interval::Week),
    ("MONTH", Interval::Month),
    ("YEAR", Interval::Year),
];
const FEE_ACTIONS: [(&str, bool); 2] = [("CANCEL", true), ("CONTINUE", false)];

impl Tenure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Tenure::Regular => "REGULAR",
            Tenure::Trial => "TRIAL",
        }
    }
}

impl Interval {
    fn name(self) -> &'static str {
        match self {
            Interval::Day => "DAY",
            Interval::Week => "WEEK",
            Interval::Month => "MONTH",
            Interval::Year => "YEAR",
        }
    }

    fn count_max(self) -> u32 {
        match self {
            Interval::Day => 365,
            Interval::Week => 52,
            Interval::Month => 12,
            Interval::Year => 1,
        }
    }
}

impl Cycle {
    fn parse(cycle: &Fields<'_>) -> Result<Cycle, PaypalError> {
        let tenure = cycle.choice("tenure_type", &TENURES)?;
        let sequence = cycle.integer("sequence", 1..=99)?;
        let frequency = cycle
            .object("frequency")?
            .ok_or_else(|| cycle.missing("frequency"))?;
        let interval = frequency
            .choice("interval_unit", &INTERVALS)?
            .ok_or_else(|| frequency.missing("interval_unit"))?;
        let every = frequency.integer("interval_count", 1..=365)?.unwrap_or(1);
        if every > interval.count_max() {
            return Err(frequency.wrong("INVALID_PARAMETER_VALUE", "interval_count"));
        }
        let parsed = Cycle {
            sequence: sequence.ok_or_else(|| cycle.missing("sequence"))?,
            tenure: tenure.ok_or_else(|| cycle.missing("tenure_type"))?,
            interval,
            every,
            total: cycle.integer("total_cycles", 0..=999)?.unwrap_or(1),
            price: price(cycle)?,
        };
        match parsed.tenure {
            Tenure::Regular if parsed.price.is_none() => Err(cycle.missing("pricing_scheme")),
            Tenure::Trial if parsed.total == 0 => {
                Err(cycle.wrong("INVALID_TRIAL_BILLING_TOTAL_CYCLES", "total_cycles"))
            }
            Tenure::Regular | Tenure::Trial => Ok(parsed),
        }
    }

    /// The time after `at` by one interval, or `at` where the calendar ends.
    pub(super) fn next(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let next = match self.interval {
            Interval::Day => at.checked_add_days(Days::new(self.every.into())),
            Interval::Week => at.checked_add_days(Days::new(u64::from(self.every) * 7)),
            Interval::Month => at.checked_add_months(Months::new(self.every)),
            Interval::Year => at.checked_add_months(Months::new(self.every.saturating_mul(12))),
        };
        next.unwrap_or(at)
    }

    fn view(&self) -> Value {
        let mut view = json!({
            "tenure_type": self.tenure.name(),
            "sequence": self.sequence,
            "total_cycles": self.total,
            "frequency": { "interval_unit": self.interval.name(), "interval_count": self.every },
        });
        if let (Value::Object(fields), Some(price)) = (&mut view, self.price) {
            let scheme = json!({ "version": 1, "fixed_price": price.view() });
            fields.insert("pricing_scheme".to_owned(), scheme);
        }
        view
    }
}

/// A departure: prices in tiers are not played.
fn price(cycle: &Fields<'_>) -> Result<Option<Money>, PaypalError> {
    let Some(scheme) = cycle.object("pricing_scheme")? else {
        return Ok(None);
    };
    for name in ["pricing_model", "tiers"] {
        if scheme.present(name).is_some() {
            return Err(scheme.wrong("INVALID_PARAMETER_VALUE", name));
        }
    }
    let price = scheme.money_from_zero("fixed_price")?;
    price
        .ok_or_else(|| scheme.missing("fixed_price"))
        .map(|price| Some(price).filter(|price| price.is_positive()))
}

impl Taxes {
    fn parse(taxes: &Fields<'_>) -> Result<Taxes, PaypalError> {
        let text = taxes.required_text("percentage", 1..=32)?;
        let wrong = || taxes.wrong("INVALID_PARAMETER_SYNTAX", "percentage");
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > 4 || whole.len() > 3 {
            return Err(wrong());
        }
        let millionths: i128 = format!("0{whole}{fraction:0<4}")
            .parse()
            .map_err(|_no_number| wrong())?;
        Ok(Taxes {
            millionths,
            inclusive: taxes.flag("inclusive")?.unwrap_or(true),
        })
    }
}

impl Terms {
    /// Of a plan's body.
    pub(super) fn parse(body: &Fields<'_>) -> Result<Terms, PaypalError> {
        let mut cycles = body
            .objects("billing_cycles", 1..=12)?
            .ok_or_else(|| body.missing("billing_cycles"))?
            .iter()
            .map(Cycle::parse)
            .collect::<Result<Vec<_>, _>>()?;
        cycles.sort_by_key(|cycle| cycle.sequence);
        check_cycles(&cycles)?;
        let preferences = body
            .object("payment_preferences")?
            .ok_or_else(|| body.missing("payment_preferences"))?;
        let terms = Terms {
            cycles,
            setup_fee: None,
            cancels_without_fee: true,
            failures_max: 0,
            bills_outstanding: true,
            taxes: body
                .object("taxes")?
                .map(|taxes| Taxes::parse(&taxes))
                .transpose()?,
        };
        let terms = terms.preferring(&preferences)?;
        terms.check_currency(body)?;
        Ok(terms)
    }

    fn preferring(self, preferences: &Fields<'_>) -> Result<Terms, PaypalError> {
        let setup_fee = preferences.money_from_zero("setup_fee")?;
        Ok(Terms {
            setup_fee: setup_fee.or(self.setup_fee).filter(|fee| fee.is_positive()),
            cancels_without_fee: preferences
                .choice("setup_fee_failure_action", &FEE_ACTIONS)?
                .unwrap_or(self.cancels_without_fee),
            failures_max: preferences
                .integer("payment_failure_threshold", 0..=999)?
                .unwrap_or(self.failures_max),
            bills_outstanding: preferences
                .flag("auto_bill_outstanding")?
                .unwrap_or(self.bills_outstanding),
            ..self
        })
    }

    /// With what a subscription overrides; `None` if it overrides nothing.
    pub(super) fn overridden(&self, body: &Fields<'_>) -> Result<Option<Terms>, PaypalError> {
        let Some(plan) = body.object("plan")? else {
            return Ok(None);
        };
        let mut terms = self.clone();
        for cycle in plan.objects("billing_cycles", 1..=12)?.unwrap_or_default() {
            let sequence = cycle
                .integer("sequence", 1..=99)?
                .ok_or_else(|| cycle.missing("sequence"))?;
            let own = terms.cycles.iter_mut().find(|own| own.sequence == sequence);
            let own =
                own.ok_or_else(|| cycle.wrong("INVALID_BILLING_CYCLE_SEQUENCE", "sequence"))?;
            own.total = cycle.integer("total_cycles", 0..=999)?.unwrap_or(own.total);
            if own.tenure == Tenure::Trial && own.total == 0 {
                return Err(cycle.wrong("INVALID_TRIAL_BILLING_TOTAL_CYCLES", "total_cycles"));
            }
            own.price = price(&cycle)?.or(own.price);
        }
        if let Some(preferences) = plan.object("payment_preferences")? {
            terms = terms.preferring(&preferences)?;
        }
        if let Some(taxes) = plan.object("taxes")? {
            terms.taxes = Some(Taxes::parse(&taxes)?);
        }
        terms.check_currency(body)?;
        Ok(Some(terms))
    }

    fn check_currency(&self, body: &Fields<'_>) -> Result<(), PaypalError> {
        let prices = self.cycles.iter().filter_map(|cycle| cycle.price);
        let mut amounts = prices.chain(self.setup_fee);
        match self.currency_sample() {
            Some(sample) if amounts.any(|amount| amount.currency != sample.currency) => {
                Err(body.wrong("CURRENCY_MISMATCH", "billing_cycles"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Some amount in the plan's currency.
    pub(super) fn currency_sample(&self) -> Option<Money> {
        let regular = self
            .cycles
            .iter()
            .filter(|cycle| cycle.tenure == Tenure::Regular);
        regular.filter_map(|cycle| cycle.price).next()
    }

    /// The tax on top of `price`, and the tax that is in it.
    pub(super) fn taxes_of(&self, price: Money) -> (Money, Money) {
        match self.taxes {
            None => (price.zero(), price.zero()),
            Some(taxes) if taxes.inclusive => {
                let whole = taxes.millionths.saturating_add(1_000_000);
                let parts = taxes.millionths.saturating_mul(1_000_000) / whole.max(1);
                (price.zero(), price.millionths(parts))
            }
            Some(taxes) => (price.millionths(taxes.millionths), price.zero()),
        }
    }

    /// The fields of a plan that are its terms.
    pub(super) fn view(&self) -> Value {
        let action = if self.cancels_without_fee {
            "CANCEL"
        } else {
            "CONTINUE"
        };
        let mut preferences = json!({
            "auto_bill_outstanding": self.bills_outstanding,
            "setup_fee_failure_action": action,
            "payment_failure_threshold": self.failures_max,
        });
        if let (Value::Object(fields), Some(fee)) = (&mut preferences, self.setup_fee) {
            fields.insert("setup_fee".to_owned(), fee.view());
        }
        let mut view = json!({
            "billing_cycles": self.cycles.iter().map(Cycle::view).collect::<Vec<_>>(),
            "payment_preferences": preferences,
        });
        if let (Value::Object(fields), Some(taxes)) = (&mut view, self.taxes) {
            let (whole, fraction) = (taxes.millionths / 10_000, taxes.millionths % 10_000);
            let percentage = match fraction {
                0 => whole.to_string(),
                _ => format!("{whole}.{fraction:04}")
                    .trim_end_matches('0')
                    .to_owned(),
            };
            let taxes = json!({ "percentage": percentage, "inclusive": taxes.inclusive });
            fields.insert("taxes".to_owned(), taxes);
        }
        view
    }
}

/// By sequence: at most two trials, at most one of them free, then one regular cycle.
fn check_cycles(cycles: &[Cycle]) -> Result<(), PaypalError> {
    let of = |tenure| cycles.iter().filter(move |cycle| cycle.tenure == tenure);
    let wrong = |issue| Err(PaypalError::issue(issue).at("/billing_cycles"));
    match of(Tenure::Regular).count() {
        0 => return wrong("MISSING_REGULAR_BILLING_CYCLE"),
        1 => {}
        _ => return wrong("MULTIPLE_REGULAR_BILLING_CYCLES_NOT_SUPPORTED"),
    }
    if of(Tenure::Trial).count() > TRIALS_MAX {
        return wrong("MORE_THAN_TWO_TRIAL_BILLING_CYCLE_NOT_SUPPORTED");
    }
    if of(Tenure::Trial)
        .filter(|trial| trial.price.is_none())
        .count()
        > 1
    {
        return wrong("MULTIPLE_FREE_TRIAL_BILLING_CYCLES_NOT_SUPPORTED");
    }
    let are_consecutive = (1..)
        .zip(cycles)
        .all(|(place, cycle)| cycle.sequence == place);
    let ends_regular = cycles
        .last()
        .is_some_and(|cycle| cycle.tenure == Tenure::Regular);
    if !are_consecutive || !ends_regular {
        return wrong("INVALID_BILLING_CYCLE_SEQUENCE");
    }
    Ok(())
}
