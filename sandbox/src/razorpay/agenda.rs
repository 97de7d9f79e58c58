//! What will happen by itself, in the order of time.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

/// By the id of the object that waits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// An authorized payment is given back when nobody captures it.
    CaptureWindow(String),
    /// A refund reaches the buyer, or does not.
    Refund(String),
    Link(String),
    /// A charge, a retry, an expiry, an end.
    Subscription(String),
}

/// Entries are never taken back: whoever takes one asks whether it still holds.
#[derive(Debug, Default)]
pub(super) struct Agenda(BTreeSet<(DateTime<Utc>, Due)>);

impl Agenda {
    pub(super) fn add(&mut self, at: DateTime<Utc>, due: Due) {
        self.0.insert((at, due));
    }

    /// The earliest entry, if its time has come.
    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Due)> {
        if self.0.first()?.0 > now {
            return None;
        }
        self.0.pop_first()
    }

    pub(super) fn first(&self) -> Option<DateTime<Utc>> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn retain(&mut self, is_current: impl Fn(DateTime<Utc>, &Due) -> bool) {
        self.0.retain(|(at, due)| is_current(*at, due));
    }
}
