//! How a subscription is charged: at its start, when a cycle is due, on demand.

use chrono::{DateTime, Utc};

use super::{
    super::{books::Books, course, desk::Desk, happened::Happened, money::Money},
    Subscription, SubscriptionStatus,
    transaction::{Parts, Transaction, TransactionStatus},
};
use crate::{config::PaypalCharge, subscription::Charge};

/// Charges of one subscription in one go: a clock moved by years must not stop the sandbox.
const CHARGES_MAX: usize = 5_000;

impl Books {
    /// Charges what has become due.
    pub(in super::super) fn settle(&mut self, desk: &Desk<'_>) {
        if self.next_due.is_none_or(|due| due > desk.now) {
            return;
        }
        for id in self.subscriptions.ids() {
            let Some(subscription) = self.subscriptions.find_mut(&id) else {
                continue;
            };
            for _ in 0..CHARGES_MAX {
                let Some(due) = subscription.due().filter(|due| *due <= desk.now) else {
                    break;
                };
                subscription.bill(desk, due, None);
            }
        }
        let due = self.subscriptions.iter().filter_map(|(_, each)| each.due());
        self.next_due = due.min();
    }

    /// Remembers when a changed subscription is due.
    pub(in super::super) fn schedule(&mut self, id: &str) {
        let due = self.subscriptions.find(id).and_then(Subscription::due);
        self.next_due = [self.next_due, due].into_iter().flatten().min();
    }
}

impl Subscription {
    fn due(&self) -> Option<DateTime<Utc>> {
        self.next_at
            .filter(|_| self.status == SubscriptionStatus::Active)
    }

    /// The cycle that is billed next.
    fn current(&self) -> Option<usize> {
        let mut cycles = self.offer.terms.cycles.iter().zip(&self.billed);
        cycles.position(|(cycle, billed)| cycle.total == 0 || *billed < cycle.total)
    }

    /// When the last payment will be, unless there is none.
    pub(super) fn final_at(&self) -> Option<DateTime<Utc>> {
        let mut at = self.due()?;
        let mut last = None;
        for (cycle, billed) in self.offer.terms.cycles.iter().zip(&self.billed) {
            if cycle.total == 0 {
                return None;
            }
            for _ in *billed..cycle.total {
                last = Some(at);
                at = cycle.next(at);
            }
        }
        last
    }

    /// The buyer has agreed, the merchant too: from here on it runs.
    pub(in super::super) fn start(
        &mut self,
        desk: &Desk<'_>,
        happened: Happened,
        charge: Option<Charge>,
    ) {
        self.set_status(SubscriptionStatus::Active, None, desk.now);
        self.starts_at = self.starts_at.max(desk.now);
        self.next_at = Some(self.starts_at);
        self.tell(desk, happened, desk.now);
        if let Some(fee) = self.offer.terms.setup_fee {
            let parts = Parts::of(fee);
            let is_paid = self.charge(desk, desk.now, parts, charge);
            if !is_paid && self.offer.terms.cancels_without_fee {
                self.outstanding = self.outstanding.zero();
                let note = Some("The set-up fee was not paid");
                self.set_status(SubscriptionStatus::Cancelled, note, desk.now);
                self.tell(desk, Happened::SubscriptionAbandoned, desk.now);
                return;
            }
        }
        if self.starts_at <= desk.now {
            self.bill(desk, desk.now, charge);
        }
    }

    /// The next cycle, as if it were due at `due`.
    pub(in super::super) fn bill(
        &mut self,
        desk: &Desk<'_>,
        due: DateTime<Utc>,
        charge: Option<Charge>,
    ) {
        let current = self.current();
        let Some(cycle) = current.and_then(|index| self.offer.terms.cycles.get(index).cloned())
        else {
            self.next_at = None;
            return;
        };
        if let Some(billed) = current.and_then(|index| self.billed.get_mut(index)) {
            *billed = billed.saturating_add(1);
        }
        self.next_at = Some(cycle.next(due)).filter(|next| *next > due);
        if let Some(price) = cycle.price {
            let parts = self.parts(price);
            let is_paid = self.charge(desk, due, parts, charge);
            let max = self.offer.terms.failures_max;
            if !is_paid && max > 0 && self.failures >= max {
                let note = Some("Too many payments have failed");
                self.set_status(SubscriptionStatus::Suspended, note, due);
                self.tell(desk, Happened::SubscriptionHalted, due);
                return;
            }
        }
        if self.current().is_none() {
            self.next_at = None;
            self.set_status(SubscriptionStatus::Expired, None, due);
            self.tell(desk, Happened::SubscriptionExpired, due);
        }
    }

    fn parts(&self, price: Money) -> Parts {
        let items = price.times(self.offer.quantity.into());
        let (on_top, within) = self.offer.terms.taxes_of(items);
        let outstanding = Some(self.outstanding).filter(|_| self.offer.terms.bills_outstanding);
        Parts {
            new: self.offer.amount(price),
            outstanding: outstanding.unwrap_or_else(|| price.zero()),
            tax: on_top.plus(within),
            shipping: self.offer.shipping,
        }
    }

    /// Whether it was paid.
    fn charge(
        &mut self,
        desk: &Desk<'_>,
        at: DateTime<Utc>,
        parts: Parts,
        charge: Option<Charge>,
    ) -> bool {
        let set = desk.state.core.settings().paypal_charge;
        let by_itself = if course::charge_fails(parts.new, self.custom_id.as_deref())
            || set == PaypalCharge::Fail
        {
            Charge::Fail
        } else {
            Charge::Succeed
        };
        let amount = parts.new.plus(parts.outstanding);
        self.updated_at = at;
        match charge.unwrap_or(by_itself) {
            Charge::Succeed => {
                self.outstanding = self.outstanding.minus(parts.outstanding);
                self.failures = 0;
                self.last_paid = Some((amount, at));
                self.record(
                    desk,
                    Transaction::new(parts, TransactionStatus::Completed, at),
                );
                true
            }
            Charge::Fail => {
                self.outstanding = self.outstanding.plus(parts.new);
                self.failures = self.failures.saturating_add(1);
                self.last_failed = Some((amount, at));
                self.record(
                    desk,
                    Transaction::new(parts, TransactionStatus::Declined, at),
                );
                false
            }
        }
    }

    pub(super) fn record(&mut self, desk: &Desk<'_>, transaction: Transaction) {
        transaction.tell(desk, self);
        self.transactions.push(transaction);
    }

    /// After a suspension: cycles that fell into it are not made up for.
    pub(super) fn skip_to(&mut self, now: DateTime<Utc>) {
        let Some(cycle) = self
            .current()
            .and_then(|index| self.offer.terms.cycles.get(index).cloned())
        else {
            return;
        };
        while let Some(next) = self.next_at.filter(|next| *next < now) {
            let later = cycle.next(next);
            if later <= next {
                return;
            }
            self.next_at = Some(later);
        }
    }

    /// The balance is paid: failures are forgotten.
    pub(super) fn settle_balance(&mut self, amount: Money, at: DateTime<Utc>) {
        self.outstanding = self.outstanding.minus(amount);
        if !self.outstanding.is_positive() {
            self.failures = 0;
        }
        self.last_paid = Some((amount, at));
        self.updated_at = at;
    }

    /// Whether payments failed as often as the plan allows.
    pub(super) fn is_halted(&self) -> bool {
        let max = self.offer.terms.failures_max;
        max > 0 && self.failures >= max
    }
}
