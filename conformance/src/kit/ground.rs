//! What has to be there before a live sandbox can be asked for something: a message that is not under way yet,
//! a payment that its buyer has agreed to.

use onerouter_manifest::Capability;

use super::KitError;
use super::bench::{Bench, Rehearsal};
use crate::buyer::Unplayed;
use crate::cassette::Cassette;
use crate::input::Input;
use crate::live::about;
use crate::operation::{Nature, Operation};
use crate::run::{Ending, Facts};

/// What is cancelled must not be under way yet.
const LATER_MS: u64 = 24 * 60 * 60 * 1_000;

/// From the buyer's consent to the money it is two steps: reserving it, and taking it.
const STEPS_MAX: usize = 2;

/// What a scenario is tried on.
pub(super) enum Ground {
    /// What was made before.
    Usual,
    /// What was made for it.
    Made(Box<Input>),
    /// Nothing, and why.
    Missing(String),
}

/// Why nothing was made.
enum Lack {
    Missing(String),
    Kit(KitError),
}

impl From<KitError> for Lack {
    fn from(error: KitError) -> Self {
        Self::Kit(error)
    }
}

impl From<Unplayed> for Lack {
    fn from(unplayed: Unplayed) -> Self {
        Self::Missing(unplayed.to_string())
    }
}

impl Bench<'_> {
    pub(super) async fn ground(
        &mut self,
        operation: Operation,
        given: &Cassette,
        now_ms: u64,
    ) -> Result<Ground, KitError> {
        if given.input.provider_id.is_some() {
            return Ok(Ground::Usual);
        }
        let made = match operation {
            Operation::SmsCancel => self.later(Operation::SmsSend, given, now_ms).await,
            Operation::EmailCancel => self.later(Operation::EmailSend, given, now_ms).await,
            Operation::PaymentsAuthorize
            | Operation::PaymentsCapture
            | Operation::PaymentsCancel
            | Operation::RefundsCreate
            | Operation::SubscriptionsPause
            | Operation::SubscriptionsResume
            | Operation::SubscriptionsChangePlan
            | Operation::SubscriptionsCancel
            | Operation::PaymentLinksCapture
                if self.buyer.is_some() =>
            {
                self.bought(operation, given, now_ms).await
            }
            _ => return Ok(Ground::Usual),
        };
        match made {
            Ok(input) => Ok(Ground::Made(Box::new(input))),
            Err(Lack::Missing(why)) => Ok(Ground::Missing(why)),
            Err(Lack::Kit(error)) => Err(error),
        }
    }

    /// A message that can still be cancelled.
    async fn later(
        &mut self,
        creates: Operation,
        given: &Cassette,
        now_ms: u64,
    ) -> Result<Input, Lack> {
        let later = Input {
            send_in_ms: Some(LATER_MS),
            ..given.input.clone()
        };
        let input = self.made.input(creates, &later, now_ms);
        let message = Rehearsal::new(given, input, now_ms);
        let message = self.rehearsed(creates, &message).await?;
        Ok(about(&message))
    }

    /// Something that a buyer has agreed to pay for, as far along as the operation needs it.
    async fn bought(
        &mut self,
        operation: Operation,
        given: &Cassette,
        now_ms: u64,
    ) -> Result<Input, Lack> {
        let (creates, reads) = kind(operation);
        let wanted = Input {
            capture: given.input.capture.clone().or(capture_for(operation)),
            amount_minor: given.input.amount_minor,
            currency: given.input.currency.clone(),
            ..Input::default()
        };
        let input = self.made.input(creates, &wanted, now_ms);
        let mut goods = Rehearsal::new(given, input, now_ms);
        let made = self.rehearsed(creates, &goods).await?;
        if let Some(buyer) = &self.buyer {
            buyer.agrees(&made).await?;
        }
        goods.is_about(&made);
        self.move_along(operation, reads, &mut goods).await?;
        if operation == Operation::SubscriptionsChangePlan {
            let input = self
                .made
                .input(Operation::PlansCreate, &Input::default(), now_ms);
            let other = Rehearsal::new(given, input, now_ms);
            let other = self.rehearsed(Operation::PlansCreate, &other).await?;
            goods.input.new_plan_id = other.provider_id;
        }
        if operation.nature() == Nature::Creates {
            // An id of its own: the other one is that of what was bought.
            goods.input.object_id = Some(self.made.id(operation, now_ms));
        }
        Ok(goods.input)
    }

    /// Does what the seller has to do before the operation, and leaves what the provider then tells.
    async fn move_along(
        &self,
        operation: Operation,
        reads: Operation,
        goods: &mut Rehearsal<'_>,
    ) -> Result<(), Lack> {
        for _ in 0..=STEPS_MAX {
            let seen = self.rehearsed(reads, goods).await?;
            goods.is_about(&seen);
            let Some(step) = step_before(operation, &seen) else {
                break;
            };
            let moved = self.rehearsed(step, goods).await?;
            goods.is_about(&moved);
        }
        Ok(())
    }

    /// What came of a call that has to go well.
    async fn rehearsed(
        &self,
        operation: Operation,
        rehearsal: &Rehearsal<'_>,
    ) -> Result<Facts, Lack> {
        let run = self.rehearse(operation, rehearsal).await?;
        if run.ending == Ending::Accepted {
            return Ok(run.facts);
        }
        Err(Lack::Missing(format!(
            "there is nothing to try it on: {} is {}",
            operation.name(),
            run.ending.describe()
        )))
    }
}

impl<'r> Rehearsal<'r> {
    fn new(given: &'r Cassette, input: Input, now_ms: u64) -> Self {
        Self {
            given,
            input,
            now_ms,
        }
    }

    /// The next call is about this, under the id that we gave it. Not every answer repeats the amount.
    fn is_about(&mut self, facts: &Facts) {
        let before = std::mem::take(&mut self.input);
        let kept = Input {
            object_id: before.object_id,
            amount_minor: before.amount_minor,
            currency: before.currency,
            ..Input::default()
        };
        self.input = about(facts).or(&kept);
    }
}

/// What makes the thing that an operation is about, and what reads it.
fn kind(operation: Operation) -> (Operation, Operation) {
    match operation.capability() {
        Capability::Subscriptions => (Operation::SubscriptionsCreate, Operation::SubscriptionsGet),
        Capability::PaymentLinks => (Operation::PaymentLinksCreate, Operation::PaymentLinksGet),
        _ => (Operation::PaymentsCreate, Operation::PaymentsGet),
    }
}

/// What is refunded has been taken; what is taken, or given up, was reserved before.
fn capture_for(operation: Operation) -> Option<String> {
    match operation.capability() {
        Capability::Refunds => Some("automatic".to_owned()),
        Capability::Payments => Some("manual".to_owned()),
        _ => None,
    }
}

/// What the seller does first, where the provider waits for it.
fn step_before(operation: Operation, facts: &Facts) -> Option<Operation> {
    if operation == Operation::SubscriptionsResume {
        let is_active = facts.status.as_deref() == Some("active");
        return is_active.then_some(Operation::SubscriptionsPause);
    }
    facts.due.filter(|due| match due {
        Operation::PaymentsAuthorize => operation != Operation::PaymentsAuthorize,
        Operation::PaymentsCapture => operation == Operation::RefundsCreate,
        _ => false,
    })
}
