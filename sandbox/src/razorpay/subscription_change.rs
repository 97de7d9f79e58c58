//! Cancelling, pausing, resuming and updating subscriptions.

use chrono::{DateTime, Utc};
use http::StatusCode;

use super::{
    State,
    books::{Books, Cause},
    error::RazorpayError,
    fields::Fields,
    news::News,
    payment::Method,
    subscription::{
        Change, Cycle, SHAPE, Subscription, SubscriptionStatus, check_length, check_offer,
        parse_future,
    },
};
use crate::{call::Call, reply::Reply};

const WORD_CHARACTERS_MAX: usize = 255;
/// `POST /subscriptions/{id}/cancel`
pub(super) fn cancel(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    fields.only(&["cancel_at_cycle_end"])?;
    let at_cycle_end = fields.flag("cancel_at_cycle_end")?.unwrap_or(false);
    let cause = Cause::request(&state.core, call);
    let mut books = state.books();
    let status = books.subscription(id)?.status;
    match status {
        SubscriptionStatus::Cancelled
        | SubscriptionStatus::Completed
        | SubscriptionStatus::Expired => {
            let text = format!(
                "Subscription is not cancellable in {} status.",
                status.name()
            );
            return Err(fields.wrong("status", text));
        }
        SubscriptionStatus::Created
        | SubscriptionStatus::Authenticated
        | SubscriptionStatus::Active
        | SubscriptionStatus::Pending
        | SubscriptionStatus::Halted
        | SubscriptionStatus::Paused => {}
    }
    if !at_cycle_end {
        let news = News::SubscriptionCancelled;
        books.end(&cause, id, SubscriptionStatus::Cancelled, news);
    } else if status == SubscriptionStatus::Active {
        if let Some(subscription) = books.subscriptions.find_mut(id) {
            subscription.cancels_at_cycle_end = true;
        }
        books.announce(&cause, News::CancelScheduled, id);
    } else {
        return Err(RazorpayError::bad(
            SHAPE,
            "Subscription cannot be cancelled at cycle end since no billing cycle is going on",
        ));
    }
    answer(&books, id)
}

/// `POST /subscriptions/{id}/pause`
pub(super) fn pause(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    now_only(call, "pause_at")?;
    let cause = Cause::request(&state.core, call);
    let mut books = state.books();
    match books.subscription(id)?.status {
        SubscriptionStatus::Active => {}
        SubscriptionStatus::Authenticated => {
            // As documented: there is nothing to pause yet, and the mandate is lost.
            let news = News::SubscriptionCancelled;
            books.end(&cause, id, SubscriptionStatus::Cancelled, news);
            return answer(&books, id);
        }
        SubscriptionStatus::Created
        | SubscriptionStatus::Pending
        | SubscriptionStatus::Halted
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Cancelled
        | SubscriptionStatus::Completed
        | SubscriptionStatus::Expired => {
            return Err(RazorpayError::bad(
                SHAPE,
                "Subscription can be paused in active state only",
            ));
        }
    }
    if let Some(subscription) = books.subscriptions.find_mut(id) {
        subscription.status = SubscriptionStatus::Paused;
        subscription.paused_at = Some(cause.at);
        subscription.charge_at = None;
    }
    books.announce(&cause, News::SubscriptionPaused, id);
    answer(&books, id)
}

/// `POST /subscriptions/{id}/resume`: the next charge is that of the next cycle; cycles that went by
/// are not made up for.
pub(super) fn resume(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    now_only(call, "resume_at")?;
    let cause = Cause::request(&state.core, call);
    let mut books = state.books();
    if books.subscription(id)?.status != SubscriptionStatus::Paused {
        return Err(RazorpayError::bad(
            SHAPE,
            "Subscription can be resumed in paused state only",
        ));
    }
    if let Some(subscription) = books.subscriptions.find_mut(id) {
        subscription.status = SubscriptionStatus::Active;
        let cycle = subscription.cycle_at(cause.at);
        subscription.cycle = cycle;
        subscription.charge_at = cycle.map(|cycle| cycle.end);
        let ahead = subscription
            .total_count
            .saturating_sub(subscription.billed_count);
        subscription.end_at = cycle.and_then(|cycle| subscription.plan.after(cycle.start, ahead));
    }
    books.announce(&cause, News::SubscriptionResumed, id);
    books.reschedule(id);
    answer(&books, id)
}

/// The only documented time for pausing and resuming.
fn now_only(call: &Call, name: &'static str) -> Result<(), RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    fields.only(&[name])?;
    fields.one_of(name, &["now"])?;
    Ok(())
}

