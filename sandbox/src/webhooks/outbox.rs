//! What is to be sent, in the order in which it becomes due. Bounded: a gateway that is away for days
//! must not fill the memory.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Delivery;

/// Deliveries that wait, for their time or for the courier; what comes on top is lost and counted.
const WAITING_MAX: usize = 10_000;
/// Attempts under way at once.
const IN_FLIGHT_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: BTreeMap<(DateTime<Utc>, u64), Delivery>,
    /// To be overtaken by the next event for the same URL.
    held: Vec<(DateTime<Utc>, Delivery)>,
    /// Those in which a first attempt is under way.
    busy: HashSet<Lane>,
    in_flight: usize,
    last_number: u64,
    lost: u64,
    /// Counts resets: what was under way during one is of no interest any more.
    era: u64,
}

/// URL and name.
type Lane = (String, String);

/// Proof of one attempt under way.
#[derive(Debug)]
pub(super) struct Ticket {
    era: u64,
    lane: Option<Lane>,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct OutboxState {
    /// Deliveries whose next attempt is still to be made.
    waiting: usize,
    in_flight: usize,
    /// Events that found the outbox full and were never sent.
    lost: u64,
}

impl Outbox {
    pub(super) fn add(&mut self, due: DateTime<Utc>, delivery: Delivery) {
        let overtaken: Vec<Delivery> = self
            .held
            .extract_if(.., |(_, held)| is_same_stream(held, &delivery))
            .map(|(_, held)| held)
            .collect();
        let lane = delivery.lane.clone();
        self.put(due, delivery);
        for mut held in overtaken {
            // One after the other, in the new order.
            held.lane.clone_from(&lane);
            self.put(due, held);
        }
    }

    /// Until another event has gone first, or until that time.
    pub(super) fn hold(&mut self, until: DateTime<Utc>, delivery: Delivery) {
        if self.held.len() < WAITING_MAX {
            self.held.push((until, delivery));
        }
    }

    fn put(&mut self, due: DateTime<Utc>, delivery: Delivery) {
        if self.waiting.len() >= WAITING_MAX {
            self.lost = self.lost.saturating_add(1);
            tracing::warn!(
                provider = delivery.provider,
                event = delivery.event,
                "the outbox for webhooks is full: an event is lost"
            );
            return;
        }
        self.last_number = self.last_number.saturating_add(1);
        self.waiting.insert((due, self.last_number), delivery);
    }

    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Option<(Ticket, Delivery)> {
        self.release_held(now);
        if self.in_flight >= IN_FLIGHT_MAX {
            return None;
        }
        let due = self.waiting.range(..=(now, u64::MAX));
        let key = due
            .filter(|(_, delivery)| lane(delivery).is_none_or(|lane| !self.busy.contains(&lane)))
            .map(|(key, _)| *key)
            .next()?;
        let delivery = self.waiting.remove(&key)?;
        let lane = lane(&delivery);
        self.busy.extend(lane.clone());
        self.in_flight = self.in_flight.saturating_add(1);
        let ticket = Ticket {
            era: self.era,
            lane,
        };
        Some((ticket, delivery))
    }

    fn release_held(&mut self, now: DateTime<Utc>) {
        let late: Vec<_> = self
            .held
            .extract_if(.., |(until, _)| *until <= now)
            .collect();
        for (until, delivery) in late {
            self.put(until, delivery);
        }
    }

    /// Whether the attempt still counts.
    pub(super) fn finish(&mut self, ticket: Ticket) -> bool {
        if ticket.era != self.era {
            return false;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(lane) = ticket.lane {
            self.busy.remove(&lane);
        }
        true
    }

    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        let held = self.held.iter().map(|(until, _)| *until);
        let waiting = self.waiting.keys().next().map(|(due, _)| *due);
        held.chain(waiting).min()
    }

    pub(super) fn is_settled(&self, now: DateTime<Utc>) -> bool {
        self.in_flight == 0 && self.next_due().is_none_or(|due| due > now)
    }

    pub(super) fn withdraw(&mut self, webhook: &str) {
        self.waiting
            .retain(|_, delivery| delivery.webhook != webhook);
        self.held.retain(|(_, held)| held.webhook != webhook);
    }

