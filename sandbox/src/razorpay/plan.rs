//! Plans: what a subscription costs, and how often. They are never changed.

use chrono::{DateTime, Days, Months, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    State,
    books::{Books, Cause},
    error::{RazorpayError, Shape},
    fields::Fields,
    id, list,
    list::Listing,
    money,
    news::News,
    notes::Notes,
};
use crate::{call::Call, reply::Reply};

const SHAPE: Shape = Shape::Bare;
const TEXT_CHARACTERS_MAX: usize = 512;
const DAILY_INTERVAL_MIN: i64 = 7;
/// A longer cycle does not fit into the 100 years that a subscription may last.
const INTERVAL_MAX: i64 = 36_500;

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) period: Period,
    pub(super) interval: i64,
    item_id: String,
    pub(super) name: String,
    description: Option<String>,
    pub(super) amount: i64,
    pub(super) currency: String,
    notes: Notes,
    created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Period {
    Daily,
    Weekly,
    Monthly,
    Quarterly,
    Yearly,
}

impl Period {
    const NAMES: [&'static str; 5] = ["daily", "weekly", "monthly", "quarterly", "yearly"];

    fn of(name: &str) -> Period {
        match name {
            "daily" => Period::Daily,
            "weekly" => Period::Weekly,
            "quarterly" => Period::Quarterly,
            "yearly" => Period::Yearly,
            _ => Period::Monthly,
        }
    }
}

impl Plan {
    /// When `cycles` cycles that begin at `from` are over; `None` beyond the calendar.
    pub(super) fn after(&self, from: DateTime<Utc>, cycles: i64) -> Option<DateTime<Utc>> {
        let count = self.interval.checked_mul(cycles)?;
        let months = |each: i64| {
            let months = u32::try_from(count.checked_mul(each)?).ok()?;
            from.checked_add_months(Months::new(months))
        };
        let days = |each: i64| {
            let days = u64::try_from(count.checked_mul(each)?).ok()?;
            from.checked_add_days(Days::new(days))
        };
        match self.period {
            Period::Daily => days(1),
            Period::Weekly => days(7),
            Period::Monthly => months(1),
            Period::Quarterly => months(3),
            Period::Yearly => months(12),
        }
    }

    pub(super) fn is_as_often_as(&self, other: &Plan) -> bool {
        (self.period, self.interval) == (other.period, other.interval)
    }

    fn view(&self) -> Value {
        let created_at = self.created_at.timestamp();
        json!({
            "id": self.id,
            "entity": "plan",
            "interval": self.interval,
            "period": self.period,
            "item": {
                "id": self.item_id,
                "active": true,
                "name": self.name,
                "description": self.description,
                "amount": self.amount,
                "unit_amount": self.amount,
                "currency": self.currency,
                "type": "plan",
                "unit": null,
                "tax_inclusive": false,
                "hsn_code": null,
                "sac_code": null,
                "tax_rate": null,
                "tax_id": null,
                "tax_group_id": null,
                "created_at": created_at,
                "updated_at": created_at,
            },
            "notes": self.notes.view(),
            "created_at": created_at,
        })
    }
}

/// `POST /plans`
pub(super) fn create(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    let cause = Cause::request(&state.core, call);
    let plan = parse(&fields, cause.at)?;
    let reply = Reply::json(StatusCode::OK, &plan.view());
    let mut books = state.books();
    let id = plan.id.clone();
    books.plans.push(id.clone(), plan);
    books.announce(&cause, News::PlanCreated, &id);
    Ok(reply)
}

fn parse(fields: &Fields<'_>, now: DateTime<Utc>) -> Result<Plan, RazorpayError> {
    fields.only(&["period", "interval", "item", "notes"])?;
    let period = fields
        .one_of("period", &Period::NAMES)?
        .ok_or_else(|| fields.missing("period"))?;
    let period = Period::of(period);
    let least = match period {
        Period::Daily => DAILY_INTERVAL_MIN,
        Period::Weekly | Period::Monthly | Period::Quarterly | Period::Yearly => 1,
    };
    let interval = fields.count("interval", least)?;
    if interval > INTERVAL_MAX {
        let text = format!("The interval may not be greater than {INTERVAL_MAX}.");
        return Err(fields.wrong("interval", text));
    }
    let item = fields
        .object("item")?
        .ok_or_else(|| fields.missing("item"))?;
    item.only(&["name", "amount", "currency", "description"])?;
    let currency = money::currency(&item)?;
    Ok(Plan {
        id: id::random("plan"),
        period,
        interval,
        item_id: id::random("item"),
        name: item.required_text("name", TEXT_CHARACTERS_MAX)?,
        description: item.text("description", TEXT_CHARACTERS_MAX)?,
        amount: money::amount(&item, "amount", &currency)?,
        currency,
        notes: fields.notes()?.unwrap_or_default(),
        created_at: now,
    })
}

/// `GET /plans/{id}`
pub(super) fn fetch(state: &State, id: &str) -> Result<Reply, RazorpayError> {
    Ok(Reply::json(StatusCode::OK, &state.books().plan(id)?.view()))
}

/// `GET /plans`
pub(super) fn list(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let listing = Listing::of(call, SHAPE, &[])?;
    let books = state.books();
    let newest_first = books.plans.iter().rev().map(|(_, plan)| plan);
    let found = newest_first.filter(|plan| listing.covers(plan.created_at));
    Ok(list::reply(listing.page(found).map(Plan::view)))
}

impl Books {
    pub(super) fn plan(&self, id: &str) -> Result<&Plan, RazorpayError> {
        id::check(SHAPE, "plan", id)?;
        self.plans
            .find(id)
            .ok_or_else(|| RazorpayError::not_found(SHAPE))
    }
}
