//! Subscriptions: what the merchant asks for and sees. How they are charged is in `billing`.

use chrono::{DateTime, Months, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    State,
    agenda::Due,
    books::{Books, Cause},
    checkout::Callback,
    error::{RazorpayError, Shape},
    fields::Fields,
    id, list,
    list::Listing,
    money,
    news::News,
    notes::Notes,
    payment::{Method, Payer},
    plan::Plan,
    view::set,
};
use crate::{call::Call, reply::Reply};

pub(super) const SHAPE: Shape = Shape::Bare;
const TEXT_CHARACTERS_MAX: usize = 255;
/// A hundred years.
const LENGTH_MAX: Months = Months::new(1_200);

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) plan: Plan,
    pub(super) status: SubscriptionStatus,
    pub(super) customer_id: Option<String>,
    pub(super) quantity: i64,
    pub(super) total_count: i64,
    /// Cycles that were paid.
    pub(super) paid_count: i64,
    /// Cycles that were billed, paid or not.
    pub(super) billed_count: i64,
    /// Of the current cycle's charge.
    pub(super) auth_attempts: u32,
    /// What the buyer pays beside the plan when the mandate is given.
    pub(super) upfront: i64,
    notes: Notes,
    pub(super) customer_notify: bool,
    pub(super) payer: Payer,
    short_url: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) start_at: Option<DateTime<Utc>>,
    expire_by: Option<DateTime<Utc>>,
    pub(super) end_at: Option<DateTime<Utc>>,
    pub(super) cycle: Option<Cycle>,
    /// The next charge, or the next try of one that failed.
    pub(super) charge_at: Option<DateTime<Utc>>,
    pub(super) ended_at: Option<DateTime<Utc>>,
    pub(super) paused_at: Option<DateTime<Utc>>,
    pub(super) cancels_at_cycle_end: bool,
    pub(super) change: Option<Change>,
    pub(super) method: Option<Method>,
    /// Every charge fails until the buyer gives another mandate or the control API says otherwise.
    pub(super) charges_fail: bool,
    /// Ids of captured payments, oldest first.
    pub(super) payments: Vec<String>,
    pub(super) callback: Option<Callback>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cycle {
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
}

/// What waits for the end of the cycle.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) plan: Plan,
    pub(super) quantity: i64,
    pub(super) total_count: i64,
    pub(super) due_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SubscriptionStatus {
    /// Waits for the buyer's mandate.
    Created,
    /// The mandate is given, the first charge lies ahead.
    Authenticated,
    Active,
    /// A charge failed and is tried again.
    Pending,
    /// No more tries: cycles go on, charges do not.
    Halted,
    Paused,
    Cancelled,
    Completed,
    /// No mandate in time.
    Expired,
}

impl SubscriptionStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            SubscriptionStatus::Created => "created",
            SubscriptionStatus::Authenticated => "authenticated",
            SubscriptionStatus::Active => "active",
            SubscriptionStatus::Pending => "pending",
            SubscriptionStatus::Halted => "halted",
            SubscriptionStatus::Paused => "paused",
            SubscriptionStatus::Cancelled => "cancelled",
            SubscriptionStatus::Completed => "completed",
            SubscriptionStatus::Expired => "expired",
        }
    }
}

impl Subscription {
    /// What one cycle costs.
    pub(super) fn charge_amount(&self) -> i64 {
        self.plan.amount.saturating_mul(self.quantity)
    }

    /// Whether a buyer's page can do anything for it.
    pub(super) fn takes_mandate(&self) -> bool {
        match self.status {
            SubscriptionStatus::Created
            | SubscriptionStatus::Pending
            | SubscriptionStatus::Halted => true,
            SubscriptionStatus::Authenticated
            | SubscriptionStatus::Active
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Cancelled
            | SubscriptionStatus::Completed
            | SubscriptionStatus::Expired => false,
        }
    }

    /// When something happens to it by itself.
    pub(super) fn continues_at(&self) -> Option<DateTime<Utc>> {
        match self.status {
            SubscriptionStatus::Created => {
                let limits = [self.start_at, self.expire_by];
                limits.into_iter().flatten().min()
            }
            SubscriptionStatus::Authenticated
            | SubscriptionStatus::Active
            | SubscriptionStatus::Pending => self.charge_at,
            SubscriptionStatus::Halted => self.cycle.map(|cycle| cycle.end),
            SubscriptionStatus::Paused
            | SubscriptionStatus::Cancelled
            | SubscriptionStatus::Completed
            | SubscriptionStatus::Expired => None,
        }
    }

