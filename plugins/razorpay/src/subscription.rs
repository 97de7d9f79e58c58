//! Razorpay's view of a subscription, in our words, and what ends, stops, resumes or changes one.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::{Object, Writer};
use onerouter_plugin::payments::Moment;
use onerouter_plugin::url::Url;

use crate::bindings::exports::onerouter::payments::subscriptions::Subscription;
use crate::{api, refusal};

/// Razorpay's names, as <https://razorpay.com/docs/payments/subscriptions/states/> lists them, and ours.
const STATUSES: [(&str, &str); 9] = [
    ("created", "created"),
    // The mandate is given, the first charge lies ahead.
    ("authenticated", "trialing"),
    ("active", "active"),
    // A charge failed and is tried again.
    ("pending", "past_due"),
    // No more tries.
    ("halted", "past_due"),
    ("paused", "paused"),
    ("cancelled", "canceled"),
    ("completed", "completed"),
    ("expired", "expired"),
];

/// `GET /v1/subscriptions/{id}`
pub(crate) fn get(id: &str) -> Result<Subscription, CallError> {
    let answer = api::read(resource(id))?;
    of_answer(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// `POST …/cancel`
pub(crate) fn cancel(id: &str, moment: Moment) -> Result<Subscription, CallError> {
    let mut body = Writer::new();
    let at_cycle_end = match moment {
        Moment::Now => "false",
        Moment::CycleEnd => "true",
    };
    body.raw("cancel_at_cycle_end", at_cycle_end);
    changed(&api::write(resource(id).segment("cancel"), body.finish())?)
}

/// `POST …/pause`
///
/// Looks first: pausing one whose first charge lies ahead would end it for good.
pub(crate) fn pause(id: &str, moment: Moment) -> Result<Subscription, CallError> {
    let seen = get(id)?;
    match (seen.status.as_str(), moment) {
        ("active", Moment::Now) => {}
        ("active", Moment::CycleEnd) => {
            return Err(CallError::Unsupported(
                "Razorpay pauses subscriptions at once only".to_owned(),
            ));
        }
        ("paused", _) => return Ok(seen),
        _ => {
            return Err(CallError::InvalidState(failure(
                "invalid_state",
                "Razorpay pauses a subscription only while it is active.",
            )));
        }
    }
    let mut body = Writer::new();
    body.text("pause_at", "now");
    changed(&api::write(resource(id).segment("pause"), body.finish())?)
}

/// `POST …/resume`
pub(crate) fn resume(id: &str) -> Result<Subscription, CallError> {
    let mut body = Writer::new();
    body.text("resume_at", "now");
    changed(&api::write(resource(id).segment("resume"), body.finish())?)
}

/// `PATCH /v1/subscriptions/{id}`
pub(crate) fn change_plan(
    id: &str,
    plan: &str,
    moment: Option<Moment>,
) -> Result<Subscription, CallError> {
    let at_once = moment != Some(Moment::CycleEnd);
    let mut body = Writer::new();
    body.text("plan_id", plan).text(
        "schedule_change_at",
        if at_once { "now" } else { "cycle_end" },
    );
    let seen = changed(&api::update(resource(id), body.finish())?)?;
    if at_once
        && seen
            .plan_provider_id
            .as_deref()
            .is_some_and(|now| now != plan)
    {
        // The difference is charged at once, and without it nothing changes.
        return Err(CallError::Declined(failure(
            "instrument_declined",
            "Razorpay has not changed the plan: the charge for the difference failed.",
        )));
    }
    Ok(seen)
}

fn resource(id: &str) -> Url {
    api::url("subscriptions").segment(id)
}

fn changed(answer: &Answer) -> Result<Subscription, CallError> {
    if !answer.is_success() {
        return Err(refusal::after_change(answer));
    }
    of_answer(answer).ok_or_else(|| failure::unreadable_after_write(answer.status))
}

fn of_answer(answer: &Answer) -> Option<Subscription> {
    read(&answer.object()?, answer.raw())
}

pub(crate) fn read(object: &Object<'_>, raw: Option<String>) -> Option<Subscription> {
    let status = api::named(object, "status", &STATUSES)?;
    with_status(status, object, raw)
}

/// As [`read`] of a subscription whose id must not be lost, whatever its status is called.
pub(crate) fn made(object: &Object<'_>, raw: Option<String>) -> Option<Subscription> {
    object.text("status")?;
    let status = api::named(object, "status", &STATUSES);
    with_status(status.unwrap_or("created"), object, raw)
}

fn with_status(status: &str, object: &Object<'_>, raw: Option<String>) -> Option<Subscription> {
    let waits_for_buyer = matches!(status, "created" | "past_due");
    Some(Subscription {
        provider_id: api::id(object)?,
        status: status.to_owned(),
        plan_provider_id: api::id_in(object, "plan_id"),
        checkout_url: api::address(object, "short_url").filter(|_| waits_for_buyer),
        // Before the first cycle, its beginning.
        current_period_end: api::time(object, "current_end")
            .or_else(|| api::time(object, "charge_at")),
        paid_count: api::count(object, "paid_count").and_then(|count| u32::try_from(count).ok()),
        failure: (status == "past_due").then(charge_failed),
        state: Vec::new(),
        raw,
        extra: Vec::new(),
    })
}

fn charge_failed() -> Failure {
    failure(
        "instrument_declined",
        "A charge failed; the buyer can give other means of payment on the subscription's page.",
    )
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::api::tests::answer;

    fn with(status: &str, current_end: &str) -> Option<Subscription> {
        let body = format!(
            r#"{{"id":"sub_2","entity":"subscription","plan_id":"plan_2","status":"{status}","current_end":{current_end},"charge_at":1700003600,"paid_count":3,"short_url":"https://rzp.io/i/z3b1R61A9","notes":[]}}"#
        );
        of_answer(&answer(200, &body))
    }

    #[test]
    fn every_status_has_one_of_ours() {
        for (theirs, ours) in STATUSES {
            let subscription = with(theirs, "1700000000").unwrap();
            assert_eq!(subscription.status, ours);
            assert_eq!(subscription.failure.is_some(), ours == "past_due");
            let has_page = matches!(ours, "created" | "past_due");
            assert_eq!(subscription.checkout_url.is_some(), has_page, "{theirs}");
            assert_eq!(subscription.current_period_end, Some(1_700_000_000_000));
            assert_eq!(
                (
                    subscription.paid_count,
                    subscription.plan_provider_id.as_deref()
                ),
                (Some(3), Some("plan_2"))
            );
        }
        assert!(with("teleported", "null").is_none());
        let made = |status: &str| {
            let body = format!(r#"{{"id":"sub_2"{status}}}"#);
            made(&Object::parse(&body).unwrap(), None).map(|made| made.status)
        };
        let known = made(r#","status":"active""#);
        let unlisted = made(r#","status":"teleported""#);
        assert_eq!(known.as_deref(), Some("active"));
        assert_eq!(unlisted.as_deref(), Some("created"));
        assert_eq!(made(""), None);
        assert_eq!(
            with("authenticated", "null").unwrap().current_period_end,
            Some(1_700_003_600_000)
        );
    }
}
