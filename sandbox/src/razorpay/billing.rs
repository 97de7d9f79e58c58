//! How subscriptions are charged: the mandate, the cycles, and what happens when a charge fails.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    books::{Books, Cause},
    id, money,
    news::News,
    paying::{Attempt, Verdict},
    payment::Method,
    subscription::{Cycle, Subscription, SubscriptionStatus},
};
use crate::{clock::later, subscription::Charge};

const RETRIES_MAX: u32 = 3;
const RETRY_AFTER: TimeDelta = TimeDelta::days(1);

impl Books {
    /// The buyer agrees: with the first charge where the subscription starts at once, else with the
    /// upfront amount or with a token that goes back. Gives the payment's id; `None` when the
    /// subscription does not wait for a mandate.
    pub(super) fn give_mandate(
        &mut self,
        cause: &Cause<'_>,
        id: &str,
        method: Method,
    ) -> Option<String> {
        let subscription = self.subscriptions.find_mut(id)?;
        match subscription.status {
            SubscriptionStatus::Created => {}
            // Another card: what is owed is charged to it.
            SubscriptionStatus::Pending | SubscriptionStatus::Halted => {
                subscription.method = Some(method);
                subscription.charges_fail = false;
                self.retry(cause, id, Charge::Succeed);
                return self.subscriptions.find(id)?.payments.last().cloned();
            }
            SubscriptionStatus::Authenticated
            | SubscriptionStatus::Active
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Cancelled
            | SubscriptionStatus::Completed
            | SubscriptionStatus::Expired => return None,
        }
        subscription.method = Some(method);
        subscription.customer_id = Some(id::random("cust"));
        subscription.status = SubscriptionStatus::Authenticated;
        let (starts_later, upfront) = (subscription.start_at.is_some(), subscription.upfront);
        self.announce(cause, News::SubscriptionAuthenticated, id);
        if !starts_later {
            self.begin_cycle(cause, id, Charge::Succeed);
        } else if upfront > 0 {
            self.charge_for(cause, id, upfront, Verdict::Authorized);
        } else {
            let token = money::minimum(&self.subscriptions.find(id)?.plan.currency);
            let payment_id = self.attempt_for(cause, id, token, Verdict::Authorized)?;
            self.return_uncaptured(cause, &payment_id);
            self.reschedule(id);
            return Some(payment_id);
        }
        self.reschedule(id);
        self.subscriptions.find(id)?.payments.last().cloned()
    }

    /// The buyer, or the bank, does not agree: an attempt that failed, nothing else.
    pub(super) fn refuse_mandate(
        &mut self,
        cause: &Cause<'_>,
        id: &str,
        method: Method,
    ) -> Option<String> {
        let subscription = self.subscriptions.find_mut(id)?;
        let amount = subscription.charge_amount();
        // The attempt has the method that was tried; the subscription keeps its own.
        let kept = subscription.method.replace(method);
        let payment_id = self.charge_for(cause, id, amount, Verdict::Failed);
        self.subscriptions.find_mut(id)?.method = kept;
        payment_id
    }

    /// Its time has come.
    pub(super) fn continue_subscription(&mut self, cause: &Cause<'_>, id: &str) {
        let Some(subscription) = self.subscriptions.find(id) else {
            return;
        };
        let charge = if subscription.charges_fail {
            Charge::Fail
        } else {
            Charge::Succeed
        };
        match subscription.status {
            SubscriptionStatus::Created => {
                self.end(
                    cause,
                    id,
                    SubscriptionStatus::Expired,
                    News::SubscriptionExpired,
                );
            }
            SubscriptionStatus::Authenticated | SubscriptionStatus::Active => {
                self.begin_cycle(cause, id, charge);
            }
            SubscriptionStatus::Pending => self.retry(cause, id, charge),
            SubscriptionStatus::Halted => self.pass_cycle(cause, id),
            SubscriptionStatus::Paused
            | SubscriptionStatus::Cancelled
            | SubscriptionStatus::Completed
            | SubscriptionStatus::Expired => {}
        }
    }

    /// The control API makes the next charge due now.
    pub(super) fn force_cycle(
        &mut self,
        cause: &Cause<'_>,
        id: &str,
        charge: Charge,
    ) -> Result<Value, String> {
        let subscription = self.subscriptions.find_mut(id).ok_or("it is forgotten")?;
        let status = subscription.status;
        subscription.charges_fail = charge == Charge::Fail;
        match (status, charge) {
            (SubscriptionStatus::Authenticated | SubscriptionStatus::Active, _) => {
                self.begin_cycle(cause, id, charge);
            }
            (SubscriptionStatus::Pending, _) | (SubscriptionStatus::Halted, Charge::Succeed) => {
                self.retry(cause, id, charge)
            }
            (SubscriptionStatus::Halted, Charge::Fail) => self.pass_cycle(cause, id),
            (
                SubscriptionStatus::Created
                | SubscriptionStatus::Paused
                | SubscriptionStatus::Cancelled
                | SubscriptionStatus::Completed
                | SubscriptionStatus::Expired,
                _,
            ) => {
                return Err(format!(
                    "a subscription that is {} is not charged",
                    status.name()
                ));
            }
        }
        let subscription = self.subscriptions.find(id).ok_or("it is forgotten")?;
        Ok(subscription.view())
    }