    pub(super) fn view(&self) -> Value {
        let seconds = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp());
        let waits_for_end = self.change.is_some() || self.cancels_at_cycle_end;
        let changes_at = if self.cancels_at_cycle_end {
            self.cycle.map(|cycle| cycle.end)
        } else {
            self.change.as_ref().and_then(|change| change.due_at)
        };
        let mut view = json!({
            "id": self.id,
            "entity": "subscription",
            "plan_id": self.plan.id,
            "customer_id": self.customer_id,
            "status": self.status,
            "current_start": seconds(self.cycle.map(|cycle| cycle.start)),
            "current_end": seconds(self.cycle.map(|cycle| cycle.end)),
            "ended_at": seconds(self.ended_at),
            "quantity": self.quantity,
            "notes": self.notes.view(),
            "charge_at": seconds(self.charge_at),
            "start_at": seconds(self.start_at),
            "end_at": seconds(self.end_at),
            "auth_attempts": self.auth_attempts,
            "total_count": self.total_count,
            "paid_count": self.paid_count,
            "customer_notify": self.customer_notify,
            "created_at": self.created_at.timestamp(),
            "expire_by": seconds(self.expire_by),
            "short_url": self.short_url,
            "has_scheduled_changes": waits_for_end,
            "change_scheduled_at": seconds(changes_at),
            "source": "api",
            "offer_id": null,
            "payment_method": self.method,
            "remaining_count": self.total_count.saturating_sub(self.billed_count),
        });
        if let Some(paused_at) = self.paused_at {
            let paused = self.status == SubscriptionStatus::Paused;
            set(&mut view, "paused_at", paused_at.timestamp());
            set(
                &mut view,
                "pause_initiated_by",
                json!(paused.then_some("self")),
            );
        }
        view
    }

    /// As it will be once the change is made.
    pub(super) fn view_changed(&self, change: &Change) -> Value {
        let mut view = self.view();
        set(&mut view, "plan_id", change.plan.id.as_str());
        set(&mut view, "quantity", change.quantity);
        set(&mut view, "total_count", change.total_count);
        set(
            &mut view,
            "remaining_count",
            change.total_count.saturating_sub(self.billed_count),
        );
        view
    }
}

/// `POST /subscriptions`
pub(super) fn create(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let fields = Fields::of(call, SHAPE)?;
    let cause = Cause::request(&state.core, call);
    let mut books = state.books();
    let subscription = parse(&fields, &books, &cause)?;
    let reply = Reply::json(StatusCode::OK, &subscription.view());
    let id = subscription.id.clone();
    books.subscriptions.push(id.clone(), subscription);
    books.reschedule(&id);
    books.announce(&cause, News::SubscriptionCreated, &id);
    Ok(reply)
}

fn parse(
    fields: &Fields<'_>,
    books: &Books,
    cause: &Cause<'_>,
) -> Result<Subscription, RazorpayError> {
    fields.only(&[
        "plan_id",
        "total_count",
        "quantity",
        "start_at",
        "expire_by",
        "customer_notify",
        "addons",
        "offer_id",
        "notes",
        "notify_info",
    ])?;
    let plan_id = fields.required_text("plan_id", TEXT_CHARACTERS_MAX)?;
    let plan = books.plan(&plan_id)?.clone();
    let total_count = fields.count("total_count", 1)?;
    check_length(fields, &plan, total_count, cause.at)?;
    check_offer(fields)?;
    let start_at = parse_future(fields, "start_at", cause.at)?;
    let end_at = start_at.and_then(|start| plan.after(start, total_count.saturating_sub(1)));
    let id = id::random("sub");
    Ok(Subscription {
        short_url: format!("{}/razorpay/i/{id}", cause.core.base_url),
        id,
        status: SubscriptionStatus::Created,
        customer_id: None,
        quantity: fields.optional_count("quantity", 1)?.unwrap_or(1),
        total_count,
        paid_count: 0,
        billed_count: 0,
        auth_attempts: 0,
        upfront: parse_upfront(fields, &plan.currency)?,
        notes: fields.notes()?.unwrap_or_default(),
        customer_notify: fields.flag("customer_notify")?.unwrap_or(true),
        payer: parse_payer(fields)?,
        created_at: cause.at,
        start_at,
        expire_by: parse_future(fields, "expire_by", cause.at)?,
        end_at,
        cycle: None,
        charge_at: start_at,
        ended_at: None,
        paused_at: None,
        cancels_at_cycle_end: false,
        change: None,
        method: None,
        charges_fail: false,
        payments: Vec::new(),
        callback: None,
        plan,
    })
}

