//! Plans. Razorpay never changes or deletes one.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::failure::{self, field_error};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::{Object, Writer};
use onerouter_plugin::payments::{Reference, Window};

use crate::bindings::exports::onerouter::payments::plans::{CreateRequest, Interval, Plan};
use crate::{api, money, notes, refusal, search};

/// Names in `state`.
const PERIOD: &str = "period";
const INTERVAL: &str = "interval";

const NAME_MAX: usize = 255;
const DESCRIPTION_MAX: usize = 255;
/// Razorpay charges daily plans once a week at most.
const DAYS_MIN: u32 = 7;

/// Razorpay's periods, and how many of them a subscription may last: a hundred years.
const PERIODS: [(&str, u32); 5] = [
    ("daily", 36_500),
    ("weekly", 5_200),
    ("monthly", 1_200),
    ("quarterly", 400),
    ("yearly", 100),
];

/// `POST /v1/plans`
///
/// Razorpay knows no key here; a lost plan is found again by its notes.
pub(crate) fn create(request: &CreateRequest) -> Result<Plan, CallError> {
    let body = body(request).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let answer = api::write(api::url("plans"), body)?;
    if !answer.is_success() {
        return Err(refusal::after_create(&answer));
    }
    of_answer(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// `GET /v1/plans/{id}`
pub(crate) fn get(id: &str) -> Result<Plan, CallError> {
    let answer = api::read(api::url("plans").segment(id))?;
    of_answer(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// `GET /v1/plans`
pub(crate) fn find(request: &CreateRequest, window: &Window) -> Result<Vec<Plan>, CallError> {
    search::by_notes(&api::url("plans"), window, &request.object_id, |plan| {
        read(plan, None)
    })
}

/// The most charges that a subscription to this plan may have. Reads a plan that was not made here.
pub(crate) fn charges_max(plan: &Reference) -> Result<u32, CallError> {
    if let Some(most) = charges_of(&plan.state) {
        return Ok(most);
    }
    let read = get(&plan.provider_id)?;
    charges_of(&read.state).ok_or_else(|| failure::unreadable_after_read(200))
}

fn charges_of(state: &[(String, String)]) -> Option<u32> {
    let of = |name: &str| {
        let mut pairs = state.iter();
        pairs.find(|(known, _)| known == name)
    };
    let (_, period) = of(PERIOD)?;
    let interval: u32 = of(INTERVAL)?.1.parse().ok()?;
    let (_, most) = PERIODS.iter().find(|(name, _)| name == period)?;
    most.checked_div(interval).map(|count| count.max(1))
}

fn body(request: &CreateRequest) -> Result<String, FieldError> {
    if request.interval == Interval::Day && request.interval_count < DAYS_MIN {
        return Err(field_error(
            "/interval_count",
            "out_of_range",
            "Razorpay charges every 7 days or more; take 7 days, or a week.",
        ));
    }
    let units = money::payable(&request.amount)?;
    let mut body = Writer::new();
    body.text("period", period(request.interval))
        .raw("interval", &request.interval_count.to_string())
        .object("item", |item| {
            item.text("name", &api::cut(&request.name, NAME_MAX))
                .raw("amount", &units)
                .text("currency", &request.amount.currency);
            if let Some(description) = &request.description {
                item.text("description", &api::cut(description, DESCRIPTION_MAX));
            }
        });
    notes::write(&mut body, &request.object_id, None, &request.metadata);
    Ok(body.finish())
}

fn period(interval: Interval) -> &'static str {
    match interval {
        Interval::Day => "daily",
        Interval::Week => "weekly",
        Interval::Month => "monthly",
        Interval::Year => "yearly",
    }
}

fn of_answer(answer: &Answer) -> Option<Plan> {
    read(&answer.object()?, answer.raw())
}

fn read(plan: &Object<'_>, raw: Option<String>) -> Option<Plan> {
    let state = [
        (PERIOD, plan.text("period")),
        (INTERVAL, plan.number("interval").map(str::to_owned)),
    ];
    Some(Plan {
        provider_id: api::id(plan)?,
        // There is no other state.
        status: "active".to_owned(),
        failure: None,
        state: state
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        raw,
        extra: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::answer;
    use crate::money::tests::money;
    use crate::payment::tests::{attempt, reference};

    fn request(interval: Interval, interval_count: u32) -> CreateRequest {
        CreateRequest {
            object_id: "plan_1".into(),
            attempt: attempt(),
            name: "Chairs".into(),
            amount: money(1_000, "INR"),
            interval,
            interval_count,
            description: Some("Blue ones".into()),
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_plan_is_an_item_and_a_period() {
        assert_eq!(
            body(&request(Interval::Month, 3)).unwrap(),
            r#"{"period":"monthly","interval":3,"item":{"name":"Chairs","amount":1000,"currency":"INR","description":"Blue ones"},"notes":{"onerouter_id":"plan_1"}}"#
        );
        for (interval, count, name) in [
            (Interval::Day, 7, "daily"),
            (Interval::Week, 1, "weekly"),
            (Interval::Year, 1, "yearly"),
        ] {
            assert!(body(&request(interval, count)).unwrap().contains(name));
        }
    }

    #[test]
    fn what_razorpay_does_not_charge_is_refused() {
        for count in 1..7 {
            let error = body(&request(Interval::Day, count)).unwrap_err();
            assert_eq!(error.pointer, "/interval_count");
        }
        let cheap = CreateRequest {
            amount: money(99, "INR"),
            ..request(Interval::Week, 1)
        };
        assert_eq!(body(&cheap).unwrap_err().pointer, "/amount");
    }

    #[test]
    fn a_plan_is_active_and_remembers_its_period() {
        let body = r#"{"id":"plan_2","entity":"plan","interval":2,"period":"weekly","item":{"id":"item_1"},"notes":[]}"#;
        let plan = of_answer(&answer(200, body)).unwrap();
        assert_eq!(
            (plan.provider_id.as_str(), plan.status.as_str()),
            ("plan_2", "active")
        );
        assert_eq!(charges_of(&plan.state), Some(2_600));
        assert!(of_answer(&answer(200, r#"{"period":"weekly"}"#)).is_none());
    }

    #[test]
    fn a_subscription_lasts_a_hundred_years_at_most() {
        let most = |period: &str, interval: &str| {
            charges_of(&[
                (PERIOD.into(), period.into()),
                (INTERVAL.into(), interval.into()),
            ])
        };
        assert_eq!(most("monthly", "1"), Some(1_200));
        assert_eq!(most("yearly", "365"), Some(1));
        for (period, interval) in [("hourly", "1"), ("monthly", "0"), ("monthly", "x")] {
            assert_eq!(most(period, interval), None);
        }
        let known = Reference {
            state: alloc::vec![
                (PERIOD.into(), "daily".into()),
                (INTERVAL.into(), "7".into())
            ],
            ..reference(None)
        };
        assert_eq!(charges_max(&known).unwrap(), 5_214);
    }
}
