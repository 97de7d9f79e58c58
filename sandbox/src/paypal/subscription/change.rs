//! `POST /v1/billing/subscriptions/{id}/suspend`, `…/activate`, `…/cancel`, and reading one.

use super::{
    super::{
        books::Books,
        desk::Desk,
        error::PaypalError,
        fields::{self, Dialect, Fields},
        happened::Happened,
        list::Query,
        outcome::Outcome,
    },
    SubscriptionStatus,
};
use crate::call::Call;

const REASON: std::ops::RangeInclusive<usize> = 1..=128;

pub(in super::super) fn get(
    books: &Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let query = Query::of(call);
    let fields: Vec<&str> = query
        .get("fields")
        .map(|fields| fields.split(',').map(str::trim).collect())
        .unwrap_or_default();
    let subscription = books.subscription(id)?;
    Ok(Outcome::Shown(subscription.view(&desk.base(), &fields)))
}

pub(in super::super) fn suspend(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let reason = required_reason(call)?;
    let subscription = books.subscription_mut(id)?;
    if subscription.status != SubscriptionStatus::Active {
        return Err(PaypalError::issue("SUBSCRIPTION_STATUS_INVALID"));
    }
    subscription.set_status(SubscriptionStatus::Suspended, Some(&reason), desk.now);
    subscription.tell(desk, Happened::SubscriptionSuspended, desk.now);
    Ok(Outcome::Done)
}

pub(in super::super) fn activate(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let reason = reason(call)?;
    let subscription = books.subscription_mut(id)?;
    match subscription.status {
        SubscriptionStatus::Suspended if subscription.is_halted() => {
            return Err(PaypalError::issue("SUBSCRIPTION_CANNOT_BE_ACTIVATED"));
        }
        SubscriptionStatus::Suspended => {
            let reason = reason.as_deref();
            subscription.set_status(SubscriptionStatus::Active, reason, desk.now);
            subscription.skip_to(desk.now);
            subscription.tell(desk, Happened::SubscriptionActivated, desk.now);
        }
        // Approved with the choice "continue": its start was left to the merchant.
        SubscriptionStatus::Approved => {
            subscription.start(desk, Happened::SubscriptionActivated, None);
        }
        SubscriptionStatus::ApprovalPending
        | SubscriptionStatus::Active
        | SubscriptionStatus::Cancelled
        | SubscriptionStatus::Expired => {
            return Err(PaypalError::issue("SUBSCRIPTION_STATUS_INVALID"));
        }
    }
    books.schedule(id);
    Ok(Outcome::Done)
}

pub(in super::super) fn cancel(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let reason = required_reason(call)?;
    let subscription = books.subscription_mut(id)?;
    match subscription.status {
        SubscriptionStatus::Active | SubscriptionStatus::Suspended => {}
        SubscriptionStatus::ApprovalPending
        | SubscriptionStatus::Approved
        | SubscriptionStatus::Cancelled
        | SubscriptionStatus::Expired => {
            return Err(PaypalError::issue("SUBSCRIPTION_STATUS_INVALID"));
        }
    }
    subscription.set_status(SubscriptionStatus::Cancelled, Some(&reason), desk.now);
    subscription.revision = None;
    subscription.tell(desk, Happened::SubscriptionCancelled, desk.now);
    Ok(Outcome::Done)
}

fn reason(call: &Call) -> Result<Option<String>, PaypalError> {
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Billing)?;
    Ok(body.text("reason", REASON)?.map(str::to_owned))
}

fn required_reason(call: &Call) -> Result<String, PaypalError> {
    let missing = || PaypalError::issue("MISSING_REQUIRED_PARAMETER").at("/reason");
    reason(call)?.ok_or_else(missing)
}
