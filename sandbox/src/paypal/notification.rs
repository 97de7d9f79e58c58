//! Webhooks (v1 notifications): the API that manages them, the events, and how they are signed.

pub(super) mod certificate;
pub(super) mod event;
pub(super) mod listing;
mod resource;
mod transmission;
pub(super) mod verify;
pub(super) mod webhook;

use std::mem;

use chrono::{DateTime, Utc};
use serde_json::Value;

use self::{event::Event, webhook::Webhooks};
use super::{State, books::Books, desk::Desk, happened::Happened};
use crate::{lock, shelf::Shelf};

/// Events that are kept for being listed and sent again.
const EVENTS_KEPT: usize = 10_000;

/// What the merchant has set, and what was told.
#[derive(Debug)]
pub(super) struct Notifications {
    pub(super) webhooks: Webhooks,
    pub(super) events: Shelf<Event>,
    /// Has happened in the operation under way, and is told at its end: only then do the books show it.
    told: Vec<Told>,
}

/// One thing that happened.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) happened: Happened,
    pub(super) id: String,
    /// The id of what was acted on: the capture of a refund, the subscription of a charge.
    pub(super) object: Option<String>,
    pub(super) at: DateTime<Utc>,
    /// As it is at this moment; otherwise as it is at the operation's end.
    pub(super) resource: Option<Value>,
}

impl Notifications {
    pub(super) fn new() -> Notifications {
        Notifications {
            webhooks: Webhooks::default(),
            events: Shelf::new(EVENTS_KEPT),
            told: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, told: Told) {
        self.told.push(told);
    }
}

impl State {
    /// Works on the books, and then tells what has happened to them.
    pub(super) fn with_books<T>(&self, desk: &Desk<'_>, work: impl FnOnce(&mut Books) -> T) -> T {
        let mut books = lock(&self.books);
        let done = work(&mut books);
        let told = mem::take(&mut lock(&self.notifications).told);
        for each in told {
            self.tell(&books, desk, each);
        }
        done
    }

    fn tell(&self, books: &Books, desk: &Desk<'_>, told: Told) {
        let Some(event_type) = told.happened.event_type() else {
            return;
        };
        let shown = told.resource.clone();
        let Some(shown) = shown.or_else(|| resource::find(books, desk, &told)) else {
            return;
        };
        let lane = resource::lane(books, &told).to_owned();
        let event = Event::new(event_type, &told, shown);
        let mut notifications = lock(&self.notifications);
        notifications.webhooks.post(self, &event, &lane, told.at);
        notifications.events.push(event.id.clone(), event);
    }
}