    /// A new cycle from now on, billed and charged.
    fn begin_cycle(&mut self, cause: &Cause<'_>, id: &str, charge: Charge) {
        let Some(subscription) = self.subscriptions.find_mut(id) else {
            return;
        };
        if subscription.cancels_at_cycle_end {
            let news = News::ScheduledCancelMade;
            self.end(cause, id, SubscriptionStatus::Cancelled, news);
            return;
        }
        let changes = subscription.make_change();
        let first = subscription.billed_count == 0;
        subscription.open_cycle(cause.at);
        if first && subscription.start_at.is_none() {
            subscription.start_at = Some(cause.at);
        } else if first {
            // The upfront amount was paid with the mandate.
            subscription.upfront = 0;
        }
        if changes {
            self.announce(cause, News::ScheduledChangeMade, id);
        }
        self.charge_cycle(cause, id, charge);
    }

    /// The charge of the current cycle once more.
    fn retry(&mut self, cause: &Cause<'_>, id: &str, charge: Charge) {
        self.charge_cycle(cause, id, charge);
    }

    /// A cycle of a halted subscription: billed, not charged.
    fn pass_cycle(&mut self, cause: &Cause<'_>, id: &str) {
        let Some(subscription) = self.subscriptions.find_mut(id) else {
            return;
        };
        if subscription.billed_count >= subscription.total_count {
            let news = News::SubscriptionCompleted;
            self.end(cause, id, SubscriptionStatus::Completed, news);
            return;
        }
        subscription.open_cycle(cause.at);
        self.reschedule(id);
    }

    fn charge_cycle(&mut self, cause: &Cause<'_>, id: &str, charge: Charge) {
        let Some(subscription) = self.subscriptions.find_mut(id) else {
            return;
        };
        let amount = subscription
            .charge_amount()
            .saturating_add(subscription.upfront);
        let verdict = match charge {
            Charge::Succeed => Verdict::Authorized,
            Charge::Fail => Verdict::Failed,
        };
        self.charge_for(cause, id, amount, verdict);
        let Some(subscription) = self.subscriptions.find_mut(id) else {
            return;
        };
        match charge {
            Charge::Succeed => {
                let was = std::mem::replace(&mut subscription.status, SubscriptionStatus::Active);
                subscription.upfront = 0;
                subscription.auth_attempts = 0;
                subscription.paid_count = subscription.paid_count.saturating_add(1);
                subscription.charge_at = subscription.cycle.map(|cycle| cycle.end);
                let is_last = subscription.billed_count >= subscription.total_count;
                if was != SubscriptionStatus::Active {
                    self.announce(cause, News::SubscriptionActivated, id);
                }
                self.announce(cause, News::SubscriptionCharged, id);
                if is_last {
                    let news = News::SubscriptionCompleted;
                    self.end(cause, id, SubscriptionStatus::Completed, news);
                }
            }
            Charge::Fail => {
                subscription.auth_attempts = subscription.auth_attempts.saturating_add(1);
                let news = if subscription.auth_attempts > RETRIES_MAX {
                    subscription.status = SubscriptionStatus::Halted;
                    subscription.charge_at = None;
                    News::SubscriptionHalted
                } else {
                    subscription.status = SubscriptionStatus::Pending;
                    subscription.charge_at = Some(later(cause.at, RETRY_AFTER));
                    News::SubscriptionPending
                };
                self.announce(cause, news, id);
            }
        }
        self.reschedule(id);
    }

    /// A payment for the subscription, captured when it succeeds; gives its id.
    pub(super) fn charge_for(
        &mut self,
        cause: &Cause<'_>,
        id: &str,
        amount: i64,
        verdict: Verdict,
    ) -> Option<String> {
        let payment_id = self.attempt_for(cause, id, amount, verdict)?;
        if verdict == Verdict::Authorized {
            self.capture(cause, &payment_id);
            if let Some(subscription) = self.subscriptions.find_mut(id) {
                subscription.payments.push(payment_id.clone());
            }
        }
        Some(payment_id)
    }

    fn attempt_for(
        &mut self,
        cause: &Cause<'_>,
        id: &str,
        amount: i64,
        verdict: Verdict,
    ) -> Option<String> {
        let subscription = self.subscriptions.find(id)?;
        let attempt = Attempt {
            amount,
            method: subscription.method.unwrap_or_default(),
            payer: subscription.payer.clone(),
            description: Some("Recurring Payment via Subscription".to_owned()),
            subscription_id: Some(id.to_owned()),
            invoice_id: Some(id::random("inv")),
            customer_id: subscription.customer_id.clone(),
            ..Attempt::default()
        };
        let currency = subscription.plan.currency.clone();
        self.attempt_without_order(cause, &currency, attempt, verdict)
    }

    /// For good.
    pub(super) fn end(
        &mut self,
        cause: &Cause<'_>,
        id: &str,
        status: SubscriptionStatus,
        news: News,
    ) {
        if let Some(subscription) = self.subscriptions.find_mut(id) {
            subscription.status = status;
            subscription.ended_at = Some(cause.at);
            subscription.charge_at = None;
            subscription.change = None;
            subscription.cancels_at_cycle_end = false;
            self.announce(cause, news, id);
        }
    }
}

impl Subscription {
    fn open_cycle(&mut self, start: DateTime<Utc>) {
        let end = self.plan.after(start, 1).unwrap_or(start);
        self.cycle = Some(Cycle { start, end });
        self.billed_count = self.billed_count.saturating_add(1);
        self.auth_attempts = 0;
        let ahead = self.total_count.saturating_sub(self.billed_count);
        self.end_at = self.plan.after(start, ahead);
    }

    /// Makes the change that waited for this moment; whether there was one.
    fn make_change(&mut self) -> bool {
        let Some(change) = self.change.take() else {
            return false;
        };
        self.plan = change.plan;
        self.quantity = change.quantity;
        self.total_count = change.total_count;
        true
    }
}
