//! PayPal's view of a subscription, in our words, and what ends, stops or resumes one.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::{Object, Writer};
use onerouter_plugin::payments::Moment;
use onerouter_plugin::time;
use onerouter_plugin::url::Url;

use crate::bindings::exports::onerouter::payments::subscriptions::Subscription;
use crate::{api, movement, refusal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscriptionStatus {
    ApprovalPending,
    Approved,
    Active,
    Suspended,
    Cancelled,
    Expired,
}

/// PayPal's names, as [Subscriptions v1](https://developer.paypal.com/docs/api/subscriptions/v1/) lists
/// them.
const STATUSES: [(&str, SubscriptionStatus); 6] = [
    ("APPROVAL_PENDING", SubscriptionStatus::ApprovalPending),
    ("APPROVED", SubscriptionStatus::Approved),
    ("ACTIVE", SubscriptionStatus::Active),
    ("SUSPENDED", SubscriptionStatus::Suspended),
    ("CANCELLED", SubscriptionStatus::Cancelled),
    ("EXPIRED", SubscriptionStatus::Expired),
];

/// One that makes sense.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: SubscriptionStatus,
    /// Charges that are still to come, where there is an end.
    pub(crate) remaining: Option<u32>,
    /// How many of the plan.
    pub(crate) quantity: Option<String>,
    /// When it was paid last, where PayPal does not say until when.
    last_paid_at: Option<u64>,
    pub(crate) subscription: Subscription,
}

/// `GET /v1/billing/subscriptions/{id}`
///
/// PayPal says when the next charge is, and nothing of one that is stopped or has ended: until when that
/// is paid follows from its last payment and its plan.
pub(crate) fn get(id: &str) -> Result<Subscription, CallError> {
    let seen = look(id)?;
    let mut subscription = seen.subscription;
    if let Some(last_paid_at) = seen.last_paid_at {
        let answer = api::read(resource(id).query("fields", "plan"))?;
        subscription.current_period_end = answer
            .object()
            .and_then(|object| object.object("plan"))
            .and_then(|plan| paid_until(last_paid_at, &plan));
    }
    Ok(subscription)
}

/// A payment is for one of the plan's regular cycles.
fn paid_until(paid_at: u64, plan: &Object<'_>) -> Option<u64> {
    let cycles = plan.objects("billing_cycles")?;
    let frequency = regular(&cycles)?.object("frequency")?;
    let count = match frequency.number("interval_count") {
        Some(count) => count.parse().ok()?,
        None => 1_u32,
    };
    match frequency.text("interval_unit")?.as_str() {
        "DAY" => time::add_days(paid_at, count),
        "WEEK" => time::add_days(paid_at, count.checked_mul(7)?),
        "MONTH" => time::add_months(paid_at, count),
        "YEAR" => time::add_months(paid_at, count.checked_mul(12)?),
        _ => None,
    }
}

/// The cycle that is no trial; a plan has one.
fn regular<'c, 'a>(cycles: &'c [Object<'a>]) -> Option<&'c Object<'a>> {
    cycles
        .iter()
        .find(|cycle| cycle.text("tenure_type").as_deref() == Some("REGULAR"))
}

