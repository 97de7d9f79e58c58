//! Who acts, when and why: a request, a buyer, the clock.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

use super::{State, request_id};
use crate::call::Call;

pub(super) struct Desk<'a> {
    pub(super) state: &'a State,
    pub(super) now: DateTime<Utc>,
    /// Whether the caller prefers whole resources in answers.
    pub(super) representation: bool,
    pub(super) request_id: Option<String>,
    pub(super) body: Bytes,
}

impl<'a> Desk<'a> {
    pub(super) fn of(state: &'a State, call: &Call) -> Desk<'a> {
        Desk {
            state,
            now: state.core.clock.now(),
            representation: call
                .header("prefer")
                .is_some_and(|prefer| prefer.contains("return=representation")),
            request_id: request_id::of(call).map(str::to_owned),
            body: call.body.clone(),
        }
    }

    /// Nobody's request: the buyer's doing, or the clock's.
    pub(super) fn unasked(state: &'a State) -> Desk<'a> {
        Desk {
            state,
            now: state.core.clock.now(),
            representation: false,
            request_id: None,
            body: Bytes::new(),
        }
    }

    /// For what the clock brings about while the request is served.
    pub(super) fn by_clock(&self) -> Desk<'a> {
        Desk {
            now: self.now,
            ..Desk::unasked(self.state)
        }
    }

    /// Where the buyer's pages are.
    pub(super) fn base(&self) -> String {
        self.state.base()
    }
}

/// As PayPal writes times.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
