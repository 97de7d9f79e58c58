//! Taking the money of an order, or reserving it.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::context;
use onerouter_plugin::failure;
use onerouter_plugin::http::Answer;
use onerouter_plugin::payments::Step;

use crate::api;
use crate::order::Order;
use crate::refusal::{self, Meaning};
use crate::standing::Standing;

/// An order that makes sense.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) order: Order,
    pub(crate) standing: Standing,
    /// Paid so far.
    pub(crate) captured: u64,
    pub(crate) raw: Option<String>,
}

/// What asking for the money came to.
#[derive(Debug)]
pub(crate) enum Taken {
    Done(Seen),
    /// Nothing was taken, and nothing is lost: the buyer is sent back to choose other means.
    Again {
        seen: Option<Seen>,
        /// Where to.
        url: Option<String>,
        failure: Failure,
    },
}

impl Seen {
    pub(crate) fn of(answer: &Answer, now: u64) -> Option<Self> {
        let order = Order::read(&answer.object()?)?;
        Some(Self {
            standing: Standing::of(&order, now)?,
            captured: order.captured()?,
            order,
            raw: answer.raw(),
        })
    }
}

/// `GET /v2/checkout/orders/{id}`
///
/// One that was not paid in time is gone after some hours: `not-found`.
pub(crate) fn look(id: &str) -> Result<Seen, CallError> {
    let answer = api::read(api::order(id))?;
    Seen::of(&answer, context::now()).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// `POST /v2/checkout/orders/{id}/capture` or `…/authorize`
pub(crate) fn take(id: &str, step: Step, key: &str) -> Result<Taken, CallError> {
    let act = match step {
        Step::Authorize => "authorize",
        Step::Capture => "capture",
    };
    let answer = api::write(api::order(id).segment(act), Some(key), "{}".to_owned())?;
    if answer.is_success() {
        return match Seen::of(&answer, context::now()) {
            Some(seen) => Ok(Taken::Done(seen)),
            // It has happened; a minimal answer only says so.
            None => look(id)
                .map(Taken::Done)
                .map_err(|_unread| failure::unreadable_after_write(answer.status)),
        };
    }
    match refusal::meaning(&answer) {
        Meaning::Done => done_before(id, &answer).map(Taken::Done),
        Meaning::Again => Ok(again(id, &answer)),
        Meaning::Refused => Err(refusal::after_change(&answer)),
    }
}

/// The order is looked at for the rest. Another request may have been luckier meanwhile.
fn again(id: &str, answer: &Answer) -> Taken {
    let seen = match look(id) {
        Ok(seen) => match seen.standing {
            Standing::Waiting | Standing::Approved(_) => Some(seen),
            Standing::Processing(_)
            | Standing::Authorized(_)
            | Standing::Paid
            | Standing::Failed(_)
            | Standing::Canceled
            | Standing::Expired => return Taken::Done(seen),
        },
        Err(_unread) => None,
    };
    Taken::Again {
        seen,
        url: answer
            .object()
            .and_then(|object| api::link(&object, &["payer-action", "approve", "redirect"])),
        failure: refusal::failure(answer),
    }
}

/// PayPal says that it did this before: the answer got lost, or somebody else did it. The order tells.
pub(crate) fn done_before(id: &str, answer: &Answer) -> Result<Seen, CallError> {
    look(id).map_err(|_unread| CallError::Unknown(refusal::failure(answer)))
}