pub(crate) fn look(id: &str) -> Result<Seen, CallError> {
    let answer = api::read(resource(id))?;
    Seen::of(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

pub(crate) fn resource(id: &str) -> Url {
    api::url("/v1/billing/subscriptions").segment(id)
}

/// `POST …/cancel`
///
/// Looks first: PayPal refuses this for one that the buyer has not agreed to, which just lapses.
pub(crate) fn cancel(id: &str, moment: Moment) -> Result<Subscription, CallError> {
    only_now(moment, "cancels")?;
    let seen = look(id)?;
    match seen.status {
        SubscriptionStatus::Active | SubscriptionStatus::Suspended => {
            let ended = Subscription {
                status: "canceled".to_owned(),
                failure: None,
                raw: None,
                ..seen.subscription
            };
            act(id, "cancel", "Canceled by the merchant.", ended)
        }
        SubscriptionStatus::Cancelled => get(id),
        SubscriptionStatus::ApprovalPending | SubscriptionStatus::Approved => {
            Err(CallError::Unsupported(
                "PayPal cannot cancel a subscription that has not begun; without the buyer's consent it lapses by itself"
                    .to_owned(),
            ))
        }
        SubscriptionStatus::Expired => Err(CallError::InvalidState(failure(
            "invalid_state",
            "The subscription has ended.",
        ))),
    }
}

/// `POST …/suspend`
pub(crate) fn pause(id: &str, moment: Moment) -> Result<Subscription, CallError> {
    only_now(moment, "pauses")?;
    act(
        id,
        "suspend",
        "Paused by the merchant.",
        unread(id, "paused"),
    )
}

/// `POST …/activate`
pub(crate) fn resume(id: &str) -> Result<Subscription, CallError> {
    act(
        id,
        "activate",
        "Resumed by the merchant.",
        unread(id, "active"),
    )
}

fn only_now(moment: Moment, does: &str) -> Result<(), CallError> {
    match moment {
        Moment::Now => Ok(()),
        Moment::CycleEnd => Err(CallError::Unsupported(
            ["PayPal ", does, " subscriptions at once only"].concat(),
        )),
    }
}

/// PayPal honours no key here: after a lost answer the state tells. A success has no body: what it has
/// come to is read, or known by itself.
fn act(id: &str, act: &str, reason: &str, known: Subscription) -> Result<Subscription, CallError> {
    let mut body = Writer::new();
    body.text("reason", reason);
    let answer = api::write(resource(id).segment(act), None, body.finish())?;
    if !answer.is_success() {
        return Err(refusal::after_change(&answer));
    }
    // It has happened, whether or not it can be read again.
    Ok(get(id).unwrap_or(known))
}

/// A subscription of which only the status is known.
fn unread(id: &str, status: &str) -> Subscription {
    Subscription {
        provider_id: id.to_owned(),
        status: status.to_owned(),
        plan_provider_id: None,
        checkout_url: None,
        current_period_end: None,
        paid_count: None,
        failure: None,
        state: Vec::new(),
        raw: None,
        extra: Vec::new(),
    }
}

impl Seen {
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let object = answer.object()?;
        let status = movement::named(&object, &STATUSES)?;
        let billing = Billing::of(&object);
        let (shown, failure) = shown(status, &billing);
        let id = movement::id(&object)?;
        Some(Self {
            status,
            remaining: billing.remaining,
            quantity: object.text("quantity").filter(|text| !text.is_empty()),
            last_paid_at: match status {
                SubscriptionStatus::ApprovalPending
                | SubscriptionStatus::Approved
                | SubscriptionStatus::Active => None,
                SubscriptionStatus::Suspended
                | SubscriptionStatus::Cancelled
                | SubscriptionStatus::Expired => {
                    billing.last_paid_at.filter(|_| billing.next_at.is_none())
                }
            },
            subscription: Subscription {
                plan_provider_id: object.text("plan_id").filter(|id| movement::is_id(id)),
                checkout_url: match status {
                    SubscriptionStatus::ApprovalPending => api::link(&object, &["approve"]),
                    SubscriptionStatus::Approved
                    | SubscriptionStatus::Active
                    | SubscriptionStatus::Suspended
                    | SubscriptionStatus::Cancelled
                    | SubscriptionStatus::Expired => None,
                },
                current_period_end: billing.next_at,
                paid_count: billing.paid,
                failure,
                raw: answer.raw(),
                ..unread(&id, shown)
            },
        })
    }
}

/// What `billing_info` says; it is absent before the buyer has agreed.
#[derive(Debug, Default)]
struct Billing {
    /// Of the regular cycle: trials may be free.
    paid: Option<u32>,
    remaining: Option<u32>,
    /// The regular cycle has an end and has reached it.
    is_complete: bool,
    has_failed_payments: bool,
    next_at: Option<u64>,
    last_paid_at: Option<u64>,
    /// The first charge has not come yet.
    is_ahead: bool,
}

impl Billing {
    fn of(subscription: &Object<'_>) -> Self {
        let at = |name: &str| {
            let text = subscription.text(name)?;
            time::parse_rfc3339(&text)
        };
        // Without a time of its own it starts when it is made, before the buyer agrees.
        let times = at("start_time").zip(at("status_update_time"));
        let starts_later = times.is_some_and(|(start, agreed)| start > agreed);
        let Some(info) = subscription.object("billing_info") else {
            return Self::default();
        };
        let cycles = info.objects("cycle_executions").unwrap_or_default();
        let regular = regular(&cycles);
        let count = |name: &str| regular.and_then(|cycle| number(cycle, name));
        let (paid, total) = (count("cycles_completed"), count("total_cycles"));
        Self {
            is_ahead: starts_later && paid.unwrap_or(0) == 0,
            paid,
            remaining: total
                .filter(|total| *total > 0)
                .map(|total| total.saturating_sub(paid.unwrap_or(0))),
            // 0 has no end.
            is_complete: total.is_some_and(|total| total > 0) && paid >= total,
            has_failed_payments: number(&info, "failed_payments_count")
                .is_some_and(|failed| failed > 0),
            next_at: info
                .text("next_billing_time")
                .and_then(|text| time::parse_rfc3339(&text)),
            last_paid_at: info
                .object("last_payment")
                .and_then(|payment| time::parse_rfc3339(&payment.text("time")?)),
        }
    }
}

fn number(object: &Object<'_>, name: &str) -> Option<u32> {
    object.number(name)?.parse().ok()
}

fn shown(status: SubscriptionStatus, billing: &Billing) -> (&'static str, Option<Failure>) {
    match status {
        SubscriptionStatus::ApprovalPending => ("created", None),
        // The buyer has agreed; nothing is charged yet.
        SubscriptionStatus::Approved => ("trialing", None),
        // PayPal tries again; the counter begins anew with a charge that succeeds.
        SubscriptionStatus::Active if billing.has_failed_payments => {
            ("past_due", Some(payment_failed()))
        }
        SubscriptionStatus::Active if billing.is_ahead => ("trialing", None),
        SubscriptionStatus::Active => ("active", None),
        // The merchant stopped it, or PayPal did after too many payments that failed: plans made here have
        // no such limit. Either way it goes on when it is resumed.
        SubscriptionStatus::Suspended => {
            ("paused", billing.has_failed_payments.then(payment_failed))
        }
        SubscriptionStatus::Cancelled => ("canceled", None),
        SubscriptionStatus::Expired if billing.is_complete => ("completed", None),
        SubscriptionStatus::Expired => ("expired", None),
    }
}

fn payment_failed() -> Failure {
    failure(
        "instrument_declined",
        "The buyer's payments failed; the balance is outstanding.",
    )
}

#[cfg(test)]
pub(crate) mod tests {

    use super::*;
    use crate::api::tests::answer;

    pub(crate) fn body(status: &str, billing_info: &str) -> String {
        alloc::format!(
            r#"{{"id":"I-BW452GLLEP1G","plan_id":"P-1","status":"{status}","start_time":"2026-01-15T12:00:00Z","billing_info":{billing_info},"links":[{{"href":"https://www.paypal.com/webapps/billing/subscriptions?ba_token=BA-1","rel":"approve"}}]}}"#
        )
    }

    fn billing(completed: u32, total: u32, failed: u32) -> String {
        alloc::format!(
            r#"{{"outstanding_balance":{{"currency_code":"USD","value":"0.0"}},"cycle_executions":[{{"tenure_type":"TRIAL","sequence":1,"cycles_completed":1,"total_cycles":1}},{{"tenure_type":"REGULAR","sequence":2,"cycles_completed":{completed},"cycles_remaining":0,"total_cycles":{total}}}],"next_billing_time":"2026-02-15T12:00:00Z","failed_payments_count":{failed}}}"#
        )
    }

    fn read(status: &str, billing_info: &str) -> Subscription {
        Seen::of(&answer(200, &body(status, billing_info)))
            .unwrap()
            .subscription
    }

    #[test]
    fn one_that_starts_later_is_a_trial_until_its_first_charge() {
        let status = |agreed_at: &str, completed: u32| {
            let body = body("ACTIVE", &billing(completed, 0, 0)).replace(
                r#""plan_id""#,
                &alloc::format!(r#""status_update_time":"{agreed_at}","plan_id""#),
            );
            Seen::of(&answer(200, &body)).unwrap().subscription.status
        };
        assert_eq!(status("2026-01-15T12:00:01Z", 0), "active");
        assert_eq!(status("2026-01-15T11:59:59Z", 0), "trialing");
        assert_eq!(status("2026-01-15T11:59:59Z", 1), "active");
    }

    #[test]
    fn every_status_has_one_of_ours() {
        for (theirs, billing_info, ours) in [
            ("APPROVAL_PENDING", "null".to_owned(), "created"),
            ("APPROVED", "null".to_owned(), "trialing"),
            ("ACTIVE", billing(1, 0, 0), "active"),
            ("ACTIVE", billing(1, 0, 1), "past_due"),
            ("SUSPENDED", billing(1, 0, 0), "paused"),
            ("SUSPENDED", billing(1, 0, 2), "paused"),
            ("SUSPENDED", "null".to_owned(), "paused"),
            ("CANCELLED", billing(1, 0, 0), "canceled"),
            ("EXPIRED", billing(12, 12, 0), "completed"),
            ("EXPIRED", billing(3, 12, 0), "expired"),
            ("EXPIRED", billing(3, 0, 0), "expired"),
            ("EXPIRED", "null".to_owned(), "expired"),
        ] {
            let subscription = read(theirs, &billing_info);
            assert_eq!(subscription.status, ours, "{theirs} {billing_info}");
            let has_failed = billing_info.contains(r#""failed_payments_count":1"#)
                || billing_info.contains(r#""failed_payments_count":2"#);
            assert_eq!(subscription.failure.is_some(), has_failed, "{theirs}");
            assert_eq!(subscription.checkout_url.is_some(), ours == "created");
        }
        assert!(Seen::of(&answer(200, &body("TELEPORTED", "null"))).is_none());
    }

    #[test]
    fn cycles_and_times_are_read_where_they_are_there() {
        let subscription = read("ACTIVE", &billing(3, 0, 0));
        assert_eq!(subscription.provider_id, "I-BW452GLLEP1G");
        assert_eq!(subscription.plan_provider_id.as_deref(), Some("P-1"));
        assert_eq!(subscription.paid_count, Some(3));
        // 2026-02-15T12:00:00Z.
        assert_eq!(subscription.current_period_end, Some(1_771_156_800_000));
        let odd = read(
            "ACTIVE",
            r#"{"cycle_executions":7,"next_billing_time":"soon"}"#,
        );
        assert_eq!((odd.paid_count, odd.current_period_end), (None, None));
    }

    #[test]
    fn what_is_still_to_come_is_known_where_there_is_an_end() {
        let remaining = |completed, total| {
            let seen = Seen::of(&answer(200, &body("ACTIVE", &billing(completed, total, 0))));
            seen.unwrap().remaining
        };
        assert_eq!(remaining(3, 12), Some(9));
        assert_eq!(remaining(0, 12), Some(12));
        assert_eq!(remaining(3, 0), None);
    }

    #[test]
    fn what_is_paid_follows_from_the_last_payment_and_the_plan() {
        let until = |frequency: &str| {
            let plan = alloc::format!(
                r#"{{"billing_cycles":[{{"tenure_type":"TRIAL","frequency":{{"interval_unit":"DAY"}}}},{{"tenure_type":"REGULAR","frequency":{frequency}}}]}}"#
            );
            let paid_at = time::parse_rfc3339("2026-01-31T12:00:00Z")?;
            paid_until(paid_at, &Object::parse(&plan)?).map(time::format_rfc3339)
        };
        for (frequency, expected) in [
            (
                r#"{"interval_unit":"DAY","interval_count":10}"#,
                Some("2026-02-10T12:00:00Z"),
            ),
            (
                r#"{"interval_unit":"WEEK","interval_count":2}"#,
                Some("2026-02-14T12:00:00Z"),
            ),
            (r#"{"interval_unit":"MONTH"}"#, Some("2026-02-28T12:00:00Z")),
            (
                r#"{"interval_unit":"YEAR","interval_count":1}"#,
                Some("2027-01-31T12:00:00Z"),
            ),
            (r#"{"interval_unit":"AEON"}"#, None),
            (r#"{"interval_unit":"DAY","interval_count":-1}"#, None),
        ] {
            assert_eq!(until(frequency).as_deref(), expected, "{frequency}");
        }
    }

    #[test]
    fn the_last_payment_counts_where_there_is_no_next() {
        let last_paid = |status: &str, more: &str| {
            let info =
                alloc::format!(r#"{{"last_payment":{{"time":"2026-01-15T12:00:00Z"}}{more}}}"#);
            let seen = Seen::of(&answer(200, &body(status, &info))).unwrap();
            seen.last_paid_at
        };
        // 2026-01-15T12:00:00Z.
        let paid_at = Some(1_768_478_400_000);
        for ended in ["SUSPENDED", "CANCELLED", "EXPIRED"] {
            assert_eq!(last_paid(ended, ""), paid_at, "{ended}");
        }
        assert_eq!(last_paid("ACTIVE", ""), None);
        let next = r#","next_billing_time":"2026-02-15T12:00:00Z""#;
        assert_eq!(last_paid("CANCELLED", next), None);
    }

    #[test]
    fn paypal_acts_at_once_or_not_at_all() {
        assert!(only_now(Moment::Now, "cancels").is_ok());
        for refused in [
            cancel("I-1", Moment::CycleEnd),
            pause("I-1", Moment::CycleEnd),
        ] {
            assert!(matches!(refused, Err(CallError::Unsupported(_))));
        }
    }
}
