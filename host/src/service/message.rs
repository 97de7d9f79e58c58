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
    /// That the provider told of its own accord what became of it; none where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Telling>,
}

/// What a provider told of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Telling {
    /// When it happened, in milliseconds since 1970 by the provider's clock; not every provider says.
    pub at_ms: Option<u64>,
}

impl MessageFacts {
    /// Whether this is the last word of two that say the same became of the message: an e-mail to several
    /// recipients may bounce several times. What happened later is, whichever came first; where nobody knows,
    /// any order will do that is always the same. A provider that tells says more than one that is
    /// asked, and of two answers the second holds.
    fn is_last_word_after(&self, known: &Self) -> bool {
        let story = |facts: &Self| {
            (
                facts.told,
                facts.provider_data.clone(),
                facts.failure.clone(),
            )
        };
        match (self.told, known.told) {
            (None, None) => true,
            _ => story(self) > story(known),
        }
    }
}

impl Facts for MessageFacts {
    /// A cost that the provider named once is not replaced by an estimate.
    fn merge(&mut self, new: Self, weight: Weight) {
        let is_word = weight.moved && (!weight.was_known || new.is_last_word_after(self));
        let known = (
            self.segments.take(),
            self.sender.take(),
            self.consent.take(),
            self.cost.take(),
        );
        let reported = (new.segments, new.sender, new.consent, new.cost);
        // Who is asked knows the latest; who tells may be late.
        let (newer, older) = if is_word || new.told.is_none() {
            (reported, known)
        } else {
            (known, reported)
        };
        self.segments = newer.0.or(older.0);
        self.sender = newer.1.or(older.1);
        self.consent = newer.2.or(older.2);
        self.cost = match (newer.3, older.3) {
            (Some(newer), Some(older)) => Some(kind::better_cost(newer, older)),
            (newer, older) => newer.or(older),
        };
        if is_word {
            self.failure = new.failure;
            self.provider_data = new.provider_data.or(self.provider_data.take());
            self.told = new.told;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What providers tell of one status.
    fn told() -> impl Strategy<Value = MessageFacts> {
        let at_ms = prop::option::of(0..3_u64);
        let code = prop::option::of(prop::sample::select(vec!["bounced", "undeliverable"]));
        (at_ms, code, "[ab]").prop_map(|(at_ms, code, raw)| MessageFacts {
            failure: code.map(|code| Failure {
                code: code.to_owned(),
                message: String::new(),
                retryable: false,
                provider_code: None,
                provider_message: None,
            }),
            provider_data: Some(format!("\"{raw}\"")),
            told: Some(Telling { at_ms }),
            ..MessageFacts::default()
        })
    }

    const SAME_STATUS: Weight = Weight {
        moved: true,
        was_known: true,
        has_ended: true,
        is_latest: true,
    };

    fn end(first: MessageFacts, reports: &[MessageFacts]) -> MessageFacts {
        let mut facts = MessageFacts::default();
        facts.merge(
            first,
            Weight {
                was_known: false,
                ..SAME_STATUS
            },
        );
        for report in reports {
            facts.merge(report.clone(), SAME_STATUS);
        }
        facts
    }

    proptest! {
        #[test]
        fn whatever_is_told_of_one_status_ends_alike(
            (reports, shuffled) in prop::collection::vec(told(), 1..6)
                .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle()))
        ) {
            let of = |reports: &[MessageFacts]| end(reports[0].clone(), &reports[1..]);
            prop_assert_eq!(of(&reports), of(&shuffled));
        }

        #[test]
        fn an_answer_takes_nothing_back_that_was_told(report in told()) {
            let answer = MessageFacts { provider_data: Some("{}".to_owned()), ..MessageFacts::default() };
            let asked_last = end(report.clone(), std::slice::from_ref(&answer));
            prop_assert_eq!(&asked_last, &end(answer, std::slice::from_ref(&report)));
            prop_assert_eq!(asked_last.failure, report.failure);
        }
    }

    #[test]
    fn of_two_answers_the_second_holds() {
        let answer = |raw: &str| MessageFacts {
            provider_data: Some(raw.to_owned()),
            ..MessageFacts::default()
        };
        let facts = end(answer("2"), &[answer("1")]);
        assert_eq!(facts.provider_data.as_deref(), Some("1"));
    }
}