/// `PATCH /subscriptions/{id}`
pub(super) fn update(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    let cause = Cause::request(&state.core, call);
    let mut books = state.books();
    let subscription = books.subscription(id)?;
    check_updatable(subscription)?;
    let change = parse_change(&fields, &books, subscription, cause.at)?;
    let notify = fields.flag("customer_notify")?;
    let start_at = parse_start(&fields, subscription, cause.at)?;
    let waits = fields.one_of("schedule_change_at", &["now", "cycle_end"])? == Some("cycle_end");
    if waits {
        if let Some(subscription) = books.subscriptions.find_mut(id) {
            subscription.change = Some(change);
        }
    } else {
        books.change_now(&cause, id, change)?;
    }
    if let Some(subscription) = books.subscriptions.find_mut(id) {
        subscription.customer_notify = notify.unwrap_or(subscription.customer_notify);
        if start_at.is_some() {
            subscription.start_at = start_at;
            subscription.charge_at = start_at;
        }
    }
    books.reschedule(id);
    let news = if waits {
        News::ChangeScheduled
    } else {
        News::SubscriptionUpdated
    };
    books.announce(&cause, news, id);
    answer(&books, id)
}

fn check_updatable(subscription: &Subscription) -> Result<(), RazorpayError> {
    match subscription.status {
        SubscriptionStatus::Authenticated | SubscriptionStatus::Active => {}
        SubscriptionStatus::Created
        | SubscriptionStatus::Pending
        | SubscriptionStatus::Halted
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Cancelled
        | SubscriptionStatus::Completed
        | SubscriptionStatus::Expired => {
            return Err(RazorpayError::bad(
                SHAPE,
                "Can't update Subscription when Subscription is not in Authenticated or Active state",
            ));
        }
    }
    if subscription.method == Some(Method::Upi) {
        return Err(RazorpayError::bad(
            SHAPE,
            "subscriptions cannot be updated when payment mode is UPI",
        ));
    }
    Ok(())
}

fn parse_change(
    fields: &Fields<'_>,
    books: &Books,
    subscription: &Subscription,
    now: DateTime<Utc>,
) -> Result<Change, RazorpayError> {
    fields.only(&[
        "plan_id",
        "offer_id",
        "quantity",
        "remaining_count",
        "start_at",
        "schedule_change_at",
        "customer_notify",
    ])?;
    if fields.is_empty() {
        return Err(RazorpayError::bad(
            SHAPE,
            "At least one field is required to update a subscription",
        ));
    }
    check_offer(fields)?;
    let plan = match fields.text("plan_id", WORD_CHARACTERS_MAX)? {
        None => subscription.plan.clone(),
        Some(plan_id) => books.plan(&plan_id)?.clone(),
    };
    if plan.currency != subscription.plan.currency {
        return Err(fields.wrong(
            "plan_id",
            "The currency of the new plan must be that of the subscription",
        ));
    }
    let remaining = fields.optional_count("remaining_count", 1)?;
    if let Some(remaining) = remaining {
        check_length(fields, &plan, remaining, now)?;
    }
    let total_count = remaining.map_or(subscription.total_count, |remaining| {
        subscription.billed_count.saturating_add(remaining)
    });
    Ok(Change {
        plan,
        quantity: fields
            .optional_count("quantity", 1)?
            .unwrap_or(subscription.quantity),
        total_count,
        due_at: subscription.charge_at,
    })
}

/// Only what has not started can start at another time.
fn parse_start(
    fields: &Fields<'_>,
    subscription: &Subscription,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, RazorpayError> {
    let start_at = parse_future(fields, "start_at", now)?;
    if start_at.is_some() && subscription.status != SubscriptionStatus::Authenticated {
        return Err(fields.wrong(
            "start_at",
            "start_at can be updated in authenticated state only",
        ));
    }
    Ok(start_at)
}

/// `GET /subscriptions/{id}/retrieve_scheduled_changes`: the subscription as it is going to be.
pub(super) fn scheduled(state: &State, id: &str) -> Result<Reply, RazorpayError> {
    let books = state.books();
    let subscription = books.subscription(id)?;
    let Some(change) = &subscription.change else {
        return Err(nothing_scheduled());
    };
    Ok(Reply::json(
        StatusCode::OK,
        &subscription.view_changed(change),
    ))
}

/// `POST /subscriptions/{id}/cancel_scheduled_changes`: takes back what waits for the cycle's end, a
/// cancellation too.
pub(super) fn unschedule(state: &State, id: &str, call: &Call) -> Result<Reply, RazorpayError> {
    Fields::of(call, SHAPE)?.only(&[])?;
    let mut books = state.books();
    books.subscription(id)?;
    if let Some(subscription) = books.subscriptions.find_mut(id) {
        let cancels = std::mem::take(&mut subscription.cancels_at_cycle_end);
        if subscription.change.take().is_none() && !cancels {
            return Err(nothing_scheduled());
        }
    }
    answer(&books, id)
}

fn nothing_scheduled() -> RazorpayError {
    RazorpayError::bad(SHAPE, "The subscription has no scheduled changes")
}

fn answer(books: &Books, id: &str) -> Result<Reply, RazorpayError> {
    Ok(Reply::json(StatusCode::OK, &books.subscription(id)?.view()))
}

impl Subscription {
    /// The cycle in which `now` lies.
    fn cycle_at(&self, now: DateTime<Utc>) -> Option<Cycle> {
        let mut cycle = self.cycle?;
        while cycle.end <= now {
            let start = cycle.end;
            // A calendar that ends, ends the search.
            let end = self.plan.after(start, 1).filter(|end| *end > start)?;
            cycle = Cycle { start, end };
        }
        Some(cycle)
    }
}
