//! What events are called, and the patterns by which somebody says of which to hear.
//!
//! An event about an object is named for its new status: `payment.succeeded`. Some have no status
//! behind them: what recipients do with an e-mail, and what concerns an endpoint itself.

use std::fmt;
use std::str::FromStr;

use crate::message::{EmailStatus, SmsStatus};
use crate::payment::{
    PaymentLinkStatus, PaymentStatus, PlanStatus, RefundStatus, SubscriptionStatus,
};

/// What a test event is called. Nothing has happened.
pub const ENDPOINT_TEST: &str = "endpoint.test";
/// That nothing is sent to an endpoint any more.
pub const ENDPOINT_DISABLED: &str = "endpoint.disabled";

/// What a provider has told that is about nothing here.
pub const PROVIDER_EVENT: &str = "provider_event.received";

/// What stands before the dot.
pub const FAMILIES: [&str; 9] = [
    "payment",
    "refund",
    "plan",
    "subscription",
    "payment_link",
    "sms",
    "email",
    "endpoint",
    "provider_event",
];

/// What may stand behind the dot in a family.
fn verbs(family: &str) -> Vec<&'static str> {
    fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<&'static str> {
        all.iter().map(|one| name(*one)).collect()
    }
    match family {
        "payment" => names(PaymentStatus::ALL, PaymentStatus::as_str),
        "refund" => names(RefundStatus::ALL, RefundStatus::as_str),
        "plan" => names(PlanStatus::ALL, PlanStatus::as_str),
        "subscription" => names(SubscriptionStatus::ALL, SubscriptionStatus::as_str),
        "payment_link" => names(PaymentLinkStatus::ALL, PaymentLinkStatus::as_str),
        "sms" => names(SmsStatus::ALL, SmsStatus::as_str),
        "email" => {
            let mut verbs = names(EmailStatus::ALL, EmailStatus::as_str);
            verbs.extend(["opened", "clicked"]);
            verbs
        }
        "endpoint" => vec!["test", "disabled"],
        "provider_event" => vec!["received"],
        _ => Vec::new(),
    }
}

/// Every type of event.
#[must_use]
pub fn types() -> Vec<String> {
    let of = |family: &'static str| {
        let verbs = verbs(family).into_iter();
        verbs.map(move |verb| format!("{family}.{verb}"))
    };
    FAMILIES.into_iter().flat_map(of).collect()
}

/// One type of event (`payment.succeeded`), or all of a family (`payment.*`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct EventPattern(String);

/// The text is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a type of event such as payment.succeeded, or a family of them such as payment.*; \
     families are {}", FAMILIES.join(", ")
)]
pub struct ParseEventPatternError;

impl EventPattern {
    /// Whether an event of this type is meant.
    #[must_use]
    pub fn covers(&self, event_type: &str) -> bool {
        match self.family() {
            Some(family) => event_type
                .strip_prefix(family)
                .is_some_and(|rest| rest.starts_with('.')),
            None => self.0 == event_type,
        }
    }

    /// The family that is meant as a whole.
    #[must_use]
    pub fn family(&self) -> Option<&str> {
        self.0.strip_suffix(".*")
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventPattern {
    type Err = ParseEventPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (family, verb) = text.split_once('.').ok_or(ParseEventPatternError)?;
        let is_known = FAMILIES.contains(&family) && (verb == "*" || verbs(family).contains(&verb));
        if is_known {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseEventPatternError)
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether somebody with these patterns wants to hear of an event; without any, of all.
#[must_use]
pub fn is_wanted(patterns: Option<&[EventPattern]>, event_type: &str) -> bool {
    patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.covers(event_type)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> EventPattern {
        text.parse().unwrap()
    }

    #[test]
    fn every_type_is_a_pattern_that_covers_itself_only() {
        let types = types();
        for one in &types {
            let covered = types.iter().filter(|other| pattern(one).covers(other));
            assert_eq!(covered.collect::<Vec<_>>(), [one]);
        }
        for known in [
            "sms.received",
            "email.clicked",
            ENDPOINT_TEST,
            ENDPOINT_DISABLED,
            PROVIDER_EVENT,
        ] {
            assert!(types.iter().any(|one| one == known), "{known}");
        }
    }

    #[test]
    fn a_family_covers_its_own_types_only() {
        assert!(pattern("payment.*").covers("payment.succeeded"));
        assert!(!pattern("payment.*").covers("payment_link.paid"));
        assert!(!pattern("payment_link.*").covers("payment.succeeded"));
        assert!(is_wanted(None, "sms.sent"));
        assert!(!is_wanted(Some(&[]), "sms.sent"));
    }

    #[test]
    fn what_no_event_can_be_is_refused() {
        for text in [
            "",
            "*",
            "payment",
            "payment.",
            "payment.paid.*",
            "*.succeeded",
            "pay.*",
        ] {
            assert!(text.parse::<EventPattern>().is_err(), "{text}");
        }
    }
}
