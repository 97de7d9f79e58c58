//! Everything that exists at this Razorpay, behind one lock, so that a change of a payment and what
//! it means for its order, link or subscription are one change.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{
    agenda::{Agenda, Due},
    link::PaymentLink,
    order::Order,
    payment::Payment,
    plan::Plan,
    refund::Refund,
    subscription::Subscription,
    webhook::Webhooks,
};
use crate::{call::Call, core::Core, shelf::Shelf};

#[derive(Debug)]
pub(super) struct Books {
    pub(super) orders: Shelf<Order>,
    pub(super) payments: Shelf<Payment>,
    pub(super) refunds: Shelf<Refund>,
    pub(super) links: Shelf<PaymentLink>,
    pub(super) plans: Shelf<Plan>,
    pub(super) subscriptions: Shelf<Subscription>,
    /// Payment links by the merchant's reference, which has to be unique.
    references: HashMap<String, String>,
    agenda: Agenda,
    pub(super) webhooks: Webhooks,
    max: usize,
}

/// Why something changes: by a request, or because its time has come.
#[derive(Debug, Clone)]
pub(super) struct Cause<'a> {
    pub(super) core: &'a Core,
    pub(super) at: DateTime<Utc>,
    pub(super) body: Bytes,
    pub(super) idempotency_key: Option<&'a str>,
}

impl<'a> Cause<'a> {
    pub(super) fn request(core: &'a Core, call: &'a Call) -> Cause<'a> {
        Cause {
            core,
            at: core.clock.now(),
            body: call.body.clone(),
            idempotency_key: None,
        }
    }

    /// The buyer on a page, or the control API in place of one.
    pub(super) fn buyer(core: &'a Core) -> Cause<'a> {
        Cause::time(core, core.clock.now())
    }

    pub(super) fn time(core: &'a Core, at: DateTime<Utc>) -> Cause<'a> {
        Cause {
            core,
            at,
            body: Bytes::new(),
            idempotency_key: None,
        }
    }
}

impl Books {
    pub(super) fn new(max: usize) -> Books {
        Books {
            orders: Shelf::new(max),
            payments: Shelf::new(max),
            refunds: Shelf::new(max),
            links: Shelf::new(max),
            plans: Shelf::new(max),
            subscriptions: Shelf::new(max),
            references: HashMap::new(),
            agenda: Agenda::default(),
            webhooks: Webhooks::default(),
            max,
        }
    }

    /// Does what has become due by `now`, each at its own time.
    pub(super) fn catch_up(&mut self, core: &Core, now: DateTime<Utc>) {
        while let Some((at, due)) = self.agenda.take_due(now) {
            if !self.is_current(at, &due) {
                continue;
            }
            let cause = Cause::time(core, at);
            match due {
                Due::CaptureWindow(id) => self.return_uncaptured(&cause, &id),
                Due::Refund(id) => self.settle_refund(&cause, &id),
                Due::Link(id) => self.expire_link(&cause, &id),
                Due::Subscription(id) => self.continue_subscription(&cause, &id),
            }
        }
    }

    /// When something happens by itself, as far as is known: an entry may have become void.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.agenda.first()
    }

    pub(super) fn schedule(&mut self, at: DateTime<Utc>, due: Due) {
        self.agenda.add(at, due);
        // An object has one current entry at most, and there are four kinds with any.
        if self.agenda.len() > self.max.saturating_mul(8) {
            let mut agenda = std::mem::take(&mut self.agenda);
            agenda.retain(|at, due| self.is_current(at, due));
            self.agenda = agenda;
        }
    }

    /// Whether the object still exists and still waits for that moment.
    fn is_current(&self, at: DateTime<Utc>, due: &Due) -> bool {
        let waits_until = match due {
            Due::CaptureWindow(id) => self.payments.find(id).and_then(Payment::capture_until),
            Due::Refund(id) => self.refunds.find(id).and_then(Refund::settles_at),
            Due::Link(id) => self.links.find(id).and_then(PaymentLink::expires_at),
            Due::Subscription(id) => self
                .subscriptions
                .find(id)
                .and_then(Subscription::continues_at),
        };
        waits_until == Some(at)
    }

    /// The link that has this reference.
    pub(super) fn link_of_reference(&self, reference: &str) -> Option<&PaymentLink> {
        let id = self.references.get(reference)?;
        self.links.find(id)
    }

    pub(super) fn set_reference(&mut self, reference: String, link_id: String) {
        if self.references.len() >= self.max.saturating_mul(2) {
            let links = &self.links;
            self.references.retain(|_, id| links.find(id).is_some());
        }
        self.references.insert(reference, link_id);
    }

    pub(super) fn clear(&mut self) {
        *self = Books::new(self.max);
    }
}
