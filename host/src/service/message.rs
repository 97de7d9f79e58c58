//! What text messages and e-mails have in common.

use onerouter_domain::cost::Cost;
use onerouter_domain::failure::Failure;
use serde::{Deserialize, Serialize};

use super::kind::{self, Action, Facts, Weight};

/// What is known of a message besides its status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageFacts {
    /// Parts of a text message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The sender that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// What an incoming message asks of whoever sends to its sender: `stop`, `start` or `help`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The provider's last raw answer: JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_data: Option<String>,
}

impl Facts for MessageFacts {
    /// A cost that the provider named once is not replaced by an estimate.
    fn merge(&mut self, new: Self, weight: Weight) {
        self.segments = new.segments.or(self.segments);
        self.sender = new.sender.or(self.sender.take());
        self.consent = new.consent.or(self.consent.take());
        self.cost = match (new.cost, self.cost.take()) {
            (Some(new), Some(old)) => Some(kind::better_cost(new, old)),
            (new, old) => new.or(old),
        };
        if weight.moved {
            self.failure = new.failure;
            self.provider_data = new.provider_data.or(self.provider_data.take());
        }
    }

    fn set_failure(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }
}

/// What can be done with a message: it can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel;

/// Its name.
pub const CANCEL: &str = "cancel";

impl Action for Cancel {
    fn name(&self) -> &'static str {
        CANCEL
    }
}

/// Refusals of a repeated request that the first one must have met too: they are about what was
/// asked for. Anything else (an edge's error page, a right that was taken away, a rate limit) says
/// nothing about a request that was taken earlier.
#[must_use]
pub fn is_word_on_the_first(code: &str) -> bool {
    matches!(
        code,
        "invalid_recipient"
            | "invalid_sender"
            | "invalid_content"
            | "recipient_opted_out"
            | "recipient_unverified"
            | "region_not_enabled"
            | "sender_not_allowed"
            | "content_filtered"
    )
}