    pub(super) fn is_waiting(&self, webhook: &str, event_id: &str) -> bool {
        let held = self.held.iter().map(|(_, held)| held);
        let mut all = self.waiting.values().chain(held);
        all.any(|delivery| delivery.webhook == webhook && delivery.event_id == event_id)
    }

    pub(super) fn state(&self) -> OutboxState {
        OutboxState {
            waiting: self.waiting.len().saturating_add(self.held.len()),
            in_flight: self.in_flight,
            lost: self.lost,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Outbox {
            era: self.era.saturating_add(1),
            ..Outbox::default()
        };
    }
}

/// First attempts follow each other; a later one holds up nothing.
fn lane(delivery: &Delivery) -> Option<Lane> {
    (delivery.attempts == 0).then(|| (delivery.url.to_string(), delivery.lane.clone()))
}

/// By the URL: every message at Twilio has a callback of its own.
fn is_same_stream(one: &Delivery, other: &Delivery) -> bool {
    one.provider == other.provider && one.url == other.url
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use bytes::Bytes;
    use chrono::TimeDelta;
    use http::{HeaderMap, Method};
    use url::Url;

    use super::{
        super::{Outcome, Rules, Signature, Times, Total},
        *,
    };

    #[derive(Debug)]
    struct Once;

    impl Rules for Once {
        fn headers(&self, _delivery: &Delivery, _at: DateTime<Utc>) -> HeaderMap {
            HeaderMap::new()
        }

        fn again(
            &self,
            _delivery: &Delivery,
            _outcome: &Outcome,
            _at: DateTime<Utc>,
        ) -> Option<DateTime<Utc>> {
            None
        }
    }

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn delivery(lane: &str, event: &str) -> Delivery {
        Delivery {
            provider: "acme",
            account: "account",
            webhook: "webhook".to_owned(),
            event: event.to_owned(),
            event_id: event.to_owned(),
            object: lane.to_owned(),
            lane: lane.to_owned(),
            method: Method::POST,
            url: Url::parse("http://localhost/").unwrap(),
            content_type: None,
            body: Bytes::new(),
            posted_at: NOW,
            tried_at: None,
            attempts: 0,
            spent: Duration::ZERO,
            times: Times {
                connect: Duration::ZERO,
                read: Duration::ZERO,
                total: Total::OfEachAttempt(Duration::ZERO),
            },
            signature: Signature::Right,
            rules: Arc::new(Once),
        }
    }

    fn take(outbox: &mut Outbox) -> Option<(Ticket, String)> {
        let (ticket, delivery) = outbox.take_due(NOW)?;
        Some((ticket, delivery.event))
    }

    #[test]
    fn first_attempts_of_a_lane_wait_for_each_other_and_for_nothing_else() {
        let mut outbox = Outbox::default();
        for (lane, event) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
            outbox.add(NOW, delivery(lane, event));
        }
        let mut retry = delivery("a", "a0 again");
        retry.attempts = 1;
        outbox.add(NOW, retry);
        let (first, event) = take(&mut outbox).unwrap();
        assert_eq!(event, "a1");
        assert_eq!(take(&mut outbox).unwrap().1, "b1");
        assert_eq!(take(&mut outbox).unwrap().1, "a0 again");
        assert!(take(&mut outbox).is_none());
        assert!(outbox.finish(first));
        assert_eq!(take(&mut outbox).unwrap().1, "a2");
    }

    #[test]
    fn what_finds_no_room_is_lost_and_counted() {
        let mut outbox = Outbox::default();
        for number in 0..=WAITING_MAX {
            outbox.add(NOW, delivery(&number.to_string(), "event"));
        }
        assert_eq!(
            (outbox.state().waiting, outbox.state().lost),
            (WAITING_MAX, 1)
        );
        let under_way = std::iter::from_fn(|| take(&mut outbox)).count();
        assert_eq!(under_way, IN_FLIGHT_MAX);
    }

    #[test]
    fn nothing_is_taken_before_its_time_and_what_was_under_way_does_not_survive_a_reset() {
        let mut outbox = Outbox::default();
        outbox.add(NOW + TimeDelta::seconds(1), delivery("a", "later"));
        assert!(take(&mut outbox).is_none() && outbox.is_settled(NOW));
        outbox.add(NOW, delivery("a", "now"));
        let (ticket, _) = take(&mut outbox).unwrap();
        outbox.clear();
        assert!(!outbox.finish(ticket));
        assert_eq!(outbox.state().in_flight, 0);
    }
}