/// At most 100 years.
pub(super) fn check_length(
    fields: &Fields<'_>,
    plan: &Plan,
    total_count: i64,
    now: DateTime<Utc>,
) -> Result<(), RazorpayError> {
    let end = plan.after(now, total_count);
    if end.is_some() && end <= now.checked_add_months(LENGTH_MAX) {
        return Ok(());
    }
    Err(fields.wrong(
        "total_count",
        "Exceeds the maximum duration of a subscription, which is 100 years",
    ))
}

/// There are no offers here.
pub(super) fn check_offer(fields: &Fields<'_>) -> Result<(), RazorpayError> {
    match fields.text("offer_id", TEXT_CHARACTERS_MAX)? {
        None => Ok(()),
        Some(_) => Err(RazorpayError::bad(SHAPE, "Offer Not Found")),
    }
}

pub(super) fn parse_future(
    fields: &Fields<'_>,
    name: &'static str,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, RazorpayError> {
    let at = fields.time(name)?;
    if at.is_some_and(|at| at <= now) {
        let text = format!("{name} cannot be lesser than the current time");
        return Err(fields.wrong(name, text));
    }
    Ok(at)
}

fn parse_upfront(fields: &Fields<'_>, plan_currency: &str) -> Result<i64, RazorpayError> {
    let mut upfront = 0_i64;
    for addon in fields.objects("addons")? {
        addon.only(&["item"])?;
        let item = addon.object("item")?.ok_or_else(|| addon.missing("item"))?;
        item.only(&["name", "amount", "currency"])?;
        item.text("name", TEXT_CHARACTERS_MAX)?;
        let currency = money::currency(&item)?;
        if currency != plan_currency {
            return Err(item.wrong(
                "currency",
                "The addon currency must be the currency of the plan",
            ));
        }
        upfront = upfront.saturating_add(money::amount(&item, "amount", &currency)?);
    }
    Ok(upfront)
}

fn parse_payer(fields: &Fields<'_>) -> Result<Payer, RazorpayError> {
    let Some(info) = fields.object("notify_info")? else {
        return Ok(Payer::default());
    };
    info.only(&["notify_phone", "notify_email"])?;
    Ok(Payer {
        email: info.text("notify_email", TEXT_CHARACTERS_MAX)?,
        contact: info.text("notify_phone", TEXT_CHARACTERS_MAX)?,
    })
}

/// `GET /subscriptions/{id}`
pub(super) fn fetch(state: &State, id: &str) -> Result<Reply, RazorpayError> {
    let view = state.books().subscription(id)?.view();
    Ok(Reply::json(StatusCode::OK, &view))
}

/// `GET /subscriptions`
pub(super) fn list(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let listing = Listing::of(call, SHAPE, &["plan_id"])?;
    let plan_id = listing.get("plan_id");
    let books = state.books();
    let newest_first = books.subscriptions.iter().rev().map(|(_, found)| found);
    let found = newest_first.filter(|subscription| {
        listing.covers(subscription.created_at)
            && plan_id.is_none_or(|plan_id| plan_id == subscription.plan.id)
    });
    Ok(list::reply(listing.page(found).map(Subscription::view)))
}

impl Books {
    pub(super) fn subscription(&self, id: &str) -> Result<&Subscription, RazorpayError> {
        id::check(SHAPE, "sub", id)?;
        self.subscriptions
            .find(id)
            .ok_or_else(|| RazorpayError::not_found(SHAPE))
    }

    /// To be called after every change of a subscription's dates or status.
    pub(super) fn reschedule(&mut self, id: &str) {
        let at = self
            .subscriptions
            .find(id)
            .and_then(Subscription::continues_at);
        if let Some(at) = at {
            self.schedule(at, Due::Subscription(id.to_owned()));
        }
    }
}
