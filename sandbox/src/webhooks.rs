//! Webhooks: what the providers tell the merchant, unasked.
//!
//! A provider posts an event as one delivery per URL; a delivery is one or more attempts. Sending is the
//! courier's work and never that of the request which changed something: posting only puts the delivery
//! into a bounded outbox. When something is due is a matter of the sandbox's clock, how long an answer
//! may take one of real time.

mod attempts;
mod courier;
mod delivery;
mod outbox;
mod registration;
mod target;

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

pub use self::{
    attempts::WebhookAttempt,
    registration::{NewWebhook, Webhook, WebhookChange, WebhookError},
    target::WebhookTargets,
};
pub(crate) use self::{
    attempts::{AttemptFilter, AttemptsView},
    courier::{Courier, run},
    delivery::{Answer, Delivery, Outcome, Rules, Signature, Times, Total},
    registration::pick_events,
    target::{TargetError, parse_target},
};
use self::{
    attempts::{AttemptLog, Record},
    outbox::{Outbox, Ticket},
};
use crate::{
    clock::later,
    faults::{Faults, WebhookFault},
    lock,
};

/// How long an event that is to be overtaken waits for another one.
const OVERTAKEN_MAX: TimeDelta = TimeDelta::seconds(60);

#[derive(Debug)]
pub(crate) struct Webhooks {
    outbox: Mutex<Outbox>,
    attempts: Mutex<AttemptLog>,
    pub(crate) targets: WebhookTargets,
    /// Something may be due.
    bell: Notify,
    /// Something has ended.
    ended: Notify,
}

impl Webhooks {
    pub(crate) fn new(targets: WebhookTargets) -> Webhooks {
        Webhooks {
            outbox: Mutex::default(),
            attempts: Mutex::default(),
            targets,
            bell: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// Takes a delivery in, and what a fault makes of it.
    pub(crate) fn post(&self, faults: &Faults, mut delivery: Delivery) {
        let fault = faults.take_for_event(
            delivery.provider,
            &delivery.event,
            delivery.url.path(),
            WebhookFault::is_of_delivery,
        );
        let at = delivery.posted_at;
        let mut outbox = lock(&self.outbox);
        match fault {
            None | Some(WebhookFault::Fail) => outbox.add(at, delivery),
            Some(WebhookFault::Delay(by)) => outbox.add(later(at, by), delivery),
            Some(WebhookFault::Duplicate) => {
                outbox.add(at, delivery.clone());
                outbox.add(at, delivery);
            }
            Some(WebhookFault::Reorder) => outbox.hold(later(at, OVERTAKEN_MAX), delivery),
            Some(WebhookFault::WrongSignature) => {
                delivery.signature = Signature::Wrong;
                outbox.add(at, delivery);
            }
            Some(WebhookFault::Drop) => {
                drop(outbox);
                tracing::debug!(event = delivery.event, "a webhook is dropped by a fault");
                return;
            }
        }
        drop(outbox);
        self.bell.notify_one();
    }

    /// Lets the courier look again: the clock was moved, or something new may be due.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until nothing that is due is still unsent or under way.
    pub(crate) async fn settled(&self, now: impl Fn() -> DateTime<Utc>) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if lock(&self.outbox).is_settled(now()) {
                return;
            }
            ended.await;
        }
    }

    pub(crate) fn read(&self, filter: &AttemptFilter, limit: usize) -> AttemptsView {
        let state = lock(&self.outbox).state();
        lock(&self.attempts).read(filter, limit, state)
    }

    pub(crate) fn attempts(&self) -> Vec<WebhookAttempt> {
        lock(&self.attempts).all()
    }

    pub(crate) fn clear_attempts(&self) {
        lock(&self.attempts).clear();
    }

    /// Forgets what is still to be sent to this webhook.
    pub(crate) fn withdraw(&self, webhook: &str) {
        lock(&self.outbox).withdraw(webhook);
        self.ended.notify_waiters();
    }

    pub(crate) fn clear(&self) {
        lock(&self.outbox).clear();
        lock(&self.attempts).clear();
        self.ended.notify_waiters();
    }

    /// Whether an attempt at this event is still to be made there.
    pub(crate) fn is_waiting(&self, webhook: &str, event_id: &str) -> bool {
        lock(&self.outbox).is_waiting(webhook, event_id)
    }

    fn take_due(&self, now: DateTime<Utc>) -> Option<(Ticket, Delivery)> {
        lock(&self.outbox).take_due(now)
    }

    fn next_due(&self) -> Option<DateTime<Utc>> {
        lock(&self.outbox).next_due()
    }

    /// Books an attempt and, where the provider tries again, the next one. Whether it still counts: not
    /// when everything was reset meanwhile.
    fn finish(&self, ticket: Ticket, record: Record, again: Option<(DateTime<Utc>, Delivery)>) {
        let mut outbox = lock(&self.outbox);
        let counts = outbox.finish(ticket);
        if counts {
            lock(&self.attempts).add(record);
            if let Some((at, delivery)) = again {
                outbox.add(at, delivery);
            }
        }
        drop(outbox);
        self.ended.notify_waiters();
        self.bell.notify_one();
    }
}
