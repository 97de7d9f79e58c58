//! Changing a subscription in the middle of a cycle:
//! <https://razorpay.com/docs/payments/subscriptions/update/>. The rest of the cycle is charged, or
//! given back, in proportion to its days.

use chrono::{DateTime, Utc};

use super::{
    books::{Books, Cause},
    error::RazorpayError,
    paying::Verdict,
    refund::NewRefund,
    subscription::{Change, Cycle, SHAPE, Subscription},
};

/// Below this many subunits no difference is charged or given back.
const DIFFERENCE_MIN: i64 = 50;

impl Books {
    /// Changes the running cycle: its rest is charged or given back in proportion.
    pub(super) fn change_now(
        &mut self,
        cause: &Cause<'_>,
        id: &str,
        change: Change,
    ) -> Result<(), RazorpayError> {
        let subscription = self.subscription(id)?;
        let difference = subscription.difference(&change, cause.at);
        if difference != 0 && difference.abs() < DIFFERENCE_MIN {
            return Err(RazorpayError::bad(
                SHAPE,
                "The difference between the plans is less than the minimum amount",
            ));
        }
        if difference > 0 {
            self.charge_for(cause, id, difference, Verdict::Authorized);
        } else {
            self.give_back(cause, id, difference.saturating_neg());
        }
        if let Some(subscription) = self.subscriptions.find_mut(id) {
            subscription.change_now(change, cause.at);
        }
        Ok(())
    }

    /// From the payments of the subscription, the newest first: credit is not tied to one of them.
    fn give_back(&mut self, cause: &Cause<'_>, id: &str, mut amount: i64) {
        let Some(subscription) = self.subscriptions.find(id) else {
            return;
        };
        for payment_id in subscription.payments.clone().iter().rev() {
            let Some(payment) = self.payments.find(payment_id) else {
                continue;
            };
            let part = amount.min(payment.refundable());
            if part > 0 {
                let refund = NewRefund::of_part(payment, part);
                self.refund(cause, refund);
                amount = amount.saturating_sub(part);
            }
        }
    }
}

impl Subscription {
    /// What the change costs (or, below 0, brings back) today. Days count whole, the day of the change
    /// as one of the new plan.
    fn difference(&self, change: &Change, now: DateTime<Utc>) -> i64 {
        let Some(cycle) = self.cycle else {
            return 0;
        };
        let days = cycle
            .end
            .signed_duration_since(cycle.start)
            .num_days()
            .max(1);
        let used = now.signed_duration_since(cycle.start).num_days();
        let left = days.saturating_sub(used).clamp(0, days);
        let unused = self.charge_amount().saturating_mul(left) / days;
        let price = change.plan.amount.saturating_mul(change.quantity);
        if change.plan.is_as_often_as(&self.plan) {
            (price.saturating_mul(left) / days).saturating_sub(unused)
        } else {
            price.saturating_sub(unused)
        }
    }

    fn change_now(&mut self, change: Change, now: DateTime<Utc>) {
        let keeps_cycle = change.plan.is_as_often_as(&self.plan);
        self.plan = change.plan;
        self.quantity = change.quantity;
        self.total_count = change.total_count;
        self.change = None;
        let start = match self.cycle {
            Some(_) if !keeps_cycle => {
                // Another rhythm begins today.
                let end = self.plan.after(now, 1).unwrap_or(now);
                self.cycle = Some(Cycle { start: now, end });
                self.charge_at = Some(end);
                Some(now)
            }
            Some(cycle) => Some(cycle.start),
            None => None,
        };
        let ahead = self.total_count.saturating_sub(self.billed_count);
        self.end_at = match (start, self.start_at) {
            (Some(start), _) => self.plan.after(start, ahead),
            (None, Some(first)) => self.plan.after(first, ahead.saturating_sub(1)),
            (None, None) => None,
        };
    }
}
